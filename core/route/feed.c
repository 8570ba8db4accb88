#include "route/feed.h"

#include "base/lines.h"
#include "money/export.h"

#include <pthread.h>
#include <stdlib.h>

struct feed {
    struct lines *lines;
    struct arena arena;   /* of the entry that is written */
    pthread_mutex_t lock; /* over what follows; held while the follower is told */
    void (*told)(void *owner, struct span entries);
    void *owner;
};

/* An entry stands behind its length, in the order of this machine's bytes. */
enum { HEAD = sizeof(uint32_t) };

static struct span cut_first(struct span *entries) {
    uint32_t len;
    memcpy(&len, entries->at, HEAD);
    struct span bytes = span_sub(*entries, HEAD, len);
    *entries = span_sub(*entries, HEAD + len, entries->len);
    return bytes;
}

bool feed_next(struct span *entries, struct arena *arena, struct entry *e) {
    return entries->len && entry_read(cut_first(entries), arena, e);
}

size_t feed_count(struct span entries) {
    size_t n = 0;
    for (; entries.len; n++)
        cut_first(&entries);
    return n;
}

void feed_write(struct buf *out, const struct entry *e) {
    const struct search_row row = { .entry = *e,
                                    .sums = entry_sum(e),
                                    .n_attempts = e->n_attempts };
    export_request_json(out, &row);
}

static void tell(struct feed *f, struct span entries) {
    pthread_mutex_lock(&f->lock);
    if (f->told)
        f->told(f->owner, entries);
    pthread_mutex_unlock(&f->lock);
}

/* On the thread that writes. */
static void render(void *owner, struct span entries, struct buf *lines) {
    struct feed *f = owner;
    struct entry e;
    tell(f, entries);
    while (lines && feed_next(&entries, &f->arena, &e)) {
        feed_write(lines, &e);
        arena_reset(&f->arena, 4096);
    }
}

struct feed *feed_new(void) {
    struct feed *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    const struct lines_way way = { .effect = "lines of the access log are left out",
                                   .wait_ms = 100,
                                   .render = render,
                                   .owner = f };
    f->lines = lines_new(&way);
    arena_init(&f->arena, 4096);
    pthread_mutex_init(&f->lock, NULL);
    return f;
}

void feed_free(struct feed *f) {
    if (!f)
        return;
    lines_free(f->lines);
    arena_deinit(&f->arena);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

void feed_open(struct feed *f, struct span path) {
    lines_open(f->lines, path, 0);
}

void feed_follow(struct feed *f, void (*told)(void *owner, struct span entries), void *owner) {
    pthread_mutex_lock(&f->lock);
    f->told = told;
    f->owner = owner;
    pthread_mutex_unlock(&f->lock);
    lines_want(f->lines, told != NULL);
}

void feed_add(struct feed *f, const struct entry *e) {
    struct buf bytes = { 0 };
    uint32_t len = 0;
    if (!lines_wanted(f->lines))
        return;
    buf_reserve(&bytes, 1024); /* most of them in one go */
    buf_append(&bytes, &len, HEAD);
    entry_write(&bytes, e);
    len = (uint32_t)(bytes.len - HEAD);
    memcpy(bytes.at, &len, HEAD);
    lines_add(f->lines, buf_span(&bytes));
    buf_deinit(&bytes);
}

uint64_t feed_left_out(const struct feed *f) {
    return lines_left_out(f->lines);
}
