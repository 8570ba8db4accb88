#include "net/conn.h"

#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    PIPELINE_MAX = 64 * 1024, /* bytes kept behind the request being answered */
    LINGER_MS = 2000,
    SWEEP_MIN_MS = 10,
    SWEEP_MAX_MS = 500,
    DATE_LEN = 29 /* "Sun, 22 Nov 2026 12:58:28 GMT" */
};

enum state {
    READING,   /* between requests, or in the middle of one */
    ANSWERING, /* a request is somebody's to answer */
    LINGERING, /* our side is closed; what comes is read over */
    CLOSING    /* the transport was told to close */
};

struct conn {
    struct conn_server *server;
    struct conn *prev, *next; /* of the server */
    struct io *io;
    struct http1 http1;
    const struct conn_user *user; /* NULL: nobody hears */
    void *user_data;
    enum state state;
    uint64_t since;     /* uv_now() when what is timed began: idle, head, body, linger */
    struct buf pending; /* pipelined bytes */
    struct buf head;    /* of a streamed reply, until its first bytes go */
    struct conn *later; /* the next one in the server's list of what is to be done this turn */
    bool is_later;
    bool feeding;   /* inside the parser: what conn_reply() leaves is looked at there */
    bool deaf;      /* the message was bad: whatever follows it is dropped */
    bool paused;    /* reading stopped, because `pending` is full */
    bool last;      /* closes after this reply */
    bool head_only; /* the reply has no body: HEAD */
    bool minor0;    /* the request is HTTP/1.0 */
    bool replied;   /* to the message whose head is being shown */
    bool started;   /* a streamed reply is under way */
    bool raw;       /* bytes were written as they are */
    bool chunked;   /* in chunks */
    bool drop;      /* without a body, whatever is written */
    bool forced;    /* conn_close_all(force): on_gone is owed */
    char peer[64];
};

/* What connections of one server share, while there are any. */
struct conn_shared {
    struct conn_server *server;
    uv_timer_t sweep;
    uv_prepare_t before; /* both: what is to be done before the loop sleeps */
    uv_check_t after;
    uv_idle_t awake; /* runs while something was put off to the next turn */
    unsigned open_handles;
    struct conn *later, *later_last;
    struct http_pool *pool;
    struct buf out; /* a reply's head under construction */
    uint64_t date_at;
    char date[DATE_LEN + 1];
    struct io_slab slab;
};

static uint64_t now_of(const struct conn *c) {
    return uv_now(c->server->loop);
}

/* ---- what can not be done at once ---- */

/* Puts the connection on the list that is worked off before the loop sleeps. */
static void do_later(struct conn *c) {
    struct conn_shared *s = c->server->shared;
    if (c->is_later)
        return;
    c->is_later = true;
    c->later = NULL;
    if (s->later_last)
        s->later_last->later = c;
    else
        s->later = c;
    s->later_last = c;
}

static struct conn *take_later(struct conn_shared *s) {
    struct conn *c = s->later;
    s->later = c->later;
    if (!s->later)
        s->later_last = NULL;
    c->is_later = false;
    return c;
}

static void forget_later(struct conn *gone) {
    struct conn_shared *s = gone->server->shared;
    struct conn *all = s->later;
    if (!gone->is_later)
        return;
    s->later = s->later_last = NULL;
    while (all) {
        struct conn *c = all;
        all = c->later;
        c->is_later = false;
        if (c != gone)
            do_later(c);
    }
}

/* ---- ends ---- */

static void end_reply(struct conn *c) {
    c->user = NULL;
    c->user_data = NULL;
    c->started = c->raw = c->chunked = c->drop = false;
    buf_deinit(&c->head);
}

static void hang_up(struct conn *c, bool reset) {
    end_reply(c);
    buf_deinit(&c->pending);
    c->state = CLOSING;
    c->since = now_of(c);
    c->io->close(c->io, reset);
}

