/* tail.h - GET /api/tail: requests as they end, one event each, for as long as somebody listens.
 *
 * Owns          those who listen, what they want to hear, what waits to be told.
 * Fed by        feed, on its thread; api, with a call.
 * Feeds         conn, with server-sent events whose data is a line of the access log.
 * Must not know what becomes of them.
 *
 *   tail_init(&a->tail, &a->loop, a->engine.feed);      once the engine is there
 *   tail_close(&a->tail);                               each stream ends well; before the loop does
 *
 * Who reads too slowly loses lines, and is told how many: `event: dropped`, `data: {"count":12}`.
 * While nobody listens this costs a request one atomic read.
 */
#ifndef PERILUNE_ADMIN_TAIL_H
#define PERILUNE_ADMIN_TAIL_H

#include "base/arena.h"
#include "base/buf.h"

#include <pthread.h>
#include <uv.h>

enum { TAIL_READERS = 16 };

struct feed;
struct tail_reader;

struct tail {
    struct feed *feed; /* NULL: it is closed, or was never opened */
    struct tail_reader *readers;
    unsigned n_readers;
    uv_async_t wake;
    uv_timer_t quiet; /* so that the ways in between do not take silence for the end */
    struct arena arena;
    struct buf line, taken;

    pthread_mutex_t lock; /* over what follows */
    struct buf waiting;   /* entries the loop has not taken */
    uint64_t lost;        /* those there was no room for */
};

void tail_init(struct tail *t, uv_loop_t *loop, struct feed *feed);
void tail_close(struct tail *t);

#endif
