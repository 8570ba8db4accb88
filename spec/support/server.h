/* server.h - a scripted HTTP server on the loop of the spec.
 *
 * Owns          a listener on a free port of 127.0.0.1, its connections, what they sent.
 * Fed by        the code under test.
 * Feeds         the spec's `answer`, once a whole request has come.
 * Must not know what is tested.
 *
 *   server_open(&s, loop, answer, owner);
 *   static void answer(struct server_conn *c) { server_text(c, "HTTP/1.1 204 No Content\r\n\r\n");
 * } server_close(&s);                          then run the loop until it is done
 */
#ifndef PERILUNE_SPEC_SERVER_H
#define PERILUNE_SPEC_SERVER_H

#include "base/buf.h"

#include <uv.h>

struct server_conn {
    uv_tcp_t tcp;
    struct server *server;
    struct server_conn *next;
    struct buf
        in; /* what came and is not answered yet; the request lies at its start during `answer` */
    size_t head_len, body_len;
    unsigned requests; /* whole ones so far, the present one included */
    size_t unsent;     /* bytes written and not taken by the kernel */
    uv_timer_t *timer; /* of server_every() */
    void (*tick)(struct server_conn *c);
    bool closing;
};

struct server {
    uv_loop_t *loop;
    uv_tcp_t tcp;
    int port;
    void (*answer)(struct server_conn *c);     /* a whole request has come; NULL: nothing is said */
    void (*on_connect)(struct server_conn *c); /* NULL: nothing is done */
    void *owner;
    struct server_conn *conns;
    unsigned accepted, requests;
    size_t received; /* bytes */
    bool deaf;       /* new connections do not read */
};

void server_open(struct server *s, uv_loop_t *loop, void (*answer)(struct server_conn *c),
                 void *owner);

/* The listener and all connections; their handles close on the loop. */
void server_close(struct server *s);

/* Connections that stand. */
unsigned server_count(const struct server *s);

void server_send(struct server_conn *c, const void *bytes, size_t len); /* copied */
void server_text(struct server_conn *c, const char *text);

/* A complete answer: status 200, content-length and `body`. */
void server_reply(struct server_conn *c, const char *body);

/* An orderly end behind what was sent, and one by a reset. */
void server_end(struct server_conn *c);
void server_reset(struct server_conn *c);

/* Calls `tick` every `ms` until the connection closes. */
void server_every(struct server_conn *c, unsigned ms, void (*tick)(struct server_conn *c));

/* A port of 127.0.0.1 nobody listens on. */
int server_dead_port(void);

#endif
