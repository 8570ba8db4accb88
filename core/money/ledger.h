/* ledger.h - the durable record: a thread that folds journals into a database.
 *
 * Owns          FOLDER/ledger.db, its lock, the journals in FOLDER/journal once they are read; the
 *               folding thread.
 * Fed by        journals, through their files.
 * Feeds         search and usage, through the database; whoever spends, with whether it may.
 * Must not know requests, routes, HTTP.
 *
 *   struct ledger *l = ledger_open(&settings, &error);
 *   if (!l) refuse(error.text);
 *   ledger_start(l);
 *   if (!ledger_may_spend(l)) refuse();              any thread, at any time
 *   ledger_close(l);
 */
#ifndef PERILUNE_MONEY_LEDGER_H
#define PERILUNE_MONEY_LEDGER_H

#include "money/store.h"

struct ledger;

struct ledger_settings {
    struct span folder;      /* made when it is not there */
    struct span spill;       /* where journals go when the folder takes no more; SPAN_NONE: nowhere,
                              * and spending stops when it can not be recorded */
    uint32_t retention_days; /* of requests; 0: for ever. Sums of days are kept for ever */
    uint64_t unfolded_max;   /* bytes of journals; with more, spending stops; 0: 1 GB */
};

enum ledger_health {
    LEDGER_WELL,
    LEDGER_BEHIND, /* over unfolded_max waits to be folded */
    LEDGER_FAILING /* the database takes nothing */
};

struct ledger_status {
    enum ledger_health health;
    char trouble[1024]; /* what is wrong and the way out; "" when nothing is */
    uint64_t unfolded;  /* bytes of journals */
    uint64_t folded;    /* requests since the start */
    uint64_t orphans;   /* requests since the start */
    uint64_t broken;    /* journals with damaged frames, kept beside as NAME.damaged */
    uint64_t busy_us;   /* processor time of folding since the start */
};

/* Opens or makes the database and takes its lock. NULL with the error filled: newer, locked,
 * damaged,
 * unusable. Nothing is folded yet. */
struct ledger *ledger_open(const struct ledger_settings *s, struct store_error *error);

/* Where journals of workers go. Borrowed from the ledger. */
struct span ledger_journals(const struct ledger *l);

/* The database, for those who read. Borrowed from the ledger. */
const char *ledger_path(const struct ledger *l);

/* Starts the thread: every 100 ms it brings journals to the disk and folds them. */
void ledger_start(struct ledger *l);

/* What the thread does each time, for whoever has none; `now_us` is Unix time. True while there is
 * more to
 * do at once. */
bool ledger_turn(struct ledger *l, uint64_t now_us);

/* Folds all there is, before ledger_start(): what an earlier process left, and then what its orphans
 * are. Deletes nothing that is old. False with the error filled: the database takes nothing. */
bool ledger_catch_up(struct ledger *l, struct store_error *error);

/* One atomic read. */
bool ledger_may_spend(const struct ledger *l);

void ledger_status(struct ledger *l, struct ledger_status *status);

/* Stops the thread, folds what is there, lets the database go. NULL is fine. */
void ledger_close(struct ledger *l);

#endif
