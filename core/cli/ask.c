#include "cli/ask.h"

#include "cli/cli.h"
#include "cli/state.h"
#include "net/listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is put may be tested and tried before it is live. */
enum { PATIENCE_S = 30, PATIENCE_OF_PUT_S = 400 };

static int dial(struct span address, const char *method) {
    struct sockaddr_storage to;
    bool loopback;
    struct timeval patience = { .tv_sec =
                                    strcmp(method, "PUT") == 0 ? PATIENCE_OF_PUT_S : PATIENCE_S };
    if (!listener_parse(address, &to, &loopback)) {
        errno = EINVAL;
        return -1;
    }
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    socklen_t len =
        to.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (connect(fd, (struct sockaddr *)&to, len) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static bool send_all(int fd, struct span bytes) {
    while (bytes.len) {
        ssize_t n = send(fd, bytes.at, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes = span_sub(bytes, (size_t)n, bytes.len);
    }
    return true;
}

static bool receive_all(int fd, struct buf *out) {
    for (;;) {
        ssize_t n = recv(fd, buf_reserve(out, 16384), 16384, 0);
        if (n <= 0)
            return n == 0;
        out->len += (size_t)n;
    }
}

/* "HTTP/1.1 200 OK": 200. 0 for anything else. */
static int read_status(struct span answer) {
    uint64_t status;
    if (!span_starts(answer, SPAN("HTTP/1.1 ")) || !span_uint(span_sub(answer, 9, 3), &status))
        return 0;
    return (int)status;
}

static int exchange(int fd, const char *method, const char *path, struct span address,
                    struct span token, struct span json, struct buf *body) {
    struct buf request = { 0 }, answer = { 0 };
    int status = 0;
    buf_printf(&request,
               "%s %s HTTP/1.1\r\nhost: %.*s\r\nauthorization: Bearer %.*s\r\n"
               "content-type: application/json\r\ncontent-length: %zu\r\n"
               "connection: close\r\n\r\n",
               method, path, SPAN_ARGS(address), SPAN_ARGS(token), json.len);
    buf_add(&request, json);
    if (send_all(fd, buf_span(&request)) && receive_all(fd, &answer))
        status = read_status(buf_span(&answer));
    const char *end = status ? memmem(answer.at, answer.len, "\r\n\r\n", 4) : NULL;
    if (end)
        buf_append(body, end + 4, answer.len - (size_t)(end + 4 - answer.at));
    buf_deinit(&request);
    buf_deinit(&answer);
    return end ? status : 0;
}

/* What `run` was told, where it is known here, too. */
static const char *set_token(void) {
    const char *set = getenv("PERILUNE_ADMIN_TOKEN");
    return set && *set ? set : NULL;
}

static bool read_token(const struct config *config, struct buf *token) {
    if (!set_token())
        return state_read(config, "admin.token", token);
    buf_add(token, span_of(set_token()));
    return true;
}

static void complain_token(const struct config *config, struct span address, int status) {
    fprintf(stderr, "perilune: who listens on %.*s refuses the token in ", SPAN_ARGS(address));
    if (status == 403)
        fprintf(stderr, "PERILUNE_ADMIN_TOKEN: it is a viewer's, and this wants the admin's\n");
    else if (set_token())
        fprintf(stderr, "PERILUNE_ADMIN_TOKEN: it may run with another one\n");
    else
        fprintf(stderr,
                "%.*s/admin.token: it may run with another state folder, or with "
                "PERILUNE_ADMIN_TOKEN\n",
                SPAN_ARGS(config->data_dir));
}

int ask(const struct config *config, const char *method, const char *path, struct buf *body) {
    return ask_with(config, method, path, SPAN_NONE, body);
}

bool ask_known(const struct config *config) {
    struct buf address = { 0 };
    bool known = state_read(config, "admin.address", &address);
    buf_deinit(&address);
    return known;
}

int ask_with(const struct config *config, const char *method, const char *path, struct span json,
             struct buf *body) {
    struct buf address = { 0 }, token = { 0 };
    int status = 0;
    if (!state_read(config, "admin.address", &address) || !read_token(config, &token)) {
        fprintf(stderr, "perilune: nothing has run with the state folder %.*s\n",
                SPAN_ARGS(config->data_dir));
    } else {
        int fd = dial(buf_span(&address), method);
        if (fd >= 0) {
            status = exchange(fd, method, path, buf_span(&address), buf_span(&token), json, body);
            close(fd);
        }
        if (status == 401 || status == 403)
            complain_token(config, buf_span(&address), status);
        else if (!status)
            fprintf(stderr, "perilune: no answer from %.*s: is it running?\n",
                    SPAN_ARGS(buf_span(&address)));
    }
    buf_deinit(&address);
    buf_deinit(&token);
    return status == 401 || status == 403 ? 0 : status;
}

static void print_span(struct json_value finding, const char *name, const char *before,
                       const char *after) {
    struct span text = json_text(json_get(finding, name));
    if (!text.len)
        return;
    printf("%s", before);
    cli_print(stdout, text);
    printf("%s", after);
}

void ask_print_findings(struct json_value findings) {
    for (struct json_iter it = json_iter(findings); json_next(&it);) {
        int64_t line = 0;
        print_span(it.value, "path", "", ":");
        if (json_int(json_get(it.value, "line"), &line) && line)
            printf("%lld:", (long long)line);
        print_span(it.value, "setting", " ", ":");
        print_span(it.value, "message", " ", "\n");
        print_span(it.value, "excerpt", "", "\n");
        print_span(it.value, "hint", "  hint: ", "\n");
    }
}