/* The client is not there any more, or not worth waiting for. */
static void gone(struct conn *c, bool reset) {
    const struct conn_user *user = c->user;
    void *data = c->user_data;
    hang_up(c, reset);
    if (user)
        user->on_gone(data);
}

/* Closes our side and waits for the client to close its own. */
static void linger(struct conn *c) {
    buf_deinit(&c->pending);
    c->state = LINGERING;
    c->since = now_of(c);
    c->io->shutdown(c->io);
    if (c->paused) {
        c->paused = false;
        c->io->read_start(c->io);
    }
}

/* A reply is complete. */
static void next_message(struct conn *c) {
    bool was_head = c->state == READING; /* refused by its head; the parser goes on by itself */
    end_reply(c);
    if (c->last) {
        linger(c);
        return;
    }
    if (was_head)
        return;
    c->state = READING;
    c->since = now_of(c);
    if (c->pending.len && !c->feeding)
        do_later(c);
}

/* ---- requests ---- */

static bool on_head(void *owner, struct http_message *m) {
    struct conn *c = owner;
    const struct conn_events *events = c->server->events;
    c->minor0 = m->minor == 0;
    c->head_only = span_eq(m->method, SPAN("HEAD"));
    c->last = c->last || !m->keep_alive;
    c->since = now_of(c);
    c->replied = false;
    bool skip = http1_will_skip(m);
    if (events->on_head && !events->on_head(c->server->owner, c, m)) {
        if (!skip && c->state == READING)
            linger(c);
        return false;
    }
    assert(!c->replied);
    if (m->expects_continue && c->state == READING) {
        struct span go = SPAN("HTTP/1.1 100 Continue\r\n\r\n");
        c->io->write(c->io, &go, 1);
    }
    return true;
}

static void on_message(void *owner, struct http_message *m) {
    struct conn *c = owner;
    c->state = ANSWERING;
    c->server->events->on_message(c->server->owner, c, m);
}

static const struct http1_events http1_events = { .on_head = on_head, .on_message = on_message };

static void bad_message(struct conn *c, int status, const char *why) {
    http1_deinit(&c->http1);
    c->state = ANSWERING;
    c->last = true;
    c->deaf = true;
    if (status != 408 && status != 503 && status != 413)
        c->head_only = c->minor0 = false; /* of the message before it */
    c->server->events->on_bad_message(c->server->owner, c, status, why);
}

/* Hands bytes to the parser until there is a request to answer; returns how many it used. */
static size_t feed(struct conn *c, const char *bytes, size_t len) {
    size_t used = 0;
    c->feeding = true;
    while (used < len && c->state == READING) {
        if (http1_idle(&c->http1))
            c->since = now_of(c);
        used += http1_feed(&c->http1, bytes + used, len - used);
        if (c->http1.error.status && c->state == READING)
            bad_message(c, c->http1.error.status, c->http1.error.message);
    }
    c->feeding = false;
    return used;
}

static void feed_pending(struct conn *c) {
    /* Out of the connection's hands, in case it ends meanwhile. */
    struct buf taken = c->pending;
    c->pending = (struct buf){ 0 };
    size_t used = feed(c, taken.at, taken.len);
    if (used < taken.len && c->state <= ANSWERING) {
        buf_consume(&taken, used);
        c->pending = taken;
    } else {
        buf_deinit(&taken);
    }
    if (c->paused && c->pending.len < PIPELINE_MAX && c->state <= ANSWERING) {
        c->paused = false;
        c->io->read_start(c->io);
    }
}

/* Bytes behind the request being answered. */
static void keep(struct conn *c, const char *bytes, size_t len) {
    bool unwanted = c->deaf || (c->last && c->state == ANSWERING);
    if (unwanted || len == 0)
        return;
    buf_append(&c->pending, bytes, len);
    if (c->pending.len >= PIPELINE_MAX) {
        c->paused = true;
        c->io->read_stop(c->io);
    }
}

