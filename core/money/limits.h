/* limits.h - requests and tokens a minute, and how many at once: for a key, a project, a model.
 *
 * Owns          a schedule and a count for each one that is limited.
 * Fed by        request, before anything else is spent on it, and at its end.
 * Feeds         request, with a pass, or with the limit in the way; the x-ratelimit headers.
 * Must not know keys, projects, HTTP: a limit is a scope, a name and numbers.
 *
 *   struct limits_on on[] = { { LIMITS_KEY, key->id, key->limits }, { LIMITS_PROJECT, ... } };
 *   if (!limits_enter(limits, on, 2, estimated_tokens, clock_us(), &pass, &state))
 *       ... 429: state.worst says which, retry_ms when ...
 *   if (!limits_grow(limits, &pass, tokens_so_far, clock_us(), &state))    while the answer runs
 *       ... cut ...
 *   limits_leave(limits, &pass, tokens, clock_us());                       once, however it ended
 *
 * Shared by all workers, exact: one mutex, held for as long as it takes to look up a few names. A
 * request is let in by all of its limits or charged to none.
 *
 * A minute's allowance may be used at once; it comes back evenly (GCRA). Tokens are charged as
 * estimated when the request comes, and corrected when they are known: more is charged on, of what
 * was not used as much is given back as has not flowed off since. So over any stretch of time the
 * tokens of the requests let in are at most the allowance of that time and one burst, where
 * estimates were no less than the truth; what an estimate was short of comes on top once, and is
 * waited for. A request that is larger than a minute's whole allowance gets in when nothing else
 * counts, and is charged the minute; while it runs it is held to the truth.
 */
#ifndef PERILUNE_MONEY_LIMITS_H
#define PERILUNE_MONEY_LIMITS_H

#include "base/account.h"

enum limits_scope { LIMITS_KEY, LIMITS_PROJECT, LIMITS_MODEL, LIMITS_SCOPES };
enum limits_kind { LIMITS_REQUESTS, LIMITS_TOKENS, LIMITS_CONCURRENT, LIMITS_KINDS };

/* One that is limited. The name is copied where it is kept. */
struct limits_on {
    enum limits_scope scope;
    struct span name;
    struct limits_rule rule;
};

/* How many hold for one request at most. */
#define LIMITS_MAX 4

struct limits;
struct limits_entry;

/* What a request was charged, and where. The caller's memory; nothing in it is for others. */
struct limits_pass {
    struct limits_charge {
        struct limits_entry *entry; /* stays while the pass lasts */
        struct limits_rule rule;
        uint64_t cost_us;  /* of the schedule of tokens, so far */
        uint64_t end_us;   /* its end on the schedule of tokens when it was charged */
        uint64_t given_us; /* what had been given back of that schedule until then */
    } charges[LIMITS_MAX];
    enum limits_scope scopes[LIMITS_MAX];
    size_t n;
    uint64_t covered; /* tokens that are charged for */
};

/* One limit as it stands. */
struct limits_figure {
    bool is_set; /* some limit of this kind holds; else all is 0 */
    enum limits_scope scope;
    uint64_t limit;     /* a minute, or at once */
    uint64_t remaining; /* that much more could be had now */
    uint64_t reset_ms;  /* until all of it is there again; of LIMITS_CONCURRENT 0: nobody knows */
};

/* What holds for the request afterwards: of each kind the limit that leaves least. With a refusal,
 * `worst` is the one to be waited for longest, its figure is of that very limit, and retry_ms is
 * when the same request would get in if nothing else came: at least 1. */
struct limits_state {
    struct limits_figure figures[LIMITS_KINDS];
    enum limits_kind worst;
    uint64_t retry_ms;
};

struct limits *limits_new(void);

/* After the last pass. */
void limits_free(struct limits *limits);

/* Lets a request in that is estimated at `tokens` (input, and output as far as it is bounded).
 * True: *pass holds what it was charged until limits_leave(). False: nothing was charged. `now_us`
 * is of a clock that never goes back (clock_us()). Any thread. */
bool limits_enter(struct limits *limits, const struct limits_on *on, size_t n, uint64_t tokens,
                  uint64_t now_us, struct limits_pass *pass, struct limits_state *state);

/* The request has used that many tokens by now and goes on. Up to what it is charged for this is
 * one comparison; what is beyond is charged where there is room for it. False: there is none, the
 * limit is crossed, *state tells which. */
bool limits_grow(struct limits *limits, struct limits_pass *pass, uint64_t tokens, uint64_t now_us,
                 struct limits_state *state);

/* It ended, and this is what it used. The pass is empty afterwards, and leaving once more does
 * nothing. */
void limits_leave(struct limits *limits, struct limits_pass *pass, uint64_t tokens,
                  uint64_t now_us);

/* How many are remembered: those that are idle are forgotten now and then. For tests and
 * figures. */
size_t limits_count(struct limits *limits);

#endif
