/* mock_anthropic_check.c - what Anthropic refuses of a request to Messages. */
#include "cli/mock_anthropic.h"
#include "cli/mock_check.h"

static const char *const members[] = { "model",
                                       "messages",
                                       "max_tokens",
                                       "system",
                                       "temperature",
                                       "top_p",
                                       "top_k",
                                       "stream",
                                       "metadata",
                                       "stop_sequences",
                                       "tools",
                                       "tool_choice",
                                       "thinking",
                                       "service_tier",
                                       "output_config",
                                       "speed",
                                       "inference_geo",
                                       "container",
                                       "diagnostics",
                                       "cache_control",
                                       "mcp_servers",
                                       "anthropic_version",
                                       "context_management",
                                       NULL };

static bool no(struct mock_wrong *wrong, const char *message) {
    return mock_refuse(wrong, NULL, message);
}

/* ---- the top level ---- */

static bool check_sampling(const struct mock_post *post, struct mock_wrong *wrong) {
    struct json_value root = post->root, temperature = json_get(root, "temperature");
    double t = json_number(temperature, 0);
    if (span_eq(post->version, SPAN("2026-10-21")) &&
        (json_type(temperature) != JSON_ABSENT || json_type(json_get(root, "top_p")) ||
         json_type(json_get(root, "top_k"))))
        return no(wrong, "temperature, top_p, top_k: this version takes none of them");
    if (t < 0 || t > 1)
        return no(wrong, "temperature: it must lie in 0..1");
    return true;
}

static bool check_thinking(struct json_value root, int64_t max, struct mock_wrong *wrong) {
    struct json_value thinking = json_get(root, "thinking");
    int64_t budget;
    if (!span_eq(json_text(json_get(thinking, "type")), SPAN("enabled")))
        return true;
    if (!json_int(json_get(thinking, "budget_tokens"), &budget) || budget < 1024)
        return no(wrong, "thinking.enabled.budget_tokens: it must be 1024 or more");
    if (max >= 0 && budget >= max)
        return no(wrong, "max_tokens: it must be greater than thinking.budget_tokens");
    return true;
}

/* Tools without a type, or of the type custom, bring a schema of an object. */
static bool check_tools(struct json_value root, struct arena *arena, struct mock_wrong *wrong) {
    struct json_value tools = json_get(root, "tools");
    struct json_iter it = json_iter(tools);
    for (size_t i = 0; json_type(tools) == JSON_ARRAY && json_next(&it); i++) {
        struct span type = json_text(json_get(it.value, "type"));
        struct json_value schema = json_get(it.value, "input_schema");
        if (!mock_name_ok(json_text(json_get(it.value, "name")), 128))
            return mock_wrongf(wrong, arena, NULL, "tools.%zu.name: no name of a tool", i);
        if (type.at && !span_eq(type, SPAN("custom")))
            continue;
        if (!span_eq(json_text(json_get(schema, "type")), SPAN("object")))
            return mock_wrongf(wrong, arena, NULL, "tools.%zu.input_schema.type: it must be object",
                               i);
    }
    if (json_type(json_get(root, "tool_choice")) != JSON_ABSENT && json_count(tools) == 0)
        return no(wrong, "tool_choice: there are no tools to choose from");
    return true;
}

static bool check_version(const struct mock_post *post, struct mock_wrong *wrong) {
    struct span in_body = json_text(json_get(post->root, "anthropic_version"));
    bool vertex = mock_anthropic_on_vertex(post);
    if (vertex && !span_eq(in_body, SPAN("vertex-2023-10-16")))
        return no(wrong, "anthropic_version: the field is required");
    if (!vertex && in_body.at)
        return no(wrong, "anthropic_version: no such field is known");
    if (vertex && json_type(json_get(post->root, "model")) != JSON_ABSENT)
        return no(wrong, "model: no such field is known");
    return vertex || post->version.at || no(wrong, "anthropic-version: the header is required");
}

static bool check_top(const struct mock_post *post, bool counts, struct arena *arena,
                      struct mock_wrong *wrong) {
    struct span unknown = mock_unknown_member(post->root, members);
    struct json_value max_tokens = json_get(post->root, "max_tokens");
    int64_t max = -1;
    if (!check_version(post, wrong))
        return false;
    if (unknown.at)
        return mock_wrongf(wrong, arena, NULL, "%.*s: no such field is known", SPAN_ARGS(unknown));
    if (counts && json_type(max_tokens) != JSON_ABSENT)
        return no(wrong, "max_tokens: counting takes none");
    if (!counts && (!json_int(max_tokens, &max) || max < 0))
        return no(wrong, "max_tokens: the field is required");
    return check_sampling(post, wrong) && check_thinking(post->root, max, wrong) &&
           check_tools(post->root, arena, wrong);
}

/* ---- messages ---- */

/* Where in the messages something is wrong. */
struct place {
    size_t message, block;
    struct arena *arena;
    struct mock_wrong *wrong;
};

static bool at(const struct place *p, const char *what) {
    return mock_wrongf(p->wrong, p->arena, NULL, "messages.%zu.content.%zu: %s", p->message,
                       p->block, what);
}

static bool check_text(struct json_value block, const struct place *p) {
    return json_text(json_get(block, "text")).len > 0 ||
           at(p, "text content blocks must be non-empty");
}

