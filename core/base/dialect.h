/* dialect.h - the wire formats, by name. */
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
