#include "money/fold.h"

#include "money/usage.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <uthash.h>

/* --- what SQL calls --------------------------------------------------------------------------- */

static void add_up(sqlite3_context *context, int n, sqlite3_value **values) {
    sqlite3_result_int64(context,
                         entry_add(sqlite3_value_int64(values[0]), sqlite3_value_int64(values[1])));
}

static struct span blob(sqlite3_value *v) {
    const char *at = sqlite3_value_blob(v);
    return (struct span){ at, (size_t)sqlite3_value_bytes(v) };
}

static void add_times(sqlite3_context *context, int n, sqlite3_value **values) {
    struct histogram h = { 0 };
    struct buf out = { 0 };
    /* What was damaged adds nothing. */
    usage_unpack_times(blob(values[0]), &h);
    usage_unpack_times(blob(values[1]), &h);
    usage_pack_times(&out, &h);
    sqlite3_result_blob(context, out.len ? out.at : "", (int)out.len, SQLITE_TRANSIENT);
    buf_deinit(&out);
}

/* sum() fails where it would be too large. */
static void add_all(sqlite3_context *context, int n, sqlite3_value **values) {
    int64_t *sum = sqlite3_aggregate_context(context, sizeof *sum);
    if (sum)
        *sum = entry_add(*sum, sqlite3_value_int64(values[0]));
}

static void all_added(sqlite3_context *context) {
    const int64_t *sum = sqlite3_aggregate_context(context, 0);
    sqlite3_result_int64(context, sum ? *sum : 0);
}

static void add_functions(struct sqlite3 *db) {
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;
    if (sqlite3_create_function(db, "add_up", 2, flags, NULL, add_up, NULL, NULL) != SQLITE_OK ||
        sqlite3_create_function(db, "add_times", 2, flags, NULL, add_times, NULL, NULL) !=
            SQLITE_OK ||
        sqlite3_create_function(db, "add_all", 1, flags, NULL, NULL, add_all, all_added) !=
            SQLITE_OK)
        abort();
}

/* --- the tables ------------------------------------------------------------------------------- */

/* `at` is the request's first byte in Unix microseconds, moved on by a few where two have the
 * same: so
 * rows, and every index of them, lie in order of time. Names that come again stand once in `names`;
 * tags apart, because they are searched by their text. */
static const char schema_1[] =
    "CREATE TABLE names (id INTEGER PRIMARY KEY, tag INTEGER NOT NULL, text TEXT NOT NULL,"
    " UNIQUE (tag, text)) STRICT;"

    "CREATE TABLE requests (at INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, project INTEGER,"
    " key INTEGER, tier INTEGER, endpoint INTEGER, model TEXT, policy INTEGER, assignment INTEGER,"
    " arm INTEGER, chain TEXT, session TEXT, user TEXT, tags TEXT, outcome INTEGER NOT NULL,"
    " status INTEGER NOT NULL, class INTEGER, error INTEGER, stream INTEGER NOT NULL,"
    " free INTEGER NOT NULL, queue_us INTEGER, policy_us INTEGER, first_us INTEGER,"
    " total_us INTEGER, attempts INTEGER NOT NULL, unpriced INTEGER NOT NULL,"
    " estimated INTEGER NOT NULL, input INTEGER, cached INTEGER, written INTEGER, output INTEGER,"
    " reasoning INTEGER, cost INTEGER, billed INTEGER, most INTEGER, cost_class INTEGER) STRICT;"
    "CREATE INDEX requests_by_project ON requests (project) WHERE project IS NOT NULL;"
    "CREATE INDEX requests_by_key ON requests (key) WHERE key IS NOT NULL;"
    "CREATE INDEX requests_by_arm ON requests (arm) WHERE arm IS NOT NULL;"
    "CREATE INDEX requests_by_session ON requests (session) WHERE session IS NOT NULL;"
    "CREATE INDEX requests_by_status ON requests (status) WHERE status >= 300;"
    "CREATE INDEX requests_by_class ON requests (class) WHERE class IS NOT NULL;"
    "CREATE INDEX requests_by_cost ON requests (cost_class) WHERE cost_class IS NOT NULL;"

    "CREATE TABLE request_tags (tag INTEGER NOT NULL, request INTEGER NOT NULL,"
    " PRIMARY KEY (tag, request)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE attempts (request INTEGER NOT NULL, number INTEGER NOT NULL,"
    " target INTEGER, upstream INTEGER, upstream_id TEXT, began_us INTEGER NOT NULL,"
    " status INTEGER NOT NULL, class INTEGER, connect_us INTEGER, first_us INTEGER,"
    " total_us INTEGER, input INTEGER, cached INTEGER, written INTEGER, output INTEGER,"
    " reasoning INTEGER, estimated INTEGER NOT NULL, hedge INTEGER NOT NULL, won INTEGER NOT NULL,"
    " price_input INTEGER, price_output INTEGER, price_cached INTEGER, price_written INTEGER,"
    " cost INTEGER, billed INTEGER, most INTEGER, PRIMARY KEY (request, number))"
    " STRICT, WITHOUT ROWID;"
    "CREATE INDEX attempts_by_target ON attempts (target, request);"

    "CREATE TABLE usage (kind INTEGER NOT NULL, day INTEGER NOT NULL, name INTEGER NOT NULL,"
    " project INTEGER NOT NULL, requests INTEGER NOT NULL, answered INTEGER NOT NULL,"
    " failed INTEGER NOT NULL, cancelled INTEGER NOT NULL, refused INTEGER NOT NULL,"
    " orphaned INTEGER NOT NULL, free INTEGER NOT NULL, attempts INTEGER NOT NULL,"
    " unpriced INTEGER NOT NULL, estimated INTEGER NOT NULL, input INTEGER NOT NULL,"
    " cached INTEGER NOT NULL, written INTEGER NOT NULL, output INTEGER NOT NULL,"
    " reasoning INTEGER NOT NULL, cost INTEGER NOT NULL, billed INTEGER NOT NULL,"
    " most INTEGER NOT NULL, times BLOB NOT NULL, PRIMARY KEY (kind, day, name, project))"
    " STRICT, WITHOUT ROWID;"

    "CREATE TABLE begun (request TEXT NOT NULL, number INTEGER NOT NULL, writer TEXT NOT NULL,"
    " entry BLOB NOT NULL, PRIMARY KEY (request, number)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE journals (name TEXT PRIMARY KEY, offset INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

