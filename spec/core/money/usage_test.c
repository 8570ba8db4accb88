/* usage_test.c - sums by whatever it may be equal a recount of the requests; statements are right
 * to the
 * nano-dollar; days are those of the calendar. */
#include "money/usage.h"

#include "money/fold.h"
#include "support/ledger_kit.h"
#include "support/records.h"
#include "support/unit.h"

#include <math.h>
#include <sqlite3.h>
#include <time.h>

enum { N = 20000 };
#define GAP UINT64_C(260000000)       /* two months of them */
#define AT UINT64_C(1788220800000000) /* 2026-09-01 */
#define DAY_US UINT64_C(86400000000)

static char folder[64], path[96];
static struct usage *u;
static struct arena arena;

/* What the client of a request of an arm says of it. */
static int judge(struct fold *f, const struct entry *e, unsigned i) {
    static unsigned n;
    struct entry_feedback said = { .request = e->id, .at_us = e->at_us };
    if (!e->arm.at || i % 3)
        return 0;
    said.score = n++ % 7;
    return fold_feedback(f, &said);
}

static int set_up(void **state) {
    struct store_error error;
    struct records records;
    struct entry e;
    snprintf(path, sizeof path, "%s/l.db", ledger_kit_folder(folder));
    struct sqlite3 *db = store_open(path, &fold_schema, &error);
    struct fold *f = fold_new(db);
    records_init(&records, 1);
    for (unsigned i = 0; i < N; i++) {
        if (i % 500 == 0)
            fold_begin(f);
        records_make(&records, i, AT + i * GAP, &e);
        if (fold_ended(f, &e) != 0 || judge(f, &e, i) != 0 ||
            (i % 500 == 499 && fold_commit(f) != 0))
            return -1;
    }
    fold_free(f);
    sqlite3_close(db);
    arena_init(&arena, 65536);
    ledger_kit_watch();
    u = usage_open(path, &error);
    return u ? 0 : -1;
}

static int tear_down(void **state) {
    usage_close(u);
    arena_deinit(&arena);
    ledger_kit_remove(folder);
    return 0;
}

/* --- the same counted again --- */

static bool starts(struct span target, struct span provider) {
    return span_starts(target, provider) && target.len > provider.len &&
           target.at[provider.len] == '/';
}

static bool attempt_fits(enum usage_by by, struct span name, struct span target) {
    return by == USAGE_BY_TARGET ? span_eq(target, name)
           : by == USAGE_BY_PROVIDER
               ? starts(target, name)
               : span_ends(target, name) && target.at[target.len - name.len - 1] == '/';
}

static unsigned request_fits(enum usage_by by, struct span name, const struct entry *e) {
    unsigned tags = 0;
    for (size_t i = 0; i < e->n_tags; i++)
        tags += span_eq(e->tags[i], name);
    return by == USAGE_BY_NOTHING    ? 1
           : by == USAGE_BY_PROJECT  ? span_eq(e->project, name)
           : by == USAGE_BY_KEY      ? span_eq(e->key, name)
           : by == USAGE_BY_POLICY   ? span_eq(e->policy, name)
           : by == USAGE_BY_ARM      ? span_eq(e->arm, name)
           : by == USAGE_BY_ENDPOINT ? span_eq(e->endpoint, name)
                                     : tags;
}

struct recount {
    uint64_t requests, failed, input;
    nanousd cost, billed, free_spent;
    uint64_t free_requests;
    uint64_t n_times;
    int64_t times[2 * N]; /* ms of what was answered */
};

static void count_attempt(struct recount *r, const struct entry_attempt *a) {
    bool failed = a->failure != FAILURE_NONE;
    r->requests++;
    r->failed += failed;
    r->input += a->tokens.input > 0 ? (uint64_t)a->tokens.input : 0;
    r->cost += a->cost;
    r->billed += a->billed;
    if (!failed)
        r->times[r->n_times++] = a->total_us / 1000;
}

