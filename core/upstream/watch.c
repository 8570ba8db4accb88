#include "upstream/watch.h"

#include <assert.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* What was sent and is not acknowledged for so long ends the connection: a dead peer shows no other
 * sign while we write. */
enum { USER_TIMEOUT_MS = 30000 };

struct watch {
    uv_poll_t poll;
    struct watches *set;
    void *user;
    int fd;
    int wanted;           /* UV_READABLE, UV_WRITABLE: what curl asks for */
    int armed;            /* what the kernel is asked for */
    ino_t inode;          /* of a socket from watch_open(), 0 for any other */
    bool stands;          /* ours, and its end will be announced */
    bool live;            /* `poll` is initialised */
    uint16_t spoken_port; /* what came unasked is noted under it; 0: nothing has */
};

void watch_init(struct watches *w, uv_loop_t *loop) {
    *w = (struct watches){ .loop = loop };
}

static struct watch *find(const struct watches *w, int fd) {
    return fd >= 0 && (size_t)fd < w->cap ? w->by_fd[fd] : NULL;
}

static struct watch *add(struct watches *w, int fd) {
    assert(fd >= 0 && !find(w, fd));
    if ((size_t)fd >= w->cap) {
        size_t cap = w->cap ? w->cap : 64;
        while (cap <= (size_t)fd)
            cap *= 2;
        w->by_fd = realloc(w->by_fd, cap * sizeof *w->by_fd);
        if (!w->by_fd)
            abort();
        memset(w->by_fd + w->cap, 0, (cap - w->cap) * sizeof *w->by_fd);
        w->cap = cap;
    }
    struct watch *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->set = w;
    s->fd = fd;
    return w->by_fd[fd] = s;
}

static void drain(struct watches *w) {
    free(w->by_fd);
    w->by_fd = NULL;
    w->cap = 0;
    w->drained(w->owner);
}

static void on_closed(uv_handle_t *handle) {
    struct watch *s = handle->data;
    struct watches *w = s->set;
    free(s);
    if (--w->handles == 0 && w->ending)
        drain(w);
}

/* Asked for once a silence; the port is what curl tells a transfer of its connection. The event alone
 * is not enough: it may be older than what curl has read since, in the same turn of the loop. */
static void note_spoken(struct watch *s) {
    struct sockaddr_storage local = { 0 };
    socklen_t len = sizeof local;
    char byte;
    if (!s->inode || s->spoken_port || recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0 ||
        getsockname(s->fd, (struct sockaddr *)&local, &len) != 0)
        return;
    s->spoken_port =
        ntohs(local.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&local)->sin6_port
                                          : ((const struct sockaddr_in *)&local)->sin_port);
    s->set->spoken[s->spoken_port / 8] |= (uint8_t)(1U << s->spoken_port % 8);
}

static void forget_spoken(struct watch *s) {
    s->set->spoken[s->spoken_port / 8] &= (uint8_t) ~(1U << s->spoken_port % 8);
    s->spoken_port = 0;
}

bool watch_spoke(const struct watches *w, int local_port) {
    return local_port > 0 && local_port < 65536 && w->spoken[local_port / 8] & 1U << local_port % 8;
}

/* The number may come back for another socket at once, so that it is forgotten here and not when
 * the handle has closed. */
static void forget(struct watch *s) {
    forget_spoken(s);
    s->set->by_fd[s->fd] = NULL;
    s->set->open -= s->inode != 0;
    s->wanted = s->armed = 0;
    if (!s->live) {
        free(s);
        return;
    }
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, on_closed);
}

static void on_poll(uv_poll_t *handle, int status, int events);

static void arm(struct watch *s, int events) {
    if (events == s->armed)
        return;
    s->armed = events;
    if (events)
        uv_poll_start(&s->poll, events, on_poll);
    else
        uv_poll_stop(&s->poll);
}