static void on_read(void *owner, const char *bytes, size_t len) {
    struct conn *c = owner;
    size_t used = 0;
    if (c->state > ANSWERING)
        return;
    if (c->state == READING && c->pending.len == 0)
        used = feed(c, bytes, len);
    if (c->state <= ANSWERING)
        keep(c, bytes + used, len - used);
    if (c->state == READING && c->pending.len)
        do_later(c);
}

static void on_end(void *owner, int status) {
    struct conn *c = owner;
    (void)status;
    if (c->state != CLOSING)
        gone(c, false);
}

static void on_drain(void *owner) {
    struct conn *c = owner;
    if (c->state == ANSWERING && (c->started || c->raw) && c->user && c->user->on_drain)
        c->user->on_drain(c->user_data);
}

/* ---- replies ---- */

static const char *date_of(struct conn_shared *s) {
    static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    uint64_t now = uv_now(s->server->loop);
    if (s->date[0] && now - s->date_at < 1000)
        return s->date;
    uint64_t wall = clock_wall_ms();
    time_t seconds = (time_t)(wall / 1000);
    struct tm t;
    char text[64];
    gmtime_r(&seconds, &t);
    snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[t.tm_wday], t.tm_mday,
             months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
    memcpy(s->date, text, DATE_LEN);
    s->date_at = now - wall % 1000; /* it changes with the second */
    return s->date;
}

static char *put(char *at, const char *bytes, size_t len) {
    memcpy(at, bytes, len);
    return at + len;
}

static char *put_uint(char *at, uint64_t n) {
    char digits[20];
    size_t len = 0;
    do
        digits[sizeof digits - ++len] = (char)('0' + n % 10);
    while (n /= 10);
    return put(at, digits + sizeof digits - len, len);
}

static bool is_ours(struct span name) {
    return span_eq_nocase(name, SPAN("content-length")) ||
           span_eq_nocase(name, SPAN("transfer-encoding")) ||
           span_eq_nocase(name, SPAN("connection")) || span_eq_nocase(name, SPAN("date"));
}

static void put_headers(struct buf *out, const struct pair *headers, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct span name = headers[i].name, value = headers[i].value;
        if (!http_token_ok(name) || !http_value_ok(value) || is_ours(name))
            continue;
        char *at = buf_reserve(out, name.len + value.len + 4);
        at = put(at, name.at, name.len);
        at = put(at, ": ", 2);
        if (value.len)
            at = put(at, value.at, value.len);
        at = put(at, "\r\n", 2);
        out->len = (size_t)(at - out->at);
    }
}

#define CHUNKED SIZE_MAX
#define NO_LENGTH (SIZE_MAX - 1)

/* The head of a reply, appended to `out`. `length`: of the body, or CHUNKED, or NO_LENGTH. */
static void put_head(struct conn *c, struct buf *out, int status, const struct pair *headers,
                     size_t n, size_t length) {
    const char *reason = http_reason(status);
    char *at = buf_reserve(out, 256);
    at = put(at, "HTTP/1.1 ", 9);
    at = put_uint(at, (uint64_t)status);
    *at++ = ' ';
    at = put(at, reason, strlen(reason));
    at = put(at, "\r\ndate: ", 8);
    at = put(at, date_of(c->server->shared), DATE_LEN);
    at = put(at, "\r\n", 2);
    if (length == CHUNKED) {
        at = put(at, "transfer-encoding: chunked\r\n", 28);
    } else if (length != NO_LENGTH) {
        at = put(at, "content-length: ", 16);
        at = put_uint(at, length);
        at = put(at, "\r\n", 2);
    }
    if (c->last)
        at = put(at, "connection: close\r\n", 19);
    else if (c->minor0)
        at = put(at, "connection: keep-alive\r\n", 24);
    out->len = (size_t)(at - out->at);
    put_headers(out, headers, n);
    buf_append(out, "\r\n", 2);
}

