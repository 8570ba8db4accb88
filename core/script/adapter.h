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
 *
 * Events of a stream that are alike but for their text need no Lua (script/echo): it hears of them
 * later. What was said is the same, its usage may be told one event late.
 */
#ifndef PERILUNE_SCRIPT_ADAPTER_H
#define PERILUNE_SCRIPT_ADAPTER_H

#include "base/buf.h"
#include "base/decision.h"

struct adapter;

/* NULL with the reason logged when the library does not load. */
struct adapter *adapter_new(const struct snapshot *snap);
void adapter_free(struct adapter *a);

/* Calls from now on are made on the thread of `guard`, which ends one that takes too long. NULL, as
 * at first: their instructions are counted, which is slower. */
struct vm_guard;
void adapter_watch(struct adapter *a, struct vm_guard *guard);

struct adapter_setup {
    enum dialect client; /* what the client speaks */
    enum dialect spoken; /* what the target is spoken to in */
    const struct target *target;
    struct span body; /* the client's request, validated */
    bool stream;
    bool keep_usage;           /* the client wants the chunk with the usage */
    bool refuse;               /* what the target can not do is an error */
    const struct pair *params; /* overrides of the step: name, raw JSON */
    size_t n_params;
    struct span id;        /* for answers that need one of ours */
    uint64_t created_s;    /* Unix time, likewise */
    uint64_t input_tokens; /* estimated, for dialects that tell it before the answer */
    /* What was kept for a call of that id (adapter_seen.keeps), or SPAN_NONE; NULL: nothing is
     * kept. */
    struct span (*recall)(void *owner, struct span call_id);
    void *owner;
    struct arena *arena; /* for the texts that come out */

    bool passes;      /* out: the answer needs no adapter: it comes in the client's dialect */
    struct buf *out;  /* out: the upstream body */
    struct span path; /* out: behind the base URL, "/chat/completions" */
    const struct span *headers; /* out: "name: value" lines, in place of the provider's own */
    size_t n_headers;
    struct span
        dropped;       /* out: comma-separated, what the target could not do; SPAN_NONE: nothing */
    struct span param; /* out, of a refusal: the field it is about; SPAN_NONE: none */
    bool broke; /* out, where there is no handle: it failed by itself, for want of memory say,
                        * and nothing was wrong with the request */
};

enum { ADAPTER_KEEPS = 8 }; /* calls of one event or answer whose state is kept */

/* What one event or answer was, for fail-over, the record and the trace. */
struct adapter_seen {
    bool content;                    /* it held content for the client */
    bool finished;                   /* it held a finish reason, or the dialect's end mark */
    bool excused;                    /* one that needs no content: length, content filter */
    bool ended;                      /* the provider's end mark came */
    bool error;                      /* it was an error: `message`, `code`, `type` */
    struct span message, code, type; /* texts are good until the next call */
    struct span model;               /* the model that answers, once known */
    uint64_t text; /* bytes of text, thoughts, refusals and arguments it told, unescaped */
    int64_t input_tokens, output_tokens, cached_tokens, cache_write_tokens,
        reasoning_tokens; /* -1: not said */
    /* What the model wants back with a call, for a client that has no place for it: the call's id
     * and a text of the dialect's own. */
    struct pair keeps[ADAPTER_KEEPS];
    size_t n_keeps;
};

/* A handle > 0, or 0 with `*why` (good until the next call). */
int adapter_open(struct adapter *a, struct adapter_setup *setup, const char **why);
/* 0, or negative with `*why`. `out` gets bytes in the client's dialect (for streams: whole events),
 * maybe none. */
int adapter_feed(struct adapter *a, int handle, struct span event, struct span data,
                 struct buf *out, struct adapter_seen *seen, const char **why);
/* What a stream that is given up has told of so far: the usage, which the last events may not have
 * said. */
void adapter_settle(struct adapter *a, int handle, struct adapter_seen *seen);
int adapter_finish(struct adapter *a, int handle, struct buf *out, struct adapter_seen *seen,
                   const char **why);
int adapter_answer(struct adapter *a, int handle, struct span body, struct buf *out,
                   struct adapter_seen *seen, const char **why);
void adapter_close(struct adapter *a, int handle);

/* For comparison: streams opened from now on are translated event by event, or again not. */
void adapter_echoes(struct adapter *a, bool on);

#endif
