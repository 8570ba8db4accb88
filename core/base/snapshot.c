#include "base/snapshot.h"

#define XXH_INLINE_ALL
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <xxhash.h>

/* What a name stands for; one table holds all of them. */
enum kind {
    KIND_EMPTY,
    KIND_PROVIDER,
    KIND_POLICY,
    KIND_CHAIN,
    KIND_ALIAS,
    KIND_TARGET,
    KIND_MODEL,
    KIND_ASSIGNED /* of the first scope; those of the others follow */
};

struct slot {
    enum kind kind;
    uint32_t index; /* in the snapshot's list of that kind; of a model: its first target */
    struct span name;
};

/* Open addressing, at most half full. */
struct snapshot_index {
    struct slot *slots;
    size_t mask;
    uint32_t *next_of_model; /* by target: the next one of the same model, or NONE */
    uint32_t *last_of_model; /* by a model's first target: the last one so far, while building */
};
#define NONE UINT32_MAX

enum { ALIAS_DEPTH = 4, AD_HOC_ID_MAX = 256 };

struct snapshot *snapshot_new(void) {
    struct snapshot *snap = calloc(1, sizeof *snap);
    if (!snap)
        abort();
    arena_init(&snap->arena, 16384);
    atomic_init(&snap->refs, 1);
    return snap;
}

struct snapshot *snapshot_ref(struct snapshot *snap) {
    atomic_fetch_add_explicit(&snap->refs, 1, memory_order_relaxed);
    return snap;
}

void snapshot_unref(struct snapshot *snap) {
    if (!snap || atomic_fetch_sub_explicit(&snap->refs, 1, memory_order_acq_rel) != 1)
        return;
    arena_deinit(&snap->arena);
    free(snap);
}

/* The slot of a name, or the empty one where it would go. */
static struct slot *find(const struct snapshot_index *index, enum kind kind, struct span name) {
    size_t at = XXH3_64bits_withSeed(name.at, name.len, kind) & index->mask;
    struct slot *s = &index->slots[at];
    while (s->kind != KIND_EMPTY && (s->kind != kind || !span_eq(s->name, name))) {
        at = (at + 1) & index->mask;
        s = &index->slots[at];
    }
    return s;
}

/* Where two things have one name, the first one keeps it. */
static struct slot *add(struct snapshot_index *index, enum kind kind, struct span name, size_t i) {
    struct slot *s = find(index, kind, name);
    if (s->kind == KIND_EMPTY)
        *s = (struct slot){ kind, (uint32_t)i, name };
    return s;
}

static void add_target(struct snapshot *snap, size_t i) {
    struct snapshot_index *index = snap->index;
    add(index, KIND_TARGET, snap->targets[i].id, i);
    uint32_t first = add(index, KIND_MODEL, snap->targets[i].model, i)->index;
    index->next_of_model[i] = NONE;
    if (first != i)
        index->next_of_model[index->last_of_model[first]] = (uint32_t)i;
    index->last_of_model[first] = (uint32_t)i;
}

static size_t count_names(const struct snapshot *snap) {
    return snap->n_providers + snap->n_policies + snap->n_chains + snap->n_aliases +
           2 * snap->n_targets + snap->config.n_assignments;
}

void snapshot_seal(struct snapshot *snap) {
    assert(!snap->index);
    struct snapshot_index *index = arena_new(&snap->arena, struct snapshot_index);
    size_t size = 16;
    while (size < 2 * count_names(snap))
        size *= 2;
    index->slots = arena_new_array(&snap->arena, struct slot, size);
    index->mask = size - 1;
    index->next_of_model = arena_new_array(&snap->arena, uint32_t, snap->n_targets);
    index->last_of_model = arena_new_array(&snap->arena, uint32_t, snap->n_targets);
    snap->index = index;
    for (size_t i = 0; i < snap->n_providers; i++)
        add(index, KIND_PROVIDER, snap->providers[i].name, i);
    for (size_t i = 0; i < snap->n_policies; i++)
        add(index, KIND_POLICY, snap->policies[i].name, i);
    for (size_t i = 0; i < snap->n_chains; i++)
        add(index, KIND_CHAIN, snap->chains[i].name, i);
    for (size_t i = 0; i < snap->n_aliases; i++)
        add(index, KIND_ALIAS, snap->aliases[i].name, i);
    for (size_t i = 0; i < snap->n_targets; i++)
        add_target(snap, i);
    for (size_t i = 0; i < snap->config.n_assignments; i++) {
        const struct assignment *a = &snap->config.assignments[i];
        add(index, KIND_ASSIGNED + a->scope, a->name, i);
    }
}

/* The place of a name in its list, or NONE. */
static uint32_t look_up(const struct snapshot *snap, enum kind kind, struct span name) {
    assert(snap->index);
    const struct slot *s = find(snap->index, kind, name);
    return s->kind == KIND_EMPTY ? NONE : s->index;
}

const struct provider *snapshot_provider(const struct snapshot *snap, struct span name) {
    uint32_t i = look_up(snap, KIND_PROVIDER, name);
    return i == NONE ? NULL : &snap->providers[i];
}

