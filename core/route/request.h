/* request.h - the driver: one client request from its first byte to its last.
 *
 * Owns          the request's state: its facts, the policy's decision, the walk along the chain,
 *               the attempts alive, the client's side.
 * Fed by        worker, with a whole message; policy, attempt, timers.
 * Feeds         conn, with a reply; trace; the tail gate, with what became of it.
 * Must not know dialects, curl, Lua.
 *
 * A request is DECIDING (also: waiting for a policy state), TRYING (attempts are alive; at most one
 * owns the client's stream), WAITING (for a retry or in a queue) and then over. Whatever ends it
 * passes one tail gate.
 *
 *   request_begin(worker, conn, message, endpoint);      answers by itself and frees itself
 */
#ifndef PERILUNE_ROUTE_REQUEST_H
#define PERILUNE_ROUTE_REQUEST_H

#include "money/keys.h"
#include "net/conn.h"
#include "route/endpoint.h"
#include "route/trace.h"

struct request;
struct worker;

/* How a request ended, for the record. */
enum request_outcome {
    REQUEST_ANSWERED,
    REQUEST_REFUSED,  /* by us, before any attempt */
    REQUEST_FAILED,   /* attempts were made, or could not be */
    REQUEST_CANCELLED /* the client left */
};

/* Takes the message over. `pass`: of who asks; it lasts as long as the message. */
void request_begin(struct worker *w, struct conn *c, struct http_message *m,
                   const struct endpoint *endpoint, const struct keys_pass *pass);

/* The policy state it waited for is here (or will not come: then the fallback chain answers). */
void request_decide(struct request *r);

/* Should it wait in the queue: its turn may have come. */
void request_review(struct request *r);

/* The worker ends: whatever is under way is given up. */
void request_abandon(struct request *r);

struct request *request_next(const struct request *r); /* in worker.requests */

#endif
