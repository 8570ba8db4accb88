/* retries.h - how many attempts more than one a request there may be, over all requests.
 *
 * Owns          two purses: one for retries, one for hedges.
 * Fed by        request: each one pays in.
 * Feeds         request, which asks before it tries the same step again, begins a chain again, or
 *               lets two targets race.
 * Must not know requests, clocks.
 *
 * Each request pays a fraction of an attempt into each purse, up to a limit; each retry or hedge
 * takes a whole one out. So under total failure there are at most so many percent more attempts than
 * requests over time, whatever chains and policies say (Google SRE book, "Addressing Cascading
 * Failures": retry budgets). Falling over to another target is no retry: breakers bound that. Any thread.
 */
#ifndef PERILUNE_ROUTE_RETRIES_H
#define PERILUNE_ROUTE_RETRIES_H

#include <stdatomic.h>
#include <stdbool.h>

enum {
    RETRIES_PERCENT = 20, /* of requests */
    RETRIES_BURST = 20,   /* attempts the purse holds at most, and at the start */
    RETRIES_HEDGE_PERCENT = 5,
    RETRIES_HEDGE_BURST = 10
};

struct retries {
    atomic_int retry, hedge; /* in hundredths of an attempt */
};

void retries_init(struct retries *r);

/* A request came. */
void retries_earn(struct retries *r);

/* Takes one out; false: there is none. */
bool retries_take(struct retries *r);
bool retries_take_hedge(struct retries *r);

/* There was nothing to begin with it after all. */
void retries_return_hedge(struct retries *r);

#endif
