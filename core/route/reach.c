#include "route/reach.h"

#include "base/ability.h"
#include "base/utf8.h"

enum {
    NAMES_MAX = 64,
    FALLBACK_STEPS = 3,
    NEAR = 3,
    HOPS = 4,       /* from one retired model to the next */
    EMBEDDERS = 8,  /* named to who asked for another */
    SHOWN_MAX = 200 /* bytes of a client's name that are said back to it */
};

struct step reach_step(const struct target *target) {
    return (struct step){ .target = target, .retries = -1, .max_cost = NANOUSD_NONE };
}

struct chain reach_chain(void) {
    return (struct chain){ .max_cost = NANOUSD_NONE, .hold_ms = -1 };
}

/* Whom something is said of, and what they say themselves. */
struct chooser {
    enum assignment_scope scope;
    struct span name;
    struct span policy; /* a key's or a project's own; SPAN_NONE: none */
};

/* Who is asked for a policy, the first first. */
static size_t choosers(const struct facts *facts, struct chooser out[ASSIGNED_SCOPES]) {
    size_t n = 0;
    if (facts->key)
        out[n++] = (struct chooser){ ASSIGNED_KEY, facts->key->id, facts->key->policy };
    if (facts->project)
        out[n++] =
            (struct chooser){ ASSIGNED_PROJECT, facts->project->name, facts->project->policy };
    if (facts->tier.at)
        out[n++] = (struct chooser){ ASSIGNED_TIER, facts->tier, SPAN_NONE };
    out[n++] = (struct chooser){ ASSIGNED_ENDPOINT, facts->endpoint, SPAN_NONE };
    out[n++] = (struct chooser){ ASSIGNED_ACCOUNT, SPAN_NONE, SPAN_NONE };
    return n;
}

static void tighten_ms(uint32_t *limit, uint32_t by) {
    if (by && (!*limit || by < *limit))
        *limit = by;
}

/* The policy of an assignment decides, within its limits. */
static struct span take(const struct snapshot *snap, struct facts *facts,
                        const struct assignment *a) {
    facts->assignment = (unsigned)(a - snap->config.assignments) + 1;
    if (a->max_cost_usd < facts->max_cost_usd)
        facts->max_cost_usd = a->max_cost_usd;
    tighten_ms(&facts->max_latency_ms, a->max_latency_ms);
    tighten_ms(&facts->deadline_ms, a->deadline_ms);
    return a->policy;
}

/* The policy of the first who says anything: an assignment goes before a key's or a project's own
 * word. */
static struct span assigned(const struct snapshot *snap, struct facts *facts, struct arena *arena) {
    struct chooser list[ASSIGNED_SCOPES];
    size_t n = choosers(facts, list);
    for (size_t i = 0; i < n; i++) {
        const struct assignment *a = snapshot_assignment(snap, list[i].scope, list[i].name);
        if (!a && !list[i].policy.at)
            continue;
        facts->chosen_by = span_of(snapshot_scope_name(list[i].scope));
        if (list[i].name.at)
            facts->chosen_by = arena_printf(arena, "%.*s %.*s", SPAN_ARGS(facts->chosen_by),
                                            SPAN_ARGS(list[i].name));
        return a ? take(snap, facts, a) : list[i].policy;
    }
    return SPAN("auto");
}

bool reach_may_choose(const struct key *key, struct span policy) {
    bool listed = !key || !key->n_policies;
    if (key && !(key->grants & KEYS_GRANT_POLICY))
        return false;
    for (size_t i = 0; key && i < key->n_policies; i++)
        listed |= span_eq(key->policies[i], policy);
    return listed;
}

static bool not_allowed(struct span param, struct span message, struct api_error *error) {
    *error = api_error(ERROR_PERMISSION_DENIED, message);
    error->param = param;
    return false;
}

/* The name behind "policy/" or "auto:", or SPAN_NONE. */
static struct span policy_in_model(struct span model) {
    const struct span named = SPAN("policy/"), mode = SPAN("auto:");
    if (span_starts(model, named))
        return span_sub(model, named.len, model.len);
    if (span_starts(model, mode))
        return span_sub(model, mode.len, model.len);
    return SPAN_NONE;
}

