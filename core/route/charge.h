/* charge.h - what a request is charged: let in by its limits, paid for under its caps, written down.
 *
 * Owns          the accounts of one request, from its head to its tail gate.
 * Fed by        request, which begins and ends it; live, with attempts; pursuit, with what flows.
 * Feeds         limits, budget, the worker's journal; headers and errors of its client.
 * Must not know how the chain is walked, dialects, SQLite.
 *
 *   if (!charge_enter(r, &error)) request_fail(r, &error);
 *   step = charge_reserve(r, step, record, &hold);         NULL: no cap leaves enough
 *   if (!charge_flows(r, &hold, tokens)) ...cut it...      while an answer runs
 *   charge_settle(r, &hold, record);                       once for each that was reserved
 *   charge_close(r, outcome, status);                      at the tail gate
 */
#ifndef PERILUNE_ROUTE_CHARGE_H
#define PERILUNE_ROUTE_CHARGE_H

#include "money/budget.h"
#include "money/limits.h"
#include "route/error.h"
#include "route/reply.h"
#include "route/request.h"

struct step;

struct charge {
    struct limits_pass limits;
    struct limits_state standing; /* of the limits that hold, as it came in */
    bool limited;                 /* some do */
    struct budget_cap *caps;      /* that hold for all of it, with room for one more */
    size_t n_caps;
    bool gift;                    /* it is one of its project's free requests */
    bool refused;                 /* a cap had too little left for an attempt: */
    struct budget_cap refusing;   /* which one, */
    nanousd needed;               /* for the shortest answer that is of use; -1: not known, */
    struct budget_answer refusal; /* and how it stands */
    bool unpriced;                /* an attempt was not made because nobody knows what it costs */
    enum error_code cut;          /* why its stream was cut; ERROR_COUNT: it was not */
};

/* What is set aside for an attempt. */
struct charge_hold {
    struct budget_hold budget;
    uint64_t tokens; /* of output that is paid for; 0: no cap holds, or there is no output */
    nanousd bound;   /* the most it can cost, with or without a cap; -1: it has no price */
};

/* What is known of a request that is authorised and read: limits let it in, caps are found, facts
 * tell what they leave. False with the error when it may not go on; nothing is charged then. */
bool charge_enter(struct request *r, struct api_error *error);

/* Sets aside the most the step can cost and writes down that it begins. The step to run: its own,
 * or one with fewer tokens, where a cap leaves less; NULL when there is not enough, and r->charge
 * says why. */
const struct step *charge_reserve(struct request *r, const struct step *step,
                                  struct trace_attempt *record, struct charge_hold *hold);

/* Whether the policy's chain is empty because a cap leaves too little for any target:
 * charge_refusal() then says so. */
bool charge_emptied(struct request *r);

/* The attempt that has this answer has come to so many tokens of output. False: that is over a limit,
 * or over all that was paid for; r->charge.cut says which. */
bool charge_flows(struct request *r, const struct charge_hold *hold, uint64_t tokens);

/* The attempt is over: what it cost is spent, the rest is there again. */
void charge_settle(struct request *r, struct charge_hold *hold, const struct trace_attempt *record);

/* The request is over: its limits and its free request are let go, and it is written down. `code`:
 * of the error its client gets; SPAN_NONE: none. */
void charge_close(struct request *r, enum request_outcome outcome, int status, struct span code);

/* x-ratelimit-limit-requests and the others, where limits hold. */
void charge_headers(const struct request *r, struct reply *reply);

/* Why nothing could be tried, where that was a cap. */
struct api_error charge_refusal(struct request *r);

/* Why the client's stream was cut. */
struct api_error charge_cut(struct request *r);

#endif
