/* store_test.c - a database is made, brought up to date version by version, and left alone when it
 * is not
 * ours. (What a ledger says of files it refuses: ledger_test.c.) */
#include "money/store.h"

#include "support/ledger_kit.h"
#include "support/unit.h"

#include <sqlite3.h>
#include <sys/stat.h>

static char folder[64], path[96];

static int set_up(void **state) {
    snprintf(path, sizeof path, "%s/s.db", ledger_kit_folder(folder));
    return 0;
}

static int tear_down(void **state) {
    ledger_kit_remove(folder);
    return 0;
}

static const char *const two[] = { "CREATE TABLE a (x); INSERT INTO a VALUES (1)",
                                   "ALTER TABLE a ADD y; UPDATE a SET y = x + 1" };
static const struct store_schema old = { "test", 77, NULL, two, 1 },
                                 new = { "test", 77, NULL, two, 2 };

static struct sqlite3 *open_as(const struct store_schema *schema) {
    struct store_error error;
    struct sqlite3 *db = store_open(path, schema, &error);
    if (!db)
        fail_msg("%s", error.text);
    return db;
}

static void it_is_made_and_brought_up_to_date(void **state) {
    struct stat st;
    struct sqlite3 *db = open_as(&old);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(ledger_kit_number(db, "PRAGMA user_version"), 1);
    sqlite3_close(db);
    db = open_as(&new);
    assert_int_equal(ledger_kit_number(db, "SELECT y FROM a"), 2);
    assert_int_equal(ledger_kit_number(db, "PRAGMA user_version"), 2);
    assert_int_equal(ledger_kit_number(db, "PRAGMA application_id"), 77);
    assert_int_equal(ledger_kit_number(db, "PRAGMA synchronous"), 2);
    sqlite3_close(db);
    sqlite3_close(open_as(&new));
}

static void a_version_that_fails_leaves_the_last_one(void **state) {
    const char *const bad[] = { two[0], "CREATE TABLE b (x); CREATE TABLE a (x)" };
    const struct store_schema broken = { "test", 77, NULL, bad, 2 };
    struct store_error error;
    sqlite3_close(open_as(&old));
    assert_null(store_open(path, &broken, &error));
    assert_non_null(strstr(error.text, path));
    struct sqlite3 *db = open_as(&old);
    assert_int_equal(ledger_kit_number(db, "PRAGMA user_version"), 1);
    assert_int_equal(ledger_kit_number(db, "SELECT count(*) FROM sqlite_schema"), 1);
    sqlite3_close(db);
}

static void a_newer_one_and_anothers_are_left_alone(void **state) {
    const struct store_schema other = { "test", 78, NULL, two, 2 };
    struct store_error error;
    sqlite3_close(open_as(&new));
    assert_null(store_open(path, &old, &error));
    assert_int_equal(error.why, STORE_NEWER);
    assert_null(store_open(path, &other, &error));
    assert_int_equal(error.why, STORE_FOREIGN);
    sqlite3_close(open_as(&new));
}

static void a_reader_sees_and_changes_nothing(void **state) {
    struct store_error error;
    assert_null(store_open_reader(path, &new, &error));
    assert_int_equal(error.why, STORE_UNUSABLE);
    struct sqlite3 *writer = open_as(&new), *reader = store_open_reader(path, &new, &error);
    assert_non_null(reader);
    assert_int_equal(sqlite3_exec(reader, "DELETE FROM a", NULL, NULL, NULL), SQLITE_READONLY);
    sqlite3_exec(writer, "BEGIN; INSERT INTO a VALUES (3, 4)", NULL, NULL, NULL);
    assert_int_equal(ledger_kit_number(reader, "SELECT count(*) FROM a"), 1);
    sqlite3_exec(writer, "COMMIT", NULL, NULL, NULL);
    assert_int_equal(ledger_kit_number(reader, "SELECT count(*) FROM a"), 2);
    sqlite3_close(reader);
    sqlite3_close(writer);
}

static void what_is_absent_is_null(void **state) {
    struct sqlite3 *db = open_as(&new);
    struct sqlite3_stmt *s = store_prepare(db, "SELECT ?1, ?2, ?3, ?4");
    store_bind_text(s, 1, SPAN_NONE);
    store_bind_text(s, 2, SPAN(""));
    store_bind_known(s, 3, -1);
    store_bind_known(s, 4, 0);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_span(store_text(s, 0), NULL);
    assert_span(store_text(s, 1), "");
    assert_int_equal(store_known(s, 2), -1);
    assert_int_equal(store_known(s, 3), 0);
    sqlite3_finalize(s);
    assert_null(store_prepare(db, "SELECT * FROM nothing"));
    sqlite3_close(db);
}

int main(void) {
#define UNIT(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        UNIT(it_is_made_and_brought_up_to_date),
        UNIT(a_version_that_fails_leaves_the_last_one),
        UNIT(a_newer_one_and_anothers_are_left_alone),
        UNIT(a_reader_sees_and_changes_nothing),
        UNIT(what_is_absent_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
