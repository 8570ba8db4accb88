/* Connections over real sockets on the loopback, with a listener in front. */
#include "core/net/bench.h"

/* ---- replies ---- */

static void test_reply(void **state) {
    struct bench *b = start(0);
    int fd = dial(b);
    SAY(b, fd, GET("/"));
    char *text = hear(b, fd, "hello", 1);
    assert_int_equal(strncmp(text, "HTTP/1.1 200 OK\r\ndate: ", 23), 0);
    assert_int_equal(strncmp(text + 23 + 25, " GMT\r\n", 6), 0);
    expect_in(text, "\r\ncontent-length: 5\r\n");
    expect_in(text, "\r\ncontent-type: text/plain\r\n");
    expect_not_in(text, "connection:");
    expect_not_in(text, "forged");
    expect_not_in(text, "x bad");
    expect_not_in(text, "Content-Length");
    free(text);

    struct sockaddr_in mine;
    socklen_t len = sizeof mine;
    char name[64];
    getsockname(fd, (struct sockaddr *)&mine, &len);
    snprintf(name, sizeof name, "127.0.0.1:%d", ntohs(mine.sin_port));
    assert_string_equal(b->peer, name);
    close(fd);
    UNTIL(b, -1, b->closed == 1);
    stop(b);
}

static void test_keep_alive(void **state) {
    struct bench *b = start(0);
    int fd = dial(b);
    for (int i = 0; i < 5; i++) {
        SAY(b, fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc");
        free(hear(b, fd, "abc", 1));
    }
    assert_int_equal(b->messages, 5);
    assert_int_equal(b->server.n_conns, 1);
    close(fd);
    stop(b);
}

static void test_head_has_no_body(void **state) {
    struct bench *b = start(0);
    int fd = dial(b);
    SAY(b, fd, "HEAD / HTTP/1.1\r\n" HOST "\r\n" GET("/empty") GET("/"));
    char *text = hear(b, fd, "hello", 1);
    expect_in(text, "content-length: 5\r\n");
    expect_in(text, "HTTP/1.1 204 No Content\r\n");
    assert_int_equal(b->messages, 3);
    free(text);
    close(fd);
    stop(b);
}

static void test_close_is_honoured(void **state) {
    struct bench *b = start(0);
    char *text = exchange(b, SPAN("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"));
    expect_in(text, "connection: close\r\n");
    expect_in(text, "hello");
    free(text);
    stop(b);
}

static void test_http_1_0(void **state) {
    struct bench *b = start(0);
    char *text = exchange(b, SPAN("GET / HTTP/1.0\r\n\r\n"));
    expect_in(text, "connection: close\r\n");
    expect_in(text, "hello");
    free(text);

    int fd = dial(b);
    SAY(b, fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    text = hear(b, fd, "hello", 1);
    expect_in(text, "connection: keep-alive\r\n");
    free(text);
    SAY(b, fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    free(hear(b, fd, "hello", 1));
    close(fd);
    stop(b);
}

/* ---- streams ---- */

static void hold(struct bench *b, int fd, struct span request) {
    b->held = NULL;
    say(b, fd, request);
    UNTIL(b, -1, b->held);
}

static void test_stream(void **state) {
    struct bench *b = start(0);
    int fd = dial(b);
    hold(b, fd, SPAN(GET("/hold")));
    struct pair type = { SPAN("content-type"), SPAN("text/event-stream") };
    conn_start(b->held, 200, &type, 1);
    assert_true(conn_write(b->held, SPAN("0123456789abcdef")));
    /* Head and first bytes are one packet, so they are there at once. */
    struct buf heard = { 0 };
    assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, PATIENCE_MS), 1);
    assert_int_equal(hear_some(fd, &heard), 1);
    expect_in(heard.at, "transfer-encoding: chunked\r\n");
    expect_in(heard.at, "\r\n\r\n10\r\n0123456789abcdef\r\n");
    buf_deinit(&heard);
    conn_write(b->held, SPAN_NONE); /* not the end */
    conn_write(b->held, SPAN("x"));
    conn_finish(b->held);
    char *text = hear(b, fd, "0\r\n\r\n", 1);
    assert_string_equal(text, "1\r\nx\r\n0\r\n\r\n");
    free(text);
    SAY(b, fd, GET("/"));
    free(hear(b, fd, "hello", 1));
    assert_int_equal(b->gone, 0);
    close(fd);
    stop(b);
}

static void test_head_goes_without_a_write(void **state) {
    struct bench *b = start(0);
    int fd = dial(b);
    hold(b, fd, SPAN(GET("/hold")));
    conn_start(b->held, 200, NULL, 0);
    free(hear(b, fd, "\r\n\r\n", 1));
    conn_finish(b->held);
    free(hear(b, fd, "0\r\n\r\n", 1));
    close(fd);
    stop(b);
}

static void test_stream_to_http_1_0(void **state) {
    struct bench *b = start(0);
    int fd = dial(b), how;
    hold(b, fd, SPAN("GET /hold HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    conn_start(b->held, 200, NULL, 0);
    conn_write(b->held, SPAN("one"));
    conn_write(b->held, SPAN("two"));
    conn_finish(b->held);
    char *text = hear_all(b, fd, &how);
    assert_int_equal(how, 0);
    expect_not_in(text, "chunked");
    expect_in(text, "connection: close\r\n");
    expect_in(text, "\r\n\r\nonetwo");
    free(text);
    close(fd);
    stop(b);
}

static void test_stream_to_head(void **state) {
    struct bench *b = start(0);
    int fd = dial(b);
    hold(b, fd, SPAN("HEAD /hold HTTP/1.1\r\n" HOST "\r\n"));
    conn_start(b->held, 200, NULL, 0);
    conn_write(b->held, SPAN("one"));
    conn_finish(b->held);
    SAY(b, fd, GET("/"));
    char *text = hear(b, fd, "hello", 1);
    expect_not_in(text, "one");
    expect_in(text, "\r\n\r\nHTTP/1.1 200");
    free(text);
    close(fd);
    stop(b);
}

static void test_abort_shows(void **state) {
    struct bench *b = start(0);
    int fd = dial(b), how;
    hold(b, fd, SPAN(GET("/hold")));
    conn_start(b->held, 200, NULL, 0);
    conn_write(b->held, SPAN("one"));
    conn_abort(b->held);
    char *text = hear_all(b, fd, &how);
    expect_in(text, "3\r\none\r\n");
    expect_not_in(text, "0\r\n\r\n");
    free(text);
    close(fd);
    /* Where the close would be the regular end, it has to be a reset. */
    fd = dial(b);
    hold(b, fd, SPAN("GET /hold HTTP/1.0\r\n\r\n"));
    conn_start(b->held, 200, NULL, 0);
    conn_write(b->held, SPAN("one"));
    conn_abort(b->held);
    free(hear_all(b, fd, &how));
    assert_int_equal(how, -1);
    close(fd);
    assert_int_equal(b->gone, 0);
    stop(b);
}

static void test_raw_and_reset(void **state) {
    struct bench *b = start(0);
    int fd = dial(b), how;
    hold(b, fd, SPAN(GET("/hold")));
    conn_raw(b->held, SPAN("HTTP/1.1 200 OK\r\ncontent-le"));
    conn_raw(b->held, SPAN("ngth: 2\r\n\r\nhi"));
    conn_finish(b->held);
    char *text = hear(b, fd, "hi", 1);
    assert_string_equal(text, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    free(text);
    hold(b, fd, SPAN(GET("/hold")));
    conn_close_after(b->held);
    conn_raw(b->held, SPAN("half"));
    conn_finish(b->held);
    text = hear_all(b, fd, &how);
    assert_int_equal(how, 0);
    assert_string_equal(text, "half");
    free(text);
    close(fd);

    fd = dial(b);
    hold(b, fd, SPAN(GET("/hold")));
    conn_reset(b->held);
    free(hear_all(b, fd, &how));
    assert_int_equal(how, -1);
    close(fd);
    stop(b);
}

/* ---- pipelining ---- */

static void test_pipelined_requests_are_answered_in_order(void **state) {
    struct bench *b = start(0);
    int fd = dial(b);
    SAY(b, fd, GET("/hold") "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\ntwo" GET("/"));
    UNTIL(b, -1, b->held);
    for (int i = 0; i < 20; i++)
        turn(b, -1);
    assert_int_equal(b->messages, 1);
    conn_reply(b->held, 200, NULL, 0, SPAN("one"));
    /* Not inside the reply. */
    assert_int_equal(b->messages, 1);
    char *text = hear(b, fd, "hello", 1);
    assert_int_equal(b->messages, 3);
    assert_true(strstr(text, "one") < strstr(text, "two"));
    free(text);
    close(fd);
    stop(b);
}

static void test_bytes_behind_a_request_are_bounded(void **state) {
    struct bench *b = start(0);
    int fd = dial(b);
    hold(b, fd, SPAN(GET("/hold")));
    /* Much more than 64 KB and what the kernel takes: writing must come to a halt. */
    static const struct span one = { "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc",
                                     50 };
    struct buf many = { 0 };
    while (many.len < 16 << 20)
        buf_add(&many, one);
    size_t sent = 0;
    for (unsigned idle = 0; idle < 100 && sent < many.len;) {
        ssize_t n = send(fd, many.at + sent, many.len - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n, idle = 0;
        else
            turn(b, -1), idle++;
    }
    assert_true(sent < many.len);
    assert_int_equal(b->messages, 1);
    conn_reply(b->held, 200, NULL, 0, SPAN("one"));
    unsigned expected = (unsigned)(sent / one.len);
    assert_int_equal(strlen(one.at), one.len);
    struct buf heard = { 0 };
    uint64_t limit = clock_ms() + PATIENCE_MS;
    while (b->messages < expected + 1 && clock_ms() < limit) {
        hear_some(fd, &heard);
        buf_clear(&heard);
        turn(b, fd);
    }
    assert_int_equal(b->messages, expected + 1);
    buf_deinit(&heard);
    buf_deinit(&many);
    close(fd);
    stop(b);
}

/* ---- clients that leave or read slowly ---- */

static void test_half_close_is_gone(void **state) {
    struct bench *b = start(0);
    int fd = dial(b);
    hold(b, fd, SPAN(GET("/hold")));
    shutdown(fd, SHUT_WR);
    UNTIL(b, -1, b->gone == 1);
    UNTIL(b, -1, b->closed == 1);
    assert_int_equal(b->gone, 1);
    close(fd);
    stop(b);
}

static void test_broken_client_is_gone(void **state) {
    struct bench *b = start(0);
    int fd = dial(b);
    hold(b, fd, SPAN(GET("/hold")));
    conn_start(b->held, 200, NULL, 0);
    conn_write(b->held, SPAN("one"));
    struct linger now = { .l_onoff = 1 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
    /* It may show by writing as well as by reading; never inside the call. */
    unsigned before = b->gone;
    conn_write(b->held, SPAN("two"));
    assert_int_equal(b->gone, before);
    UNTIL(b, -1, b->closed == 1);
    assert_int_equal(b->gone, 1);
    stop(b);
}

static void test_client_leaves_before_its_body(void **state) {
    struct bench *b = start(0);
    int fd = dial(b);
    SAY(b, fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 300\r\n\r\nabc");
    UNTIL(b, -1, conn_body_bytes(&b->server) == 3);
    close(fd);
    UNTIL(b, -1, b->closed == 1);
    assert_int_equal(b->messages + b->bad + b->gone, 0);
    stop(b);
}

static void test_slow_reader(void **state) {
    struct bench *b = start(0);
    int fd = dial(b);
    static char block[32 * 1024];
    size_t written = 0;
    memset(block, 'x', sizeof block);
    hold(b, fd, SPAN("GET /hold HTTP/1.0\r\n\r\n"));
    conn_start(b->held, 200, NULL, 0);
    do
        written += sizeof block;
    while (conn_write(b->held, (struct span){ block, sizeof block }) && written < 64 << 20);
    assert_true(conn_queued(b->held) > IO_HIGH_WATER);
    assert_true(conn_queued(b->held) <= IO_HIGH_WATER + sizeof block);
    for (int i = 0; i < 20; i++)
        turn(b, -1);
    assert_int_equal(b->drains, 0);
    struct buf heard = { 0 };
    UNTIL(b, fd, (hear_some(fd, &heard), b->drains == 1));
    assert_true(conn_queued(b->held) < IO_LOW_WATER);
    conn_finish(b->held);
    uint64_t limit = clock_ms() + PATIENCE_MS;
    int how;
    while ((how = hear_some(fd, &heard)) == 1 && clock_ms() < limit)
        turn(b, fd);
    assert_int_equal(how, 0);
    const char *body = strstr(heard.at, "\r\n\r\n") + 4;
    assert_int_equal(heard.at + heard.len - body, written);
    assert_int_equal(b->gone, 0);
    buf_deinit(&heard);
    close(fd);
    stop(b);
}

/* A large reply that the client is still reading when it is over for the server. */
static void test_large_reply(void **state) {
    struct bench *b = start(0);
    struct buf body = { 0 };
    int fd = dial(b), how;
    memset(buf_reserve(&body, 8 << 20), 'y', 8 << 20);
    body.len = 8 << 20;
    hold(b, fd, SPAN("GET /hold HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"));
    conn_reply(b->held, 200, NULL, 0, buf_span(&body));
    buf_deinit(&body);
    char *text = hear_all(b, fd, &how);
    assert_int_equal(how, 0);
    assert_int_equal(strlen(strstr(text, "\r\n\r\n") + 4), 8 << 20);
    free(text);
    close(fd);
    stop(b);
}

/* ---- refusals and errors ---- */

static void test_continue_comes_after_the_head_was_accepted(void **state) {
    struct bench *b = start(0);
    int fd = dial(b);
    SAY(b, fd, "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    char *text = hear(b, fd, "\r\n\r\n", 1);
    assert_string_equal(text, "HTTP/1.1 100 Continue\r\n\r\n");
    free(text);
    assert_int_equal(b->heads, 1);
    assert_int_equal(b->messages, 0);
    SAY(b, fd, "abc");
    free(hear(b, fd, "abc", 1));
    close(fd);

    text = exchange(b, SPAN("POST /refuse HTTP/1.1\r\n" HOST
                            "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
    expect_not_in(text, "100 Continue");
    expect_in(text, "HTTP/1.1 403 Forbidden\r\n");
    expect_in(text, "connection: close\r\n");
    free(text);
    stop(b);
}

static void test_refused_by_its_head(void **state) {
    struct bench *b = start(0);
    int fd = dial(b);
    SAY(b, fd, "POST /refuse HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n");
    char *text = hear(b, fd, "no", 1);
    expect_not_in(text, "connection:");
    free(text);
    /* The body that comes nevertheless is read over, and the connection goes on. */
    SAY(b, fd, "abc" GET("/refuse") GET("/"));
    text = hear(b, fd, "hello", 1);
    expect_in(text, "403");
    free(text);
    assert_int_equal(b->messages, 1);
    close(fd);
    /* A large one is not worth it. */
    text = exchange(b, SPAN("POST /refuse HTTP/1.1\r\n" HOST "Content-Length: 3000000\r\n\r\nabc"));
    expect_in(text, "connection: close\r\n");
    free(text);
    text = exchange(b, SPAN("POST /refuse HTTP/1.1\r\n" HOST "Connection: close\r\n"
                            "Content-Length: 3\r\n\r\nabc"));
    expect_in(text, "connection: close\r\n");
    free(text);
    stop(b);
}

/* The client goes on sending after it was refused; it still gets to read why. */
static void expect_refusal(struct bench *b, struct span head, size_t more, int status) {
    int fd = dial(b), how;
    struct buf rest = { 0 };
    unsigned bad = b->bad;
    memset(buf_reserve(&rest, more + 1), 'z', more);
    rest.len = more;
    say(b, fd, head);
    struct span left = buf_span(&rest);
    uint64_t limit = clock_ms() + PATIENCE_MS;
    while (left.len && clock_ms() < limit) {
        ssize_t n = send(fd, left.at, left.len, MSG_NOSIGNAL);
        assert_true(n >= 0 || errno == EAGAIN);
        if (n > 0)
            left = span_sub(left, (size_t)n, SIZE_MAX);
        turn(b, -1);
    }
    shutdown(fd, SHUT_WR);
    char *text = hear_all(b, fd, &how);
    assert_int_equal(how, 0);
    assert_int_equal(b->bad, bad + 1);
    assert_int_equal(b->bad_status, status);
    expect_in(text, "connection: close\r\n");
    buf_deinit(&rest);
    free(text);
    close(fd);
}

static void test_errors_are_read_by_the_client(void **state) {
    struct bench *b = start(0);
    expect_refusal(b, SPAN("GET / HTTP/1.1\r\n\r\n"), 1 << 20, 400);
    expect_refusal(b, SPAN("GET / HTTP/3.0\r\n\r\n"), 0, 505);
    expect_refusal(b, SPAN("CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n"), 100, 501);
    expect_refusal(b, SPAN("POST / HTTP/1.1\r\n" HOST "Content-Length: 9000000\r\n\r\n"), 4 << 20,
                   413);
    expect_refusal(b, SPAN("GET / HTTP/1.1\r\n" HOST "X: "), 1 << 20, 431);
    expect_refusal(b, SPAN("GET /"), 1 << 20, 414);
    b->server.max_body_bytes = 1000;
    UNTIL(b, -1, b->server.n_conns == 0); /* the limit counts from the next first connection on */
    expect_refusal(b, SPAN("POST / HTTP/1.1\r\n" HOST "Content-Length: 2000\r\n\r\n"), 2000, 503);
    assert_int_equal(conn_body_bytes(&b->server), 0);
    assert_int_equal(b->messages, 0);
    stop(b);
}

static void test_nothing_is_served_behind_an_error(void **state) {
    struct bench *b = start(0);
    char *text = exchange(b, SPAN("GET / HTTP/1.1\r\nHost : a\r\n\r\n" GET("/")));
    expect_in(text, "HTTP/1.1 400 Bad Request\r\n");
    expect_not_in(text, "hello");
    assert_int_equal(b->messages, 0);
    free(text);
    stop(b);
}

/* ---- limits in time ---- */

static void test_slow_head(void **state) {
    struct bench *b = start(0);
    b->server.head_ms = 60;
    char *text = exchange(b, SPAN("GET / HT"));
    expect_in(text, "HTTP/1.1 408 Request Timeout\r\n");
    free(text);
    stop(b);
}

static void test_slow_body(void **state) {
    struct bench *b = start(0);
    b->server.body_ms = 60;
    char *text = exchange(b, SPAN("POST / HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc"));
    expect_in(text, "HTTP/1.1 408 Request Timeout\r\n");
    free(text);
    stop(b);
}

static void test_idle(void **state) {
    struct bench *b = start(0);
    b->server.idle_ms = 60;
    char *text = exchange(b, SPAN(GET("/")));
    expect_in(text, "hello");
    assert_int_equal(b->bad, 0);
    free(text);
    text = exchange(b, SPAN_NONE);
    assert_string_equal(text, "");
    free(text);
    stop(b);
}

static void test_reader_that_stands_still(void **state) {
    struct bench *b = start(0);
    static char block[32 * 1024];
    b->server.write_ms = 60;
    int fd = dial(b);
    hold(b, fd, SPAN(GET("/hold")));
    conn_start(b->held, 200, NULL, 0);
    while (conn_write(b->held, (struct span){ block, sizeof block }))
        ;
    UNTIL(b, -1, b->gone == 1);
    UNTIL(b, -1, b->closed == 1);
    close(fd);
    stop(b);
}

/* ---- the end of the server ---- */

static void test_closing_waits_for_replies(void **state) {
    struct bench *b = start(0);
    int idle = dial(b), busy = dial(b), how;
    SAY(b, idle, GET("/"));
    free(hear(b, idle, "hello", 1));
    hold(b, busy, SPAN(GET("/hold")));
    conn_close_all(&b->server, false);
    free(hear_all(b, idle, &how));
    assert_int_equal(how, 0);
    conn_reply(b->held, 200, NULL, 0, SPAN("one"));
    char *text = hear_all(b, busy, &how);
    expect_in(text, "connection: close\r\n");
    expect_in(text, "one");
    assert_int_equal(b->gone, 0);
    free(text);
    close(idle);
    close(busy);
    stop(b);
}

static void test_closing_by_force(void **state) {
    struct bench *b = start(0);
    int fd = dial(b);
    hold(b, fd, SPAN(GET("/hold")));
    conn_close_all(&b->server, true);
    assert_int_equal(b->gone, 0); /* later */
    UNTIL(b, -1, b->closed == 1);
    assert_int_equal(b->gone, 1);
    close(fd);
    stop(b);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN); /* as main() does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_head_has_no_body),
        cmocka_unit_test(test_close_is_honoured),
        cmocka_unit_test(test_http_1_0),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_head_goes_without_a_write),
        cmocka_unit_test(test_stream_to_http_1_0),
        cmocka_unit_test(test_stream_to_head),
        cmocka_unit_test(test_abort_shows),
        cmocka_unit_test(test_raw_and_reset),
        cmocka_unit_test(test_pipelined_requests_are_answered_in_order),
        cmocka_unit_test(test_bytes_behind_a_request_are_bounded),
        cmocka_unit_test(test_half_close_is_gone),
        cmocka_unit_test(test_broken_client_is_gone),
        cmocka_unit_test(test_client_leaves_before_its_body),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_large_reply),
        cmocka_unit_test(test_continue_comes_after_the_head_was_accepted),
        cmocka_unit_test(test_refused_by_its_head),
        cmocka_unit_test(test_errors_are_read_by_the_client),
        cmocka_unit_test(test_nothing_is_served_behind_an_error),
        cmocka_unit_test(test_slow_head),
        cmocka_unit_test(test_slow_body),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_reader_that_stands_still),
        cmocka_unit_test(test_closing_waits_for_replies),
        cmocka_unit_test(test_closing_by_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
