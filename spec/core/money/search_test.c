/* search_test.c - 200,000 requests: each query finds what a look at every one of them finds, page
 * by page, out
 * of indexes, in a bounded time. */
#include "money/search.h"

#include "base/clock.h"
#include "money/fold.h"
#include "support/ledger_kit.h"
#include "support/records.h"
#include "support/unit.h"

#include <sqlite3.h>

enum { N = 200000 };
#define AT UINT64_C(1790000000000000)
#define GAP UINT64_C(13000000) /* a month of them */

static char folder[64], path[96];
static struct search *s;
static struct arena arena;

/* Of one request there is more. */
static int say(struct fold *f) {
    const struct entry_feedback said = { SPAN("r-0000100"), AT, -0.5, SPAN("slow") };
    const struct entry_body prompt = { SPAN("r-0000100"), ENTRY_PROMPT, 0, true,
                                       SPAN("{\"a\":1}") };
    const struct entry_body answer = { SPAN("r-0000100"), ENTRY_ANSWER, 0, false, SPAN("") };
    fold_begin(f);
    return fold_feedback(f, &said) || fold_body(f, &prompt) || fold_body(f, &answer) ||
           fold_commit(f);
}

static int set_up(void **state) {
    struct store_error error;
    struct records records;
    struct entry e;
    snprintf(path, sizeof path, "%s/l.db", ledger_kit_folder(folder));
    struct sqlite3 *db = store_open(path, &fold_schema, &error);
    struct fold *f = fold_new(db);
    records_init(&records, 1);
    uint64_t began = clock_us();
    for (unsigned i = 0; i < N; i++) {
        if (i % 2000 == 0)
            fold_begin(f);
        records_make(&records, i, AT + i * GAP, &e);
        if (fold_ended(f, &e) != 0)
            return -1;
        if (i % 2000 == 1999 && fold_commit(f) != 0)
            return -1;
    }
    printf("folded at %.0f records a second\n", N / ((double)(clock_us() - began) / 1e6));
    if (say(f) != 0)
        return -1;
    fold_free(f);
    sqlite3_close(db);
    arena_init(&arena, 65536);
    ledger_kit_watch();
    s = search_open(path, &error);
    return s ? 0 : -1;
}

static int tear_down(void **state) {
    search_close(s);
    arena_deinit(&arena);
    ledger_kit_remove(folder);
    return 0;
}

static int reset(void **state) {
    arena_reset(&arena, 65536);
    return 0;
}

/* --- the same said a second time, slowly --- */

static bool tag_fits(const struct entry *e, struct span part) {
    if (!part.len)
        return true;
    for (size_t i = 0; i < e->n_tags; i++)
        if (memmem(e->tags[i].at, e->tags[i].len, part.at, part.len))
            return true;
    return false;
}

static bool target_fits(const struct entry *e, struct span target) {
    for (size_t i = 0; i < e->n_attempts; i++)
        if (span_eq(e->attempts[i].target, target))
            return true;
    return !target.at;
}

static bool text_fits(struct span wanted, struct span text) {
    return !wanted.at || span_eq(wanted, text);
}

static bool fits(const struct search_query *q, const struct entry *e) {
    return e->at_us >= q->from_us && (!q->to_us || e->at_us < q->to_us) &&
           text_fits(q->key, e->key) && text_fits(q->project, e->project) &&
           text_fits(q->arm, e->arm) && text_fits(q->session, e->session) &&
           target_fits(e, q->target) && tag_fits(e, q->tag) &&
           (!q->status || e->status == q->status || e->status / 100 == q->status) &&
           (!q->failure || e->failure == q->failure) &&
           (q->min_cost <= 0 || entry_sum(e).cost >= q->min_cost);
}

