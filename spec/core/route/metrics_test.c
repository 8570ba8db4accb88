/* metrics_test.c - each request is counted once where it belongs, and names stay few. */
#include "route/metrics.h"

#include "support/records.h"
#include "support/unit.h"

#include <stdio.h>
#include <string.h>

static struct snapshot *snap;
static struct metrics *m;
#define AT UINT64_C(1790000000000000)

static const char *const catalogue[] = { "openai/gpt-4o", "anthropic/claude-sonnet-4-6" };

static int begin(void **state) {
    snap = snapshot_new();
    struct provider *provider = arena_new(&snap->arena, struct provider);
    *provider = (struct provider){ .name = SPAN("openai") };
    snap->providers = provider;
    snap->n_providers = 1;
    snap->targets = arena_new_array(&snap->arena, struct target, 2);
    snap->n_targets = 2;
    for (unsigned i = 0; i < 2; i++)
        snap->targets[i] = (struct target){
            .index = i, .id = span_of(catalogue[i]), .model = SPAN("gpt-4o"), .provider = provider
        };
    snapshot_seal(snap);
    m = metrics_new();
    return 0;
}

static int end(void **state) {
    metrics_free(m);
    snapshot_unref(snap);
    return 0;
}

static struct entry_attempt attempt(const char *target, uint64_t from_us, int64_t us,
                                    enum failure failure) {
    return (struct entry_attempt){ .target = span_of(target),
                                   .began_us = AT + from_us,
                                   .failure = failure,
                                   .total_us = us,
                                   .first_us = -1,
                                   .tokens = { -1, -1, -1, -1, -1 } };
}

static struct entry request(const struct entry_attempt *attempts, size_t n) {
    return (struct entry){ .at_us = AT,
                           .project = SPAN("shop"),
                           .endpoint = SPAN("/v1/chat/completions"),
                           .policy = SPAN("tier@3f9c2a1b"),
                           .status = 200,
                           .queue_us = -1,
                           .policy_us = 120,
                           .first_us = 7000,
                           .total_us = 20000,
                           .attempts = attempts,
                           .n_attempts = n };
}

/* Of the row whose parts, joined by a bar, are these; -1: there is none. */
static int64_t count_of(const struct tally *t, const char *name, size_t at) {
    for (size_t i = 0; i < tally_rows(t); i++) {
        const struct tally_row *row = tally_at(t, i);
        char joined[512];
        memcpy(joined, row->name.at, row->name.len);
        joined[row->name.len] = '\0';
        for (size_t j = 0; j < row->name.len; j++)
            if (!joined[j])
                joined[j] = '|';
        if (strcmp(joined, name) == 0)
            return (int64_t)tally_read(row, at);
    }
    return -1;
}

static void a_request_counts_by_what_became_of_it(void **state) {
    struct entry e = request(NULL, 0);
    metrics_count(m, snap, &e);
    metrics_count(m, snap, &e);
    e.outcome = ENTRY_REFUSED;
    e.status = 429;
    e.error = SPAN("rate_limit_exceeded");
    metrics_count(m, snap, &e);
    e = (struct entry){ .outcome = ENTRY_REFUSED,
                        .status = 401,
                        .error = SPAN("invalid_api_key"),
                        .queue_us = -1,
                        .policy_us = -1,
                        .first_us = -1,
                        .total_us = -1 };
    metrics_count(m, snap, &e);
    assert_int_equal(count_of(m->requests, "/v1/chat/completions|shop|answered|200|", 0), 2);
    assert_int_equal(count_of(m->requests,
                              "/v1/chat/completions|shop|refused|429|client_rate_limit_exceeded",
                              0),
                     1);
    assert_int_equal(count_of(m->requests, "other||refused|401|client_invalid_api_key", 0), 1);
    assert_int_equal(tally_rows(m->requests), 3);
    assert_int_equal(count_of(m->policies, "tier", 0), 3);
    assert_int_equal(tally_rows(m->policies), 1);
    assert_int_equal(tally_rows(m->projects), 1);
}

