/* trace.h - the explanation of one request: who decided what, what was tried, how it went.
 *
 * Owns          nothing; lies in the request and points into its arena.
 * Fed by        request, as things happen.
 * Feeds         response headers, the `route` object of bodies and errors, the log.
 * Must not know how any of it came about.
 */
#ifndef PERILUNE_ROUTE_TRACE_H
#define PERILUNE_ROUTE_TRACE_H

#include "base/buf.h"
#include "base/decision.h"

/* Tokens of an exchange; -1: not said. What was read from a cache and what was written to one are
 * parts of the input. */
struct trace_tokens {
    int64_t input, output, cached, written;
};

/* One attempt, or one step that was passed over (then `tried` is false). */
struct trace_attempt {
    struct trace_attempt *next;
    const struct target *target;
    bool tried;
    bool over_threshold;  /* run although predicted too slow */
    bool open;            /* passed over: its breaker was, by `failure` */
    bool last_resort;     /* asked although it was, for want of anything else */
    bool hedge;           /* begun beside another that took long */
    bool maybe_accepted;  /* it came to nothing, but the provider may have taken it, and bill it */
    enum failure failure; /* FAILURE_NONE: it answered, or is under way */
    int status;           /* HTTP status of the provider; 0: none came */
    uint64_t began_us, first_us, ended_us; /* clock_us(); 0: not reached */
    struct span upstream_id;               /* the provider's own request id */
    struct span message;                   /* what the provider said; bounded */
    int64_t input_tokens, output_tokens, cached_tokens, reasoning_tokens; /* -1: not said */
    int64_t written_tokens;                                               /* to a cache */
    nanousd cost;                                                         /* -1: unknown */
    nanousd most;       /* where maybe_accepted has no cost: what it can have been; -1: unknown */
    bool estimated;     /* some tokens are, because the provider did not report them */
    uint64_t clamped;   /* tokens its answer was cut down to by a cap; 0: it was not */
    int64_t connect_us; /* until the connection stood; -1: it never did */
    uint64_t
        reopens_ms; /* clock_ms(): not to be asked before, as the provider said; 0: it did not */
};

/* So much of a chain as it was decided is kept; longer ones are known by their length. */
enum { TRACE_CHAIN_MAX = 32 };

struct trace {
    struct span id;
    struct span policy; /* "tier@3f9c2a1b"; "fallback" when the configured chain had to answer */
    struct span
        policy_error;   /* "timeout: policies/tier.lua took over 5 ms"; SPAN_NONE without one */
    struct span reason; /* the policy's own word for it */
    const struct cut *cuts;
    size_t n_cuts;
    const struct pair *notes;
    size_t n_notes;
    const struct span *findings; /* what of the policy's answer could not be used */
    size_t n_findings;
    const struct target *const *chain; /* as decided: before it was enforced, tightened, replaced */
    size_t n_chain, n_steps;           /* how many of its steps are kept, how many there were */
    int refused;                       /* the status of a policy that said no; 0: it did not */
    bool read_text;                    /* it decided by what was written */
    bool read_headers;                 /* it asked for one that is not recorded */
    uint64_t decided_us;               /* clock_us() when the policy was asked; 0: none was */
    struct trace_attempt *attempts, **end;
    unsigned tried;
    uint64_t began_us; /* the request's first byte */
    uint32_t policy_us;
};

void trace_init(struct trace *t, struct span id, uint64_t began_us);

/* Notes what was decided, by a policy or in its place. */
void trace_decided(struct trace *t, struct arena *arena, const struct decision *d);

/* A new last entry, in `arena`, for the target. */
struct trace_attempt *trace_add(struct trace *t, struct arena *arena, const struct target *target);

/* What the tokens cost at the target's price of that Unix time, rounded once, up: nano-dollars, or
 * -1 when a price or the usage is not known. Cached and written tokens without a price of their own
 * cost what all input does. */
nanousd trace_cost(const struct target *target, struct trace_tokens tokens, uint64_t now_s);

/* The same of what is known of an attempt, now. */
nanousd trace_attempt_cost(const struct trace_attempt *a);

/* Sums stop at the largest amount: what a provider reports is not ours to trust. */
nanousd trace_sum(nanousd a, nanousd b);

/* The sum of the known costs of all attempts; -1 when an attempt that answered has none. */
nanousd trace_total_cost(const struct trace *t);

/* "0.001234" dollars. */
void trace_write_usd(struct buf *out, nanousd cost);

/* [{"target","failure","status","ms"},...], as errors carry it. */
void trace_write_attempts(const struct trace *t, struct buf *out);

/* The whole `route` object of x-route-trace. */
void trace_write(const struct trace *t, struct buf *out);

#endif
