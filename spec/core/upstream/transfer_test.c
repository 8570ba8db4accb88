#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/exchange.h"
#include "support/server.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- a bed with a server that plays a script --- */

struct stage {
    struct bed bed;
    struct server server;
    const char *script; /* what `play` answers */
    struct buf request; /* the last one, NUL-terminated */
    struct exchange x, y;
};

static void record(struct server_conn *c) {
    struct stage *s = c->server->owner;
    buf_clear(&s->request);
    buf_append(&s->request, c->in.at, c->head_len + c->body_len);
    buf_add_char(&s->request, 0);
}

static void echo(struct server_conn *c) {
    record(c);
    server_reply(c, "fine");
}

/* The script, and then nothing. */
static void play(struct server_conn *c) {
    struct stage *s = c->server->owner;
    server_text(c, s->script);
}

static void play_and_end(struct server_conn *c) {
    play(c);
    server_end(c);
}

static int open_stage(void **state) {
    struct stage *s = calloc(1, sizeof *s);
    bed_open(&s->bed, NULL);
    server_open(&s->server, &s->bed.loop, echo, s);
    *state = s;
    return 0;
}

static int close_stage(void **state) {
    struct stage *s = *state;
    exchange_clear(&s->x);
    exchange_clear(&s->y);
    server_close(&s->server);
    bed_close(&s->bed);
    buf_deinit(&s->request);
    free(s);
    return 0;
}

static void post(struct stage *s) {
    exchange_post(&s->x, &s->bed, s->server.port, "{}");
    exchange_wait(&s->x);
}

static void assert_body(const struct exchange *x, const char *text) {
    assert_int_equal(x->body.len, strlen(text));
    assert_memory_equal(x->body.at, text, x->body.len);
}

static void assert_failed(const struct exchange *x, enum failure why, bool accepted) {
    if (x->why != why)
        fail_msg("%s (%s), expected %s", failure_name(x->why), x->text, failure_name(why));
    assert_int_equal(x->times.accepted, accepted);
    assert_true(x->times.done > 0);
}

/* --- what goes out --- */

static void sends_what_it_is_given(void **state) {
    struct stage *s = *state;
    exchange_init(&s->x, &s->bed, s->server.port, "{\"model\":\"m\"}");
    exchange_header(&s->x, "Authorization: Bearer k");
    exchange_header(&s->x, "X-Empty:");
    exchange_start(&s->x);
    exchange_wait(&s->x);
    assert_int_equal(s->x.why, FAILURE_NONE);
    assert_int_equal(s->x.status, 200);
    assert_body(&s->x, "fine");
    char expected[512];
    snprintf(
        expected, sizeof expected,
        "POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: perilune/spec\r\nAccept: */*\r\n"
        "Content-Type: application/json\r\nAuthorization: Bearer k\r\nX-Empty:\r\n"
        "Accept-Encoding: identity\r\nContent-Length: 13\r\n\r\n{\"model\":\"m\"}",
        s->server.port);
    assert_string_equal(s->request.at, expected);
}

static void sends_other_methods(void **state) {
    static const struct {
        const char *method, *body, *line;
        bool has_length;
    } cases[] = {
        { "GET", "", "GET /v1/x HTTP/1.1\r\n", false },
        { "POST", "", "POST /v1/x HTTP/1.1\r\n", true },
        { "DELETE", "", "DELETE /v1/x HTTP/1.1\r\n", false },
        { "POST", "abc", "POST /v1/x HTTP/1.1\r\n", true },
        { "PUT", "abc", "PUT /v1/x HTTP/1.1\r\n", true },
        { "HEAD", "", "HEAD /v1/x HTTP/1.1\r\n", false },
        { "GET", "", "GET /v1/x HTTP/1.1\r\n", false },
        { "PATCH", "abc", "PATCH /v1/x HTTP/1.1\r\n", true },
        { "POST", "abcd", "POST /v1/x HTTP/1.1\r\n", true },
    };
    struct stage *s = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        exchange_init(&s->x, &s->bed, s->server.port, cases[i].body);
        s->x.message.method = cases[i].method;
        exchange_start(&s->x);
        exchange_wait(&s->x);
        assert_int_equal(s->x.why, FAILURE_NONE);
        assert_memory_equal(s->request.at, cases[i].line, strlen(cases[i].line));
        char length[64];
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(cases[i].body));
        assert_int_equal(strstr(s->request.at, length) != NULL, cases[i].has_length);
        assert_string_equal(strstr(s->request.at, "\r\n\r\n") + 4, cases[i].body);
        assert_int_equal(s->x.body.len, strcmp(cases[i].method, "HEAD") ? 4 : 0);
        exchange_clear(&s->x);
    }
    memset(&s->x, 0, sizeof s->x);
}