/* Of all requests, how many fit; `*sum` mixes which. */
static unsigned expected(const struct search_query *q, uint64_t *sum) {
    struct records records;
    struct entry e;
    unsigned n = 0;
    records_init(&records, 1);
    *sum = 0;
    for (unsigned i = 0; i < N; i++) {
        records_make(&records, i, AT + i * GAP, &e);
        if (!fits(q, &e))
            continue;
        n++;
        *sum += e.at_us * (i + 1);
    }
    return n;
}

static void check(struct search_query q) {
    uint64_t sum = 0, wanted_sum, last = UINT64_MAX, slowest = 0;
    unsigned n = 0, wanted = expected(&q, &wanted_sum), pages = 0;
    assert_true(wanted > 0);
    q.limit = 200;
    do {
        struct search_page page;
        arena_reset(&arena, 1 << 20);
        uint64_t began = clock_us();
        assert_int_equal(search_requests(s, &q, &arena, &page), 0);
        uint64_t took = clock_us() - began;
        slowest = took > slowest ? took : slowest;
        for (size_t i = 0; i < page.n; i++) {
            const struct entry *e = &page.rows[i].entry;
            assert_true(e->at_us < last);
            last = e->at_us;
            sum += e->at_us * ((e->at_us - AT) / GAP + 1);
        }
        n += page.n;
        pages++;
        q.before = page.next;
    } while (q.before);
    assert_int_equal(n, wanted);
    assert_true(sum == wanted_sum);
    /* A bar for a quiet machine is 200 ms; this one tells a scan from a search on a busy one. */
    if (slowest > 1000000)
        fail_msg("a page took %u ms", (unsigned)(slowest / 1000));
}

static void each_thing_is_found(void **state) {
    check((struct search_query){ .session = SPAN("session-100") });
    check((struct search_query){ .tag = SPAN("team-7") });
    check((struct search_query){ .failure = FAILURE_RATE_LIMITED });
    check((struct search_query){ .status = 429 });
    check((struct search_query){ .status = 4 });
    check((struct search_query){ .arm = SPAN("prices/gpt-4o") });
    check((struct search_query){ .key = SPAN("key-17") });
    check((struct search_query){ .target = SPAN("vllm/llama-3.3-70b"),
                                 .from_us = AT + 150000 * GAP });
    check((struct search_query){ .min_cost = 21000000 });
    check((struct search_query){ .project = SPAN("lab"), .to_us = AT + 40000 * GAP });
    check((struct search_query){ .from_us = AT + 1000 * GAP, .to_us = AT + 1500 * GAP });
    check((struct search_query){ .status = 2, .to_us = AT + 3000 * GAP });
}

static void things_are_found_together(void **state) {
    check((struct search_query){
        .key = SPAN("key-3"), .failure = FAILURE_RATE_LIMITED, .target = SPAN("azure/gpt-4o") });
    check((struct search_query){ .tag = SPAN("eam-1"), .project = SPAN("shop"), .status = 429 });
    check((struct search_query){
        .tag = SPAN("batch"), .arm = SPAN("prices/gpt-4o"), .key = SPAN("key-3") });
    check((struct search_query){ .key = SPAN("key-3"), .min_cost = 15000000, .tag = SPAN("team") });
    check((struct search_query){ .session = SPAN("session-100"), .status = 200 });
}

static void what_nobody_had_is_not_found(void **state) {
    struct search_page page;
    const struct search_query queries[] = {
        { .key = SPAN("nobody") },      { .target = SPAN("openai/no") },
        { .tag = SPAN("xyz") },         { .session = SPAN("session-x") },
        { .failure = FAILURE_CONNECT }, { .status = 500 },
        { .min_cost = INT64_MAX },      { .to_us = AT },
        { .key = SPAN("team-1") }, /* a tag, but no key */
    };
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        assert_int_equal(search_requests(s, &queries[i], &arena, &page), 0);
        assert_int_equal(page.n, 0);
        assert_int_equal(page.next, 0);
    }
}