static void on_poll(uv_poll_t *handle, int status, int events) {
    struct watch *s = handle->data;
    struct watches *w = s->set;
    int fd = s->fd;
    w->polls++;
    if (status < 0) {
        /* An error on the socket, for which libuv has disarmed the handle. curl shall meet it by
         * reading: what came before the error is still there to be read. */
        s->armed = 0;
        uv_poll_stop(handle);
        events = s->wanted;
    }
    int hit = events & s->wanted;
    if (!hit) {
        if (events & UV_READABLE && !s->wanted)
            note_spoken(s);
        arm(s, s->wanted);
        return;
    }
    w->ready(w->owner, s->user, fd,
             (hit & UV_READABLE ? CURL_CSELECT_IN : 0) |
                 (hit & UV_WRITABLE ? CURL_CSELECT_OUT : 0));
    /* curl says nothing when it goes on wanting the same, so a handle disarmed above is armed again
     * here. */
    if (status < 0 && (s = find(w, fd)) && &s->poll == handle)
        arm(s, s->wanted);
}

/* False when the loop can not watch it; curl's own timeouts end the transfer then. */
static bool make_live(struct watch *s) {
    if (s->live)
        return true;
    if (uv_poll_init(s->set->loop, &s->poll, s->fd) != 0)
        return false;
    s->poll.data = s;
    s->live = true;
    s->set->handles++;
    return true;
}

static void want(struct watch *s, int events, void *user) {
    forget_spoken(s);
    s->user = user;
    s->wanted = events;
    if (make_live(s))
        arm(s, events);
}

static ino_t inode_of(int fd) {
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

int watch_open(struct watches *w, int family, int type, int protocol) {
    int fd = socket(family, type | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        return -1;
    int ms = USER_TIMEOUT_MS;
    if (family == AF_INET || family == AF_INET6)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);

    /* The number may be that of an attempt curl has just given up to try the next address. curl
     * takes the two for one and does not ask again, so that what it asked for holds for the new
     * one. */
    struct watch *old = find(w, fd);
    int wanted = old ? old->wanted : 0;
    void *user = old ? old->user : NULL;
    if (old)
        forget(old);
    struct watch *s = add(w, fd);
    s->inode = inode_of(fd);
    w->open++;
    if (wanted)
        want(s, wanted, user);
    return fd;
}

int watch_close(struct watches *w, int fd) {
    struct watch *s = find(w, fd);
    if (s)
        forget(s);
    return close(fd);
}

/* curl announces the end of a connection that was established, TLS included. A socket on the way
 * there it closes without a word and lets go of it only then, when its number may already mean
 * something else. One that is let go of and still there is idle. */
static bool may_keep(struct watch *s) {
    if (!s->stands && s->inode)
        s->stands = inode_of(s->fd) == s->inode;
    return s->stands;
}

static void let_go(struct watch *s, int what) {
    s->wanted = 0;
    if (what == CURL_POLL_REMOVE && !may_keep(s))
        forget(s);
    else if (s->armed & UV_WRITABLE)
        arm(s, UV_READABLE); /* an idle socket is always writable */
}

void watch_want(struct watches *w, int fd, int what, void *user) {
    struct watch *s = find(w, fd);
    if (what == CURL_POLL_REMOVE || what == CURL_POLL_NONE) {
        if (s)
            let_go(s, what);
        return;
    }
    want(s ? s : add(w, fd),
         (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0), user);
}

static void on_last_turn(uv_handle_t *handle) {
    struct watches *w = handle->data;
    free(handle);
    if (--w->handles == 0)
        drain(w);
}

void watch_deinit(struct watches *w) {
    w->ending = true;
    for (size_t fd = 0; fd < w->cap; fd++)
        if (w->by_fd[fd])
            forget(w->by_fd[fd]);
    /* One more handle, so that the end always comes from the loop. */
    uv_idle_t *last = malloc(sizeof *last);
    if (!last)
        abort();
    uv_idle_init(w->loop, last);
    last->data = w;
    w->handles++;
    uv_close((uv_handle_t *)last, on_last_turn);
}
