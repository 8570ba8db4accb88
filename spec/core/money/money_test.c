/* money_test.c - keys, caps and the record as one: what the configuration says is taken over, what
 * was spent by an earlier process counts, what can not be opened is refused in words. */
#include "money/money.h"

#include "base/clock.h"
#include "money/journal.h"
#include "support/ledger_kit.h"
#include "support/unit.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <time.h>
#include <unistd.h>

#define DOLLAR INT64_C(1000000000)

static char folder[64];
static struct snapshot *snap;
static struct money money;
static struct buf secret, id, why;

static const struct budget_cap month = { .period = PERIOD_MONTH, .nano = 9 * DOLLAR };
static const struct budget_cap both[] = {
    { .scope = BUDGET_ACCOUNT, .period = PERIOD_DAY, .nano = 9 * DOLLAR },
    { .scope = BUDGET_ROUTE, .name = { "/v1/messages", 12 }, .period = PERIOD_TOTAL, .nano = 9 },
    { .scope = BUDGET_REQUEST, .period = PERIOD_TOTAL, .nano = 5 },
};
static const struct project shop = {
    .name = { "shop", 4 }, .caps = &month, .n_caps = 1, .free_requests = 10
};
static const struct configured_key ci = { .key = { .id = { "ci", 2 },
                                                   .project = { "shop", 4 },
                                                   .expires_s = PERIOD_FOR_EVER,
                                                   .caps = &month,
                                                   .n_caps = 1 },
                                          .secret = { "a-plain-secret", 14 } };

static int set_up(void **state) {
    ledger_kit_folder(folder);
    snap = snapshot_new();
    struct config *c = &snap->config;
    c->data_dir = span_of(folder);
    c->ledger = true;
    c->projects = &shop;
    c->n_projects = 1;
    c->keys = &ci;
    c->n_keys = 1;
    c->caps = both;
    c->n_caps = 3;
    return 0;
}

static int tear_down(void **state) {
    money_close(&money);
    snapshot_unref(snap);
    ledger_kit_remove(folder);
    buf_deinit(&secret);
    buf_deinit(&id);
    buf_deinit(&why);
    return 0;
}

static void adopt(void) {
    struct store_error error;
    if (money_adopt(&money, snap, &error) < 0)
        fail_msg("%s", error.text);
}

static void start(void) {
    struct store_error error;
    if (money_open(&money, &snap->config, NULL, NULL, &error) < 0)
        fail_msg("%s", error.text);
    adopt();
}

static void restart(void) {
    money_close(&money);
    start();
}

static int64_t now(void) {
    return (int64_t)(clock_wall_ms() / 1000);
}

static enum keys_verdict ask(struct span presented) {
    struct keys_pass pass;
    enum keys_verdict verdict = keys_check(money.keys, presented, now(), &pass);
    keys_pass_end(&pass);
    return verdict;
}

static struct budget_cap cap_of(enum budget_scope scope, struct span name, enum period_kind kind) {
    return (struct budget_cap){ .scope = scope, .name = name, .period = kind, .nano = 9 * DOLLAR };
}

static int64_t spent(enum budget_scope scope, const char *name, enum period_kind kind) {
    struct budget_cap cap = cap_of(scope, span_of(name), kind);
    return budget_figure(money.budget, &cap, now()).spent;
}

/* --- taking over --- */

static void what_is_configured_is_taken_over(void **state) {
    struct keys_pass pass;
    start();
    assert_int_equal(keys_check(money.keys, SPAN("a-plain-secret"), now(), &pass), KEYS_GOOD);
    assert_span(pass.key->id, "ci");
    assert_int_equal(pass.key->source, KEYS_MANAGED);
    assert_int_equal(pass.key->caps->scope, BUDGET_KEY);
    assert_int_equal(pass.project->free_requests, 10);
    keys_pass_end(&pass);
    snap->config.n_keys = 0;
    adopt();
    assert_int_equal(ask(SPAN("a-plain-secret")), KEYS_UNKNOWN);
}

