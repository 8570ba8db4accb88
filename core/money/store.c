#include "money/store.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 2000 };

/* --- words ------------------------------------------------------------------------------------ */

void store_explain(struct store_error *error, const char *what, const char *path, int result) {
    static const struct {
        int result;
        enum store_failure why;
        const char *text;
    } words[] = {
        { SQLITE_FULL, STORE_UNUSABLE, "the disk is full: make room there" },
        { SQLITE_IOERR, STORE_UNUSABLE,
          "the disk can not be read or written: look at its health and room" },
        { SQLITE_READONLY, STORE_UNUSABLE,
          "it may not be written: change its permissions or its owner" },
        { SQLITE_PERM, STORE_UNUSABLE,
          "it may not be opened: change its permissions or its owner" },
        { SQLITE_CANTOPEN, STORE_UNUSABLE,
          "it can not be opened: see that its folder is there and writable" },
        { SQLITE_BUSY, STORE_LOCKED, "another process has locked it: end that process" },
        { SQLITE_LOCKED, STORE_LOCKED, "another process has locked it: end that process" },
        { SQLITE_NOTADB, STORE_FOREIGN, "it is no database: move it away, and a new one is made" },
        { SQLITE_CORRUPT, STORE_DAMAGED,
          "it is damaged: put a backup in its place, or save what can be read (sqlite3 FILE "
          ".recover) and "
          "move it away, and a new one is made" },
    };
    error->why = STORE_UNUSABLE;
    const char *text = sqlite3_errstr(result);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].result == (result & 0xff)) {
            error->why = words[i].why;
            text = words[i].text;
        }
    snprintf(error->text, sizeof error->text, "the %s %s can not be used: %s", what, path, text);
}

static void explain_newer(struct store_error *error, const struct store_schema *schema,
                          const char *path, int version) {
    error->why = STORE_NEWER;
    snprintf(error->text, sizeof error->text,
             "the %s %s was made by a later version of Perilune (its format is %d, this one knows "
             "%d): run "
             "that version, or move the file away, and a new one is made",
             schema->what, path, version, schema->n_versions);
}

static void explain_foreign(struct store_error *error, const struct store_schema *schema,
                            const char *path) {
    error->why = STORE_FOREIGN;
    snprintf(error->text, sizeof error->text,
             "%s is another program's database, not a %s: move it away, and a new one is made",
             path, schema->what);
}

/* --- opening ---------------------------------------------------------------------------------- */

static int run(struct sqlite3 *db, const char *sql) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* The first column of the first row of a statement without parameters. */
static int read_number(struct sqlite3 *db, const char *sql, int *n) {
    struct sqlite3_stmt *s;
    int result = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
    if (result != SQLITE_OK)
        return result;
    result = sqlite3_step(s);
    if (result == SQLITE_ROW) {
        *n = sqlite3_column_int(s, 0);
        result = SQLITE_OK;
    }
    sqlite3_finalize(s);
    return result;
}

/* What is known of a database before anything is done with it. */
struct look {
    int application_id, version, tables;
};

static int look_at(struct sqlite3 *db, struct look *look) {
    int result = read_number(db, "PRAGMA application_id", &look->application_id);
    if (result == SQLITE_OK)
        result = read_number(db, "PRAGMA user_version", &look->version);
    if (result == SQLITE_OK)
        result = read_number(db, "SELECT count(*) FROM sqlite_schema", &look->tables);
    return result;
}

static bool is_ours(const struct look *look, const struct store_schema *schema, const char *path,
                    struct store_error *error) {
    bool new = !look->application_id && !look->version && !look->tables;
    if (!new && look->application_id != schema->application_id)
        explain_foreign(error, schema, path);
    else if (look->version > schema->n_versions)
        explain_newer(error, schema, path, look->version);
    else
        return true;
    return false;
}

