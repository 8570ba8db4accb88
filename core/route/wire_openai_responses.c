/* The bytes of OpenAI's Responses. */
#include "route/wire.h"

/* --- usage --- */

static void read_usage(struct json_value usage, struct wire_seen *seen) {
    struct json_value in = json_get(usage, "input_tokens_details");
    struct wire_usage *u = &seen->usage;
    u->input = wire_count(usage, "input_tokens");
    u->output = wire_count(usage, "output_tokens");
    u->cached = wire_count(in, "cached_tokens");
    u->written = wire_count(in, "cache_write_tokens");
    u->reasoning = wire_count(json_get(usage, "output_tokens_details"), "reasoning_tokens");
    seen->has_usage = u->input >= 0 || u->output >= 0;
}

/* --- content --- */

/* Bytes of the texts and refusals among an item's parts, or a summary's. */
static uint64_t bytes_of(struct json_value parts) {
    uint64_t n = 0;
    if (json_type(parts) == JSON_ARRAY)
        for (struct json_iter it = json_iter(parts); json_next(&it);)
            n += json_text(json_get(it.value, "text")).len +
                 json_text(json_get(it.value, "refusal")).len;
    return n;
}

/* What an item has for the reader: a call by being there, a message and a thought by their texts.
 * Sealed thoughts alone are nothing. */
static void take_item(struct json_value item, struct wire_seen *seen) {
    uint64_t n = bytes_of(json_get(item, "content")) + bytes_of(json_get(item, "summary"));
    seen->content |= n || span_ends(json_text(json_get(item, "type")), SPAN("_call"));
    seen->text += n + wire_input(json_get(item, "arguments")) + wire_input(json_get(item, "input"));
}

static void take_items(struct json_value items, struct wire_seen *seen) {
    if (json_type(items) == JSON_ARRAY)
        for (struct json_iter it = json_iter(items); json_next(&it);)
            take_item(it.value, seen);
}

/* --- the response object --- */

enum {
    RESPONSE_OUTPUT = WIRE_AT_OWN,
    RESPONSE_STATUS,
    RESPONSE_USAGE,
    RESPONSE_MODEL,
    RESPONSE_COUNT
};
static const struct span response_names[RESPONSE_COUNT] = { WIRE_AT_NAMES, WIRE_NAME("output"),
                                                            WIRE_NAME("status"), WIRE_NAME("usage"),
                                                            WIRE_NAME("model") };

/* Whether the response failed, whatever else it says. */
static bool has_failed(const struct json_value at[RESPONSE_COUNT]) {
    struct span status = json_text(at[RESPONSE_STATUS]);
    return span_eq(status, SPAN("failed")) || span_eq(status, SPAN("cancelled"));
}

static void take_failure(struct json_value response, struct arena *arena, struct wire_seen *seen) {
    seen->kind = WIRE_ERROR;
    wire_read_error_value(response, arena, &seen->error);
    if (!seen->error.message.at)
        seen->error.message = SPAN("the provider says that the response failed");
}

/* A response that is over. One that is incomplete, or is to be fetched later, needs no content. */
static void take_end(const struct json_value at[RESPONSE_COUNT], struct wire_seen *seen) {
    struct span status = json_text(at[RESPONSE_STATUS]);
    seen->choices = 1;
    seen->finished = 1;
    seen->begun = 1;
    seen->ended = 1;
    seen->excused = status.len && !span_eq(status, SPAN("completed"));
    take_items(at[RESPONSE_OUTPUT], seen);
    seen->all_text = true;
    read_usage(at[RESPONSE_USAGE], seen);
}

/* --- events --- */

enum { ROOT_TYPE = WIRE_AT_OWN, ROOT_RESPONSE, ROOT_ITEM, ROOT_DELTA, ROOT_PICTURE, ROOT_COUNT };