static void make_key(void) {
    struct key like = { .project = SPAN("shop"), .expires_s = PERIOD_FOR_EVER };
    like.caps = &month;
    like.n_caps = 1;
    assert_int_equal(keys_make(money.keys, &like, now(), &secret, &id, &why), KEYS_CHANGED);
}

static void keys_made_later_are_there_after_a_restart(void **state) {
    start();
    make_key();
    restart();
    assert_int_equal(ask(buf_span(&secret)), KEYS_GOOD);
    assert_int_equal(ask(SPAN("a-plain-secret")), KEYS_GOOD);
}

static void without_a_folder_they_last_as_long_as_the_process(void **state) {
    snap->config.data_dir = SPAN_NONE;
    start();
    assert_null(money.ledger);
    make_key();
    assert_int_equal(ask(buf_span(&secret)), KEYS_GOOD);
    assert_true(money_may_spend(&money));
    restart();
    assert_int_equal(ask(buf_span(&secret)), KEYS_UNKNOWN);
    assert_int_equal(ask(SPAN("a-plain-secret")), KEYS_GOOD);
}

static void without_a_ledger_there_is_none(void **state) {
    char path[96];
    snap->config.ledger = false;
    start();
    assert_null(money.ledger);
    assert_true(money_may_spend(&money));
    snprintf(path, sizeof path, "%s/ledger.db", folder);
    assert_int_equal(access(path, F_OK), -1);
}

/* --- what was spent before --- */

static struct journal *journal;

static void open_journal(void) {
    struct journal_error error;
    journal =
        journal_open(&(struct journal_settings){ .folder = ledger_journals(money.ledger) }, &error);
    assert_non_null(journal);
}

static void record(const char *request, struct span key, bool is_free, nanousd cost) {
    struct entry_attempt a = { .number = 1, .cost = cost, .billed = cost, .most = -1 };
    struct entry e = { .id = span_of(request),
                       .at_us = clock_wall_ms() * 1000,
                       .key = key,
                       .project = SPAN("shop"),
                       .endpoint = SPAN("/v1/messages"),
                       .free = is_free,
                       .attempts = &a,
                       .n_attempts = 1 };
    assert_int_equal(journal_ended(journal, &e), 0);
}

/* Nothing more is heard of it. */
static void begin(const char *request, struct span key, nanousd bound) {
    struct entry_begun b = { .request = span_of(request),
                             .number = 1,
                             .at_us = clock_wall_ms() * 1000,
                             .key = key,
                             .project = SPAN("shop"),
                             .endpoint = SPAN("/v1/messages"),
                             .bound = bound };
    assert_int_equal(journal_begun(journal, &b), 0);
}

static void what_an_earlier_process_spent_counts(void **state) {
    start();
    make_key();
    open_journal();
    record("a", SPAN("ci"), false, 100);
    record("b", buf_span(&id), false, 20);
    record("c", SPAN("ci"), true, 3);
    begin("d", SPAN("ci"), 5000);
    journal_close(journal);
    restart();
    assert_int_equal(spent(BUDGET_ACCOUNT, NULL, PERIOD_DAY), 5123);
    assert_int_equal(spent(BUDGET_ROUTE, "/v1/messages", PERIOD_TOTAL), 5123);
    /* Free requests are not charged to these. */
    assert_int_equal(spent(BUDGET_PROJECT, "shop", PERIOD_MONTH), 5120);
    assert_int_equal(spent(BUDGET_KEY, "ci", PERIOD_MONTH), 5100);
    buf_add_char(&id, '\0');
    assert_int_equal(spent(BUDGET_KEY, id.at, PERIOD_MONTH), 20);
    assert_int_equal(budget_free_left(money.budget, SPAN("shop"), 10), 9);
}

