/* models.h - the models on offer, as GET /v1/models tells them (OpenAI's list or Anthropic's, with
 * what a router's users want to know beside it).
 *
 * Owns          nothing.
 * Fed by        worker; cli, for `perilune models`.
 * Feeds         a body.
 * Must not know connections.
 */
#ifndef PERILUNE_ROUTE_MODELS_H
#define PERILUNE_ROUTE_MODELS_H

#include "base/buf.h"
#include "base/snapshot.h"

/* Of what `key` may use and choose (NULL: of all): {"object":"list","data":[...]}: auto, every policy as policy/NAME, every named chain, every model
 * once and every target. For DIALECT_ANTHROPIC_MESSAGES {"data":[...],"has_more":false,...}: all on
 * one page. */
void models_write_list(const struct snapshot *snap, const struct key *key, enum dialect dialect,
                       struct buf *out);

/* One of them. False when there is none of that name. */
bool models_write_one(const struct snapshot *snap, enum dialect dialect, struct span id,
                      struct buf *out);

#endif