/* Sums by endpoint, and what of a sum's cost was free; both for the requests that are there still.
 * How times are spread is known from then on. The index finds one name's days. */
static const char schema_2[] =
    "ALTER TABLE usage ADD COLUMN free_spent INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX usage_by_name ON usage (kind, name, day);"

    "INSERT INTO usage SELECT 7, at / 86400000000, coalesce(endpoint, 0), coalesce(project, 0),"
    " count(*), sum(outcome = 0), sum(outcome = 2), sum(outcome = 3), sum(outcome = 1),"
    " sum(outcome = 4), sum(free), sum(attempts), sum(unpriced),"
    " sum((SELECT count(*) FROM attempts a WHERE a.request = r.at AND a.estimated)),"
    " add_all(input), add_all(cached), add_all(written), add_all(output), add_all(reasoning),"
    " add_all(cost), add_all(billed), add_all(most), x'', 0"
    " FROM requests r GROUP BY at / 86400000000, endpoint, project;"

    "UPDATE usage SET free_spent = (SELECT add_all(add_up(coalesce(cost, 0), coalesce(most, 0)))"
    " FROM requests r WHERE r.free AND r.at / 86400000000 = day AND coalesce(r.project, 0) ="
    " usage.project AND name = coalesce(CASE kind WHEN 1 THEN r.project WHEN 2 THEN r.key"
    " ELSE r.endpoint END, 0)) WHERE kind IN (1, 2, 7) AND free > 0;";

/* What clients said, by the request's `at`; sums of it by arm. Prompts and answers, by the request's
 * id, for they may come before it. */
static const char schema_3[] =
    "CREATE TABLE feedback (request INTEGER PRIMARY KEY, given INTEGER NOT NULL,"
    " score REAL NOT NULL, label TEXT) STRICT;"
    "ALTER TABLE usage ADD COLUMN scores INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE usage ADD COLUMN score_sum REAL NOT NULL DEFAULT 0;"
    "ALTER TABLE usage ADD COLUMN score_squares REAL NOT NULL DEFAULT 0;"

    "CREATE TABLE bodies (number INTEGER PRIMARY KEY, request TEXT NOT NULL, part INTEGER NOT NULL,"
    " until INTEGER, cut INTEGER NOT NULL, bytes BLOB NOT NULL, UNIQUE (request, part)) STRICT;"
    "CREATE INDEX bodies_by_until ON bodies (until) WHERE until IS NOT NULL;";

static const char *const versions[] = { schema_1, schema_2, schema_3 };

const struct store_schema fold_schema = { .what = "ledger",
                                          .application_id = 0x506c4c67, /* "PlLg" */
                                          .functions = add_functions,
                                          .versions = versions,
                                          .n_versions = 3 };

enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    FIND_NAME,
    ADD_NAME,
    ADD_REQUEST,
    ADD_TAG,
    ADD_ATTEMPT,
    ADD_USAGE,
    FIND_FEEDBACK,
    SET_FEEDBACK,
    SET_BODY,
    ADD_BEGUN,
    END_BEGUN,
    ALL_BEGUN,
    SET_POSITION,
    GET_POSITION,
    FORGET_JOURNAL,
    ALL_JOURNALS,
    OLDEST,
    DROP_TAG,
    DROP_ATTEMPTS,
    DROP_FEEDBACK,
    DROP_BODIES,
    DROP_REQUESTS,
    EXPIRE_BODIES,
    VACUUM,
    STATEMENTS
};

