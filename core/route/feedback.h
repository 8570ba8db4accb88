/* feedback.h - what clients say of the answers they got: POST /v1/feedback {id, score, label}.
 *
 * Owns          what was said, until it is known whether the request was theirs; a connection to the
 *               ledger.
 * Fed by        worker, with a message; a thread of the loop's pool, with what the ledger knows.
 * Feeds         the worker's journal; conn, with a reply.
 * Must not know SQL, what becomes of scores.
 *
 *   f = feedback_new(w);
 *   feedback_take(f, c, m, key);      answers by itself and frees the message
 *   feedback_free(f);                 after the loop's end
 *
 * The ledger is asked beside the loop, by one thread at a time for all that wait. A request that has
 * just ended may not be in it yet: it is asked again for two seconds before anybody is told that
 * there is none.
 */
#ifndef PERILUNE_ROUTE_FEEDBACK_H
#define PERILUNE_ROUTE_FEEDBACK_H

#include "base/account.h"
#include "net/conn.h"

struct feedback;
struct worker;

/* NULL where no ledger is kept. */
struct feedback *feedback_new(struct worker *w);

/* `key`: of who asks, as long as the message lasts; NULL: no keys are wanted. `f` NULL: there is
 * nothing to speak of. */
void feedback_take(struct feedback *f, struct worker *w, struct conn *c, struct http_message *m,
                   const struct key *key);

/* Whether nobody waits. */
bool feedback_idle(const struct feedback *f);

/* Nobody waits any more. NULL is fine. */
void feedback_free(struct feedback *f);

#endif
