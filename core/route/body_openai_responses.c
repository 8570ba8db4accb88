/* Responses. Its input is a list of items: what a message of Chat Completions holds together
 * stands in a row here. */
#include "base/ability.h"
#include "route/body_reading.h"

enum {
    FIELD_INPUT = BODY_OWN,
    FIELD_STREAM_OPTIONS,
    FIELD_INSTRUCTIONS,
    FIELD_MAX_OUTPUT_TOKENS,
    FIELD_MAX_TOOL_CALLS,
    FIELD_TOOLS,
    FIELD_TOOL_CHOICE,
    FIELD_TEXT,
    FIELD_REASONING,
    FIELD_USER,
    FIELD_SAFETY_IDENTIFIER,
    FIELD_METADATA,
    FIELD_PROMPT_CACHE_KEY,
    FIELD_TEMPERATURE,
    FIELD_TOP_P,
    FIELD_TOP_LOGPROBS,
    FIELD_PARALLEL_TOOL_CALLS,
    FIELD_SERVICE_TIER,
    FIELD_STORE,
    FIELD_INCLUDE,
    FIELD_PREVIOUS_RESPONSE_ID,
    FIELD_CONVERSATION,
    FIELD_PROMPT,
    FIELD_BACKGROUND,
    FIELD_TRUNCATION,
    FIELD_COUNT
};

static const struct body_field fields[FIELD_COUNT] = {
    BODY_COMMON_FIELDS,
    [FIELD_INPUT] = BODY_FIELD("input", BODY_STRING | BODY_ARRAY),
    [FIELD_STREAM_OPTIONS] = BODY_FIELD("stream_options", BODY_OBJECT),
    [FIELD_INSTRUCTIONS] = BODY_FIELD("instructions", BODY_STRING),
    [FIELD_MAX_OUTPUT_TOKENS] = BODY_FIELD("max_output_tokens", BODY_POSITIVE),
    [FIELD_MAX_TOOL_CALLS] = BODY_FIELD("max_tool_calls", BODY_POSITIVE),
    [FIELD_TOOLS] = BODY_FIELD("tools", BODY_ARRAY),
    [FIELD_TOOL_CHOICE] = BODY_FIELD("tool_choice", BODY_STRING | BODY_OBJECT),
    [FIELD_TEXT] = BODY_FIELD("text", BODY_OBJECT),
    [FIELD_REASONING] = BODY_FIELD("reasoning", BODY_OBJECT),
    [FIELD_USER] = BODY_FIELD("user", BODY_STRING),
    [FIELD_SAFETY_IDENTIFIER] = BODY_FIELD("safety_identifier", BODY_STRING),
    [FIELD_METADATA] = BODY_FIELD("metadata", BODY_OBJECT),
    [FIELD_PROMPT_CACHE_KEY] = BODY_FIELD("prompt_cache_key", BODY_STRING),
    [FIELD_TEMPERATURE] = BODY_FIELD("temperature", BODY_NUMBER),
    [FIELD_TOP_P] = BODY_FIELD("top_p", BODY_NUMBER),
    [FIELD_TOP_LOGPROBS] = BODY_FIELD("top_logprobs", BODY_INTEGER),
    [FIELD_PARALLEL_TOOL_CALLS] = BODY_FIELD("parallel_tool_calls", BODY_BOOL),
    [FIELD_SERVICE_TIER] = BODY_FIELD("service_tier", BODY_STRING),
    [FIELD_STORE] = BODY_FIELD("store", BODY_BOOL),
    [FIELD_INCLUDE] = BODY_FIELD("include", BODY_STRINGS),
    [FIELD_PREVIOUS_RESPONSE_ID] = BODY_FIELD("previous_response_id", BODY_STRING),
    [FIELD_CONVERSATION] = BODY_FIELD("conversation", BODY_STRING | BODY_OBJECT),
    [FIELD_PROMPT] = BODY_FIELD("prompt", BODY_OBJECT),
    [FIELD_BACKGROUND] = BODY_FIELD("background", BODY_BOOL),
    [FIELD_TRUNCATION] = BODY_FIELD("truncation", BODY_STRING),
};

/* --- items --- */

/* A picture is an address or a data URL, bare or, as some clients write it, in an object. */
static struct span picture_source(struct json_value part) {
    struct json_value image = json_get(part, "image_url");
    struct span url = json_text(image);
    return url.at ? url : json_text(json_get(image, "url"));
}

static void read_part(struct body_reading *r, struct json_value part) {
    struct span type = json_text(json_get(part, "type"));
    body_add_text(r, json_text(json_get(part, "text")));
    body_add_text(r, json_text(json_get(part, "refusal")));
    if (span_eq(type, SPAN("input_image"))) {
        body_add_picture(r, picture_source(part),
                         span_eq(json_text(json_get(part, "detail")), SPAN("low")));
    } else if (span_eq(type, SPAN("input_file"))) {
        body_add_file(r, json_text(json_get(part, "file_data")));
    } else if (span_eq(type, SPAN("input_audio"))) {
        body_add_audio(r, json_text(json_get(json_get(part, "input_audio"), "data")));
    }
}

static bool read_message(struct body_reading *r, struct json_value item, size_t index) {
    struct span role = json_text(json_get(item, "role"));
    struct json_value content = json_get(item, "content");
    if (!role.len)
        return body_refuse_item(r, FIELD_INPUT, index, "role", "must be a string");
    if (!body_read_parts(r, content, FIELD_INPUT, index, "content", read_part))
        return false;
    body_add_message(r, role, content);
    return true;
}

/* What the assistant did beside writing: calls, and what it thought. What it thought in secret is
 * the provider's to count. */
