/* access.h - who may ask, and what the head of a request says.
 *
 * Owns          the rules: what keys grant, Host and Origin without keys, the headers that are ours.
 * Fed by        worker, with a head; request.
 * Feeds         request, with struct facts filled as far as the head goes.
 * Must not know bodies.
 *
 *   if (!access_check(keys, config, message, endpoint, now_s, &pass, &error)) refuse(&error);
 *   if (!access_read(message, &facts, &wishes, &error)) refuse(&error);
 *   ... the body is read ...
 *   if (!access_grant(&facts, &arena, &error)) refuse(&error);
 */
#ifndef PERILUNE_ROUTE_ACCESS_H
#define PERILUNE_ROUTE_ACCESS_H

#include "base/facts.h"
#include "base/snapshot.h"
#include "money/keys.h"
#include "net/http1.h"
#include "route/endpoint.h"
#include "route/error.h"

/* The key a client presents, in whichever header its dialect puts it; SPAN_NONE: none. */
struct span access_presented(const struct http_message *m);

/* Checks the key; without any, that no web page can spend from this machine. *pass is then to be
 * ended, and all zeros where nobody has to be known. False with `*error` filled: one text for every
 * kind of wrong key. */
bool access_check(struct keys *keys, const struct config *config, const struct http_message *m,
                  const struct endpoint *endpoint, int64_t now_s, struct keys_pass *pass,
                  struct api_error *error);

/* What the head asks for beside the facts. */
struct access_wishes {
    struct span policy; /* x-route-policy */
    bool trace;         /* x-route-trace: 1 */
};

/* Reads the x-route headers and the rest of the head into `facts` (in the message's arena). False,
 * with the header named, when one can not be read. */
bool access_read(struct http_message *m, struct facts *facts, struct access_wishes *wishes,
                 struct api_error *error);

/* Whether facts->key may ask for what the head and the body do: a tier, a chain of its own. What it
 * does not say for itself, its key and its project do then: tier, tags, strictness. False with
 * `*error`. */
bool access_grant(struct facts *facts, struct arena *arena, struct api_error *error);

/* A coding agent's name for its session, from the header it has of its own; SPAN_NONE without one.
 */
struct span access_agent_session(const struct facts *facts);

/* Whether a request header may be forwarded to a provider of that dialect. What it means belongs to
 * the dialect too: a client that speaks another did not mean this provider by it. */
bool access_forwards(enum dialect dialect, struct span name);

/* Whether an answer's header may be passed on to a client. */
bool access_returns(enum dialect dialect, struct span name);

#endif