static char *pattern(size_t len) {
    char *bytes = malloc(len + 1);
    uint32_t r = 12345;
    for (size_t i = 0; i < len; i++) {
        r = r * 1664525 + 1013904223;
        bytes[i] = (char)('a' + (r >> 16) % 26);
    }
    bytes[len] = 0;
    return bytes;
}

static void sends_large_bodies_without_a_stall(void **state) {
    static const size_t sizes[] = { 65535, 65536, 65537, 100000, 400000, 5 << 20 };
    struct stage *s = *state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *body = pattern(sizes[i]);
        exchange_post(&s->x, &s->bed, s->server.port, body);
        exchange_wait(&s->x);
        assert_int_equal(s->x.why, FAILURE_NONE);
        assert_null(strstr(s->request.at, "Expect"));
        assert_string_equal(strstr(s->request.at, "\r\n\r\n") + 4, body);
        assert_true(s->x.times.done < 900000); /* curl waits a second for a server to say 100 */
        assert_true(s->x.times.sent >= s->x.times.connected);
        assert_true(s->x.times.sent <= s->x.times.done);
        exchange_clear(&s->x);
        free(body);
    }
    memset(&s->x, 0, sizeof s->x);
}

/* --- what comes back --- */

static void shows_the_head_once_and_the_body(void **state) {
    struct stage *s = *state;
    s->server.answer = play;
    s->script = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
                "HTTP/1.1 429 Slow Down\r\nRetry-After: 3\r\nX-Twice: a\r\nX-Twice: b\r\n"
                "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: r\r\n\r\n";
    post(s);
    assert_int_equal(s->x.why, FAILURE_NONE);
    assert_int_equal(s->x.status, 429);
    assert_string_equal(s->x.head.at,
                        "retry-after: 3\nx-twice: a\nx-twice: b\ntransfer-encoding: chunked\n");
    assert_body(&s->x, "abcdefg");
    assert_int_equal(s->x.times.bytes, 7);
}

static void takes_answers_without_a_body(void **state) {
    struct stage *s = *state;
    s->server.answer = play;
    s->script = "HTTP/1.1 204 No Content\r\n\r\n";
    post(s);
    assert_int_equal(s->x.why, FAILURE_NONE);
    assert_int_equal(s->x.status, 204);
    assert_int_equal(s->x.body.len, 0);
}

static void takes_a_body_that_ends_with_the_connection(void **state) {
    struct stage *s = *state;
    s->server.answer = play_and_end;
    s->script = "HTTP/1.1 200 OK\r\n\r\nuntil the end";
    post(s);
    assert_int_equal(s->x.why, FAILURE_NONE);
    assert_body(&s->x, "until the end");
}

static void follows_no_redirect(void **state) {
    struct stage *s = *state;
    s->server.answer = play;
    s->script = "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\n"
                "Content-Length: 2\r\n\r\nno";
    post(s);
    assert_int_equal(s->x.why, FAILURE_NONE);
    assert_int_equal(s->x.status, 307);
    assert_body(&s->x, "no");
    assert_int_equal(s->server.requests, 1);
}