static bool no_policy(const struct snapshot *snap, struct span name, bool by_header,
                      struct arena *arena, struct api_error *error) {
    struct span near = snapshot_near_policy(snap, name);
    struct span hint =
        near.at ? arena_printf(arena, " Did you mean %.*s?", SPAN_ARGS(near)) : SPAN("");
    *error = api_error(by_header ? ERROR_INVALID_REQUEST : ERROR_MODEL_NOT_FOUND,
                       arena_printf(arena, "There is no policy named '%.*s'.%.*s",
                                    SPAN_ARGS(utf8_cut(name, SHOWN_MAX)), SPAN_ARGS(hint)));
    error->param = by_header ? SPAN("x-route-policy") : SPAN("model");
    return false;
}

bool reach_policy(const struct snapshot *snap, struct facts *facts, struct span wished,
                  struct arena *arena, struct span *policy, struct api_error *error) {
    const struct config *c = &snap->config;
    struct span in_model = policy_in_model(facts->model);
    bool asked = wished.at || in_model.at;
    if (in_model.at)
        facts->model = SPAN("auto");
    struct span name = wished.at ? wished : in_model;
    struct span param = wished.at ? SPAN("x-route-policy") : SPAN("model");
    facts->assignment = 0;
    facts->chosen_by = asked ? param : SPAN_NONE;
    if (asked && !reach_may_choose(facts->key, name))
        return not_allowed(param,
                           arena_printf(arena, "This key may not choose the policy '%.*s'.",
                                        SPAN_ARGS(utf8_cut(name, SHOWN_MAX))),
                           error);
    if (!asked)
        name = assigned(snap, facts, arena);
    if (span_eq(name, SPAN("auto")))
        name = c->auto_policy;
    *policy = name;
    /* A configured policy may be missing, when its file never loaded: the fallback chain answers
     * then. */
    if (!asked || snapshot_policy(snap, name))
        return true;
    return no_policy(snap, name, wished.at != NULL, arena, error);
}

static bool is_auto(struct span name) {
    return span_eq(name, SPAN("auto"));
}

/* Whether a target can do at all what an endpoint is for: embed, or answer. */
static bool serves(const struct target *t, uint32_t uses) {
    bool embeds = t->abilities & ABILITY_EMBEDDINGS;
    if (uses & ABILITY_EMBEDDINGS)
        return embeds && (t->speaks & DIALECT_BIT(DIALECT_OPENAI_EMBEDDINGS));
    return !embeds || (t->abilities & ABILITY_CHAT);
}

/* --- retired models --- */

/* A name that means a model its vendor took away; NULL for any other. Where the catalogue lists it
 * all the same, a provider still has it. */
static const struct retired *retired(const struct snapshot *snap, struct span name,
                                     struct arena *arena) {
    const struct target *one;
    const struct retired *gone = snapshot_retired(snap, name);
    if (!gone || snapshot_chain(snap, name))
        return NULL;
    bool listed = snapshot_resolve(snap, name, arena, &one, 1) && one->index != TARGET_AD_HOC;
    return listed ? NULL : gone;
}

/* "openai/" of "openai/gpt-4o". */
static struct span provider_part(const struct snapshot *snap, struct span name) {
    size_t slash = span_find(name, '/');
    bool named = slash < name.len && snapshot_provider(snap, span_sub(name, 0, slash));
    return span_sub(name, 0, named ? slash + 1 : 0);
}

/* What is asked in the place of a retired name: at the same provider, if one was named. SPAN_NONE
 * when nobody here has it. */
static struct span successor(const struct snapshot *snap, struct span name, struct arena *arena) {
    const struct target *one;
    const struct retired *gone = retired(snap, name, arena);
    struct span provider = provider_part(snap, name);
    for (int hop = 0; gone && gone->instead.at && hop < HOPS; hop++) {
        name = arena_printf(arena, "%.*s%.*s", SPAN_ARGS(provider), SPAN_ARGS(gone->instead));
        gone = retired(snap, name, arena);
    }
    return !gone && snapshot_resolve(snap, name, arena, &one, 1) ? name : SPAN_NONE;
}

static bool is_retired(const struct retired *gone, struct span name, struct span param,
                       struct arena *arena, struct api_error *error) {
    struct buf text = { 0 };
    buf_printf(&text, "The model '%.*s' was retired", SPAN_ARGS(utf8_cut(name, SHOWN_MAX)));
    if (gone->since.at)
        buf_printf(&text, " on %.*s", SPAN_ARGS(gone->since));
    if (gone->instead.at)
        buf_printf(&text, "; %.*s replaces it", SPAN_ARGS(gone->instead));
    buf_add_char(&text, '.');
    *error = api_error(ERROR_MODEL_NOT_FOUND, arena_copy(arena, buf_span(&text)));
    error->param = param;
    buf_deinit(&text);
    return false;
}