static void read_step(struct body_reading *r, struct json_value item) {
    static const char *const texts[] = { "name", "arguments", "input" };
    static const char *const lists[] = { "summary", "content" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        body_add_text(r, json_text(json_get(item, texts[i])));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (struct json_iter it = json_iter(json_get(item, lists[i])); json_next(&it);)
            body_add_text(r, json_text(json_get(it.value, "text")));
    r->text_bytes += body_weight(json_get(item, "action"));
    body_add_message(r, SPAN("assistant"), (struct json_value){ 0 });
}

/* What a tool of the client's gave: function_call_output, custom_tool_call_output, and those of
 * shells and screens. */
static bool is_output(struct span type) {
    const struct span end = SPAN("_output");
    return type.len > end.len && span_eq(span_sub(type, type.len - end.len, end.len), end);
}

static bool read_output(struct body_reading *r, struct json_value item, size_t index) {
    struct json_value output = json_get(item, "output");
    if (json_type(output) == JSON_OBJECT) /* one picture of a screen */
        read_part(r, output);
    else if (!body_read_parts(r, output, FIELD_INPUT, index, "output", read_part))
        return false;
    body_add_message(r, SPAN("tool"), (struct json_value){ 0 });
    return true;
}

static bool read_item(struct body_reading *r, struct json_value item, size_t index) {
    if (json_type(item) != JSON_OBJECT)
        return body_refuse_item(r, FIELD_INPUT, index, "", "must be an object");
    struct json_value kind = json_get(item, "type");
    struct span type = json_text(kind);
    if (json_type(kind) == JSON_ABSENT || json_type(kind) == JSON_NULL ||
        span_eq(type, SPAN("message")))
        return read_message(r, item, index);
    if (!type.len)
        return body_refuse_item(r, FIELD_INPUT, index, "type", "must be a string");
    if (is_output(type))
        return read_output(r, item, index);
    if (span_eq(type, SPAN("reasoning")))
        body_add_state(r, json_text(json_get(item, "encrypted_content")));
    read_step(r, item);
    return true;
}

/* An input may be left out where the provider holds one: behind an earlier response, in a
 * conversation, in a prompt kept there. */
static bool is_kept_elsewhere(const struct body_reading *r) {
    return json_type(body_value(r, FIELD_PREVIOUS_RESPONSE_ID)) != JSON_ABSENT ||
           json_type(body_value(r, FIELD_CONVERSATION)) != JSON_ABSENT ||
           json_type(body_value(r, FIELD_PROMPT)) != JSON_ABSENT;
}

static bool read_input(struct body_reading *r) {
    struct json_value input = body_value(r, FIELD_INPUT);
    size_t i = 0;
    if (json_type(input) == JSON_STRING) {
        body_add_text(r, json_text(input));
        body_add_message(r, SPAN("user"), input);
        return true;
    }
    if (json_count(input) == 0 && !is_kept_elsewhere(r))
        return body_refuse_field(r, FIELD_INPUT,
                                 json_type(input) == JSON_ABSENT ? "is required"
                                                                 : "must have at least one item");
    for (struct json_iter it = json_iter(input); json_next(&it); i++)
        if (!read_item(r, it.value, i))
            return false;
    return true;
}

/* --- what else is asked for --- */

static bool read_tools(struct body_reading *r) {
    const int list = FIELD_TOOLS;
    if (!body_read_tools(r, &list, 1))
        return false;
    struct json_value v = body_value(r, FIELD_TOOL_CHOICE);
    struct span choice = json_text(v);
    if (json_type(v) == JSON_OBJECT)
        choice = span_eq(json_text(json_get(v, "type")), SPAN("allowed_tools"))
                     ? json_text(json_get(v, "mode"))
                     : body_tool_name(v);
    body_set_tool_choice(r, choice);
    return true;
}

static void read_uses(struct body_reading *r) {
    uint32_t *uses = &r->facts->uses;
    struct json_value format = json_get(body_value(r, FIELD_TEXT), "format");
    struct json_value reasoning = body_value(r, FIELD_REASONING);
    struct span effort = json_text(json_get(reasoning, "effort"));
    *uses |= ABILITY_CHAT;
    if (span_eq(json_text(json_get(format, "type")), SPAN("json_schema")))
        *uses |= ABILITY_JSON_SCHEMA;
    /* A wish to be told of the reasoning is one for reasoning. */
    if (effort.len ? !span_eq(effort, SPAN("none"))
                   : json_text(json_get(reasoning, "summary")).len > 0)
        *uses |= ABILITY_REASONING;
}

static bool read(struct body_reading *r) {
    struct json_value instructions = body_value(r, FIELD_INSTRUCTIONS);
    if (json_true(body_value(r, FIELD_BACKGROUND)))
        return body_refuse_field(r, FIELD_BACKGROUND,
                                 "must not be true: answers can not be fetched later here");
    if (body_says_something(instructions)) {
        body_add_text(r, json_text(instructions));
        body_add_message(r, SPAN("system"), instructions);
    }
    if (!read_input(r) || !read_tools(r))
        return false;
    read_uses(r);
    body_set_user(r, json_text(body_value(r, FIELD_SAFETY_IDENTIFIER)));
    body_set_user(r, json_text(body_value(r, FIELD_USER)));
    body_set_user(r, json_text(json_get(body_value(r, FIELD_METADATA), "user_id")));
    body_set_session(r, json_text(body_value(r, FIELD_PROMPT_CACHE_KEY)));
    body_set_output(r, body_int(body_value(r, FIELD_MAX_OUTPUT_TOKENS), 0), 1);
    return true;
}

const struct body_dialect body_openai_responses = {
    .fields = fields,
    .n_fields = FIELD_COUNT,
    .read = read,
};
