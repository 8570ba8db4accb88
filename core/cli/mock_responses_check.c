/* mock_responses_check.c - what OpenAI refuses of a request to Responses. */
#include "cli/mock_check.h"
#include "cli/mock_responses.h"

static const char *const members[] = { "model",
                                       "input",
                                       "instructions",
                                       "max_output_tokens",
                                       "max_tool_calls",
                                       "reasoning",
                                       "text",
                                       "tools",
                                       "tool_choice",
                                       "parallel_tool_calls",
                                       "temperature",
                                       "top_p",
                                       "top_logprobs",
                                       "service_tier",
                                       "metadata",
                                       "user",
                                       "safety_identifier",
                                       "prompt_cache_key",
                                       "prompt_cache_retention",
                                       "prompt_cache_options",
                                       "moderation",
                                       "include",
                                       "previous_response_id",
                                       "conversation",
                                       "store",
                                       "background",
                                       "prompt",
                                       "context_management",
                                       "truncation",
                                       "stream",
                                       "stream_options",
                                       NULL };

static bool check_members(struct json_value root, struct arena *arena, struct mock_wrong *wrong) {
    struct span unknown = mock_unknown_member(root, members);
    if (!unknown.at)
        return true;
    mock_wrongf(wrong, arena, arena_copy(arena, unknown).at, "Unknown parameter: '%.*s'.",
                SPAN_ARGS(unknown));
    wrong->code = SPAN("unknown_parameter");
    return false;
}

static bool check_state(struct json_value root, struct arena *arena, struct mock_wrong *wrong) {
    struct span previous = json_text(json_get(root, "previous_response_id"));
    int64_t max;
    if (previous.at) {
        mock_wrongf(wrong, arena, "previous_response_id", "There is no previous response '%.*s'.",
                    SPAN_ARGS(previous));
        wrong->code = SPAN("previous_response_not_found");
        return false;
    }
    if (json_int(json_get(root, "max_output_tokens"), &max) && max < 16) {
        mock_wrongf(wrong, arena, "max_output_tokens", "max_output_tokens must be 16 or more.");
        wrong->code = SPAN("integer_below_min_value");
        return false;
    }
    return true;
}

/* Names stand in the tool itself, not in a member "function". */
static bool check_tools(struct json_value root, struct arena *arena, struct mock_wrong *wrong) {
    struct json_iter it = json_iter(json_get(root, "tools"));
    for (size_t i = 0; json_next(&it); i++) {
        struct span type = json_text(json_get(it.value, "type"));
        bool named = span_eq(type, SPAN("function")) || span_eq(type, SPAN("custom"));
        if (!type.at || (named && !json_text(json_get(it.value, "name")).at))
            return mock_wrongf(wrong, arena, "tools", "tools[%zu] has no %s.", i,
                               type.at ? "name" : "type");
    }
    return true;
}

static bool is_one_of(struct span type, const char *const *types) {
    while (*types && !span_eq(type, span_of(*types)))
        types++;
    return *types != NULL;
}

/* What a user says is input, what the assistant said is output. */
static bool check_message(struct json_value item, size_t i, struct arena *arena,
                          struct mock_wrong *wrong) {
    static const char *const input[] = { "input_text", "input_image", "input_file", "input_audio",
                                         NULL };
    static const char *const output[] = { "output_text", "refusal", NULL };
    static const char *const roles[] = { "user", "assistant", "system", "developer", NULL };
    struct span role = json_text(json_get(item, "role"));
    struct json_value content = json_get(item, "content");
    if (!is_one_of(role, roles))
        return mock_wrongf(wrong, arena, "input", "input[%zu].role is none there is.", i);
    if (json_type(content) == JSON_STRING)
        return true;
    if (json_type(content) != JSON_ARRAY)
        return mock_wrongf(wrong, arena, "input", "input[%zu].content is missing.", i);
    const char *const *types = span_eq(role, SPAN("assistant")) ? output : input;
    for (struct json_iter it = json_iter(content); json_next(&it);) {
        struct span type = json_text(json_get(it.value, "type"));
        if (!is_one_of(type, types))
            return mock_wrongf(wrong, arena, "input",
                               "input[%zu].content holds a part of type '%.*s', which a message of "
                               "that role may not.",
                               i, SPAN_ARGS(type));
    }
    return true;
}

static bool check_item(struct json_value item, size_t i, struct mock_pairs *waiting,
                       struct arena *arena, struct mock_wrong *wrong) {
    struct span type = json_text(json_get(item, "type")), id = json_text(json_get(item, "call_id"));
    bool call = span_eq(type, SPAN("function_call")) || span_eq(type, SPAN("custom_tool_call"));
    bool output = span_eq(type, SPAN("function_call_output")) ||
                  span_eq(type, SPAN("custom_tool_call_output"));
    if (!type.at || span_eq(type, SPAN("message")))
        return check_message(item, i, arena, wrong);
    if ((call || output) && !id.at)
        return mock_wrongf(wrong, arena, "input", "input[%zu].call_id is missing.", i);
    if (call)
        mock_pairs_open(waiting, id, arena);
    if (output && !mock_pairs_close(waiting, id))
        return mock_wrongf(wrong, arena, "input", "input[%zu]: there was no call '%.*s'.", i,
                           SPAN_ARGS(id));
    return true;
}

bool mock_responses_check(const struct mock_post *post, struct arena *arena,
                          struct mock_wrong *wrong) {
    struct json_value root = post->root, input = json_get(root, "input");
    struct mock_pairs waiting = { 0 };
    if (!check_members(root, arena, wrong) || !check_state(root, arena, wrong) ||
        !check_tools(root, arena, wrong))
        return false;
    struct json_iter it = json_iter(input);
    for (size_t i = 0; json_type(input) == JSON_ARRAY && json_next(&it); i++)
        if (!check_item(it.value, i, &waiting, arena, wrong))
            return false;
    return waiting.n == 0 ||
           mock_wrongf(wrong, arena, "input", "There is no output of call '%.*s'.",
                       SPAN_ARGS(waiting.ids[0]));
}
