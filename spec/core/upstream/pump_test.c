#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/exchange.h"
#include "support/server.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { TURN_LIMIT_US = 5000 };

/* --- a name server that is dead: libcurl's resolver threads come here instead of libc, names
 * under ".dead" wait until told --- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool held;
    unsigned waiting, asked;
} names = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, true, 0, 0 };

__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **out);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **out) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(
            RTLD_NEXT, "getaddrinfo");
    size_t len = node ? strlen(node) : 0;
    if (len < 5 || strcmp(node + len - 5, ".dead") != 0)
        return real(node, service, hints, out);
    pthread_mutex_lock(&names.lock);
    names.asked++;
    names.waiting++;
    pthread_cond_broadcast(&names.changed);
    while (names.held)
        pthread_cond_wait(&names.changed, &names.lock);
    names.waiting--;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.lock);
    return EAI_AGAIN;
}

static void hold_names(void) {
    pthread_mutex_lock(&names.lock);
    names.held = true;
    pthread_mutex_unlock(&names.lock);
}

static unsigned names_waiting(void) {
    pthread_mutex_lock(&names.lock);
    unsigned n = names.waiting;
    pthread_mutex_unlock(&names.lock);
    return n;
}

static void release_names(void) {
    pthread_mutex_lock(&names.lock);
    names.held = false;
    pthread_cond_broadcast(&names.changed);
    while (names.waiting)
        pthread_cond_wait(&names.changed, &names.lock);
    pthread_mutex_unlock(&names.lock);
}

/* --- a bed, a server, many exchanges --- */

struct stage {
    struct bed bed;
    struct server server;
    struct exchange x;
    struct exchange *many;
    size_t n, over;
    size_t multis; /* when the first of many ended */
    struct buf request;
};

static void answer(struct server_conn *c) {
    struct stage *s = c->server->owner;
    buf_clear(&s->request);
    buf_append(&s->request, c->in.at, c->head_len);
    buf_add_char(&s->request, 0);
    server_reply(c, "fine");
}

static int open_stage(void **state) {
    struct stage *s = calloc(1, sizeof *s);
    bed_open(&s->bed, NULL);
    server_open(&s->server, &s->bed.loop, answer, s);
    *state = s;
    return 0;
}

static void clear_many(struct stage *s) {
    for (size_t i = 0; i < s->n; i++)
        exchange_clear(&s->many[i]);
    free(s->many);
    s->many = NULL;
    s->n = 0;
}

static int close_stage(void **state) {
    struct stage *s = *state;
    exchange_clear(&s->x);
    clear_many(s);
    server_close(&s->server);
    bed_close(&s->bed);
    buf_deinit(&s->request);
    free(s);
    return 0;
}

static void count_over(struct exchange *x) {
    struct stage *s = x->owner;
    if (s->over++ == 0)
        s->multis = pump_figures(s->bed.pump).multis;
}

static void start_many(struct stage *s, size_t n, const char *host, int port) {
    clear_many(s);
    s->many = calloc(n, sizeof *s->many);
    s->n = n;
    s->over = 0;
    for (size_t i = 0; i < n; i++) {
        struct exchange *x = &s->many[i];
        exchange_init(x, &s->bed, port, "{}");
        snprintf(x->url, sizeof x->url, "http://%s:%d/v1/%zu", host, port, i);
        x->owner = s;
        x->at_end = count_over;
        exchange_start(x);
    }
}

static bool all_over(void *arg) {
    struct stage *s = arg;
    return s->over == s->n;
}

static void assert_all_fine(struct stage *s) {
    for (size_t i = 0; i < s->n; i++) {
        if (s->many[i].why != FAILURE_NONE)
            fail_msg("%zu: %s", i, s->many[i].text);
        assert_int_equal(s->many[i].status, 200);
        assert_int_equal(s->many[i].body.len, 4);
    }
}

