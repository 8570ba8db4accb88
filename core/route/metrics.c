#include "route/metrics.h"

#include <stdio.h>
#include <stdlib.h>

enum { MANY = 1024, SOME = 256, FEW = 32, NAME_MAX_BYTES = 1024 };

/* --- how things are spread ---------------------------------------------------------------------
 */

static const double durations[METRICS_DURATIONS] = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                     1,     2.5,  5,     10,   30,  60,   120 };
static const double overheads[METRICS_OVERHEADS] = { 0.00005, 0.0001, 0.00025, 0.0005,
                                                     0.001,   0.0025, 0.005,   0.01,
                                                     0.025,   0.05,   0.1,     0.25 };
static const double operations[METRICS_OPERATIONS] = {
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92
};
static const double sizes[METRICS_SIZES] = { 1,       4,       16,       64,      256,
                                             1024,    4096,    16384,    65536,   262144,
                                             1048576, 4194304, 16777216, 67108864 };

const struct metrics_bounds metrics_durations = { durations, METRICS_DURATIONS, 1e-6 };
const struct metrics_bounds metrics_overheads = { overheads, METRICS_OVERHEADS, 1e-6 };
const struct metrics_bounds metrics_operations = { operations, METRICS_OPERATIONS, 1e-6 };
const struct metrics_bounds metrics_sizes = { sizes, METRICS_SIZES, 1 };

/* What is not known is not counted. */
static void spread(struct tally_row *row, size_t at, const struct metrics_bounds *b,
                   int64_t value) {
    size_t i = 0;
    if (value < 0)
        return;
    while (i < b->n && (double)value * b->unit > b->at[i])
        i++;
    tally_add(row, at + i, 1);
    tally_add(row, at + b->n + 1, (uint64_t)value);
}

/* --- names ------------------------------------------------------------------------------------ */

/* A name of several parts, as it is looked up. */
struct name {
    char at[NAME_MAX_BYTES];
    size_t len;
};

static void add_part(struct name *name, struct span part, bool first) {
    size_t room = sizeof name->at - name->len - 1;
    if (!first)
        name->at[name->len++] = '\0';
    part = span_sub(part, 0, room);
    if (part.len)
        memcpy(name->at + name->len, part.at, part.len);
    name->len += part.len;
}

static struct span name_of(struct name *name, const struct span *parts, size_t n) {
    name->len = 0;
    for (size_t i = 0; i < n; i++)
        add_part(name, parts[i], i == 0);
    return (struct span){ name->at, name->len };
}

struct span metrics_part(struct span *name) {
    size_t len = span_find(*name, '\0');
    struct span part = span_sub(*name, 0, len);
    *name = span_sub(*name, len + 1, name->len);
    return part;
}

/* The row of what has this name, or of the rest of its provider's, where the catalogue has no such
 * target: clients may name any. */
static struct tally_row *target_row(struct metrics *m, const struct snapshot *snap,
                                    struct span target) {
    struct tally_row *row = tally_find(m->targets, target);
    char other[128];
    if (row)
        return row;
    if (!snapshot_target(snap, target)) {
        snprintf(other, sizeof other, "%.*s/other", (int)span_find(target, '/'), target.at);
        target = span_of(other);
    }
    return tally_row(m->targets, target);
}

/* "tier" of "tier@3f9c2a1b": versions come and go. */
static struct span policy_name(struct span policy) {
    return span_sub(policy, 0, span_find(policy, '@'));
}

static struct span operation_of(struct span endpoint) {
    if (span_eq(endpoint, SPAN("/v1/embeddings")))
        return SPAN("embeddings");
    return span_eq(endpoint, SPAN("/v1/completions")) ? SPAN("text_completion") : SPAN("chat");
}

/* --- whose fault it was ----------------------------------------------------------------------- */

static const struct {
    const char *code, *type;
} error_types[] = {
    { "invalid_request", "client_invalid_request" },
    { "context_length_exceeded", "client_context_length_exceeded" },
    { "content_policy_violation", "client_content_policy_violation" },
    { "idempotency_mismatch", "client_idempotency_mismatch" },
    { "conflict", "client_conflict" },
    { "invalid_api_key", "client_invalid_api_key" },
    { "cost_cap_reached", "client_cost_cap_reached" },
    { "permission_denied", "client_permission_denied" },
    { "policy_refused", "policy_refused" },
    { "model_not_found", "client_model_not_found" },
    { "not_found", "client_not_found" },
    { "method_not_allowed", "client_method_not_allowed" },
    { "timeout", "client_timeout" },
    { "request_too_large", "client_request_too_large" },
    { "unsupported_encoding", "client_unsupported_encoding" },
    { "rate_limit_exceeded", "client_rate_limit_exceeded" },
    { "queue_full", "gateway_queue_full" },
    { "internal", "gateway_internal" },
    { "fallbacks_exhausted", "upstream_fallbacks_exhausted" },
    { "no_eligible_target", "policy_no_eligible_target" },
    { "overloaded", "gateway_overloaded" },
    { "deadline_exceeded", "upstream_deadline_exceeded" },
    { "upstream_stream_interrupted", "upstream_stream_interrupted" },
};