const struct policy_source *snapshot_policy(const struct snapshot *snap, struct span name) {
    uint32_t i = look_up(snap, KIND_POLICY, name);
    return i == NONE ? NULL : &snap->policies[i];
}

const struct retired *snapshot_retired(const struct snapshot *snap, struct span name) {
    for (size_t i = 0; i < snap->n_retired; i++)
        if (span_eq(snap->retired[i].model, name))
            return &snap->retired[i];
    return NULL;
}

/* --- assignments --- */

static const char *const scopes[ASSIGNED_SCOPES] = {
    [ASSIGNED_KEY] = "key",           [ASSIGNED_PROJECT] = "project", [ASSIGNED_TIER] = "tier",
    [ASSIGNED_ENDPOINT] = "endpoint", [ASSIGNED_ACCOUNT] = "account",
};

const char *snapshot_scope_name(enum assignment_scope scope) {
    return scopes[scope];
}

enum assignment_scope snapshot_scope_of(struct span name) {
    enum assignment_scope scope = 0;
    while (scope < ASSIGNED_SCOPES && !span_eq(name, span_of(scopes[scope])))
        scope++;
    return scope;
}

const struct assignment *snapshot_assignment(const struct snapshot *snap,
                                             enum assignment_scope scope, struct span name) {
    uint32_t i = look_up(snap, KIND_ASSIGNED + scope, name);
    return i == NONE ? NULL : &snap->config.assignments[i];
}

const struct named_chain *snapshot_chain(const struct snapshot *snap, struct span name) {
    uint32_t i = look_up(snap, KIND_CHAIN, name);
    return i == NONE ? NULL : &snap->chains[i];
}

const struct target *snapshot_target(const struct snapshot *snap, struct span id) {
    uint32_t i = look_up(snap, KIND_TARGET, id);
    return i == NONE ? NULL : &snap->targets[i];
}

/* --- resolving names --- */

/* Targets found so far: `n` of them, of which the first `max` are kept. */
struct found {
    const struct target **out;
    size_t max, n;
};

static void found_add(struct found *f, const struct target *t) {
    for (size_t i = 0; i < f->n && i < f->max; i++)
        if (f->out[i] == t)
            return;
    if (f->n < f->max)
        f->out[f->n] = t;
    f->n++;
}

