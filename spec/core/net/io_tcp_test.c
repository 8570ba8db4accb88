/* A transport over a real socket: what the kernel does not take is kept, in order, and goes out
 * before a close. */
#include "core/net/bench.h"

#include "net/io.h"

/* One end is the transport's, the other a raw descriptor. */
struct pipe {
    uv_loop_t loop;
    struct io_slab slab;
    struct io *io;
    int peer;
    struct buf read;
    unsigned ended, drained, closed;
    int status;
};

static void on_bytes(void *owner, const char *bytes, size_t len) {
    buf_append(&((struct pipe *)owner)->read, bytes, len);
}

static void on_ended(void *owner, int status) {
    struct pipe *p = owner;
    p->ended++;
    p->status = status;
}

static void on_drained(void *owner) {
    ((struct pipe *)owner)->drained++;
}

static void on_closed(void *owner) {
    ((struct pipe *)owner)->closed++;
}

static const struct io_events pipe_events = {
    .on_read = on_bytes, .on_end = on_ended, .on_drain = on_drained, .on_closed = on_closed
};

static struct pipe *open_pipe(void) {
    struct pipe *p = calloc(1, sizeof *p);
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int door = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(door, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(door, 1), 0);
    getsockname(door, (struct sockaddr *)&address, &len);
    p->peer = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(p->peer, (struct sockaddr *)&address, len), 0);
    fcntl(p->peer, F_SETFL, O_NONBLOCK);
    uv_loop_init(&p->loop);
    uv_tcp_t *handle = malloc(sizeof *handle);
    uv_tcp_init(&p->loop, handle);
    assert_int_equal(uv_tcp_open(handle, accept(door, NULL, NULL)), 0);
    close(door);
    p->io = io_tcp_new(handle, &p->slab, &pipe_events, p);
    p->io->read_start(p->io);
    return p;
}

static void close_pipe(struct pipe *p) {
    if (!p->closed)
        p->io->close(p->io, true);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    assert_int_equal(p->closed, 1);
    assert_int_equal(uv_loop_close(&p->loop), 0);
    close(p->peer);
    buf_deinit(&p->read);
    free(p);
}

#define RUN_UNTIL(p, condition)                                                                    \
    do {                                                                                           \
        uint64_t limit = clock_ms() + PATIENCE_MS;                                                 \
        bool met = false;                                                                          \
        while (!(met = (condition)) && clock_ms() < limit)                                         \
            uv_run(&(p)->loop, UV_RUN_NOWAIT);                                                     \
        assert_true(met);                                                                          \
    } while (0)

/* Bytes whose order shows. */
static struct buf numbers(size_t n) {
    struct buf b = { 0 };
    for (size_t i = 0; b.len < n; i++)
        buf_printf(&b, "%zu,", i);
    return b;
}

static void test_parts_are_one_write(void **state) {
    struct pipe *p = open_pipe();
    struct span parts[] = { SPAN("one"), SPAN(""), SPAN("two") };
    char got[16] = { 0 };
    p->io->write(p->io, parts, 3);
    assert_int_equal(p->io->queued(p->io), 0);
    assert_int_equal(poll(&(struct pollfd){ .fd = p->peer, .events = POLLIN }, 1, PATIENCE_MS), 1);
    assert_int_equal(recv(p->peer, got, sizeof got, 0), 6);
    assert_string_equal(got, "onetwo");
    close_pipe(p);
}

static void test_reading(void **state) {
    struct pipe *p = open_pipe();
    send(p->peer, "hello", 5, 0);
    RUN_UNTIL(p, p->read.len == 5);
    p->io->read_stop(p->io);
    send(p->peer, "more", 4, 0);
    for (int i = 0; i < 10; i++)
        uv_run(&p->loop, UV_RUN_NOWAIT);
    assert_int_equal(p->read.len, 5);
    p->io->read_start(p->io);
    RUN_UNTIL(p, p->read.len == 9);
    shutdown(p->peer, SHUT_WR);
    RUN_UNTIL(p, p->ended == 1);
    assert_int_equal(p->status, 0);
    close_pipe(p);
}

