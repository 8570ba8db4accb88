/* Chat Completions. */
#include "base/ability.h"
#include "route/body_reading.h"

enum {
    FIELD_MESSAGES = BODY_OWN,
    FIELD_STREAM_OPTIONS,
    FIELD_MAX_TOKENS,
    FIELD_MAX_COMPLETION_TOKENS,
    FIELD_N,
    FIELD_TOOLS,
    FIELD_TOOL_CHOICE,
    FIELD_FUNCTIONS,
    FIELD_FUNCTION_CALL,
    FIELD_RESPONSE_FORMAT,
    FIELD_REASONING_EFFORT,
    FIELD_REASONING,
    FIELD_MODALITIES,
    FIELD_AUDIO,
    FIELD_USER,
    FIELD_SAFETY_IDENTIFIER,
    FIELD_METADATA,
    FIELD_PROMPT_CACHE_KEY,
    FIELD_TEMPERATURE,
    FIELD_TOP_P,
    FIELD_FREQUENCY_PENALTY,
    FIELD_PRESENCE_PENALTY,
    FIELD_LOGIT_BIAS,
    FIELD_LOGPROBS,
    FIELD_TOP_LOGPROBS,
    FIELD_PARALLEL_TOOL_CALLS,
    FIELD_PREDICTION,
    FIELD_SEED,
    FIELD_SERVICE_TIER,
    FIELD_STOP,
    FIELD_STORE,
    FIELD_VERBOSITY,
    FIELD_WEB_SEARCH_OPTIONS,
    FIELD_COUNT
};

static const struct body_field fields[FIELD_COUNT] = {
    BODY_COMMON_FIELDS,
    [FIELD_MESSAGES] = BODY_FIELD("messages", BODY_ARRAY),
    [FIELD_STREAM_OPTIONS] = BODY_FIELD("stream_options", BODY_OBJECT),
    [FIELD_MAX_TOKENS] = BODY_FIELD("max_tokens", BODY_POSITIVE),
    [FIELD_MAX_COMPLETION_TOKENS] = BODY_FIELD("max_completion_tokens", BODY_POSITIVE),
    [FIELD_N] = BODY_FIELD("n", BODY_POSITIVE),
    [FIELD_TOOLS] = BODY_FIELD("tools", BODY_ARRAY),
    [FIELD_TOOL_CHOICE] = BODY_FIELD("tool_choice", BODY_STRING | BODY_OBJECT),
    [FIELD_FUNCTIONS] = BODY_FIELD("functions", BODY_ARRAY),
    [FIELD_FUNCTION_CALL] = BODY_FIELD("function_call", BODY_STRING | BODY_OBJECT),
    [FIELD_RESPONSE_FORMAT] = BODY_FIELD("response_format", BODY_OBJECT),
    [FIELD_REASONING_EFFORT] = BODY_FIELD("reasoning_effort", BODY_STRING),
    [FIELD_REASONING] = BODY_FIELD("reasoning", BODY_ANY),
    [FIELD_MODALITIES] = BODY_FIELD("modalities", BODY_ARRAY),
    [FIELD_AUDIO] = BODY_FIELD("audio", BODY_OBJECT),
    [FIELD_USER] = BODY_FIELD("user", BODY_STRING),
    [FIELD_SAFETY_IDENTIFIER] = BODY_FIELD("safety_identifier", BODY_STRING),
    [FIELD_METADATA] = BODY_FIELD("metadata", BODY_OBJECT),
    [FIELD_PROMPT_CACHE_KEY] = BODY_FIELD("prompt_cache_key", BODY_STRING),
    [FIELD_TEMPERATURE] = BODY_FIELD("temperature", BODY_NUMBER),
    [FIELD_TOP_P] = BODY_FIELD("top_p", BODY_NUMBER),
    [FIELD_FREQUENCY_PENALTY] = BODY_FIELD("frequency_penalty", BODY_NUMBER),
    [FIELD_PRESENCE_PENALTY] = BODY_FIELD("presence_penalty", BODY_NUMBER),
    [FIELD_LOGIT_BIAS] = BODY_FIELD("logit_bias", BODY_OBJECT),
    [FIELD_LOGPROBS] = BODY_FIELD("logprobs", BODY_BOOL),
    [FIELD_TOP_LOGPROBS] = BODY_FIELD("top_logprobs", BODY_INTEGER),
    [FIELD_PARALLEL_TOOL_CALLS] = BODY_FIELD("parallel_tool_calls", BODY_BOOL),
    [FIELD_PREDICTION] = BODY_FIELD("prediction", BODY_OBJECT),
    [FIELD_SEED] = BODY_FIELD("seed", BODY_NUMBER),
    [FIELD_SERVICE_TIER] = BODY_FIELD("service_tier", BODY_STRING),
    [FIELD_STOP] = BODY_FIELD("stop", BODY_STRING | BODY_STRINGS),
    [FIELD_STORE] = BODY_FIELD("store", BODY_BOOL),
    [FIELD_VERBOSITY] = BODY_FIELD("verbosity", BODY_STRING),
    [FIELD_WEB_SEARCH_OPTIONS] = BODY_FIELD("web_search_options", BODY_OBJECT),
};

