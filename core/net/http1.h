/* http1.h - HTTP/1.1 messages from a client, strictly (RFC 9110, RFC 9112).
 *
 * Owns          the parser (llhttp in strict mode, and the checks llhttp leaves to us) and the message under construction.
 * Fed by        conn, with bytes.
 * Feeds         conn, with a head, then a whole message.
 * Must not know sockets, routes, JSON.
 *
 *   http1_init(&h, &limits, &events, owner);
 *   size_t used = http1_feed(&h, bytes, len);    // stops behind a whole message: pipelined bytes are the caller's to keep
 *   if (h.error.status) refuse(h.error.status, h.error.message), close;
 */
#ifndef PERILUNE_NET_HTTP1_H
#define PERILUNE_NET_HTTP1_H

#include "base/arena.h"
#include "base/buf.h"

#include <llhttp.h>

struct http_limits {
    size_t max_line;         /* request line, bytes */
    size_t max_header_bytes; /* all header lines */
    unsigned max_headers;
    size_t max_body;
};

/* One request. Everything points into `arena` or `body`; http_message_free() frees all of it. */
struct http_message {
    struct arena arena; /* the request's memory: whoever owns the message may use it */
    struct span method; /* "POST" */
    struct span target; /* as it came: "/v1/chat/completions?beta=true" */
    struct span path;   /* without the query, percent-encoding left in */
    struct span query;  /* behind '?'; may be empty */
    unsigned minor;     /* HTTP/1.minor: 0 or 1 */
    struct pair *headers; /* names in lower case, values trimmed, in order */
    size_t n_headers;
    size_t content_length; /* announced; SIZE_MAX when chunked, 0 without a body */
    bool expects_continue; /* Expect: 100-continue */
    bool keep_alive;
    struct buf body;         /* whole once the message is; the caller may rely on no padding */
    uint64_t began_us;       /* clock_us() at its first byte */
    uint64_t complete_us;    /* at its last */
};

struct http1_events {
    /* The head is complete. `m` is valid; its body is empty. Return false to refuse: parsing stops, the caller closes after replying. */
    bool (*on_head)(void *owner, struct http_message *m);
    /* The message is whole and now the receiver's: http_message_free() it. */
    void (*on_message)(void *owner, struct http_message *m);
};

struct http1_error {
    int status;          /* 0: none. 400, 405, 408, 413, 431, 501, 505 */
    const char *message; /* one sentence for the client */
};

struct http1 {
    llhttp_t parser;
    const struct http_limits *limits;
    const struct http1_events *events;
    void *owner;
    struct http_message *message; /* under construction; NULL between messages */
    struct http1_error error;     /* sticky */
    /* what the parser is in the middle of */
    struct buf field, value;
    size_t header_bytes;
    int state;
};

void http1_init(struct http1 *h, const struct http_limits *limits, const struct http1_events *events, void *owner);
void http1_deinit(struct http1 *h);

/* Parses until the bytes, a message or an error end it; returns how many bytes were used. After an error nothing is used. */
size_t http1_feed(struct http1 *h, const char *bytes, size_t len);

/* True between messages: nothing of a next one has come. */
bool http1_idle(const struct http1 *h);

/* True while a head is incomplete; false while its body is. */
bool http1_in_head(const struct http1 *h);

/* The first header of that lower-case name, or SPAN_NONE. */
struct span http_header(const struct http_message *m, struct span name);

void http_message_free(struct http_message *m);

/* The reason phrase of a status: "Not Found"; "Unknown" for one we do not know. */
const char *http_reason(int status);

/* False when a header value holds a byte that must not go out (RFC 9110, section 5.5: CR, LF, NUL and other controls). */
bool http_value_ok(struct span value);

#endif