static void test_a_queue_keeps_its_order(void **state) {
    struct pipe *p = open_pipe();
    struct buf sent = numbers(20 << 20), got = { 0 };
    /* In pieces, of which the first ones go at once and the last ones wait. */
    for (size_t at = 0; at < sent.len; at += 100000) {
        struct span part = span_sub(buf_span(&sent), at, 100000);
        p->io->write(p->io, &part, 1);
    }
    assert_true(p->io->queued(p->io) > IO_HIGH_WATER);
    /* A plain close comes after all of it. */
    p->io->close(p->io, false);
    int more = 1;
    uint64_t limit = clock_ms() + PATIENCE_MS;
    while (more == 1 && clock_ms() < limit) {
        more = hear_some(p->peer, &got);
        uv_run(&p->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(more, 0);
    assert_true(span_eq(buf_span(&sent), buf_span(&got)));
    assert_int_equal(p->drained, 0); /* silent after close */
    buf_deinit(&sent);
    buf_deinit(&got);
    close_pipe(p);
}

static void test_drain_comes_once_below_the_low_mark(void **state) {
    struct pipe *p = open_pipe();
    struct buf sent = numbers(20 << 20), got = { 0 };
    struct span all = buf_span(&sent);
    p->io->write(p->io, &all, 1);
    assert_true(p->io->queued(p->io) > IO_HIGH_WATER);
    uint64_t moved = p->io->moved_at(p->io);
    RUN_UNTIL(p, (hear_some(p->peer, &got), p->drained == 1));
    assert_true(p->io->queued(p->io) < IO_LOW_WATER);
    assert_true(p->io->moved_at(p->io) >= moved);
    RUN_UNTIL(p, (hear_some(p->peer, &got), got.len == sent.len));
    assert_int_equal(p->drained, 1);
    buf_deinit(&sent);
    buf_deinit(&got);
    close_pipe(p);
}

static void test_shutdown_comes_behind_the_queue(void **state) {
    struct pipe *p = open_pipe();
    struct buf sent = numbers(20 << 20), got = { 0 };
    struct span all = buf_span(&sent), late = SPAN("late");
    p->io->write(p->io, &all, 1);
    p->io->shutdown(p->io);
    p->io->write(p->io, &late, 1);
    int more = 1;
    RUN_UNTIL(p, (more = hear_some(p->peer, &got), more != 1));
    assert_int_equal(more, 0);
    assert_int_equal(got.len, sent.len);
    /* The other direction is still open. */
    send(p->peer, "hello", 5, 0);
    RUN_UNTIL(p, p->read.len == 5);
    buf_deinit(&sent);
    buf_deinit(&got);
    close_pipe(p);
}

static void test_reset_gives_the_queue_up(void **state) {
    struct pipe *p = open_pipe();
    struct buf sent = numbers(20 << 20), got = { 0 };
    struct span all = buf_span(&sent);
    p->io->write(p->io, &all, 1);
    p->io->close(p->io, false);
    for (int i = 0; i < 10; i++)
        uv_run(&p->loop, UV_RUN_NOWAIT);
    assert_int_equal(p->closed, 0); /* nobody reads */
    p->io->close(p->io, true);
    RUN_UNTIL(p, p->closed == 1);
    int more = 1;
    RUN_UNTIL(p, (more = hear_some(p->peer, &got), more != 1));
    assert_int_equal(more, -1);
    buf_deinit(&sent);
    buf_deinit(&got);
    close_pipe(p);
}

static void test_a_broken_peer_shows_once_and_later(void **state) {
    struct pipe *p = open_pipe();
    struct linger now = { .l_onoff = 1 };
    struct span bytes = SPAN("x");
    setsockopt(p->peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    shutdown(p->peer, SHUT_RD);
    close(p->peer);
    p->io->write(p->io, &bytes, 1);
    p->io->write(p->io, &bytes, 1);
    assert_int_equal(p->ended, 0);
    RUN_UNTIL(p, p->ended == 1);
    for (int i = 0; i < 10; i++)
        uv_run(&p->loop, UV_RUN_NOWAIT);
    assert_int_equal(p->ended, 1);
    p->peer = socket(AF_INET, SOCK_STREAM, 0);
    close_pipe(p);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN); /* as main() does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_are_one_write),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_a_queue_keeps_its_order),
        cmocka_unit_test(test_drain_comes_once_below_the_low_mark),
        cmocka_unit_test(test_shutdown_comes_behind_the_queue),
        cmocka_unit_test(test_reset_gives_the_queue_up),
        cmocka_unit_test(test_a_broken_peer_shows_once_and_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
