/* bodies.h - what was asked and what was answered, kept for those whose project says so.
 *
 * Owns          a copy of the answer, while it goes out.
 * Fed by        request, at its beginning and end; client, with what goes out.
 * Feeds         the worker's journal.
 * Must not know what is done with it.
 *
 *   bodies_begin(r);
 *   bodies_take(r, bytes)...            whatever the client gets
 *   bodies_end(r);                      after the last of it; also when none was kept
 *
 * Nothing of it happens for a project without `bodies`. Prompts and answers are written down after
 * the client has its answer; a process that is killed in between has lost them, and no money.
 */
#ifndef PERILUNE_ROUTE_BODIES_H
#define PERILUNE_ROUTE_BODIES_H

#include "base/buf.h"

struct request;

struct bodies {
    struct buf answer;
    bool more; /* than is kept */
};

void bodies_begin(struct request *r);
void bodies_take(struct request *r, struct span bytes);
void bodies_end(struct request *r);

#endif
