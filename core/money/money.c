#include "money/money.h"

#include "base/clock.h"
#include "base/random.h"
#include "money/keystore.h"
#include "money/usage.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define PATH_SIZE 4096
#define SECOND_US INT64_C(1000000)

static int64_t now_s(void) {
    return (int64_t)(clock_wall_ms() / 1000);
}

/* --- what was spent before -------------------------------------------------------------------- */

static uint64_t in_us(int64_t s) {
    return s < INT64_MAX / SECOND_US ? (uint64_t)(s * SECOND_US) : INT64_MAX;
}

/* What of the period of `now` the ledger knows. All of it, not just what is behind: whole days are
 * sums, and of what is to come there are no records. What can not be read is not taken for nothing:
 * false, and whatever wanted to have the cap is refused. */
static bool read_spent(struct money *m, const struct budget_cap *cap, int64_t now,
                       struct usage_spent *spent, struct store_error *error) {
    static const enum usage_by by[BUDGET_SCOPES] = { [BUDGET_KEY] = USAGE_BY_KEY,
                                                     [BUDGET_PROJECT] = USAGE_BY_PROJECT,
                                                     [BUDGET_ROUTE] = USAGE_BY_ENDPOINT,
                                                     [BUDGET_ACCOUNT] = USAGE_BY_NOTHING };
    struct period p = period_at(cap->period, cap->offset_min, now);
    int result = usage_spent_between(m->spent, by[cap->scope], cap->name, in_us(p.from_s),
                                     in_us(p.to_s), spent);
    if (result != 0)
        store_explain(error, "ledger", ledger_path(m->ledger), -result);
    return result == 0;
}

/* Whose process died may have spent its bound. What free requests cost is not charged to their key
 * and project. */
static bool load_cap(struct money *m, const struct budget_cap *cap, int64_t now,
                     struct store_error *error) {
    struct usage_spent spent;
    if (!m->spent || cap->scope == BUDGET_REQUEST)
        return true;
    if (!read_spent(m, cap, now, &spent, error))
        return false;
    int64_t all = entry_add(spent.cost, spent.most);
    if (cap->scope == BUDGET_KEY || cap->scope == BUDGET_PROJECT)
        all -= spent.free_spent < all ? spent.free_spent : all;
    budget_load(m->budget, cap, all, now);
    return true;
}

/* As keys will have them: caps of a key are that key's, whatever they are called yet. */
static bool load_caps(struct money *m, const struct budget_cap *caps, size_t n,
                      enum budget_scope scope, struct span name, int64_t now,
                      struct store_error *error) {
    bool read = true;
    for (size_t i = 0; read && i < n; i++) {
        struct budget_cap cap = caps[i];
        cap.scope = scope;
        cap.name = name;
        read = load_cap(m, &cap, now, error);
    }
    return read;
}

static bool prepare_key(struct money *m, const struct key *key, int64_t now,
                        struct store_error *error) {
    return load_caps(m, key->caps, key->n_caps, BUDGET_KEY, key->id, now, error);
}

static bool prepare_project(struct money *m, const struct project *project, int64_t now,
                            struct store_error *error) {
    const struct budget_cap ever = { .scope = BUDGET_PROJECT,
                                     .name = project->name,
                                     .period = PERIOD_TOTAL };
    struct usage_spent spent;
    if (!load_caps(m, project->caps, project->n_caps, BUDGET_PROJECT, project->name, now, error))
        return false;
    if (!m->spent || !project->free_requests)
        return true;
    if (!read_spent(m, &ever, now, &spent, error))
        return false;
    budget_free_load(m->budget, project->name, spent.free_requests);
    return true;
}

/* --- what is made later ----------------------------------------------------------------------- */

/* A key that is revoked spends no more: whatever the ledger is like, it can be revoked. */
static bool put_key(void *owner, const struct key *key, struct buf *why) {
    struct money *m = owner;
    struct store_error error;
    if (key->revoked || prepare_key(m, key, now_s(), &error))
        return !m->store || keystore_put_key(m->store, key, why);
    buf_add(why, span_of(error.text));
    return false;
}

static bool put_project(void *owner, const struct project *project, struct buf *why) {
    struct money *m = owner;
    struct store_error error;
    if (prepare_project(m, project, now_s(), &error))
        return !m->store || keystore_put_project(m->store, project, why);
    buf_add(why, span_of(error.text));
    return false;
}

/* Before anybody can present one of them. */
static bool prepare_stored(struct money *m, struct store_error *error) {
    struct keys_pass pass = keys_anybody(m->keys);
    int64_t now = now_s();
    bool read = true;
    for (size_t i = 0; read && i < keys_count(&pass); i++)
        read = prepare_key(m, keys_nth(&pass, i), now, error);
    for (size_t i = 0; read && i < keys_project_count(&pass); i++)
        read = prepare_project(m, keys_nth_project(&pass, i), now, error);
    keys_pass_end(&pass);
    return read;
}

