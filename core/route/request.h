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

/* Where money and the record hook in. Any member may be NULL. Called on the worker's thread. */
struct request_hooks {
    /* Sets the attempt's bound aside before it starts (-1: no price). False: there is not enough;
     * the step counts as failed for `cost`. */
    bool (*reserve)(void *owner, const struct facts *facts, const struct step *step, nanousd bound);
    /* The attempt is over: what was set aside is exchanged for what it cost. Once for each reserve
     * that said yes. */
    void (*settle)(void *owner, const struct facts *facts, const struct trace_attempt *attempt,
                   nanousd bound);
    /* The request is over; called just before its last bytes go to the client. Once. */
    void (*record)(void *owner, const struct facts *facts, const struct trace *trace,
                   enum request_outcome outcome, int status);
    void *owner;
};

/* Takes the message over. `key`: as access_check() found it. */
void request_begin(struct worker *w, struct conn *c, struct http_message *m,
                   const struct endpoint *endpoint, unsigned key);

/* The policy state it waited for is here (or will not come: then the fallback chain answers). */
void request_decide(struct request *r);

/* Should it wait in the queue: its turn may have come. */
void request_review(struct request *r);

/* The worker ends: whatever is under way is given up. */
void request_abandon(struct request *r);

struct request *request_next(const struct request *r); /* in worker.requests */

#endif