static void count_request(struct recount *r, const struct entry *e) {
    struct entry_sums sums = entry_sum(e);
    r->requests++;
    r->failed += e->outcome == ENTRY_FAILED;
    r->input += sums.tokens.input > 0 ? (uint64_t)sums.tokens.input : 0;
    r->cost += sums.cost;
    r->billed += sums.billed;
    r->free_requests += e->free;
    r->free_spent += e->free ? sums.cost : 0;
    if (e->outcome == ENTRY_ANSWERED)
        r->times[r->n_times++] = e->total_us / 1000;
}

static struct recount *recount(enum usage_by by, struct span name, struct span project,
                               uint64_t from_us, uint64_t to_us) {
    static struct recount r;
    struct records records;
    struct entry e;
    memset(&r, 0, sizeof r);
    records_init(&records, 1);
    for (unsigned i = 0; i < N; i++) {
        records_make(&records, i, AT + i * GAP, &e);
        if (e.at_us < from_us || e.at_us >= to_us || (project.at && !span_eq(project, e.project)))
            continue;
        if (by < USAGE_BY_TARGET)
            for (unsigned n = request_fits(by, name, &e); n; n = 0)
                count_request(&r, &e);
        else
            for (size_t k = 0; k < e.n_attempts; k++)
                if (attempt_fits(by, name, e.attempts[k].target))
                    count_attempt(&r, &e.attempts[k]);
    }
    return &r;
}

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void assert_near(double got, struct recount *r, double share) {
    qsort(r->times, r->n_times, sizeof *r->times, by_size);
    double wanted = (double)r->times[(uint64_t)(share * (double)(r->n_times - 1))];
    if (fabs(got - wanted) > 0.08 * wanted)
        fail_msg("%f is not near %f", got, wanted);
}

static void assert_line(const struct usage_line *line, struct recount *r) {
    assert_int_equal(line->figures.requests, r->requests);
    assert_int_equal(line->figures.failed, r->failed);
    assert_int_equal(line->figures.answered, r->requests - r->failed);
    assert_int_equal(line->figures.input, r->input);
    assert_int_equal(line->figures.cost, r->cost);
    assert_int_equal(line->figures.billed, r->billed);
    if (r->n_times > 200) {
        assert_near(line->p50_ms, r, 0.5);
        assert_near(line->p95_ms, r, 0.95);
    }
}

/* --- sums --- */

static void sums_equal_a_recount(void **state) {
    static const unsigned wanted[USAGE_BYS] = {
        1, RECORDS_PROJECTS, RECORDS_KEYS, 1, 1, 2, 21, RECORDS_TARGETS, 5, 5
    };
    for (enum usage_by by = USAGE_BY_NOTHING; by < USAGE_BYS; by++) {
        struct usage_lines lines;
        struct usage_query q = { .by = by, .to_day = UINT32_MAX };
        assert_int_equal(usage_read(u, &q, &arena, &lines), 0);
        assert_int_equal(lines.n, wanted[by]);
        /* Of fifty keys some. */
        for (size_t i = 0; i < lines.n && i < 8; i++) {
            assert_line(&lines.at[i], recount(by, lines.at[i].name, SPAN_NONE, 0, UINT64_MAX));
            assert_true(!i || lines.at[i - 1].figures.cost >= lines.at[i].figures.cost);
            assert_int_equal(lines.at[i].day, 0);
        }
    }
}