/* --- tools and formats --- */

static bool read_tools(struct body_reading *r) {
    static const int lists[] = { FIELD_TOOLS, FIELD_FUNCTIONS };
    if (!body_read_tools(r, lists, sizeof lists / sizeof *lists))
        return false;
    struct json_value v = body_value(r, FIELD_TOOL_CHOICE);
    if (json_type(v) == JSON_ABSENT)
        v = body_value(r, FIELD_FUNCTION_CALL);
    struct span choice = json_text(v);
    if (json_type(v) == JSON_OBJECT) {
        choice = json_text(json_get(json_get(v, "allowed_tools"), "mode"));
        if (!choice.at)
            choice = body_tool_name(v);
    }
    body_set_tool_choice(r, choice);
    return true;
}

/* `reasoning: {effort, enabled}` is what resellers take in place of reasoning_effort. */
static bool asks_reasoning(const struct body_reading *r) {
    struct span effort = json_text(body_value(r, FIELD_REASONING_EFFORT));
    struct json_value more = body_value(r, FIELD_REASONING);
    if (effort.len)
        return !span_eq(effort, SPAN("none"));
    if (json_type(more) != JSON_OBJECT ||
        span_eq(json_text(json_get(more, "effort")), SPAN("none")))
        return false;
    struct json_value enabled = json_get(more, "enabled");
    return json_type(enabled) != JSON_BOOL || json_true(enabled);
}

static void read_uses(struct body_reading *r) {
    uint32_t *uses = &r->facts->uses;
    *uses |= ABILITY_CHAT;
    if (span_eq(json_text(json_get(body_value(r, FIELD_RESPONSE_FORMAT), "type")),
                SPAN("json_schema")))
        *uses |= ABILITY_JSON_SCHEMA;
    if (asks_reasoning(r))
        *uses |= ABILITY_REASONING;
    for (struct json_iter it = json_iter(body_value(r, FIELD_MODALITIES)); json_next(&it);)
        if (span_eq(json_text(it.value), SPAN("audio")))
            *uses |= ABILITY_AUDIO;
}

/* --- messages --- */

static void read_part(struct body_reading *r, struct json_value part) {
    struct span type = json_text(json_get(part, "type"));
    body_add_text(r, json_text(json_get(part, "text")));
    if (span_eq(type, SPAN("image_url"))) {
        struct json_value image = json_get(part, "image_url");
        body_add_picture(r, json_text(json_get(image, "url")),
                         span_eq(json_text(json_get(image, "detail")), SPAN("low")));
    } else if (span_eq(type, SPAN("input_audio"))) {
        body_add_audio(r, json_text(json_get(json_get(part, "input_audio"), "data")));
    } else if (span_eq(type, SPAN("file"))) {
        body_add_file(r, json_text(json_get(json_get(part, "file"), "file_data")));
    }
}

