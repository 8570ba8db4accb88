/* idempotency.h - requests that are sent twice, and are to be answered once.
 *
 * Owns          by asker and Idempotency-Key: what was asked, and its answer once there is one.
 * Fed by        repeat, for requests that have such a key.
 * Feeds         repeat, with the answer of the first for all that come after it.
 * Must not know connections, requests, which answers are worth keeping.
 *
 *   id = idempotency_id(asker, key, endpoint, body);
 *   switch (idempotency_ask(t, &id, lane, now_ms, &answer)) ...
 *   lanes = idempotency_keep(t, &id, answer, now_ms);     whoever was FIRST ends it so,
 *   lanes = idempotency_drop(t, &id);                     or so: the next to ask is FIRST
 *
 * Shared by all workers, behind one lock. A lane is a worker; nobody is called across threads: who
 * finds a request UNDER_WAY asks again when its lane is woken. Answers are kept for a while and up
 * to a size, the oldest go first; that there was one is known for longer.
 */
#ifndef PERILUNE_ROUTE_IDEMPOTENCY_H
#define PERILUNE_ROUTE_IDEMPOTENCY_H

#include "base/arena.h"
#include "base/crypto.h"

#include <stdatomic.h>

struct idempotency;

enum { IDEMPOTENCY_LANES = 64, IDEMPOTENCY_CONTENT = 16 };

struct idempotency_limits {
    size_t max_bytes;   /* of all answers */
    uint64_t answer_ms; /* that one is kept, */
    uint64_t name_ms;   /* and that it is known that there was one; not less */
    unsigned max_names; /* of requests that have ended */
};

/* The request, as far as it matters whether another one is the same. */
struct idempotency_id {
    char name[CRYPTO_SHA256_SIZE];     /* who asks, by which key */
    char content[IDEMPOTENCY_CONTENT]; /* where, and for what */
};

enum idempotency_found {
    IDEMPOTENCY_FIRST,     /* the caller is to answer, and ends it as above */
    IDEMPOTENCY_UNDER_WAY, /* the first one's is to come: the lane is woken then */
    IDEMPOTENCY_ANSWERED,  /* here it is */
    IDEMPOTENCY_OTHER,     /* this key came with something else */
    IDEMPOTENCY_FORGOTTEN  /* it was answered, and nobody knows with what any more */
};

/* Immutable, and counted: replayed by any thread while others have it. */
struct idempotency_answer {
    atomic_uint refs;
    struct arena arena; /* holds what follows */
    int status;
    struct span id; /* of the request it answered */
    struct pair *headers;
    size_t n_headers;
    struct span body;
};

/* Copies all of it. The caller's reference. */
struct idempotency_answer *idempotency_answer_new(int status, struct span id,
                                                  const struct pair *headers, size_t n_headers,
                                                  struct span body);
void idempotency_answer_unref(struct idempotency_answer *a);

struct idempotency *idempotency_new(const struct idempotency_limits *limits);
void idempotency_free(struct idempotency *t);

/* `asker` holds no line feed, nor has `key`: no other pair is the same text. */
struct idempotency_id idempotency_id(struct span asker, struct span key, struct span endpoint,
                                     struct span body);

/* `*answer`, the caller's to unref, is set where it is ANSWERED. */
enum idempotency_found idempotency_ask(struct idempotency *t, const struct idempotency_id *id,
                                       unsigned lane, uint64_t now_ms,
                                       struct idempotency_answer **answer);

/* The first one is answered: so, by the caller's reference, or with what is too large to be kept
 * (NULL). Returns the lanes to be woken, a bit each. */
uint64_t idempotency_keep(struct idempotency *t, const struct idempotency_id *id,
                          struct idempotency_answer *answer, uint64_t now_ms);

/* It came to nothing anybody should get twice. The same. */
uint64_t idempotency_drop(struct idempotency *t, const struct idempotency_id *id);

/* The first one's client is gone. True: nobody else has asked for its answer, and it is dropped;
 * false: somebody has, it is to go on. */
bool idempotency_leave(struct idempotency *t, const struct idempotency_id *id);

#endif
