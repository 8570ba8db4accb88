/* repeat.h - a request with an Idempotency-Key: answered once, however often it is sent.
 *
 * Owns          of the first one a copy of its answer, while that goes out; the others, while they
 *               wait for it.
 * Fed by        request, at its beginning and end; client, with what the first one's client gets;
 *               worker, when it is woken.
 * Feeds         idempotency; client, with the answer of another request.
 * Must not know chains, attempts, how an answer comes about.
 *
 *   if (repeat_begin(r)) request_run(r);        else it waits, or is over
 *   if (r->repeat) repeat_head(r, 200, &reply), repeat_body(r, bytes)..., repeat_whole(r);
 *   repeat_end(r);
 *
 * A request without such a header has no r->repeat, and nothing of this is done for it.
 */
#ifndef PERILUNE_ROUTE_REPEAT_H
#define PERILUNE_ROUTE_REPEAT_H

#include "route/idempotency.h"
#include "route/reply.h"
#include "route/request_state.h"

enum {
    REPEAT_KEY_MAX = 255,           /* bytes of an Idempotency-Key */
    REPEAT_ANSWER_MAX = 1024 * 1024 /* of an answer that is kept */
};

struct repeat {
    struct idempotency_id id;
    bool first; /* it is the one to be answered, */
    int status; /* with this: */
    struct pair *headers;
    size_t n_headers;
    struct buf body;
    bool too_large; /* for being kept: `body` is empty */
    struct request *request;
    struct repeat *next, **back; /* in worker.repeats, while it waits */
};

/* Looks for an Idempotency-Key. True: the request is to run. False: it waits for another one, which
 * runs, or is answered already, or refused. */
bool repeat_begin(struct request *r);

/* Something that was under way has ended: those that wait look again. */
void repeat_review(struct worker *w);

/* Whether others wait for this one, so that it goes on although its own client is gone. */
bool repeat_goes_on(struct request *r);

/* What goes to the client: the head, some bytes, and that these were all. Where nobody is to get
 * them twice, the key is free then: said before they go, so that whoever has them finds it so.
 * r->repeat is there. */
void repeat_head(struct request *r, int status, const struct reply *reply);
void repeat_body(struct request *r, struct span bytes);
void repeat_whole(struct request *r);

/* The request is over, or is about to tell its client that it broke: where there was no whole
 * answer, the next one's turn has come. */
void repeat_end(struct request *r);

#endif
