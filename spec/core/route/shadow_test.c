/* shadow_test.c - when two decisions are different, which requests are asked twice, and what is
 * counted. The asking itself is in spec/gateway/shadow_spec.lua. */
#include "route/shadow.h"

#include "base/json.h"
#include "base/random.h"
#include "support/unit.h"

static const struct target a = { .id = { "p/a", 3 } }, b = { .id = { "p/b", 3 } };
static const struct target *const ab[] = { &a, &b }, *const ba[] = { &b, &a };

static struct trace decided(const struct target *const *chain, size_t n, size_t steps,
                            int refused) {
    return (struct trace){ .chain = chain, .n_chain = n, .n_steps = steps, .refused = refused };
}

static void check(struct trace x, struct trace y, bool differs, bool in_the_first) {
    bool first;
    assert_int_equal(shadow_differs(&x, &y, &first), differs);
    assert_int_equal(first, in_the_first);
    assert_int_equal(shadow_differs(&y, &x, &first), differs);
    assert_int_equal(first, in_the_first);
}

static void decisions_differ_by_targets_order_length_and_refusal(void **state) {
    check(decided(ab, 2, 2, 0), decided(ab, 2, 2, 0), false, false);
    check(decided(ab, 2, 2, 0), decided(ba, 2, 2, 0), true, true);
    check(decided(ab, 2, 2, 0), decided(ab, 1, 1, 0), true, false);
    check(decided(ab, 2, 2, 0), decided(ab, 2, 9, 0), true, false);
    check(decided(ab, 2, 2, 0), decided(ab, 0, 0, 0), true, true);
    check(decided(ab, 0, 0, 0), decided(ab, 0, 0, 403), true, true);
    check(decided(ab, 0, 0, 0), decided(ab, 0, 0, 0), false, false);
}

static const struct shadow_setting settings[] = {
    { { "all", 3 }, { "next", 4 }, 1 },
    { { "some", 4 }, { "next", 4 }, 0.1 },
    { { "never", 5 }, { "next", 4 }, 0 },
};
static const struct snapshot empty = { .config = { .shadows = settings, .n_shadows = 3 } };

static unsigned asked(struct random *random, struct span policy) {
    unsigned n = 0;
    for (unsigned i = 0; i < 10000; i++)
        n += shadow_wanted(&empty, policy, random) != NULL;
    return n;
}

static void a_share_of_the_requests_is_asked_twice(void **state) {
    struct random random;
    random_seed(&random, 7);
    assert_int_equal(asked(&random, SPAN("all")), 10000);
    assert_int_equal(asked(&random, SPAN("never")), 0);
    assert_int_equal(asked(&random, SPAN("other")), 0);
    assert_in_range(asked(&random, SPAN("some")), 850, 1150);
}

static int64_t whole(struct json_value v, const char *name) {
    int64_t n = -1;
    json_int(json_get(v, name), &n);
    return n;
}

static void what_was_seen_is_counted_by_version(void **state) {
    static const struct policy_source policies[] = {
        { .name = { "all", 3 }, .version = { "all@1", 5 } },
        { .name = { "next", 4 }, .version = { "next@2", 6 } },
    };
    struct snapshot *snap = snapshot_new();
    snap->policies = policies;
    snap->n_policies = 2;
    snap->config.shadows = settings;
    snap->config.n_shadows = 1;
    snapshot_seal(snap);
    const struct shadow_seen seen[] = {
        { SPAN("all@1"), SPAN("next@2"), SHADOW_DECIDED, false, false, 100, 100 },
        { SPAN("all@1"), SPAN("next@2"), SHADOW_DECIDED, true, true, 100, 250 },
        { SPAN("all@1"), SPAN("next@2"), SHADOW_DECIDED, true, false, -1, 5 },
        { SPAN("all@1"), SPAN("next@2"), SHADOW_FAILED, false, false, 0, 0 },
        { SPAN("all@1"), SPAN("next@2"), SHADOW_STOPPED, false, false, 0, 0 },
        { SPAN("all@1"), SPAN("next@2"), SHADOW_PASSED_OVER, false, false, 0, 0 },
        { SPAN("all@0"), SPAN("next@2"), SHADOW_DECIDED, true, true, 7, 7 },
    };
    struct shadow *s = shadow_new();
    struct json_parser *parser = json_parser_new();
    struct json_value root;
    struct buf out = { 0 };
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
        shadow_count(s, &seen[i]);
    shadow_write(s, snap, &out);
    assert_int_equal(json_parse(parser, buf_span(&out), &root), JSON_OK);
    assert_int_equal(json_count(root), 1);
    struct json_iter it = json_iter(root);
    assert_true(json_next(&it));
    assert_span(json_text(json_get(it.value, "candidate")), "next@2");
    static const struct {
        const char *name;
        int64_t n;
    } counts[] = { { "requests", 6 }, { "changed", 2 },  { "changed_first", 1 },
                   { "errors", 1 },   { "timeouts", 1 }, { "passed_over", 1 } };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        assert_int_equal(whole(it.value, counts[i].name), counts[i].n);
    struct json_value cost = json_get(it.value, "expected_cost");
    assert_int_equal(whole(cost, "requests"), 2);
    assert_true(json_number(json_get(cost, "live_usd"), 0) == 200e-9);
    assert_true(json_number(json_get(cost, "candidate_usd"), 0) == 350e-9);
    buf_deinit(&out);
    json_parser_free(parser);
    shadow_free(s);
    snapshot_unref(snap);
}

static void more_pairs_than_there_is_room_for_push_out_the_oldest(void **state) {
    struct shadow *s = shadow_new();
    char version[16];
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(version, sizeof version, "v@%u", i);
        shadow_count(s, &(struct shadow_seen){ .live = span_of(version), .candidate = SPAN("n") });
    }
    shadow_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions_differ_by_targets_order_length_and_refusal),
        cmocka_unit_test(a_share_of_the_requests_is_asked_twice),
        cmocka_unit_test(what_was_seen_is_counted_by_version),
        cmocka_unit_test(more_pairs_than_there_is_room_for_push_out_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
