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
    DIALECT_OPENAI_CHAT,        /* POST /v1/chat/completions */
    DIALECT_OPENAI_RESPONSES,   /* POST /v1/responses */
    DIALECT_ANTHROPIC_MESSAGES, /* POST /v1/messages */
    DIALECT_GEMINI,             /* POST /v1beta/models/MODEL:generateContent; providers only */
    DIALECT_BEDROCK_CONVERSE,   /* POST /model/MODEL/converse; providers only */
    DIALECT_OPENAI_COMPLETIONS, /* POST /v1/completions, the old one */
    DIALECT_OPENAI_EMBEDDINGS,  /* POST /v1/embeddings; passes through, or is not served */
    DIALECT_COUNT
};

/* Sets of dialects are bit masks. */
#define DIALECT_BIT(d) (UINT32_C(1) << (d))

/* "openai_chat". */
const char *dialect_name(enum dialect d);
enum dialect dialect_of(struct span name);

#endif
