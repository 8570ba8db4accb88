/* Anthropic Messages. Tool results are blocks of a user turn here; the facts tell them as every
 * other dialect does. */
#include "base/ability.h"
#include "route/body_reading.h"

enum {
    FIELD_MESSAGES = BODY_OWN,
    FIELD_SYSTEM,
    FIELD_MAX_TOKENS,
    FIELD_TOOLS,
    FIELD_TOOL_CHOICE,
    FIELD_THINKING,
    FIELD_OUTPUT_CONFIG,
    FIELD_OUTPUT_FORMAT,
    FIELD_METADATA,
    FIELD_TEMPERATURE,
    FIELD_TOP_P,
    FIELD_TOP_K,
    FIELD_STOP_SEQUENCES,
    FIELD_SERVICE_TIER,
    FIELD_SPEED,
    FIELD_CACHE_CONTROL,
    FIELD_CONTEXT_MANAGEMENT,
    FIELD_MCP_SERVERS,
    FIELD_COUNT
};

static const struct body_field fields[FIELD_COUNT] = {
    BODY_COMMON_FIELDS,
    [FIELD_MESSAGES] = BODY_FIELD("messages", BODY_ARRAY),
    [FIELD_SYSTEM] = BODY_FIELD("system", BODY_STRING | BODY_ARRAY),
    [FIELD_MAX_TOKENS] = BODY_FIELD("max_tokens", BODY_NATURAL),
    [FIELD_TOOLS] = BODY_FIELD("tools", BODY_ARRAY),
    [FIELD_TOOL_CHOICE] = BODY_FIELD("tool_choice", BODY_OBJECT),
    [FIELD_THINKING] = BODY_FIELD("thinking", BODY_OBJECT),
    [FIELD_OUTPUT_CONFIG] = BODY_FIELD("output_config", BODY_OBJECT),
    [FIELD_OUTPUT_FORMAT] = BODY_FIELD("output_format", BODY_OBJECT),
    [FIELD_METADATA] = BODY_FIELD("metadata", BODY_OBJECT),
    [FIELD_TEMPERATURE] = BODY_FIELD("temperature", BODY_NUMBER),
    [FIELD_TOP_P] = BODY_FIELD("top_p", BODY_NUMBER),
    [FIELD_TOP_K] = BODY_FIELD("top_k", BODY_INTEGER),
    [FIELD_STOP_SEQUENCES] = BODY_FIELD("stop_sequences", BODY_STRINGS),
    [FIELD_SERVICE_TIER] = BODY_FIELD("service_tier", BODY_STRING),
    [FIELD_SPEED] = BODY_FIELD("speed", BODY_STRING),
    [FIELD_CACHE_CONTROL] = BODY_FIELD("cache_control", BODY_OBJECT),
    [FIELD_CONTEXT_MANAGEMENT] = BODY_FIELD("context_management", BODY_OBJECT),
    [FIELD_MCP_SERVERS] = BODY_FIELD("mcp_servers", BODY_ARRAY),
};

/* --- blocks --- */

static void read_block(struct body_reading *r, struct json_value block);

/* Blocks inside of blocks: of a tool's result, of a document. What is no text and no list of
 * objects in there is the provider's to refuse. */
static void read_inner(struct body_reading *r, struct json_value content) {
    body_add_text(r, json_text(content));
    if (json_type(content) == JSON_ARRAY)
        for (struct json_iter it = json_iter(content); json_next(&it);)
            read_block(r, it.value);
}

static void read_document(struct body_reading *r, struct json_value block) {
    struct json_value source = json_get(block, "source");
    bool plain = span_eq(json_text(json_get(source, "type")), SPAN("text"));
    struct span data = json_text(json_get(source, "data"));
    body_add_text(r, json_text(json_get(block, "title")));
    body_add_text(r, json_text(json_get(block, "context")));
    if (plain)
        body_add_text(r, data);
    read_inner(r, json_get(source, "content"));
    body_add_file(r, plain ? SPAN_NONE : data);
}

/* Calls cost their name and input, results what is in them, and all that is not known here (what a
 * provider's own tools found) the text it holds. */
static void read_block(struct body_reading *r, struct json_value block) {
    struct span type = json_text(json_get(block, "type"));
    if (span_eq(type, SPAN("image"))) {
        body_add_picture(r, json_text(json_get(json_get(block, "source"), "data")), false);
    } else if (span_eq(type, SPAN("document"))) {
        read_document(r, block);
    } else if (span_eq(type, SPAN("redacted_thinking"))) {
        body_add_state(r, json_text(json_get(block, "data")));
    } else {
        if (span_eq(type, SPAN("thinking")))
            body_add_state(r, json_text(json_get(block, "signature")));
        body_add_text(r, json_text(json_get(block, "text")));
        body_add_text(r, json_text(json_get(block, "thinking")));
        body_add_text(r, json_text(json_get(block, "name")));
        body_add_text(r, json_text(json_get(block, "title")));
        r->text_bytes += body_weight(json_get(block, "input"));
        read_inner(r, json_get(block, "content"));
    }
}

