/* The bytes of OpenAI's old Completions: those of Chat Completions, but that a choice's content is a
 * text of its own. */
#include "route/wire.h"

static void read_event(struct json_parser *p, struct span name, struct span data,
                       struct arena *arena, struct wire_seen *seen) {
    wire_openai_chat_event(true, p, name, data, arena, seen);
}

static void read_answer(struct json_parser *p, struct span body, struct arena *arena,
                        struct wire_seen *seen) {
    wire_openai_chat_answer(true, p, body, arena, seen);
}

const struct wire wire_openai_completions = { .end_mark = WIRE_NAME("data: [DONE]\n\n"),
                                              .read_event = read_event,
                                              .read_answer = read_answer };