static void leaves_compressed_bodies_as_they_are(void **state) {
    struct stage *s = *state;
    s->server.answer = play;
    s->script = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip";
    post(s);
    assert_int_equal(s->x.why, FAILURE_NONE);
    assert_body(&s->x, "not gzip");
}

static void reuses_a_connection_and_says_so(void **state) {
    struct stage *s = *state;
    post(s);
    assert_false(s->x.times.reused);
    assert_true(s->x.times.connected && s->x.times.connected <= s->x.times.sent);
    assert_true(s->x.times.sent <= s->x.times.first_byte);
    assert_true(s->x.times.first_byte <= s->x.times.done);
    exchange_post(&s->y, &s->bed, s->server.port, "{}");
    exchange_wait(&s->y);
    assert_true(s->y.times.reused);
    assert_int_equal(s->server.accepted, 1);
    assert_int_equal(pump_figures(s->bed.pump).connections, 1);
}

/* --- what goes wrong --- */

static void reports_a_refused_connection(void **state) {
    struct stage *s = *state;
    exchange_post(&s->x, &s->bed, server_dead_port(), "{}");
    exchange_wait(&s->x);
    assert_failed(&s->x, FAILURE_CONNECT, false);
    assert_int_equal(s->x.times.connected, 0);
}

static void reports_a_wrong_url(void **state) {
    static const char *const urls[] = { "",        "ftp://127.0.0.1/", "file:///etc/passwd",
                                        "http://", "http://[::1/",     "http://127.0.0.1:99999/" };
    struct stage *s = *state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        exchange_init(&s->x, &s->bed, 1, "{}");
        snprintf(s->x.url, sizeof s->x.url, "%s", urls[i]);
        exchange_start(&s->x);
        exchange_wait(&s->x);
        assert_failed(&s->x, FAILURE_CONNECT, false);
        assert_string_equal(s->x.text, "the upstream's URL is not a valid http or https one");
        exchange_clear(&s->x);
    }
    memset(&s->x, 0, sizeof s->x);
}

static void reports_a_reset(void **state) {
    struct stage *s = *state;
    s->server.answer = server_reset;
    post(s);
    assert_failed(&s->x, FAILURE_SERVER_ERROR, true);
}

static void reports_a_close_without_an_answer(void **state) {
    struct stage *s = *state;
    s->server.answer = server_end;
    post(s);
    assert_failed(&s->x, FAILURE_SERVER_ERROR, true);
}

static void gives_up_on_a_silent_upstream(void **state) {
    struct stage *s = *state;
    s->server.answer = NULL;
    exchange_init(&s->x, &s->bed, s->server.port, "{}");
    s->x.message.total_ms = 100;
    exchange_start(&s->x);
    exchange_wait(&s->x);
    assert_failed(&s->x, FAILURE_TIMEOUT, true);
    assert_true(s->x.times.done >= 100000);
    assert_int_equal(s->x.heads, 0);
}

/* A listener whose queue is full: the kernel drops what comes, and connecting hangs. */
static void gives_up_connecting(void **state) {
    struct stage *s = *state;
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fill[4];
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 0), 0);
    getsockname(listener, (struct sockaddr *)&address, &len);
    for (int i = 0; i < 4; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fill[i], (struct sockaddr *)&address, len);
    }
    exchange_init(&s->x, &s->bed, ntohs(address.sin_port), "{}");
    s->x.message.connect_ms = 100;
    s->x.message.total_ms = 60000;
    exchange_start(&s->x);
    exchange_wait(&s->x);
    assert_failed(&s->x, FAILURE_CONNECT, false);
    assert_true(s->x.times.done >= 100000);

    exchange_init(&s->y, &s->bed, ntohs(address.sin_port), "{}");
    s->y.message.total_ms = 100;
    exchange_start(&s->y);
    exchange_wait(&s->y);
    assert_failed(&s->y, FAILURE_TIMEOUT, false);
    for (int i = 0; i < 4; i++)
        close(fill[i]);
    close(listener);
}

