#include "route/models.h"

#include "base/ability.h"
#include "route/reach.h"

/* Clients want a date; the catalogue knows none. */
#define CREATED "1700000000"
#define CREATED_AT "2023-11-14T22:13:20Z"

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

/* What every model can is not said. */
static void write_abilities(const char *name, uint32_t abilities, struct buf *out) {
    bool first = true;
    buf_printf(out, ",\"%s\":[", name);
    for (unsigned i = 0; i < ABILITY_COUNT; i++) {
        if (!(abilities & ~ABILITY_CHAT & (UINT32_C(1) << i)))
            continue;
        buf_printf(out, "%s\"%s\"", first ? "" : ",", ability_name(i));
        first = false;
    }
    buf_add_char(out, ']');
}

/* A model nobody said anything of is taken to be able to do all; its provider is not. */
static uint32_t abilities_of(const struct target *t) {
    bool embeds = t->speaks & DIALECT_BIT(DIALECT_OPENAI_EMBEDDINGS);
    return t->abilities & ~(embeds ? 0 : (uint32_t)ABILITY_EMBEDDINGS);
}

/* What is written for whom, under which names. Anthropic's `capabilities` are an object of its own
 * making, so that ours have another name there. */
struct form {
    const char *context, *max_output, *abilities;
};
static const struct form openai_form = { "context_length", "max_output_tokens", "capabilities" };
static const struct form anthropic_form = { "max_input_tokens", "max_tokens", "abilities" };

static void write_figures(const struct form *form, const struct target *t, struct buf *out) {
    if (t->context)
        buf_printf(out, ",\"%s\":%u", form->context, t->context);
    if (t->max_output)
        buf_printf(out, ",\"%s\":%u", form->max_output, t->max_output);
    write_abilities(form->abilities, abilities_of(t), out);
    buf_add(out, SPAN(",\"pricing\":{"));
    write_price("prompt", t->price.input, out);
    write_price("completion", t->price.output, out);
    buf_add(out, SPAN("}"));
}

static void write_entry(enum dialect dialect, struct span id, struct span owner,
                        const struct target *t, struct buf *out) {
    bool anthropic = dialect == DIALECT_ANTHROPIC_MESSAGES;
    buf_add(out, anthropic ? SPAN("{\"type\":\"model\",\"id\":") : SPAN("{\"id\":"));
    buf_add_json(out, id);
    if (anthropic) {
        buf_add(out, SPAN(",\"display_name\":"));
        buf_add_json(out, id);
        buf_add(out, SPAN(",\"created_at\":\"" CREATED_AT "\""));
    } else {
        buf_add(out, SPAN(",\"object\":\"model\",\"created\":" CREATED ",\"owned_by\":"));
        buf_add_json(out, owner);
    }
    if (t)
        write_figures(anthropic ? &anthropic_form : &openai_form, t, out);
    buf_add_char(out, '}');
}

/* A list while it is written. */
struct listing {
    const struct snapshot *snap;
    const struct key *key; /* whose list it is; NULL: everybody's */
    enum dialect dialect;
    struct buf *out;
    struct buf last;      /* name of the last entry */
    struct arena scratch; /* for what names mean */
};

static bool may_use(struct listing *l, const struct target *t) {
    return reach_may_use(l->snap, l->key, t, &l->scratch);
}

/* The first target of a model stands for it. */
static bool is_first(struct listing *l, const struct target *t) {
    for (size_t i = 0; i < t->index; i++)
        if (span_eq(l->snap->targets[i].model, t->model) && may_use(l, &l->snap->targets[i]))
            return false;
    return true;
}

static void add(struct listing *l, struct span id, struct span owner, const struct target *t) {
    if (l->last.len)
        buf_add_char(l->out, ',');
    write_entry(l->dialect, id, owner, t, l->out);
    buf_clear(&l->last);
    buf_add(&l->last, id);
}

static void add_policies(struct listing *l) {
    for (size_t i = 0; i < l->snap->n_policies; i++) {
        struct span name = l->snap->policies[i].name;
        struct buf id = { 0 };
        if (!reach_may_choose(l->key, name))
            continue;
        buf_printf(&id, "policy/%.*s", SPAN_ARGS(name));
        add(l, buf_span(&id), SPAN("perilune"), NULL);
        buf_deinit(&id);
    }
}

static bool leads_anywhere(struct listing *l, const struct named_chain *chain) {
    const struct target *t;
    for (size_t i = 0; i < chain->n_targets; i++)
        if (snapshot_resolve(l->snap, chain->targets[i], &l->scratch, &t, 1) && may_use(l, t))
            return true;
    return false;
}

/* A chain that is named as a model goes by the model. */
static void add_chains(struct listing *l) {
    for (size_t i = 0; i < l->snap->n_chains; i++) {
        const struct named_chain *chain = &l->snap->chains[i];
        const struct target *t;
        if (!snapshot_resolve(l->snap, chain->name, &l->scratch, &t, 1) && leads_anywhere(l, chain))
            add(l, chain->name, SPAN("perilune"), NULL);
    }
}

static void add_targets(struct listing *l) {
    for (size_t i = 0; i < l->snap->n_targets; i++) {
        const struct target *t = &l->snap->targets[i];
        if (!may_use(l, t))
            continue;
        if (is_first(l, t))
            add(l, t->model, t->provider->name, t);
        add(l, t->id, t->provider->name, t);
    }
}

void models_write_list(const struct snapshot *snap, const struct key *key, enum dialect dialect,
                       struct buf *out) {
    bool anthropic = dialect == DIALECT_ANTHROPIC_MESSAGES;
    struct listing list = { .snap = snap, .key = key, .dialect = dialect, .out = out };
    arena_init(&list.scratch, 1024);
    buf_add(out, anthropic ? SPAN("{\"data\":[") : SPAN("{\"object\":\"list\",\"data\":["));
    add(&list, SPAN("auto"), SPAN("perilune"), NULL);
    add_policies(&list);
    add_chains(&list);
    add_targets(&list);
    buf_add_char(out, ']');
    if (anthropic) {
        buf_add(out, SPAN(",\"has_more\":false,\"first_id\":\"auto\",\"last_id\":"));
        buf_add_json(out, buf_span(&list.last));
    }
    buf_add_char(out, '}');
    buf_deinit(&list.last);
    arena_deinit(&list.scratch);
}

bool models_write_one(const struct snapshot *snap, enum dialect dialect, struct span id,
                      struct buf *out) {
    const struct target *t = NULL;
    const struct span policy = SPAN("policy/");
    struct arena scratch;
    arena_init(&scratch, 256);
    bool ours =
        span_eq(id, SPAN("auto")) || snapshot_chain(snap, id) ||
        (span_starts(id, policy) && snapshot_policy(snap, span_sub(id, policy.len, id.len)));
    if (snapshot_resolve(snap, id, &scratch, &t, 1))
        write_entry(dialect, id, t->provider->name, t->index == TARGET_AD_HOC ? NULL : t, out);
    else if (ours)
        write_entry(dialect, id, SPAN("perilune"), NULL, out);
    arena_deinit(&scratch);
    return t || ours;
}
