/* pursuit.h - following the chain of a request until somebody answers.
 *
 * Owns          the order of things: which attempt is begun when, what the failure of one leads to,
 *               what a stream that waits is told meanwhile.
 * Fed by        request, with a chain; attempts and timers, with what happens.
 * Feeds         client, with what the client gets; request, with the end.
 * Must not know how the chain came about, how attempts work, how answers are written.
 *
 *   pursuit_begin(r);         the chain is in r->decision; it ends the request by itself
 */
#ifndef PERILUNE_ROUTE_PURSUIT_H
#define PERILUNE_ROUTE_PURSUIT_H

#include "route/request_state.h"

void pursuit_begin(struct request *r);

#endif
