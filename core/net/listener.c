#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,
    ACCEPT_BATCH = 32 /* connections taken in one turn of the loop */
};

struct listener {
    uv_poll_t poll;
    int fd;
    int spare; /* given up to accept and refuse when there are no descriptors left; -1: none */
    unsigned max;
    bool paused, closing;
    uint64_t refused;
    struct conn_server *server;
};

/* ---- addresses ---- */

static bool set_v4(struct sockaddr_storage *out, const char *host, uint16_t port) {
    struct sockaddr_in *a = (struct sockaddr_in *)out;
    a->sin_family = AF_INET;
    a->sin_port = htons(port);
    return inet_pton(AF_INET, host, &a->sin_addr) == 1;
}

static bool set_v6(struct sockaddr_storage *out, const char *host, uint16_t port) {
    struct sockaddr_in6 *a = (struct sockaddr_in6 *)out;
    a->sin6_family = AF_INET6;
    a->sin6_port = htons(port);
    return inet_pton(AF_INET6, host, &a->sin6_addr) == 1;
}

static bool is_loopback(const struct sockaddr_storage *address) {
    if (address->ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
    return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
}

bool listener_parse(struct span address, struct sockaddr_storage *out, bool *loopback) {
    char host[64];
    uint64_t port;
    size_t colon = address.len;
    while (colon > 0 && address.at[colon - 1] != ':')
        colon--;
    if (colon == 0 || !span_uint(span_sub(address, colon, SIZE_MAX), &port) || port > UINT16_MAX)
        return false;
    struct span name = span_sub(address, 0, colon - 1);
    bool six = name.len > 2 && name.at[0] == '[' && name.at[name.len - 1] == ']';
    if (six)
        name = span_sub(name, 1, name.len - 2);
    else if (name.len == 0)
        name = SPAN("0.0.0.0");
    else if (span_eq_nocase(name, SPAN("localhost")))
        name = SPAN("127.0.0.1");
    if (name.len >= sizeof host || memchr(name.at, '\0', name.len))
        return false;
    memcpy(host, name.at, name.len);
    host[name.len] = '\0';
    memset(out, 0, sizeof *out);
    if (!(six ? set_v6 : set_v4)(out, host, (uint16_t)port))
        return false;
    *loopback = is_loopback(out);
    return true;
}

void listener_name(const struct sockaddr_storage *address, char out[LISTENER_NAME_MAX]) {
    char host[INET6_ADDRSTRLEN] = "?";
    uv_ip_name((const struct sockaddr *)address, host, sizeof host);
    if (address->ss_family == AF_INET6)
        snprintf(out, LISTENER_NAME_MAX, "[%s]:%d", host,
                 ntohs(((const struct sockaddr_in6 *)address)->sin6_port));
    else
        snprintf(out, LISTENER_NAME_MAX, "%s:%d", host,
                 ntohs(((const struct sockaddr_in *)address)->sin_port));
}

static socklen_t address_size(const struct sockaddr_storage *address) {
    return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(struct sockaddr_in);
}

/* ---- sockets ---- */

static int set_option(int fd, int option) {
    int on = 1;
    return setsockopt(fd, SOL_SOCKET, option, &on, sizeof on);
}

/* A bound descriptor or a negative UV_E number. */
static int bind_socket(const struct sockaddr_storage *address, bool shared) {
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return uv_translate_sys_error(errno);
    bool fine = set_option(fd, SO_REUSEADDR) == 0 &&
                (!shared || set_option(fd, SO_REUSEPORT) == 0) &&
                bind(fd, (const struct sockaddr *)address, address_size(address)) == 0;
    if (fine)
        return fd;
    int err = uv_translate_sys_error(errno);
    close(fd);
    return err;
}

int listener_probe(struct sockaddr_storage *address) {
    int fd = bind_socket(address, false);
    socklen_t len = sizeof *address;
    if (fd < 0)
        return fd;
    /* Sharing is allowed from here on: the kernel looks at the sockets, not at how they were bound.
     */
    if (set_option(fd, SO_REUSEPORT) == 0 && getsockname(fd, (struct sockaddr *)address, &len) == 0)
        return fd;
    int err = uv_translate_sys_error(errno);
    close(fd);
    return err;
}

static int open_spare(void) {
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* ---- accepting ---- */

static void on_handle_closed(uv_handle_t *handle) {
    free(handle);
}

static void take(struct listener *l, int fd) {
    uv_tcp_t *handle = malloc(sizeof *handle);
    if (!handle)
        abort();
    uv_tcp_init(l->server->loop, handle);
    if (uv_tcp_open(handle, fd) == 0) {
        conn_open(l->server, handle);
        return;
    }
    close(fd);
    uv_close((uv_handle_t *)handle, on_handle_closed);
}

/* No descriptor is left: the waiting client is told so on the spare one, instead of spinning on it.
 */
static bool refuse(struct listener *l) {
    static const char reply[] = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n"
                                "content-length: 0\r\nconnection: close\r\n\r\n";
    if (l->spare < 0)
        return false;
    close(l->spare);
    int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        char unread[4096];
        l->refused++;
        /* What it sent is taken out first: closing on unread bytes would be a reset. */
        ssize_t ignored = recv(fd, unread, sizeof unread, MSG_DONTWAIT);
        ignored = send(fd, reply, sizeof reply - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)ignored;
        shutdown(fd, SHUT_WR);
        close(fd);
    }
    l->spare = open_spare();
    return l->spare >= 0;
}

static bool is_full(const struct listener *l) {
    return l->max && l->server->n_conns >= l->max;
}

/* Until listener_resume(). */
static void stop_accepting(struct listener *l) {
    if (l->paused)
        return;
    l->paused = true;
    uv_poll_stop(&l->poll);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    struct listener *l = poll->data;
    (void)status; /* accept4() tells as well */
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH && !is_full(l); i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            take(l, fd);
        else if (errno == EMFILE || errno == ENFILE) {
            if (!refuse(l)) {
                /* Somebody else took the spare one: the next connection that ends brings it
                 * back. */
                if (l->server->n_conns)
                    stop_accepting(l);
                break;
            }
        } else if (errno != EINTR && errno != ECONNABORTED) {
            break;
        }
    }
    if (is_full(l))
        stop_accepting(l);
}

void listener_resume(struct listener *l) {
    if (!l->paused || l->closing || is_full(l))
        return;
    l->paused = false;
    if (l->spare < 0)
        l->spare = open_spare();
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

int listener_open(struct listener **out, const struct sockaddr_storage *address, unsigned max,
                  struct conn_server *server) {
    *out = NULL;
    int fd = bind_socket(address, true);
    if (fd < 0)
        return fd;
    if (listen(fd, BACKLOG) < 0) {
        int err = uv_translate_sys_error(errno);
        close(fd);
        return err;
    }
    struct listener *l = calloc(1, sizeof *l);
    if (!l)
        abort();
    *l = (struct listener){ .fd = fd, .spare = open_spare(), .max = max, .server = server };
    int err = uv_poll_init(server->loop, &l->poll, fd);
    if (err) {
        close(fd);
        close(l->spare);
        free(l);
        return err;
    }
    l->poll.data = l;
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
    *out = l;
    return 0;
}

static void on_closed(uv_handle_t *handle) {
    struct listener *l = handle->data;
    close(l->fd);
    if (l->spare >= 0)
        close(l->spare);
    free(l);
}

void listener_close(struct listener *l) {
    if (l->closing)
        return;
    l->closing = true;
    uv_close((uv_handle_t *)&l->poll, on_closed);
}

uint64_t listener_refused(const struct listener *l) {
    return l->refused;
}
