/* feed.h - requests that are over, told to whoever follows: the access log, and the tails of the
 * admin side.
 *
 * Owns          what waits to be told, the thread that tells it, the access log's file.
 * Fed by        charge, with each request that is over; worker, with those it refused at their
 *               head; engine, with where the access log goes.
 * Feeds         the file, with a line of JSON a request (base/lines, money/export); one follower.
 * Must not know who reads. No text of a prompt or an answer comes in here.
 *
 *   struct feed *f = feed_new();
 *   feed_open(f, path);                         again after each reload
 *   feed_add(f, &entry);                        from any thread
 *   feed_free(f);
 *
 * What a worker does is to copy an entry (4,000 instructions); that it becomes JSON is the thread's
 * work (25,000), a tenth of a second later. While nobody follows it is one atomic read. A file that can not be written, or a pipe that is not read, stops no request:
 * what is left out is counted.
 */
#ifndef PERILUNE_ROUTE_FEED_H
#define PERILUNE_ROUTE_FEED_H

#include "base/arena.h"
#include "money/entry.h"

struct feed;

struct feed *feed_new(void);
void feed_free(struct feed *f); /* writes what waits; NULL is fine */

/* The access log goes there from now on; SPAN_NONE: there is none. May block. */
void feed_open(struct feed *f, struct span path);

/* Calls `told` with some entries at a time, on the feed's thread; NULL: nobody follows any more,
 * and no call is under way. May block. */
void feed_follow(struct feed *f, void (*told)(void *owner, struct span entries), void *owner);

/* A request is over. */
void feed_add(struct feed *f, const struct entry *e);

/* Lines of the access log that came to nothing, since the start. */
uint64_t feed_left_out(const struct feed *f);

/* Cuts the first of some entries off; false when there is none left. Texts point into them, lists
 * lie in `arena`. */
bool feed_next(struct span *entries, struct arena *arena, struct entry *e);

/* How many there are. */
size_t feed_count(struct span entries);

/* One line of the access log, with its line feed. */
void feed_write(struct buf *out, const struct entry *e);

#endif
