/* transfer.h - one upstream HTTP exchange.
 *
 * Owns          one curl easy handle and the bytes curl has given us but the receiver has not
 *               taken.
 * Fed by        route/attempt, with a message an adapter or the pass-through built.
 * Feeds         struct transfer_events, given at start.
 * Must not know Lua, providers, clients, retries.
 *
 *   t = transfer_start(pump, &message, &events, attempt);
 *   ... on_head once, on_body any number of times, then on_done or on_fail exactly once ...
 *   transfer_free(t);            any time: before the end it cancels; inside one of its own
 *                                callbacks too (the work is put off)
 */
#ifndef PERILUNE_UPSTREAM_TRANSFER_H
#define PERILUNE_UPSTREAM_TRANSFER_H

#include "base/failure.h"
#include "upstream/pump.h"

struct transfer;

/* What to send. Borrowed until transfer_free(). */
struct transfer_message {
    const char *method;         /* "POST", "GET" */
    const char *url;            /* NUL-terminated, http or https */
    const struct span *headers; /* "name: value" lines; each free of CR, LF and NUL, asserted */
    size_t n_headers;
    struct span body;
    uint32_t connect_ms; /* until the connection stands, name and TLS included; 0: 10 s. Beyond it:
                            FAILURE_CONNECT */
    uint32_t total_ms;   /* the whole exchange; 0: none */
    uint32_t max_header_bytes; /* of the answer's head; 0: 64 KB */
};

struct transfer_head {
    int status;
    const struct pair *headers; /* names in lower case; interim (1xx) heads are never shown */
    size_t n_headers;
};

/* Microseconds since the start; 0: it did not get there. */
struct transfer_times {
    uint64_t connected; /* the connection stood, TLS included */
    uint64_t sent; /* curl has taken all of the request: with a body under 64 KB that is at once */
    uint64_t first_byte; /* of the answer's head */
    uint64_t done;
    bool reused;    /* an old connection served */
    bool accepted;  /* some of the request may have reached the upstream. (When an old connection
                       turns out dead before any answer, curl has already tried once more on
                       another.) */
    uint64_t bytes; /* of body received */
};

/* Never called before transfer_start() has returned. */
struct transfer_events {
    /* Status line and headers are complete. `head` is borrowed until this function returns. */
    void (*on_head)(void *owner, const struct transfer_head *head);
    /* Some body bytes, borrowed until return. Return false to pause: the same bytes come again
     * after transfer_resume(). */
    bool (*on_body)(void *owner, const char *bytes, size_t len);
    /* The end. Exactly one of the two is called, once; nothing follows it. (A body without any
     * length ends with its connection: there a cut can not be told from the end.) */
    void (*on_done)(void *owner, const struct transfer_times *times);
    /* `why`: CONNECT (the request was not sent; a wrong URL too), TIMEOUT (total_ms ran out),
     * CUT_STREAM (broke after on_head), BAD_RESPONSE (not HTTP, two ways to read it, head too
     * large), SERVER_ERROR (broke after sending, before on_head). `text` says it in words without
     * addresses or secrets; borrowed until return. */
    void (*on_fail)(void *owner, enum failure why, const char *text,
                    const struct transfer_times *times);
};

/* Never NULL; what is wrong with the message comes by on_fail. */
struct transfer *transfer_start(struct pump *pump, const struct transfer_message *message,
                                const struct transfer_events *events, void *owner);

/* Asks for the paused bytes again, after the present callback. */
void transfer_resume(struct transfer *t);

/* The last thing done to it. Cancels what is under way; no event follows. Frees inside the loop,
 * never inside a callback. */
void transfer_free(struct transfer *t);

#endif