static const char *const texts[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [FIND_NAME] = "SELECT id FROM names WHERE tag = ?1 AND text = ?2",
    [ADD_NAME] = "INSERT INTO names (tag, text) VALUES (?1, ?2)",
    [ADD_REQUEST] =
        "INSERT INTO requests VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
        " ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28,"
        " ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36)",
    [ADD_TAG] = "INSERT OR IGNORE INTO request_tags VALUES (?1, ?2)",
    [ADD_ATTEMPT] =
        "INSERT OR IGNORE INTO attempts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
        " ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25,"
        " ?26)",
    [ADD_USAGE] =
        "INSERT INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
        "?15,"
        " ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27) ON CONFLICT DO UPDATE SET"
        " requests = requests + excluded.requests, answered = answered + excluded.answered,"
        " failed = failed + excluded.failed, cancelled = cancelled + excluded.cancelled,"
        " refused = refused + excluded.refused, orphaned = orphaned + excluded.orphaned,"
        " free = free + excluded.free, attempts = attempts + excluded.attempts,"
        " unpriced = unpriced + excluded.unpriced, estimated = estimated + excluded.estimated,"
        " input = add_up(input, excluded.input), cached = add_up(cached, excluded.cached),"
        " written = add_up(written, excluded.written), output = add_up(output, excluded.output),"
        " reasoning = add_up(reasoning, excluded.reasoning), cost = add_up(cost, excluded.cost),"
        " billed = add_up(billed, excluded.billed), most = add_up(most, excluded.most),"
        " times = add_times(times, excluded.times),"
        " free_spent = add_up(free_spent, excluded.free_spent),"
        " scores = scores + excluded.scores, score_sum = score_sum + excluded.score_sum,"
        " score_squares = score_squares + excluded.score_squares",
    [FIND_FEEDBACK] = "SELECT r.at, r.arm, coalesce(r.project, 0), f.given, f.score FROM requests r"
                      " LEFT JOIN feedback f ON f.request = r.at WHERE r.id = ?1",
    [SET_FEEDBACK] = "INSERT OR REPLACE INTO feedback VALUES (?1, ?2, ?3, ?4)",
    [SET_BODY] = "INSERT OR REPLACE INTO bodies (request, part, until, cut, bytes)"
                 " VALUES (?1, ?2, ?3, ?4, ?5)",
    [ADD_BEGUN] = "INSERT OR REPLACE INTO begun VALUES (?1, ?2, ?3, ?4)",
    [END_BEGUN] = "DELETE FROM begun WHERE request = ?1",
    [ALL_BEGUN] = "SELECT request, number, writer, entry FROM begun ORDER BY request, number",
    [SET_POSITION] = "INSERT OR REPLACE INTO journals VALUES (?1, ?2, ?3)",
    [GET_POSITION] = "SELECT offset, sequence FROM journals WHERE name = ?1",
    [FORGET_JOURNAL] = "DELETE FROM journals WHERE name = ?1",
    [ALL_JOURNALS] = "SELECT name FROM journals",
    [OLDEST] = "SELECT at, tags FROM requests WHERE at < ?1 ORDER BY at LIMIT ?2",
    [DROP_TAG] = "DELETE FROM request_tags WHERE tag = ?1 AND request = ?2",
    [DROP_ATTEMPTS] = "DELETE FROM attempts WHERE request <= ?1",
    [DROP_FEEDBACK] = "DELETE FROM feedback WHERE request <= ?1",
    [DROP_BODIES] = "DELETE FROM bodies WHERE request IN (SELECT id FROM requests WHERE at <= ?1)",
    [EXPIRE_BODIES] = "DELETE FROM bodies WHERE number IN"
                      " (SELECT number FROM bodies WHERE until <= ?1 LIMIT ?2)",
    [DROP_REQUESTS] = "DELETE FROM requests WHERE at <= ?1",
    [VACUUM] = "PRAGMA incremental_vacuum(512)",
};

/* What is known of `names`: its key is whether it is a tag, then the text. */
struct name {
    UT_hash_handle hh;
    int64_t id;
    char key[1 + ENTRY_TEXT_MAX];
};

/* A row of `usage` as far as this transaction adds to it. */
struct sum {
    UT_hash_handle hh;
    struct sum_key {
        int64_t kind, day, name, project;
    } key;
    struct usage_figures figures;
    struct histogram times;
};

/* An attempt that began and has not ended, and whether `begun` has it. */
struct under_way {
    struct under_way *next;
    unsigned number;
    bool stored;
    char writer[64];
    size_t len;
    char entry[]; /* the bytes of a struct entry_begun */
};

struct pending {
    UT_hash_handle hh;
    struct under_way *attempts;
    char request[ENTRY_TEXT_MAX + 1];
};

struct fold {
    struct sqlite3 *db;
    struct sqlite3_stmt *statements[STATEMENTS];
    struct name *names;
    struct sum *sums;
    struct pending *pending;
    unsigned moved; /* rows that found their moment taken */
    struct buf scratch;
};

enum { NAMES_MAX = 50000 }; /* remembered; then they are looked up anew */

/* --- statements ------------------------------------------------------------------------------- */

/* Runs a statement to its end and makes it ready for the next time. */
static int run(struct sqlite3_stmt *s) {
    int result;
    do
        result = sqlite3_step(s);
    while (result == SQLITE_ROW);
    sqlite3_reset(s);
    return result == SQLITE_DONE ? SQLITE_OK : result;
}

static int add_name(struct fold *f, int tag, struct span text, int64_t *id) {
    struct sqlite3_stmt *find = f->statements[FIND_NAME], *add = f->statements[ADD_NAME];
    sqlite3_bind_int(find, 1, tag);
    store_bind_text(find, 2, text);
    int result = sqlite3_step(find);
    if (result == SQLITE_ROW)
        *id = sqlite3_column_int64(find, 0);
    sqlite3_reset(find);
    if (result != SQLITE_DONE)
        return result == SQLITE_ROW ? SQLITE_OK : result;
    sqlite3_bind_int(add, 1, tag);
    store_bind_text(add, 2, text);
    result = run(add);
    *id = sqlite3_last_insert_rowid(f->db);
    return result;
}

static void forget_names(struct fold *f) {
    struct name *n = NULL, *next = NULL;
    HASH_ITER(hh, f->names, n, next) {
        HASH_DEL(f->names, n);
        free(n);
    }
}

/* The number of a name, which it gets when it is new. */
static int name_of(struct fold *f, int tag, struct span text, int64_t *id) {
    char key[1 + ENTRY_TEXT_MAX];
    text = span_sub(text, 0, ENTRY_TEXT_MAX);
    key[0] = (char)tag;
    memcpy(key + 1, text.at, text.len);
    struct name *n;
    HASH_FIND(hh, f->names, key, 1 + text.len, n);
    if (n) {
        *id = n->id;
        return SQLITE_OK;
    }
    int result = add_name(f, tag, text, id);
    if (result != SQLITE_OK)
        return result;
    if (HASH_COUNT(f->names) >= NAMES_MAX)
        forget_names(f);
    n = malloc(sizeof *n);
    if (!n)
        abort();
    n->id = *id;
    memcpy(n->key, key, sizeof key);
    HASH_ADD(hh, f->names, key, 1 + text.len, n);
    return SQLITE_OK;
}

/* Binds a name's number; NULL for SPAN_NONE. */
static int bind_name(struct fold *f, struct sqlite3_stmt *s, int at, struct span text) {
    if (!text.at) {
        sqlite3_bind_null(s, at);
        return SQLITE_OK;
    }
    int64_t id;
    int result = name_of(f, 0, text, &id);
    if (result == SQLITE_OK)
        sqlite3_bind_int64(s, at, id);
    return result;
}

/* --- sums ------------------------------------------------------------------------------------- */

