#include "net/io.h"

#include "base/buf.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Writes go to the kernel at once. What it does not take is copied: one uv_write() is under way at
 * a time (`flying`), and what comes meanwhile collects behind it (`waiting`), so that a slow reader
 * of many small events costs two blocks of memory, not one an event. */
struct tcp {
    struct io io;
    uv_tcp_t *handle;
    struct io_slab *slab;
    const struct io_events *events;
    void *owner;
    struct buf flying, waiting;
    uv_write_t write;
    uv_shutdown_t finish;
    size_t last_queued; /* what moved_at() saw */
    uint64_t moved_at;
    bool in_flight;
    bool was_high;      /* the queue went over the mark: on_drain is owed */
    bool want_shutdown; /* once the queue is empty */
    bool ended;         /* on_end was told */
    bool closing;       /* by close(): silent from here on */
    bool closed;        /* uv_close() was called */
};

static struct tcp *tcp_of(struct io *io) {
    return (struct tcp *)io;
}

static uv_stream_t *stream_of(const struct tcp *t) {
    return (uv_stream_t *)t->handle;
}

static void end(struct tcp *t, int status) {
    if (t->ended || t->closing)
        return;
    t->ended = true;
    uv_read_stop(stream_of(t));
    t->events->on_end(t->owner, status);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
    struct tcp *t = handle->data;
    *out = uv_buf_init(t->slab->bytes, sizeof t->slab->bytes);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct tcp *t = stream->data;
    if (n > 0)
        t->events->on_read(t->owner, buf->base, (size_t)n);
    else if (n < 0)
        end(t, n == UV_EOF ? 0 : (int)n);
}

static void tcp_read_start(struct io *io) {
    struct tcp *t = tcp_of(io);
    if (!t->ended && !t->closing)
        uv_read_start(stream_of(t), on_alloc, on_read);
}

static void tcp_read_stop(struct io *io) {
    struct tcp *t = tcp_of(io);
    if (!t->closing)
        uv_read_stop(stream_of(t));
}

static size_t tcp_queued(const struct io *io) {
    const struct tcp *t = (const struct tcp *)io;
    return t->waiting.len + (t->in_flight ? uv_stream_get_write_queue_size(stream_of(t)) : 0);
}

static uint64_t tcp_moved_at(struct io *io) {
    struct tcp *t = tcp_of(io);
    size_t flying = t->in_flight ? uv_stream_get_write_queue_size(stream_of(t)) : 0;
    if (flying != t->last_queued) {
        t->last_queued = flying;
        t->moved_at = uv_now(t->handle->loop);
    }
    return t->moved_at;
}

static void on_gone(uv_handle_t *handle) {
    struct tcp *t = handle->data;
    const struct io_events *events = t->events;
    void *owner = t->owner;
    buf_deinit(&t->flying);
    buf_deinit(&t->waiting);
    free(handle);
    free(t);
    events->on_closed(owner);
}

static void close_now(struct tcp *t) {
    if (t->closed)
        return;
    t->closed = true;
    uv_close((uv_handle_t *)t->handle, on_gone);
}

static void on_shutdown(uv_shutdown_t *req, int status) {
    (void)req;
    (void)status; /* a broken transport shows when reading */
}

static void fly(struct tcp *t);

/* The queue is empty: what was put off until then. */
static void emptied(struct tcp *t) {
    buf_deinit(&t->flying);
    buf_deinit(&t->waiting);
    if (t->closing)
        close_now(t);
    else if (t->want_shutdown)
        uv_shutdown(&t->finish, stream_of(t), on_shutdown);
}

