/* The bytes of OpenAI's Chat Completions, and of all who claim to speak them: more is understood
 * here than OpenAI sends. */
#include "route/wire.h"

static bool is_among(struct span word, const char *const *list) {
    for (; *list; list++)
        if (span_eq(word, span_of(*list)))
            return true;
    return false;
}

/* --- usage --- */

static int64_t count_at(struct json_value object, const char *key) {
    int64_t n;
    return json_int(json_get(object, key), &n) && n >= 0 ? n : -1;
}

/* Tokens that were read from the cache are told in four places. */
static int64_t cached_of(struct json_value usage) {
    static const char *const keys[] = { "prompt_cache_hit_tokens", "cached_tokens",
                                        "cache_read_input_tokens" };
    int64_t n = count_at(json_get(usage, "prompt_tokens_details"), "cached_tokens");
    for (size_t i = 0; n < 0 && i < sizeof keys / sizeof *keys; i++)
        n = count_at(usage, keys[i]);
    return n;
}

static bool read_usage(struct json_value usage, struct wire_seen *seen) {
    if (json_type(usage) != JSON_OBJECT)
        return false;
    struct wire_usage *u = &seen->usage;
    u->input = count_at(usage, "prompt_tokens");
    u->output = count_at(usage, "completion_tokens");
    u->cached = cached_of(usage);
    u->reasoning = count_at(json_get(usage, "completion_tokens_details"), "reasoning_tokens");
    int64_t total = count_at(usage, "total_tokens");
    /* Some leave reasoning out of the completion: then only the sum gives it away. */
    if (u->reasoning > 0 && u->input >= 0 && u->output >= 0 &&
        total == u->input + u->output + u->reasoning)
        u->output += u->reasoning;
    seen->has_usage = u->input >= 0 || u->output >= 0;
    return seen->has_usage;
}

static void find_usage(struct json_value root, struct json_value first_choice,
                       struct wire_seen *seen) {
    (void)(read_usage(json_get(root, "usage"), seen) ||
           read_usage(json_get(json_get(root, "x_groq"), "usage"), seen) ||
           read_usage(json_get(first_choice, "usage"), seen));
}

/* --- content --- */

/* A text with something in it, or a list of parts. */
static bool is_filled(struct json_value v) {
    return json_text(v).len > 0 || json_count(v) > 0;
}

/* Whether a delta, or a message, has anything for the reader. A role, an empty text and an id are
 * nothing. */
static bool has_content(struct json_value delta) {
    static const char *const filled[] = { "content",    "reasoning_content", "reasoning",
                                          "refusal",    "reasoning_text",    "thinking",
                                          "tool_calls", "function_call",     NULL };
    for (struct json_iter it = json_iter(delta); json_next(&it);) {
        if (is_among(it.key, filled) && is_filled(it.value))
            return true;
        if (span_eq(it.key, SPAN("audio")) &&
            (is_filled(json_get(it.value, "data")) || is_filled(json_get(it.value, "transcript"))))
            return true;
    }
    return false;
}

/* --- choices --- */

/* An answer may be cut for these without a word of it: that is no fault. The foreign names mean
 * length. */
static bool is_excuse(struct span reason) {
    static const char *const excuses[] = { "length",       "content_filter", "max_tokens",
                                           "model_length", "length_limit",   NULL };
    return is_among(reason, excuses);
}

/* Reasons that are no end but a failure. */
static bool is_failure(struct span reason) {
    static const char *const failures[] = { "error", "abort", "insufficient_system_resource",
                                            NULL };
    return is_among(reason, failures);
}

/* Where a choice keeps what it says: a stream's `delta`, an answer's `message`, and each where some
 * put the other. */
static struct json_value said_in(struct json_value choice, bool whole) {
    struct json_value v = json_get(choice, whole ? "message" : "delta");
    if (json_type(v) != JSON_OBJECT && !whole)
        v = json_get(choice, "message");
    return v;
}

/* Returns false when the choice has not the form of one. */
static bool read_choice(struct json_value choice, bool whole, struct arena *arena,
                        struct wire_seen *seen) {
    if (json_type(choice) != JSON_OBJECT)
        return false;
    struct json_value said = said_in(choice, whole);
    if (whole && json_type(said) != JSON_OBJECT)
        return false;
    struct span reason = json_text(json_get(choice, "finish_reason"));
    seen->choices++;
    seen->content |= has_content(said);
    seen->finished += reason.len > 0;
    seen->excused |= is_excuse(reason);
    if (is_failure(reason)) {
        seen->kind = WIRE_ERROR;
        seen->error.code = arena_copy(arena, reason);
        seen->error.message =
            arena_printf(arena, "the provider ended the answer with: %.*s", SPAN_ARGS(reason));
    }
    return true;
}

