/* conn.h - one client connection: requests in, one at a time, and their replies out.
 *
 * Owns          the transport, the parser, the connection's limits in time, and bytes pipelined
 *               behind the request being answered (64 KB at most, then reading stops).
 * Fed by        listener, with an accepted socket.
 * Feeds         struct conn_events of its server, with whole messages; the `struct conn_user` of
 *               the request being answered.
 * Must not know what a request asks for.
 *
 *   on_message(server, c, m):  conn_attach(c, &user_events, request);
 *                              conn_reply(c, 200, headers, n, body);             // whole, or
 *                              conn_start(c, 200, headers, n); conn_write(c, ...); conn_finish(c);
 *
 * A message must be answered exactly once: by conn_reply(), or conn_start() up to conn_finish() or
 * conn_abort(). After that, or after on_gone, the connection is not the request's any more and must
 * not be touched by it. Parsing goes on with the next message then.
 *
 * A client that closes its side while it waits for an answer is gone. No event fires inside a call
 * of this interface. After an error, and whenever the connection is not kept, our side is closed
 * first and what the client still sends is read over for up to two seconds, so that it gets the
 * reply, not a reset.
 */
#ifndef PERILUNE_NET_CONN_H
#define PERILUNE_NET_CONN_H

#include "net/http1.h"
#include "net/io.h"

struct conn;
struct conn_shared;

/* What a server gives to all its connections; one loop's. Outlives them. Zero what is not set. */
struct conn_server {
    uv_loop_t *loop;
    struct http_limits limits;
    /* Slow clients, in ms, looked at four times in each: a whole head; a body (which gets 1 ms more
     * for each byte that came); the wait for a next request; queued bytes that do not move. 0: no
     * limit. */
    uint32_t head_ms, body_ms, idle_ms, write_ms;
    const struct conn_events *events;
    void *owner;
    size_t max_body_bytes; /* of all messages not freed yet; over it a body is refused with 503; 0:
                            * no limit */
    /* kept by conn */
    struct conn *conns;
    size_t n_conns;
    struct conn_shared
        *shared; /* timer, read buffer, memory to reuse: while there are connections */
};

struct conn_events {
    /* The head of a request is complete; its body is not read yet. Return false after conn_reply()
     * to refuse it so: `m` is freed then. A short body is read over and the connection kept, else
     * it closes. NULL: every head is welcome. */
    bool (*on_head)(void *owner, struct conn *c, struct http_message *m);
    /* A whole request, the receiver's to free. */
    void (*on_message)(void *owner, struct conn *c, struct http_message *m);
    /* The message could not be read (see http1_error), came too slowly (408) or found no room
     * (503): reply in the server's own shape with conn_reply(); the connection closes after it. */
    void (*on_bad_message)(void *owner, struct conn *c, int status, const char *why);
    /* A connection ended, and is not counted in n_conns any more. NULL: nobody counts. */
    void (*on_close)(void *owner, struct conn *c);
};

/* Who is answering. */
struct conn_user {
    /* What conn_write() left unwritten has drained: go on. */
    void (*on_drain)(void *user);
    /* The client is gone: it closed its side, broke, or read too slowly. The connection is not the
     * user's any more. At most once. */
    void (*on_gone)(void *user);
};

/* Takes over an accepted handle (heap-allocated, freed by conn when closed). */
void conn_open(struct conn_server *server, uv_tcp_t *accepted);

/* Who hears of drain and gone while a request is being answered; ended by conn_reply(),
 * conn_finish(), conn_abort(), conn_reset() or on_gone. From on_message on. */
void conn_attach(struct conn *c, const struct conn_user *events, void *user);

/* A whole reply: status line, `date`, `content-length`, `connection` where needed, the given
 * headers, the body (left out for HEAD). Headers that could split the head are left out. One write.
 */
void conn_reply(struct conn *c, int status, const struct pair *headers, size_t n, struct span body);

/* The head of a streamed reply: chunked for HTTP/1.1, ended by close for 1.0. It goes out with the
 * first conn_write() when that follows in the same loop turn, so that both leave in one packet. */
void conn_start(struct conn *c, int status, const struct pair *headers, size_t n);

/* Some body. Never held back. Returns false when the client has more than IO_HIGH_WATER to read:
 * wait for on_drain. */
bool conn_write(struct conn *c, struct span bytes);

/* The regular end of a streamed reply. */
void conn_finish(struct conn *c);

/* The irregular end: closes without the last chunk, so that the client can tell (by a reset where
 * only the close would end the reply). */
void conn_abort(struct conn *c);

/* Bytes as they are: in front of a reply (103), or instead of one, head and framing included, right
 * or wrong. For the scripted upstream, whose business is to misbehave. Where no conn_start() or
 * conn_reply() follows, the end is conn_finish(), conn_abort() or conn_reset(). Returns as
 * conn_write() does. */
bool conn_raw(struct conn *c, struct span bytes);

/* Ends the connection by RST, whatever was written. */
void conn_reset(struct conn *c);

/* Closes the connection after the reply under way. Before conn_reply() or conn_start(). */
void conn_close_after(struct conn *c);

/* Bytes the client has not read yet. */
size_t conn_queued(const struct conn *c);

/* Bytes of body in all messages of the server that are not freed yet. */
size_t conn_body_bytes(const struct conn_server *server);

/* "127.0.0.1:53412", for logs. Valid as long as the connection. */
struct span conn_peer(const struct conn *c);

/* Closes idle connections now and the others after their reply; with `force`, all now (their users
 * hear on_gone, later). */
void conn_close_all(struct conn_server *server, bool force);

#endif