static bool check_use(struct json_value block, struct mock_pairs *waiting, const struct place *p) {
    struct span id = json_text(json_get(block, "id"));
    if (!mock_name_ok(id, 256))
        return at(p, "tool_use.id: only letters, digits, _ and - may stand in it");
    if (!mock_name_ok(json_text(json_get(block, "name")), 128))
        return at(p, "tool_use.name: no name of a tool");
    if (json_type(json_get(block, "input")) != JSON_OBJECT)
        return at(p, "tool_use.input: it must be an object");
    mock_pairs_open(waiting, id, p->arena);
    return true;
}

static bool check_thought(struct json_value block, const struct place *p) {
    static const char own[] = MOCK_SIGNATURE;
    struct span signature = json_text(json_get(block, "signature"));
    return span_eq(signature, (struct span){ own + 1, sizeof own - 3 }) ||
           at(p, "thinking.signature: it is not valid");
}

static bool check_assistant_block(struct json_value block, struct mock_pairs *waiting,
                                  const struct place *p) {
    struct span type = json_text(json_get(block, "type"));
    if (span_eq(type, SPAN("text")))
        return check_text(block, p);
    if (span_eq(type, SPAN("tool_use")))
        return check_use(block, waiting, p);
    if (span_eq(type, SPAN("thinking")))
        return check_thought(block, p);
    if (span_eq(type, SPAN("tool_result")))
        return at(p, "tool_result: only a user brings one");
    return type.at || at(p, "type: the field is required");
}

/* Results come before anything else in their turn. */
static bool check_user_block(struct json_value block, struct mock_pairs *waiting,
                             bool *results_over, const struct place *p) {
    struct span type = json_text(json_get(block, "type"));
    if (span_eq(type, SPAN("tool_result"))) {
        if (*results_over)
            return at(p, "tool_result: it must come before other content of the turn");
        return mock_pairs_close(waiting, json_text(json_get(block, "tool_use_id"))) ||
               at(p, "tool_result: the message before it has no tool_use of that id");
    }
    *results_over = true;
    if (span_eq(type, SPAN("text")))
        return check_text(block, p);
    if (span_eq(type, SPAN("tool_use")) || span_eq(type, SPAN("thinking")))
        return at(p, "only an assistant's turn holds such a block");
    return type.at || at(p, "type: the field is required");
}

static bool check_blocks(struct json_value content, bool user, struct mock_pairs *waiting,
                         struct place *p) {
    bool results_over = false;
    struct json_iter it = json_iter(content);
    for (p->block = 0; json_next(&it); p->block++) {
        bool fine = user ? check_user_block(it.value, waiting, &results_over, p)
                         : check_assistant_block(it.value, waiting, p);
        if (!fine)
            return false;
    }
    return true;
}

static bool check_message(struct json_value message, struct mock_pairs *waiting, struct place *p) {
    struct json_value content = json_get(message, "content");
    struct span role = json_text(json_get(message, "role"));
    bool user = span_eq(role, SPAN("user")), assistant = span_eq(role, SPAN("assistant"));
    bool system = span_eq(role, SPAN("system")) && p->message > 0;
    p->block = 0;
    if (!user && !assistant && !system)
        return mock_wrongf(p->wrong, p->arena, NULL,
                           "messages.%zu.role: it must be user or assistant", p->message);
    if (p->message == 0 && !user)
        return no(p->wrong, "messages.0.role: the first message must be the user's");
    if (json_type(content) == JSON_STRING) {
        if (!json_text(content).len)
            return at(p, "text content must be non-empty");
    } else if (json_type(content) != JSON_ARRAY || json_count(content) == 0) {
        return mock_wrongf(p->wrong, p->arena, NULL, "messages.%zu.content: it must not be empty",
                           p->message);
    } else if (!check_blocks(content, !assistant, waiting, p)) {
        return false;
    }
    if (!assistant && waiting->n)
        return mock_wrongf(p->wrong, p->arena, NULL,
                           "messages.%zu: there is no tool_result for tool_use %.*s of the message "
                           "before it",
                           p->message, SPAN_ARGS(waiting->ids[0]));
    return true;
}

static bool check_system(struct json_value root, struct mock_wrong *wrong) {
    struct json_value system = json_get(root, "system");
    if (json_type(system) == JSON_ARRAY)
        for (struct json_iter it = json_iter(system); json_next(&it);)
            if (!json_text(json_get(it.value, "text")).len)
                return no(wrong, "system: text content blocks must be non-empty");
    return true;
}

static bool check(const struct mock_post *post, bool counts, struct arena *arena,
                  struct mock_wrong *wrong) {
    struct mock_pairs waiting = { 0 };
    struct place p = { .arena = arena, .wrong = wrong };
    if (!check_top(post, counts, arena, wrong) || !check_system(post->root, wrong))
        return false;
    for (struct json_iter it = json_iter(json_get(post->root, "messages")); json_next(&it);
         p.message++)
        if (!check_message(it.value, &waiting, &p))
            return false;
    return waiting.n == 0 ||
           mock_wrongf(wrong, arena, NULL, "messages: tool_use %.*s has no result",
                       SPAN_ARGS(waiting.ids[0]));
}

bool mock_anthropic_check(const struct mock_post *post, struct arena *arena,
                          struct mock_wrong *wrong) {
    return check(post, false, arena, wrong);
}

bool mock_anthropic_check_count(const struct mock_post *post, struct arena *arena,
                                struct mock_wrong *wrong) {
    return check(post, true, arena, wrong);
}