/* One version on. Whoever else may have been at it meanwhile has done the same. */
static int migrate(struct sqlite3 *db, const struct store_schema *schema, int version) {
    char mark[96];
    snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             schema->application_id, version + 1);
    int result = run(db, "BEGIN IMMEDIATE");
    if (result == SQLITE_OK)
        result = run(db, schema->versions[version]);
    if (result == SQLITE_OK)
        result = run(db, mark);
    if (result != SQLITE_OK)
        run(db, "ROLLBACK");
    return result;
}

static int bring_up_to_date(struct sqlite3 *db, const struct store_schema *schema, int version) {
    /* The first only has a say before there is a table. */
    int result = run(db, "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
                         "PRAGMA synchronous = FULL; PRAGMA secure_delete = OFF;"
                         "PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864;"
                         "PRAGMA cache_size = -65536");
    if (result == SQLITE_OK && schema->functions)
        schema->functions(db);
    for (int v = version; v < schema->n_versions && result == SQLITE_OK; v++)
        result = migrate(db, schema, v);
    return result;
}

static struct sqlite3 *open_file(const char *path, int *result) {
    struct sqlite3 *db;
    *result = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (!db)
        abort(); /* no memory */
    sqlite3_busy_timeout(db, BUSY_MS);
    return db;
}

/* Opens what is there, looks at it, and lets `prepare` do the rest. */
static struct sqlite3 *open_with(const char *path, const struct store_schema *schema,
                                 int (*prepare)(struct sqlite3 *, const struct store_schema *, int),
                                 struct store_error *error) {
    int result;
    struct sqlite3 *db = open_file(path, &result);
    struct look look = { 0 };
    if (result == SQLITE_OK)
        result = look_at(db, &look);
    if (result == SQLITE_OK && !is_ours(&look, schema, path, error))
        goto fail;
    if (result == SQLITE_OK)
        result = prepare(db, schema, look.version);
    if (result == SQLITE_OK)
        return db;
    store_explain(error, schema->what, path, result);
fail:
    sqlite3_close(db);
    return NULL;
}

struct sqlite3 *store_open(const char *path, const struct store_schema *schema,
                           struct store_error *error) {
    /* Ours alone from its first moment; SQLite gives its companions the same mode. */
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return open_with(path, schema, bring_up_to_date, error);
}

static int only_read(struct sqlite3 *db, const struct store_schema *schema, int version) {
    return run(db, "PRAGMA query_only = ON; PRAGMA cache_size = -16384");
}

struct sqlite3 *store_open_reader(const char *path, const struct store_schema *schema,
                                  struct store_error *error) {
    return open_with(path, schema, only_read, error);
}

/* --- who has it ------------------------------------------------------------------------------- */

int store_lock(const char *path) {
    char pid[24];
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    /* For whoever wonders; nothing depends on it. */
    int len = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || write(fd, pid, (size_t)len) != len)
        log_warn("%s can not be written: %s", path, strerror(errno));
    return fd;
}

/* --- statements ------------------------------------------------------------------------------- */

struct sqlite3_stmt *store_prepare(struct sqlite3 *db, const char *sql) {
    struct sqlite3_stmt *s = NULL;
    sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL);
    return s;
}

void store_bind_text(struct sqlite3_stmt *s, int at, struct span text) {
    if (text.at)
        sqlite3_bind_text(s, at, text.at, (int)text.len, SQLITE_STATIC);
    else
        sqlite3_bind_null(s, at);
}

void store_bind_known(struct sqlite3_stmt *s, int at, int64_t n) {
    if (n >= 0)
        sqlite3_bind_int64(s, at, n);
    else
        sqlite3_bind_null(s, at);
}

struct span store_text(struct sqlite3_stmt *s, int at) {
    const char *text = (const char *)sqlite3_column_text(s, at);
    return (struct span){ text, text ? (size_t)sqlite3_column_bytes(s, at) : 0 };
}

int64_t store_known(struct sqlite3_stmt *s, int at) {
    return sqlite3_column_type(s, at) == SQLITE_NULL ? -1 : sqlite3_column_int64(s, at);
}
