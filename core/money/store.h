/* store.h - a database file: opened with care, brought up to date, or refused in plain words.
 *
 * Owns          nothing: the connection is the caller's.
 * Fed by        ledger and whoever else keeps something in SQLite.
 * Feeds         them with a connection, and with the words for what went wrong.
 * Must not know tables.
 *
 *   struct sqlite3 *db = store_open(path, &schema, &error);
 *   if (!db) refuse(error.text);
 *   sqlite3_close(db);
 */
#ifndef PERILUNE_MONEY_STORE_H
#define PERILUNE_MONEY_STORE_H

#include "base/span.h"

struct sqlite3;
struct sqlite3_stmt;

enum store_failure {
    STORE_NEWER = 1, /* made by a later version */
    STORE_FOREIGN,   /* some other program's database, or no database */
    STORE_LOCKED,    /* another process has it */
    STORE_DAMAGED,
    STORE_UNUSABLE /* can not be opened, read or written: permissions, disk */
};

/* Names the file and the way out. */
struct store_error {
    enum store_failure why;
    char text[1024];
};

/* `versions[i]` brings a database of version i (PRAGMA user_version) to i + 1, each in a
 * transaction of its own. Databases of other programs are told by the application id. */
struct store_schema {
    const char *what; /* "ledger", for messages */
    int application_id;
    void (*functions)(struct sqlite3 *db); /* gives its SQL functions to one that writes, versions
                                            * may call them; NULL: there are none */
    const char *const *versions;
    int n_versions;
};

/* For writing: made when it is not there (mode 0600), in WAL mode, every commit on the disk. A
 * database whose pages do not fit together is refused, as far as a look at its schema tells. NULL
 * with the error filled. */
struct sqlite3 *store_open(const char *path, const struct store_schema *schema,
                           struct store_error *error);

/* For reading beside the one that writes; from any process. */
struct sqlite3 *store_open_reader(const char *path, const struct store_schema *schema,
                                  struct store_error *error);

/* Makes the file at `path` and locks it for this process alone, with its number in it. The kernel
 * takes the lock back however the process ends; closing the descriptor does, too. It, or a negative
 * errno: -EWOULDBLOCK where another process has it. */
int store_lock(const char *path);

/* A statement that lives long. NULL when the database can not be read, or has no such tables. */
struct sqlite3_stmt *store_prepare(struct sqlite3 *db, const char *sql);

/* SPAN_NONE binds NULL, and so does a negative number. A text must live until the statement is
 * reset. */
void store_bind_text(struct sqlite3_stmt *s, int at, struct span text);
void store_bind_known(struct sqlite3_stmt *s, int at, int64_t n);

/* NULL reads as SPAN_NONE and -1. The text lives until the statement steps on. */
struct span store_text(struct sqlite3_stmt *s, int at);
int64_t store_known(struct sqlite3_stmt *s, int at);

/* The words for a SQLite result that stopped something, with the file and the way out. */
void store_explain(struct store_error *error, const char *what, const char *path, int result);

#endif
