#include "base/dialect.h"

static const char *const names[DIALECT_COUNT] = {
    [DIALECT_NONE] = "none",
    [DIALECT_OPENAI_CHAT] = "openai_chat",
    [DIALECT_OPENAI_RESPONSES] = "openai_responses",
    [DIALECT_ANTHROPIC_MESSAGES] = "anthropic_messages",
    [DIALECT_GEMINI] = "gemini",
    [DIALECT_BEDROCK_CONVERSE] = "bedrock_converse",
    [DIALECT_OPENAI_COMPLETIONS] = "openai_completions",
    [DIALECT_OPENAI_EMBEDDINGS] = "openai_embeddings",
};

const char *dialect_name(enum dialect d) {
    return (unsigned)d < DIALECT_COUNT ? names[d] : names[DIALECT_NONE];
}

enum dialect dialect_of(struct span name) {
    for (int d = DIALECT_NONE + 1; d < DIALECT_COUNT; d++)
        if (span_eq(name, span_of(names[d])))
            return (enum dialect)d;
    return DIALECT_NONE;
}
