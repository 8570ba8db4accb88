#include "route/models.h"

#include "base/ability.h"

/* OpenAI's clients want a number; the catalogue knows no dates. */
#define CREATED "1700000000"

static void write_price(const char *name, int64_t nano_per_million, struct buf *out) {
    /* Dollars a token, as OpenRouter's list gives them: a string, so that no digit is lost. */
    if (nano_per_million == PRICE_UNKNOWN)
        return;
    if (out->at[out->len - 1] != '{')
        buf_add_char(out, ',');
    buf_printf(out, "\"%s\":\"%lld.%015lld\"", name,
               (long long)(nano_per_million / 1000000000000000),
               (long long)(nano_per_million % 1000000000000000));
}

static void write_abilities(uint32_t abilities, struct buf *out) {
    bool first = true;
    buf_add(out, SPAN(",\"capabilities\":["));
    for (unsigned i = 0; i < ABILITY_COUNT; i++) {
        if (!(abilities & (UINT32_C(1) << i)))
            continue;
        buf_printf(out, "%s\"%s\"", first ? "" : ",", ability_name(i));
        first = false;
    }
    buf_add_char(out, ']');
}

static void write_entry(struct span id, struct span owner, const struct target *t,
                        struct buf *out) {
    buf_add(out, SPAN("{\"id\":"));
    buf_add_json(out, id);
    buf_add(out, SPAN(",\"object\":\"model\",\"created\":" CREATED ",\"owned_by\":"));
    buf_add_json(out, owner);
    if (t) {
        if (t->context)
            buf_printf(out, ",\"context_length\":%u", t->context);
        if (t->max_output)
            buf_printf(out, ",\"max_output_tokens\":%u", t->max_output);
        write_abilities(t->abilities, out);
        buf_add(out, SPAN(",\"pricing\":{"));
        write_price("prompt", t->price.input, out);
        write_price("completion", t->price.output, out);
        buf_add(out, SPAN("}"));
    }
    buf_add_char(out, '}');
}

/* The first target of a model stands for it. */
static bool is_first(const struct snapshot *snap, const struct target *t) {
    for (size_t i = 0; i < t->index; i++)
        if (span_eq(snap->targets[i].model, t->model))
            return false;
    return true;
}

static void comma(struct buf *out) {
    if (out->at[out->len - 1] != '[')
        buf_add_char(out, ',');
}

void models_write_list(const struct snapshot *snap, struct buf *out) {
    buf_add(out, SPAN("{\"object\":\"list\",\"data\":["));
    write_entry(SPAN("auto"), SPAN("perilune"), NULL, out);
    for (size_t i = 0; i < snap->n_policies; i++) {
        struct buf id = { 0 };
        buf_printf(&id, "policy/%.*s", SPAN_ARGS(snap->policies[i].name));
        comma(out);
        write_entry(buf_span(&id), SPAN("perilune"), NULL, out);
        buf_deinit(&id);
    }
    for (size_t i = 0; i < snap->n_chains; i++) {
        const struct target *t;
        struct arena scratch;
        arena_init(&scratch, 256);
        if (!snapshot_resolve(snap, snap->chains[i].name, &scratch, &t, 1)) {
            comma(out);
            write_entry(snap->chains[i].name, SPAN("perilune"), NULL, out);
        }
        arena_deinit(&scratch);
    }
    for (size_t i = 0; i < snap->n_targets; i++) {
        const struct target *t = &snap->targets[i];
        if (is_first(snap, t)) {
            comma(out);
            write_entry(t->model, t->provider->name, t, out);
        }
        comma(out);
        write_entry(t->id, t->provider->name, t, out);
    }
    buf_add(out, SPAN("]}"));
}

bool models_write_one(const struct snapshot *snap, struct span id, struct buf *out) {
    const struct target *t = NULL;
    const struct span policy = SPAN("policy/");
    struct arena scratch;
    arena_init(&scratch, 256);
    bool ours =
        span_eq(id, SPAN("auto")) || snapshot_chain(snap, id) ||
        (span_starts(id, policy) && snapshot_policy(snap, span_sub(id, policy.len, id.len)));
    if (snapshot_resolve(snap, id, &scratch, &t, 1))
        write_entry(id, t->provider->name, t->index == TARGET_AD_HOC ? NULL : t, out);
    else if (ours)
        write_entry(id, SPAN("perilune"), NULL, out);
    arena_deinit(&scratch);
    return t || ours;
}