static void of_one_project_and_some_days(void **state) {
    struct usage_lines lines;
    uint32_t first = usage_day(AT) + 3;
    struct usage_query q = { .by = USAGE_BY_MODEL,
                             .by_day = true,
                             .project = SPAN("shop"),
                             .from_day = first,
                             .to_day = first + 1 };
    assert_int_equal(usage_read(u, &q, &arena, &lines), 0);
    assert_int_equal(lines.n, 2 * 5);
    for (size_t i = 0; i < lines.n; i++) {
        uint32_t day = first + (i >= 5);
        assert_int_equal(lines.at[i].day, day);
        assert_line(&lines.at[i], recount(USAGE_BY_MODEL, lines.at[i].name, SPAN("shop"),
                                          day * DAY_US, (day + 1) * DAY_US));
    }
    q = (struct usage_query){ .by = USAGE_BY_KEY, .name = SPAN("key-5"), .to_day = UINT32_MAX };
    assert_int_equal(usage_read(u, &q, &arena, &lines), 0);
    assert_int_equal(lines.n, 1);
    assert_line(&lines.at[0], recount(USAGE_BY_KEY, SPAN("key-5"), SPAN_NONE, 0, UINT64_MAX));
    q.project = SPAN("nobody");
    assert_int_equal(usage_read(u, &q, &arena, &lines), 0);
    assert_int_equal(lines.n, 0);
}

/* Every third request of an arm is judged, the n-th of them by n % 7. */
static void scores_of_an_arm_equal_a_recount(void **state) {
    struct records records;
    struct entry e;
    struct usage_lines lines;
    struct usage_query q = { .by = USAGE_BY_ARM, .to_day = UINT32_MAX };
    double sum = 0, off = 0, mean;
    unsigned n = 0;
    records_init(&records, 1);
    for (unsigned i = 0; i < N; i++) {
        records_make(&records, i, AT + i * GAP, &e);
        if (e.arm.at && i % 3 == 0)
            sum += n++ % 7;
    }
    mean = sum / n;
    for (unsigned i = 0; i < n; i++)
        off += (i % 7 - mean) * (i % 7 - mean);
    assert_int_equal(usage_read(u, &q, &arena, &lines), 0);
    assert_int_equal(lines.n, 1);
    double variance = off / (n - 1), error = 1.96 * sqrt(variance / n);
    assert_true(n > 300 && lines.at[0].figures.scores == n);
    assert_true(fabs(lines.at[0].score_mean - mean) < 1e-9);
    assert_true(fabs(lines.at[0].score_variance - variance) < 1e-9);
    assert_true(fabs(lines.at[0].score_low - (mean - error)) < 1e-9);
    assert_true(fabs(lines.at[0].score_high - (mean + error)) < 1e-9);
}

/* --- what was spent, statements --- */

static void spent_is_exact_at_both_ends(void **state) {
    const struct {
        enum usage_by by;
        const char *name;
        uint64_t from, to;
    } cases[] = {
        { USAGE_BY_NOTHING, "", 0, UINT64_MAX },
        { USAGE_BY_PROJECT, "shop", AT + 7 * GAP, AT + 12000 * GAP },
        { USAGE_BY_KEY, "key-7", AT + 7 * GAP + 1, AT + 12000 * GAP + 1 },
        { USAGE_BY_NOTHING, "", AT + 100 * GAP, AT + 101 * GAP },
        { USAGE_BY_PROJECT, "lab", AT + DAY_US, AT + 2 * DAY_US },
        { USAGE_BY_ENDPOINT, "/v1/messages", AT + 9 * GAP, AT + 15000 * GAP },
        { USAGE_BY_ENDPOINT, "/v1/messages", AT + 9 * GAP, AT + 40 * GAP },
        { USAGE_BY_PROJECT, "lab", AT + 9, AT + 9 },
        { USAGE_BY_PROJECT, "nobody", 0, UINT64_MAX },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct usage_spent spent;
        struct span name = span_of(cases[i].name);
        assert_int_equal(
            usage_spent_between(u, cases[i].by, name, cases[i].from, cases[i].to, &spent), 0);
        struct recount *r = recount(cases[i].by, name, SPAN_NONE, cases[i].from, cases[i].to);
        assert_int_equal(spent.cost, r->cost);
        assert_int_equal(spent.billed, r->billed);
        assert_int_equal(spent.free_requests, r->free_requests);
        assert_int_equal(spent.free_spent, r->free_spent);
    }
}