static void assert_short_turns(struct stage *s) {
    print_message("longest turn: %llu us of %llu turns\n",
                  (unsigned long long)s->bed.turns.worst_us,
                  (unsigned long long)s->bed.turns.count);
    /* On a busy machine there may be no turn that was left alone; that says nothing. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(s->bed.turns.worst_us < TURN_LIMIT_US);
#else
    assert_true(s->bed.turns.worst_us < 20 * TURN_LIMIT_US);
#endif
}

/* --- many at once --- */

static void hold_answer(struct server_conn *c) {
    struct stage *s = c->server->owner;
    /* Nobody is answered before all have asked, so that all are in flight together. */
    if (s->server.requests < s->n)
        return;
    for (struct server_conn *each = s->server.conns; each; each = each->next)
        server_reply(each, "fine");
}

static void carries_a_thousand_at_once(void **state) {
    struct stage *s = *state;
    s->server.answer = hold_answer;
    start_many(s, 1000, "127.0.0.1", s->server.port);
    struct pump_figures f = pump_figures(s->bed.pump);
    assert_int_equal(f.active, 1000);
    assert_int_equal(s->over, 0);
    bed_until(&s->bed, all_over, s);
    assert_all_fine(s);
    f = pump_figures(s->bed.pump);
    assert_int_equal(f.active, 0);
    assert_int_equal(f.multis, 10);
    assert_int_equal(f.connections, 1000);
    assert_int_equal(s->server.accepted, 1000);

    /* Their connections are kept, and used from the first on. */
    s->server.requests = 0;
    start_many(s, 1000, "127.0.0.1", s->server.port);
    bed_until(&s->bed, all_over, s);
    assert_all_fine(s);
    assert_int_equal(s->server.accepted, 1000);
    for (size_t i = 0; i < s->n; i++)
        assert_true(s->many[i].times.reused);
}

static void fills_the_first_handle_first(void **state) {
    struct stage *s = *state;
    for (int round = 0; round < 20; round++) {
        start_many(s, 100, "127.0.0.1", s->server.port);
        bed_until(&s->bed, all_over, s);
        assert_all_fine(s);
    }
    assert_int_equal(pump_figures(s->bed.pump).multis, 1);
    assert_true(s->server.accepted <= 100);
}

static void starts_in_turns_that_stay_short(void **state) {
    struct stage *s = *state;
    start_many(s, 300, "127.0.0.1", s->server.port);
    bed_until(&s->bed, all_over, s); /* memory and pages are there from here on */
    assert_all_fine(s);
    for (int i = 0; i < 20; i++) {
        turns_reset(&s->bed.turns);
        start_many(s, 300, "127.0.0.1", s->server.port);
        bed_until(&s->bed, all_over, s);
        assert_all_fine(s);
        if (s->bed.turns.count > 0 && s->bed.turns.worst_us < TURN_LIMIT_US)
            break;
    }
    assert_short_turns(s);
}

static bool one_handle(void *arg) {
    struct stage *s = arg;
    struct pump_figures f = pump_figures(s->bed.pump);
    return f.multis == 1 && f.connections == 100;
}

static void gives_spare_connections_back_after_a_peak(void **state) {
    struct stage *s = *state;
    pump_close(s->bed.pump, NULL, NULL);
    s->bed.pump =
        pump_new(&s->bed.loop,
                 &(struct pump_options){ .ca = s->bed.ca, .user_agent = "spec", .idle_ms = 50 });
    s->server.answer = hold_answer;
    for (int i = 0; i < 2; i++) {
        s->server.requests = 0;
        start_many(s, 350, "127.0.0.1", s->server.port);
        bed_until(&s->bed, all_over, s);
        assert_all_fine(s);
        assert_int_equal(s->multis, 4);
        bed_until(&s->bed, one_handle, s);
    }
}

/* --- sockets --- */

static bool none_open(void *arg) {
    struct stage *s = arg;
    return server_count(&s->server) == 0;
}

static void end_all(struct stage *s) {
    for (struct server_conn *c = s->server.conns, *next; c; c = next) {
        next = c->next;
        server_end(c);
    }
}

static void reset_all(struct stage *s) {
    while (s->server.conns)
        server_reset(s->server.conns);
}

static void sleeps_while_idle_connections_close(void **state) {
    struct stage *s = *state;
    for (int round = 0; round < 2; round++) {
        s->server.answer = hold_answer;
        s->server.requests = s->server.accepted = 0;
        start_many(s, 100, "127.0.0.1", s->server.port);
        bed_until(&s->bed, all_over, s);
        assert_all_fine(s);
        uint64_t polls = pump_figures(s->bed.pump).polls;
        turns_reset(&s->bed.turns);
        if (round == 0)
            end_all(s);
        else
            reset_all(s);
        bed_for(&s->bed, 200);
        polls = pump_figures(s->bed.pump).polls - polls;
        assert_true(polls > 0 && polls <= 200); /* each says it once, at most twice */
        assert_short_turns(s);
        polls = pump_figures(s->bed.pump).polls;
        uint64_t turns = s->bed.turns.count;
        bed_for(&s->bed, 200);
        assert_int_equal(pump_figures(s->bed.pump).polls, polls);
        assert_true(s->bed.turns.count - turns < 20);

        /* And the next ones are served, by new connections. */
        s->server.answer = answer;
        start_many(s, 20, "127.0.0.1", s->server.port);
        bed_until(&s->bed, all_over, s);
        assert_all_fine(s);
        end_all(s);
        bed_until(&s->bed, none_open, s);
    }
}

/* Two addresses, the first of which refuses: the second socket has the first one's number. */
static void tries_the_next_address(void **state) {
    struct stage *s = *state;
    for (int i = 0; i < 5; i++) {
        start_many(s, 10, "localhost", s->server.port);
        bed_until(&s->bed, all_over, s);
        assert_all_fine(s);
        end_all(s);
        bed_until(&s->bed, none_open, s);
    }
    start_many(s, 1, "localhost", server_dead_port());
    bed_until(&s->bed, all_over, s);
    assert_int_equal(s->many[0].why, FAILURE_CONNECT);
    assert_int_equal(pump_figures(s->bed.pump).active, 0);
}

static void keeps_no_socket_of_a_failed_connection(void **state) {
    struct stage *s = *state;
    start_many(s, 50, "127.0.0.1", server_dead_port());
    bed_until(&s->bed, all_over, s);
    for (size_t i = 0; i < s->n; i++)
        assert_int_equal(s->many[i].why, FAILURE_CONNECT);
    assert_int_equal(pump_figures(s->bed.pump).connections, 0);
}

/* --- names --- */

static bool name_is_asked(void *arg) {
    return names_waiting() >= *(unsigned *)arg;
}

static void a_dead_name_server_stalls_nothing(void **state) {
    struct stage *s = *state;
    unsigned one = 1, ten = 10;
    hold_names();
    /* The first use of anything is slow. */
    start_many(s, 1, "first.dead", 80);
    bed_until(&s->bed, name_is_asked, &one);
    clear_many(s);
    turns_reset(&s->bed.turns);

    start_many(s, 10, "name.dead", 80);
    bed_until(&s->bed, name_is_asked, &ten);
    /* Others go on meanwhile. */
    exchange_post(&s->x, &s->bed, s->server.port, "{}");
    exchange_wait(&s->x);
    assert_int_equal(s->x.why, FAILURE_NONE);
    uint64_t polls = pump_figures(s->bed.pump).polls;
    bed_for(&s->bed, 50);
    assert_int_equal(pump_figures(s->bed.pump).polls, polls);

    /* Given up while it resolves: nobody waits for the thread. */
    for (size_t i = 0; i < 5; i++) {
        uint64_t start = clock_us();
        exchange_free(&s->many[i]);
        assert_true(clock_us() - start < 100000);
    }
    bed_for(&s->bed, 50);
    assert_int_equal(pump_figures(s->bed.pump).active, 5);
    assert_short_turns(s);

    /* So it is with closing. */
    pump_close(s->bed.pump, NULL, NULL);
    s->bed.pump = NULL;
    bed_for(&s->bed, 50);
    assert_short_turns(s);
    assert_true(names_waiting() >= 10);
    release_names();
}

static void gives_up_on_a_name_in_time(void **state) {
    struct stage *s = *state;
    hold_names();
    exchange_init(&s->x, &s->bed, 80, "{}");
    snprintf(s->x.url, sizeof s->x.url, "http://slow.dead/");
    s->x.message.connect_ms = 100;
    exchange_start(&s->x);
    exchange_wait(&s->x);
    assert_int_equal(s->x.why, FAILURE_CONNECT);
    assert_false(s->x.times.accepted);
    assert_in_range(s->x.times.done, 100000, 2000000);
    release_names();
}

static void reports_a_name_nobody_knows(void **state) {
    struct stage *s = *state;
    release_names();
    exchange_init(&s->x, &s->bed, 80, "{}");
    snprintf(s->x.url, sizeof s->x.url, "http://unknown.dead/");
    exchange_start(&s->x);
    exchange_wait(&s->x);
    assert_int_equal(s->x.why, FAILURE_CONNECT);
    assert_string_equal(s->x.text, "the upstream's name could not be resolved");
}

/* --- closing --- */

static void never(struct exchange *x) {
    fail_msg("an event after the pump was closed");
}

static bool half_asked(void *arg) {
    struct stage *s = arg;
    return s->server.requests >= 50;
}

static void silence(struct stage *s) {
    for (size_t i = 0; i < s->n; i++)
        if (!s->many[i].over)
            s->many[i].at_head = s->many[i].at_body = s->many[i].at_end = never;
}

static void closes_with_transfers_at_every_stage(void **state) {
    struct stage *s = *state;
    s->server.answer = NULL;
    start_many(s, 100, "127.0.0.1", s->server.port);
    for (size_t i = 0; i < 50; i++)
        s->many[i].room = 0;
    bed_until(&s->bed, half_asked, s);
    unsigned n = 0;
    for (struct server_conn *c = s->server.conns; c && n < 25; c = c->next, n++)
        server_reply(c, "fine");
    bed_for(&s->bed, 20);
    exchange_post(&s->x, &s->bed, s->server.port, "{}"); /* not even begun */
    s->x.at_head = s->x.at_end = never;
    silence(s);
    pump_close(s->bed.pump, NULL, NULL);
    s->bed.pump = NULL;
    for (size_t i = 0; i < s->n; i += 2)
        exchange_free(&s->many[i]);
    transfer_resume(s->x.transfer);
    bed_until(&s->bed, none_open, s);
    transfer_resume(s->x.transfer); /* the others are freed long after */
}

static void close_pump(struct exchange *x) {
    struct stage *s = x->owner;
    if (s->bed.pump) {
        pump_close(s->bed.pump, NULL, NULL);
        s->bed.pump = NULL;
        x->over = true;
        silence(s);
    }
}

static bool no_pump(void *arg) {
    struct stage *s = arg;
    return !s->bed.pump;
}

static void closes_inside(void **state, int where) {
    struct stage *s = *state;
    start_many(s, 50, "127.0.0.1", s->server.port);
    for (size_t i = 0; i < s->n; i++) {
        struct exchange *x = &s->many[i];
        *(where == 0 ? &x->at_head : where == 1 ? &x->at_body : &x->at_end) = close_pump;
    }
    bed_until(&s->bed, no_pump, s);
    bed_until(&s->bed, none_open, s);
}

static void closes_inside_on_head(void **state) {
    closes_inside(state, 0);
}

static void closes_inside_on_body(void **state) {
    closes_inside(state, 1);
}

static void closes_inside_the_end(void **state) {
    closes_inside(state, 2);
}

static void closes_unused(void **state) {
    (void)state;
}

/* --- proxies --- */

static void uses_the_environments_proxy_but_not_for_loopback(void **state) {
    struct stage *s = calloc(1, sizeof *s);
    *state = s;
    setenv("http_proxy", "http://127.0.0.1:9",
           1); /* the port comes below; loopback never gets here */
    struct server server;
    uv_loop_t *loop = &s->bed.loop;
    bed_open(&s->bed, NULL);
    server_open(&s->server, loop, answer, s);
    server_open(&server, loop, answer, s);
    char proxy[64];
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", server.port);
    setenv("http_proxy", proxy, 1);
    setenv("no_proxy", "direct.invalid", 1);
    pump_close(s->bed.pump, NULL, NULL);
    s->bed.pump =
        pump_new(loop, &(struct pump_options){ .ca = s->bed.ca, .user_agent = "perilune/spec" });

    exchange_init(&s->x, &s->bed, s->server.port, "{}");
    snprintf(s->x.url, sizeof s->x.url, "http://far.invalid/v1/x");
    exchange_start(&s->x);
    exchange_wait(&s->x);
    assert_int_equal(s->x.why, FAILURE_NONE);
    assert_memory_equal(s->request.at, "POST http://far.invalid/v1/x HTTP/1.1\r\n", 39);
    assert_int_equal(server.requests, 1);
    exchange_clear(&s->x);

    static const char *const loopback[] = { "127.0.0.1", "localhost", "127.9.9.9" };
    for (size_t i = 0; i < 3; i++) {
        exchange_init(&s->x, &s->bed, 0, "{}");
        snprintf(s->x.url, sizeof s->x.url, "http://%s:%d/v1/x", loopback[i],
                 i == 2 ? server_dead_port() : s->server.port);
        exchange_start(&s->x);
        exchange_wait(&s->x);
        assert_int_equal(s->x.why, i == 2 ? FAILURE_CONNECT : FAILURE_NONE);
        assert_int_equal(server.requests, 1);
        exchange_clear(&s->x);
    }
    unsetenv("http_proxy");
    unsetenv("no_proxy");
    memset(&s->x, 0, sizeof s->x);
    server_close(&server);
    server_close(&s->server);
    bed_close(&s->bed);
    buf_deinit(&s->request);
    free(s);
}

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, open_stage, close_stage)

/* Both ends of a thousand connections are here, and systems allow 1,024 descriptors unless asked. */
static void raise_descriptors(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(void) {
    raise_descriptors();
    const struct CMUnitTest tests[] = {
        ON_STAGE(closes_unused),
        ON_STAGE(carries_a_thousand_at_once),
        ON_STAGE(fills_the_first_handle_first),
        ON_STAGE(starts_in_turns_that_stay_short),
        ON_STAGE(gives_spare_connections_back_after_a_peak),
        ON_STAGE(sleeps_while_idle_connections_close),
        ON_STAGE(tries_the_next_address),
        ON_STAGE(keeps_no_socket_of_a_failed_connection),
        ON_STAGE(a_dead_name_server_stalls_nothing),
        ON_STAGE(gives_up_on_a_name_in_time),
        ON_STAGE(reports_a_name_nobody_knows),
        ON_STAGE(closes_with_transfers_at_every_stage),
        ON_STAGE(closes_inside_on_head),
        ON_STAGE(closes_inside_on_body),
        ON_STAGE(closes_inside_the_end),
        cmocka_unit_test(uses_the_environments_proxy_but_not_for_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
