/* waiting.h - a request that waits: what its client hears meanwhile, and its turn in the queue.
 *
 * Owns          the early head and the comments of a stream without content, the request's place
 *               in the worker's queue.
 * Fed by        pursuit, when there is nothing to try yet; the queue, when it is its turn.
 * Feeds         client, with comments; pursuit, with its turn; the queue, with how a turn went.
 * Must not know why the request waits, what is tried afterwards.
 *
 *   waiting_begin(r);                          once it has a chain
 *   if (!waiting_queue(r, in_ms, doors, patience_ms, turn, too_long)) ... the queue is full ...
 *   waiting_went(r, true);                     content came, or an answer; false: it failed again
 *   waiting_content(r);                        there is nothing to comment on any more
 *   waiting_end(r);                            the request is over
 */
#ifndef PERILUNE_ROUTE_WAITING_H
#define PERILUNE_ROUTE_WAITING_H

#include "route/request_state.h"

/* From here on a stream that waits longer than hold_ms gets a head, and comments. */
void waiting_begin(struct request *r);

/* Queues for a turn that comes not before `in_ms`, and until `patience_ms` of the worker's clock
 * at most: then `too_long` is called instead of `turn`, with `r`, once. `doors`: what it waits
 * for are targets that may not be asked yet; should one be found well earlier, its turn comes
 * earlier. False: the queue is full. */
bool waiting_queue(struct request *r, uint32_t in_ms, bool doors, uint64_t patience_ms,
                   void (*turn)(void *r), void (*too_long)(void *r));

/* Its turn may have come. */
void waiting_review(struct request *r);

/* How its turn went, unless that has been said. */
void waiting_went(struct request *r, bool well);

/* No comments any more. */
void waiting_content(struct request *r);

/* It waits for nothing any more, whatever it was. */
void waiting_end(struct request *r);

#endif
