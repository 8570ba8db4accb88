#include "route/kept.h"

#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

/* One text; uthash walks them in the order they came. */
struct entry {
    UT_hash_handle hh;
    uint64_t until_ms;
    size_t name_len, text_len;
    char bytes[]; /* the name: the key's number and the call's id; then the text */
};

struct kept {
    pthread_mutex_t lock;
    struct entry *entries;
    size_t bytes, max_bytes;
    uint64_t ttl_ms;
};

struct kept *kept_new(size_t max_bytes, uint64_t ttl_ms) {
    struct kept *k = calloc(1, sizeof *k);
    if (!k)
        abort();
    pthread_mutex_init(&k->lock, NULL);
    k->max_bytes = max_bytes;
    k->ttl_ms = ttl_ms;
    return k;
}

static size_t size_of(const struct entry *e) {
    return sizeof *e + e->name_len + e->text_len;
}

static void forget(struct kept *k, struct entry *e) {
    HASH_DEL(k->entries, e);
    k->bytes -= size_of(e);
    free(e);
}

void kept_free(struct kept *k) {
    while (k->entries)
        forget(k, k->entries);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

static struct entry *entry_new(unsigned key, struct span id, struct span text, uint64_t until_ms) {
    struct entry *e = malloc(sizeof *e + sizeof key + id.len + text.len);
    if (!e)
        abort();
    e->until_ms = until_ms;
    e->name_len = sizeof key + id.len;
    e->text_len = text.len;
    memcpy(e->bytes, &key, sizeof key);
    memcpy(e->bytes + sizeof key, id.at, id.len);
    memcpy(e->bytes + e->name_len, text.at, text.len);
    return e;
}

static struct entry *find(struct kept *k, const char *name, size_t len) {
    struct entry *e;
    HASH_FIND(hh, k->entries, name, len, e);
    return e;
}

void kept_put(struct kept *k, unsigned key, struct span call_id, struct span text,
              uint64_t now_ms) {
    if (!call_id.len || call_id.len + text.len > k->max_bytes / 16)
        return;
    struct entry *e = entry_new(key, call_id, text, now_ms + k->ttl_ms);
    pthread_mutex_lock(&k->lock);
    struct entry *before = find(k, e->bytes, e->name_len);
    if (before)
        forget(k, before);
    HASH_ADD_KEYPTR(hh, k->entries, e->bytes, e->name_len, e);
    k->bytes += size_of(e);
    /* All live equally long, so that the first is both the oldest and the next to end. */
    while (k->entries != e && (k->bytes > k->max_bytes || k->entries->until_ms <= now_ms))
        forget(k, k->entries);
    pthread_mutex_unlock(&k->lock);
}

struct span kept_get(struct kept *k, unsigned key, struct span call_id, struct arena *arena,
                     uint64_t now_ms) {
    struct span text = SPAN_NONE;
    char *name = arena_alloc(arena, sizeof key + call_id.len);
    memcpy(name, &key, sizeof key);
    memcpy(name + sizeof key, call_id.at, call_id.len);
    pthread_mutex_lock(&k->lock);
    const struct entry *e = find(k, name, sizeof key + call_id.len);
    if (e && e->until_ms > now_ms)
        text = arena_copy(arena, (struct span){ e->bytes + e->name_len, e->text_len });
    pthread_mutex_unlock(&k->lock);
    return text;
}
