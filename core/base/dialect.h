/* dialect.h - the wire formats, by name.
 *
 * Owns          the names.
 * Fed by        endpoints (what a client speaks), provider files (what a provider speaks).
 * Feeds         whoever has to choose between passing on and translating.
 * Must not know what any of them looks like.
 */
#ifndef PERILUNE_BASE_DIALECT_H
#define PERILUNE_BASE_DIALECT_H

#include "base/span.h"

enum dialect {
    DIALECT_NONE,
    DIALECT_OPENAI_CHAT, /* POST /v1/chat/completions */
    DIALECT_COUNT
};

/* "openai_chat". */
const char *dialect_name(enum dialect d);
enum dialect dialect_of(struct span name);

#endif
