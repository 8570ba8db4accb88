/* client.h - what the client of a request gets.
 *
 * Owns          the headers of its reply, and how a trace gets into an answer.
 * Fed by        request and pursuit, with an answer, a piece of one, or an error.
 * Feeds         conn.
 * Must not know how it came to this.
 *
 *   client_answer(r, attempt, record, body);                         a whole answer, or
 *   client_commit(r, attempt, record); client_write()...; client_end(r);   a stream, or
 *   client_error(r, &error);                                         instead of either, or within
 *
 * The client itself may be gone: then all of this is for those who wait for the same answer.
 */
#ifndef PERILUNE_ROUTE_CLIENT_H
#define PERILUNE_ROUTE_CLIENT_H

#include "route/idempotency.h"
#include "route/request_state.h"

/* Sends the head of a stream. `a` NULL: nobody knows yet who will answer. */
void client_commit(struct request *r, const struct attempt *a, const struct trace_attempt *record);

/* Some events. False: the client is slow; wait for its on_drain. */
bool client_write(struct request *r, struct span events);

/* A comment, for this client alone. */
void client_comment(struct request *r, struct span comment);

/* The end of a stream that ended well. */
void client_end(struct request *r);

/* A whole answer, of the attempt with that record. */
void client_answer(struct request *r, const struct attempt *a, const struct trace_attempt *record,
                   struct span body);

/* The answer another request had. */
void client_replay(struct request *r, const struct idempotency_answer *answer);

/* What a prompt is worth. */
void client_count(struct request *r, uint64_t tokens);

/* As a reply of its own, or inside the stream when that has begun. */
void client_error(struct request *r, const struct api_error *error);

/* The attempt whose stream the client reads is about to go: where that stood. */
void client_place(struct request *r, const struct attempt *a);

#endif
