#include "money/keystore.h"

#include "base/json.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Lists are JSON arrays, so that names can hold anything. NULL: none; of a moment: never; of a MAC:
 * there is no such secret. */
static const char schema_1[] =
    "CREATE TABLE projects (name TEXT PRIMARY KEY, tier TEXT, policy TEXT, tags TEXT,"
    " rpm INTEGER NOT NULL, tpm INTEGER NOT NULL, concurrent INTEGER NOT NULL, caps TEXT,"
    " free_requests INTEGER NOT NULL, markup_ppm INTEGER NOT NULL, body_bytes INTEGER NOT NULL,"
    " body_days INTEGER NOT NULL, body_redact INTEGER NOT NULL) STRICT, WITHOUT ROWID;"

    "CREATE TABLE keys (id TEXT PRIMARY KEY, name TEXT, project TEXT, tier TEXT, policy TEXT,"
    " metadata TEXT, tags TEXT, models TEXT, policies TEXT, grants INTEGER NOT NULL,"
    " strict INTEGER NOT NULL, revoked INTEGER NOT NULL, rpm INTEGER NOT NULL,"
    " tpm INTEGER NOT NULL, concurrent INTEGER NOT NULL, caps TEXT, created_s INTEGER NOT NULL,"
    " expires_s INTEGER, mac BLOB, last TEXT, until_s INTEGER, previous_mac BLOB,"
    " previous_last TEXT, previous_until_s INTEGER) STRICT, WITHOUT ROWID;";

static const char *const versions[] = { schema_1 };

static const struct store_schema schema = { .what = "key store",
                                            .application_id = 0x506c4b79, /* "PlKy" */
                                            .versions = versions,
                                            .n_versions = 1 };

enum statement { ALL_PROJECTS, ALL_KEYS, PUT_PROJECT, PUT_KEY, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [ALL_PROJECTS] = "SELECT * FROM projects",
    [ALL_KEYS] = "SELECT * FROM keys",
    [PUT_PROJECT] = "INSERT OR REPLACE INTO projects VALUES"
                    " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    [PUT_KEY] = "INSERT OR REPLACE INTO keys VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
                " ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24)",
};

struct keystore {
    char *path;
    int lock;
    struct sqlite3 *db;
    struct sqlite3_stmt *statements[STATEMENTS];
    struct json_parser *json;
};

/* --- opening ---------------------------------------------------------------------------------- */

static int lock_beside(const char *path) {
    struct buf name = { 0 };
    buf_printf(&name, "%s.lock", path);
    buf_add_char(&name, '\0');
    int fd = store_lock(name.at);
    buf_deinit(&name);
    return fd;
}

/* Whoever starts a second gateway in the same folder reads this first. */
static void explain_lock(struct store_error *error, const char *path) {
    error->why = STORE_LOCKED;
    snprintf(error->text, sizeof error->text,
             "the %s %.400s can not be used: another process has locked it: end that process (its "
             "number is in %.400s.lock), or use another folder",
             schema.what, path, path);
}

static bool open_parts(struct keystore *s, struct store_error *error) {
    s->lock = lock_beside(s->path);
    if (s->lock == -EWOULDBLOCK)
        explain_lock(error, s->path);
    else if (s->lock < 0)
        store_explain(error, schema.what, s->path, SQLITE_CANTOPEN);
    if (s->lock < 0)
        return false;
    s->db = store_open(s->path, &schema, error);
    for (int i = 0; s->db && i < STATEMENTS; i++) {
        s->statements[i] = store_prepare(s->db, texts[i]);
        if (!s->statements[i]) {
            store_explain(error, schema.what, s->path, sqlite3_errcode(s->db));
            return false;
        }
    }
    return s->db != NULL;
}

struct keystore *keystore_open(const char *path, struct store_error *error) {
    struct keystore *s = calloc(1, sizeof *s);
    if (!s || !(s->path = strdup(path)))
        abort();
    s->json = json_parser_new();
    if (open_parts(s, error))
        return s;
    keystore_close(s);
    return NULL;
}

void keystore_close(struct keystore *s) {
    if (!s)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    if (s->lock >= 0)
        close(s->lock);
    json_parser_free(s->json);
    free(s->path);
    free(s);
}

