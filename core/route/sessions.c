#include "route/sessions.h"

#include "base/crypto.h"

#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

/* A target that answered, and what it read then. */
struct answered {
    char *id;
    size_t id_len;
    uint64_t input_tokens, at_ms;
};

/* One session; uthash walks them in the order they were asked for. */
struct entry {
    UT_hash_handle hh;
    char name[CRYPTO_SHA256_SIZE]; /* of the key and the session */
    uint64_t used_ms;
    struct answered targets[SESSIONS_TARGETS]; /* newest first; `id` NULL: no more */
};

struct sessions {
    pthread_mutex_t lock;
    struct entry *entries;
};

struct sessions *sessions_new(void) {
    struct sessions *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void forget(struct sessions *s, struct entry *e) {
    HASH_DEL(s->entries, e);
    for (size_t i = 0; i < SESSIONS_TARGETS; i++)
        free(e->targets[i].id);
    free(e);
}

void sessions_free(struct sessions *s) {
    while (s->entries)
        forget(s, s->entries);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* No key holds a line end, so that no other pair is the same text. */
static void make_name(struct span key, struct span session, char name[CRYPTO_SHA256_SIZE]) {
    const struct span parts[] = { key, SPAN("\n"), session };
    crypto_sha256(parts, sizeof parts / sizeof *parts, (unsigned char *)name);
}

/* The session as one just asked for; NULL: it is not known, or forgotten. */
static struct entry *find(struct sessions *s, const char name[CRYPTO_SHA256_SIZE],
                          uint64_t now_ms) {
    struct entry *e;
    while (s->entries && s->entries->used_ms + SESSIONS_KEEP_MS <= now_ms)
        forget(s, s->entries);
    HASH_FIND(hh, s->entries, name, CRYPTO_SHA256_SIZE, e);
    if (!e)
        return NULL;
    HASH_DEL(s->entries, e);
    HASH_ADD(hh, s->entries, name, sizeof e->name, e);
    e->used_ms = now_ms;
    return e;
}

static struct entry *make(struct sessions *s, const char name[CRYPTO_SHA256_SIZE],
                          uint64_t now_ms) {
    struct entry *e = calloc(1, sizeof *e);
    if (!e)
        abort();
    if (HASH_COUNT(s->entries) >= SESSIONS_MAX)
        forget(s, s->entries);
    memcpy(e->name, name, sizeof e->name);
    e->used_ms = now_ms;
    HASH_ADD(hh, s->entries, name, sizeof e->name, e);
    return e;
}

/* The target's place moved to the front; the last one makes room for a new target. */
static struct answered *to_front(struct entry *e, struct span target) {
    size_t i = 0;
    while (i < SESSIONS_TARGETS - 1 && e->targets[i].id &&
           !span_eq((struct span){ e->targets[i].id, e->targets[i].id_len }, target))
        i++;
    struct answered found = e->targets[i];
    memmove(e->targets + 1, e->targets, i * sizeof *e->targets);
    e->targets[0] = found;
    return &e->targets[0];
}

static void set_id(struct answered *a, struct span target) {
    if (a->id && span_eq((struct span){ a->id, a->id_len }, target))
        return;
    free(a->id);
    a->id = malloc(target.len + 1);
    if (!a->id)
        abort();
    memcpy(a->id, target.at, target.len);
    a->id_len = target.len;
}

void sessions_answered(struct sessions *s, struct span key, struct span session, struct span target,
                       uint64_t input_tokens, uint64_t now_ms) {
    char name[CRYPTO_SHA256_SIZE];
    if (!session.len)
        return;
    make_name(key, session, name);
    pthread_mutex_lock(&s->lock);
    struct entry *e = find(s, name, now_ms);
    struct answered *a = to_front(e ? e : make(s, name, now_ms), target);
    set_id(a, target);
    a->input_tokens = input_tokens;
    a->at_ms = now_ms;
    pthread_mutex_unlock(&s->lock);
}

size_t sessions_find(struct sessions *s, struct span key, struct span session, struct arena *arena,
                     struct session_target found[SESSIONS_TARGETS], uint64_t now_ms) {
    char name[CRYPTO_SHA256_SIZE];
    size_t n = 0;
    if (!session.len)
        return 0;
    make_name(key, session, name);
    pthread_mutex_lock(&s->lock);
    const struct entry *e = find(s, name, now_ms);
    for (; e && n < SESSIONS_TARGETS && e->targets[n].id; n++) {
        const struct answered *a = &e->targets[n];
        bool warm = now_ms < a->at_ms + SESSIONS_WARM_MS;
        found[n].id = arena_copy(arena, (struct span){ a->id, a->id_len });
        found[n].cached_tokens = warm ? a->input_tokens : 0;
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}
