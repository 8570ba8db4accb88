/* fold_test.c - entries become rows and sums, once; what began and never ended becomes an orphan;
 * what is old
 * goes, its sums stay. */
#include "money/fold.h"

#include "money/usage.h"
#include "support/ledger_kit.h"
#include "support/records.h"
#include "support/unit.h"

#include <sqlite3.h>

static char folder[64], path[96];
static struct sqlite3 *db;
static struct fold *f;
static struct records records;
#define AT UINT64_C(1790000000000000)

static int set_up(void **state) {
    struct store_error error;
    snprintf(path, sizeof path, "%s/l.db", ledger_kit_folder(folder));
    db = store_open(path, &fold_schema, &error);
    assert_non_null(db);
    f = fold_new(db);
    assert_non_null(f);
    records_init(&records, 1);
    return 0;
}

static int tear_down(void **state) {
    fold_free(f);
    sqlite3_close(db);
    ledger_kit_remove(folder);
    return 0;
}

static void commit(void) {
    assert_int_equal(fold_commit(f), 0);
}

static void begin(void) {
    assert_int_equal(fold_begin(f), 0);
}

static int64_t number(const char *sql) {
    return ledger_kit_number(db, sql);
}

static void fold(unsigned i, uint64_t at) {
    struct entry e;
    records_make(&records, i, at, &e);
    assert_int_equal(fold_ended(f, &e), 0);
}

static void sums_are_those_of_the_rows(void **state) {
    for (unsigned batch = 0; batch < 5; batch++) {
        begin();
        for (unsigned i = 0; i < 400; i++)
            fold(batch * 400 + i, AT + (batch * 400 + i) * UINT64_C(211000000));
        commit();
    }
    assert_int_equal(number("SELECT count(*) FROM requests"), 2000);
    assert_true(number("SELECT count(DISTINCT day) FROM usage") > 3);
    int64_t cost = number("SELECT sum(cost) FROM attempts WHERE cost >= 0");
    assert_true(cost > 0);
    assert_int_equal(number("SELECT sum(cost) FROM requests WHERE cost >= 0"), cost);
    for (int kind = FOLD_PROJECT; kind <= FOLD_ENDPOINT; kind++) {
        char sql[160];
        if (kind == FOLD_ARM || kind == FOLD_TAG)
            continue;
        snprintf(sql, sizeof sql, "SELECT sum(cost) FROM usage WHERE kind = %d", kind);
        assert_int_equal(number(sql), cost);
    }
    assert_int_equal(number("SELECT sum(requests) FROM usage WHERE kind = 5"),
                     number("SELECT count(*) FROM request_tags"));
    assert_int_equal(number("SELECT sum(cost) FROM usage WHERE kind = 4"),
                     number("SELECT sum(cost) FROM requests WHERE arm IS NOT NULL"));
    assert_int_equal(number("SELECT sum(attempts) FROM usage WHERE kind = 1"),
                     number("SELECT count(*) FROM attempts"));
    assert_int_equal(number("SELECT sum(failed) FROM usage WHERE kind = 1"),
                     number("SELECT count(*) FROM requests WHERE status = 429"));
}

static void a_transaction_that_is_given_up_leaves_nothing(void **state) {
    struct fold_position p = { 0 };
    struct entry_begun b = { .request = SPAN("x"), .number = 1, .at_us = AT, .bound = 1 };
    begin();
    fold(1, AT);
    assert_int_equal(fold_begun(f, SPAN("w"), &b), 0);
    assert_int_equal(fold_position(f, SPAN("j"), (struct fold_position){ 10, 2 }), 0);
    fold_abandon(f);
    assert_false(fold_under_way(f));
    assert_int_equal(fold_position_of(f, SPAN("j"), &p), 0);
    assert_true(p.offset == 0 && p.sequence == 0);
    assert_int_equal(number("SELECT count(*) FROM requests"), 0);
    assert_int_equal(number("SELECT count(*) FROM names"), 0);
    begin();
    fold(1, AT);
    assert_int_equal(fold_position(f, SPAN("j"), (struct fold_position){ 10, 2 }), 0);
    commit();
    assert_int_equal(fold_position_of(f, SPAN("j"), &p), 0);
    assert_true(p.offset == 10 && p.sequence == 2);
    assert_int_equal(number("SELECT sum(requests) FROM usage WHERE kind = 1"), 1);
    assert_int_equal(number("SELECT count(*) FROM requests r JOIN names n ON n.id = r.project"), 1);
}

