/* attempt.h - one try of one step: a request goes up in the target's dialect, an answer comes back
 * in the client's.
 *
 * Owns          the upstream body, the transfer, what came back and has not been passed on, its own
 *               timers.
 * Fed by        request, with a step; transfer, with bytes.
 * Feeds         struct attempt_events: nothing before there is something for the client, then whole
 *               events or a whole answer.
 * Must not know clients, chains, other attempts.
 *
 *   a = attempt_start(&tools, &setup, &events, request);
 *   ... on_content, on_events..., on_end (a stream), or on_answer (a whole answer), or on_fail ...
 *   attempt_free(a);          cancels what is under way
 *   attempt_release(a);       after on_end or on_answer: the exchange runs out by itself, so that
 *                             its connection is kept
 */
#ifndef PERILUNE_ROUTE_ATTEMPT_H
#define PERILUNE_ROUTE_ATTEMPT_H

#include "base/decision.h"
#include "base/json.h"
#include "route/body.h"
#include "route/endpoint.h"
#include "route/kept.h"
#include "route/keyring.h"
#include "route/token.h"
#include "route/trace.h"
#include "route/wheel.h"
#include "script/adapter.h"
#include "upstream/transfer.h"

struct attempt;

/* What the attempts of a worker work with; outlives them. */
struct attempt_tools {
    struct pump *pump;
    struct wheel *wheel;
    struct json_parser *parser;
    struct random *random;
    struct tokens *tokens; /* of service accounts */
    struct kept *kept;     /* what models want back */
    void (*arm)(void *owner, struct wheel_timer *t, uint32_t in_ms);
    void *owner;
    struct attempt *released; /* kept by attempt: those that run out by themselves */
};

/* Borrowed until the attempt ends, but for `record`, which is not touched after the last event. */
struct attempt_setup {
    const struct step *step;
    const struct endpoint *endpoint;
    const struct facts *facts;
    struct span client_key;       /* itself; SPAN_NONE where none are configured */
    const struct body *body;      /* the client's request */
    struct span query;            /* of the client's URL; the little of it that goes up */
    struct adapter *adapter;      /* used where dialects differ or the provider wants it */
    struct keyring_keys *keys;    /* of the target's provider */
    uint64_t input_tokens;        /* expected at this target */
    double tokens_a_byte;         /* of output, by its text: see tokens.h */
    bool refuse;                  /* what the target can not do is an error */
    struct trace_attempt *record; /* filled in as things happen */
    struct arena *arena;          /* the request's; for the record's texts */
    bool keep_usage;              /* the client gets the usage chunk */
};

enum attempt_flow {
    ATTEMPT_FLOW,  /* more can come */
    ATTEMPT_PAUSE, /* the client is slow: wait for attempt_resume() */
    ATTEMPT_STOP   /* it has had all it may: on_fail comes, as if it had been cancelled */
};

struct attempt_events {
    /* A stream's first content is here: on_events will bring it, and all that was held before it,
     * next. */
    void (*on_content)(void *owner, struct attempt *a);
    /* Whole events in the client's dialect, borrowed. */
    enum attempt_flow (*on_events)(void *owner, struct attempt *a, struct span events);
    /* The last chunk is about to go: `out` gets the JSON of its `route` member, or stays empty. */
    void (*on_route)(void *owner, struct attempt *a, struct buf *out);
    /* The stream ended well, all its events are out; where the dialect has an end mark behind them, it
     * is the receiver's to write. */
    void (*on_end)(void *owner, struct attempt *a);
    /* A whole valid answer, in the client's dialect, the receiver's until attempt_free() or
     * attempt_release(). */
    void (*on_answer)(void *owner, struct attempt *a, struct span body);
    /* It failed: attempt_failure(). The last event. */
    void (*on_fail)(void *owner, struct attempt *a);
};

/* How it failed. */
struct attempt_failure {
    enum failure class;
    int64_t retry_after_ms; /* -1: not said */
    struct span message;    /* bounded, without control characters */
    struct span code, type; /* as the provider named it; may be SPAN_NONE */
    struct span param; /* the request's field it is about, by our own word; SPAN_NONE: unknown */
    int status;        /* 0: no answer came */
    bool unsent;       /* the provider was not asked: it says nothing about the target */
    bool key_rests;    /* it was the key that was refused, and others work */
};

/* Never NULL, and no event before it has returned. */
struct attempt *attempt_start(struct attempt_tools *tools, const struct attempt_setup *setup,
                              const struct attempt_events *events, void *owner);

/* Valid in on_fail and until the attempt is freed. */
const struct attempt_failure *attempt_failure(const struct attempt *a);

/* The model that answers, as the provider named it (the target's own name where it did not). From
 * on_content or on_answer on. */
struct span attempt_model(const struct attempt *a);

/* Where the client's stream stands, for an error inside it; texts are borrowed until it is freed. */
struct error_place attempt_place(const struct attempt *a);

/* What is left of the provider's rate limit, 0 to 1, as its answer said; -1: it did not. */
double attempt_headroom(const struct attempt *a);

/* Whether the provider may have got the request, and has not refused it. */
bool attempt_maybe_accepted(const struct attempt *a);

/* Headers of the answer that may be passed on. */
const struct pair *attempt_headers(const struct attempt *a, size_t *n);

/* What had to be left out or changed for the target: "logprobs, seed"; SPAN_NONE: nothing. */
struct span attempt_dropped(const struct attempt *a);

/* Tokens of output that came so far: what the provider told, and by its text what it has not told. */
uint64_t attempt_tokens(const struct attempt *a);

/* Bytes of text that came so far. */
uint64_t attempt_text(const struct attempt *a);

/* The client can take more. */
void attempt_resume(struct attempt *a);

/* It is over, and its record says how: that gets all the usage that was told, and an estimate of what
 * the provider may bill and has not told. */
void attempt_settle(struct attempt *a);

/* Both may be called inside an event, as the last thing done with the attempt. */
void attempt_free(struct attempt *a);
void attempt_release(struct attempt *a);

/* Frees all released attempts: the worker ends. */
void attempt_free_released(struct attempt_tools *tools);

#endif
