/* bench.h - a server with its listener on the loop of the spec, and clients that speak raw bytes
 * to it. */
#ifndef PERILUNE_SPEC_NET_BENCH_H
#define PERILUNE_SPEC_NET_BENCH_H

#include "support/unit.h"

#include "base/buf.h"
#include "base/clock.h"
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: a\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define PATIENCE_MS 10000

/* The server under test and what was seen of it. */
struct bench {
    uv_loop_t loop;
    struct conn_server server;
    struct listener *listener;
    struct sockaddr_storage address;
    struct conn *held; /* of a request to /hold; NULL once it is gone or answered */
    unsigned messages, heads, bad, gone, drains, closed;
    int bad_status;
    struct buf body; /* of the last message */
    char peer[64];
};

/* ---- the server's side ---- */

static inline void on_drain(void *user) {
    ((struct bench *)user)->drains++;
}

static inline void on_gone(void *user) {
    struct bench *b = user;
    b->gone++;
    b->held = NULL;
}

static const struct conn_user user_events = { .on_drain = on_drain, .on_gone = on_gone };

static inline bool on_head(void *owner, struct conn *c, struct http_message *m) {
    struct bench *b = owner;
    b->heads++;
    if (!span_eq(m->path, SPAN("/refuse")))
        return true;
    conn_reply(c, 403, NULL, 0, SPAN("no"));
    return false;
}

static inline void on_message(void *owner, struct conn *c, struct http_message *m) {
    struct bench *b = owner;
    const struct pair headers[] = {
        { SPAN("content-type"), SPAN("text/plain") },
        { SPAN("x-bad"), SPAN("a\r\nx-forged: 1") },
        { SPAN("x bad: a"), SPAN("b") },
        { SPAN("Content-Length"), SPAN("7") },
    };
    b->messages++;
    buf_clear(&b->body);
    buf_add(&b->body, buf_span(&m->body));
    snprintf(b->peer, sizeof b->peer, "%.*s", SPAN_ARGS(conn_peer(c)));
    conn_attach(c, &user_events, b);
    if (span_eq(m->path, SPAN("/hold")))
        b->held = c;
    else if (span_eq(m->path, SPAN("/empty")))
        conn_reply(c, 204, NULL, 0, SPAN_NONE);
    else
        conn_reply(c, 200, headers, 4, m->body.len ? buf_span(&m->body) : SPAN("hello"));
    http_message_free(m);
}

static inline void on_bad_message(void *owner, struct conn *c, int status, const char *why) {
    struct bench *b = owner;
    b->bad++;
    b->bad_status = status;
    conn_reply(c, status, NULL, 0, span_of(why));
}

static inline void on_close(void *owner, struct conn *c) {
    struct bench *b = owner;
    (void)c;
    b->closed++;
    if (b->listener)
        listener_resume(b->listener);
}

static const struct conn_events events = { .on_head = on_head,
                                           .on_message = on_message,
                                           .on_bad_message = on_bad_message,
                                           .on_close = on_close };

static inline struct bench *start(unsigned max_connections) {
    struct bench *b = calloc(1, sizeof *b);
    bool loopback;
    assert_int_equal(uv_loop_init(&b->loop), 0);
    b->server = (struct conn_server){
        .loop = &b->loop,
        .limits = { .max_line = 4096,
                    .max_header_bytes = 8192,
                    .max_headers = 20,
                    .max_body = 8 << 20 },
        .events = &events,
        .owner = b,
    };
    assert_true(listener_parse(SPAN("127.0.0.1:0"), &b->address, &loopback));
    assert_true(loopback);
    int probe = listener_probe(&b->address);
    assert_true(probe >= 0);
    assert_int_equal(listener_open(&b->listener, &b->address, max_connections, &b->server), 0);
    close(probe);
    return b;
}

