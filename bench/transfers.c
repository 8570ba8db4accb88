/* transfers.c - how many upstream exchanges a second one core carries through pump and transfer
 * alone.
 *
 * A trivial keep-alive server runs in a child on the other core and answers every request of a
 * fixed length with the same bytes; this process keeps so many transfers in flight and starts the
 * next as one ends. The figure is the client's leg: what the gateway adds to it comes on top. Needs
 * two cores; figures mean something only on a quiet machine.
 *
 *   ninja bench_transfers && ./bench_transfers [in flight: 32] [seconds: 3] [body bytes: 400]
 * [total_ms: 60000]
 */
#include "base/clock.h"
#include "base/log.h"
#include "upstream/transfer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void pin(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

/* --- the server: one answer for each blank line and body that came; enough for requests of one
 * known length --- */

static const char ANSWER[] = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                             "x-request-id: 0123456789abcdef\r\ncontent-length: 300\r\n\r\n";

struct peer {
    size_t pending; /* bytes since the last answer */
    size_t length;  /* of one request, once known */
};

static void serve_one(int fd, struct peer *peer, const char *answer, size_t answer_len) {
    static char bytes[1 << 18];
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            close(fd);
        return;
    }
    if (!peer->length) {
        const char *end = memmem(bytes, (size_t)n, "\r\n\r\n", 4);
        const char *field = memmem(bytes, (size_t)n, "Content-Length: ", 16);
        peer->length = (size_t)(end + 4 - bytes) + strtoul(field + 16, NULL, 10);
    }
    for (peer->pending += (size_t)n; peer->pending >= peer->length; peer->pending -= peer->length)
        if (send(fd, answer, answer_len, MSG_NOSIGNAL) < 0)
            close(fd);
}

static void serve(int listener) {
    static struct peer peers[65536];
    static char answer[sizeof ANSWER + 300];
    size_t answer_len = sizeof ANSWER - 1 + 300;
    memcpy(answer, ANSWER, sizeof ANSWER - 1);
    memset(answer + sizeof ANSWER - 1, 'x', 300);
    int epoll = epoll_create1(0);
    struct epoll_event e = { .events = EPOLLIN, .data.fd = listener }, ready[256];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int n = epoll_wait(epoll, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd != listener) {
                serve_one(fd, &peers[fd], answer, answer_len);
                continue;
            }
            fd = accept(listener, NULL, NULL);
            if (fd < 0)
                continue;
            int on = 1;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            peers[fd] = (struct peer){ 0 };
            e = (struct epoll_event){ .events = EPOLLIN, .data.fd = fd };
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
        }
    }
}

static int listen_somewhere(unsigned *port) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 4096) < 0)
        exit(1);
    getsockname(fd, (struct sockaddr *)&a, &len);
    *port = ntohs(a.sin_port);
    return fd;
}

/* --- the client --- */

struct bench {
    struct pump *pump;
    struct transfer_message message;
    uint64_t done, failed, stop_us;
    size_t running;
};

struct exchange {
    struct bench *bench;
    struct transfer *transfer;
};

static void next(struct exchange *x);

static void on_head(void *owner, const struct transfer_head *head) {
    struct exchange *x = owner;
    if (head->status != 200)
        x->bench->failed++;
}

static bool on_body(void *owner, const char *bytes, size_t len) {
    return true;
}

static void over(struct exchange *x) {
    transfer_free(x->transfer);
    x->transfer = NULL;
    if (clock_us() < x->bench->stop_us)
        next(x);
    else if (--x->bench->running == 0)
        pump_close(x->bench->pump, NULL, NULL);
}

static void on_done(void *owner, const struct transfer_times *times) {
    struct exchange *x = owner;
    x->bench->done++;
    over(x);
}

static void on_fail(void *owner, enum failure why, const char *text,
                    const struct transfer_times *times) {
    struct exchange *x = owner;
    if (!x->bench->failed++)
        fprintf(stderr, "failed: %s\n", text);
    over(x);
}

static const struct transfer_events EVENTS = { on_head, on_body, on_done, on_fail };

static void next(struct exchange *x) {
    x->transfer = transfer_start(x->bench->pump, &x->bench->message, &EVENTS, x);
}

static double cpu_seconds(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static size_t number(int argc, char **argv, int i, size_t otherwise) {
    return argc > i ? strtoul(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv) {
    size_t in_flight = number(argc, argv, 1, 32), seconds = number(argc, argv, 2, 3);
    size_t body = number(argc, argv, 3, 400), total_ms = number(argc, argv, 4, 60000);
    signal(SIGPIPE, SIG_IGN);
    log_init(LOG_WARN);
    unsigned port;
    int listener = listen_somewhere(&port);
    pid_t server = fork();
    if (server == 0) {
        pin(1);
        serve(listener);
    }
    close(listener);
    pin(0);

    uv_loop_t loop;
    uv_loop_init(&loop);
    struct ca *ca = ca_load(NULL);
    if (!ca || pump_global_init() != 0)
        return 1;
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/v1/chat/completions", port);
    const struct span headers[] = { SPAN("Content-Type: application/json"),
                                    SPAN("Authorization: Bearer bench") };
    char *bytes = malloc(body + 1);
    memset(bytes, 'b', body);
    struct bench bench = {
        .pump = pump_new(&loop, &(struct pump_options){ .ca = ca, .user_agent = "bench" }),
        .message = { "POST", url, headers, 2, { bytes, body }, 0, (uint32_t)total_ms, 0 },
        .running = in_flight,
    };
    struct exchange *exchanges = calloc(in_flight, sizeof *exchanges);
    uint64_t start_us = clock_us();
    double cpu = cpu_seconds();
    bench.stop_us = start_us + seconds * 1000000;
    for (size_t i = 0; i < in_flight; i++) {
        exchanges[i].bench = &bench;
        next(&exchanges[i]);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    double wall = (double)(clock_us() - start_us) / 1e6;
    cpu = cpu_seconds() - cpu;
    printf(
        "%zu in flight, %zu byte body: %.0f transfers/s, %.1f us of processor time each, %.0f%% of "
        "a core, %lu failed\n",
        in_flight, body, (double)bench.done / wall, cpu * 1e6 / (double)bench.done,
        100 * cpu / wall, (unsigned long)bench.failed);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    if (uv_loop_close(&loop) != 0)
        fprintf(stderr, "handles are left open\n");
    ca_free(ca);
    pump_global_deinit();
    free(exchanges);
    free(bytes);
    return bench.failed != 0;
}
