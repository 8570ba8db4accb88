/* entry_test.c - an entry's bytes give the entry back; what is too long is cut, what is no entry is
 * told; sums know what is unknown. */
#include "money/entry.h"

#include "support/records.h"
#include "support/unit.h"

#include <math.h>

static struct arena arena;
static struct buf out;

static int set_up(void **state) {
    arena_init(&arena, 4096);
    return 0;
}

static int tear_down(void **state) {
    arena_deinit(&arena);
    buf_deinit(&out);
    return 0;
}

/* Whether both have the same bytes: every field is in them. */
static void assert_same(const struct entry *a, const struct entry *b) {
    struct buf x = { 0 }, y = { 0 };
    entry_write(&x, a);
    entry_write(&y, b);
    assert_true(span_eq(buf_span(&x), buf_span(&y)));
    buf_deinit(&x);
    buf_deinit(&y);
}

static void comes_back(void **state) {
    struct records r;
    struct entry e, got;
    records_init(&r, 1);
    for (unsigned i = 0; i < 500; i++) {
        records_make(&r, i, 1790000000000000 + i, &e);
        buf_clear(&out);
        entry_write(&out, &e);
        assert_true(entry_read(buf_span(&out), &arena, &got));
        assert_same(&e, &got);
    }
    records_make(&r, 7, 1790000000000000, &e);
    buf_clear(&out);
    entry_write(&out, &e);
    assert_true(entry_read(buf_span(&out), &arena, &got));
    assert_span(got.id, "r-0000007");
    assert_true(got.at_us == 1790000000000000);
    assert_int_equal(got.n_attempts, e.n_attempts);
    assert_true(got.attempts[0].price.cache_write == PRICE_UNKNOWN);
    assert_true(got.attempts[0].cost == e.attempts[0].cost);
    assert_span(got.user, NULL);
}

static void extremes_come_back(void **state) {
    struct entry_attempt a = { .number = 1,
                               .status = -1,
                               .failure = FAILURE_CANCELLED,
                               .hedge = true,
                               .tokens = { INT64_MAX, -1, INT64_MIN, 0, 1 },
                               .cost = INT64_MAX };
    struct entry e = { .at_us = UINT64_MAX, .id = SPAN(""), .attempts = &a, .n_attempts = 1 }, got;
    entry_write(&out, &e);
    assert_true(entry_read(buf_span(&out), &arena, &got));
    assert_same(&e, &got);
    assert_span(got.id, "");
    assert_true(got.attempts[0].tokens.written == INT64_MIN);
    assert_int_equal(got.attempts[0].failure, FAILURE_CANCELLED);
    assert_true(got.attempts[0].hedge && !got.attempts[0].won);
}

static void begun_comes_back(void **state) {
    struct entry_begun b = { SPAN("r1"),
                             2,
                             17,
                             18,
                             SPAN("key"),
                             SPAN_NONE,
                             SPAN("/v1/messages"),
                             SPAN("tier@1"),
                             SPAN_NONE,
                             SPAN("openai/gpt-4o"),
                             12345 },
                       got;
    entry_write_begun(&out, &b);
    assert_true(entry_read_begun(buf_span(&out), &got));
    assert_span(got.request, "r1");
    assert_int_equal(got.number, 2);
    assert_true(got.at_us == 17 && got.began_us == 18 && got.bound == 12345);
    assert_span(got.key, "key");
    assert_span(got.project, NULL);
    assert_span(got.endpoint, "/v1/messages");
    assert_span(got.target, "openai/gpt-4o");
    for (size_t len = 0; len < out.len; len++)
        assert_false(entry_read_begun(span_sub(buf_span(&out), 0, len), &got));
}

static void feedback_comes_back(void **state) {
    static const double scores[] = { 0, 1, -1, 0.1, -ENTRY_SCORE_MAX };
    static const double wrong[] = { (double)NAN, (double)INFINITY, 1.1e6 };
    struct entry_feedback f = { SPAN("r1"), 17, 0, SPAN("too long") }, got;
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++) {
        buf_clear(&out);
        f.score = scores[i];
        entry_write_feedback(&out, &f);
        assert_true(entry_read_feedback(buf_span(&out), &got));
        assert_span(got.request, "r1");
        assert_true(got.at_us == 17 && got.score == scores[i]);
        assert_span(got.label, "too long");
        for (size_t len = 0; len < out.len; len++)
            assert_false(entry_read_feedback(span_sub(buf_span(&out), 0, len), &got));
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        buf_clear(&out);
        f.score = wrong[i];
        entry_write_feedback(&out, &f);
        assert_false(entry_read_feedback(buf_span(&out), &got));
    }
}

static void a_body_comes_back(void **state) {
    static char text[ENTRY_BODY_MAX + 1];
    struct entry_body b = { SPAN("r1"), ENTRY_ANSWER, 17, false, SPAN("{}") }, got;
    entry_write_body(&out, &b);
    assert_true(entry_read_body(buf_span(&out), &got));
    assert_span(got.request, "r1");
    assert_span(got.bytes, "{}");
    assert_true(got.part == ENTRY_ANSWER && got.until_us == 17 && !got.cut);
    for (size_t len = 0; len < out.len; len++)
        assert_false(entry_read_body(span_sub(buf_span(&out), 0, len), &got));
    memset(text, 'x', sizeof text);
    buf_clear(&out);
    b.bytes = (struct span){ text, sizeof text };
    entry_write_body(&out, &b);
    assert_true(out.len <= ENTRY_MAX);
    assert_true(entry_read_body(buf_span(&out), &got));
    assert_true(got.cut && got.bytes.len == ENTRY_BODY_MAX);
    assert_false(entry_read_body(span_sub(buf_span(&out), 0, out.len - 1), &got));
}