static bool is_end(struct span type) {
    return span_eq(type, SPAN("response.completed")) ||
           span_eq(type, SPAN("response.incomplete")) || span_eq(type, SPAN("response.failed"));
}

/* response.created and its like, with the response as it is by then. */
static void read_response(struct json_value response, struct span type, struct arena *arena,
                          struct wire_seen *seen) {
    struct json_value at[RESPONSE_COUNT];
    json_pick(response, response_names, at, RESPONSE_COUNT);
    struct span model = json_text(at[RESPONSE_MODEL]);
    seen->model = model.len ? model : SPAN_NONE;
    seen->nameless = !model.len;
    seen->begun = 1;
    if (has_failed(at) || span_eq(type, SPAN("response.failed"))) {
        take_failure(response, arena, seen);
    } else if (span_eq(type, SPAN("response.completed")) ||
               span_eq(type, SPAN("response.incomplete"))) {
        take_end(at, seen);
        seen->kind = WIRE_END;
        seen->excused |= span_eq(type, SPAN("response.incomplete"));
    }
}

/* All that comes in pieces is told by a `delta`; a provider that sends none has its items. Those
 * repeat what came in pieces, and what is heard is no text. */
static void take_piece(const struct json_value at[ROOT_COUNT], struct span type,
                       struct wire_seen *seen) {
    struct span delta = json_text(at[ROOT_DELTA]);
    if (delta.len) {
        seen->content = true;
        seen->text = span_eq(type, SPAN("response.audio.delta")) ? 0 : delta.len;
        return;
    }
    take_item(at[ROOT_ITEM], seen);
    seen->content |= json_text(at[ROOT_PICTURE]).len > 0;
    seen->text = 0;
}

static void read_event(struct json_parser *p, struct span name, struct span data,
                       struct arena *arena, struct wire_seen *seen) {
    static const struct span names[ROOT_COUNT] = {
        WIRE_AT_NAMES,     WIRE_NAME("type"),  WIRE_NAME("response"),
        WIRE_NAME("item"), WIRE_NAME("delta"), WIRE_NAME("partial_image_b64")
    };
    struct json_value at[ROOT_COUNT];
    data = span_trim(data);
    if (span_starts(data, SPAN("[DONE]"))) {
        *seen = (struct wire_seen){ .kind = WIRE_END, .usage = WIRE_USAGE_UNKNOWN };
        return;
    }
    if (!wire_begin(p, data, names, at, ROOT_COUNT, arena, seen))
        return;
    struct span type = json_text(at[ROOT_TYPE]);
    if (!type.len) {
        seen->kind = WIRE_MALFORMED;
    } else if (span_eq(type, SPAN("error"))) {
        seen->kind = WIRE_ERROR;
        wire_read_error(p, data, arena, &seen->error);
    } else if (json_type(at[ROOT_RESPONSE]) == JSON_OBJECT) {
        read_response(at[ROOT_RESPONSE], type, arena, seen);
    } else if (is_end(type)) {
        /* A client would take it for the end, which it can not be. */
        seen->kind = WIRE_MALFORMED;
    } else {
        take_piece(at, type, seen);
    }
}

/* --- answers --- */

static void read_answer(struct json_parser *p, struct span body, struct arena *arena,
                        struct wire_seen *seen) {
    struct json_value at[RESPONSE_COUNT];
    if (!wire_begin(p, body, response_names, at, RESPONSE_COUNT, arena, seen))
        return;
    if (json_type(at[RESPONSE_OUTPUT]) != JSON_ARRAY) {
        seen->kind = WIRE_MALFORMED;
    } else if (has_failed(at)) {
        seen->kind = WIRE_ERROR;
        wire_read_error(p, body, arena, &seen->error);
    } else {
        take_end(at, seen);
        wire_answer_model(p, at[RESPONSE_MODEL], seen);
    }
}

const struct wire wire_openai_responses = { .model_in = WIRE_NAME("response"),
                                            .read_event = read_event,
                                            .read_answer = read_answer };