static bool is_there(void *owner, struct span name) {
    return span_eq(name, *(struct span *)owner);
}

static void journals_that_are_gone_are_forgotten(void **state) {
    struct span kept = SPAN("b");
    begin();
    fold_position(f, SPAN("a"), (struct fold_position){ 1, 1 });
    fold_position(f, SPAN("b"), (struct fold_position){ 1, 1 });
    fold_position(f, SPAN("c"), (struct fold_position){ 1, 1 });
    assert_int_equal(fold_forget_journals(f, is_there, &kept), 0);
    commit();
    assert_int_equal(number("SELECT count(*) FROM journals"), 1);
    assert_int_equal(number("SELECT count(*) FROM journals WHERE name = 'b'"), 1);
}

static void many_of_one_moment_each_have_a_row(void **state) {
    begin();
    for (unsigned i = 0; i < 3000; i++)
        fold(i, AT);
    commit();
    assert_int_equal(number("SELECT count(*) FROM requests"), 3000);
    assert_int_equal(number("SELECT count(DISTINCT request) FROM attempts"), 3000);
    assert_true(number("SELECT max(at) - min(at) FROM requests") < 60000000);
}

static void an_id_is_told_once(void **state) {
    begin();
    fold(1, AT);
    fold(1, AT + 5);
    fold(2, AT + 5);
    commit();
    assert_int_equal(number("SELECT count(*) FROM requests"), 2);
    assert_int_equal(number("SELECT sum(requests) FROM usage WHERE kind = 1"), 2);
}

static void sums_stop_at_the_largest_number(void **state) {
    struct entry_attempt a = { .number = 1,
                               .target = SPAN("p/m"),
                               .cost = INT64_MAX,
                               .billed = INT64_MAX,
                               .tokens = { INT64_MAX, 0, 0, 0, 0 } };
    struct entry e = { .project = SPAN("p"), .attempts = &a, .n_attempts = 1 };
    for (unsigned i = 0; i < 4; i++) {
        char id[8];
        snprintf(id, sizeof id, "%u", i);
        e.id = span_of(id);
        e.at_us = AT + i;
        if (i % 2 == 0)
            begin();
        assert_int_equal(fold_ended(f, &e), 0);
        if (i % 2)
            commit();
    }
    assert_true(number("SELECT cost FROM usage WHERE kind = 6") == INT64_MAX);
    assert_true(number("SELECT input FROM usage WHERE kind = 1") == INT64_MAX);
}

/* --- from an earlier version --- */

/* What the sums of all days come to, but for how times are spread. */
#define SUM_OF_SUMS                                                                                \
    "SELECT sum(day + name * 7 + project * 31 + requests * 3 + answered * 5 + failed * 11"         \
    " + estimated * 13 + attempts * 17 + input + cached + output + reasoning * 7 + cost"           \
    " + billed * 3 + most * 5 + free * 19 + free_spent * 23) FROM usage WHERE kind"

static void a_ledger_without_endpoints_is_brought_up_to_date(void **state) {
    static const char undo[] =
        "DELETE FROM usage WHERE kind = 7; DROP INDEX usage_by_name; DROP TABLE feedback;"
        "DROP TABLE bodies; ALTER TABLE usage DROP COLUMN scores;"
        "ALTER TABLE usage DROP COLUMN score_sum; ALTER TABLE usage DROP COLUMN score_squares;"
        "ALTER TABLE usage DROP COLUMN free_spent; PRAGMA user_version = 1";
    struct store_error error;
    begin();
    for (unsigned i = 0; i < 2000; i++)
        fold(i, AT + i * UINT64_C(211000000));
    commit();
    int64_t endpoints = number(SUM_OF_SUMS " = 7"), rest = number(SUM_OF_SUMS " IN (1, 2)");
    assert_int_equal(sqlite3_exec(db, undo, NULL, NULL, NULL), SQLITE_OK);
    fold_free(f);
    sqlite3_close(db);
    db = store_open(path, &fold_schema, &error);
    if (!db)
        fail_msg("%s", error.text);
    f = fold_new(db);
    assert_non_null(f);
    assert_true(number("SELECT count(*) FROM usage WHERE kind = 7 AND free_spent > 0") > 3);
    assert_int_equal(number(SUM_OF_SUMS " = 7"), endpoints);
    assert_int_equal(number(SUM_OF_SUMS " IN (1, 2)"), rest);
}

/* --- feedback, prompts and answers --- */

static void say(const char *request, uint64_t at_us, double score, const char *label) {
    struct entry_feedback said = { span_of(request), at_us, score, span_of(label) };
    assert_int_equal(fold_feedback(f, &said), 0);
}

