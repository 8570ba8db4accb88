#include "route/idempotency.h"

#define XXH_INLINE_ALL
#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>
#include <xxhash.h>

/* One request. It is under way until it stands in the line of those that have ended. */
struct entry {
    UT_hash_handle hh;
    struct idempotency_id id;
    bool ended;
    uint64_t lanes; /* while under way: who waits for it */
    uint64_t ended_ms;
    struct idempotency_answer *answer; /* NULL: there is none yet, or none any more */
    struct entry *next;                /* that ended after it */
};

struct idempotency {
    pthread_mutex_t lock;
    struct idempotency_limits limits;
    struct entry *entries;
    struct entry *first, *last; /* that have ended, in that order */
    struct entry *answered;     /* the first of them that may have an answer still */
    unsigned n_ended;
    size_t bytes;
};

/* --- answers -------------------------------------------------------------------------------- */

struct idempotency_answer *idempotency_answer_new(int status, struct span id,
                                                  const struct pair *headers, size_t n_headers,
                                                  struct span body) {
    enum { ROOM = 1024 }; /* for headers, most times */
    struct idempotency_answer *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    atomic_init(&a->refs, 1);
    arena_init(&a->arena, body.len + ROOM);
    a->status = status;
    a->id = arena_copy(&a->arena, id);
    a->headers = arena_new_array(&a->arena, struct pair, n_headers);
    a->n_headers = n_headers;
    for (size_t i = 0; i < n_headers; i++)
        a->headers[i] = (struct pair){ arena_copy(&a->arena, headers[i].name),
                                       arena_copy(&a->arena, headers[i].value) };
    a->body = arena_copy(&a->arena, body);
    return a;
}

void idempotency_answer_unref(struct idempotency_answer *a) {
    if (!a || atomic_fetch_sub(&a->refs, 1) > 1)
        return;
    arena_deinit(&a->arena);
    free(a);
}

static size_t size_of(const struct idempotency_answer *a) {
    return sizeof *a + arena_size(&a->arena);
}

/* --- the table ------------------------------------------------------------------------------ */

struct idempotency *idempotency_new(const struct idempotency_limits *limits) {
    struct idempotency *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    pthread_mutex_init(&t->lock, NULL);
    t->limits = *limits;
    return t;
}

struct idempotency_id idempotency_id(struct span asker, struct span key, struct span endpoint,
                                     struct span body) {
    const struct span who[] = { asker, SPAN("\n"), key };
    struct idempotency_id id;
    XXH128_canonical_t content;
    crypto_sha256(who, sizeof who / sizeof *who, (unsigned char *)id.name);
    /* Who could make two requests that look alike here would mislead himself alone, and a large body
     * must not hold up a worker. */
    XXH128_canonicalFromHash(
        &content, XXH3_128bits_withSeed(body.at, body.len, XXH3_64bits(endpoint.at, endpoint.len)));
    memcpy(id.content, content.digest, sizeof id.content);
    return id;
}

static struct entry *find(const struct idempotency *t, const struct idempotency_id *id) {
    struct entry *e;
    HASH_FIND(hh, t->entries, id->name, sizeof id->name, e);
    return e;
}

static void forget_answer(struct idempotency *t, struct entry *e) {
    if (!e->answer)
        return;
    t->bytes -= size_of(e->answer);
    idempotency_answer_unref(e->answer);
    e->answer = NULL;
}

/* The one that ended first. */
static void forget_first(struct idempotency *t) {
    struct entry *e = t->first;
    forget_answer(t, e);
    t->first = e->next;
    if (!t->first)
        t->last = NULL;
    if (t->answered == e)
        t->answered = e->next;
    t->n_ended--;
    HASH_DEL(t->entries, e);
    free(e);
}

/* All are kept equally long, so that those that ended first are the next to go. */
static void forget_old(struct idempotency *t, uint64_t now_ms) {
    const struct idempotency_limits *l = &t->limits;
    while (t->answered && (!t->answered->answer || t->bytes > l->max_bytes ||
                           now_ms - t->answered->ended_ms >= l->answer_ms)) {
        forget_answer(t, t->answered);
        t->answered = t->answered->next;
    }
    while (t->first && (t->n_ended > l->max_names || now_ms - t->first->ended_ms >= l->name_ms))
        forget_first(t);
}

void idempotency_free(struct idempotency *t) {
    struct entry *e, *next;
    HASH_ITER(hh, t->entries, e, next) {
        HASH_DEL(t->entries, e);
        idempotency_answer_unref(e->answer);
        free(e);
    }
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static void begin(struct idempotency *t, const struct idempotency_id *id) {
    struct entry *e = calloc(1, sizeof *e);
    if (!e)
        abort();
    e->id = *id;
    HASH_ADD(hh, t->entries, id.name, sizeof e->id.name, e);
}

static enum idempotency_found look(struct entry *e, const struct idempotency_id *id, unsigned lane,
                                   struct idempotency_answer **answer) {
    if (memcmp(e->id.content, id->content, sizeof id->content) != 0)
        return IDEMPOTENCY_OTHER;
    if (!e->ended) {
        e->lanes |= UINT64_C(1) << lane;
        return IDEMPOTENCY_UNDER_WAY;
    }
    if (!e->answer)
        return IDEMPOTENCY_FORGOTTEN;
    atomic_fetch_add(&e->answer->refs, 1);
    *answer = e->answer;
    return IDEMPOTENCY_ANSWERED;
}

enum idempotency_found idempotency_ask(struct idempotency *t, const struct idempotency_id *id,
                                       unsigned lane, uint64_t now_ms,
                                       struct idempotency_answer **answer) {
    enum idempotency_found found = IDEMPOTENCY_FIRST;
    pthread_mutex_lock(&t->lock);
    forget_old(t, now_ms);
    struct entry *e = find(t, id);
    if (e)
        found = look(e, id, lane, answer);
    else
        begin(t, id);
    pthread_mutex_unlock(&t->lock);
    return found;
}

uint64_t idempotency_keep(struct idempotency *t, const struct idempotency_id *id,
                          struct idempotency_answer *answer, uint64_t now_ms) {
    pthread_mutex_lock(&t->lock);
    struct entry *e = find(t, id);
    e->ended = true;
    e->ended_ms = now_ms;
    e->answer = answer;
    *(t->last ? &t->last->next : &t->first) = e;
    t->last = e;
    if (!t->answered)
        t->answered = e;
    t->n_ended++;
    t->bytes += answer ? size_of(answer) : 0;
    uint64_t lanes = e->lanes;
    forget_old(t, now_ms);
    pthread_mutex_unlock(&t->lock);
    return lanes;
}

/* Of one that is under way. */
static uint64_t drop(struct idempotency *t, struct entry *e) {
    uint64_t lanes = e->lanes;
    HASH_DEL(t->entries, e);
    free(e);
    return lanes;
}

uint64_t idempotency_drop(struct idempotency *t, const struct idempotency_id *id) {
    pthread_mutex_lock(&t->lock);
    uint64_t lanes = drop(t, find(t, id));
    pthread_mutex_unlock(&t->lock);
    return lanes;
}

bool idempotency_leave(struct idempotency *t, const struct idempotency_id *id) {
    pthread_mutex_lock(&t->lock);
    struct entry *e = find(t, id);
    bool alone = e->lanes == 0;
    if (alone)
        drop(t, e);
    pthread_mutex_unlock(&t->lock);
    return alone;
}
