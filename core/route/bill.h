/* bill.h - a request as the ledger has it.
 *
 * Owns          nothing: texts and lists lie in the request's arena.
 * Fed by        charge, when an attempt begins and when the request is over.
 * Feeds         the journal, and whoever else wants to know what became of a request.
 * Must not know files, what is done with it.
 */
#ifndef PERILUNE_ROUTE_BILL_H
#define PERILUNE_ROUTE_BILL_H

#include "money/entry.h"
#include "route/request.h"

/* `code`: of the error the client gets; SPAN_NONE: none. `free` is the caller's to fill. */
struct entry bill_of(struct request *r, enum request_outcome outcome, int status, struct span code);

/* The bound is the caller's to fill. */
struct entry_begun bill_begun(const struct request *r, const struct trace_attempt *attempt);

#endif