/* Found nowhere by two things that are each often there: the page ends, and says where to go on. */
static void a_page_looks_at_so_many(void **state) {
    struct search_page page;
    struct search_query q = { .project = SPAN("shop"), .status = 201 };
    assert_int_equal(search_requests(s, &q, &arena, &page), 0);
    assert_int_equal(page.n, 0);
    assert_true(page.next > AT);
    q.before = page.next;
    assert_int_equal(search_requests(s, &q, &arena, &page), 0);
    assert_true(page.next < q.before);
}

static void one_request_has_all_that_was_recorded(void **state) {
    struct records records;
    struct entry e;
    struct search_row row;
    records_init(&records, 1);
    for (unsigned i = 0; i < 200; i++) {
        struct buf wanted = { 0 }, got = { 0 };
        records_make(&records, i, AT + i * GAP, &e);
        assert_int_equal(search_request(s, e.id, &arena, &row), 0);
        entry_write(&wanted, &e);
        entry_write(&got, &row.entry);
        assert_true(span_eq(buf_span(&wanted), buf_span(&got)));
        assert_true(row.sums.cost == entry_sum(&e).cost);
        assert_int_equal(row.n_attempts, e.n_attempts);
        buf_deinit(&wanted);
        buf_deinit(&got);
    }
    assert_int_equal(search_request(s, SPAN("r-no"), &arena, &row), 1);
}

static void what_was_said_of_a_request_is_found_with_it(void **state) {
    struct search_row row;
    assert_int_equal(search_request(s, SPAN("r-0000100"), &arena, &row), 0);
    assert_true(row.scored && row.score == -0.5);
    assert_span(row.label, "slow");
    assert_int_equal(search_request(s, SPAN("r-0000101"), &arena, &row), 0);
    assert_false(row.scored);
    assert_span(row.label, NULL);
}

static void whose_a_request_was_is_found(void **state) {
    struct search_who who;
    struct search_row row;
    assert_int_equal(search_request(s, SPAN("r-0000100"), &arena, &row), 0);
    assert_int_equal(search_owner(s, SPAN("r-0000100"), &arena, &who), 0);
    assert_true(span_eq(who.key, row.entry.key) && span_eq(who.project, row.entry.project));
    assert_int_equal(search_owner(s, SPAN("r-x"), &arena, &who), 1);
    assert_span(who.key, NULL);
}

static void what_was_asked_and_answered_is_found(void **state) {
    struct search_body bodies[ENTRY_PARTS];
    assert_int_equal(search_bodies(s, SPAN("r-0000100"), &arena, bodies), 0);
    assert_span(bodies[ENTRY_PROMPT].bytes, "{\"a\":1}");
    assert_true(bodies[ENTRY_PROMPT].cut);
    assert_span(bodies[ENTRY_ANSWER].bytes, "");
    assert_false(bodies[ENTRY_ANSWER].cut);
    assert_int_equal(search_bodies(s, SPAN("r-0000101"), &arena, bodies), 0);
    assert_span(bodies[ENTRY_PROMPT].bytes, NULL);
}

static void no_statement_reads_a_whole_table(void **state) {
    assert_int_equal(ledger_kit_plans(), 19);
}

static void what_is_no_ledger_is_told(void **state) {
    struct store_error error;
    assert_null(search_open("/nowhere/ledger.db", &error));
    assert_non_null(strstr(error.text, "/nowhere/ledger.db"));
}

int main(void) {
#define UNIT(name) cmocka_unit_test_setup(name, reset)
    const struct CMUnitTest tests[] = {
        UNIT(no_statement_reads_a_whole_table),
        UNIT(each_thing_is_found),
        UNIT(things_are_found_together),
        UNIT(what_nobody_had_is_not_found),
        UNIT(a_page_looks_at_so_many),
        UNIT(one_request_has_all_that_was_recorded),
        UNIT(what_was_said_of_a_request_is_found_with_it),
        UNIT(whose_a_request_was_is_found),
        UNIT(what_was_asked_and_answered_is_found),
        UNIT(what_is_no_ledger_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
