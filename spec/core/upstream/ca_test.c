#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/exchange.h"
#include "support/tls_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct stage {
    struct bed bed;
    struct tls_server server;
    struct exchange x;
};

/* A server by the script, and a pump that trusts it, or only what the system trusts. */
static void open_stage(struct stage *s, const struct tls_script *script, bool trusted) {
    memset(s, 0, sizeof *s);
    tls_server_open(&s->server, script);
    bed_open(&s->bed, trusted ? s->server.ca_file : NULL);
}

static void ask(struct stage *s) {
    exchange_clear(&s->x);
    exchange_init(&s->x, &s->bed, 0, "{}");
    snprintf(s->x.url, sizeof s->x.url, "https://localhost:%d/v1/x", s->server.port);
    exchange_start(&s->x);
}

static void close_stage(struct stage *s) {
    exchange_clear(&s->x);
    bed_close(&s->bed);
    tls_server_close(&s->server);
}

static void assert_bytes(const struct exchange *x, size_t n) {
    assert_int_equal(x->body.len, n);
    for (size_t i = 0; i < n; i++)
        if (x->body.at[i] != tls_server_byte(i))
            fail_msg("byte %zu differs", i);
}

static void loads_bundles(void **state) {
    struct tls_server server;
    tls_server_open(&server, &(struct tls_script){ .name = "localhost" });
    assert_null(ca_load("/nowhere/at-all.pem"));
    assert_null(ca_load("/dev/null"));
    struct ca *ca = ca_load(server.ca_file);
    assert_non_null(ca);
    ca_free(ca);
    setenv("SSL_CERT_FILE", "/nowhere/at-all.pem", 1);
    assert_null(ca_load(NULL));
    ca = ca_load(server.ca_file); /* what is said outright goes first */
    assert_non_null(ca);
    ca_free(ca);
    setenv("SSL_CERT_FILE", server.ca_file, 1);
    ca = ca_load(NULL);
    assert_non_null(ca);
    ca_free(ca);
    unsetenv("SSL_CERT_FILE");
    ca = ca_load(NULL); /* the system's, or none */
    assert_non_null(ca);
    ca_free(ca);
    ca_free(NULL);
    tls_server_close(&server);
}

static void trusts_what_the_bundle_holds(void **state) {
    struct stage s;
    open_stage(&s, &(struct tls_script){ .name = "localhost", .body = 1000 }, true);
    ask(&s);
    exchange_wait(&s.x);
    if (s.x.why != FAILURE_NONE)
        fail_msg("%s", s.x.text);
    assert_int_equal(s.x.status, 200);
    assert_bytes(&s.x, 1000);
    close_stage(&s);
}

static void honours_the_environment(void **state) {
    struct stage s;
    memset(&s, 0, sizeof s);
    tls_server_open(&s.server, &(struct tls_script){ .name = "localhost", .body = 10 });
    setenv("SSL_CERT_FILE", s.server.ca_file, 1);
    bed_open(&s.bed, NULL);
    unsetenv("SSL_CERT_FILE");
    ask(&s);
    exchange_wait(&s.x);
    assert_int_equal(s.x.why, FAILURE_NONE);
    close_stage(&s);
}

static void assert_refused(const struct tls_script *script, bool trusted, const char *text) {
    struct stage s;
    open_stage(&s, script, trusted);
    for (int i = 0; i < 3; i++) {
        ask(&s);
        exchange_wait(&s.x);
        assert_int_equal(s.x.why, FAILURE_CONNECT);
        assert_false(s.x.times.accepted);
        assert_int_equal(s.x.times.connected, 0);
        assert_non_null(strstr(s.x.text, text));
        assert_int_equal(pump_figures(s.bed.pump).connections, 0);
    }
    close_stage(&s);
}

static void refuses_the_unknown(void **state) {
    assert_refused(&(struct tls_script){ .name = "localhost" }, false,
                   "the upstream's certificate was refused: self-signed certificate");
}

static void refuses_another_name(void **state) {
    assert_refused(&(struct tls_script){ .name = "other.example" }, true,
                   "the upstream's certificate is for another name");
}

static void refuses_the_expired(void **state) {
    assert_refused(&(struct tls_script){ .name = "localhost", .expired = true }, true,
                   "the upstream's certificate was refused: certificate has expired");
}

static double thread_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Each is a connection of its own. The bundle is gone by then, so that it can not have been read
 * again; and the sessions resume. */
static void connects_cheaply_again(void **state) {
    struct stage s;
    open_stage(&s, &(struct tls_script){ .name = "localhost", .body = 10 }, true);
    unlink(s.server.ca_file);
    ask(&s);
    exchange_wait(&s.x);
    assert_int_equal(s.x.why, FAILURE_NONE);
    double start = thread_seconds();
    for (int i = 0; i < 20; i++) {
        ask(&s);
        exchange_wait(&s.x);
        assert_int_equal(s.x.why, FAILURE_NONE);
        assert_false(s.x.times.reused);
    }
    double each_ms = (thread_seconds() - start) * 1000 / 20;
    print_message("a further TLS connection: %.2f ms of processor time\n", each_ms);
    assert_int_equal(s.server.handshakes, 21);
    assert_int_equal(s.server.resumed, 20);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(each_ms < 5); /* reading a bundle again costs 25 */
#endif
    close_stage(&s);
}

static bool has_paused(void *arg) {
    struct exchange *x = arg;
    return x->pauses > 0;
}

static void pauses_and_resumes(void **state) {
    enum { LEN = 4 << 20 };
    struct stage s;
    open_stage(&s, &(struct tls_script){ .name = "localhost", .body = LEN }, true);
    exchange_init(&s.x, &s.bed, 0, "{}");
    snprintf(s.x.url, sizeof s.x.url, "https://localhost:%d/v1/x", s.server.port);
    s.x.room = 0;
    exchange_start(&s.x);
    for (int i = 0; i < 60; i++) {
        bed_until(&s.bed, has_paused, &s.x);
        s.x.pauses = 0;
        exchange_resume(&s.x, 50000);
    }
    bed_until(&s.bed, has_paused, &s.x);
    uint64_t polls = pump_figures(s.bed.pump).polls;
    bed_for(&s.bed, 100);
    assert_true(pump_figures(s.bed.pump).polls - polls <= 1);
    exchange_resume(&s.x, SIZE_MAX);
    exchange_wait(&s.x);
    assert_int_equal(s.x.why, FAILURE_NONE);
    assert_bytes(&s.x, LEN);
    close_stage(&s);
}

static void notices_a_torn_connection(void **state) {
    struct stage s;
    open_stage(&s, &(struct tls_script){ .name = "localhost", .body = 100, .torn = true }, true);
    ask(&s);
    exchange_wait(&s.x);
    assert_int_equal(s.x.why, FAILURE_CUT_STREAM);
    assert_bytes(&s.x, 100);
    close_stage(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_bundles),
        cmocka_unit_test(trusts_what_the_bundle_holds),
        cmocka_unit_test(honours_the_environment),
        cmocka_unit_test(refuses_the_unknown),
        cmocka_unit_test(refuses_another_name),
        cmocka_unit_test(refuses_the_expired),
        cmocka_unit_test(connects_cheaply_again),
        cmocka_unit_test(pauses_and_resumes),
        cmocka_unit_test(notices_a_torn_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
