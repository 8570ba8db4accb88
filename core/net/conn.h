/* conn.h - one client connection: requests in, one at a time, and their replies out.
 *
 * Owns          the transport, the parser, the connection's timers, bytes pipelined behind the request being answered (64 KB at most).
 * Fed by        listener, with an accepted socket.
 * Feeds         struct conn_events of its server, with whole messages; the `struct conn_user` of the request being answered.
 * Must not know what a request asks for.
 *
 *   on_message(server, c, m):  conn_attach(c, &user_events, request);
 *                              conn_reply(c, 200, headers, n, body);                    // whole, or
 *                              conn_start(c, 200, headers, n); conn_write(c, ...); conn_finish(c);
 *
 * A message must be answered exactly once: by conn_reply(), or conn_start() up to conn_finish() or conn_abort(). After that, or after
 * on_gone, the connection is not the request's any more and must not be touched by it. Parsing goes on with the next message then.
 */
#ifndef PERILUNE_NET_CONN_H
#define PERILUNE_NET_CONN_H

#include "net/http1.h"
#include "net/io.h"

struct conn;

/* What a server gives to all its connections. Outlives them. */
struct conn_server {
    uv_loop_t *loop;
    struct http_limits limits;
    uint32_t head_ms, body_ms, idle_ms, write_ms; /* 0: no limit */
    const struct conn_events *events;
    void *owner;
    /* kept by conn: the connections there are, so that all can be closed */
    struct conn *conns;
    size_t n_conns;
    size_t body_bytes;     /* of messages being read, all connections */
    size_t max_body_bytes; /* over it a further body is refused with 503 */
};

struct conn_events {
    /* The head of a request is complete; its body is not read yet. Return false after conn_reply() to refuse it so. */
    bool (*on_head)(void *owner, struct conn *c, struct http_message *m);
    /* A whole request, the receiver's to free. */
    void (*on_message)(void *owner, struct conn *c, struct http_message *m);
    /* The message could not be read: reply in the server's own shape with conn_reply(); the connection closes after it. */
    void (*on_bad_message)(void *owner, struct conn *c, int status, const char *why);
    /* A connection ended. For counting. */
    void (*on_close)(void *owner, struct conn *c);
};

/* Who is answering. */
struct conn_user {
    /* What conn_write() left unwritten has drained: go on. */
    void (*on_drain)(void *user);
    /* The client is gone: it closed its side, broke, or read too slowly. The connection is not the user's any more. */
    void (*on_gone)(void *user);
};

/* Takes over an accepted handle (heap-allocated, freed by conn when closed). */
void conn_open(struct conn_server *server, uv_tcp_t *accepted);

/* Who hears of drain and gone while a request is being answered; ended by conn_reply(), conn_finish(), conn_abort() or on_gone. */
void conn_attach(struct conn *c, const struct conn_user *events, void *user);

/* A whole reply: status line, `date`, `content-length`, `connection` where needed, the given headers, the body (left out for HEAD).
 * Header values that could split the head are dropped and asserted in debug builds. One write. */
void conn_reply(struct conn *c, int status, const struct pair *headers, size_t n, struct span body);

/* The head of a streamed reply: chunked for HTTP/1.1, ended by close for 1.0. It goes out with the first conn_write() when that
 * follows in the same loop turn, so that both leave in one packet. */
void conn_start(struct conn *c, int status, const struct pair *headers, size_t n);

/* Some body. Never held back. Returns false when the client has more than IO_HIGH_WATER to read: wait for on_drain. */
bool conn_write(struct conn *c, struct span bytes);

/* The regular end of a streamed reply. */
void conn_finish(struct conn *c);

/* The irregular end: closes without the last chunk, so that the client can tell. */
void conn_abort(struct conn *c);

/* Bytes the client has not read yet. */
size_t conn_queued(const struct conn *c);

/* "127.0.0.1:53412", for logs. Valid as long as the connection. */
struct span conn_peer(const struct conn *c);

/* Closes idle connections now and the others after their reply; with `force`, all now. */
void conn_close_all(struct conn_server *server, bool force);

#endif
