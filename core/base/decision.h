/* decision.h - what a policy decided: a chain of steps, or a refusal. The plain structs.
 *
 * Owns          nothing: everything lies in the request's arena.
 * Fed by        script/policy (a script's answer), route/chain (the configured fallback).
 * Feeds         route/chain, which walks it.
 * Must not know Lua.
 */
#ifndef PERILUNE_BASE_DECISION_H
#define PERILUNE_BASE_DECISION_H

#include "base/facts.h"
#include "base/failure.h"
#include "base/snapshot.h"

/* Whole nano-dollars: one dollar is 1e9. */
typedef int64_t nanousd;
#define NANOUSD_NONE INT64_MAX /* no ceiling */

/* One target to try, and how. Zero means "as configured" for times, -1 for retries. */
struct step {
    const struct target *target;
    uint32_t timeout_ms;     /* total time of one attempt */
    uint32_t first_token_ms; /* until the first content; streams only */
    uint32_t idle_ms;        /* longest silence after it */
    int retries; /* further tries of this step; -1: the default, 1 for connect and for a rate limit
                  * that fits */
    uint32_t when;    /* FAILURE_BIT set of the failures that lead here; 0: FAILURE_DEFAULT_WHEN */
    nanousd max_cost; /* hard: over it the step is skipped */
    uint32_t max_latency_ms; /* soft: over it the step is skipped, unless all are */
    const struct pair
        *params; /* parameter overrides: name and raw JSON value; SPAN_NONE value takes it out */
    size_t n_params;
};

enum on_exhausted { EXHAUSTED_FAIL, EXHAUSTED_QUEUE };

/* The steps in order, and limits over all of them. Zero means none, or "as configured". */
struct chain {
    struct step *steps;
    size_t n_steps;
    uint32_t deadline_ms; /* hard, from the request's arrival */
    nanousd max_cost;     /* over all attempts */
    uint32_t max_latency_ms;
    uint32_t max_attempts;
    uint32_t hedge_after_ms;
    enum on_exhausted on_exhausted;
    uint32_t retry_window_ms;
    int64_t hold_ms; /* -1: as configured; 0: never commit while waiting */
    struct span reason;
};

/* Why a target is not in the chain, as a fleet word noted it. */
struct cut {
    struct span target; /* SPAN_NONE: `count` targets, not named one by one */
    struct span word;   /* "able", "where", "take" */
    struct span why;
    unsigned count;
};

enum decision_kind {
    DECISION_CHAIN,  /* `chain`; no steps means no_eligible_target */
    DECISION_REFUSED /* the policy said no: `status`, `code`, `message` */
};

struct decision {
    enum decision_kind kind;
    struct chain chain;
    int status; /* 0: the default, 403 */
    struct span code, message;
    struct span policy; /* "tier@3f9c2a1b": the version that decided */
    const struct cut *cuts;
    size_t n_cuts;
    const struct pair *notes; /* note(key, value) */
    size_t n_notes;
    /* What could not be used of the answer, one sentence each that begins with its place:
     * "chain[2].timeout_ms: expected milliseconds". The rest of it is used. */
    const struct span *findings;
    size_t n_findings;
    bool read_text;    /* the policy looked at req.text or req.system */
    bool read_headers; /* or at a header that is not recorded: see snapshot_records() */
};

#endif
