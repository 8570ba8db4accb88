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

/* One call. */
struct question {
    const char *method, *path;
    struct span json;
    struct buf *body;
    ask_on_bytes on_bytes; /* NULL: the body is wanted whole */
    void *owner;
};

/* 0: for ever. */
static time_t patience_of(const struct question *q) {
    return q->on_bytes ? 0 : strcmp(q->method, "PUT") == 0 ? PATIENCE_OF_PUT_S : PATIENCE_S;
}

static int dial(struct span address, const struct question *q) {
    struct sockaddr_storage to;
    bool loopback;
    struct timeval patience = { .tv_sec = patience_of(q) };
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

/* "HTTP/1.1 200 OK": 200. 0 for anything else. */
static int read_status(struct span answer) {
    uint64_t status;
    if (!span_starts(answer, SPAN("HTTP/1.1 ")) || !span_uint(span_sub(answer, 9, 3), &status))
        return 0;
    return (int)status;
}

/* Some bytes of the answer more, behind what is in `out`. False at its end, or when it breaks off.
 */
static bool receive(int fd, struct buf *out, bool *broken) {
    ssize_t n = recv(fd, buf_reserve(out, 16384), 16384, 0);
    *broken = n < 0;
    out->len += n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* Status line and headers, up to the blank line; what came behind it stays in `answer`. 0 when they
 * do not come whole. */
static int receive_head(int fd, struct buf *answer) {
    const char *end = NULL;
    bool broken;
    while (!end && receive(fd, answer, &broken))
        end = memmem(answer->at, answer->len, "\r\n\r\n", 4);
    int status = end ? read_status(buf_span(answer)) : 0;
    if (end)
        buf_consume(answer, (size_t)(end + 4 - answer->at));
    return status;
}

/* Hands the bytes on as they come, until it ends or nobody wants more. */
static void pass_on(int fd, const struct question *q, struct buf *answer) {
    bool broken, more = q->on_bytes(q->owner, SPAN(""));
    while (more && (answer->len || receive(fd, answer, &broken))) {
        more = q->on_bytes(q->owner, buf_span(answer));
        buf_clear(answer);
    }
}

/* HTTP/1.0 where bytes are handed on: then they come without chunks between them. */
static int exchange(int fd, const struct question *q, struct span address, struct span token) {
    struct buf request = { 0 }, answer = { 0 };
    bool broken = false;
    buf_printf(&request,
               "%s %s HTTP/1.%c\r\nhost: %.*s\r\nauthorization: Bearer %.*s\r\n"
               "content-type: application/json\r\ncontent-length: %zu\r\n"
               "connection: close\r\n\r\n",
               q->method, q->path, q->on_bytes ? '0' : '1', SPAN_ARGS(address), SPAN_ARGS(token),
               q->json.len);
    buf_add(&request, q->json);
    int status = send_all(fd, buf_span(&request)) ? receive_head(fd, &answer) : 0;
    if (status == 200 && q->on_bytes)
        pass_on(fd, q, &answer);
    else if (status) {
        while (receive(fd, &answer, &broken)) {
        }
        buf_add(q->body, buf_span(&answer));
    }
    buf_deinit(&request);
    buf_deinit(&answer);
    return broken ? 0 : status;
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
                "%.*s/admin.token: it may run with another state folder (-c FILE names its "
                "configuration), or with PERILUNE_ADMIN_TOKEN\n",
                SPAN_ARGS(config->data_dir));
}

bool ask_known(const struct config *config) {
    struct buf address = { 0 };
    bool known = state_read(config, "admin.address", &address);
    buf_deinit(&address);
    return known;
}

static int put(const struct config *config, const struct question *q) {
    struct buf address = { 0 }, token = { 0 };
    int status = 0;
    if (!state_read(config, "admin.address", &address) || !read_token(config, &token)) {
        fprintf(stderr, "perilune: nothing has run with the state folder %.*s\n",
                SPAN_ARGS(config->data_dir));
    } else {
        int fd = dial(buf_span(&address), q);
        if (fd >= 0) {
            status = exchange(fd, q, buf_span(&address), buf_span(&token));
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

int ask(const struct config *config, const char *method, const char *path, struct buf *body) {
    return ask_with(config, method, path, SPAN_NONE, body);
}

int ask_with(const struct config *config, const char *method, const char *path, struct span json,
             struct buf *body) {
    struct question q = { .method = method, .path = path, .json = json, .body = body };
    return put(config, &q);
}

int ask_follow(const struct config *config, const char *path, ask_on_bytes on_bytes, void *owner,
               struct buf *body) {
    struct question q = {
        .method = "GET", .path = path, .body = body, .on_bytes = on_bytes, .owner = owner
    };
    return put(config, &q);
}

void ask_escape(struct buf *path, const char *text) {
    for (const char *c = text; *c; c++)
        if ((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || strchr("_-", *c))
            buf_add_char(path, *c);
        else
            buf_printf(path, "%%%02X", (unsigned char)*c);
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