/* A name of the client's goes into headers and logs: printable, and no longer than names are. */
static bool is_sane_id(struct span id) {
    if (id.len > AD_HOC_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if ((unsigned char)id.at[i] <= 0x20 || id.at[i] == 0x7f)
            return false;
    return true;
}

/* A model nobody wrote down, at a provider somebody did. Nothing is known against it, so it may do
 * everything. */
static struct target *make_ad_hoc(const struct provider *provider, struct span id,
                                  struct arena *arena) {
    struct target *t = arena_new(arena, struct target);
    t->index = TARGET_AD_HOC;
    t->id = arena_copy(arena, id);
    t->model = t->upstream = span_sub(t->id, provider->name.len + 1, id.len);
    t->provider = provider;
    t->dialect = provider->dialect;
    t->speaks = provider->speaks;
    t->quirks = provider->quirks;
    t->price = (struct price){ PRICE_UNKNOWN, PRICE_UNKNOWN, PRICE_UNKNOWN, PRICE_UNKNOWN };
    t->abilities = UINT32_MAX;
    t->bytes_a_token = 4;
    t->quality = NAN;
    t->weight = 1;
    return t;
}

static void add_all_of(const struct snapshot *snap, const struct provider *provider,
                       struct found *f) {
    for (size_t i = 0; i < snap->n_targets; i++)
        if (snap->targets[i].provider == provider)
            found_add(f, &snap->targets[i]);
}

static void resolve(const struct snapshot *snap, struct span name, struct arena *arena,
                    struct found *f, int depth);

static bool resolve_alias(const struct snapshot *snap, struct span name, struct arena *arena,
                          struct found *f, int depth) {
    uint32_t i = look_up(snap, KIND_ALIAS, name);
    if (i == NONE || depth == ALIAS_DEPTH)
        return false;
    const struct named_chain *alias = &snap->aliases[i];
    for (size_t k = 0; k < alias->n_targets; k++)
        resolve(snap, alias->targets[k], arena, f, depth + 1);
    return true;
}

/* The provider a name begins with, or NULL; *rest is what follows its slash. */
static const struct provider *leading_provider(const struct snapshot *snap, struct span name,
                                               struct span *rest) {
    size_t slash = span_find(name, '/');
    if (slash == name.len)
        return NULL;
    *rest = span_sub(name, slash + 1, name.len);
    return snapshot_provider(snap, span_sub(name, 0, slash));
}

static void resolve_model(const struct snapshot *snap, struct span name, struct found *f) {
    uint32_t i = look_up(snap, KIND_MODEL, name);
    for (; i != NONE; i = snap->index->next_of_model[i])
        found_add(f, &snap->targets[i]);
}

static void resolve(const struct snapshot *snap, struct span name, struct arena *arena,
                    struct found *f, int depth) {
    struct span rest;
    const struct provider *provider = leading_provider(snap, name, &rest);
    const struct target *t = provider ? snapshot_target(snap, name) : NULL;
    size_t before = f->n;
    if (t)
        found_add(f, t);
    else if (provider && span_eq(rest, SPAN("*")))
        add_all_of(snap, provider, f);
    else if (!provider)
        resolve_model(snap, name, f);
    if (f->n > before || resolve_alias(snap, name, arena, f, depth))
        return;
    if (provider && !t && rest.len && !span_eq(rest, SPAN("*")) && is_sane_id(name))
        found_add(f, make_ad_hoc(provider, name, arena));
}

size_t snapshot_resolve(const struct snapshot *snap, struct span name, struct arena *arena,
                        const struct target **out, size_t max) {
    struct found f = { out, max, 0 };
    resolve(snap, name, arena, &f, 0);
    return f.n;
}

/* --- did you mean --- */

enum { NEAR_MAX = 16, NAME_MAX_LEN = 64 };

/* The best names so far, nearest first. */
struct near {
    struct span wanted; /* in lower case */
    struct span *out;
    unsigned distance[NEAR_MAX];
    size_t n, max;
};

static struct span lower(struct span s, char out[NAME_MAX_LEN]) {
    for (size_t i = 0; i < s.len; i++)
        out[i] = s.at[i] >= 'A' && s.at[i] <= 'Z' ? (char)(s.at[i] + 32) : s.at[i];
    return (struct span){ out, s.len };
}

/* A third of the name may be wrong. A name that is only unfinished is as good as two typing errors
 * at most. */
static unsigned distance_to(const struct near *near, struct span name) {
    char text[NAME_MAX_LEN];
    unsigned allowed = (unsigned)near->wanted.len / 3 > 2 ? (unsigned)near->wanted.len / 3 : 2;
    struct span candidate = lower(name, text);
    if (near->wanted.len >= 3 && span_starts(candidate, near->wanted))
        return name.len - near->wanted.len < 2 ? 1 : 2;
    size_t apart =
        name.len > near->wanted.len ? name.len - near->wanted.len : near->wanted.len - name.len;
    if (apart > allowed)
        return NAME_MAX_LEN;
    unsigned distance = span_distance(near->wanted, candidate);
    return distance <= allowed && distance < near->wanted.len ? distance : NAME_MAX_LEN;
}

static void consider(struct near *near, struct span name) {
    if (name.len == 0 || name.len > NAME_MAX_LEN)
        return;
    unsigned distance = distance_to(near, name);
    if (distance == NAME_MAX_LEN)
        return;
    for (size_t i = 0; i < near->n; i++)
        if (span_eq(near->out[i], name))
            return;
    size_t at = near->n;
    while (at > 0 && near->distance[at - 1] > distance)
        at--;
    if (at == near->max)
        return;
    if (near->n < near->max)
        near->n++;
    for (size_t i = near->n - 1; i > at; i--) {
        near->out[i] = near->out[i - 1];
        near->distance[i] = near->distance[i - 1];
    }
    near->out[at] = name;
    near->distance[at] = distance;
}

size_t snapshot_near(const struct snapshot *snap, struct span name, struct span *out, size_t max) {
    char text[NAME_MAX_LEN];
    if (name.len == 0 || name.len > NAME_MAX_LEN)
        return 0;
    struct near near = { .wanted = lower(name, text), .out = out };
    near.max = max < NEAR_MAX ? max : NEAR_MAX;
    for (size_t i = 0; i < snap->n_chains; i++)
        consider(&near, snap->chains[i].name);
    for (size_t i = 0; i < snap->n_targets; i++)
        consider(&near, snap->targets[i].model);
    for (size_t i = 0; i < snap->n_aliases; i++)
        consider(&near, snap->aliases[i].name);
    for (size_t i = 0; i < snap->n_targets; i++)
        consider(&near, snap->targets[i].id);
    return near.n;
}

bool snapshot_records(const struct snapshot *snap, struct span header) {
    const struct config *config = &snap->config;
    bool named = span_starts(header, SPAN("x-route-")) ||
                 span_starts(header, SPAN("x-claude-code-")) ||
                 span_eq(header, SPAN("session_id")) || span_eq(header, SPAN("session-id")) ||
                 span_eq(header, SPAN("x-session-id"));
    for (size_t i = 0; !named && i < config->n_record_headers; i++)
        named = span_eq(header, config->record_headers[i]);
    return named;
}

struct span snapshot_near_policy(const struct snapshot *snap, struct span name) {
    char text[NAME_MAX_LEN];
    struct span found = SPAN_NONE;
    if (name.len == 0 || name.len > NAME_MAX_LEN)
        return found;
    struct near near = { .wanted = lower(name, text), .out = &found, .max = 1 };
    for (size_t i = 0; i < snap->n_policies; i++)
        consider(&near, snap->policies[i].name);
    return found;
}
