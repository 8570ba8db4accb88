/* budget.h - caps on money that hold exactly: reserve before, settle after.
 *
 * Owns          what was spent and is reserved, for each key, project, route and the account, by
 *               day, month and in total; the free requests of each project.
 * Fed by        attempt, with the most it may cost and then with what it did; the ledger, at start.
 * Feeds         attempt, with leave to spend; policies, with what is left; alerts.
 * Must not know prices' origin, HTTP, SQLite. Money is whole nano-dollars.
 *
 *   struct budget_ask ask = { input_nano, price.output, max_tokens, 1 };
 *   if (!budget_reserve(budget, caps, n, &ask, now_s, &hold, &answer))
 *       ... 402: answer.cap, answer.left, answer.resets_s ...
 *   ... send answer.tokens as max tokens if answer.clamped ...
 *   budget_settle(budget, &hold, cost);          once: what it cost, 0 when it was not billed
 *
 * Shared by all workers, one mutex. A reservation is refused only where at that moment some cap has
 * less left, beside what is spent and what others hold, than it asks for; it is given by all of its
 * caps or by none. Costs within their bounds never overshoot a cap.
 *
 * What is spent counts in the period it was reserved in, so that a record's attempt counts by the
 * time it began. Periods are found by the wall clock at each call and remembered by their own
 * beginning: a clock that jumps, there or back, comes to the figures of the period it names.
 */
#ifndef PERILUNE_MONEY_BUDGET_H
#define PERILUNE_MONEY_BUDGET_H

#include "base/account.h"

/* "request", "key", "project", "route", "account". */
const char *budget_scope_name(enum budget_scope scope);

#define BUDGET_CAPS 16 /* hold for one request at most */
#define BUDGET_UNLIMITED INT64_MAX

/* The most an attempt may cost: `fixed` for what is known before, and so much a million for each of
 * up to `tokens` that come. */
struct budget_ask {
    int64_t fixed;       /* nano-dollars */
    int64_t per_million; /* nano-dollars a million tokens of output, at the highest price */
    uint64_t tokens;     /* bound of the output */
    uint64_t least;      /* fewer are of no use; `tokens` or more: refuse, never clamp */
    bool is_free;        /* of a free request: caps of keys and projects do not hold for it */
};

/* fixed + per_million * tokens / 1,000,000 rounded up; BUDGET_UNLIMITED where that is more. */
int64_t budget_bound(const struct budget_ask *ask, uint64_t tokens);

struct budget;
struct budget_span;

/* What an attempt holds of its caps. The caller's memory. */
struct budget_hold {
    struct budget_span *spans[BUDGET_CAPS];
    size_t n;
    int64_t nano; /* reserved in each */
    bool live;    /* not settled yet */
};

struct budget_answer {
    uint64_t tokens; /* allowed: at most that many; refused: 0 */
    bool clamped;    /* fewer than asked for */
    /* Of those given the one that leaves least; of those that refuse rather one that does so for
     * good. NULL: none holds. */
    const struct budget_cap *cap;
    int64_t left; /* of it, before this one: its amount less what is spent and held */
    bool pending; /* refused, but every cap would do once those under way had cost nothing: asking
                   * again when they are settled is not in vain */
    int64_t resets_s; /* when its period ends; PERIOD_FOR_EVER: never */
};

/* A cap reached a share. Called once a crossing and period, on the thread that settled, without
 * any lock. */
struct budget_alert {
    enum budget_scope scope;
    struct span name; /* borrowed until return */
    enum period_kind period;
    struct period when;
    unsigned percent;
    int64_t spent, nano;
};

struct budget_events {
    void (*on_alert)(void *owner, const struct budget_alert *alert);
};

/* `events` NULL: nobody is told. */
struct budget *budget_new(const struct budget_events *events, void *owner);

/* After the last hold. */
void budget_free(struct budget *budget);

/* What the ledger knows as spent under a cap in the period of `now_s`. To be called for every cap
 * before workers see it, at start and when a reload brings one; false: it was known here already,
 * which is newer, and nothing was changed. Shares that are crossed already raise no alert. */
bool budget_load(struct budget *budget, const struct budget_cap *cap, int64_t spent, int64_t now_s);

/* Reserves the bound of `ask` in all of the caps that hold at once (up to BUDGET_CAPS), or what the
 * tightest of them leaves of it, but not less than ask->least tokens. False: nothing was
 * reserved. */
bool budget_reserve(struct budget *budget, const struct budget_cap *caps, size_t n,
                    const struct budget_ask *ask, int64_t now_s, struct budget_hold *hold,
                    struct budget_answer *answer);

/* It cost that much, or 0: the rest is released. More than was held is spent all the same: the
 * truth counts; true then. The hold is empty afterwards, and settling it once more does nothing. */
bool budget_settle(struct budget *budget, struct budget_hold *hold, int64_t cost);

/* How a cap stands. */
struct budget_figure {
    int64_t left, spent, held, resets_s;
};

struct budget_figure budget_figure(struct budget *budget, const struct budget_cap *cap,
                                   int64_t now_s);

/* The one that leaves least, and how it stands; of a free request those of its key and project do
 * not hold. NULL: none holds, BUDGET_UNLIMITED is left. */
const struct budget_cap *budget_tightest(struct budget *budget, const struct budget_cap *caps,
                                         size_t n, bool is_free, int64_t now_s,
                                         struct budget_figure *figure);

/* --- free requests --- */

/* Once for a request, before its first attempt: whether it is one of the project's free ones, of
 * which there are `allowance` for life. True: it is held until budget_free_end(); its attempts are
 * reserved without the caps of its key and project, which it is not charged to. */
bool budget_free_begin(struct budget *budget, struct span project, uint64_t allowance);

/* That request ended. `answered`: with 2xx, so that it counts; else it is there for another one. */
void budget_free_end(struct budget *budget, struct span project, bool answered);

/* How many the ledger knows as used; false: the project was known here already. */
bool budget_free_load(struct budget *budget, struct span project, uint64_t used);

/* How many are neither used nor held. */
uint64_t budget_free_left(struct budget *budget, struct span project, uint64_t allowance);

#endif