/* --- lists as JSON ---------------------------------------------------------------------------- */

static struct span write_texts(struct arena *a, const struct span *list, size_t n) {
    struct buf out = { 0 };
    for (size_t i = 0; i < n; i++) {
        buf_add_char(&out, i ? ',' : '[');
        buf_add_json(&out, list[i]);
    }
    if (n)
        buf_add_char(&out, ']');
    struct span text = arena_copy(a, buf_span(&out));
    buf_deinit(&out);
    return text;
}

static struct span write_caps(struct arena *a, const struct budget_cap *caps, size_t n) {
    struct buf out = { 0 };
    for (size_t i = 0; i < n; i++) {
        buf_printf(&out, "%c{\"period\":\"%s\",\"offset_min\":%d,\"nano\":%lld,\"alerts\":[",
                   i ? ',' : '[', period_name(caps[i].period), caps[i].offset_min,
                   (long long)caps[i].nano);
        for (int k = 0; k < BUDGET_ALERTS && caps[i].alerts[k]; k++)
            buf_printf(&out, "%s%d", k ? "," : "", caps[i].alerts[k]);
        buf_add(&out, SPAN("]}"));
    }
    if (n)
        buf_add_char(&out, ']');
    struct span text = arena_copy(a, buf_span(&out));
    buf_deinit(&out);
    return text;
}

/* A row that is read; `wrong` once something in it was not what was written. */
struct reading {
    struct sqlite3_stmt *row;
    struct json_parser *json;
    struct arena *arena;
    bool wrong;
};

static struct json_value read_list(struct reading *r, int at) {
    struct json_value list = { 0 };
    struct span text = store_text(r->row, at);
    if (text.at && (json_parse(r->json, text, &list) != JSON_OK || json_type(list) != JSON_ARRAY))
        r->wrong = true;
    return list;
}

static const struct span *read_texts(struct reading *r, int at, size_t *n) {
    struct json_value list = read_list(r, at);
    struct span *found = arena_new_array(r->arena, struct span, json_count(list));
    *n = 0;
    for (struct json_iter it = json_iter(list); json_next(&it);) {
        r->wrong |= json_type(it.value) != JSON_STRING;
        found[(*n)++] = arena_copy(r->arena, json_text(it.value));
    }
    return found;
}

static void read_alerts(struct reading *r, struct json_value list, struct budget_cap *cap) {
    size_t n = 0;
    for (struct json_iter it = json_iter(list); json_next(&it);) {
        int64_t percent;
        if (n == BUDGET_ALERTS || !json_int(it.value, &percent) || percent < 1 || percent > 100)
            r->wrong = true;
        else
            cap->alerts[n++] = (unsigned char)percent;
    }
}

static void read_cap(struct reading *r, struct json_value v, struct budget_cap *cap) {
    int64_t offset = 0;
    cap->period = period_of(json_text(json_get(v, "period")));
    r->wrong |= cap->period == PERIOD_KINDS || !json_int(json_get(v, "nano"), &cap->nano) ||
                cap->nano < 0 || !json_int(json_get(v, "offset_min"), &offset) || offset < -1439 ||
                offset > 1439;
    cap->offset_min = (int)offset;
    read_alerts(r, json_get(v, "alerts"), cap);
}