/* A call costs its name and arguments, which are text to the model. */
static void read_call(struct body_reading *r, struct json_value call) {
    static const char *const kinds[] = { "function", "custom" };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct json_value v = json_get(call, kinds[i]);
        body_add_text(r, json_text(json_get(v, "name")));
        body_add_text(r, json_text(json_get(v, "arguments")));
        body_add_text(r, json_text(json_get(v, "input")));
    }
}

/* An entry of reasoning_details that is to go back (lua/perilune/dialects/chat_states.lua): of the
 * dialect its format names, or of a service that has formats of its own. */
static void read_thought(struct body_reading *r, struct json_value entry) {
    bool holds = json_text(json_get(entry, "signature")).len > 0 ||
                 json_text(json_get(entry, "data")).len > 0;
    enum dialect by = dialect_of(json_text(json_get(entry, "format")));
    if (holds && by != DIALECT_NONE)
        body_add_state_of(r, by, json_text(json_get(entry, "model")));
    else if (holds)
        body_add_state_of(r, DIALECT_OPENAI_CHAT, SPAN_NONE);
}

static void read_thoughts(struct body_reading *r, struct json_value details) {
    for (struct json_iter it = json_iter(details); json_next(&it);)
        read_thought(r, it.value);
}

static bool read_message(struct body_reading *r, struct json_value message, size_t index) {
    if (json_type(message) != JSON_OBJECT)
        return body_refuse_item(r, FIELD_MESSAGES, index, "", "must be an object");
    struct span role = json_text(json_get(message, "role"));
    if (!role.len)
        return body_refuse_item(r, FIELD_MESSAGES, index, "role", "must be a string");
    struct json_value content = json_get(message, "content");
    if (!body_read_parts(r, content, FIELD_MESSAGES, index, "content", read_part))
        return false;
    for (struct json_iter it = json_iter(json_get(message, "tool_calls")); json_next(&it);)
        read_call(r, it.value);
    if (span_eq(role, SPAN("assistant")))
        read_thoughts(r, json_get(message, "reasoning_details"));
    body_add_message(r, role, content);
    return true;
}

static bool read_messages(struct body_reading *r) {
    struct json_value list = body_value(r, FIELD_MESSAGES);
    size_t i = 0;
    if (json_type(list) == JSON_ABSENT)
        return body_refuse_field(r, FIELD_MESSAGES, "is required");
    if (json_count(list) == 0)
        return body_refuse_field(r, FIELD_MESSAGES, "must have at least one message");
    for (struct json_iter it = json_iter(list); json_next(&it); i++)
        if (!read_message(r, it.value, i))
            return false;
    return true;
}

static bool read(struct body_reading *r) {
    if (!read_messages(r) || !read_tools(r) || !body_read_stream_options(r))
        return false;
    read_uses(r);
    body_set_user(r, json_text(body_value(r, FIELD_SAFETY_IDENTIFIER)));
    body_set_user(r, json_text(body_value(r, FIELD_USER)));
    body_set_user(r, json_text(json_get(body_value(r, FIELD_METADATA), "user_id")));
    body_set_session(r, json_text(body_value(r, FIELD_PROMPT_CACHE_KEY)));
    uint64_t new = body_int(body_value(r, FIELD_MAX_COMPLETION_TOKENS), 0);
    uint64_t old = body_int(body_value(r, FIELD_MAX_TOKENS), 0);
    /* Of two bounds nobody knows which one the provider keeps to. */
    body_set_output(r, new > old ? new : old, body_int(body_value(r, FIELD_N), 1));
    return true;
}

const struct body_dialect body_openai_chat = {
    .fields = fields,
    .n_fields = FIELD_COUNT,
    .read = read,
    .takes_params = true,
    .stream_options = FIELD_STREAM_OPTIONS,
    .old_bound = FIELD_MAX_TOKENS,
    .new_bound = FIELD_MAX_COMPLETION_TOKENS,
};
