#include "support/server.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

struct send {
    uv_write_t write;
    struct server_conn *conn;
    size_t len;
    char bytes[];
};

static void on_closed(uv_handle_t *handle) {
    struct server_conn *c = handle->data;
    buf_deinit(&c->in);
    free(c);
}

static void unlink_conn(struct server_conn *c) {
    struct server_conn **at = &c->server->conns;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
}

static void free_handle(uv_handle_t *handle) {
    free(handle);
}

static bool leave(struct server_conn *c) {
    if (c->closing)
        return false;
    c->closing = true;
    if (c->timer)
        uv_close((uv_handle_t *)c->timer, free_handle);
    unlink_conn(c);
    return true;
}

static void drop(struct server_conn *c) {
    if (leave(c))
        uv_close((uv_handle_t *)&c->tcp, on_closed);
}

void server_reset(struct server_conn *c) {
    if (leave(c) && uv_tcp_close_reset(&c->tcp, on_closed) != 0)
        uv_close((uv_handle_t *)&c->tcp, on_closed);
}

/* The length of the whole request at the front of `in`, or 0 when it is not all there. */
static size_t whole(struct server_conn *c) {
    const char *end = c->in.len ? memmem(c->in.at, c->in.len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return 0;
    c->head_len = (size_t)(end - c->in.at) + 4;
    c->body_len = 0;
    const char *field = memmem(c->in.at, c->head_len, "Content-Length: ", 16);
    if (field)
        c->body_len = strtoul(field + 16, NULL, 10);
    return c->in.len >= c->head_len + c->body_len ? c->head_len + c->body_len : 0;
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *out) {
    struct server_conn *c = handle->data;
    *out = uv_buf_init(buf_reserve(&c->in, 65536), 65536);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes) {
    struct server_conn *c = stream->data;
    if (n < 0) {
        drop(c);
        return;
    }
    c->in.len += (size_t)n;
    c->server->received += (size_t)n;
    for (size_t len; !c->closing && (len = whole(c));) {
        c->requests++;
        c->server->requests++;
        if (c->server->answer)
            c->server->answer(c);
        if (!c->closing)
            buf_consume(&c->in, len);
    }
}

static void on_connection(uv_stream_t *listener, int status) {
    struct server *s = listener->data;
    struct server_conn *c = calloc(1, sizeof *c);
    assert(c && status == 0);
    c->server = s;
    c->tcp.data = c;
    uv_tcp_init(s->loop, &c->tcp);
    c->next = s->conns;
    s->conns = c;
    s->accepted++;
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0) {
        drop(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    if (!s->deaf)
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    if (s->on_connect)
        s->on_connect(c);
}

void server_open(struct server *s, uv_loop_t *loop, void (*answer)(struct server_conn *c),
                 void *owner) {
    struct sockaddr_in address;
    int len = sizeof address;
    *s = (struct server){ .loop = loop, .answer = answer, .owner = owner };
    uv_tcp_init(loop, &s->tcp);
    s->tcp.data = s;
    uv_ip4_addr("127.0.0.1", 0, &address);
    int failed = uv_tcp_bind(&s->tcp, (struct sockaddr *)&address, 0) ||
                 uv_listen((uv_stream_t *)&s->tcp, 4096, on_connection) ||
                 uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&address, &len);
    assert(!failed);
    (void)failed;
    s->port = ntohs(address.sin_port);
}

void server_close(struct server *s) {
    while (s->conns)
        drop(s->conns);
    uv_close((uv_handle_t *)&s->tcp, NULL);
}

unsigned server_count(const struct server *s) {
    unsigned n = 0;
    for (struct server_conn *c = s->conns; c; c = c->next)
        n++;
    return n;
}

static void on_sent(uv_write_t *write, int status) {
    struct send *sent = (struct send *)write;
    sent->conn->unsent -= sent->len;
    free(sent);
}

void server_send(struct server_conn *c, const void *bytes, size_t len) {
    struct send *send = malloc(sizeof *send + len);
    assert(send && !c->closing);
    memcpy(send->bytes, bytes, len);
    send->conn = c;
    send->len = len;
    c->unsent += len;
    uv_buf_t b = uv_buf_init(send->bytes, (unsigned)len);
    uv_write(&send->write, (uv_stream_t *)&c->tcp, &b, 1, on_sent);
}

void server_text(struct server_conn *c, const char *text) {
    server_send(c, text, strlen(text));
}

void server_reply(struct server_conn *c, const char *body) {
    struct buf b = { 0 };
    buf_printf(&b, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
    server_send(c, b.at, b.len);
    buf_deinit(&b);
}

static void on_shutdown(uv_shutdown_t *shutdown, int status) {
    struct server_conn *c = shutdown->data;
    free(shutdown);
    if (status != UV_ECANCELED)
        drop(c);
}

void server_end(struct server_conn *c) {
    uv_shutdown_t *shutdown = malloc(sizeof *shutdown);
    assert(shutdown);
    shutdown->data = c;
    if (uv_shutdown(shutdown, (uv_stream_t *)&c->tcp, on_shutdown) != 0) {
        free(shutdown);
        drop(c);
    }
}

static void on_timer(uv_timer_t *timer) {
    struct server_conn *c = timer->data;
    c->tick(c);
}

void server_every(struct server_conn *c, unsigned ms, void (*tick)(struct server_conn *c)) {
    c->timer = malloc(sizeof *c->timer);
    assert(c->timer);
    c->tick = tick;
    uv_timer_init(c->server->loop, c->timer);
    c->timer->data = c;
    uv_timer_start(c->timer, on_timer, ms, ms);
}

int server_dead_port(void) {
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int failed = bind(fd, (struct sockaddr *)&address, len) ||
                 getsockname(fd, (struct sockaddr *)&address, &len);
    assert(!failed);
    (void)failed;
    close(fd);
    return ntohs(address.sin_port);
}