static uint64_t known(int64_t n) {
    return n > 0 ? (uint64_t)n : 0;
}

static void set_tokens(struct usage_figures *figures, const struct entry_tokens *t) {
    figures->input = known(t->input);
    figures->cached = known(t->cached);
    figures->written = known(t->written);
    figures->output = known(t->output);
    figures->reasoning = known(t->reasoning);
}

static struct usage_figures of_request(const struct entry *e, const struct entry_sums *sums) {
    struct usage_figures figures = {
        .requests = 1,
        .answered = e->outcome == ENTRY_ANSWERED,
        .failed = e->outcome == ENTRY_FAILED,
        .cancelled = e->outcome == ENTRY_CANCELLED,
        .refused = e->outcome == ENTRY_REFUSED,
        .orphaned = e->outcome == ENTRY_ORPHANED,
        .free = e->free,
        .attempts = e->n_attempts,
        .unpriced = sums->unpriced,
        .cost = (nanousd)known(sums->cost),
        .billed = (nanousd)known(sums->billed),
        .most = (nanousd)known(sums->most),
        .free_spent = e->free ? entry_add((nanousd)known(sums->cost), sums->most) : 0,
    };
    for (size_t i = 0; i < e->n_attempts; i++)
        figures.estimated += e->attempts[i].estimated;
    set_tokens(&figures, &sums->tokens);
    return figures;
}

static struct usage_figures of_attempt(const struct entry *e, const struct entry_attempt *a) {
    bool orphaned = e->outcome == ENTRY_ORPHANED, unpriced = a->cost < 0;
    struct usage_figures figures = {
        .requests = 1,
        .answered = !orphaned && a->failure == FAILURE_NONE,
        .failed = !orphaned && a->failure != FAILURE_NONE && a->failure != FAILURE_CANCELLED,
        .cancelled = !orphaned && a->failure == FAILURE_CANCELLED,
        .orphaned = orphaned,
        .attempts = 1,
        .unpriced = unpriced,
        .estimated = a->estimated,
        .cost = (nanousd)known(a->cost),
        .billed = (nanousd)known(a->billed),
        .most = unpriced ? (nanousd)known(a->most) : 0,
    };
    set_tokens(&figures, &a->tokens);
    return figures;
}

static void add_figures(struct usage_figures *to, const struct usage_figures *from) {
    to->requests += from->requests;
    to->answered += from->answered;
    to->failed += from->failed;
    to->cancelled += from->cancelled;
    to->refused += from->refused;
    to->orphaned += from->orphaned;
    to->free += from->free;
    to->attempts += from->attempts;
    to->unpriced += from->unpriced;
    to->estimated += from->estimated;
    to->input = (uint64_t)entry_add((int64_t)to->input, (int64_t)from->input);
    to->cached = (uint64_t)entry_add((int64_t)to->cached, (int64_t)from->cached);
    to->written = (uint64_t)entry_add((int64_t)to->written, (int64_t)from->written);
    to->output = (uint64_t)entry_add((int64_t)to->output, (int64_t)from->output);
    to->reasoning = (uint64_t)entry_add((int64_t)to->reasoning, (int64_t)from->reasoning);
    to->cost = entry_add(to->cost, from->cost);
    to->billed = entry_add(to->billed, from->billed);
    to->most = entry_add(to->most, from->most);
    to->free_spent = entry_add(to->free_spent, from->free_spent);
    to->scores += from->scores;
    to->score_sum += from->score_sum;
    to->score_squares += from->score_squares;
}

/* `ms` is the time that was answered in; -1: it was not. */
static void add_sum(struct fold *f, struct sum_key key, const struct usage_figures *figures,
                    int64_t ms) {
    struct sum *s;
    HASH_FIND(hh, f->sums, &key, sizeof key, s);
    if (!s) {
        s = calloc(1, sizeof *s);
        if (!s)
            abort();
        s->key = key;
        HASH_ADD(hh, f->sums, key, sizeof key, s);
    }
    add_figures(&s->figures, figures);
    if (ms >= 0)
        histogram_add(&s->times, (uint64_t)ms);
}

static int64_t in_ms(int64_t us) {
    return us < 0 ? -1 : us / 1000;
}

/* The key of a sum of that kind by that name; SPAN_NONE is 0. */
static int add_named(struct fold *f, struct sum_key key, int kind, struct span name,
                     const struct usage_figures *figures, int64_t ms) {
    key.kind = kind;
    int result = name.at ? name_of(f, kind == FOLD_TAG, name, &key.name) : SQLITE_OK;
    if (result == SQLITE_OK)
        add_sum(f, key, figures, ms);
    return result;
}

/* Whether the same tag stands before it in the list. */
static bool is_repeated(const struct entry *e, size_t tag) {
    for (size_t i = 0; i < tag; i++)
        if (span_eq(e->tags[i], e->tags[tag]))
            return true;
    return false;
}

/* `at` is the row's: sums of a day are those of its rows. */
static int add_sums(struct fold *f, const struct entry *e, uint64_t at,
                    const struct entry_sums *sums) {
    struct sum_key key = { .day = usage_day(at) };
    int result = e->project.at ? name_of(f, 0, e->project, &key.project) : SQLITE_OK;
    struct usage_figures figures = of_request(e, sums);
    int64_t ms = e->outcome == ENTRY_ANSWERED ? in_ms(e->total_us) : -1;
    if (result == SQLITE_OK)
        result = add_named(f, key, FOLD_PROJECT, e->project, &figures, ms);
    if (result == SQLITE_OK)
        result = add_named(f, key, FOLD_KEY, e->key, &figures, ms);
    if (result == SQLITE_OK)
        result = add_named(f, key, FOLD_POLICY, e->policy, &figures, ms);
    if (result == SQLITE_OK)
        result = add_named(f, key, FOLD_ENDPOINT, e->endpoint, &figures, ms);
    if (result == SQLITE_OK && e->arm.at)
        result = add_named(f, key, FOLD_ARM, e->arm, &figures, ms);
    for (size_t i = 0; i < e->n_tags && result == SQLITE_OK; i++)
        if (!is_repeated(e, i))
            result = add_named(f, key, FOLD_TAG, e->tags[i], &figures, ms);
    for (size_t i = 0; i < e->n_attempts && result == SQLITE_OK; i++) {
        const struct entry_attempt *a = &e->attempts[i];
        figures = of_attempt(e, a);
        result = add_named(f, key, FOLD_TARGET, a->target, &figures,
                           figures.answered ? in_ms(a->total_us) : -1);
    }
    return result;
}

