/* words.h - what clients name things by, without the keys that got in among it.
 *
 * Owns          nothing.
 * Fed by        request, once its head and its body are read.
 * Feeds         struct facts: from there on no record, log, figure or policy can hold such a key.
 * Must not know what any of the words is for.
 *
 *   words_clean(&facts, snap, access_presented(message), &arena);
 */
#ifndef PERILUNE_ROUTE_WORDS_H
#define PERILUNE_ROUTE_WORDS_H

#include "base/arena.h"
#include "base/facts.h"
#include "base/snapshot.h"

/* Puts [key] where a key stands in the session, the user, the tier, a tag, a model or a header that is
 * recorded: what looks like one, and the one the client presented. A model that is on offer keeps its
 * name, whatever it looks like. */
void words_clean(struct facts *facts, const struct snapshot *snap, struct span presented,
                 struct arena *arena);

/* The word with [key] where something in it looks like one. */
struct span words_without_keys(struct span word, struct arena *arena);

#endif
