/* adapter.h - dialects in Lua: what goes up in the target's, what comes back in the client's.
 *
 * Owns          the adapter state of one worker, and the state of each stream that runs through it.
 * Fed by        route/attempt, with a request body, an answer, stream events.
 * Feeds         it, with bytes in the other dialect.
 * Must not know networks, clocks, money.
 *
 *   id = adapter_open(a, &setup, &body, &why);       the upstream body is built
 *   adapter_feed(a, id, event, &out, &why);          any number of events of a stream
 *   adapter_finish(a, id, &out, &why);               the stream ended well
 *   adapter_answer(a, id, body, &out, &why);         or: a whole answer
 *   adapter_close(a, id);
 */
#ifndef PERILUNE_SCRIPT_ADAPTER_H
#define PERILUNE_SCRIPT_ADAPTER_H

#include "base/buf.h"
#include "base/decision.h"

struct adapter;

/* NULL with the reason logged when the library does not load. */
struct adapter *adapter_new(const struct snapshot *snap);
void adapter_free(struct adapter *a);

struct adapter_setup {
    enum dialect client;         /* what the client speaks */
    const struct target *target; /* its provider's dialect is the other side */
    struct span body;            /* the client's request, validated */
    bool stream;
    const struct pair *params; /* overrides of the step: name, raw JSON */
    size_t n_params;
    struct span id;      /* for answers that need one of ours */
    uint64_t created_s;  /* Unix time, likewise */
    struct arena *arena; /* for the texts that come out */
    struct buf *out;     /* out: the upstream body */
    struct span path;    /* out: behind the base URL, "/chat/completions" */
    struct span
        dropped; /* out: comma-separated, what the target could not do; SPAN_NONE: nothing */
};

/* What one event or answer was, for fail-over, the record and the trace. */
struct adapter_seen {
    bool content;        /* it held content for the client */
    bool finished;       /* it held a finish reason, or the dialect's end mark */
    bool excused;        /* one that needs no content: length, content filter */
    bool error;          /* it was an error: `message` */
    struct span message; /* texts are good until the next call */
    struct span model;   /* the model that answers, once known */
    int64_t input_tokens, output_tokens, cached_tokens, reasoning_tokens; /* -1: not said */
};

/* A handle > 0, or 0 with `*why` (good until the next call). */
int adapter_open(struct adapter *a, struct adapter_setup *setup, const char **why);
/* 0, or negative with `*why`. `out` gets bytes in the client's dialect (for streams: whole events),
 * maybe none. */
int adapter_feed(struct adapter *a, int handle, struct span event, struct span data,
                 struct buf *out, struct adapter_seen *seen, const char **why);
int adapter_finish(struct adapter *a, int handle, struct buf *out, struct adapter_seen *seen,
                   const char **why);
int adapter_answer(struct adapter *a, int handle, int status, struct span body, struct buf *out,
                   struct adapter_seen *seen, const char **why);
void adapter_close(struct adapter *a, int handle);

#endif
