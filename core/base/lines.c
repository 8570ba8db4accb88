#include "base/lines.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH = 64 * 1024,
    WAITING_MAX = 8 << 20, /* bytes; what comes while a disk hangs is left out */
    PATIENCE_MS = 1000,    /* with a pipe that is full */
    PATH_SIZE = 4096
};

struct lines {
    struct lines_way way;
    atomic_bool on;
    atomic_ullong left_out;
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t wake;
    struct buf waiting;
    unsigned too_many; /* additions there was no room for, not logged yet */
    bool stopping;

    pthread_mutex_t file; /* over what follows; taken before `lock` */
    char path[PATH_SIZE];
    int fd;
    size_t size, max;
    bool is_pipe; /* or a terminal, a socket: takes so much at a time, and is nobody's to rename */
    bool torn;    /* the last write ended within a line */
    bool failed;  /* that has been logged */
    bool wanted;  /* whether or not there is a file */
    struct buf batch, rendered;
};

/* --- the file --------------------------------------------------------------------------------- */

/* Logged once, until a line gets through again. */
static void complain(struct lines *l, const char *what) {
    if (!l->failed)
        log_error("%s can not be %s: %s; %s", l->path, what, strerror(errno), l->way.effect);
    l->failed = true;
}

static void close_file(struct lines *l) {
    if (l->fd >= 0 && l->fd != STDOUT_FILENO)
        close(l->fd);
    l->fd = -1;
    l->size = 0;
    l->torn = false;
}

/* Whether somebody renamed or removed the file that is open. */
static bool is_elsewhere(const struct lines *l) {
    struct stat named, ours;
    if (l->fd == STDOUT_FILENO)
        return false;
    if (stat(l->path, &named) < 0)
        return errno == ENOENT;
    return fstat(l->fd, &ours) == 0 && (named.st_dev != ours.st_dev || named.st_ino != ours.st_ino);
}

/* What the path names is written to, whoever moved what was there. 0600: who asked, and in which
 * session, is in it. Not blocking, so that a pipe without a reader is an error and no wait. */
static void open_file(struct lines *l) {
    struct stat there;
    if (l->fd >= 0 && is_elsewhere(l))
        close_file(l);
    if (l->fd >= 0 || !l->path[0])
        return;
    l->fd = span_eq(span_of(l->path), LINES_STDOUT)
                ? STDOUT_FILENO
                : open(l->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    if (l->fd < 0 || fstat(l->fd, &there) < 0) {
        complain(l, "opened");
        return;
    }
    l->is_pipe = !S_ISREG(there.st_mode);
    l->size = l->is_pipe ? 0 : (size_t)there.st_size;
}

static void rotate(struct lines *l) {
    char old[PATH_SIZE + 2];
    snprintf(old, sizeof old, "%s.1", l->path);
    close_file(l);
    if (rename(l->path, old) < 0)
        complain(l, "renamed");
    open_file(l);
}

static uint64_t count_lines(struct span lines) {
    uint64_t n = 0;
    for (size_t i = 0; i < lines.len; i++)
        n += lines.at[i] == '\n';
    return n;
}

/* How much may be written without waiting for a reader; -1: none came. */
static ssize_t room(struct lines *l, size_t len) {
    struct pollfd ready = { .fd = l->fd, .events = POLLOUT };
    if (!l->is_pipe)
        return (ssize_t)len;
    if (poll(&ready, 1, PATIENCE_MS) > 0)
        return (ssize_t)(len < PIPE_BUF ? len : PIPE_BUF);
    errno = EAGAIN;
    return -1;
}

/* Returns what could not be written. */
static struct span write_out(struct lines *l, struct span lines) {
    while (lines.len) {
        ssize_t n = room(l, lines.len);
        if (n > 0)
            n = write(l->fd, lines.at, (size_t)n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            complain(l, "written");
            return lines;
        }
        l->torn = lines.at[n - 1] != '\n';
        l->size += (size_t)n;
        lines = span_sub(lines, (size_t)n, lines.len);
    }
    l->failed = false;
    return lines;
}

static void write_lines(struct lines *l, struct span lines) {
    if (lines.len && l->max && !l->is_pipe && l->size && l->size + lines.len > l->max)
        rotate(l);
    if (l->fd >= 0 && lines.len && l->torn)
        write_out(l, SPAN("\n"));
    if (l->fd >= 0 && !l->torn)
        lines = write_out(l, lines);
    atomic_fetch_add(&l->left_out, count_lines(lines));
}

/* What was added, as lines. */
static struct span rendered(struct lines *l) {
    bool writes = l->path[0] != '\0';
    if (!l->way.render)
        return buf_span(&l->batch);
    buf_clear(&l->rendered);
    if (l->batch.len)
        l->way.render(l->way.owner, buf_span(&l->batch), writes ? &l->rendered : NULL);
    return buf_span(&l->rendered);
}

void lines_flush(struct lines *l) {
    pthread_mutex_lock(&l->file);
    pthread_mutex_lock(&l->lock);
    struct buf batch = l->waiting;
    unsigned too_many = l->too_many;
    l->waiting = l->batch;
    l->too_many = 0;
    pthread_mutex_unlock(&l->lock);
    l->batch = batch;
    if (too_many)
        log_warn("%u lines found no room in front of %s: %s", too_many, l->path, l->way.effect);
    open_file(l);
    struct span lines = rendered(l);
    if (l->path[0])
        write_lines(l, lines);
    buf_clear(&l->batch);
    pthread_mutex_unlock(&l->file);
}

/* --- the thread ------------------------------------------------------------------------------- */

static struct timespec time_in(unsigned ms) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000)
        t.tv_sec++, t.tv_nsec -= 1000000000;
    return t;
}