/* --- names --- */

bool reach_name(const struct snapshot *snap, struct span name, struct span param,
                struct arena *arena, struct api_error *error) {
    const struct target *one;
    const struct retired *gone = retired(snap, name, arena);
    if (gone)
        return is_retired(gone, name, param, arena, error);
    if (is_auto(name) || snapshot_chain(snap, name) || snapshot_resolve(snap, name, arena, &one, 1))
        return true;
    struct span near[NEAR];
    size_t n = snapshot_near(snap, name, near, NEAR);
    struct buf list = { 0 };
    for (size_t i = 0; i < n; i++)
        buf_printf(&list, "%s%.*s", i ? ", " : " Near names: ", SPAN_ARGS(near[i]));
    if (n == 0)
        buf_add(&list, SPAN(" GET /v1/models lists those that do."));
    *error = api_error(ERROR_MODEL_NOT_FOUND,
                       arena_printf(arena, "The model '%.*s' does not exist here.%.*s",
                                    SPAN_ARGS(utf8_cut(name, SHOWN_MAX)), (int)list.len,
                                    list.at ? list.at : ""));
    error->param = param;
    buf_deinit(&list);
    return false;
}

/* Puts a successor in the place of a retired name, if that is wished and there is one. */
static void replace(const struct snapshot *snap, struct facts *facts, struct span *name,
                    struct arena *arena) {
    if (!snap->config.reroute_retired || !retired(snap, *name, arena))
        return;
    struct span instead = successor(snap, *name, arena);
    if (!instead.at)
        return;
    if (!facts->replaced.name.at)
        facts->replaced = (struct pair){ *name, instead };
    *name = instead;
}

static void replace_retired(const struct snapshot *snap, struct facts *facts, struct arena *arena) {
    struct span *models = arena_new_array(arena, struct span, facts->n_models);
    for (size_t i = 0; i < facts->n_models; i++) {
        models[i] = facts->models[i];
        replace(snap, facts, &models[i], arena);
    }
    facts->models = models;
    replace(snap, facts, &facts->model, arena);
}

/* Targets without repeats, in order. */
struct list {
    const struct target *at[NAMES_MAX];
    size_t n;
};

static void add_name(struct list *list, const struct snapshot *snap, struct span name,
                     struct arena *arena) {
    const struct target *found[NAMES_MAX];
    size_t n = is_auto(name) ? 0 : snapshot_resolve(snap, name, arena, found, NAMES_MAX);
    for (size_t i = 0; i < n && i < NAMES_MAX && list->n < NAMES_MAX; i++) {
        bool there = false;
        for (size_t j = 0; j < list->n; j++)
            there |= span_eq(list->at[j]->id, found[i]->id);
        if (!there)
            list->at[list->n++] = found[i];
    }
}

static void add_with_chain(struct list *list, const struct snapshot *snap, struct span name,
                           struct arena *arena) {
    add_name(list, snap, name, arena);
    const struct named_chain *chain = snapshot_chain(snap, name);
    for (size_t i = 0; chain && i < chain->n_targets; i++)
        add_name(list, snap, chain->targets[i], arena);
}

/* --- what a key may use --- */

static bool names_target(const struct snapshot *snap, struct span name, const struct target *t,
                         struct arena *arena) {
    const struct span every = SPAN("/*");
    const struct target *found[NAMES_MAX];
    if (span_eq(name, t->id) || span_eq(name, t->model))
        return true;
    if (name.len > every.len && span_eq(span_sub(name, name.len - every.len, name.len), every))
        return span_eq(span_sub(name, 0, name.len - every.len), t->provider->name);
    size_t n = snapshot_resolve(snap, name, arena, found, NAMES_MAX);
    for (size_t i = 0; i < n && i < NAMES_MAX; i++)
        if (found[i] == t)
            return true;
    return false;
}

bool reach_may_use(const struct snapshot *snap, const struct key *key, const struct target *t,
                   struct arena *arena) {
    if (!key || !key->n_models)
        return true;
    for (size_t i = 0; i < key->n_models; i++)
        if (names_target(snap, key->models[i], t, arena))
            return true;
    return false;
}