static void gives_up_on_tls_with_a_silent_upstream(void **state) {
    struct stage *s = *state;
    exchange_init(&s->x, &s->bed, s->server.port, "{}");
    snprintf(s->x.url, sizeof s->x.url, "https://127.0.0.1:%d/", s->server.port);
    s->x.message.connect_ms = 100;
    exchange_start(&s->x);
    exchange_wait(&s->x);
    assert_failed(&s->x, FAILURE_CONNECT, false);
}

static void reports_half_a_head(void **state) {
    static const char *const halves[] = { "HTT", "HTTP/1.1 200 OK\r\n",
                                          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: ",
                                          "HTTP/1.1 100 Continue\r\n\r\n" };
    struct stage *s = *state;
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        s->script = halves[i];
        s->server.answer = play_and_end;
        exchange_post(&s->x, &s->bed, s->server.port, "{}");
        exchange_wait(&s->x);
        assert_int_equal(s->x.heads, 0);
        assert_failed(&s->x, FAILURE_SERVER_ERROR, true);
        exchange_clear(&s->x);

        s->server.answer = play;
        exchange_init(&s->x, &s->bed, s->server.port, "{}");
        s->x.message.total_ms = 50;
        exchange_start(&s->x);
        exchange_wait(&s->x);
        assert_int_equal(s->x.heads, 0);
        assert_failed(&s->x, FAILURE_TIMEOUT, true);
        exchange_clear(&s->x);
    }
    memset(&s->x, 0, sizeof s->x);
}

static void play_and_reset(struct server_conn *c) {
    play(c);
    server_every(c, 10, server_reset);
}

static void reports_a_cut_body(void **state) {
    static const char *const cut[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    };
    struct stage *s = *state;
    for (size_t i = 0; i < 2 * sizeof cut / sizeof *cut; i++) {
        s->script = cut[i / 2];
        s->server.answer = i % 2 ? play_and_reset : play_and_end;
        exchange_post(&s->x, &s->bed, s->server.port, "{}");
        exchange_wait(&s->x);
        assert_int_equal(s->x.heads, 1);
        assert_failed(&s->x, FAILURE_CUT_STREAM, true);
        assert_body(&s->x, "abc");
        exchange_clear(&s->x);
    }
    memset(&s->x, 0, sizeof s->x);
}

static void reports_rubbish_between_chunks(void **state) {
    struct stage *s = *state;
    s->server.answer = play;
    s->script = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n";
    post(s);
    assert_failed(&s->x, FAILURE_CUT_STREAM, true);
}

static void refuses_what_is_no_sound_http(void **state) {
    static const char *const bad[] = {
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "{\"error\":\"no head\"}",
        "<html>garbage</html>\r\n\r\n",
        "\x16\x03\x01\x02rubbish\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
    };
    struct stage *s = *state;
    s->server.answer = play;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        s->script = bad[i];
        exchange_post(&s->x, &s->bed, s->server.port, "{}");
        exchange_wait(&s->x);
        assert_int_equal(s->x.heads, 0);
        if (s->x.why != FAILURE_BAD_RESPONSE)
            fail_msg("%s: %s (%s)", bad[i], failure_name(s->x.why), s->x.text);
        assert_failed(&s->x, FAILURE_BAD_RESPONSE, true);
        exchange_clear(&s->x);
    }
    memset(&s->x, 0, sizeof s->x);
}

static void pour(struct server_conn *c) {
    struct stage *s = c->server->owner;
    while (c->unsent < 1 << 20)
        server_text(c, s->script);
}

static void flood(struct server_conn *c) {
    server_text(c, "HTTP/1.1 200 OK\r\n");
    pour(c);
    server_every(c, 1, pour);
}

static void flood_interim(struct server_conn *c) {
    pour(c);
    server_every(c, 1, pour);
}

