/* keystore_test.c - what was kept comes back as it was; a change is on the disk or did not happen;
 * what can not be read is refused in words. */
#include "money/keystore.h"

#include "support/ledger_kit.h"
#include "support/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NOW INT64_C(1795348800)
static const unsigned char pepper[KEYS_PEPPER_SIZE] = "thirty-two bytes that are secret";

static char folder[64], path[96];
static struct keystore *store;
static struct keys *keys;
static struct buf secret, id, why;
static struct keys_pass pass;

static bool put_key(void *owner, const struct key *key, struct buf *reason) {
    return keystore_put_key(store, key, reason);
}

static bool put_project(void *owner, const struct project *project, struct buf *reason) {
    return keystore_put_project(store, project, reason);
}

static void open_all(void) {
    static const struct keys_store keeps = { put_key, put_project };
    struct store_error error;
    store = keystore_open(path, &error);
    if (!store)
        fail_msg("%s", error.text);
    keys = keys_new(pepper);
    struct keys_draft *draft = keystore_load(store, &error);
    if (!draft)
        fail_msg("%s", error.text);
    keys_replace(keys, KEYS_STORED, draft);
    keys_keep(keys, &keeps, NULL);
}

static void close_all(void) {
    keys_pass_end(&pass);
    keys_free(keys);
    keystore_close(store);
    store = NULL;
}

static void reopen(void) {
    close_all();
    open_all();
    pass = keys_anybody(keys);
}

static int set_up(void **state) {
    snprintf(path, sizeof path, "%s/keys.db", ledger_kit_folder(folder));
    open_all();
    return 0;
}

static int tear_down(void **state) {
    close_all();
    ledger_kit_remove(folder);
    buf_deinit(&secret);
    buf_deinit(&id);
    buf_deinit(&why);
    return 0;
}

static const struct span tags[] = { { "ci", 2 }, { "line\nfeed \"quoted\", \\ \xc3\xa4", 24 } };
static const struct span models[] = { { "gpt-4o", 6 }, { "openai/*", 8 } };
static const struct span policies[] = { { "cheapest", 8 } };
static const struct budget_cap caps[] = {
    { .period = PERIOD_DAY, .offset_min = -570, .nano = 5000000000, .alerts = { 50, 80, 100 } },
    { .period = PERIOD_MONTH, .offset_min = 120, .nano = INT64_MAX, .alerts = { 1, 2, 3, 4 } },
    { .period = PERIOD_TOTAL },
};
static const struct project shop = { .name = { "shop", 4 },
                                     .tier = { "paid", 4 },
                                     .policy = { "tier", 4 },
                                     .tags = tags,
                                     .n_tags = 2,
                                     .limits = { 60, UINT32_MAX, 10 },
                                     .caps = caps,
                                     .n_caps = 3,
                                     .free_requests = 1000,
                                     .markup_ppm = 200000,
                                     .bodies = { 16384, 7, true } };
static const struct key full = { .name = { "CI \"x\"", 6 },
                                 .project = { "shop", 4 },
                                 .tier = { "gold", 4 },
                                 .policy = { "fastest", 7 },
                                 .metadata = { "{\"team\":\"x\"}", 12 },
                                 .tags = tags,
                                 .n_tags = 2,
                                 .models = models,
                                 .n_models = 2,
                                 .policies = policies,
                                 .n_policies = 1,
                                 .grants = KEYS_GRANT_POLICY | KEYS_GRANT_MODELS,
                                 .strict = true,
                                 .limits = { 1, 2, 3 },
                                 .caps = caps,
                                 .n_caps = 3,
                                 .expires_s = NOW + 1000 };
static const struct key plain = { .project = { "default", 7 }, .expires_s = PERIOD_FOR_EVER };

static struct span make(const struct key *like) {
    buf_clear(&secret);
    buf_clear(&id);
    assert_int_equal(keys_make(keys, like, NOW, &secret, &id, &why), KEYS_CHANGED);
    return buf_span(&id);
}

static enum keys_verdict ask(struct span presented, int64_t now_s) {
    struct keys_pass who;
    enum keys_verdict verdict = keys_check(keys, presented, now_s, &who);
    keys_pass_end(&who);
    return verdict;
}

static void assert_spans(const struct span *got, size_t n, const struct span *wanted, size_t m) {
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++)
        assert_span(got[i], wanted[i].at);
}