static const struct budget_cap *read_caps(struct reading *r, int at, size_t *n) {
    struct json_value list = read_list(r, at);
    struct budget_cap *caps = arena_new_array(r->arena, struct budget_cap, json_count(list));
    *n = 0;
    for (struct json_iter it = json_iter(list); json_next(&it);)
        read_cap(r, it.value, &caps[(*n)++]);
    return caps;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static struct span read_text(struct reading *r, int at) {
    return arena_copy(r->arena, store_text(r->row, at));
}

static int64_t read_number(struct reading *r, int at, int64_t max) {
    int64_t n = sqlite3_column_int64(r->row, at);
    r->wrong |= n < 0 || n > max;
    return n;
}

static struct limits_rule read_limits(struct reading *r, int at) {
    return (struct limits_rule){ .rpm = (uint32_t)read_number(r, at, UINT32_MAX),
                                 .tpm = (uint32_t)read_number(r, at + 1, UINT32_MAX),
                                 .concurrent = (uint32_t)read_number(r, at + 2, UINT32_MAX) };
}

static void bind_limits(struct sqlite3_stmt *s, int at, const struct limits_rule *rule) {
    sqlite3_bind_int64(s, at, rule->rpm);
    sqlite3_bind_int64(s, at + 1, rule->tpm);
    sqlite3_bind_int64(s, at + 2, rule->concurrent);
}

static int64_t read_moment(struct reading *r, int at) {
    int64_t s = store_known(r->row, at);
    return s < 0 ? PERIOD_FOR_EVER : s;
}

static void bind_moment(struct sqlite3_stmt *s, int at, int64_t moment) {
    store_bind_known(s, at, moment == PERIOD_FOR_EVER ? -1 : moment);
}

static struct keys_secret read_secret(struct reading *r, int at) {
    struct keys_secret secret = { 0 };
    const void *mac = sqlite3_column_blob(r->row, at);
    if (!mac)
        return secret;
    if (sqlite3_column_bytes(r->row, at) != CRYPTO_SHA256_SIZE) {
        r->wrong = true;
        return secret;
    }
    memcpy(secret.mac, mac, CRYPTO_SHA256_SIZE);
    span_copy(store_text(r->row, at + 1), secret.last, sizeof secret.last);
    secret.until_s = read_moment(r, at + 2);
    return secret;
}

static void bind_secret(struct sqlite3_stmt *s, int at, const struct keys_secret *secret) {
    if (!secret->last[0]) {
        for (int i = 0; i < 3; i++)
            sqlite3_bind_null(s, at + i);
        return;
    }
    sqlite3_bind_blob(s, at, secret->mac, CRYPTO_SHA256_SIZE, SQLITE_STATIC);
    store_bind_text(s, at + 1, span_of(secret->last));
    bind_moment(s, at + 2, secret->until_s);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void read_project(struct reading *r, struct keys_draft *draft) {
    struct project p = { .name = read_text(r, 0),
                         .tier = read_text(r, 1),
                         .policy = read_text(r, 2),
                         .limits = read_limits(r, 4),
                         .source = KEYS_STORED };
    p.tags = read_texts(r, 3, &p.n_tags);
    p.caps = read_caps(r, 7, &p.n_caps);
    p.free_requests = (uint64_t)read_number(r, 8, INT64_MAX);
    p.markup_ppm = (uint32_t)read_number(r, 9, UINT32_MAX);
    p.bodies.max_bytes = (uint32_t)read_number(r, 10, UINT32_MAX);
    p.bodies.retention_days = (uint32_t)read_number(r, 11, UINT32_MAX);
    p.bodies.redact = read_number(r, 12, 1);
    if (!r->wrong)
        keys_draft_project(draft, &p);
}

static void read_key(struct reading *r, struct keys_draft *draft) {
    struct key k = { .id = read_text(r, 0),
                     .name = read_text(r, 1),
                     .project = read_text(r, 2),
                     .tier = read_text(r, 3),
                     .policy = read_text(r, 4),
                     .metadata = read_text(r, 5),
                     .grants = (uint32_t)read_number(r, 9, KEYS_GRANT_ALL),
                     .strict = read_number(r, 10, 1),
                     .revoked = read_number(r, 11, 1),
                     .limits = read_limits(r, 12),
                     .created_s = sqlite3_column_int64(r->row, 16),
                     .expires_s = read_moment(r, 17),
                     .secret = read_secret(r, 18),
                     .previous = read_secret(r, 21),
                     .source = KEYS_STORED };
    k.tags = read_texts(r, 6, &k.n_tags);
    k.models = read_texts(r, 7, &k.n_models);
    k.policies = read_texts(r, 8, &k.n_policies);
    k.caps = read_caps(r, 15, &k.n_caps);
    if (!r->wrong)
        keys_draft_key(draft, &k);
}

static void explain_record(struct store_error *error, const char *path, const char *what,
                           struct span name) {
    error->why = STORE_DAMAGED;
    snprintf(error->text, sizeof error->text,
             "the %s %.400s can not be used: the %s %.*s in it can not be understood: put a backup "
             "in its place, or delete that record (sqlite3 FILE)",
             schema.what, path, what, (int)(name.len < 100 ? name.len : 100), name.at);
}

static bool read_all(struct keystore *s, enum statement which, const char *what,
                     void (*read)(struct reading *, struct keys_draft *), struct keys_draft *draft,
                     struct store_error *error) {
    struct arena arena;
    struct reading r = { .row = s->statements[which], .json = s->json, .arena = &arena };
    int result;
    arena_init(&arena, 4096);
    while (!r.wrong && (result = sqlite3_step(r.row)) == SQLITE_ROW) {
        read(&r, draft);
        if (r.wrong)
            explain_record(error, s->path, what, store_text(r.row, 0));
        arena_reset(&arena, 4096);
    }
    if (!r.wrong && result != SQLITE_DONE)
        store_explain(error, schema.what, s->path, result);
    sqlite3_reset(r.row);
    arena_deinit(&arena);
    return !r.wrong && result == SQLITE_DONE;
}

struct keys_draft *keystore_load(struct keystore *s, struct store_error *error) {
    struct keys_draft *draft = keys_draft_new();
    if (read_all(s, ALL_PROJECTS, "project", read_project, draft, error) &&
        read_all(s, ALL_KEYS, "key", read_key, draft, error))
        return draft;
    keys_draft_free(draft);
    return NULL;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Runs a statement whose texts lie in the arena, which goes then. */
static bool put(struct keystore *s, struct sqlite3_stmt *statement, struct arena *arena,
                struct buf *why) {
    struct store_error error;
    int result = sqlite3_step(statement);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    arena_deinit(arena);
    if (result == SQLITE_DONE)
        return true;
    store_explain(&error, schema.what, s->path, result);
    buf_add(why, span_of(error.text));
    return false;
}

bool keystore_put_project(struct keystore *s, const struct project *p, struct buf *why) {
    struct sqlite3_stmt *q = s->statements[PUT_PROJECT];
    struct arena arena;
    arena_init(&arena, 1024);
    store_bind_text(q, 1, p->name);
    store_bind_text(q, 2, p->tier);
    store_bind_text(q, 3, p->policy);
    store_bind_text(q, 4, write_texts(&arena, p->tags, p->n_tags));
    bind_limits(q, 5, &p->limits);
    store_bind_text(q, 8, write_caps(&arena, p->caps, p->n_caps));
    sqlite3_bind_int64(q, 9, (int64_t)(p->free_requests & INT64_MAX));
    sqlite3_bind_int64(q, 10, p->markup_ppm);
    sqlite3_bind_int64(q, 11, p->bodies.max_bytes);
    sqlite3_bind_int64(q, 12, p->bodies.retention_days);
    sqlite3_bind_int64(q, 13, p->bodies.redact);
    return put(s, q, &arena, why);
}

bool keystore_put_key(struct keystore *s, const struct key *k, struct buf *why) {
    struct sqlite3_stmt *q = s->statements[PUT_KEY];
    struct arena arena;
    arena_init(&arena, 1024);
    const struct span named[] = { k->id,
                                  k->name,
                                  k->project,
                                  k->tier,
                                  k->policy,
                                  k->metadata,
                                  write_texts(&arena, k->tags, k->n_tags),
                                  write_texts(&arena, k->models, k->n_models),
                                  write_texts(&arena, k->policies, k->n_policies) };
    for (int i = 0; i < (int)(sizeof named / sizeof *named); i++)
        store_bind_text(q, 1 + i, named[i]);
    sqlite3_bind_int64(q, 10, k->grants);
    sqlite3_bind_int64(q, 11, k->strict);
    sqlite3_bind_int64(q, 12, k->revoked);
    bind_limits(q, 13, &k->limits);
    store_bind_text(q, 16, write_caps(&arena, k->caps, k->n_caps));
    sqlite3_bind_int64(q, 17, k->created_s);
    bind_moment(q, 18, k->expires_s);
    bind_secret(q, 19, &k->secret);
    bind_secret(q, 22, &k->previous);
    return put(s, q, &arena, why);
}