static void forget_sums(struct fold *f) {
    struct sum *s = NULL, *next = NULL;
    HASH_ITER(hh, f->sums, s, next) {
        HASH_DEL(f->sums, s);
        free(s);
    }
}

static int write_sum(struct fold *f, const struct sum *sum) {
    struct sqlite3_stmt *s = f->statements[ADD_USAGE];
    const struct usage_figures *u = &sum->figures;
    const int64_t values[] = {
        sum->key.kind,
        sum->key.day,
        sum->key.name,
        sum->key.project,
        (int64_t)u->requests,
        (int64_t)u->answered,
        (int64_t)u->failed,
        (int64_t)u->cancelled,
        (int64_t)u->refused,
        (int64_t)u->orphaned,
        (int64_t)u->free,
        (int64_t)u->attempts,
        (int64_t)u->unpriced,
        (int64_t)u->estimated,
        (int64_t)u->input,
        (int64_t)u->cached,
        (int64_t)u->written,
        (int64_t)u->output,
        (int64_t)u->reasoning,
        u->cost,
        u->billed,
        u->most,
    };
    int n = sizeof values / sizeof *values;
    for (int i = 0; i < n; i++)
        sqlite3_bind_int64(s, i + 1, values[i]);
    buf_clear(&f->scratch);
    usage_pack_times(&f->scratch, &sum->times);
    sqlite3_bind_blob(s, n + 1, f->scratch.len ? f->scratch.at : "", (int)f->scratch.len,
                      SQLITE_STATIC);
    sqlite3_bind_int64(s, n + 2, u->free_spent);
    sqlite3_bind_int64(s, n + 3, (int64_t)u->scores);
    sqlite3_bind_double(s, n + 4, u->score_sum);
    sqlite3_bind_double(s, n + 5, u->score_squares);
    return run(s);
}

/* --- attempts under way ----------------------------------------------------------------------- */

static struct pending *find_pending(struct fold *f, struct span request) {
    struct pending *p;
    HASH_FIND(hh, f->pending, request.at, request.len, p);
    return p;
}

static void drop_pending(struct fold *f, struct pending *p) {
    HASH_DEL(f->pending, p);
    for (struct under_way *u = p->attempts, *next; u; u = next) {
        next = u->next;
        free(u);
    }
    free(p);
}

static void forget_pending(struct fold *f) {
    struct pending *p = NULL, *next = NULL;
    HASH_ITER(hh, f->pending, p, next) {
        drop_pending(f, p);
    }
}

static void add_pending(struct fold *f, struct span request, unsigned number, struct span writer,
                        struct span entry, bool stored) {
    request = span_sub(request, 0, ENTRY_TEXT_MAX);
    struct pending *p = find_pending(f, request);
    if (!p) {
        p = calloc(1, sizeof *p);
        if (!p)
            abort();
        memcpy(p->request, request.at, request.len);
        HASH_ADD_KEYPTR(hh, f->pending, p->request, request.len, p);
    }
    struct under_way *u = malloc(sizeof *u + entry.len);
    if (!u)
        abort();
    *u = (struct under_way){
        .next = p->attempts, .number = number, .stored = stored, .len = entry.len
    };
    writer = span_sub(writer, 0, sizeof u->writer - 1);
    memcpy(u->writer, writer.at, writer.len);
    memcpy(u->entry, entry.at, entry.len);
    p->attempts = u;
}

int fold_begun(struct fold *f, struct span writer, const struct entry_begun *b) {
    buf_clear(&f->scratch);
    entry_write_begun(&f->scratch, b);
    if (b->request.at)
        add_pending(f, b->request, b->number, writer, buf_span(&f->scratch), false);
    return SQLITE_OK;
}

bool fold_under_way(const struct fold *f) {
    return f->pending != NULL;
}

static int write_under_way(struct fold *f, const struct pending *p, struct under_way *u) {
    struct sqlite3_stmt *s = f->statements[ADD_BEGUN];
    store_bind_text(s, 1, span_of(p->request));
    sqlite3_bind_int64(s, 2, u->number);
    store_bind_text(s, 3, span_of(u->writer));
    sqlite3_bind_blob(s, 4, u->entry, (int)u->len, SQLITE_STATIC);
    int result = run(s);
    u->stored = result == SQLITE_OK;
    return result;
}

/* Most attempts end in the transaction they began in, and are never a row here. */
static int write_pending(struct fold *f) {
    int result = SQLITE_OK;
    for (struct pending *p = f->pending; p && result == SQLITE_OK; p = p->hh.next)
        for (struct under_way *u = p->attempts; u && result == SQLITE_OK; u = u->next)
            if (!u->stored)
                result = write_under_way(f, p, u);
    return result;
}

static int read_pending(struct fold *f) {
    struct sqlite3_stmt *s = f->statements[ALL_BEGUN];
    int result;
    while ((result = sqlite3_step(s)) == SQLITE_ROW) {
        const char *entry = sqlite3_column_blob(s, 3);
        struct span bytes = { entry, (size_t)sqlite3_column_bytes(s, 3) };
        add_pending(f, store_text(s, 0), (unsigned)sqlite3_column_int64(s, 1), store_text(s, 2),
                    bytes, true);
    }
    sqlite3_reset(s);
    return result == SQLITE_DONE ? SQLITE_OK : result;
}