static void ends_endless_heads(void **state) {
    static const char *const floods[] = { "X-Flood: 0123456789012345678901234567890123456789\r\n",
                                          "a: b\r\n",
                                          "X: 01234567890123456789012345678901234567890123456789" };
    struct stage *s = *state;
    for (size_t i = 0; i < sizeof floods / sizeof *floods + 1; i++) {
        bool interim = i == sizeof floods / sizeof *floods;
        s->script = interim ? "HTTP/1.1 102 Processing\r\n\r\n" : floods[i];
        s->server.answer = interim ? flood_interim : flood;
        exchange_post(&s->x, &s->bed, s->server.port, "{}");
        exchange_wait(&s->x);
        assert_int_equal(s->x.heads, 0);
        assert_failed(&s->x, FAILURE_BAD_RESPONSE, true);
        exchange_clear(&s->x);
    }
    memset(&s->x, 0, sizeof s->x);
}

static void keeps_the_limit_it_is_given(void **state) {
    struct stage *s = *state;
    s->server.answer = play;
    s->script = "HTTP/1.1 200 OK\r\nX-Long: 01234567890123456789012345678901234567890123456789\r\n"
                "Content-Length: 0\r\n\r\n";
    exchange_init(&s->x, &s->bed, s->server.port, "{}");
    s->x.message.max_header_bytes = 64;
    exchange_start(&s->x);
    exchange_wait(&s->x);
    assert_failed(&s->x, FAILURE_BAD_RESPONSE, true);
    exchange_init(&s->y, &s->bed, s->server.port, "{}");
    s->y.message.max_header_bytes = 256;
    exchange_start(&s->y);
    exchange_wait(&s->y);
    assert_int_equal(s->y.why, FAILURE_NONE);
}

/* An old connection that turns out dead is not the caller's trouble; nor does it add up over a
 * handle's life. */
static void end_the_second(struct server_conn *c) {
    record(c);
    if (c->requests == 1)
        server_reply(c, "fine");
    else
        server_end(c);
}

static void tries_once_more_when_an_old_connection_is_dead(void **state) {
    struct stage *s = *state;
    char *large = pattern(300000);
    s->server.answer = end_the_second;
    for (int i = 0; i < 30; i++) {
        exchange_post(&s->x, &s->bed, s->server.port, i % 2 ? large : "{\"n\":1}");
        exchange_wait(&s->x);
        if (s->x.why != FAILURE_NONE)
            fail_msg("round %d: %s", i, s->x.text);
        assert_body(&s->x, "fine");
        if (i % 2)
            assert_memory_equal(strstr(s->request.at, "\r\n\r\n") + 4, large, 300000);
        exchange_clear(&s->x);
    }
    free(large);
    memset(&s->x, 0, sizeof s->x);
}

/* --- back-pressure --- */

enum { LARGE = 32 << 20 };

struct large {
    char *bytes;
    size_t sent;
};

static void send_more(struct server_conn *c) {
    struct stage *s = c->server->owner;
    struct large *large = (struct large *)s->request.at;
    while (c->unsent < 1 << 18 && large->sent < LARGE) {
        size_t len = LARGE - large->sent < 65536 ? LARGE - large->sent : 65536;
        server_send(c, large->bytes + large->sent, len);
        large->sent += len;
    }
}

static void send_large(struct server_conn *c) {
    char head[80];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", LARGE);
    server_text(c, head);
    server_every(c, 1, send_more);
    send_more(c);
}

static struct large *stage_large(struct stage *s) {
    struct large large = { pattern(LARGE), 0 };
    buf_append(&s->request, &large, sizeof large);
    s->server.answer = send_large;
    return (struct large *)s->request.at;
}

static bool has_paused(void *arg) {
    struct exchange *x = arg;
    return x->pauses > 0;
}

