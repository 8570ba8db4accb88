/* The bytes of OpenAI's Embeddings: whole answers only. */
#include "route/wire.h"

enum { ROOT_DATA = WIRE_AT_OWN, ROOT_USAGE, ROOT_MODEL, ROOT_COUNT };

static void read_answer(struct json_parser *p, struct span body, struct arena *arena,
                        struct wire_seen *seen) {
    static const struct span names[ROOT_COUNT] = { WIRE_AT_NAMES, WIRE_NAME("data"),
                                                   WIRE_NAME("usage"), WIRE_NAME("model") };
    struct json_value at[ROOT_COUNT];
    if (!wire_begin(p, body, names, at, ROOT_COUNT, arena, seen))
        return;
    if (json_type(at[ROOT_DATA]) != JSON_ARRAY) {
        seen->kind = WIRE_MALFORMED;
        return;
    }
    seen->content = json_count(at[ROOT_DATA]) > 0;
    if (wire_openai_chat_usage(at[ROOT_USAGE], seen) && seen->usage.output < 0)
        seen->usage.output = 0; /* there is none, and most do not say so */
    wire_answer_model(p, at[ROOT_MODEL], seen);
}

const struct wire wire_openai_embeddings = { .read_event = wire_error_event,
                                             .read_answer = read_answer };