static void assert_caps(const struct budget_cap *got, size_t n, enum budget_scope scope,
                        struct span name) {
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(got[i].scope, scope);
        assert_true(span_eq(got[i].name, name));
        assert_int_equal(got[i].period, caps[i].period);
        assert_int_equal(got[i].offset_min, caps[i].offset_min);
        assert_true(got[i].nano == caps[i].nano);
        assert_memory_equal(got[i].alerts, caps[i].alerts, BUDGET_ALERTS);
    }
}

/* --- coming back --- */

static void a_project_comes_back_as_it_was(void **state) {
    assert_int_equal(keys_put_project(keys, &shop, &why), KEYS_CHANGED);
    reopen();
    const struct project *p = keys_project(&pass, SPAN("shop"));
    assert_non_null(p);
    assert_span(p->tier, "paid");
    assert_span(p->policy, "tier");
    assert_spans(p->tags, p->n_tags, tags, 2);
    assert_caps(p->caps, p->n_caps, BUDGET_PROJECT, SPAN("shop"));
    assert_memory_equal(&p->limits, &shop.limits, sizeof p->limits);
    assert_true(p->free_requests == 1000 && p->markup_ppm == 200000);
    assert_true(p->bodies.max_bytes == 16384 && p->bodies.retention_days == 7);
    assert_true(p->bodies.redact);
    assert_int_equal(p->source, KEYS_STORED);
}

static void a_key_comes_back_as_it_was(void **state) {
    keys_put_project(keys, &shop, &why);
    make(&full);
    reopen();
    const struct key *k = keys_find(&pass, buf_span(&id));
    assert_non_null(k);
    assert_span(k->name, "CI \"x\"");
    assert_span(k->project, "shop");
    assert_span(k->tier, "gold");
    assert_span(k->policy, "fastest");
    assert_span(k->metadata, "{\"team\":\"x\"}");
    assert_spans(k->tags, k->n_tags, tags, 2);
    assert_spans(k->models, k->n_models, models, 2);
    assert_spans(k->policies, k->n_policies, policies, 1);
    assert_caps(k->caps, k->n_caps, BUDGET_KEY, buf_span(&id));
    assert_int_equal(k->grants, KEYS_GRANT_POLICY | KEYS_GRANT_MODELS);
    assert_true(k->strict && !k->revoked);
    assert_memory_equal(&k->limits, &full.limits, sizeof k->limits);
    assert_true(k->created_s == NOW && k->expires_s == NOW + 1000);
    assert_int_equal(ask(buf_span(&secret), NOW), KEYS_GOOD);
}

static void what_is_absent_stays_absent(void **state) {
    make(&plain);
    reopen();
    const struct key *k = keys_find(&pass, buf_span(&id));
    assert_span(k->name, NULL);
    assert_span(k->tier, NULL);
    assert_span(k->metadata, NULL);
    assert_int_equal(k->n_tags + k->n_models + k->n_policies + k->n_caps, 0);
    assert_true(k->expires_s == PERIOD_FOR_EVER && k->secret.until_s == PERIOD_FOR_EVER);
    assert_string_equal(k->previous.last, "");
}

static void both_secrets_of_a_rotation_come_back(void **state) {
    struct buf next = { 0 };
    struct span which = make(&plain);
    assert_int_equal(keys_rotate(keys, which, 60, NOW, &next, &why), KEYS_CHANGED);
    reopen();
    assert_int_equal(ask(buf_span(&next), NOW + 61), KEYS_GOOD);
    assert_int_equal(ask(buf_span(&secret), NOW + 59), KEYS_GOOD);
    assert_int_equal(ask(buf_span(&secret), NOW + 61), KEYS_EXPIRED);
    buf_deinit(&next);
}

static void a_revoked_key_stays_revoked(void **state) {
    assert_int_equal(keys_revoke(keys, make(&plain), &why), KEYS_CHANGED);
    reopen();
    assert_int_equal(ask(buf_span(&secret), NOW), KEYS_REVOKED);
    assert_int_equal(keys_count(&pass), 1);
}

/* --- the file --- */

static void secrets_are_not_in_it_and_it_is_ours_alone(void **state) {
    struct stat st;
    char bytes[65536];
    struct buf all = { 0 };
    make(&plain);
    close_all();
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    int fd = open(path, O_RDONLY);
    for (ssize_t n; (n = read(fd, bytes, sizeof bytes)) > 0;)
        buf_append(&all, bytes, (size_t)n);
    close(fd);
    assert_non_null(memmem(all.at, all.len, id.at, id.len));
    assert_null(memmem(all.at, all.len, secret.at, secret.len));
    assert_null(memmem(all.at, all.len, secret.at + 3, 16));
    buf_deinit(&all);
    open_all();
}

