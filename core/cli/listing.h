/* listing.h - asking providers which models they have.
 *
 * Owns          a loop and its transfers while it asks.
 * Fed by        `perilune models update --from-providers`, with the configured providers.
 * Feeds         it, with what each answered.
 * Must not know what the answers say.
 */
#ifndef PERILUNE_CLI_LISTING_H
#define PERILUNE_CLI_LISTING_H

#include "base/snapshot.h"

/* Sends GET BASE/models to every provider whose key can be shown as it is, all at once, with its
 * first key. Of each that answered 200, name and body go to `answers`, which has room for
 * snap->n_providers and whose texts lie in `arena`; of each that did not, and of each that can not be
 * asked so, a line goes to stderr. Returns how many answered. */
size_t listing_ask(const struct snapshot *snap, struct arena *arena, struct pair *answers);

#endif