/* Whether it may use anything of what the name means. */
static bool may_name(const struct snapshot *snap, const struct facts *facts, struct span name,
                     struct span param, struct arena *arena, struct api_error *error) {
    struct list list = { .n = 0 };
    if (!facts->key || !facts->key->n_models || is_auto(name))
        return true;
    add_with_chain(&list, snap, name, arena);
    for (size_t i = 0; i < list.n; i++)
        if (reach_may_use(snap, facts->key, list.at[i], arena))
            return true;
    return not_allowed(param,
                       arena_printf(arena, "This key may not use the model '%.*s'.",
                                    SPAN_ARGS(utf8_cut(name, SHOWN_MAX))),
                       error);
}

/* --- who can do it --- */

static bool any_serves(const struct list *list, uint32_t uses) {
    for (size_t i = 0; i < list->n; i++)
        if (serves(list->at[i], uses))
            return true;
    return false;
}

/* " Models that embed here: a, b." */
static struct span embedders(const struct snapshot *snap, struct arena *arena) {
    struct buf names = { 0 };
    unsigned shown = 0;
    for (size_t i = 0; i < snap->n_targets && shown < EMBEDDERS; i++)
        if (serves(&snap->targets[i], ABILITY_EMBEDDINGS))
            buf_printf(&names, "%s%.*s", shown++ ? ", " : " Models that embed here: ",
                       SPAN_ARGS(snap->targets[i].id));
    buf_add(&names, shown ? SPAN(".") : SPAN(" No model here does."));
    struct span text = arena_copy(arena, buf_span(&names));
    buf_deinit(&names);
    return text;
}

static bool can_not(struct span name, struct span param, const char *what, struct span more,
                    struct arena *arena, struct api_error *error) {
    *error = api_error(ERROR_INVALID_REQUEST,
                       arena_printf(arena, "The model '%.*s' %s.%.*s",
                                    SPAN_ARGS(utf8_cut(name, SHOWN_MAX)), what, SPAN_ARGS(more)));
    error->param = param;
    return false;
}

/* Whether any target of a name is of the kind the endpoint needs. */
static bool name_serves(const struct snapshot *snap, const struct facts *facts, struct span name,
                        struct span param, struct arena *arena, struct api_error *error) {
    bool embeds = facts->uses & ABILITY_EMBEDDINGS;
    struct list list = { .n = 0 };
    if (is_auto(name)) {
        if (!embeds)
            return true;
        *error = api_error(ERROR_INVALID_REQUEST,
                           arena_printf(arena, "Embeddings need a model by name.%.*s",
                                        SPAN_ARGS(embedders(snap, arena))));
        error->param = param;
        return false;
    }
    add_with_chain(&list, snap, name, arena);
    if (!list.n || any_serves(&list, facts->uses))
        return true;
    return embeds ? can_not(name, param, "does not embed", embedders(snap, arena), arena, error)
                  : can_not(name, param, "only embeds", SPAN(""), arena, error);
}

bool reach_names(const struct snapshot *snap, struct facts *facts, struct arena *arena,
                 struct api_error *error) {
    replace_retired(snap, facts, arena);
    for (size_t i = 0; i < facts->n_models; i++)
        if (!reach_name(snap, facts->models[i], SPAN("models"), arena, error) ||
            !may_name(snap, facts, facts->models[i], SPAN("models"), arena, error) ||
            !name_serves(snap, facts, facts->models[i], SPAN("models"), arena, error))
            return false;
    return reach_name(snap, facts->model, SPAN("model"), arena, error) &&
           may_name(snap, facts, facts->model, SPAN("model"), arena, error) &&
           (facts->n_models || name_serves(snap, facts, facts->model, SPAN("model"), arena, error));
}

static void add_requested(struct list *list, const struct snapshot *snap, const struct facts *facts,
                          struct arena *arena, bool with_chains) {
    void (*add)(struct list *, const struct snapshot *, struct span, struct arena *) =
        with_chains ? add_with_chain : add_name;
    for (size_t i = 0; i < facts->n_models; i++)
        add(list, snap, facts->models[i], arena);
    if (!facts->n_models)
        add(list, snap, facts->model, arena);
}

static int64_t price_order(const struct target *t) {
    if (t->price.input == PRICE_UNKNOWN || t->price.output == PRICE_UNKNOWN)
        return INT64_MAX;
    return t->price.input + t->price.output;
}