static void times_fall_where_they_belong(void **state) {
    const struct entry_attempt attempts[] = {
        attempt("openai/gpt-4o", 1000, 9000, FAILURE_NONE), /* two that overlap: 1 to 12 ms */
        attempt("anthropic/claude-sonnet-4-6", 4000, 8000, FAILURE_CANCELLED),
    };
    const char *row = "/v1/chat/completions|true";
    struct entry e = request(attempts, 2);
    e.stream = true;
    e.queue_us = 6000;
    metrics_count(m, snap, &e);
    assert_int_equal(count_of(m->endpoints, row, METRICS_TOTAL + 2), 1); /* 20 ms: up to 25 */
    assert_int_equal(count_of(m->endpoints, row, METRICS_TOTAL + METRICS_DURATIONS + 1), 20000);
    assert_int_equal(count_of(m->endpoints, row, METRICS_FIRST + 1), 1);  /* 7 ms: up to 10 */
    assert_int_equal(count_of(m->endpoints, row, METRICS_QUEUE + 1), 1);  /* 6 ms */
    assert_int_equal(count_of(m->endpoints, row, METRICS_POLICY + 2), 1); /* 120 us: up to 250 */
    /* 20 ms, of which 11 were upstream and 6 in the queue. */
    assert_int_equal(count_of(m->endpoints, row, METRICS_OVERHEAD + METRICS_OVERHEADS + 1), 3000);
    e.total_us = 3600000000; /* larger than any bound */
    metrics_count(m, snap, &e);
    assert_int_equal(count_of(m->endpoints, row, METRICS_TOTAL + METRICS_DURATIONS), 1);
    e.total_us = 5000; /* on a bound: of those up to it */
    metrics_count(m, snap, &e);
    assert_int_equal(count_of(m->endpoints, row, METRICS_TOTAL), 1);
}

static void attempts_count_by_target_and_class(void **state) {
    struct entry_attempt attempts[] = {
        attempt("openai/gpt-4o", 0, 1000, FAILURE_RATE_LIMITED),
        attempt("openai/gpt-4o", 1000, 1000, FAILURE_TIMEOUT),
        attempt("anthropic/claude-sonnet-4-6", 2000, 5000, FAILURE_CANCELLED),
        attempt("openai/gpt-4o", 4000, 3000, FAILURE_NONE),
    };
    attempts[0].cost = attempts[0].billed = 0;
    attempts[2].cost = attempts[2].billed = attempts[2].most = -1;
    attempts[3].hedge = true;
    attempts[3].estimated = true;
    attempts[3].cost = 5000;
    attempts[3].billed = 6000;
    attempts[3].tokens = (struct entry_tokens){ 1000, 400, -1, 50, 20 };
    struct entry e = request(attempts, 4);
    metrics_count(m, snap, &e);
    const char *gpt = "openai/gpt-4o", *claude = "anthropic/claude-sonnet-4-6";
    assert_int_equal(count_of(m->targets, gpt, METRICS_BY_CLASS + FAILURE_RATE_LIMITED), 1);
    assert_int_equal(count_of(m->targets, gpt, METRICS_BY_CLASS + FAILURE_TIMEOUT), 1);
    assert_int_equal(count_of(m->targets, gpt, METRICS_BY_CLASS + FAILURE_NONE), 1);
    assert_int_equal(count_of(m->targets, claude, METRICS_BY_CLASS + FAILURE_CANCELLED), 1);
    assert_int_equal(count_of(m->targets, gpt, METRICS_RETRIES), 1);
    assert_int_equal(count_of(m->targets, gpt, METRICS_HEDGES), 1);
    assert_int_equal(count_of(m->targets, gpt, METRICS_ESTIMATED), 1);
    assert_int_equal(count_of(m->targets, gpt, METRICS_COST), 5000);
    assert_int_equal(count_of(m->targets, claude, METRICS_UNPRICED), 1);
    assert_int_equal(count_of(m->targets, gpt, METRICS_UNPRICED), 0);
    assert_int_equal(count_of(m->targets, gpt, METRICS_BY_TOKENS + METRICS_CACHED), 400);
    assert_int_equal(count_of(m->targets, gpt, METRICS_BY_TOKENS + METRICS_REASONING), 20);
    assert_int_equal(tally_rows(m->fallbacks), 1); /* the hedge is none */
    assert_int_equal(count_of(m->fallbacks, "openai/gpt-4o|anthropic/claude-sonnet-4-6|timeout", 0),
                     1);
    assert_int_equal(count_of(m->projects, "shop", METRICS_PROJECT_COST), 5000);
    assert_int_equal(count_of(m->projects, "shop", METRICS_PROJECT_BILLED), 6000);
    assert_int_equal(count_of(m->projects, "shop", METRICS_PROJECT_INPUT), 1000);
    assert_int_equal(count_of(m->genai, "openai/gpt-4o|chat", METRICS_OPERATION), 3);
    assert_int_equal(count_of(m->genai, "openai/gpt-4o|chat", METRICS_SIZE_INPUT + 5), 1);
}