/* --- opening ---------------------------------------------------------------------------------- */

static bool refuse(struct store_error *error, const char *what, const char *path,
                   const char *reason, const char *way_out) {
    error->why = STORE_UNUSABLE;
    snprintf(error->text, sizeof error->text, "the %s %.400s can not be used: %.300s: %s", what,
             path, reason, way_out);
    return false;
}

static bool open_folder(const char *folder, struct store_error *error) {
    if (mkdir(folder, 0700) == 0 || errno == EEXIST)
        return true;
    return refuse(error, "folder", folder, strerror(errno),
                  "make the folders it stands in, or name another one (data_dir)");
}

static bool open_keys(struct money *m, const char *folder, struct store_error *error) {
    unsigned char pepper[KEYS_PEPPER_SIZE];
    char path[PATH_SIZE + 16];
    struct buf why = { 0 };
    snprintf(path, sizeof path, "%s/pepper", folder);
    random_system(pepper, sizeof pepper);
    bool fine = !*folder || keys_pepper(path, pepper, &why);
    if (fine)
        m->keys = keys_new(pepper);
    else {
        buf_add_char(&why, '\0');
        refuse(error, "pepper of keys", path, why.at, "let this user read and write it");
    }
    explicit_bzero(pepper, sizeof pepper);
    buf_deinit(&why);
    return fine;
}

static bool open_ledger(struct money *m, const struct config *config, const char *folder,
                        struct store_error *error) {
    if (!*folder || !config->ledger)
        return true;
    m->ledger =
        ledger_open(&(struct ledger_settings){ .folder = span_of(folder),
                                               .spill = config->ledger_spill,
                                               .retention_days = config->ledger_retention_days },
                    error);
    if (!m->ledger || !ledger_catch_up(m->ledger, error))
        return false;
    m->spent = usage_open(ledger_path(m->ledger), error);
    return m->spent != NULL;
}

static bool open_store(struct money *m, const char *folder, struct store_error *error) {
    static const struct keys_store store = { put_key, put_project };
    char path[PATH_SIZE + 16];
    keys_keep(m->keys, &store, m);
    if (!*folder)
        return true;
    snprintf(path, sizeof path, "%s/keys.db", folder);
    m->store = keystore_open(path, error);
    struct keys_draft *draft = m->store ? keystore_load(m->store, error) : NULL;
    if (!draft)
        return false;
    keys_replace(m->keys, KEYS_STORED, draft);
    return true;
}

int money_open(struct money *m, const struct config *config, const struct budget_events *alerts,
               void *owner, struct store_error *error) {
    char folder[PATH_SIZE];
    *m = (struct money){ 0 };
    span_copy(config->data_dir, folder, sizeof folder);
    m->limits = limits_new();
    m->budget = budget_new(alerts, owner);
    if ((!*folder || open_folder(folder, error)) && open_keys(m, folder, error) &&
        open_store(m, folder, error) && open_ledger(m, config, folder, error) &&
        prepare_stored(m, error)) {
        if (m->ledger)
            ledger_start(m->ledger);
        return 0;
    }
    money_close(m);
    return -EIO;
}

static bool prepare_configured(struct money *m, const struct config *c, struct store_error *error) {
    int64_t now = now_s();
    bool read = true;
    for (size_t i = 0; read && i < c->n_caps; i++)
        read = load_cap(m, &c->caps[i], now, error);
    for (size_t i = 0; read && i < c->n_projects; i++)
        read = prepare_project(m, &c->projects[i], now, error);
    for (size_t i = 0; read && i < c->n_keys; i++)
        read = prepare_key(m, &c->keys[i].key, now, error);
    return read;
}

int money_adopt(struct money *m, const struct snapshot *snap, struct store_error *error) {
    const struct config *c = &snap->config;
    if (!prepare_configured(m, c, error))
        return -EIO;
    struct keys_draft *draft = keys_draft_new();
    for (size_t i = 0; i < c->n_projects; i++)
        keys_draft_project(draft, &c->projects[i]);
    for (size_t i = 0; i < c->n_keys; i++) {
        struct key key = c->keys[i].key;
        key.secret = keys_secret(m->keys, c->keys[i].secret);
        keys_draft_key(draft, &key);
    }
    keys_replace(m->keys, KEYS_MANAGED, draft);
    return 0;
}

bool money_may_spend(const struct money *m) {
    return !m->ledger || ledger_may_spend(m->ledger);
}

void money_close(struct money *m) {
    usage_close(m->spent);
    ledger_close(m->ledger);
    if (m->keys)
        keys_free(m->keys);
    keystore_close(m->store);
    if (m->limits)
        limits_free(m->limits);
    if (m->budget)
        budget_free(m->budget);
    *m = (struct money){ 0 };
}