static void what_can_not_be_kept_has_not_happened(void **state) {
    struct rlimit old, none;
    make(&plain);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    none = old;
    none.rlim_cur = 1;
    setrlimit(RLIMIT_FSIZE, &none);
    enum keys_change change = keys_revoke(keys, buf_span(&id), &why);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(change, KEYS_NOT_STORED);
    assert_non_null(memmem(why.at, why.len, path, strlen(path)));
    assert_int_equal(ask(buf_span(&secret), NOW), KEYS_GOOD);
    assert_int_equal(keys_revoke(keys, buf_span(&id), &why), KEYS_CHANGED);
}

static void assert_refused(enum store_failure wanted) {
    struct store_error error;
    struct keystore *s = keystore_open(path, &error);
    struct keys_draft *draft = s ? keystore_load(s, &error) : NULL;
    assert_null(draft);
    assert_int_equal(error.why, wanted);
    assert_non_null(strstr(error.text, path));
    keystore_close(s);
}

static void a_second_process_is_refused(void **state) {
    struct store_error error;
    assert_refused(STORE_LOCKED);
    assert_null(keystore_open(path, &error));
    assert_non_null(strstr(error.text, "its number is in"));
}

static void change(const char *sql) {
    struct sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void what_is_newer_foreign_or_damaged_is_refused(void **state) {
    static const struct {
        const char *harm, *repair;
        enum store_failure why;
    } cases[] = {
        { "PRAGMA user_version = 9", "PRAGMA user_version = 1", STORE_NEWER },
        { "PRAGMA application_id = 1", "PRAGMA application_id = 1349274489", STORE_FOREIGN },
        { "UPDATE keys SET models = '[1]'", "UPDATE keys SET models = NULL", STORE_DAMAGED },
        { "UPDATE keys SET models = '{}'", "UPDATE keys SET models = NULL", STORE_DAMAGED },
        { "UPDATE keys SET caps = '[{\"period\":\"day\"}]'", "UPDATE keys SET caps = NULL",
          STORE_DAMAGED },
        { "UPDATE keys SET mac = x'00'", "UPDATE keys SET mac = zeroblob(32)", STORE_DAMAGED },
        { "UPDATE keys SET grants = 8", "UPDATE keys SET grants = 0", STORE_DAMAGED },
    };
    make(&plain);
    close_all();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        change(cases[i].harm);
        assert_refused(cases[i].why);
        change(cases[i].repair);
    }
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "no database at all", 18, 0), 18);
    close(fd);
    assert_refused(STORE_FOREIGN);
    unlink(path);
    open_all();
}

/* --- many --- */

static void ten_thousand_keys_are_loaded_at_once(void **state) {
    const struct span last = SPAN("key_9999");
    struct sqlite3 *db;
    keys_put_project(keys, &shop, &why);
    make(&full);
    close_all();
    /* The same key under other names: writing each for itself takes the disk too long. */
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db,
                     "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9999)"
                     " INSERT INTO keys SELECT 'key_' || i, name, project, tier, policy, metadata,"
                     " tags, models, policies, grants, strict, revoked, rpm, tpm, concurrent, caps,"
                     " created_s, expires_s, randomblob(32), last, until_s, previous_mac,"
                     " previous_last, previous_until_s FROM n, keys",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    clock_t began = clock();
    open_all();
    double took_s = (double)(clock() - began) / CLOCKS_PER_SEC;
    pass = keys_anybody(keys);
    assert_int_equal(keys_count(&pass), 10000);
    assert_caps(keys_find(&pass, last)->caps, 3, BUDGET_KEY, last);
    print_message("10,000 keys with three caps and three lists each: %.0f ms of processor time\n",
                  took_s * 1000);
    assert_true(took_s < 3); /* ten times what it should be: sanitizers */
}

int main(void) {
#define UNIT(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        UNIT(a_project_comes_back_as_it_was),
        UNIT(a_key_comes_back_as_it_was),
        UNIT(what_is_absent_stays_absent),
        UNIT(both_secrets_of_a_rotation_come_back),
        UNIT(a_revoked_key_stays_revoked),
        UNIT(secrets_are_not_in_it_and_it_is_ours_alone),
        UNIT(what_can_not_be_kept_has_not_happened),
        UNIT(a_second_process_is_refused),
        UNIT(what_is_newer_foreign_or_damaged_is_refused),
        UNIT(ten_thousand_keys_are_loaded_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