static int end_pending(struct fold *f, struct span request) {
    struct pending *p = find_pending(f, request);
    if (!p)
        return SQLITE_OK;
    bool stored = false;
    for (struct under_way *u = p->attempts; u; u = u->next)
        stored |= u->stored;
    int result = SQLITE_OK;
    if (stored) {
        store_bind_text(f->statements[END_BEGUN], 1, request);
        result = run(f->statements[END_BEGUN]);
    }
    drop_pending(f, p); /* `request` may lie in it */
    return result;
}

/* --- requests --------------------------------------------------------------------------------- */

int fold_cost_class(nanousd cost) {
    return cost < 0 ? -1 : cost == 0 ? 0 : 64 - __builtin_clzll((unsigned long long)cost);
}

/* Failure classes are kept by name: what number one has is no promise. */
static struct span class_of(enum failure failure) {
    return failure == FAILURE_NONE ? SPAN_NONE : span_of(failure_name(failure));
}

/* The tags as the row has them: a line feed behind each. */
static struct span join_tags(struct fold *f, const struct entry *e) {
    if (!e->n_tags)
        return SPAN_NONE;
    buf_clear(&f->scratch);
    for (size_t i = 0; i < e->n_tags; i++) {
        buf_add(&f->scratch, e->tags[i]);
        buf_add_char(&f->scratch, '\n');
    }
    return buf_span(&f->scratch);
}

static int bind_request(struct fold *f, const struct entry *e, const struct entry_sums *sums) {
    struct sqlite3_stmt *s = f->statements[ADD_REQUEST];
    const struct {
        int at;
        struct span name;
    } named[] = { { 3, e->project }, { 4, e->key },
                  { 5, e->tier },    { 6, e->endpoint },
                  { 8, e->policy },  { 9, e->assignment },
                  { 10, e->arm },    { 17, class_of(e->failure) },
                  { 18, e->error } };
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        int result = bind_name(f, s, named[i].at, named[i].name);
        if (result != SQLITE_OK)
            return result;
    }
    store_bind_text(s, 2, e->id.at ? e->id : SPAN(""));
    store_bind_text(s, 7, e->model);
    store_bind_text(s, 11, e->chain);
    store_bind_text(s, 12, e->session);
    store_bind_text(s, 13, e->user);
    store_bind_text(s, 14, join_tags(f, e));
    sqlite3_bind_int(s, 15, e->outcome);
    sqlite3_bind_int(s, 16, e->status);
    sqlite3_bind_int(s, 19, e->stream);
    sqlite3_bind_int(s, 20, e->free);
    const int64_t known_or_null[] = {
        e->queue_us,
        e->policy_us,
        e->first_us,
        e->total_us,
        (int64_t)e->n_attempts,
        sums->unpriced,
        sums->estimated,
        sums->tokens.input,
        sums->tokens.cached,
        sums->tokens.written,
        sums->tokens.output,
        sums->tokens.reasoning,
        sums->cost,
        sums->billed,
        sums->most,
        fold_cost_class(sums->cost),
    };
    for (int i = 0; i < (int)(sizeof known_or_null / sizeof *known_or_null); i++)
        store_bind_known(s, 21 + i, known_or_null[i]);
    return SQLITE_OK;
}

/* Inserts the row that is bound, at `at` or some microseconds later: each row that finds its place
 * taken
 * goes further than the one before it did, so that many of one moment do not queue behind each
 * other. */
static int insert_request(struct fold *f, int64_t *at) {
    struct sqlite3_stmt *s = f->statements[ADD_REQUEST];
    for (;; *at += 1 + f->moved++ % 1024) {
        sqlite3_bind_int64(s, 1, *at);
        int result = run(s);
        if (result == SQLITE_OK || sqlite3_extended_errcode(f->db) != SQLITE_CONSTRAINT_PRIMARYKEY)
            return result;
    }
}

static int insert_attempt(struct fold *f, int64_t request, const struct entry_attempt *a) {
    struct sqlite3_stmt *s = f->statements[ADD_ATTEMPT];
    sqlite3_bind_int64(s, 1, request);
    sqlite3_bind_int64(s, 2, a->number);
    int result = bind_name(f, s, 3, a->target);
    if (result == SQLITE_OK)
        result = bind_name(f, s, 4, a->upstream);
    if (result == SQLITE_OK)
        result = bind_name(f, s, 8, class_of(a->failure));
    store_bind_text(s, 5, a->upstream_id);
    sqlite3_bind_int64(s, 6, (int64_t)a->began_us);
    sqlite3_bind_int(s, 7, a->status);
    const int64_t known_or_null[] = {
        a->connect_us,
        a->first_us,
        a->total_us,
        a->tokens.input,
        a->tokens.cached,
        a->tokens.written,
        a->tokens.output,
        a->tokens.reasoning,
        a->estimated,
        a->hedge,
        a->won,
        a->price.input,
        a->price.output,
        a->price.cached,
        a->price.cache_write,
        a->cost,
        a->billed,
        a->most,
    };
    for (int i = 0; i < (int)(sizeof known_or_null / sizeof *known_or_null); i++)
        store_bind_known(s, 9 + i, known_or_null[i]);
    return result == SQLITE_OK ? run(s) : result;
}

static int insert_tags(struct fold *f, int64_t request, const struct entry *e) {
    struct sqlite3_stmt *s = f->statements[ADD_TAG];
    int result = SQLITE_OK;
    for (size_t i = 0; i < e->n_tags && result == SQLITE_OK; i++) {
        int64_t tag;
        result = name_of(f, 1, e->tags[i], &tag);
        if (result != SQLITE_OK)
            break;
        sqlite3_bind_int64(s, 1, tag);
        sqlite3_bind_int64(s, 2, request);
        result = run(s);
    }
    return result;
}

