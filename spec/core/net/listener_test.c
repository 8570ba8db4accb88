/* Addresses, sharing them, and what happens when there is no room. */
#include "core/net/bench.h"

static void test_addresses(void **state) {
    static const struct {
        const char *text, *name;
        bool loopback;
    } good[] = {
        { "127.0.0.1:4100", "127.0.0.1:4100", true }, { "localhost:1", "127.0.0.1:1", true },
        { "0.0.0.0:80", "0.0.0.0:80", false },        { ":80", "0.0.0.0:80", false },
        { "[::1]:4100", "[::1]:4100", true },         { "[::]:4100", "[::]:4100", false },
        { "127.1.2.3:0", "127.1.2.3:0", true },       { "10.0.0.1:65535", "10.0.0.1:65535", false },
    };
    static const char *const bad[] = { "",
                                       "4100",
                                       "127.0.0.1",
                                       "127.0.0.1:",
                                       "127.0.0.1:65536",
                                       "127.0.0.1:-1",
                                       "127.0.0.1:1x",
                                       "example.com:80",
                                       "::1:80",
                                       "[::1",
                                       "[]:80",
                                       "256.0.0.1:80",
                                       "[127.0.0.1]:80" };
    struct sockaddr_storage address;
    bool loopback;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char name[LISTENER_NAME_MAX];
        assert_true(listener_parse(span_of(good[i].text), &address, &loopback));
        assert_int_equal(loopback, good[i].loopback);
        listener_name(&address, name);
        assert_string_equal(name, good[i].name);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (listener_parse(span_of(bad[i]), &address, &loopback))
            fail_msg("taken: %s", bad[i]);
}

static void test_a_second_instance_is_refused(void **state) {
    struct bench *b = start(0);
    struct sockaddr_storage address = b->address;
    assert_int_equal(listener_probe(&address), UV_EADDRINUSE);
    stop(b);
}

static void test_workers_share_an_address(void **state) {
    struct bench *b = start(0);
    struct conn_server other = b->server;
    struct listener *second;
    assert_int_equal(listener_open(&second, &b->address, 0, &other), 0);
    listener_close(second);
    stop(b);
}

static void test_at_most_so_many_connections(void **state) {
    struct bench *b = start(2);
    int fds[3] = { dial(b), dial(b), dial(b) };
    UNTIL(b, -1, b->server.n_conns == 2);
    for (int i = 0; i < 20; i++)
        turn(b, -1);
    assert_int_equal(b->server.n_conns, 2);
    SAY(b, fds[2], GET("/"));
    close(fds[0]);
    free(hear(b, fds[2], "hello", 1));
    assert_int_equal(b->closed, 1);
    close(fds[1]);
    close(fds[2]);
    stop(b);
}

static void test_without_descriptors(void **state) {
    struct bench *b = start(0);
    int how, taken[64], n = 0;
    int fd = dial(b), open_fd = dial(b);
    struct rlimit before, low;
    SAY(b, open_fd, GET("/"));
    free(hear(b, open_fd, "hello", 1));
    UNTIL(b, -1, b->server.n_conns == 2);
    int late = socket(AF_INET, SOCK_STREAM, 0);
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    low.rlim_cur = (rlim_t)late + 3;
    setrlimit(RLIMIT_NOFILE, &low);
    while (n < 64 && (taken[n] = dup(late)) >= 0)
        n++;
    assert_true(n < 64);
    assert_int_equal(connect(late, (struct sockaddr *)&b->address, sizeof(struct sockaddr_in)), 0);
    fcntl(late, F_SETFL, O_NONBLOCK);
    char *text = hear_all(b, late, &how);
    expect_in(text, "HTTP/1.1 503 ");
    assert_int_equal(listener_refused(b->listener), 1);
    free(text);
    /* Who is in is served as before. */
    SAY(b, open_fd, GET("/"));
    free(hear(b, open_fd, "hello", 1));
    while (n)
        close(taken[--n]);
    setrlimit(RLIMIT_NOFILE, &before);
    close(late);
    late = dial(b);
    SAY(b, late, GET("/"));
    free(hear(b, late, "hello", 1));
    close(late);
    close(fd);
    close(open_fd);
    stop(b);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN); /* as main() does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_a_second_instance_is_refused),
        cmocka_unit_test(test_workers_share_an_address),
        cmocka_unit_test(test_at_most_so_many_connections),
        cmocka_unit_test(test_without_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
