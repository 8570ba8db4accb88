/* money.h - all that is shared of keys, limits, caps and the record: opened, filled, closed as one.
 *
 * Owns          keys, limits, budget, ledger; the store of keys and projects that were made later.
 * Fed by        admin, with the configuration at start and after each reload.
 * Feeds         route, which asks each of them by itself.
 * Must not know requests, HTTP.
 *
 *   if (money_open(&money, &snap->config, &alerts, owner, &error) < 0) refuse(error.text);
 *   if (money_adopt(&money, snap, &error) < 0) refuse(error.text);
 *                                    at start, and before workers get another snapshot
 *   money_close(&money);             after the workers
 */
#ifndef PERILUNE_MONEY_MONEY_H
#define PERILUNE_MONEY_MONEY_H

#include "base/snapshot.h"
#include "money/budget.h"
#include "money/keys.h"
#include "money/ledger.h"
#include "money/limits.h"

struct keystore;
struct usage;

struct money {
    struct keys *keys;
    struct limits *limits;
    struct budget *budget;
    struct ledger *ledger;  /* NULL: none is kept */
    struct keystore *store; /* NULL: keys made later last as long as the process */
    struct usage *spent;    /* what the ledger knows of earlier; NULL: nothing */
};

/* Opens everything in config->data_dir, folds what an earlier process left, takes over the keys and
 * projects that are stored, and starts the ledger's thread. `alerts` as of budget_new(). Without
 * config->ledger nothing is opened there but the keys; without a data_dir nothing at all, and keys
 * made later last as long as the process. 0, or negative with the error filled and nothing left
 * open. */
int money_open(struct money *m, const struct config *config, const struct budget_events *alerts,
               void *owner, struct store_error *error);

/* Takes over what the configuration says of keys, projects and caps; caps and free requests that
 * are new begin with what the ledger knows of them. The same happens by itself to the caps of a key
 * or project that is made or changed through `keys`. One thread at a time, which may wait for the
 * disk. 0, or negative with the error filled and the keys and projects as they were: what was spent
 * can not be read, and a cap that forgot it would be spent twice. */
int money_adopt(struct money *m, const struct snapshot *snap, struct store_error *error);

/* Whether something may be spent: it could be recorded. */
bool money_may_spend(const struct money *m);

/* Folds what is there and lets everything go. All zeros is fine. */
void money_close(struct money *m);

#endif