/* Whoever is quicker writes; what comes in while this one does waits for the next time. */
static void *run(void *arg) {
    struct lines *l = arg;
    pthread_setname_np(pthread_self(), "lines");
    pthread_mutex_lock(&l->lock);
    while (!l->stopping) {
        struct timespec until = time_in(l->way.wait_ms);
        while (!l->stopping && l->waiting.len < BATCH)
            if (pthread_cond_timedwait(&l->wake, &l->lock, &until) == ETIMEDOUT)
                break;
        bool any = l->waiting.len > 0;
        pthread_mutex_unlock(&l->lock);
        if (any)
            lines_flush(l);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

struct lines *lines_new(const struct lines_way *way) {
    struct lines *l = calloc(1, sizeof *l);
    pthread_condattr_t monotonic;
    if (!l)
        abort();
    l->way = *way;
    l->fd = -1;
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->file, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return l;
}

/* With the file's lock. */
static void turn_on_or_off(struct lines *l) {
    bool on = l->wanted || l->path[0];
    if (on && !l->has_thread)
        l->has_thread = pthread_create(&l->thread, NULL, run, l) == 0;
    if (on && !l->has_thread)
        log_error("%s: the thread that writes could not be started", l->way.effect);
    atomic_store(&l->on, on && l->has_thread);
}

void lines_open(struct lines *l, struct span path, size_t max_bytes) {
    lines_flush(l);
    pthread_mutex_lock(&l->file);
    if (!span_eq(path, span_of(l->path)) && path.len < PATH_SIZE) {
        close_file(l);
        span_copy(path, l->path, sizeof l->path);
        l->failed = false;
        open_file(l);
    }
    l->max = max_bytes;
    turn_on_or_off(l);
    pthread_mutex_unlock(&l->file);
}

void lines_want(struct lines *l, bool wanted) {
    pthread_mutex_lock(&l->file);
    l->wanted = wanted;
    turn_on_or_off(l);
    pthread_mutex_unlock(&l->file);
}

void lines_free(struct lines *l) {
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stopping = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    if (l->has_thread)
        pthread_join(l->thread, NULL);
    lines_flush(l);
    close_file(l);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->file);
    buf_deinit(&l->waiting);
    buf_deinit(&l->batch);
    buf_deinit(&l->rendered);
    free(l);
}

bool lines_wanted(struct lines *l) {
    return atomic_load_explicit(&l->on, memory_order_relaxed);
}

void lines_add(struct lines *l, struct span added) {
    pthread_mutex_lock(&l->lock);
    bool fits = l->waiting.len + added.len <= WAITING_MAX;
    if (fits)
        buf_add(&l->waiting, added);
    else
        l->too_many++;
    if (l->waiting.len >= BATCH)
        pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    if (!fits)
        atomic_fetch_add(&l->left_out, 1);
}

uint64_t lines_left_out(struct lines *l) {
    return atomic_load(&l->left_out);
}
