#include "route/shadow.h"

#include "route/engine.h"
#include "route/tokens.h"

#include <pthread.h>
#include <stdlib.h>

/* As many as are kept; the one that was counted longest ago makes room. */
enum { PAIRS_MAX = 64, VERSION_SIZE = 96 };

struct pair_counts {
    char live[VERSION_SIZE], candidate[VERSION_SIZE];
    uint64_t last; /* of struct shadow's `counted` */
    unsigned long long requests, changed, changed_first, failed, stopped, passed_over, compared;
    nanousd cost_live, cost_candidate; /* of those compared */
};

struct shadow {
    pthread_mutex_t lock;
    uint64_t counted;
    struct pair_counts pairs[PAIRS_MAX];
};

struct shadow *shadow_new(void) {
    struct shadow *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void shadow_free(struct shadow *s) {
    pthread_mutex_destroy(&s->lock);
    free(s);
}

const struct shadow_setting *shadow_wanted(const struct snapshot *snap, struct span policy,
                                           struct random *random) {
    for (size_t i = 0; i < snap->config.n_shadows; i++) {
        const struct shadow_setting *setting = &snap->config.shadows[i];
        /* Not by the request's own seed: the policies draw by that. */
        if (span_eq(setting->live, policy))
            return random_unit(random) < setting->share ? setting : NULL;
    }
    return NULL;
}

bool shadow_differs(const struct trace *a, const struct trace *b, bool *first) {
    bool both = a->n_chain && b->n_chain;
    *first = a->refused != b->refused ||
             (both ? !span_eq(a->chain[0]->id, b->chain[0]->id) : a->n_chain != b->n_chain);
    if (*first || a->n_chain != b->n_chain || a->n_steps != b->n_steps)
        return true;
    for (size_t i = 0; i < a->n_chain; i++)
        if (!span_eq(a->chain[i]->id, b->chain[i]->id))
            return true;
    return false;
}

/* What the request is expected to cost at the first target. */
static nanousd expected(const struct epoch *e, const struct facts *facts,
                        const struct trace *decided) {
    if (!decided->n_chain)
        return -1;
    const struct target *t = decided->chain[0];
    const struct health_figure *f = t->index == TARGET_AD_HOC ? NULL : e->figures[t->index];
    struct trace_tokens tokens = { (int64_t)tokens_input(facts, t, f),
                                   (int64_t)facts->output_tokens, -1, -1 };
    return trace_cost(t, tokens, facts->now_ms / 1000);
}

/* Asks the spare. `*result` is what the state says; false when there was nobody to ask. */
static bool ask(struct worker *w, struct epoch *e, struct span policy, const struct facts *facts,
                struct arena *arena, struct decision *decision, enum vm_result *result) {
    const struct policy_source *source = snapshot_policy(e->snap, policy);
    struct policy_state *state = worker_spare(w, e);
    if (!source || !state || engine_quarantined(w->engine, source->version))
        return false;
    *result = policy_decide(state, w->guard, policy, facts, arena, decision);
    if (*result == VM_OK)
        return true;
    struct span why =
        arena_printf(arena, "in the shadow: %s: %s", vm_result_name(*result), policy_error(state));
    engine_policy_failed(w->engine, e->snap, facts, policy, *result, why,
                         "none: it decides in the shadow");
    if (policy_state_dead(state))
        worker_spare_died(w, e);
    return true;
}

void shadow_decide(struct shadow *s, struct worker *w, struct epoch *e,
                   const struct shadow_setting *setting, const struct facts *facts,
                   const struct trace *live, struct arena *arena) {
    const struct policy_source *source = snapshot_policy(e->snap, setting->candidate);
    struct shadow_seen seen = { .live = live->policy,
                                .candidate = source ? source->version : setting->candidate,
                                .how = SHADOW_PASSED_OVER };
    struct decision decision;
    struct trace candidate;
    enum vm_result result = VM_OK;
    trace_init(&candidate, facts->id, 0);
    if (ask(w, e, setting->candidate, facts, arena, &decision, &result))
        seen.how = result == VM_OK                              ? SHADOW_DECIDED
                   : result == VM_TIMEOUT || result == VM_NOMEM ? SHADOW_STOPPED
                                                                : SHADOW_FAILED;
    if (seen.how == SHADOW_DECIDED) {
        trace_decided(&candidate, arena, &decision);
        seen.changed = shadow_differs(live, &candidate, &seen.changed_first);
        seen.cost_live = expected(e, facts, live);
        seen.cost_candidate = expected(e, facts, &candidate);
    }
    shadow_count(s, &seen);
}

/* ---- counts ---------------------------------------------------------------------------------- */

static struct pair_counts *find(struct shadow *s, struct span live, struct span candidate) {
    for (size_t i = 0; i < PAIRS_MAX; i++)
        if (span_eq(span_of(s->pairs[i].live), live) &&
            span_eq(span_of(s->pairs[i].candidate), candidate))
            return &s->pairs[i];
    return NULL;
}

static struct pair_counts *find_or_make(struct shadow *s, struct span live, struct span candidate) {
    struct pair_counts *p = find(s, live, candidate), *oldest = &s->pairs[0];
    if (p)
        return p;
    for (size_t i = 1; i < PAIRS_MAX; i++)
        if (s->pairs[i].last < oldest->last)
            oldest = &s->pairs[i];
    *oldest = (struct pair_counts){ 0 };
    span_copy(live, oldest->live, sizeof oldest->live);
    span_copy(candidate, oldest->candidate, sizeof oldest->candidate);
    return oldest;
}

void shadow_count(struct shadow *s, const struct shadow_seen *seen) {
    pthread_mutex_lock(&s->lock);
    struct pair_counts *p = find_or_make(s, seen->live, seen->candidate);
    p->last = ++s->counted;
    p->requests++;
    p->failed += seen->how == SHADOW_FAILED;
    p->stopped += seen->how == SHADOW_STOPPED;
    p->passed_over += seen->how == SHADOW_PASSED_OVER;
    if (seen->how == SHADOW_DECIDED) {
        p->changed += seen->changed;
        p->changed_first += seen->changed_first;
        if (seen->cost_live >= 0 && seen->cost_candidate >= 0) {
            p->compared++;
            p->cost_live = trace_sum(p->cost_live, seen->cost_live);
            p->cost_candidate = trace_sum(p->cost_candidate, seen->cost_candidate);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

static struct span version_of(const struct snapshot *snap, struct span name) {
    const struct policy_source *source = snapshot_policy(snap, name);
    return source ? source->version : name;
}

static void write_pair(const struct shadow_setting *setting, struct span live,
                       struct span candidate, const struct pair_counts *p, struct buf *out) {
    buf_add(out, SPAN("{\"live\":"));
    buf_add_json(out, live);
    buf_add(out, SPAN(",\"candidate\":"));
    buf_add_json(out, candidate);
    buf_printf(out,
               ",\"share\":%.6g,\"requests\":%llu,\"changed\":%llu,\"changed_first\":%llu,"
               "\"errors\":%llu,\"timeouts\":%llu,\"passed_over\":%llu,\"expected_cost\":{"
               "\"requests\":%llu,\"live_usd\":",
               setting->share, p->requests, p->changed, p->changed_first, p->failed, p->stopped,
               p->passed_over, p->compared);
    trace_write_usd(out, p->cost_live);
    buf_add(out, SPAN(",\"candidate_usd\":"));
    trace_write_usd(out, p->cost_candidate);
    buf_add(out, SPAN("}}"));
}

void shadow_write(struct shadow *s, const struct snapshot *snap, struct buf *out) {
    static const struct pair_counts none;
    buf_add_char(out, '[');
    for (size_t i = 0; i < snap->config.n_shadows; i++) {
        const struct shadow_setting *setting = &snap->config.shadows[i];
        struct span live = version_of(snap, setting->live),
                    candidate = version_of(snap, setting->candidate);
        pthread_mutex_lock(&s->lock);
        const struct pair_counts *found = find(s, live, candidate);
        struct pair_counts counts = found ? *found : none;
        pthread_mutex_unlock(&s->lock);
        if (i)
            buf_add_char(out, ',');
        write_pair(setting, live, candidate, &counts, out);
    }
    buf_add_char(out, ']');
}