/* RFC 9110, section 6.4.1. */
static bool has_body(int status) {
    return status >= 200 && status != 204 && status != 304;
}

static bool answerable(const struct conn *c) {
    return c->state == ANSWERING || (c->state == READING && !c->replied);
}

void conn_reply(struct conn *c, int status, const struct pair *headers, size_t n,
                struct span body) {
    assert(answerable(c) && !c->started);
    struct buf *out = &c->server->shared->out;
    struct http_message *refused = c->state == READING ? c->http1.message : NULL;
    if (refused && !http1_will_skip(refused))
        c->last = true;
    c->replied = true;
    buf_clear(out);
    put_head(c, out, status, headers, n, has_body(status) ? body.len : NO_LENGTH);
    struct span parts[2] = { buf_span(out), body };
    bool bodied = body.len && has_body(status) && !c->head_only;
    c->io->write(c->io, parts, bodied ? 2 : 1);
    next_message(c);
}

void conn_start(struct conn *c, int status, const struct pair *headers, size_t n) {
    assert(c->state == ANSWERING && !c->started);
    c->started = true;
    c->chunked = !c->minor0 && has_body(status);
    if (c->minor0)
        c->last = true;
    c->drop = c->head_only || !has_body(status);
    put_head(c, &c->head, status, headers, n, c->chunked ? CHUNKED : NO_LENGTH);
    do_later(c);
}

/* Writes the parts behind a head that still waits; leaves room for it in parts[0]. */
static bool write_parts(struct conn *c, struct span *parts, size_t n) {
    bool with_head = c->head.len > 0;
    parts[0] = buf_span(&c->head);
    if (with_head)
        c->io->write(c->io, parts, n);
    else if (n > 1)
        c->io->write(c->io, parts + 1, n - 1);
    if (with_head)
        buf_deinit(&c->head);
    return c->io->queued(c->io) <= IO_HIGH_WATER;
}

/* "1a4\r\n" into `out` (20 bytes are enough). */
static struct span chunk_line(char *out, size_t len) {
    static const char digits[] = "0123456789abcdef";
    size_t n = 1;
    for (size_t rest = len >> 4; rest; rest >>= 4)
        n++;
    for (size_t i = n; i--; len >>= 4)
        out[i] = digits[len & 15];
    memcpy(out + n, "\r\n", 2);
    return (struct span){ out, n + 2 };
}

bool conn_write(struct conn *c, struct span bytes) {
    assert(c->state == ANSWERING && c->started);
    char line[20];
    struct span parts[4] = { { 0 } };
    if (c->drop || bytes.len == 0)
        return write_parts(c, parts, 1);
    if (!c->chunked) {
        parts[1] = bytes;
        return write_parts(c, parts, 2);
    }
    parts[1] = chunk_line(line, bytes.len);
    parts[2] = bytes;
    parts[3] = SPAN("\r\n");
    return write_parts(c, parts, 4);
}

void conn_finish(struct conn *c) {
    assert(c->state == ANSWERING && (c->started || c->raw));
    struct span parts[2] = { { 0 }, SPAN("0\r\n\r\n") };
    write_parts(c, parts, c->chunked && !c->drop ? 2 : 1);
    next_message(c);
}

void conn_abort(struct conn *c) {
    assert(c->state == ANSWERING);
    bool by_close = c->started && !c->chunked && !c->drop;
    if (c->head.len && !by_close) {
        struct span parts[1];
        write_parts(c, parts, 1);
    }
    if (by_close) {
        hang_up(c, true);
        return;
    }
    end_reply(c);
    linger(c);
}

bool conn_raw(struct conn *c, struct span bytes) {
    assert(c->state == ANSWERING && !c->started);
    c->raw = true;
    if (bytes.len)
        c->io->write(c->io, &bytes, 1);
    return c->io->queued(c->io) <= IO_HIGH_WATER;
}