static void keep(const char *request, enum entry_part part, uint64_t until_us) {
    struct entry_body b = { span_of(request), part, until_us, false, SPAN("{}") };
    assert_int_equal(fold_body(f, &b), 0);
}

static void with_arm(const char *id, const char *arm) {
    struct entry e = { .id = span_of(id), .at_us = AT, .project = SPAN("shop") };
    e.arm = span_of(arm);
    assert_int_equal(fold_ended(f, &e), 0);
}

static void the_last_word_of_a_client_counts(void **state) {
    begin();
    with_arm("a", "x/1");
    with_arm("b", "x/1");
    with_arm("c", NULL);
    say("a", AT + 5, 1, "fine");
    say("b", AT + 5, 0.5, NULL);
    commit();
    begin();
    say("a", AT + 7, -1, "wrong");
    say("a", AT + 6, 9, "written before the last");
    say("c", AT + 7, 3, NULL);
    say("nobody's", AT + 7, 100, NULL);
    commit();
    assert_int_equal(number("SELECT count(*) FROM feedback"), 3);
    assert_int_equal(number("SELECT count(*) FROM feedback WHERE label = 'wrong'"), 1);
    assert_int_equal(number("SELECT scores FROM usage WHERE kind = 4"), 2);
    assert_int_equal(number("SELECT score_sum * 4 FROM usage WHERE kind = 4"), -2);
    assert_int_equal(number("SELECT score_squares * 4 FROM usage WHERE kind = 4"), 5);
    assert_int_equal(number("SELECT requests FROM usage WHERE kind = 4"), 2);
    assert_int_equal(number("SELECT sum(scores) FROM usage"), 2);
}