static void holds_back_the_upstream_while_paused(void **state) {
    struct stage *s = *state;
    struct large *large = stage_large(s);
    exchange_init(&s->x, &s->bed, s->server.port, "{}");
    s->x.room = 100000;
    exchange_start(&s->x);
    bed_until(&s->bed, has_paused, &s->x);
    bed_for(&s->bed, 300); /* the kernel's buffers fill */
    size_t sent = large->sent, got = s->x.body.len;
    uint64_t polls = pump_figures(s->bed.pump).polls;
    unsigned pauses = s->x.pauses;
    assert_true(sent < LARGE);
    bed_for(&s->bed, 300);
    assert_int_equal(large->sent, sent);
    assert_int_equal(s->x.body.len, got);
    assert_int_equal(s->x.pauses, pauses);
    assert_true(pump_figures(s->bed.pump).polls - polls <= 1); /* no spinning on what is readable */

    /* In many small steps, then to the end. */
    for (int i = 0; i < 50; i++) {
        s->x.pauses = 0;
        exchange_resume(&s->x, 60000);
        bed_until(&s->bed, has_paused, &s->x);
    }
    exchange_resume(&s->x, SIZE_MAX);
    exchange_wait(&s->x);
    assert_int_equal(s->x.why, FAILURE_NONE);
    assert_int_equal(s->x.body.len, LARGE);
    assert_int_equal(s->x.times.bytes, LARGE);
    assert_memory_equal(s->x.body.at, large->bytes, LARGE);
    free(large->bytes);
}

static void pauses_chunked_bodies_at_any_byte(void **state) {
    struct stage *s = *state;
    s->server.answer = play;
    s->script =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n5\r\nfghij\r\n"
        "0\r\nT: r\r\n\r\n";
    for (size_t room = 0; room < 10; room++) {
        exchange_init(&s->x, &s->bed, s->server.port, "{}");
        s->x.room = room;
        exchange_start(&s->x);
        bed_until(&s->bed, has_paused, &s->x);
        assert_false(s->x.over);
        exchange_resume(&s->x, SIZE_MAX);
        exchange_wait(&s->x);
        assert_int_equal(s->x.why, FAILURE_NONE);
        assert_body(&s->x, "abcdefghij");
        exchange_clear(&s->x);
    }
    memset(&s->x, 0, sizeof s->x);
}

static void resume_at_once(struct exchange *x) {
    if (x->pauses == 1 && x->body.len == 0)
        exchange_resume(x, SIZE_MAX);
}

static void may_be_resumed_inside_the_event_that_pauses(void **state) {
    struct stage *s = *state;
    exchange_init(&s->x, &s->bed, s->server.port, "{}");
    s->x.room = 0;
    s->x.at_body = resume_at_once;
    exchange_start(&s->x);
    exchange_wait(&s->x);
    assert_int_equal(s->x.why, FAILURE_NONE);
    assert_body(&s->x, "fine");
}

static void hears_of_the_end_only_when_resumed(void **state) {
    struct stage *s = *state;
    s->server.answer = play_and_end;
    s->script = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc";
    exchange_init(&s->x, &s->bed, s->server.port, "{}");
    s->x.room = 0;
    exchange_start(&s->x);
    bed_until(&s->bed, has_paused, &s->x);
    bed_for(&s->bed, 100);
    assert_false(s->x.over);
    exchange_resume(&s->x, SIZE_MAX);
    exchange_wait(&s->x);
    assert_failed(&s->x, FAILURE_CUT_STREAM, true);
    assert_body(&s->x, "abc");
}

static void times_out_while_paused(void **state) {
    struct stage *s = *state;
    exchange_init(&s->x, &s->bed, s->server.port, "{}");
    s->x.room = 0;
    s->x.message.total_ms = 100;
    exchange_start(&s->x);
    exchange_wait(&s->x);
    assert_failed(&s->x, FAILURE_TIMEOUT, true);
}

/* --- freeing --- */

static bool none_active(void *arg) {
    struct stage *s = arg;
    return pump_figures(s->bed.pump).active == 0 && server_count(&s->server) == 0;
}