static inline void stop(struct bench *b) {
    if (b->listener)
        listener_close(b->listener);
    b->listener = NULL;
    conn_close_all(&b->server, true);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_null(b->server.conns);
    assert_int_equal(b->server.n_conns, 0);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    buf_deinit(&b->body);
    free(b);
}

/* ---- the client's side ---- */

static inline int dial(struct bench *b) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&b->address, sizeof(struct sockaddr_in)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* One turn of the loop; waits a little for the loop or for `fd` when nothing is to be done. */
static inline void turn(struct bench *b, int fd) {
    uv_run(&b->loop, UV_RUN_NOWAIT);
    struct pollfd fds[2] = { { .fd = uv_backend_fd(&b->loop), .events = POLLIN },
                             { .fd = fd, .events = POLLIN } };
    poll(fds, fd < 0 ? 1 : 2, 5);
    uv_run(&b->loop, UV_RUN_NOWAIT);
}

#define UNTIL(b, fd, condition)                                                                    \
    do {                                                                                           \
        uint64_t limit = clock_ms() + PATIENCE_MS;                                                 \
        while (!(condition)) {                                                                     \
            if (clock_ms() > limit)                                                                \
                fail_msg("not in time: %s", #condition);                                           \
            turn(b, fd);                                                                           \
        }                                                                                          \
    } while (0)

static inline void say(struct bench *b, int fd, struct span bytes) {
    while (bytes.len) {
        ssize_t n = send(fd, bytes.at, bytes.len, MSG_NOSIGNAL);
        if (n > 0)
            bytes = span_sub(bytes, (size_t)n, SIZE_MAX);
        else
            turn(b, -1);
    }
}

#define SAY(b, fd, literal) say(b, fd, SPAN(literal))

/* What has come by now; NUL-terminated. Returns 1 while open, 0 at the end, -1 after a reset. */
static inline int hear_some(int fd, struct buf *heard) {
    for (;;) {
        ssize_t n = recv(fd, buf_reserve(heard, 65536), 65535, 0);
        int err = errno;
        if (n > 0)
            heard->len += (size_t)n;
        buf_reserve(heard, 1)[0] = '\0';
        if (n <= 0)
            return n == 0 ? 0 : err == EAGAIN ? 1 : -1;
    }
}

/* Until `text` has been heard `times` times; returns all of it, to be freed. */
static inline char *hear(struct bench *b, int fd, const char *text, unsigned times) {
    struct buf heard = { 0 };
    unsigned found = 0;
    uint64_t limit = clock_ms() + PATIENCE_MS;
    while (found < times) {
        int more = hear_some(fd, &heard);
        found = 0;
        for (const char *at = heard.at; (at = strstr(at, text)); at += strlen(text))
            found++;
        if (found < times && (more != 1 || clock_ms() > limit))
            fail_msg("waiting for %u times \"%s\", heard (%d):\n%s", times, text, more, heard.at);
        if (found < times)
            turn(b, fd);
    }
    return heard.at;
}

/* All there is until the end; *how gets 0 for an orderly one, -1 for a reset. */
static inline char *hear_all(struct bench *b, int fd, int *how) {
    struct buf heard = { 0 };
    uint64_t limit = clock_ms() + PATIENCE_MS;
    while ((*how = hear_some(fd, &heard)) == 1) {
        if (clock_ms() > limit)
            fail_msg("the connection did not end; heard:\n%s", heard.at);
        turn(b, fd);
    }
    return heard.at;
}

static inline void expect_in(const char *text, const char *part) {
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static inline void expect_not_in(const char *text, const char *part) {
    if (strstr(text, part))
        fail_msg("\"%s\" is in:\n%s", part, text);
}

/* Says something, hears all up to an orderly end. */
static inline char *exchange(struct bench *b, struct span bytes) {
    int fd = dial(b), how;
    say(b, fd, bytes);
    char *all = hear_all(b, fd, &how);
    assert_int_equal(how, 0);
    close(fd);
    return all;
}

#endif