/* The cheapest targets with the abilities the request uses and room for its prompt. */
static void add_cheapest(struct list *list, const struct snapshot *snap,
                         const struct facts *facts) {
    for (unsigned round = 0; round < FALLBACK_STEPS; round++) {
        const struct target *best = NULL;
        for (size_t i = 0; i < snap->n_targets; i++) {
            const struct target *t = &snap->targets[i];
            bool there = false;
            for (size_t j = 0; j < list->n; j++)
                there |= list->at[j] == t;
            if (there || !serves(t, facts->uses) ||
                (facts->uses & ~t->abilities & ~(uint32_t)ABILITY_CHAT) ||
                (t->context && t->context < facts->input_tokens))
                continue;
            if (!best || price_order(t) < price_order(best))
                best = t;
        }
        if (!best || list->n == NAMES_MAX)
            return;
        list->at[list->n++] = best;
    }
}

/* Leaves out whoever can not do at all what the endpoint is for. */
static void keep_serving(struct list *list, uint32_t uses) {
    size_t kept = 0;
    for (size_t i = 0; i < list->n; i++)
        if (serves(list->at[i], uses))
            list->at[kept++] = list->at[i];
    list->n = kept;
}

static void make_chain(const struct list *list, struct arena *arena, struct chain *chain) {
    chain->steps = arena_new_array(arena, struct step, list->n);
    chain->n_steps = list->n;
    for (size_t i = 0; i < list->n; i++)
        chain->steps[i] = reach_step(list->at[i]);
}

void reach_fallback(const struct snapshot *snap, const struct facts *facts, struct arena *arena,
                    struct chain *chain) {
    struct list list = { .n = 0 };
    for (size_t i = 0; i < snap->config.n_fallback; i++)
        add_with_chain(&list, snap, snap->config.fallback[i], arena);
    keep_serving(&list, facts->uses);
    if (list.n == 0)
        add_requested(&list, snap, facts, arena, true);
    keep_serving(&list, facts->uses);
    if (list.n == 0)
        add_cheapest(&list, snap, facts);
    *chain = reach_chain();
    make_chain(&list, arena, chain);
}

/* What a strict request names; empty: it keeps to nothing. */
static void list_named(struct list *named, const struct snapshot *snap, const struct facts *facts,
                       struct arena *arena) {
    if (!facts->strict)
        return;
    add_requested(named, snap, facts, arena, false);
    if (named->n == 0) /* a configured chain may be all there is of a name */
        add_requested(named, snap, facts, arena, true);
    keep_serving(named, facts->uses);
}

/* What a key that is kept to some models may use, in the order it lists them. */
static void list_usable(struct list *list, const struct snapshot *snap, const struct facts *facts,
                        struct arena *arena) {
    for (size_t i = 0; facts->key && i < facts->key->n_models; i++)
        add_name(list, snap, facts->key->models[i], arena);
}

static bool has(const struct list *list, const struct target *target) {
    for (size_t i = 0; i < list->n; i++)
        if (span_eq(list->at[i]->id, target->id))
            return true;
    return false;
}

/* Keeps the steps that can serve, that who asks may use and that, where anything is named, are of
 * it. */
static void keep_allowed(const struct list *named, const struct snapshot *snap,
                         const struct facts *facts, struct arena *arena, struct chain *chain) {
    size_t kept = 0;
    for (size_t i = 0; i < chain->n_steps; i++) {
        const struct target *t = chain->steps[i].target;
        if (serves(t, facts->uses) && reach_may_use(snap, facts->key, t, arena) &&
            (!named->n || has(named, t)))
            chain->steps[kept++] = chain->steps[i];
    }
    chain->n_steps = kept;
}

void reach_enforce(const struct snapshot *snap, const struct facts *facts, struct arena *arena,
                   struct chain *chain) {
    struct list named = { .n = 0 };
    if (!chain->n_steps)
        return;
    list_named(&named, snap, facts, arena);
    keep_allowed(&named, snap, facts, arena, chain);
    if (chain->n_steps)
        return;
    if (!named.n)
        list_usable(&named, snap, facts, arena);
    make_chain(&named, arena, chain);
    keep_allowed(&named, snap, facts, arena, chain);
}

void reach_filter(const struct snapshot *snap, const struct facts *facts, struct arena *arena,
                  struct chain *chain) {
    struct list named = { .n = 0 };
    list_named(&named, snap, facts, arena);
    keep_allowed(&named, snap, facts, arena, chain);
}
