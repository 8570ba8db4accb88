#include "support/ledger_kit.h"

#include "support/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

const char *ledger_kit_folder(char path[64]) {
    strcpy(path, "/tmp/ledger_kit.XXXXXX");
    assert_non_null(mkdtemp(path));
    return path;
}

void ledger_kit_remove(const char *path) {
    char below[512];
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        snprintf(below, sizeof below, "%s/%s", path, e->d_name);
        if (unlink(below) != 0)
            ledger_kit_remove(below);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

int64_t ledger_kit_number(struct sqlite3 *db, const char *sql) {
    struct sqlite3_stmt *s;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    if (sqlite3_step(s) != SQLITE_ROW)
        fail_msg("%s gives nothing: %s", sql, sqlite3_errmsg(db));
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

/* --- plans --- */

static struct sqlite3 *watched[8];
static size_t n_watched;

static int watch(struct sqlite3 *db, char **error, const void *api) {
    if (n_watched < 8)
        watched[n_watched++] = db;
    return SQLITE_OK;
}

void ledger_kit_watch(void) {
    n_watched = 0;
    sqlite3_auto_extension((void (*)(void))watch);
}

static void check_plan(struct sqlite3 *db, const char *sql) {
    struct sqlite3_stmt *s;
    char *plan = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
    assert_int_equal(sqlite3_prepare_v2(db, plan, -1, &s, NULL), SQLITE_OK);
    while (sqlite3_step(s) == SQLITE_ROW) {
        const char *step = (const char *)sqlite3_column_text(s, 3);
        if (strstr(step, "SCAN") || strstr(step, "TEMP B-TREE"))
            fail_msg("%s: %s", sql, step);
    }
    sqlite3_finalize(s);
    sqlite3_free(plan);
}

unsigned ledger_kit_plans(void) {
    unsigned n = 0;
    sqlite3_reset_auto_extension();
    for (size_t i = 0; i < n_watched; i++)
        for (struct sqlite3_stmt *s = NULL; (s = sqlite3_next_stmt(watched[i], s));)
            if (strncmp(sqlite3_sql(s), "SELECT", 6) == 0) {
                check_plan(watched[i], sqlite3_sql(s));
                n++;
            }
    return n;
}
