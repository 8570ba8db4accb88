/* reach.h - what the names in a request mean here, and what it may reach.
 *
 * Owns          nothing.
 * Fed by        request, with the facts and the snapshot.
 * Feeds         request, with the name of the policy that decides, the chain when none does, a
 *               chain cut down to what is allowed.
 * Must not know Lua, networks.
 */
#ifndef PERILUNE_ROUTE_REACH_H
#define PERILUNE_ROUTE_REACH_H

#include "base/decision.h"
#include "route/error.h"

/* Which policy decides; first match wins: `wished` (header), the model policy/NAME or auto:MODE
 * (facts->model becomes "auto" then), what is said of the key, the project, the tier, the endpoint or
 * the account: by an assignment, whose limits tighten the facts' then (facts->assignment says which),
 * or by a key or project itself. `auto` means the account's mode. False with `*error` when one that
 * does not exist was asked for, or by a key that may not. */
bool reach_policy(const struct snapshot *snap, struct facts *facts, struct span wished,
                  struct arena *arena, struct span *policy, struct api_error *error);

/* Whether every model the client names is known: a target, a model, an alias, provider/any-id, a
 * configured chain, or auto; and can do what the endpoint is for, embed or answer. A retired model
 * is replaced in the facts where that is configured (facts->replaced), else the error says by what.
 * False with `*error`, which gives near names. */
bool reach_names(const struct snapshot *snap, struct facts *facts, struct arena *arena,
                 struct api_error *error);

/* Whether one name is known, which stands in `param`. */
bool reach_name(const struct snapshot *snap, struct span name, struct span param,
                struct arena *arena, struct api_error *error);

/* The chain when a policy failed: the configured fallback; without one, what the client named and
 * its configured chain; without that, the cheapest targets that can do the job. */
void reach_fallback(const struct snapshot *snap, const struct facts *facts, struct arena *arena,
                    struct chain *chain);

/* Takes out steps that who asks may not use, and such as can not do what the endpoint is for (embeddings go to no target that does
 * not embed, or whose provider does not speak them), and keeps a strict request to the models it
 * names (for the name of a configured chain: to its targets): other steps go, and where none is
 * left, the named targets are the chain, or those a key is kept to. An empty chain stays empty: that
 * was an answer. */
void reach_enforce(const struct snapshot *snap, const struct facts *facts, struct arena *arena,
                   struct chain *chain);

/* The same for the rest of a chain that has been tried already: where none is left, that is its
 * end. */
void reach_filter(const struct snapshot *snap, const struct facts *facts, struct arena *arena,
                  struct chain *chain);

/* Whether a key may use a target, and choose a policy. NULL, no key being wanted, may do all. What a
 * name means is made in `arena`. */
bool reach_may_use(const struct snapshot *snap, const struct key *key, const struct target *t,
                   struct arena *arena);
bool reach_may_choose(const struct key *key, struct span policy);

/* A step with nothing said. */
struct step reach_step(const struct target *target);

/* A chain with nothing said. */
struct chain reach_chain(void);

#endif
