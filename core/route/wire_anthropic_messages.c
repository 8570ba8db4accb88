/* The bytes of Anthropic's Messages, and of the vendors who claim to speak them. */
#include "route/wire.h"

/* --- usage --- */

/* Told so far, and by parts: `input_tokens` leaves out what was read from the cache and written to
 * it. A later event may tell all of it again, some of it, or null. */
static void read_usage(struct json_value usage, struct wire_seen *seen) {
    struct wire_usage *u = &seen->usage;
    u->fresh = wire_count(usage, "input_tokens");
    u->cached = wire_count(usage, "cache_read_input_tokens");
    u->written = wire_count(usage, "cache_creation_input_tokens");
    u->output = wire_count(usage, "output_tokens");
    u->reasoning = wire_count(json_get(usage, "output_tokens_details"), "thinking_tokens");
    seen->has_usage = u->fresh >= 0 || u->cached >= 0 || u->written >= 0 || u->output >= 0;
}

/* --- content --- */

static void take_text(struct json_value text, struct wire_seen *seen) {
    struct span s = json_text(text);
    seen->content |= s.len > 0;
    seen->text += s.len;
}

/* What a block has for the reader. Texts and thoughts begin empty in streams; all other kinds say
 * something by being there: a call, its result, thoughts that are not shown. */
static void take_block(struct json_value block, struct wire_seen *seen) {
    struct span type = json_text(json_get(block, "type"));
    if (span_eq(type, SPAN("text"))) {
        take_text(json_get(block, "text"), seen);
    } else if (span_eq(type, SPAN("thinking"))) {
        take_text(json_get(block, "thinking"), seen);
    } else if (type.len) {
        seen->content = true;
        seen->text += wire_input(json_get(block, "input"));
    }
}

static void take_blocks(struct json_value blocks, struct wire_seen *seen) {
    if (json_type(blocks) == JSON_ARRAY)
        for (struct json_iter it = json_iter(blocks); json_next(&it);)
            take_block(it.value, seen);
}

/* One of these. A signature belongs to a thought and says nothing by itself. */
static void take_delta(struct json_value delta, struct wire_seen *seen) {
    static const char *const texts[] = { "text", "thinking", "partial_json" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !seen->text; i++)
        take_text(json_get(delta, texts[i]), seen);
}

static void take_stop(struct json_value reason, struct wire_seen *seen) {
    static const struct span excuses[] = {
        WIRE_NAME("max_tokens"),
        WIRE_NAME("model_context_window_exceeded"),
        WIRE_NAME("refusal"),
        { 0 },
    };
    struct span stop = json_text(reason);
    seen->choices = 1;
    seen->begun = 1;
    seen->finished = stop.len > 0;
    seen->ended = stop.len > 0;
    seen->excused = wire_among(stop, excuses);
}

/* --- events --- */

enum { ROOT_TYPE = WIRE_AT_OWN, ROOT_BLOCK, ROOT_DELTA, ROOT_USAGE, ROOT_COUNT };

static void read_start(struct json_value message, struct wire_seen *seen) {
    struct span model = json_text(json_get(message, "model"));
    seen->model = model.len ? model : SPAN_NONE;
    seen->nameless = !model.len;
    seen->choices = 1;
    seen->begun = 1;
    take_blocks(json_get(message, "content"), seen);
    read_usage(json_get(message, "usage"), seen);
}

/* A ping, the end of a block and a kind that came after us say nothing. */
static void read_kind(const struct json_value at[ROOT_COUNT], struct wire_seen *seen) {
    struct span type = json_text(at[ROOT_TYPE]);
    if (span_eq(type, SPAN("message_start"))) {
        read_start(at[WIRE_AT_MESSAGE], seen);
    } else if (span_eq(type, SPAN("content_block_start"))) {
        take_block(at[ROOT_BLOCK], seen);
    } else if (span_eq(type, SPAN("content_block_delta"))) {
        take_delta(at[ROOT_DELTA], seen);
    } else if (span_eq(type, SPAN("message_delta"))) {
        take_stop(json_get(at[ROOT_DELTA], "stop_reason"), seen);
        read_usage(at[ROOT_USAGE], seen);
    } else if (span_eq(type, SPAN("message_stop"))) {
        seen->kind = WIRE_END;
    }
}

static void read_event(struct json_parser *p, struct span name, struct span data,
                       struct arena *arena, struct wire_seen *seen) {
    static const struct span names[ROOT_COUNT] = { WIRE_AT_NAMES, WIRE_NAME("type"),
                                                   WIRE_NAME("content_block"), WIRE_NAME("delta"),
                                                   WIRE_NAME("usage") };
    struct json_value at[ROOT_COUNT];
    if (span_eq(name, SPAN("error"))) {
        *seen = (struct wire_seen){ .kind = WIRE_ERROR, .usage = WIRE_USAGE_UNKNOWN };
        wire_read_error(p, data, arena, &seen->error);
        return;
    }
    if (!wire_begin(p, data, names, at, ROOT_COUNT, arena, seen))
        return;
    if (json_text(at[ROOT_TYPE]).len)
        read_kind(at, seen);
    else
        seen->kind = WIRE_MALFORMED;
}

/* --- answers --- */

static void read_answer(struct json_parser *p, struct span body, struct arena *arena,
                        struct wire_seen *seen) {
    enum { CONTENT = WIRE_AT_OWN, STOP, USAGE, MODEL, COUNT };
    static const struct span names[COUNT] = { WIRE_AT_NAMES, WIRE_NAME("content"),
                                              WIRE_NAME("stop_reason"), WIRE_NAME("usage"),
                                              WIRE_NAME("model") };
    struct json_value at[COUNT];
    if (!wire_begin(p, body, names, at, COUNT, arena, seen))
        return;
    if (json_type(at[CONTENT]) != JSON_ARRAY) {
        seen->kind = WIRE_MALFORMED;
        return;
    }
    take_blocks(at[CONTENT], seen);
    take_stop(at[STOP], seen);
    read_usage(at[USAGE], seen);
    wire_usage_merge(&seen->usage, &seen->usage); /* nothing follows: the sum can be made */
    wire_answer_model(p, at[MODEL], seen);
}

const struct wire wire_anthropic_messages = { .model_in = WIRE_NAME("message"),
                                              .read_event = read_event,
                                              .read_answer = read_answer };