static bool read_choices(struct json_value choices, bool whole, struct arena *arena,
                         struct wire_seen *seen) {
    for (struct json_iter it = json_iter(choices); json_next(&it);)
        if (!read_choice(it.value, whole, arena, seen))
            return false;
    return true;
}

/* --- documents --- */

/* What the official clients take for one: any `error` that is true to them. */
static bool is_truthy(struct json_value v) {
    switch (json_type(v)) {
    case JSON_ABSENT:
    case JSON_NULL:
        return false;
    case JSON_BOOL:
        return json_true(v);
    case JSON_NUMBER:
        return json_number(v, 0) != 0;
    case JSON_STRING:
        return json_text(v).len > 0;
    default:
        return true;
    }
}

/* An error in one of the shapes providers use, under a status of success as well. */
static bool is_error(struct json_value root) {
    if (json_type(root) == JSON_ARRAY) {
        struct json_iter it = json_iter(root);
        return json_next(&it) && json_type(it.value) == JSON_OBJECT && is_error(it.value);
    }
    if (is_truthy(json_get(root, "error")) ||
        span_eq(json_text(json_get(root, "object")), SPAN("error")))
        return true;
    return json_type(json_get(root, "choices")) == JSON_ABSENT &&
           (json_text(json_get(root, "message")).len || is_filled(json_get(root, "detail")) ||
            is_filled(json_get(root, "errors")));
}

/* Parses `text`; true when it is an object of the dialect that is no error. */
static bool begin(struct json_parser *p, struct span text, bool named_error, struct arena *arena,
                  struct json_value *root, struct wire_seen *seen) {
    *seen = (struct wire_seen){ .kind = WIRE_MALFORMED, .usage = { -1, -1, -1, -1 } };
    if (named_error) {
        seen->kind = WIRE_ERROR;
        wire_read_error(p, text, arena, &seen->error);
        return false;
    }
    if (json_parse(p, text, root) != 0)
        return false;
    if (is_error(*root)) {
        seen->kind = WIRE_ERROR;
        wire_read_error_value(*root, arena, &seen->error);
        return false;
    }
    if (json_type(*root) != JSON_OBJECT)
        return false;
    seen->kind = WIRE_OK;
    struct span model = json_text(json_get(*root, "model"));
    seen->model = model.len ? model : SPAN_NONE;
    return true;
}

static struct json_value first_choice(struct json_value choices) {
    struct json_iter it = json_iter(choices);
    return json_next(&it) ? it.value : (struct json_value){ 0 };
}

static void read_event(struct json_parser *p, struct span name, struct span data,
                       struct arena *arena, struct wire_seen *seen) {
    struct json_value root;
    data = span_trim(data);
    if (span_starts(data, SPAN("[DONE]"))) {
        *seen = (struct wire_seen){ .kind = WIRE_END, .usage = { -1, -1, -1, -1 } };
        return;
    }
    if (!begin(p, data, span_eq(name, SPAN("error")), arena, &root, seen))
        return;
    struct json_value choices = json_get(root, "choices");
    enum json_type type = json_type(choices);
    bool fit = type == JSON_ARRAY || type == JSON_NULL || type == JSON_ABSENT;
    if (!fit || !read_choices(choices, false, arena, seen)) {
        seen->kind = WIRE_MALFORMED;
        return;
    }
    find_usage(root, first_choice(choices), seen);
    seen->only_usage = seen->has_usage && seen->choices == 0;
}

static void read_answer(struct json_parser *p, struct span body, struct arena *arena,
                        struct wire_seen *seen) {
    struct json_value root;
    if (!begin(p, body, false, arena, &root, seen))
        return;
    struct json_value choices = json_get(root, "choices");
    if (json_type(choices) != JSON_ARRAY || json_count(choices) == 0 ||
        !read_choices(choices, true, arena, seen)) {
        seen->kind = WIRE_MALFORMED;
        return;
    }
    find_usage(root, first_choice(choices), seen);
    seen->model_place.name = SPAN("model");
    json_locate(p, NULL, &seen->model_place, 1);
}

const struct wire wire_openai_chat = { read_event, read_answer };