static void a_part_or_more_is_no_entry(void **state) {
    struct records r;
    struct entry e, got;
    records_init(&r, 2);
    records_make(&r, 1, 1790000000000000, &e);
    entry_write(&out, &e);
    for (size_t len = 0; len < out.len; len++)
        assert_false(entry_read(span_sub(buf_span(&out), 0, len), &arena, &got));
    buf_add_char(&out, 0);
    assert_false(entry_read(buf_span(&out), &arena, &got));
}

/* Checksums keep such bytes away; should they come, they do no harm. */
static void changed_bytes_are_survived(void **state) {
    struct records r;
    struct entry e, got;
    records_init(&r, 3);
    for (unsigned i = 0; i < 20000; i++) {
        records_make(&r, i, 1790000000000000, &e);
        buf_clear(&out);
        entry_write(&out, &e);
        out.at[random_below(&r.random, out.len)] = (char)random_next(&r.random);
        arena_reset(&arena, 65536);
        if (entry_read(buf_span(&out), &arena, &got))
            assert_true(got.n_attempts <= ENTRY_ATTEMPTS_MAX && got.n_tags <= ENTRY_TAGS_MAX &&
                        got.outcome < ENTRY_OUTCOMES);
    }
}

static void the_largest_entry_is_within_its_bound(void **state) {
    static char text[10000];
    static struct entry_attempt attempts[ENTRY_ATTEMPTS_MAX + 9];
    struct span long_text = { text, sizeof text }, tags[ENTRY_TAGS_MAX + 3];
    struct entry got, e = { .id = long_text,
                            .key = long_text,
                            .project = long_text,
                            .tier = long_text,
                            .endpoint = long_text,
                            .model = long_text,
                            .policy = long_text,
                            .assignment = long_text,
                            .arm = long_text,
                            .chain = long_text,
                            .session = long_text,
                            .user = long_text,
                            .error = long_text,
                            .tags = tags,
                            .n_tags = ENTRY_TAGS_MAX + 3,
                            .attempts = attempts,
                            .n_attempts = ENTRY_ATTEMPTS_MAX + 9,
                            .failure = FAILURE_CONTEXT_LENGTH };
    memset(text, '\n', sizeof text);
    for (size_t i = 0; i < e.n_tags; i++)
        tags[i] = long_text;
    for (size_t i = 0; i < e.n_attempts; i++)
        attempts[i] = (struct entry_attempt){
            .number = UINT32_MAX - 1,
            .target = long_text,
            .upstream = long_text,
            .upstream_id = long_text,
            .began_us = UINT64_MAX,
            .connect_us = INT64_MAX,
            .first_us = INT64_MAX,
            .total_us = INT64_MAX,
            .cost = INT64_MAX,
            .billed = INT64_MAX,
            .most = INT64_MAX,
            .price = { INT64_MAX, 0, 0, 0 },
            .tokens = { INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX },
        };
    entry_write(&out, &e);
    assert_true(out.len <= ENTRY_MAX);
    assert_true(entry_read(buf_span(&out), &arena, &got));
    assert_int_equal(got.n_attempts, ENTRY_ATTEMPTS_MAX);
    assert_int_equal(got.n_tags, ENTRY_TAGS_MAX);
    assert_int_equal(got.key.len, ENTRY_TEXT_MAX);
    assert_int_equal(got.chain.len, ENTRY_CHAIN_MAX);
    for (size_t i = 0; i < got.tags[0].len; i++)
        assert_int_equal(got.tags[0].at[i], ' ');
}

static void sums_know_what_is_unknown(void **state) {
    struct entry_attempt a[3] = {
        { .tokens = { 10, -1, -1, 5, -1 }, .cost = 100, .billed = 110, .most = 999 },
        { .tokens = { 7, 2, -1, -1, -1 }, .cost = -1, .billed = -1, .most = 40, .estimated = true },
        { .tokens = { -1, -1, -1, -1, -1 }, .cost = -1, .billed = -1, .most = -1 },
    };
    struct entry e = { .attempts = a, .n_attempts = 3 };
    struct entry_sums s = entry_sum(&e);
    assert_true(s.tokens.input == 17 && s.tokens.cached == 2 && s.tokens.written == -1);
    assert_true(s.cost == 100 && s.billed == 110 && s.most == 40);
    assert_true(s.unpriced == 2 && s.estimated);
    e.n_attempts = 0;
    assert_true(entry_sum(&e).cost == -1);
    assert_true(entry_add(INT64_MAX, 1) == INT64_MAX && entry_add(-1, 0) == 0);
}

static void outcomes_have_names(void **state) {
    for (int i = 0; i < ENTRY_OUTCOMES; i++)
        assert_int_equal(entry_outcome_of(span_of(entry_outcome_name((enum entry_outcome)i))), i);
    assert_int_equal(entry_outcome_of(SPAN("")), ENTRY_OUTCOMES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(extremes_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(begun_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(feedback_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_body_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_part_or_more_is_no_entry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changed_bytes_are_survived, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_largest_entry_is_within_its_bound, set_up, tear_down),
        cmocka_unit_test(sums_know_what_is_unknown),
        cmocka_unit_test(outcomes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
