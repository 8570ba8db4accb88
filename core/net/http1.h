/* http1.h - HTTP/1.1 messages from a client, strictly (RFC 9110, RFC 9112).
 *
 * Owns          the bytes of an incomplete head, and the message under construction.
 * Fed by        conn, with bytes.
 * Feeds         conn, with a head, then a whole message.
 * Must not know sockets, routes, JSON.
 *
 *   http1_init(&h, &limits, pool, &events, owner);
 *   size_t used = http1_feed(&h, bytes, len);    // stops behind a whole message
 *   if (h.error.status) refuse(h.error.status, h.error.message), close;
 *
 * A head is collected first, byte for byte, by a scanner that knows only lines: what ends them,
 * what may stand in them, how long they are. llhttp (strict mode) then reads the whole head at
 * once, and what it found is checked for all that it lets through. Two readers have to agree before
 * a request exists. Bodies are framed here: llhttp accepts chunk lines that others read otherwise.
 *
 * llhttp knows a fixed list of methods. Routing is to answer 405 to any other, so the method is
 * read here and llhttp is given "POST" in its place; CONNECT is 501. Trailers are read, checked and
 * dropped.
 */
#ifndef PERILUNE_NET_HTTP1_H
#define PERILUNE_NET_HTTP1_H

#include "base/arena.h"
#include "base/buf.h"

struct http_limits {
    size_t max_line;         /* request line, bytes */
    size_t max_header_bytes; /* all header lines; trailers, chunk extensions: as much again each */
    unsigned max_headers;
    size_t max_body;
};

struct http_pool;

/* One request. Everything points into `arena` or `body`; http_message_free() frees all of it. */
struct http_message {
    struct arena arena;   /* the request's memory: whoever owns the message may use it */
    struct span method;   /* "POST" */
    struct span target;   /* as it came: "/v1/chat/completions?beta=true" */
    struct span path;     /* without the query, percent-encoding left in */
    struct span query;    /* behind '?'; may be empty */
    unsigned minor;       /* HTTP/1.minor: 0 or 1 */
    struct pair *headers; /* names in lower case, values trimmed, in order */
    size_t n_headers;
    size_t content_length; /* announced; SIZE_MAX when chunked, 0 without a body */
    bool expects_continue; /* Expect: 100-continue */
    bool keep_alive;
    struct buf body;      /* whole once the message is; the caller may rely on no padding */
    uint64_t began_us;    /* clock_us() at its first byte */
    uint64_t complete_us; /* at its last */
    void *user;           /* the receiver's own: what on_head puts here, on_message finds */
    void (*on_free)(
        struct http_message *m); /* before its memory goes, whoever lets it go; NULL: nobody
                                              * wants to know. Set in on_head */
    /* kept by http1 */
    struct http_pool *pool;
    struct http_message *next;
    size_t counted; /* its part of the pool's body bytes */
};

/* The messages of one thread: how much body they hold together, and the memory of a few that ended,
 * for the next ones. */
struct http_pool *http_pool_new(size_t max_body_bytes);

/* Whoever made it needs it no more. It goes with the last of its messages. */
void http_pool_release(struct http_pool *pool);

/* Bytes of body in all messages that are not freed yet. */
size_t http_pool_body_bytes(const struct http_pool *pool);

struct http1_events {
    /* The head is complete. `m` is valid; its body is empty. Return false when it is refused: `m`
     * is freed, and its body is read over if it is short (see http1_will_skip), else parsing ends.
     */
    bool (*on_head)(void *owner, struct http_message *m);
    /* The message is whole and now the receiver's: http_message_free() it. */
    void (*on_message)(void *owner, struct http_message *m);
};

struct http1_error {
    int status;          /* 0: none. 400, 413, 414, 417, 431, 501, 503, 505 */
    const char *message; /* one sentence for the client */
};

enum http1_state {
    HTTP1_IDLE,       /* between messages */
    HTTP1_HEAD,       /* some of a head is there */
    HTTP1_LENGTH,     /* a body of announced length */
    HTTP1_CHUNK_SIZE, /* the digits of a chunk line */
    HTTP1_CHUNK_EXT,  /* what follows them */
    HTTP1_CHUNK_LF,   /* the LF of a chunk line */
    HTTP1_CHUNK_DATA,
    HTTP1_CHUNK_CR, /* the CR LF behind data */
    HTTP1_CHUNK_CRLF,
    HTTP1_TRAILERS,
    HTTP1_OVER /* refused or in error */
};

/* The line scanner's place in a head or in trailers. */
struct http1_lines {
    size_t line_len;
    size_t bytes; /* of all lines but the first */
    unsigned lines;
    bool cr; /* the last byte was CR */
};

struct http1 {
    const struct http_limits *limits;
    const struct http1_events *events;
    struct http_pool *pool;
    void *owner;
    struct http_message *message; /* under construction; NULL between messages */
    struct http1_error error;     /* sticky */
    enum http1_state state;
    bool skip;        /* the body is read over */
    bool blank_taken; /* an empty line before the request line was forgiven */
    struct buf head;  /* of an incomplete head or trailers */
    struct http1_lines scan;
    size_t left;      /* of the body or the chunk */
    size_t body_len;  /* so far, also while skipping */
    unsigned digits;  /* of a chunk size */
    size_t ext_bytes; /* chunk extensions of this message */
    uint64_t began_us;
};

/* `limits`, `pool` and `events` outlive it. */
void http1_init(struct http1 *h, const struct http_limits *limits, struct http_pool *pool,
                const struct http1_events *events, void *owner);
void http1_deinit(struct http1 *h);

/* Parses until the bytes, a message or an error end it; returns how many bytes were used. After an
 * error nothing is used. */
size_t http1_feed(struct http1 *h, const char *bytes, size_t len);

/* True between messages: nothing of a next one has come. */
bool http1_idle(const struct http1 *h);

/* True while a head is incomplete; false while its body is. */
bool http1_in_head(const struct http1 *h);

/* Bytes of body that came so far. */
size_t http1_body_len(const struct http1 *h);

/* Whether the body of a refused message would be read over, so that the connection stays in step.
 */
bool http1_will_skip(const struct http_message *m);

/* The first header of that lower-case name, or SPAN_NONE. */
struct span http_header(const struct http_message *m, struct span name);

void http_message_free(struct http_message *m);

/* The reason phrase of a status: "Not Found"; "Unknown" for one we do not know. */
const char *http_reason(int status);

/* False when a header value holds a byte that must not go out (RFC 9110, section 5.5: CR, LF, NUL
 * and other controls). */
bool http_value_ok(struct span value);

/* True for a non-empty name made of the letters a name may have (RFC 9110, section 5.6.2). */
bool http_token_ok(struct span name);

#endif