void conn_attach(struct conn *c, const struct conn_user *events, void *user) {
    assert(c->state == ANSWERING);
    c->user = events;
    c->user_data = user;
}

void conn_reset(struct conn *c) {
    hang_up(c, true);
}

void conn_close_after(struct conn *c) {
    c->last = true;
}

size_t conn_queued(const struct conn *c) {
    return c->head.len + c->io->queued(c->io);
}

size_t conn_body_bytes(const struct conn_server *server) {
    return server->shared ? http_pool_body_bytes(server->shared->pool) : 0;
}

struct span conn_peer(const struct conn *c) {
    return span_of(c->peer);
}

/* ---- the turn of the loop, the sweep ---- */

static void do_now(struct conn *c) {
    struct span parts[1];
    if (c->forced && c->state != CLOSING)
        gone(c, true);
    if (c->state == ANSWERING && c->head.len)
        write_parts(c, parts, 1);
    if (c->state == READING && c->pending.len)
        feed_pending(c);
}

static void on_awake(uv_idle_t *idle) {
    (void)idle; /* being there keeps the loop from sleeping */
}

/* One pass over the list as it stands; what joins it meanwhile has its turn after the others'
 * events. */
static void work_off(struct conn_shared *s) {
    struct conn *last = s->later_last;
    while (s->later) {
        struct conn *c = take_later(s);
        do_now(c);
        if (c == last)
            break;
    }
    if (s->later)
        uv_idle_start(&s->awake, on_awake);
    else
        uv_idle_stop(&s->awake);
}

static void on_before(uv_prepare_t *handle) {
    work_off(handle->data);
}

static void on_after(uv_check_t *handle) {
    work_off(handle->data);
}

static bool over(uint64_t now, uint64_t since, uint64_t limit_ms) {
    return limit_ms && now > since && now - since > limit_ms;
}

static void sweep_reading(struct conn *c, uint64_t now) {
    struct conn_server *server = c->server;
    if (http1_idle(&c->http1)) {
        if (over(now, c->since, server->idle_ms))
            hang_up(c, false);
    } else if (http1_in_head(&c->http1)) {
        if (over(now, c->since, server->head_ms))
            bad_message(c, 408, "The request's head came too slowly.");
    } else if (server->body_ms &&
               over(now, c->since, server->body_ms + http1_body_len(&c->http1))) {
        if (c->http1.skip)
            hang_up(c, false); /* it has had its reply */
        else
            bad_message(c, 408, "The request's body came too slowly.");
    }
}

static void sweep_one(struct conn *c, uint64_t now) {
    struct conn_server *server = c->server;
    bool queued = c->io->queued(c->io) > 0;
    uint64_t moved = c->io->moved_at(c->io);
    bool stuck = queued && over(now, moved, server->write_ms);
    uint64_t quiet_since = moved > c->since ? moved : c->since;
    switch (c->state) {
    case READING:
        if (stuck)
            hang_up(c, true);
        else
            sweep_reading(c, now);
        break;
    case ANSWERING:
        if (stuck)
            gone(c, true);
        break;
    case LINGERING:
    case CLOSING:
        if (stuck || (!queued && over(now, quiet_since, LINGER_MS)))
            c->io->close(c->io, stuck);
        break;
    }
}

static void on_sweep(uv_timer_t *timer) {
    struct conn_shared *s = timer->data;
    uint64_t now = uv_now(timer->loop);
    /* Nothing leaves the list before the loop's close callbacks. */
    for (struct conn *c = s->server->conns; c; c = c->next)
        sweep_one(c, now);
}

static uint64_t sweep_period(const struct conn_server *server) {
    const uint32_t limits[] = { server->head_ms, server->body_ms, server->idle_ms,
                                server->write_ms };
    uint64_t period = SWEEP_MAX_MS;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i] && limits[i] / 4 < period)
            period = limits[i] / 4;
    return period < SWEEP_MIN_MS ? SWEEP_MIN_MS : period;
}