struct span metrics_error_type(const struct entry *e) {
    if (e->outcome == ENTRY_ANSWERED)
        return SPAN("");
    if (e->outcome == ENTRY_CANCELLED)
        return SPAN("client_cancelled");
    for (size_t i = 0; i < sizeof error_types / sizeof *error_types; i++)
        if (span_eq(e->error, span_of(error_types[i].code)))
            return span_of(error_types[i].type);
    /* A code of somebody else's: a policy that refused, a provider that was passed on. */
    if (e->outcome == ENTRY_REFUSED && e->policy.len)
        return SPAN("policy_refused");
    return e->n_attempts ? SPAN("upstream_refused") : SPAN("other");
}

/* --- counting --------------------------------------------------------------------------------- */

static struct span or_other(struct span s) {
    return s.len ? s : SPAN("other");
}

/* A client gets three digits or nothing. */
static struct span write_status(int status, char out[3]) {
    out[0] = (char)('0' + status / 100 % 10);
    out[1] = (char)('0' + status / 10 % 10);
    out[2] = (char)('0' + status % 10);
    return status ? (struct span){ out, 3 } : SPAN("0");
}

static void count_request(struct metrics *m, const struct entry *e) {
    struct name name;
    char status[3];
    const struct span parts[] = { or_other(e->endpoint), e->project,
                                  span_of(entry_outcome_name(e->outcome)),
                                  write_status(e->status, status), metrics_error_type(e) };
    tally_add(tally_row(m->requests, name_of(&name, parts, 5)), 0, 1);
}

/* What none of the attempts and no queue accounts for: attempts may overlap, and come in the order
 * they began in. */
static int64_t overhead_of(const struct entry *e) {
    int64_t upstream = 0;
    uint64_t until = 0;
    if (e->total_us < 0)
        return -1;
    for (size_t i = 0; i < e->n_attempts; i++) {
        const struct entry_attempt *a = &e->attempts[i];
        uint64_t from = a->began_us > until ? a->began_us : until;
        uint64_t to = a->total_us < 0 ? from : a->began_us + (uint64_t)a->total_us;
        if (to > from)
            upstream += (int64_t)(to - from), until = to;
    }
    int64_t rest = e->total_us - upstream - (e->queue_us > 0 ? e->queue_us : 0);
    return rest > 0 ? rest : 0;
}

static void count_times(struct metrics *m, const struct entry *e) {
    struct name name;
    const struct span parts[] = { or_other(e->endpoint), e->stream ? SPAN("true") : SPAN("false") };
    struct tally_row *row = tally_row(m->endpoints, name_of(&name, parts, 2));
    spread(row, METRICS_TOTAL, &metrics_durations, e->total_us);
    spread(row, METRICS_FIRST, &metrics_durations, e->first_us);
    spread(row, METRICS_QUEUE, &metrics_durations, e->queue_us);
    spread(row, METRICS_POLICY, &metrics_overheads, e->policy_us);
    spread(row, METRICS_OVERHEAD, &metrics_overheads, overhead_of(e));
}

static void add_known(struct tally_row *row, size_t at, int64_t n) {
    if (n > 0)
        tally_add(row, at, (uint64_t)n);
}

static void add_tokens(struct tally_row *row, const struct entry_tokens *t) {
    add_known(row, METRICS_BY_TOKENS + METRICS_INPUT, t->input);
    add_known(row, METRICS_BY_TOKENS + METRICS_CACHED, t->cached);
    add_known(row, METRICS_BY_TOKENS + METRICS_WRITTEN, t->written);
    add_known(row, METRICS_BY_TOKENS + METRICS_OUTPUT, t->output);
    add_known(row, METRICS_BY_TOKENS + METRICS_REASONING, t->reasoning);
}

static void count_genai(struct metrics *m, const struct tally_row *target, struct span operation,
                        const struct entry_attempt *a) {
    struct name name;
    const struct span parts[] = { target->name, operation };
    struct tally_row *row = tally_row(m->genai, name_of(&name, parts, 2));
    spread(row, METRICS_OPERATION, &metrics_operations, a->total_us);
    spread(row, METRICS_SIZE_INPUT, &metrics_sizes, a->tokens.input);
    spread(row, METRICS_SIZE_OUTPUT, &metrics_sizes, a->tokens.output);
}