static void what_was_spent_before_the_period_does_not(void **state) {
    start();
    open_journal();
    struct entry_attempt a = { .number = 1, .cost = 70, .billed = 70, .most = -1 };
    struct entry e = { .id = SPAN("old"),
                       .at_us = (clock_wall_ms() - INT64_C(40) * 86400000) * 1000,
                       .project = SPAN("shop"),
                       .endpoint = SPAN("/v1/messages"),
                       .attempts = &a,
                       .n_attempts = 1 };
    assert_int_equal(journal_ended(journal, &e), 0);
    journal_close(journal);
    restart();
    assert_int_equal(spent(BUDGET_ACCOUNT, NULL, PERIOD_DAY), 0);
    assert_int_equal(spent(BUDGET_PROJECT, "shop", PERIOD_MONTH), 0);
    assert_int_equal(spent(BUDGET_ROUTE, "/v1/messages", PERIOD_TOTAL), 70);
}

static void a_reload_forgets_nothing_and_new_caps_begin_with_what_was_spent(void **state) {
    struct budget_cap cap = cap_of(BUDGET_KEY, SPAN("ci"), PERIOD_MONTH);
    struct budget_ask more = { .fixed = 7 };
    struct budget_answer answer;
    struct budget_hold hold;
    struct project wider = shop;
    struct budget_cap total = cap_of(BUDGET_PROJECT, SPAN("lab"), PERIOD_TOTAL);
    start();
    open_journal();
    record("a", SPAN("ci"), false, 100);
    journal_close(journal);
    restart();
    assert_true(budget_reserve(money.budget, &cap, 1, &more, now(), &hold, &answer));
    budget_settle(money.budget, &hold, 7);
    adopt();
    assert_int_equal(spent(BUDGET_KEY, "ci", PERIOD_MONTH), 107);
    /* One that is put there, with a cap the configuration had not. */
    wider.name = SPAN("lab");
    wider.caps = &total;
    assert_int_equal(keys_put_project(money.keys, &wider, &why), KEYS_CHANGED);
    assert_int_equal(spent(BUDGET_PROJECT, "lab", PERIOD_TOTAL), 0);
    total.name = wider.name = SPAN("shop");
    snap->config.projects = &wider;
    adopt();
    assert_int_equal(spent(BUDGET_PROJECT, "shop", PERIOD_TOTAL), 100);
}

static void change(const char *file, const char *sql) {
    char path[128];
    struct sqlite3 *db;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* Twenty days of sums of ten thousand keys, each with a cap of its own to begin with. */
static void a_start_with_many_keys_and_days_takes_no_time(void **state) {
    start();
    make_key();
    open_journal();
    record("a", buf_span(&id), false, 20);
    journal_close(journal);
    money_close(&money);
    change("keys.db",
           "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9999)"
           " INSERT INTO keys SELECT 'key_' || i, name, project, tier, policy, metadata, tags,"
           " models, policies, grants, strict, revoked, rpm, tpm, concurrent, caps, created_s,"
           " expires_s, randomblob(32), last, until_s, previous_mac, previous_last,"
           " previous_until_s FROM n, keys");
    change("ledger.db",
           "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9999)"
           " INSERT INTO names (tag, text) SELECT 0, 'key_' || i FROM n;"
           "WITH RECURSIVE d (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM d LIMIT 20)"
           " INSERT INTO usage SELECT kind, day - i, n.id, project, requests, answered, failed,"
           " cancelled, refused, orphaned, free, attempts, unpriced, estimated, input, cached,"
           " written, output, reasoning, cost, billed, most, times, free_spent, scores, score_sum,"
           " score_squares FROM d, usage u, names n WHERE u.kind = 2 AND text LIKE 'key\\_%' "
           "ESCAPE '\\'");
    clock_t began = clock();
    start();
    double took_s = (double)(clock() - began) / CLOCKS_PER_SEC;
    print_message("a start with 10,000 keys: %.0f ms of processor time\n", took_s * 1000);
    assert_true(spent(BUDGET_KEY, "key_77", PERIOD_MONTH) % 20 == 0);
    assert_true(took_s < 20); /* by a walk over all days' sums it would be minutes */
}

/* --- refusing --- */

static void assert_refused(const char *file, enum store_failure wanted) {
    struct store_error error;
    struct money other;
    assert_true(money_open(&other, &snap->config, NULL, NULL, &error) < 0);
    assert_int_equal(error.why, wanted);
    assert_non_null(strstr(error.text, file));
    assert_null(other.keys);
}

static void overwrite(const char *file, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void put_away(const char *file) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    assert_int_equal(unlink(path), 0);
}

static void what_can_not_be_opened_is_refused_by_name(void **state) {
    static const struct {
        const char *file;
        enum store_failure why;
    } cases[] = { { "ledger.db", STORE_FOREIGN },
                  { "keys.db", STORE_FOREIGN },
                  { "pepper", STORE_UNUSABLE } };
    start();
    assert_refused("keys.db", STORE_LOCKED);
    money_close(&money);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start();
        money_close(&money);
        overwrite(cases[i].file, "something else that is longer than thirty-two bytes");
        assert_refused(cases[i].file, cases[i].why);
        put_away(cases[i].file);
    }
    start();
    money_close(&money);
    snap->config.data_dir = SPAN("/nowhere/at/all");
    assert_refused("/nowhere/at/all", STORE_UNUSABLE);
}

