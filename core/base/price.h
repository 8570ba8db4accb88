/* price.h - what a target costs a request of that size at that moment.
 *
 * Owns          nothing.
 * Fed by        the catalogue's prices and their rules.
 * Feeds         whoever works out or bounds a cost.
 * Must not know what the cost is for.
 *
 *   struct price p = price_at(target, input_tokens, clock_unix_ms() / 1000);
 */
#ifndef PERILUNE_BASE_PRICE_H
#define PERILUNE_BASE_PRICE_H

#include "base/snapshot.h"

/* The price of the first rule that holds for a request of that many input tokens at that Unix time,
 * else the base price. */
struct price price_at(const struct target *target, int64_t input_tokens, uint64_t now_s);

/* The highest of each kind that any rule can make of it, whenever, for a request of at most that many
 * input tokens. PRICE_UNKNOWN for what some of them does not know. */
struct price price_highest(const struct target *target, int64_t input_tokens);

#endif