static struct tally_row *count_attempt(struct metrics *m, const struct snapshot *snap,
                                       const struct entry_attempt *a) {
    struct tally_row *row = target_row(m, snap, a->target);
    tally_add(row, METRICS_BY_CLASS + a->failure, 1);
    add_tokens(row, &a->tokens);
    add_known(row, METRICS_COST, a->cost);
    if (a->cost < 0 && a->most != 0)
        tally_add(row, METRICS_UNPRICED, 1);
    if (a->estimated)
        tally_add(row, METRICS_ESTIMATED, 1);
    if (a->hedge)
        tally_add(row, METRICS_HEDGES, 1);
    return row;
}

/* One attempt after another at the same target is a retry, at another one a fallback; a hedge is
 * neither. */
static void count_move(struct metrics *m, const struct entry_attempt *before,
                       const struct tally_row *from, struct tally_row *to, bool hedge) {
    struct name name;
    const struct span parts[] = { from->name, to->name, span_of(failure_name(before->failure)) };
    if (hedge)
        return;
    if (from == to)
        tally_add(to, METRICS_RETRIES, 1);
    else
        tally_add(tally_row(m->fallbacks, name_of(&name, parts, 3)), 0, 1);
}

static void count_attempts(struct metrics *m, const struct snapshot *snap, const struct entry *e) {
    const struct tally_row *before = NULL;
    struct span operation = operation_of(e->endpoint);
    for (size_t i = 0; i < e->n_attempts; i++) {
        const struct entry_attempt *a = &e->attempts[i];
        struct tally_row *row = count_attempt(m, snap, a);
        count_genai(m, row, operation, a);
        if (before)
            count_move(m, a - 1, before, row, a->hedge);
        before = row;
    }
}

static void count_project(struct metrics *m, const struct entry *e) {
    const struct entry_sums sums = entry_sum(e);
    struct tally_row *row = tally_row(m->projects, e->project);
    add_known(row, METRICS_PROJECT_COST, sums.cost);
    add_known(row, METRICS_PROJECT_BILLED, sums.billed);
    add_known(row, METRICS_PROJECT_FREE, e->free);
    add_known(row, METRICS_PROJECT_INPUT, sums.tokens.input);
    add_known(row, METRICS_PROJECT_OUTPUT, sums.tokens.output);
}

void metrics_count(struct metrics *m, const struct snapshot *snap, const struct entry *e) {
    count_request(m, e);
    count_times(m, e);
    count_attempts(m, snap, e);
    if (e->project.len)
        count_project(m, e);
    if (e->policy.len)
        tally_add(tally_row(m->policies, policy_name(e->policy)), 0, 1);
}

/* --- all of it -------------------------------------------------------------------------------- */

struct metrics *metrics_new(void) {
    struct metrics *m = calloc(1, sizeof *m);
    if (!m)
        abort();
    *m = (struct metrics){
        .requests = tally_new(MANY, 1,
                              SPAN("other\0other\0other\0"
                                   "0\0other")),
        .endpoints = tally_new(FEW, METRICS_ENDPOINT_COUNTS, SPAN("other\0false")),
        .targets = tally_new(MANY, METRICS_TARGET_COUNTS, SPAN("other/other")),
        .genai = tally_new(MANY, METRICS_GENAI_COUNTS, SPAN("other/other\0chat")),
        .fallbacks = tally_new(MANY, 1, SPAN("other/other\0other/other\0other")),
        .projects = tally_new(SOME, METRICS_PROJECT_COUNTS, SPAN("other")),
        .policies = tally_new(SOME, 1, SPAN("other")),
    };
    return m;
}

void metrics_free(struct metrics *m) {
    if (!m)
        return;
    tally_free(m->requests);
    tally_free(m->endpoints);
    tally_free(m->targets);
    tally_free(m->genai);
    tally_free(m->fallbacks);
    tally_free(m->projects);
    tally_free(m->policies);
    free(m);
}

void metrics_sum(struct metrics *into, const struct metrics *from) {
    tally_sum(into->requests, from->requests);
    tally_sum(into->endpoints, from->endpoints);
    tally_sum(into->targets, from->targets);
    tally_sum(into->genai, from->genai);
    tally_sum(into->fallbacks, from->fallbacks);
    tally_sum(into->projects, from->projects);
    tally_sum(into->policies, from->policies);
}