/* Clients may name any model at a provider. */
static void what_is_in_no_catalogue_is_other(void **state) {
    char made_up[32];
    for (int i = 0; i < 5000; i++) {
        snprintf(made_up, sizeof made_up, "openai/ft:%d", i);
        const struct entry_attempt a = attempt(made_up, 0, 1000, FAILURE_NOT_FOUND);
        struct entry e = request(&a, 1);
        metrics_count(m, snap, &e);
    }
    assert_int_equal(tally_rows(m->targets), 1);
    assert_int_equal(count_of(m->targets, "openai/other", METRICS_BY_CLASS + FAILURE_NOT_FOUND),
                     5000);
    assert_int_equal(tally_rows(m->genai), 1);
}

static void whose_fault_it_was(void **state) {
    const struct {
        enum entry_outcome outcome;
        const char *code, *policy;
        size_t attempts;
        const char *type;
    } cases[] = {
        { ENTRY_ANSWERED, NULL, "tier", 1, "" },
        { ENTRY_CANCELLED, NULL, "tier", 1, "client_cancelled" },
        { ENTRY_REFUSED, "request_too_large", NULL, 0, "client_request_too_large" },
        { ENTRY_REFUSED, "too_late_in_the_day", "tier", 0, "policy_refused" },
        { ENTRY_REFUSED, "no_eligible_target", "tier", 0, "policy_no_eligible_target" },
        { ENTRY_REFUSED, "overloaded", NULL, 0, "gateway_overloaded" },
        { ENTRY_REFUSED, "made_up", NULL, 0, "other" },
        { ENTRY_FAILED, "fallbacks_exhausted", "tier", 3, "upstream_fallbacks_exhausted" },
        { ENTRY_FAILED, "unsupported_parameter", "tier", 1, "upstream_refused" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct entry e = { .outcome = cases[i].outcome,
                                 .error = span_of(cases[i].code),
                                 .policy = span_of(cases[i].policy),
                                 .n_attempts = cases[i].attempts };
        struct span type = metrics_error_type(&e);
        if (!span_eq(type, span_of(cases[i].type)))
            fail_msg("%s: %.*s", cases[i].type, SPAN_ARGS(type));
    }
}

static void workers_are_summed(void **state) {
    struct metrics *second = metrics_new(), *sum = metrics_new();
    struct records r;
    struct entry e;
    nanousd cost = 0;
    uint64_t counted = 0, spent = 0;
    records_init(&r, 1);
    for (unsigned i = 0; i < 1000; i++) {
        records_make(&r, i, AT, &e);
        cost += entry_sum(&e).cost;
        metrics_count(i % 3 ? m : second, snap, &e);
    }
    metrics_sum(sum, m);
    metrics_sum(sum, second);
    for (size_t i = 0; i < tally_rows(sum->requests); i++)
        counted += tally_read(tally_at(sum->requests, i), 0);
    for (size_t i = 0; i < tally_rows(sum->targets); i++)
        spent += tally_read(tally_at(sum->targets, i), METRICS_COST);
    assert_int_equal(counted, 1000);
    assert_int_equal(spent, cost);
    metrics_free(second);
    metrics_free(sum);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_counts_by_what_became_of_it, begin, end),
        cmocka_unit_test_setup_teardown(times_fall_where_they_belong, begin, end),
        cmocka_unit_test_setup_teardown(attempts_count_by_target_and_class, begin, end),
        cmocka_unit_test_setup_teardown(what_is_in_no_catalogue_is_other, begin, end),
        cmocka_unit_test(whose_fault_it_was),
        cmocka_unit_test_setup_teardown(workers_are_summed, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