static void prompts_go_when_their_time_has_come(void **state) {
    unsigned n;
    begin();
    keep("a", ENTRY_PROMPT, AT);
    keep("a", ENTRY_ANSWER, AT + 1);
    keep("a", ENTRY_ANSWER, AT + 2);
    keep("b", ENTRY_PROMPT, 0);
    commit();
    assert_int_equal(number("SELECT count(*) FROM bodies"), 3);
    assert_int_equal(fold_expire(f, AT - 1, 10, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(fold_expire(f, AT + 2, 1, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(fold_expire(f, AT + 2, 10, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(number("SELECT count(*) FROM bodies WHERE request = 'b'"), 1);
    assert_int_equal(number("SELECT count(*) FROM bodies"), 1);
}

/* --- attempts under way --- */

static void begun(const char *request, unsigned n, const char *writer, nanousd bound) {
    struct entry_begun b = { .request = span_of(request),
                             .number = n,
                             .at_us = AT,
                             .began_us = AT + n,
                             .project = SPAN("shop"),
                             .key = SPAN("k"),
                             .endpoint = SPAN("/v1/messages"),
                             .target = SPAN("p/m"),
                             .bound = bound };
    assert_int_equal(fold_begun(f, span_of(writer), &b), 0);
}

static bool is_alive(void *owner, struct span writer) {
    return span_eq(writer, SPAN("alive"));
}

static unsigned orphans(void) {
    unsigned n;
    assert_int_equal(fold_orphans(f, is_alive, NULL, &n), 0);
    return n;
}

/* The fold begins anew, from what the database has. */
static void restart(void) {
    fold_free(f);
    f = fold_new(db);
    assert_non_null(f);
}

static void what_never_ended_is_an_orphan_once_its_writer_is_dead(void **state) {
    begin();
    begun("lost", 1, "dead", 700);
    begun("lost", 2, "dead", 40);
    begun("running", 1, "alive", 9);
    commit();
    restart();
    begin();
    assert_int_equal(orphans(), 1);
    commit();
    assert_true(fold_under_way(f));
    assert_int_equal(number("SELECT count(*) FROM requests WHERE outcome = 4"), 1);
    assert_int_equal(number("SELECT most FROM requests WHERE id = 'lost'"), 740);
    assert_int_equal(number("SELECT count(*) FROM requests WHERE cost IS NULL"), 1);
    assert_int_equal(number("SELECT count(*) FROM attempts WHERE most IN (700, 40)"), 2);
    assert_int_equal(number("SELECT orphaned FROM usage WHERE kind = 1"), 1);
    assert_int_equal(number("SELECT most FROM usage WHERE kind = 6"), 740);
    assert_int_equal(number("SELECT most FROM usage u JOIN names n ON n.id = u.name"
                            " WHERE kind = 7 AND text = '/v1/messages'"),
                     740);
    assert_int_equal(number("SELECT count(*) FROM begun"), 1);
    restart();
    begin();
    assert_int_equal(orphans(), 0);
    commit();
}

static void what_ended_is_none(void **state) {
    struct entry e;
    begin();
    begun("r-0000001", 1, "dead", 1);
    begun("r-0000002", 1, "dead", 1);
    fold(1, AT); /* in the same transaction */
    commit();
    assert_int_equal(number("SELECT count(*) FROM begun"), 1);
    restart();
    begin();
    records_make(&records, 2, AT, &e);
    assert_int_equal(fold_ended(f, &e), 0); /* in a later one */
    assert_int_equal(orphans(), 0);
    commit();
    assert_int_equal(number("SELECT count(*) FROM begun"), 0);
    assert_false(fold_under_way(f));
}

static void an_orphan_given_up_comes_again(void **state) {
    begin();
    begun("lost", 1, "dead", 700);
    commit();
    begin();
    assert_int_equal(orphans(), 1);
    fold_abandon(f);
    begin();
    assert_int_equal(orphans(), 1);
    commit();
    assert_int_equal(number("SELECT count(*) FROM requests"), 1);
}

/* --- retention --- */

static void what_is_old_goes_and_its_sums_stay(void **state) {
    unsigned n;
    begin();
    for (unsigned i = 0; i < 1000; i++)
        fold(i, AT + i * 1000);
    say("r-0000001", AT, 1, NULL);
    say("r-0000999", AT, 1, NULL);
    keep("r-0000001", ENTRY_PROMPT, 0);
    keep("r-0000999", ENTRY_PROMPT, 0);
    commit();
    int64_t cost = number("SELECT sum(cost) FROM usage WHERE kind = 1");
    assert_int_equal(fold_retire(f, AT + 500 * 1000, 200, &n), 0);
    assert_int_equal(n, 200);
    assert_int_equal(fold_retire(f, AT + 500 * 1000, 400, &n), 0);
    assert_int_equal(n, 300);
    assert_int_equal(fold_retire(f, AT + 500 * 1000, 400, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(number("SELECT count(*) FROM requests"), 500);
    assert_int_equal(number("SELECT min(at) FROM requests"), AT + 500 * 1000);
    assert_int_equal(number("SELECT count(DISTINCT request) FROM attempts"), 500);
    assert_int_equal(number("SELECT count(*) FROM feedback"), 1);
    assert_int_equal(number("SELECT count(*) FROM bodies WHERE request = 'r-0000999'"), 1);
    assert_int_equal(number("SELECT count(*) FROM bodies"), 1);
    assert_int_equal(
        number("SELECT count(*) FROM request_tags WHERE request < (SELECT min(at) FROM "
               "requests)"),
        0);
    assert_int_equal(number("SELECT sum(cost) FROM usage WHERE kind = 1"), cost);
    assert_int_equal(number("PRAGMA auto_vacuum"), 2);
    assert_int_equal(number("PRAGMA freelist_count"), 0);
    struct sqlite3_stmt *s = store_prepare(db, "PRAGMA integrity_check");
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_span(store_text(s, 0), "ok");
    sqlite3_finalize(s);
}

static void costs_have_classes(void **state) {
    assert_int_equal(fold_cost_class(-1), -1);
    assert_int_equal(fold_cost_class(0), 0);
    assert_int_equal(fold_cost_class(1), 1);
    assert_int_equal(fold_cost_class(1023), 10);
    assert_int_equal(fold_cost_class(1024), 11);
    assert_int_equal(fold_cost_class(INT64_MAX), 63);
}

int main(void) {
#define UNIT(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        UNIT(sums_are_those_of_the_rows),
        UNIT(a_transaction_that_is_given_up_leaves_nothing),
        UNIT(journals_that_are_gone_are_forgotten),
        UNIT(many_of_one_moment_each_have_a_row),
        UNIT(an_id_is_told_once),
        UNIT(sums_stop_at_the_largest_number),
        UNIT(a_ledger_without_endpoints_is_brought_up_to_date),
        UNIT(the_last_word_of_a_client_counts),
        UNIT(prompts_go_when_their_time_has_come),
        UNIT(what_never_ended_is_an_orphan_once_its_writer_is_dead),
        UNIT(what_ended_is_none),
        UNIT(an_orphan_given_up_comes_again),
        UNIT(what_is_old_goes_and_its_sums_stay),
        cmocka_unit_test(costs_have_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
