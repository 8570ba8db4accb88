/* The bytes of OpenAI's Chat Completions, and of all who claim to speak them: more is understood
 * here than OpenAI sends. */
#include "route/wire.h"

#define NAME(text)                                                                                 \
    { text, sizeof(text) - 1 }

/* Lists of words end in SPAN_NONE. */
static bool is_among(struct span word, const struct span *list) {
    for (; list->at; list++)
        if (list->len == word.len && span_eq(word, *list))
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

/* --- content --- */

/* A text with something in it, or a list of parts. */
static bool is_filled(struct json_value v) {
    return json_text(v).len > 0 || json_count(v) > 0;
}

/* Whether a delta, or a message, has anything for the reader. A role, an empty text and an id are
 * nothing. */
static bool has_content(struct json_value delta) {
    static const struct span filled[] = {
        NAME("content"),    NAME("reasoning_content"), NAME("reasoning"),
        NAME("refusal"),    NAME("reasoning_text"),    NAME("thinking"),
        NAME("tool_calls"), NAME("function_call"),     { 0 },
    };
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
    static const struct span excuses[] = {
        NAME("length"),       NAME("content_filter"), NAME("max_tokens"),
        NAME("model_length"), NAME("length_limit"),   { 0 },
    };
    return is_among(reason, excuses);
}

/* Reasons that are no end but a failure. */
static bool is_failure(struct span reason) {
    static const struct span failures[] = {
        NAME("error"),
        NAME("abort"),
        NAME("insufficient_system_resource"),
        { 0 },
    };
    return is_among(reason, failures);
}

static void take_failed_finish(struct span reason, struct arena *arena, struct wire_seen *seen) {
    seen->kind = WIRE_ERROR;
    seen->error.code = arena_copy(arena, reason);
    seen->error.message =
        arena_printf(arena, "the provider ended the answer with: %.*s", SPAN_ARGS(reason));
}

/* The bit of a choice; one that does not say which it is is the first. */
static uint64_t bit_of(struct json_value index) {
    int64_t n;
    if (!json_int(index, &n) || n < 0)
        n = 0;
    return UINT64_C(1) << (n < 63 ? n : 63);
}

/* Returns false when the choice has not the form of one. An answer's must have a message; in a
 * stream some put that for the delta. */
static bool read_choice(struct json_value choice, bool whole, struct arena *arena,
                        struct wire_seen *seen) {
    static const struct span names[] = { NAME("delta"), NAME("message"), NAME("finish_reason"),
                                         NAME("index") };
    struct json_value at[4];
    if (json_type(choice) != JSON_OBJECT)
        return false;
    json_pick(choice, names, at, 4);
    struct json_value said = !whole && json_type(at[0]) == JSON_OBJECT ? at[0] : at[1];
    if (whole && json_type(said) != JSON_OBJECT)
        return false;
    struct span reason = json_text(at[2]);
    seen->choices++;
    seen->content |= has_content(said);
    seen->finished += reason.len > 0;
    seen->begun |= bit_of(at[3]);
    seen->ended |= reason.len ? bit_of(at[3]) : 0;
    seen->excused |= is_excuse(reason);
    if (is_failure(reason))
        take_failed_finish(reason, arena, seen);
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

/* What is looked at of a document, found in one walk: there are many events. */
enum root_member {
    ROOT_CHOICES,
    ROOT_USAGE,
    ROOT_MODEL,
    ROOT_ERROR,
    ROOT_OBJECT,
    ROOT_MESSAGE,
    ROOT_DETAIL,
    ROOT_ERRORS,
    ROOT_X_GROQ,
    ROOT_COUNT
};

static void pick_root(struct json_value root, struct json_value at[ROOT_COUNT]) {
    static const struct span names[ROOT_COUNT] = {
        [ROOT_CHOICES] = NAME("choices"), [ROOT_USAGE] = NAME("usage"),
        [ROOT_MODEL] = NAME("model"),     [ROOT_ERROR] = NAME("error"),
        [ROOT_OBJECT] = NAME("object"),   [ROOT_MESSAGE] = NAME("message"),
        [ROOT_DETAIL] = NAME("detail"),   [ROOT_ERRORS] = NAME("errors"),
        [ROOT_X_GROQ] = NAME("x_groq"),
    };
    json_pick(root, names, at, ROOT_COUNT);
}

/* An error in one of the shapes providers use, under a status of success as well. */
static bool is_error(const struct json_value at[ROOT_COUNT]) {
    if (is_truthy(at[ROOT_ERROR]) || span_eq(json_text(at[ROOT_OBJECT]), SPAN("error")))
        return true;
    return json_type(at[ROOT_CHOICES]) == JSON_ABSENT &&
           (json_text(at[ROOT_MESSAGE]).len || is_filled(at[ROOT_DETAIL]) ||
            is_filled(at[ROOT_ERRORS]));
}

static struct json_value first_of(struct json_value list) {
    struct json_iter it = json_iter(list);
    return json_type(list) == JSON_ARRAY && json_next(&it) ? it.value : (struct json_value){ 0 };
}

/* Some wrap an error in a list. */
static bool is_error_list(struct json_value root) {
    struct json_value at[ROOT_COUNT];
    pick_root(first_of(root), at);
    return is_error(at);
}

/* Parses `text`; true when it is an object of the dialect that is no error, with its members in
 * `at`. */
static bool begin(struct json_parser *p, struct span text, struct arena *arena,
                  struct json_value at[ROOT_COUNT], struct wire_seen *seen) {
    struct json_value root;
    *seen = (struct wire_seen){ .kind = WIRE_MALFORMED, .usage = WIRE_USAGE_UNKNOWN };
    if (json_parse(p, text, &root) != 0)
        return false;
    pick_root(root, at);
    if (json_type(root) == JSON_ARRAY ? is_error_list(root) : is_error(at)) {
        seen->kind = WIRE_ERROR;
        wire_read_error_value(root, arena, &seen->error);
        return false;
    }
    if (json_type(root) != JSON_OBJECT)
        return false;
    seen->kind = WIRE_OK;
    struct span model = json_text(at[ROOT_MODEL]);
    seen->model = model.len ? model : SPAN_NONE;
    return true;
}

/* Usage stands at the top, in a vendor's own object, or in the first choice. */
static void find_usage(const struct json_value at[ROOT_COUNT], struct wire_seen *seen) {
    (void)(read_usage(at[ROOT_USAGE], seen) ||
           read_usage(json_get(at[ROOT_X_GROQ], "usage"), seen) ||
           read_usage(json_get(first_of(at[ROOT_CHOICES]), "usage"), seen));
}

static void read_event(struct json_parser *p, struct span name, struct span data,
                       struct arena *arena, struct wire_seen *seen) {
    struct json_value at[ROOT_COUNT];
    data = span_trim(data);
    if (span_starts(data, SPAN("[DONE]")) || span_eq(name, SPAN("error"))) {
        *seen = (struct wire_seen){ .kind = WIRE_END, .usage = WIRE_USAGE_UNKNOWN };
        if (!span_starts(data, SPAN("[DONE]"))) {
            seen->kind = WIRE_ERROR;
            wire_read_error(p, data, arena, &seen->error);
        }
        return;
    }
    if (!begin(p, data, arena, at, seen))
        return;
    enum json_type type = json_type(at[ROOT_CHOICES]);
    bool fit = type == JSON_ARRAY || type == JSON_NULL || type == JSON_ABSENT;
    if (!fit || !read_choices(at[ROOT_CHOICES], false, arena, seen)) {
        seen->kind = WIRE_MALFORMED;
        return;
    }
    find_usage(at, seen);
    seen->only_usage = seen->has_usage && seen->choices == 0;
}

static void read_answer(struct json_parser *p, struct span body, struct arena *arena,
                        struct wire_seen *seen) {
    struct json_value at[ROOT_COUNT];
    if (!begin(p, body, arena, at, seen))
        return;
    struct json_value choices = at[ROOT_CHOICES];
    if (json_type(choices) != JSON_ARRAY || json_count(choices) == 0 ||
        !read_choices(choices, true, arena, seen)) {
        seen->kind = WIRE_MALFORMED;
        return;
    }
    find_usage(at, seen);
    if (!seen->model.at) {
        seen->model_place.name = SPAN("model");
        json_locate(p, NULL, &seen->model_place, 1);
    }
}

const struct wire wire_openai_chat = { { "data: [DONE]\n\n", 14 }, read_event, read_answer };
