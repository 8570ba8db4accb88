/* binding.h - the provider a conversation is bound to.
 *
 * Owns          nothing.
 * Fed by        facts, with whose state the history holds.
 * Feeds         policies (req.bound_to).
 * Must not know where states stand, nor what is in them.
 */
#ifndef PERILUNE_BASE_BINDING_H
#define PERILUNE_BASE_BINDING_H

#include "base/facts.h"
#include "base/snapshot.h"

/* Who made the state facts->signed_by tells of: the provider that answered this session last, if it
 * has such a model; else the only one that has. SPAN_NONE: there is no such state, or it may be
 * of several or of none. */
struct span binding_provider(const struct snapshot *snap, const struct facts *facts);

#endif
