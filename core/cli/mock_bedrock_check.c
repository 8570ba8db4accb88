/* mock_bedrock_check.c - what Bedrock refuses of a request to Converse. */
#include "cli/mock_bedrock.h"
#include "cli/mock_check.h"

static const char *const members[] = { "messages",
                                       "system",
                                       "inferenceConfig",
                                       "toolConfig",
                                       "guardrailConfig",
                                       "additionalModelRequestFields",
                                       "additionalModelResponseFieldPaths",
                                       "promptVariables",
                                       "requestMetadata",
                                       "performanceConfig",
                                       "serviceTier",
                                       "outputConfig",
                                       NULL };

static const char *const config_members[] = { "maxTokens", "temperature", "topP", "stopSequences",
                                              NULL };

static bool no(struct mock_wrong *wrong, const char *message) {
    return mock_refuse(wrong, NULL, message);
}

/* ---- the top level ---- */

static bool check_config(struct json_value root, struct arena *arena, struct mock_wrong *wrong) {
    struct json_value config = json_get(root, "inferenceConfig");
    struct span unknown = mock_unknown_member(root, members);
    double temperature = json_number(json_get(config, "temperature"), 0);
    if (!unknown.at)
        unknown = mock_unknown_member(config, config_members);
    if (unknown.at)
        return mock_wrongf(wrong, arena, NULL, "There is no field %.*s.", SPAN_ARGS(unknown));
    if (temperature < 0 || temperature > 1)
        return no(wrong, "inferenceConfig.temperature must lie in 0..1.");
    for (struct json_iter it = json_iter(json_get(root, "system")); json_next(&it);)
        if (json_type(json_get(it.value, "text")) == JSON_STRING &&
            !json_text(json_get(it.value, "text")).len)
            return no(wrong, "The text field of a system block is blank.");
    return true;
}

static bool check_choice(struct json_value choice, struct mock_wrong *wrong) {
    static const char *const choices[] = { "auto", "any", "tool", NULL };
    if (json_type(choice) == JSON_ABSENT)
        return true;
    if (json_count(choice) != 1 || mock_unknown_member(choice, choices).at)
        return no(wrong, "toolConfig.toolChoice must be one of auto, any and tool.");
    return true;
}

static bool check_tools(struct json_value config, struct arena *arena, struct mock_wrong *wrong) {
    struct json_value tools = json_get(config, "tools");
    struct json_iter it = json_iter(tools);
    if (json_type(config) == JSON_ABSENT)
        return true;
    if (json_count(tools) == 0)
        return no(wrong, "toolConfig.tools must not be empty.");
    for (size_t i = 0; json_next(&it); i++) {
        struct json_value spec = json_get(it.value, "toolSpec");
        struct json_value schema = json_get(json_get(spec, "inputSchema"), "json");
        if (json_type(spec) == JSON_ABSENT)
            continue; /* a mark of the cache, or a tool of the model's own */
        if (!mock_name_ok(json_text(json_get(spec, "name")), 64))
            return mock_wrongf(wrong, arena, NULL, "toolConfig.tools.%zu: no name of a tool.", i);
        if (!span_eq(json_text(json_get(schema, "type")), SPAN("object")))
            return mock_wrongf(wrong, arena, NULL,
                               "toolConfig.tools.%zu: inputSchema.json must be of type object.", i);
    }
    return check_choice(json_get(config, "toolChoice"), wrong);
}

/* ---- messages ---- */

struct talk {
    struct mock_pairs waiting;
    bool used_tools;
    bool user; /* whose turn it is */
    size_t message;
    struct arena *arena;
    struct mock_wrong *wrong;
};

static bool at(const struct talk *t, const char *what) {
    return mock_wrongf(t->wrong, t->arena, NULL, "messages.%zu: %s", t->message, what);
}

static bool check_use(struct json_value use, struct talk *t) {
    struct span id = json_text(json_get(use, "toolUseId"));
    t->used_tools = true;
    if (t->user)
        return at(t, "only the assistant uses tools.");
    if (!mock_name_ok(id, 64) || !mock_name_ok(json_text(json_get(use, "name")), 64))
        return at(t, "toolUseId and name take letters, digits, _ and -, at most 64.");
    if (json_type(json_get(use, "input")) != JSON_OBJECT)
        return at(t, "the input of a toolUse must be an object.");
    mock_pairs_open(&t->waiting, id, t->arena);
    return true;
}

static bool check_result(struct json_value result, struct talk *t) {
    t->used_tools = true;
    if (!t->user)
        return at(t, "only the user brings results.");
    if (json_type(json_get(result, "content")) != JSON_ARRAY)
        return at(t, "the content of a toolResult must be a list.");
    return mock_pairs_close(&t->waiting, json_text(json_get(result, "toolUseId"))) ||
           at(t, "a toolResult answers no toolUse of the turn before.");
}

static bool check_block(struct json_value block, struct talk *t) {
    struct json_value text = json_get(block, "text"), use = json_get(block, "toolUse");
    struct json_value result = json_get(block, "toolResult");
    if (json_count(block) != 1)
        return at(t, "a content block is one thing.");
    if (json_type(text) != JSON_ABSENT)
        return json_text(text).len > 0 || at(t, "the text field of a block is blank.");
    if (json_type(use) != JSON_ABSENT)
        return check_use(use, t);
    return json_type(result) == JSON_ABSENT || check_result(result, t);
}

static bool check_message(struct json_value message, struct talk *t) {
    struct span role = json_text(json_get(message, "role"));
    struct json_value content = json_get(message, "content");
    bool before = t->user;
    t->user = span_eq(role, SPAN("user"));
    if (!t->user && !span_eq(role, SPAN("assistant")))
        return at(t, "the role must be user or assistant.");
    if (t->message == 0 ? !t->user : t->user == before)
        return at(t, "roles must alternate, beginning with the user's.");
    if (json_count(content) == 0)
        return at(t, "the content must not be empty.");
    for (struct json_iter it = json_iter(content); json_next(&it);)
        if (!check_block(it.value, t))
            return false;
    return !t->user || !t->waiting.n || at(t, "there is a toolUse before it without toolResult.");
}

bool mock_bedrock_check(const struct mock_post *post, struct arena *arena,
                        struct mock_wrong *wrong) {
    struct json_value root = post->root, config = json_get(root, "toolConfig");
    struct talk t = { .arena = arena, .wrong = wrong };
    if (!check_config(root, arena, wrong) || !check_tools(config, arena, wrong))
        return false;
    for (struct json_iter it = json_iter(json_get(root, "messages")); json_next(&it); t.message++)
        if (!check_message(it.value, &t))
            return false;
    if (t.waiting.n)
        return no(wrong, "There is a toolUse without toolResult.");
    return !t.used_tools || json_type(config) != JSON_ABSENT ||
           no(wrong, "toolConfig must be there when messages hold toolUse or toolResult.");
}
