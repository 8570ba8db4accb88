/* mock_gemini_check.c - what Google refuses of a request to generateContent. */
#include "cli/mock_check.h"
#include "cli/mock_gemini.h"

static const char *const members[] = {
    "contents",      "systemInstruction", "system_instruction", "tools",          "toolConfig",
    "tool_config",   "generationConfig",  "generation_config",  "safetySettings", "safety_settings",
    "cachedContent", "cached_content",    "continuationToken",  "labels",         NULL
};

static const char *const config_members[] = { "temperature",
                                              "topP",
                                              "topK",
                                              "candidateCount",
                                              "maxOutputTokens",
                                              "stopSequences",
                                              "responseMimeType",
                                              "responseSchema",
                                              "responseJsonSchema",
                                              "responseModalities",
                                              "seed",
                                              "presencePenalty",
                                              "frequencyPenalty",
                                              "responseLogprobs",
                                              "logprobs",
                                              "thinkingConfig",
                                              "speechConfig",
                                              "mediaResolution",
                                              "imageConfig",
                                              "top_p",
                                              "top_k",
                                              "candidate_count",
                                              "max_output_tokens",
                                              "stop_sequences",
                                              "response_mime_type",
                                              "response_schema",
                                              "response_json_schema",
                                              "presence_penalty",
                                              "frequency_penalty",
                                              "response_logprobs",
                                              "thinking_config",
                                              NULL };

static const char *const function_members[] = { "name",       "description",
                                                "parameters", "parametersJsonSchema",
                                                "response",   "responseJsonSchema",
                                                "behavior",   "parameters_json_schema",
                                                NULL };

/* The keywords of a schema in the API's own form. */
static const char *const schema_members[] = {
    "type",    "format",   "title",         "description", "nullable",  "enum",
    "items",   "maxItems", "minItems",      "properties",  "required",  "propertyOrdering",
    "minimum", "maximum",  "minProperties", "minLength",   "maxLength", "maxProperties",
    "pattern", "example",  "default",       "anyOf",       NULL
};

static bool no(struct mock_wrong *wrong, const char *message) {
    return mock_refuse(wrong, NULL, message);
}

static bool check_members(struct json_value object, const char *const *names, const char *where,
                          struct arena *arena, struct mock_wrong *wrong) {
    struct span unknown = mock_unknown_member(object, names);
    return !unknown.at || mock_wrongf(wrong, arena, NULL, "Unknown name \"%.*s\" at '%s'.",
                                      SPAN_ARGS(unknown), where);
}

/* ---- tools ---- */

/* A schema in the API's own form knows few keywords, and each part of it has a type. */
static bool check_schema(struct json_value schema, struct arena *arena, struct mock_wrong *wrong) {
    struct json_value any = json_get(schema, "anyOf"), items = json_get(schema, "items");
    if (!check_members(schema, schema_members, "parameters", arena, wrong))
        return false;
    if (json_type(json_get(schema, "type")) != JSON_STRING && json_type(any) == JSON_ABSENT)
        return no(wrong, "A schema without a type was given as parameters.");
    if (span_eq_nocase(json_text(json_get(schema, "type")), SPAN("array")) &&
        json_type(items) == JSON_ABSENT)
        return no(wrong, "An array without items was given as parameters.");
    if (json_type(items) != JSON_ABSENT && !check_schema(items, arena, wrong))
        return false;
    for (struct json_iter it = json_iter(any); json_next(&it);)
        if (!check_schema(it.value, arena, wrong))
            return false;
    for (struct json_iter it = json_iter(json_get(schema, "properties")); json_next(&it);)
        if (!check_schema(it.value, arena, wrong))
            return false;
    return true;
}

static bool check_function(struct json_value function, struct arena *arena,
                           struct mock_wrong *wrong) {
    struct json_value parameters = json_get(function, "parameters");
    struct json_value json = json_get(function, "parametersJsonSchema");
    if (!check_members(function, function_members, "tools.function_declarations", arena, wrong))
        return false;
    if (!json_text(json_get(function, "name")).len)
        return no(wrong, "A function has no name.");
    if (json_type(parameters) == JSON_ABSENT)
        return true;
    if (json_type(json) != JSON_ABSENT)
        return no(wrong, "parameters and parametersJsonSchema exclude each other.");
    return check_schema(parameters, arena, wrong);
}