static bool saw_request(void *arg) {
    struct stage *s = arg;
    return s->server.requests > 0;
}

static bool saw_connection(void *arg) {
    struct stage *s = arg;
    return s->server.accepted > 0;
}

static bool saw_body(void *arg) {
    struct stage *s = arg;
    return s->x.body.len > 0;
}

static bool paused(void *arg) {
    struct stage *s = arg;
    return s->x.pauses > 0;
}

static bool at_once(void *arg) {
    return true;
}

/* The body is freed with the transfer, so that a sanitizer sees whoever reads it later. */
static void can_be_freed_at_any_stage(void **state) {
    static const struct {
        bool (*stage)(void *arg);
        size_t room, body;
        bool deaf;
    } cases[] = {
        { at_once, SIZE_MAX, 2, false },
        { saw_connection, SIZE_MAX, 2, true },
        { saw_request, SIZE_MAX, 2, false },
        { saw_body, SIZE_MAX, 2, false },
        { paused, 0, 2, false },
        { paused, 50000, 2, false },
        { saw_connection, SIZE_MAX, 8 << 20, true },
    };
    struct stage *s = *state;
    struct large *large = stage_large(s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *body = pattern(cases[i].body);
        s->server.requests = s->server.accepted = 0;
        s->server.deaf = cases[i].deaf;
        large->sent = 0;
        exchange_init(&s->x, &s->bed, s->server.port, body);
        s->x.room = cases[i].room;
        exchange_start(&s->x);
        bed_until(&s->bed, cases[i].stage, s);
        exchange_free(&s->x);
        free(body);
        assert_int_equal(pump_figures(s->bed.pump).active, 0);
        if (cases[i].deaf) /* it does not see the end either */
            while (s->server.conns)
                server_reset(s->server.conns);
        bed_until(&s->bed, none_active, s);
        assert_false(s->x.over);
        exchange_clear(&s->x);
    }
    memset(&s->x, 0, sizeof s->x);
    free(large->bytes);
}

static void free_self(struct exchange *x) {
    exchange_free(x);
    x->over = true; /* for exchange_wait() */
}

static void can_be_freed_inside_its_events(void **state) {
    struct stage *s = *state;
    for (int i = 0; i < 5; i++) {
        bool fails = i == 3;
        exchange_init(&s->x, &s->bed, fails ? server_dead_port() : s->server.port, "{}");
        if (i == 0)
            s->x.at_head = free_self;
        else if (i == 1 || i == 4)
            s->x.at_body = free_self;
        else
            s->x.at_end = free_self;
        if (i == 4)
            s->x.room = 0; /* frees while it says "pause" */
        exchange_start(&s->x);
        exchange_wait(&s->x);
        assert_null(s->x.transfer);
        bed_for(&s->bed, 10);
        assert_int_equal(pump_figures(s->bed.pump).active, 0);
        exchange_clear(&s->x);
    }
    memset(&s->x, 0, sizeof s->x);
}

/* A hedge: the one that answers first ends the other, whatever stage that is in, and its body with
 * it. */
static void free_other(struct exchange *x) {
    struct exchange *other = x->owner;
    if (other->transfer) {
        exchange_free(other);
        free((char *)other->message.body.at);
        other->message.body = SPAN_NONE;
    }
}

static bool other_ready(void *arg) {
    struct stage *s = arg;
    return s->y.pauses || s->server.accepted > 1;
}

