#include "base/ability.h"

#include <assert.h>

static const char *const names[ABILITY_COUNT] = {
    "tools", "images", "audio", "json_schema", "reasoning", "files", "embeddings", "chat",
};

const char *ability_name(unsigned index) {
    assert(index < ABILITY_COUNT);
    return names[index];
}

uint32_t ability_of(struct span name) {
    for (unsigned i = 0; i < ABILITY_COUNT; i++)
        if (span_eq(name, span_of(names[i])))
            return UINT32_C(1) << i;
    return 0;
}
