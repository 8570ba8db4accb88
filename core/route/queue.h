/* queue.h - requests that wait for a target to come back.
 *
 * Owns          the order they wait in, a queue a worker.
 * Fed by        request, when its chain is exhausted and says on_exhausted = "queue".
 * Feeds         request, when it is its turn.
 * Must not know clocks, chains, clients: the moments are given.
 *
 *   if (!queue_join(&q, &r->place, key, at_ms, now_ms)) ... full ...
 *   queue_turn(&q, now_ms);          at queue_due(&q): lets go whose moment has come, fairly
 *   queue_went(&q, well);            once for each that was let go
 *   queue_leave(&q, &r->place);      the client left, the deadline came: at once
 *
 * Fair between client keys: turns go round by key, within a key to the one that waits longest. When
 * moments have come, one request is let through; the next follows when that one says how it went, two
 * after a good answer: so a target that has just come back is not run over, and one that bears it has
 * everybody in a few rounds.
 */
#ifndef PERILUNE_ROUTE_QUEUE_H
#define PERILUNE_ROUTE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue_lane;

/* In memory of the request's. Zeroed but for `turn` and `owner` before it joins first. */
struct queue_place {
    struct queue_place *next, **back; /* in its lane; `back` NULL: not waiting */
    struct queue_lane *lane;
    uint64_t since_ms;         /* when it joined first: who comes again keeps its place; 0: never */
    uint64_t at_ms;            /* not before */
    void (*turn)(void *owner); /* it is its turn; it has left the queue. It may join, leave, go */
    void *owner;
};

struct queue {
    struct queue_lane *lanes; /* of keys that wait, round and round, whose turn it is first; NULL:
                               * nobody waits */
    size_t n, max;            /* places taken; at most */
    size_t max_a_key;
    size_t let_go; /* requests let through that have not said how it went */
    size_t room;   /* how many may be at a time */
};

void queue_init(struct queue *q, size_t max, size_t max_a_key);
void queue_deinit(struct queue *q); /* nobody waits any more */

/* False: full, in all or for that key, and it was not there before. The place must stay where it is until it has left. */
bool queue_join(struct queue *q, struct queue_place *place, unsigned key, uint64_t at_ms,
                uint64_t now_ms);
void queue_leave(struct queue *q, struct queue_place *place);

/* Calls turn() of those that may go now. */
void queue_turn(struct queue *q, uint64_t now_ms);

/* When queue_turn() is wanted next; UINT64_MAX: never, as it is. */
uint64_t queue_due(const struct queue *q);

/* One that was let through has its answer; or it failed again, or its client left. */
void queue_went(struct queue *q, bool well);

/* How many are before it, over all keys, if all moments came at once: what its client is told. */
size_t queue_position(const struct queue *q, const struct queue_place *place);

#endif