static void can_be_freed_inside_events_of_another(void **state) {
    struct stage *s = *state;
    for (int i = 0; i < 12; i++) {
        /* y: not begun, uploading, waiting for an answer, paused; x frees it in on_head, on_body
         * or on_done. */
        size_t body = i % 4 == 1 ? 8 << 20 : 2;
        s->server.accepted = 0;
        exchange_init(&s->y, &s->bed, s->server.port, pattern(body));
        s->y.room = i % 4 == 3 ? 0 : SIZE_MAX;
        exchange_init(&s->x, &s->bed, s->server.port, "{}");
        s->x.owner = &s->y;
        if (i / 4 == 0)
            s->x.at_head = free_other;
        else if (i / 4 == 1)
            s->x.at_body = free_other;
        else
            s->x.at_end = free_other;
        if (i % 4 == 0) {
            exchange_start(&s->x);
            exchange_start(&s->y);
        } else {
            exchange_start(&s->y);
            exchange_start(&s->x);
        }
        if (i % 4 == 3)
            bed_until(&s->bed, other_ready, s);
        exchange_wait(&s->x);
        assert_int_equal(s->x.why, FAILURE_NONE);
        bed_for(&s->bed, 20);
        assert_null(s->y.transfer);
        assert_false(s->y.over && i % 4 == 3);
        assert_int_equal(pump_figures(s->bed.pump).active, 0);
        free((char *)s->y.message.body.at);
        exchange_clear(&s->x);
        exchange_clear(&s->y);
    }
    memset(&s->x, 0, sizeof s->x);
    memset(&s->y, 0, sizeof s->y);
}

static void start_other(struct exchange *x) {
    struct exchange *other = x->owner;
    if (!other->transfer)
        exchange_start(other);
}

static void others_can_be_started_inside_events(void **state) {
    struct stage *s = *state;
    for (int i = 0; i < 3; i++) {
        exchange_init(&s->y, &s->bed, s->server.port, "[]");
        exchange_init(&s->x, &s->bed, s->server.port, "{}");
        s->x.owner = &s->y;
        *(i == 0 ? &s->x.at_head : i == 1 ? &s->x.at_body : &s->x.at_end) = start_other;
        exchange_start(&s->x);
        exchange_wait(&s->x);
        exchange_wait(&s->y);
        assert_int_equal(s->y.why, FAILURE_NONE);
        exchange_clear(&s->x);
        exchange_clear(&s->y);
    }
    memset(&s->x, 0, sizeof s->x);
    memset(&s->y, 0, sizeof s->y);
}

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, open_stage, close_stage)

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_STAGE(sends_what_it_is_given),
        ON_STAGE(sends_other_methods),
        ON_STAGE(sends_large_bodies_without_a_stall),
        ON_STAGE(shows_the_head_once_and_the_body),
        ON_STAGE(takes_answers_without_a_body),
        ON_STAGE(takes_a_body_that_ends_with_the_connection),
        ON_STAGE(follows_no_redirect),
        ON_STAGE(leaves_compressed_bodies_as_they_are),
        ON_STAGE(reuses_a_connection_and_says_so),
        ON_STAGE(reports_a_refused_connection),
        ON_STAGE(reports_a_wrong_url),
        ON_STAGE(reports_a_reset),
        ON_STAGE(reports_a_close_without_an_answer),
        ON_STAGE(gives_up_on_a_silent_upstream),
        ON_STAGE(gives_up_connecting),
        ON_STAGE(gives_up_on_tls_with_a_silent_upstream),
        ON_STAGE(reports_half_a_head),
        ON_STAGE(reports_a_cut_body),
        ON_STAGE(reports_rubbish_between_chunks),
        ON_STAGE(refuses_what_is_no_sound_http),
        ON_STAGE(ends_endless_heads),
        ON_STAGE(keeps_the_limit_it_is_given),
        ON_STAGE(tries_once_more_when_an_old_connection_is_dead),
        ON_STAGE(holds_back_the_upstream_while_paused),
        ON_STAGE(pauses_chunked_bodies_at_any_byte),
        ON_STAGE(may_be_resumed_inside_the_event_that_pauses),
        ON_STAGE(hears_of_the_end_only_when_resumed),
        ON_STAGE(times_out_while_paused),
        ON_STAGE(can_be_freed_at_any_stage),
        ON_STAGE(can_be_freed_inside_its_events),
        ON_STAGE(can_be_freed_inside_events_of_another),
        ON_STAGE(others_can_be_started_inside_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
