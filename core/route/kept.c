#include "route/kept.h"

#include "base/crypto.h"

#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

/* One text; uthash walks them in the order they came. */
struct entry {
    UT_hash_handle hh;
    char name[CRYPTO_SHA256_SIZE]; /* of the key and the call's id */
    uint64_t until_ms;
    size_t text_len;
    char text[];
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
    return sizeof *e + e->text_len;
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

/* No key holds a line end, so that no other pair is the same text. */
static void make_name(struct span key, struct span id, char name[CRYPTO_SHA256_SIZE]) {
    const struct span parts[] = { key, SPAN("\n"), id };
    crypto_sha256(parts, sizeof parts / sizeof *parts, (unsigned char *)name);
}

static struct entry *entry_new(struct span key, struct span id, struct span text,
                               uint64_t until_ms) {
    struct entry *e = malloc(sizeof *e + text.len);
    if (!e)
        abort();
    make_name(key, id, e->name);
    e->until_ms = until_ms;
    e->text_len = text.len;
    memcpy(e->text, text.at, text.len);
    return e;
}

static struct entry *find(struct kept *k, const char name[CRYPTO_SHA256_SIZE]) {
    struct entry *e;
    HASH_FIND(hh, k->entries, name, CRYPTO_SHA256_SIZE, e);
    return e;
}

void kept_put(struct kept *k, struct span key, struct span call_id, struct span text,
              uint64_t now_ms) {
    if (!call_id.len || text.len > k->max_bytes / 16)
        return;
    struct entry *e = entry_new(key, call_id, text, now_ms + k->ttl_ms);
    pthread_mutex_lock(&k->lock);
    struct entry *before = find(k, e->name);
    if (before)
        forget(k, before);
    HASH_ADD(hh, k->entries, name, sizeof e->name, e);
    k->bytes += size_of(e);
    /* All live equally long, so that the first is both the oldest and the next to end. */
    while (k->entries != e && (k->bytes > k->max_bytes || k->entries->until_ms <= now_ms))
        forget(k, k->entries);
    pthread_mutex_unlock(&k->lock);
}

struct span kept_get(struct kept *k, struct span key, struct span call_id, struct arena *arena,
                     uint64_t now_ms) {
    struct span text = SPAN_NONE;
    char name[CRYPTO_SHA256_SIZE];
    make_name(key, call_id, name);
    pthread_mutex_lock(&k->lock);
    const struct entry *e = find(k, name);
    if (e && e->until_ms > now_ms)
        text = arena_copy(arena, (struct span){ (char *)e->text, e->text_len });
    pthread_mutex_unlock(&k->lock);
    return text;
}