static bool check_tools(struct json_value root, struct arena *arena, struct mock_wrong *wrong) {
    for (struct json_iter tool = json_iter(json_get(root, "tools")); json_next(&tool);) {
        struct json_iter it =
            json_iter(mock_gemini_get(tool.value, "functionDeclarations", "function_declarations"));
        while (json_next(&it))
            if (!check_function(it.value, arena, wrong))
                return false;
    }
    return true;
}

/* ---- contents ---- */

struct turn {
    size_t calls, results;
    bool unsigned_call; /* the first call of the turn has no signature */
};

static bool check_part(struct json_value part, struct turn *turn, struct mock_wrong *wrong) {
    struct json_value call = mock_gemini_get(part, "functionCall", "function_call");
    struct json_value result = mock_gemini_get(part, "functionResponse", "function_response");
    struct json_value args = json_get(call, "args");
    if (json_count(part) == 0)
        return no(wrong, "A part has no data.");
    if (json_type(call) != JSON_ABSENT) {
        if (!turn->calls++)
            turn->unsigned_call =
                !json_text(mock_gemini_get(part, "thoughtSignature", "thought_signature")).len;
        if (json_type(args) != JSON_ABSENT && json_type(args) != JSON_OBJECT)
            return no(wrong, "function_call.args must be an object.");
    }
    if (json_type(result) != JSON_ABSENT) {
        turn->results++;
        if (!json_text(json_get(result, "name")).len)
            return no(wrong, "function_response.name must not be empty.");
        if (json_type(json_get(result, "response")) != JSON_OBJECT)
            return no(wrong, "function_response.response must be an object.");
    }
    return true;
}

static bool check_content(struct json_value content, struct turn *turn, struct mock_wrong *wrong) {
    struct json_value parts = json_get(content, "parts");
    struct span role = json_text(json_get(content, "role"));
    bool model = span_eq(role, SPAN("model"));
    if (role.at && !model && !span_eq(role, SPAN("user")))
        return no(wrong, "Please use a valid role: user, model.");
    if (json_count(parts) == 0)
        return no(wrong, "contents.parts must not be empty.");
    for (struct json_iter it = json_iter(parts); json_next(&it);)
        if (!check_part(it.value, turn, wrong))
            return false;
    if (model ? turn->results : turn->calls)
        return no(wrong, "Calls are the model's, their responses the user's.");
    return true;
}

/* Models of the third generation want their signature back, in the turn that is under way. */
static bool check_signatures(const struct mock_post *post, bool missing, struct mock_wrong *wrong) {
    size_t at = 0;
    while (at < post->path.len &&
           !span_starts(span_sub(post->path, at, SIZE_MAX), SPAN("/models/gemini-3")))
        at++;
    return !missing || at == post->path.len ||
           no(wrong, "Function call is missing a thought_signature.");
}

static bool check_contents(const struct mock_post *post, struct mock_wrong *wrong) {
    struct turn before = { 0 };
    bool missing = false;
    for (struct json_iter it = json_iter(json_get(post->root, "contents")); json_next(&it);) {
        struct turn turn = { 0 };
        if (!check_content(it.value, &turn, wrong))
            return false;
        if (turn.results != before.calls)
            return no(wrong, "There must be as many function response parts as there were "
                             "function call parts in the turn before.");
        if (!turn.calls && !turn.results)
            missing = false; /* somebody spoke: what was called before is past */
        missing = missing || turn.unsigned_call;
        before = turn;
    }
    if (before.calls)
        return no(wrong, "There must be as many function response parts as there were function "
                         "call parts in the turn before.");
    return check_signatures(post, missing, wrong);
}

bool mock_gemini_check(const struct mock_post *post, struct arena *arena,
                       struct mock_wrong *wrong) {
    struct json_value root = post->root;
    struct json_value config = mock_gemini_get(root, "generationConfig", "generation_config");
    struct json_value thinking = mock_gemini_get(config, "thinkingConfig", "thinking_config");
    if (json_type(json_get(thinking, "thinkingBudget")) != JSON_ABSENT &&
        json_type(json_get(thinking, "thinkingLevel")) != JSON_ABSENT)
        return no(wrong, "thinkingBudget and thinkingLevel exclude each other.");
    return check_members(root, members, "", arena, wrong) &&
           check_members(config, config_members, "generation_config", arena, wrong) &&
           check_tools(root, arena, wrong) && check_contents(post, wrong);
}