static void on_written(uv_write_t *req, int status) {
    struct tcp *t = req->data;
    t->in_flight = false;
    if (t->closed)
        return;
    t->moved_at = uv_now(t->handle->loop);
    t->last_queued = 0;
    buf_clear(&t->flying);
    if (status < 0) {
        buf_clear(&t->waiting);
        if (t->closing)
            close_now(t);
        else
            end(t, status);
        return;
    }
    if (t->waiting.len)
        fly(t);
    else
        emptied(t);
    if (t->was_high && !t->closing && tcp_queued(&t->io) < IO_LOW_WATER) {
        t->was_high = false;
        t->events->on_drain(t->owner);
    }
}

static void fly(struct tcp *t) {
    struct buf b = t->flying;
    t->flying = t->waiting;
    t->waiting = b;
    uv_buf_t out = uv_buf_init(t->flying.at, (unsigned)t->flying.len);
    t->write.data = t;
    t->in_flight = true;
    t->moved_at = uv_now(t->handle->loop);
    t->last_queued = t->flying.len;
    /* It fails at once only for a descriptor that is no socket any more or was shut down: conn does
     * neither before it writes. */
    int err = uv_write(&t->write, stream_of(t), &out, 1, on_written);
    assert(err == 0);
    if (err) {
        t->in_flight = false;
        buf_clear(&t->flying);
    }
}

enum { MAX_PARTS = 8 };

/* As much as the kernel takes now. An error is left to the queued write, whose callback reports it
 * outside of this call. */
static size_t write_now(struct tcp *t, const struct span *parts, size_t n) {
    uv_buf_t out[MAX_PARTS];
    assert(n <= MAX_PARTS);
    for (size_t i = 0; i < n; i++)
        out[i] = uv_buf_init((char *)parts[i].at, (unsigned)parts[i].len);
    int wrote = uv_try_write(stream_of(t), out, (unsigned)n);
    return wrote > 0 ? (size_t)wrote : 0;
}

static void tcp_write(struct io *io, const struct span *parts, size_t n) {
    struct tcp *t = tcp_of(io);
    if (t->closing || t->want_shutdown)
        return;
    size_t wrote = t->in_flight ? 0 : write_now(t, parts, n);
    for (size_t i = 0; i < n; i++) {
        size_t skip = wrote < parts[i].len ? wrote : parts[i].len;
        wrote -= skip;
        if (skip < parts[i].len)
            buf_append(&t->waiting, parts[i].at + skip, parts[i].len - skip);
    }
    if (t->waiting.len && !t->in_flight)
        fly(t);
    if (tcp_queued(io) > IO_HIGH_WATER)
        t->was_high = true;
}

static void tcp_shutdown(struct io *io) {
    struct tcp *t = tcp_of(io);
    if (t->closing || t->want_shutdown)
        return;
    t->want_shutdown = true;
    if (!t->in_flight)
        uv_shutdown(&t->finish, stream_of(t), on_shutdown);
}

/* uv_tcp_close_reset() refuses a stream that was shut down; the option alone does the same. */
static void arm_reset(struct tcp *t) {
    uv_os_fd_t fd;
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    if (uv_fileno((uv_handle_t *)t->handle, &fd) == 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static void tcp_close(struct io *io, bool reset) {
    struct tcp *t = tcp_of(io);
    if (!t->closing) {
        t->closing = true;
        uv_read_stop(stream_of(t));
    }
    if (t->closed)
        return;
    if (reset)
        arm_reset(t);
    if (reset || !t->in_flight)
        close_now(t);
}

struct io *io_tcp_new(uv_tcp_t *accepted, struct io_slab *slab, const struct io_events *events,
                      void *owner) {
    struct tcp *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    t->io = (struct io){ .read_start = tcp_read_start,
                         .read_stop = tcp_read_stop,
                         .write = tcp_write,
                         .queued = tcp_queued,
                         .moved_at = tcp_moved_at,
                         .shutdown = tcp_shutdown,
                         .close = tcp_close };
    t->handle = accepted;
    t->slab = slab;
    t->events = events;
    t->owner = owner;
    t->moved_at = uv_now(accepted->loop);
    accepted->data = t;
    uv_tcp_nodelay(accepted, 1);
    return &t->io;
}