int fold_ended(struct fold *f, const struct entry *e) {
    struct entry_sums sums = entry_sum(e);
    int64_t at = (int64_t)(e->at_us & INT64_MAX);
    int result = bind_request(f, e, &sums);
    if (result == SQLITE_OK)
        result = insert_request(f, &at);
    /* An id that has its row already: that request is told once. */
    if (result == SQLITE_CONSTRAINT && sqlite3_extended_errcode(f->db) == SQLITE_CONSTRAINT_UNIQUE)
        return end_pending(f, e->id);
    for (size_t i = 0; i < e->n_attempts && result == SQLITE_OK; i++)
        result = insert_attempt(f, at, &e->attempts[i]);
    if (result == SQLITE_OK)
        result = insert_tags(f, at, e);
    if (result == SQLITE_OK)
        result = add_sums(f, e, (uint64_t)at, &sums);
    return result == SQLITE_OK ? end_pending(f, e->id) : result;
}

/* --- feedback, prompts and answers ------------------------------------------------------------ */

/* A request as feedback finds it: what was said of it before, if anything was. */
struct judged {
    int64_t at, arm, project;
    int64_t given; /* -1: nothing was said yet */
    double score;
};

/* 1: there is no such request. */
static int find_judged(struct fold *f, struct span request, struct judged *j) {
    struct sqlite3_stmt *s = f->statements[FIND_FEEDBACK];
    store_bind_text(s, 1, request);
    int result = sqlite3_step(s);
    if (result == SQLITE_ROW)
        *j = (struct judged){ sqlite3_column_int64(s, 0), store_known(s, 1),
                              sqlite3_column_int64(s, 2), store_known(s, 3),
                              sqlite3_column_double(s, 4) };
    sqlite3_reset(s);
    return result == SQLITE_ROW || result == SQLITE_DONE ? SQLITE_OK : result;
}

int fold_feedback(struct fold *f, const struct entry_feedback *said) {
    struct sqlite3_stmt *s = f->statements[SET_FEEDBACK];
    struct judged j = { .at = -1 };
    int result = find_judged(f, said->request, &j);
    int64_t given = (int64_t)(said->at_us & INT64_MAX);
    if (result != SQLITE_OK || j.at < 0 || given < j.given)
        return result;
    sqlite3_bind_int64(s, 1, j.at);
    sqlite3_bind_int64(s, 2, given);
    sqlite3_bind_double(s, 3, said->score);
    store_bind_text(s, 4, said->label);
    result = run(s);
    if (result != SQLITE_OK || j.arm < 0)
        return result;
    /* In the place of what was said before. */
    double before = j.given < 0 ? 0 : j.score;
    struct usage_figures figures = { .scores = j.given < 0,
                                     .score_sum = said->score - before,
                                     .score_squares = said->score * said->score - before * before };
    struct sum_key key = { FOLD_ARM, usage_day((uint64_t)j.at), j.arm, j.project };
    add_sum(f, key, &figures, -1);
    return SQLITE_OK;
}

int fold_body(struct fold *f, const struct entry_body *b) {
    struct sqlite3_stmt *s = f->statements[SET_BODY];
    store_bind_text(s, 1, b->request.at ? b->request : SPAN(""));
    sqlite3_bind_int(s, 2, b->part);
    store_bind_known(s, 3, b->until_us ? (int64_t)(b->until_us & INT64_MAX) : -1);
    sqlite3_bind_int(s, 4, b->cut);
    sqlite3_bind_blob(s, 5, b->bytes.len ? b->bytes.at : "", (int)b->bytes.len, SQLITE_STATIC);
    return run(s);
}

/* --- orphans ---------------------------------------------------------------------------------- */

/* What has to be said of a request whose process died: nothing of its answers is known, and each
 * attempt can
 * have cost its bound. */
static int fold_orphan(struct fold *f, const struct pending *p) {
    struct entry_attempt attempts[ENTRY_ATTEMPTS_MAX];
    struct entry e = { .outcome = ENTRY_ORPHANED,
                       .queue_us = -1,
                       .policy_us = -1,
                       .first_us = -1,
                       .total_us = -1,
                       .attempts = attempts };
    for (const struct under_way *u = p->attempts; u && e.n_attempts < ENTRY_ATTEMPTS_MAX;
         u = u->next) {
        struct entry_begun b;
        if (!entry_read_begun((struct span){ u->entry, u->len }, &b))
            continue;
        e.id = b.request;
        e.at_us = b.at_us;
        e.key = b.key;
        e.project = b.project;
        e.endpoint = b.endpoint;
        e.policy = b.policy;
        e.arm = b.arm;
        attempts[e.n_attempts++] = (struct entry_attempt){
            .number = b.number,
            .target = b.target,
            .began_us = b.began_us,
            .connect_us = -1,
            .first_us = -1,
            .total_us = -1,
            .tokens = { -1, -1, -1, -1, -1 },
            .price = { PRICE_UNKNOWN, PRICE_UNKNOWN, PRICE_UNKNOWN, PRICE_UNKNOWN },
            .cost = -1,
            .billed = -1,
            .most = b.bound,
        };
    }
    return e.n_attempts ? fold_ended(f, &e) : end_pending(f, span_of(p->request));
}

int fold_orphans(struct fold *f, bool (*alive)(void *owner, struct span writer), void *owner,
                 unsigned *n) {
    struct pending *p = NULL, *next = NULL;
    int result = SQLITE_OK;
    *n = 0;
    HASH_ITER(hh, f->pending, p, next) {
        /* All attempts of a request are of one writer. */
        if (alive(owner, span_of(p->attempts->writer)))
            continue;
        result = fold_orphan(f, p);
        if (result != SQLITE_OK)
            return result;
        ++*n;
    }
    return result;
}

/* --- journals --------------------------------------------------------------------------------- */

