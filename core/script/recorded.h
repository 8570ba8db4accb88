/* recorded.h - a request that was written down, as the facts policies decide by.
 *
 * Owns          nothing; what it makes lies in the arena given, or in the JSON document.
 * Fed by        a line of a record: route/record writes it, people may.
 * Feeds         replay.
 * Must not know what is decided. Whatever is missing, or of another type than it should be, is as in
 *               a request that says nothing of it.
 */
#ifndef PERILUNE_SCRIPT_RECORDED_H
#define PERILUNE_SCRIPT_RECORDED_H

#include "base/arena.h"
#include "base/facts.h"
#include "base/json.h"
#include "base/snapshot.h"

/* `line` is the whole object. The facts are good as long as its document and the arena. */
void recorded_facts(struct json_value line, const struct snapshot *snap, struct arena *arena,
                    struct facts *facts);

#endif