static int read_number(const char *file, const char *sql) {
    struct sqlite3 *db;
    struct sqlite3_stmt *s;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int number = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return number;
}

/* The first page of the table that has the sums of days: a look at the schema does not find it. */
static void damage_sums(void) {
    char path[128], junk[512];
    snprintf(path, sizeof path, "%s/ledger.db", folder);
    int page = read_number(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'usage'");
    int size = read_number(path, "PRAGMA page_size");
    memset(junk, 0x5a, sizeof junk);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, junk, sizeof junk, (off_t)(page - 1) * size), sizeof junk);
    close(fd);
}

/* A cap that began with nothing would be spent a second time. */
static void what_was_spent_and_can_not_be_read_is_not_taken_for_nothing(void **state) {
    struct store_error error;
    start();
    open_journal();
    record("a", SPAN("ci"), false, 100);
    journal_close(journal);
    money_close(&money);
    damage_sums();
    assert_int_equal(money_open(&money, &snap->config, NULL, NULL, &error), 0);
    assert_true(money_adopt(&money, snap, &error) < 0);
    assert_int_equal(error.why, STORE_DAMAGED);
    assert_non_null(strstr(error.text, "/ledger.db"));
    assert_int_equal(ask(SPAN("a-plain-secret")), KEYS_UNKNOWN);
    assert_int_equal(keys_put_project(money.keys, &shop, &why), KEYS_NOT_STORED);
    buf_add_char(&why, '\0');
    assert_non_null(strstr(why.at, "/ledger.db can not be used: it is damaged"));
}

static void keys_whose_spending_can_not_be_read_stop_the_start(void **state) {
    start();
    make_key();
    open_journal();
    record("a", buf_span(&id), false, 100);
    journal_close(journal);
    money_close(&money);
    damage_sums();
    assert_refused("/ledger.db", STORE_DAMAGED);
}

int main(void) {
#define UNIT(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        UNIT(what_is_configured_is_taken_over),
        UNIT(keys_made_later_are_there_after_a_restart),
        UNIT(without_a_folder_they_last_as_long_as_the_process),
        UNIT(without_a_ledger_there_is_none),
        UNIT(what_an_earlier_process_spent_counts),
        UNIT(what_was_spent_before_the_period_does_not),
        UNIT(a_reload_forgets_nothing_and_new_caps_begin_with_what_was_spent),
        UNIT(a_start_with_many_keys_and_days_takes_no_time),
        UNIT(what_can_not_be_opened_is_refused_by_name),
        UNIT(what_was_spent_and_can_not_be_read_is_not_taken_for_nothing),
        UNIT(keys_whose_spending_can_not_be_read_stop_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
