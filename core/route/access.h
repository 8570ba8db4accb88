/* access.h - who may ask, and what the head of a request says.
 *
 * Owns          the rules: client keys, Host and Origin without keys, the headers that are ours.
 * Fed by        worker, with a head.
 * Feeds         request, with struct facts filled as far as the head goes.
 * Must not know bodies.
 *
 *   if (!access_check(snap, message, endpoint, &facts.key, &error)) refuse(&error);
 *   if (!access_read(message, &facts, &wishes, &error)) refuse(&error);
 */
#ifndef PERILUNE_ROUTE_ACCESS_H
#define PERILUNE_ROUTE_ACCESS_H

#include "base/facts.h"
#include "base/snapshot.h"
#include "net/http1.h"
#include "route/endpoint.h"
#include "route/error.h"

/* Checks the key; without any configured, that no web page can spend from this machine. `*key` is
 * its number, from 1, or 0. False with `*error` filled: one text for every kind of wrong key. */
bool access_check(const struct snapshot *snap, const struct http_message *m,
                  const struct endpoint *endpoint, unsigned *key, struct api_error *error);

/* What the head asks for beside the facts. */
struct access_wishes {
    struct span policy; /* x-route-policy */
    bool trace;         /* x-route-trace: 1 */
};

/* Reads the x-route headers and the rest of the head into `facts` (in the message's arena). False,
 * with the header named, when one can not be read. */
bool access_read(struct http_message *m, struct facts *facts, struct access_wishes *wishes,
                 struct api_error *error);

/* A coding agent's name for its session, from the header it has of its own; SPAN_NONE without one.
 */
struct span access_agent_session(const struct facts *facts);

/* Whether a request header may be forwarded to a provider of that dialect. What it means belongs to
 * the dialect too: a client that speaks another did not mean this provider by it. */
bool access_forwards(enum dialect dialect, struct span name);

/* Whether an answer's header may be passed on to a client. */
bool access_returns(enum dialect dialect, struct span name);

#endif