/* A content, and how many of its blocks are results of tools, how many anything else. */
static bool read_content(struct body_reading *r, struct json_value content, size_t index,
                         unsigned *results, unsigned *others) {
    const char *wanted = "must be a string or an array of objects";
    *results = *others = 0;
    switch (json_type(content)) {
    case JSON_STRING:
        body_add_text(r, json_text(content));
        *others = 1;
        return true;
    case JSON_ARRAY:
        for (struct json_iter it = json_iter(content); json_next(&it);) {
            if (json_type(it.value) != JSON_OBJECT)
                return body_refuse_item(r, FIELD_MESSAGES, index, "content", wanted);
            read_block(r, it.value);
            bool result = span_eq(json_text(json_get(it.value, "type")), SPAN("tool_result"));
            *(result ? results : others) += 1;
        }
        return true;
    case JSON_NULL:
    case JSON_ABSENT:
        return body_refuse_item(r, FIELD_MESSAGES, index, "content", "is required");
    default:
        return body_refuse_item(r, FIELD_MESSAGES, index, "content", wanted);
    }
}

static bool read_message(struct body_reading *r, struct json_value message, size_t index) {
    unsigned results, others;
    if (json_type(message) != JSON_OBJECT)
        return body_refuse_item(r, FIELD_MESSAGES, index, "", "must be an object");
    struct span role = json_text(json_get(message, "role"));
    struct json_value content = json_get(message, "content");
    if (!role.len)
        return body_refuse_item(r, FIELD_MESSAGES, index, "role", "must be a string");
    if (!read_content(r, content, index, &results, &others))
        return false;
    /* A turn of nothing but results is no user's. Agents put reminders behind results: the turn is
     * a user's then, and its results are counted all the same. */
    body_add_message(r, results && !others ? SPAN("tool") : role, content);
    r->facts->tool_results = results;
    return true;
}

static bool read_system(struct body_reading *r) {
    struct json_value system = body_value(r, FIELD_SYSTEM);
    size_t i = 0;
    if (json_type(system) == JSON_ABSENT)
        return true;
    body_add_text(r, json_text(system));
    for (struct json_iter it = json_iter(system); json_next(&it); i++) {
        if (json_type(it.value) != JSON_OBJECT)
            return body_refuse_item(r, FIELD_SYSTEM, i, "", "must be an object");
        read_block(r, it.value);
    }
    body_add_message(r, SPAN("system"), system);
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

/* --- what else is asked for --- */

static bool read_tools(struct body_reading *r) {
    const int list = FIELD_TOOLS;
    if (!body_read_tools(r, &list, 1))
        return false;
    struct json_value choice = body_value(r, FIELD_TOOL_CHOICE);
    struct span type = json_text(json_get(choice, "type"));
    if (span_eq(type, SPAN("any")))
        type = SPAN("required");
    else if (span_eq(type, SPAN("tool")))
        type = json_text(json_get(choice, "name"));
    body_set_tool_choice(r, type);
    return true;
}

static void read_uses(struct body_reading *r) {
    uint32_t *uses = &r->facts->uses;
    struct json_value config = body_value(r, FIELD_OUTPUT_CONFIG);
    struct json_value format = json_get(config, "format");
    struct span thinking = json_text(json_get(body_value(r, FIELD_THINKING), "type"));
    *uses |= ABILITY_CHAT;
    if (json_type(format) != JSON_OBJECT)
        format = body_value(r, FIELD_OUTPUT_FORMAT); /* its name before it was settled */
    if (span_eq(json_text(json_get(format, "type")), SPAN("json_schema")))
        *uses |= ABILITY_JSON_SCHEMA;
    if (thinking.len ? !span_eq(thinking, SPAN("disabled"))
                     : json_text(json_get(config, "effort")).len > 0)
        *uses |= ABILITY_REASONING;
}

/* A coding agent names its session behind its user: "user_4f.._account_.._session_9c..". */
static void read_people(struct body_reading *r) {
    const struct span user = SPAN("user_"), mark = SPAN("_session_");
    struct span id = json_text(json_get(body_value(r, FIELD_METADATA), "user_id"));
    const char *found = span_starts(id, user) ? memmem(id.at, id.len, mark.at, mark.len) : NULL;
    if (found) {
        size_t at = (size_t)(found - id.at);
        body_set_session(r, span_sub(id, at + mark.len, id.len));
        id = span_sub(id, 0, at);
    }
    body_set_user(r, id);
}

static bool read_bound(struct body_reading *r) {
    struct json_value max = body_value(r, FIELD_MAX_TOKENS);
    if (json_type(max) == JSON_ABSENT && !r->counting)
        return body_refuse_field(r, FIELD_MAX_TOKENS, "is required");
    body_set_output(r, body_int(max, 0), 1);
    if (json_type(max) != JSON_ABSENT && r->facts->max_tokens == 0)
        r->facts->output_tokens = 0; /* only the cache is to be warmed */
    return true;
}

static bool read(struct body_reading *r) {
    if (!read_bound(r) || !read_system(r) || !read_messages(r) || !read_tools(r))
        return false;
    read_uses(r);
    read_people(r);
    return true;
}

const struct body_dialect body_anthropic_messages = {
    .fields = fields,
    .n_fields = FIELD_COUNT,
    .read = read,
    .dotted = true,
};