int fold_position(struct fold *f, struct span name, struct fold_position p) {
    struct sqlite3_stmt *s = f->statements[SET_POSITION];
    store_bind_text(s, 1, name);
    sqlite3_bind_int64(s, 2, (int64_t)p.offset);
    sqlite3_bind_int64(s, 3, (int64_t)p.sequence);
    return run(s);
}

int fold_position_of(struct fold *f, struct span name, struct fold_position *p) {
    struct sqlite3_stmt *s = f->statements[GET_POSITION];
    store_bind_text(s, 1, name);
    int result = sqlite3_step(s);
    *p = (struct fold_position){ 0 };
    if (result == SQLITE_ROW) {
        p->offset = (uint64_t)sqlite3_column_int64(s, 0);
        p->sequence = (uint64_t)sqlite3_column_int64(s, 1);
    }
    sqlite3_reset(s);
    return result == SQLITE_ROW || result == SQLITE_DONE ? SQLITE_OK : result;
}

int fold_forget_journals(struct fold *f, bool (*there)(void *owner, struct span name),
                         void *owner) {
    struct sqlite3_stmt *all = f->statements[ALL_JOURNALS], *forget = f->statements[FORGET_JOURNAL];
    int result, forgot = SQLITE_OK;
    while (forgot == SQLITE_OK && (result = sqlite3_step(all)) == SQLITE_ROW) {
        struct span name = store_text(all, 0);
        if (there(owner, name))
            continue;
        store_bind_text(forget, 1, name);
        forgot = run(forget);
    }
    sqlite3_reset(all);
    return forgot != SQLITE_OK ? forgot : result == SQLITE_DONE ? SQLITE_OK : result;
}

/* --- transactions ----------------------------------------------------------------------------- */

int fold_begin(struct fold *f) {
    return run(f->statements[BEGIN]);
}

int fold_commit(struct fold *f) {
    int result = write_pending(f);
    for (struct sum *s = f->sums; s && result == SQLITE_OK; s = s->hh.next)
        result = write_sum(f, s);
    if (result == SQLITE_OK)
        result = run(f->statements[COMMIT]);
    if (result == SQLITE_OK)
        forget_sums(f);
    return result;
}

/* What memory holds beside the database may be of the transaction that is given up. */
void fold_abandon(struct fold *f) {
    run(f->statements[ROLLBACK]); /* SQLite may have done so by itself */
    forget_sums(f);
    forget_names(f);
    forget_pending(f);
    read_pending(f);
}

/* --- retention -------------------------------------------------------------------------------- */

/* Deletes the tags of one request from their index. */
static int drop_tags(struct fold *f, int64_t request, struct span tags) {
    struct sqlite3_stmt *s = f->statements[DROP_TAG];
    int result = SQLITE_OK;
    while (tags.len && result == SQLITE_OK) {
        size_t len = span_find(tags, '\n');
        int64_t tag;
        result = name_of(f, 1, span_sub(tags, 0, len), &tag);
        if (result != SQLITE_OK)
            break;
        sqlite3_bind_int64(s, 1, tag);
        sqlite3_bind_int64(s, 2, request);
        result = run(s);
        tags = span_sub(tags, len + 1, SIZE_MAX);
    }
    return result;
}

static int drop_through(struct fold *f, int64_t last) {
    int result = SQLITE_OK;
    /* Prompts and answers are found by their requests, which so go last. */
    for (int i = DROP_ATTEMPTS; i <= DROP_REQUESTS && result == SQLITE_OK; i++) {
        sqlite3_bind_int64(f->statements[i], 1, last);
        result = run(f->statements[i]);
    }
    return result;
}

static int retire(struct fold *f, uint64_t before_us, unsigned max, unsigned *n) {
    struct sqlite3_stmt *s = f->statements[OLDEST];
    int64_t last = 0;
    sqlite3_bind_int64(s, 1, (int64_t)before_us);
    sqlite3_bind_int64(s, 2, max);
    int result, dropped = SQLITE_OK;
    while (dropped == SQLITE_OK && (result = sqlite3_step(s)) == SQLITE_ROW) {
        last = sqlite3_column_int64(s, 0);
        dropped = drop_tags(f, last, store_text(s, 1));
        ++*n;
    }
    sqlite3_reset(s);
    if (dropped != SQLITE_OK || result != SQLITE_DONE)
        return dropped != SQLITE_OK ? dropped : result;
    return *n ? drop_through(f, last) : SQLITE_OK;
}

int fold_retire(struct fold *f, uint64_t before_us, unsigned max, unsigned *n) {
    *n = 0;
    int result = fold_begin(f);
    if (result == SQLITE_OK)
        result = retire(f, before_us, max, n);
    if (result == SQLITE_OK)
        result = fold_commit(f);
    return result == SQLITE_OK && *n ? run(f->statements[VACUUM]) : result;
}

int fold_expire(struct fold *f, uint64_t now_us, unsigned max, unsigned *n) {
    struct sqlite3_stmt *s = f->statements[EXPIRE_BODIES];
    sqlite3_bind_int64(s, 1, (int64_t)(now_us & INT64_MAX));
    sqlite3_bind_int64(s, 2, max);
    int result = run(s);
    *n = result == SQLITE_OK ? (unsigned)sqlite3_changes(f->db) : 0;
    return result == SQLITE_OK && *n ? run(f->statements[VACUUM]) : result;
}

/* --- making one ------------------------------------------------------------------------------- */

struct fold *fold_new(struct sqlite3 *db) {
    struct fold *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    f->db = db;
    for (int i = 0; i < STATEMENTS; i++) {
        f->statements[i] = store_prepare(db, texts[i]);
        if (!f->statements[i])
            goto fail;
    }
    if (read_pending(f) == SQLITE_OK)
        return f;
fail:
    fold_free(f);
    return NULL;
}

void fold_free(struct fold *f) {
    if (!f)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(f->statements[i]);
    forget_sums(f);
    forget_names(f);
    forget_pending(f);
    buf_deinit(&f->scratch);
    free(f);
}