/* ---- beginning and end ---- */

static void on_shared_closed(uv_handle_t *handle) {
    struct conn_shared *s = handle->data;
    if (--s->open_handles)
        return;
    buf_deinit(&s->out);
    http_pool_release(s->pool);
    free(s);
}

static void shared_close(struct conn_shared *s) {
    uv_close((uv_handle_t *)&s->sweep, on_shared_closed);
    uv_close((uv_handle_t *)&s->before, on_shared_closed);
    uv_close((uv_handle_t *)&s->after, on_shared_closed);
    uv_close((uv_handle_t *)&s->awake, on_shared_closed);
}

static struct conn_shared *shared_new(struct conn_server *server) {
    struct conn_shared *s = malloc(sizeof *s);
    if (!s)
        abort();
    memset(s, 0, offsetof(struct conn_shared, slab));
    s->server = server;
    s->pool = http_pool_new(server->max_body_bytes ? server->max_body_bytes : SIZE_MAX / 2);
    s->sweep.data = s->before.data = s->after.data = s->awake.data = s;
    s->open_handles = 4;
    uv_timer_init(server->loop, &s->sweep);
    uv_prepare_init(server->loop, &s->before);
    uv_check_init(server->loop, &s->after);
    uv_idle_init(server->loop, &s->awake);
    uint64_t period = sweep_period(server);
    uv_timer_start(&s->sweep, on_sweep, period, period);
    uv_prepare_start(&s->before, on_before);
    uv_check_start(&s->after, on_after);
    return s;
}

static void on_closed(void *owner) {
    struct conn *c = owner;
    struct conn_server *server = c->server;
    forget_later(c);
    if (c->prev)
        c->prev->next = c->next;
    else
        server->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    http1_deinit(&c->http1);
    buf_deinit(&c->pending);
    buf_deinit(&c->head);
    if (--server->n_conns == 0) {
        shared_close(server->shared);
        server->shared = NULL;
    }
    if (server->events->on_close)
        server->events->on_close(server->owner, c);
    free(c);
}

static const struct io_events io_events = {
    .on_read = on_read, .on_end = on_end, .on_drain = on_drain, .on_closed = on_closed
};

static void read_peer(struct conn *c, uv_tcp_t *handle) {
    struct sockaddr_storage address = { 0 };
    int len = sizeof address, port = 0;
    char name[INET6_ADDRSTRLEN] = "?";
    uv_tcp_getpeername(handle, (struct sockaddr *)&address, &len);
    bool six = address.ss_family == AF_INET6;
    uv_ip_name((struct sockaddr *)&address, name, sizeof name);
    if (six)
        port = ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    else if (address.ss_family == AF_INET)
        port = ntohs(((struct sockaddr_in *)&address)->sin_port);
    snprintf(c->peer, sizeof c->peer, six ? "[%s]:%d" : "%s:%d", name, port);
}

void conn_open(struct conn_server *server, uv_tcp_t *accepted) {
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    if (!server->shared)
        server->shared = shared_new(server);
    c->server = server;
    c->next = server->conns;
    if (c->next)
        c->next->prev = c;
    server->conns = c;
    server->n_conns++;
    c->since = now_of(c);
    read_peer(c, accepted);
    http1_init(&c->http1, &server->limits, server->shared->pool, &http1_events, c);
    c->io = io_tcp_new(accepted, &server->shared->slab, &io_events, c);
    c->io->read_start(c->io);
}

void conn_close_all(struct conn_server *server, bool force) {
    for (struct conn *c = server->conns; c; c = c->next) {
        c->last = true;
        if (force && c->state == ANSWERING) {
            c->forced = true;
            do_later(c);
        } else if (force) {
            hang_up(c, true);
        } else if (c->state == READING && http1_idle(&c->http1) && c->pending.len == 0) {
            hang_up(c, false);
        }
    }
}
