/* fold.h - entries made rows, and the sums of a day.
 *
 * Owns          the tables of the ledger and the statements that write them; sums and names it has
 *               not written yet.
 * Fed by        ledger, with entries in the order of their journal.
 * Feeds         search and usage, through the database.
 * Must not know journals' files, threads, clocks.
 *
 *   fold_begin(f);
 *   fold_begun(f, writer, &begun); ... fold_ended(f, &entry); ... fold_position(f, name,
 *   &position);
 *   if (fold_commit(f) != 0) ...                  nothing of it happened
 *
 * All calls return 0 or a SQLite result; after one that is not 0 the transaction has to be given up
 * by fold_abandon(). What a transaction folds and how far the journals were read stands in the
 * database together or not at all: so nothing is folded twice.
 */
#ifndef PERILUNE_MONEY_FOLD_H
#define PERILUNE_MONEY_FOLD_H

#include "money/entry.h"
#include "money/store.h"

/* The ledger's tables: docs/ledger.md. Sums are kept of each of these; the numbers stand in them.
 * */
enum fold_kind {
    FOLD_PROJECT = 1,
    FOLD_KEY = 2,
    FOLD_POLICY = 3,
    FOLD_ARM = 4,
    FOLD_TAG = 5,
    FOLD_TARGET = 6,
    FOLD_ENDPOINT = 7
};

extern const struct store_schema fold_schema;

struct fold;

/* The connection stays the caller's. NULL when the database can not be read. */
struct fold *fold_new(struct sqlite3 *db);
void fold_free(struct fold *f);

int fold_begin(struct fold *f);
int fold_commit(struct fold *f);
void fold_abandon(struct fold *f);

/* An attempt of that writer begins. It is an orphan until its request ends. */
int fold_begun(struct fold *f, struct span writer, const struct entry_begun *b);

/* A request is over, with all its attempts. */
int fold_ended(struct fold *f, const struct entry *e);

/* The last word of a client on one of its requests, which has ended and been folded before. Of one
 * nobody knows, or that is retired, nothing happens. */
int fold_feedback(struct fold *f, const struct entry_feedback *said);

/* A request's prompt or answer; it may come before or after the request. */
int fold_body(struct fold *f, const struct entry_body *b);

/* Costs are indexed by their size in bits, so that "at least so much" is a few runs of the index,
 * each in
 * order of time; -1 for what is not known. */
int fold_cost_class(nanousd cost);

/* How far a journal has been read. */
struct fold_position {
    uint64_t offset;   /* of the file */
    uint64_t sequence; /* of the last frame before it */
};

int fold_position(struct fold *f, struct span name, struct fold_position p);

/* Zeros when nothing of it was read. */
int fold_position_of(struct fold *f, struct span name, struct fold_position *p);

/* Forgets the journals that are not there any more. */
int fold_forget_journals(struct fold *f, bool (*there)(void *owner, struct span name), void *owner);

/* Whether any attempt has begun whose request has not ended. */
bool fold_under_way(const struct fold *f);

/* Requests whose attempts began under a writer that `alive` does not know are recorded as orphaned:
 * `*n` says how many. */
int fold_orphans(struct fold *f, bool (*alive)(void *owner, struct span writer), void *owner,
                 unsigned *n);

/* Deletes at most `max` of the requests that began before that time, the oldest first, and gives
 * some of the space back; sums stay. `*n` says how many there were. A transaction of its own. */
int fold_retire(struct fold *f, uint64_t before_us, unsigned max, unsigned *n);

/* The same of prompts and answers that had to be gone by then. */
int fold_expire(struct fold *f, uint64_t now_us, unsigned max, unsigned *n);

#endif
