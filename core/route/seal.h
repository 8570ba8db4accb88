/* seal.h - whose state it is that a history holds.
 *
 * Owns          nothing.
 * Fed by        body readers, with signatures and encrypted items as clients send them back.
 * Feeds         facts, with the dialect and the model they came from.
 * Must not know what is in them.
 *
 * A state of another dialect than the client's goes to the client sealed by us, which says whose it
 * is: "pl1.BY.KIND.MODEL.VALUE" (lua/perilune/shape.lua). Any other is of the dialect it stands in.
 */
#ifndef PERILUNE_ROUTE_SEAL_H
#define PERILUNE_ROUTE_SEAL_H

#include "base/arena.h"
#include "base/dialect.h"

/* Of a state that stands in a body of dialect `native`: the dialect of the model that made it, and
 * that model's upstream name (SPAN_NONE: not told), in `arena`. DIALECT_NONE for a seal that is not
 * one of ours. */
enum dialect seal_read(struct span state, enum dialect native, struct arena *arena,
                       struct span *model);

#endif
