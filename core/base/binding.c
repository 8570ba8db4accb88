#include "base/binding.h"

static bool may_have_made_it(const struct target *t, const struct facts *facts) {
    uint32_t dialects = t->speaks | DIALECT_BIT(t->dialect);
    return (dialects & DIALECT_BIT(facts->signed_by)) &&
           (!facts->signed_model.at || span_eq(t->upstream, facts->signed_model));
}

struct span binding_provider(const struct snapshot *snap, const struct facts *facts) {
    struct span only = SPAN_NONE;
    if (facts->signed_by == DIALECT_NONE)
        return SPAN_NONE;
    for (size_t i = 0; i < facts->n_last_targets; i++) {
        const struct target *t = snapshot_target(snap, facts->last_targets[i].id);
        if (t && may_have_made_it(t, facts))
            return t->provider->name;
    }
    for (size_t i = 0; i < snap->n_targets; i++) {
        const struct target *t = &snap->targets[i];
        if (!may_have_made_it(t, facts) || span_eq(t->provider->name, only))
            continue;
        if (only.at)
            return SPAN_NONE;
        only = t->provider->name;
    }
    return only;
}