static void a_statement_is_right_to_the_nano_dollar(void **state) {
    for (unsigned month = 8; month <= 11; month++) {
        struct usage_statement s;
        uint64_t from = usage_day_of(2026, month, 1) * DAY_US;
        uint64_t to = usage_day_of(2026, month + 1, 1) * DAY_US;
        nanousd cost = 0, billed = 0;
        assert_int_equal(usage_read_statement(u, SPAN("shop"), 2026, month, &arena, &s), 0);
        for (size_t i = 0; i < s.lines.n; i++) {
            cost += s.lines.at[i].figures.cost;
            billed += s.lines.at[i].figures.billed;
        }
        struct recount *r = recount(USAGE_BY_NOTHING, SPAN_NONE, SPAN("shop"), from, to);
        assert_int_equal(cost, r->cost);
        assert_int_equal(billed, r->billed);
        assert_int_equal(s.total.figures.cost, r->cost);
        assert_int_equal(s.total.figures.billed, r->billed);
        assert_int_equal(s.total.figures.requests, r->requests);
        assert_true((month == 9 || month == 10) == (cost > 0));
    }
}

static void no_statement_reads_a_whole_table(void **state) {
    assert_int_equal(ledger_kit_plans(), 7);
}

/* --- days, times, names --- */

static void days_are_those_of_the_calendar(void **state) {
    for (uint32_t day = 0; day < 60000; day += 1 + day % 3) {
        time_t at = (time_t)day * 86400;
        struct tm tm;
        char got[16], wanted[16];
        gmtime_r(&at, &tm);
        strftime(wanted, sizeof wanted, "%Y-%m-%d", &tm);
        usage_day_write(day, got);
        assert_string_equal(got, wanted);
        assert_int_equal(usage_day_of((unsigned)tm.tm_year + 1900, (unsigned)tm.tm_mon + 1,
                                      (unsigned)tm.tm_mday),
                         day);
    }
    assert_int_equal(usage_day(2 * DAY_US - 1), 1);
}

static void times_are_packed_and_added(void **state) {
    struct histogram a = { 0 }, b = { 0 }, back = { 0 };
    struct buf out = { 0 };
    for (unsigned i = 0; i < 100000; i++) {
        histogram_add(&a, i);
        histogram_add(&b, i * 7);
    }
    usage_pack_times(&out, &a);
    assert_true(usage_unpack_times(buf_span(&out), &back));
    buf_clear(&out);
    usage_pack_times(&out, &b);
    assert_true(usage_unpack_times(buf_span(&out), &back));
    for (unsigned i = 0; i < HISTOGRAM_CLASSES; i++)
        assert_int_equal(back.counts[i], a.counts[i] + b.counts[i]);
    assert_false(usage_unpack_times((struct span){ "\xff\x01\x01", 3 }, &back));
    assert_false(usage_unpack_times((struct span){ "\x01", 1 }, &back));
    buf_deinit(&out);
}

static void what_it_is_by_has_a_name(void **state) {
    for (int by = 0; by < USAGE_BYS; by++)
        assert_int_equal(usage_by_of(span_of(usage_by_name((enum usage_by)by))), by);
    assert_int_equal(usage_by_of(SPAN("weather")), USAGE_BYS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_statement_reads_a_whole_table),
        cmocka_unit_test(sums_equal_a_recount),
        cmocka_unit_test(scores_of_an_arm_equal_a_recount),
        cmocka_unit_test(of_one_project_and_some_days),
        cmocka_unit_test(spent_is_exact_at_both_ends),
        cmocka_unit_test(a_statement_is_right_to_the_nano_dollar),
        cmocka_unit_test(days_are_those_of_the_calendar),
        cmocka_unit_test(times_are_packed_and_added),
        cmocka_unit_test(what_it_is_by_has_a_name),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
