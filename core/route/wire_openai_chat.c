/* The bytes of OpenAI's Chat Completions, and of all who claim to speak them: more is understood
 * here than OpenAI sends. */
#include "route/wire.h"

/* --- usage --- */

/* Tokens that were read from the cache are told in four places. */
static int64_t cached_of(struct json_value usage) {
    static const char *const keys[] = { "prompt_cache_hit_tokens", "cached_tokens",
                                        "cache_read_input_tokens" };
    int64_t n = wire_count(json_get(usage, "prompt_tokens_details"), "cached_tokens");
    for (size_t i = 0; n < 0 && i < sizeof keys / sizeof *keys; i++)
        n = wire_count(usage, keys[i]);
    return n;
}

bool wire_openai_chat_usage(struct json_value usage, struct wire_seen *seen) {
    if (json_type(usage) != JSON_OBJECT)
        return false;
    struct wire_usage *u = &seen->usage;
    u->input = wire_count(usage, "prompt_tokens");
    u->output = wire_count(usage, "completion_tokens");
    u->cached = cached_of(usage);
    u->written = wire_count(json_get(usage, "prompt_tokens_details"), "cache_write_tokens");
    u->reasoning = wire_count(json_get(usage, "completion_tokens_details"), "reasoning_tokens");
    int64_t total = wire_count(usage, "total_tokens");
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

/* Bytes of a text, or of the texts among parts, of which some have parts of their own. */
static uint64_t bytes_of(struct json_value v) {
    uint64_t n = json_text(v).len;
    if (json_type(v) == JSON_ARRAY)
        for (struct json_iter it = json_iter(v); json_next(&it);)
            n += json_text(json_get(it.value, "text")).len +
                 bytes_of(json_get(it.value, "thinking"));
    return n;
}

static uint64_t bytes_of_calls(struct json_value calls) {
    uint64_t n = 0;
    if (json_type(calls) == JSON_ARRAY)
        for (struct json_iter it = json_iter(calls); json_next(&it);)
            n += wire_input(json_get(json_get(it.value, "function"), "arguments")) +
                 wire_input(json_get(json_get(it.value, "custom"), "input"));
    return n;
}

static bool is_heard(struct json_value audio) {
    return is_filled(json_get(audio, "data")) || is_filled(json_get(audio, "transcript"));
}

/* What a delta, or a message, has for the reader. A role, an empty text and an id are nothing. A
 * thought may stand there under several names. */
static void take_said(struct json_value delta, struct wire_seen *seen) {
    static const struct span texts[] = { WIRE_NAME("content"), WIRE_NAME("refusal"), { 0 } },
                             thoughts[] = { WIRE_NAME("reasoning_content"),
                                            WIRE_NAME("reasoning"),
                                            WIRE_NAME("reasoning_text"),
                                            WIRE_NAME("thinking"),
                                            { 0 } };
    uint64_t thought = 0, n;
    for (struct json_iter it = json_iter(delta); json_next(&it);) {
        bool filled = is_filled(it.value);
        if (!filled)
            continue;
        if (wire_among(it.key, texts)) {
            seen->text += bytes_of(it.value);
        } else if (wire_among(it.key, thoughts)) {
            n = bytes_of(it.value);
            thought = n > thought ? n : thought;
        } else if (span_eq(it.key, SPAN("tool_calls"))) {
            seen->text += bytes_of_calls(it.value);
        } else if (span_eq(it.key, SPAN("function_call"))) {
            seen->text += wire_input(json_get(it.value, "arguments"));
        } else {
            filled = span_eq(it.key, SPAN("audio")) && is_heard(it.value);
        }
        seen->content |= filled;
    }
    seen->text += thought;
}

static void take_text(struct json_value text, struct wire_seen *seen) {
    seen->content |= is_filled(text);
    seen->text += bytes_of(text);
}

/* --- choices --- */

/* An answer may be cut for these without a word of it: that is no fault. The foreign names mean
 * length. */
static bool is_excuse(struct span reason) {
    static const struct span excuses[] = {
        WIRE_NAME("length"),       WIRE_NAME("content_filter"), WIRE_NAME("max_tokens"),
        WIRE_NAME("model_length"), WIRE_NAME("length_limit"),   { 0 },
    };
    return wire_among(reason, excuses);
}

/* Reasons that are no end but a failure. */
static bool is_failure(struct span reason) {
    static const struct span failures[] = {
        WIRE_NAME("error"),
        WIRE_NAME("abort"),
        WIRE_NAME("insufficient_system_resource"),
        { 0 },
    };
    return wire_among(reason, failures);
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

/* Where a choice says what it says. An answer's must have a message; in a stream some put that for
 * the delta. */
static struct json_value said_by(struct json_value choice, bool flat, bool whole,
                                 const struct json_value at[]) {
    if (flat)
        return choice;
    return !whole && json_type(at[0]) == JSON_OBJECT ? at[0] : at[1];
}

/* Returns false when the choice has not the form of one. */
static bool read_choice(struct json_value choice, bool flat, bool whole, struct arena *arena,
                        struct wire_seen *seen) {
    static const struct span names[] = { WIRE_NAME("delta"), WIRE_NAME("message"),
                                         WIRE_NAME("finish_reason"), WIRE_NAME("index") };
    struct json_value at[4];
    if (json_type(choice) != JSON_OBJECT)
        return false;
    json_pick(choice, names, at, 4);
    struct json_value said = said_by(choice, flat, whole, at);
    if (whole && (flat ? json_type(json_get(choice, "text")) != JSON_STRING
                       : json_type(said) != JSON_OBJECT))
        return false;
    struct span reason = json_text(at[2]);
    seen->choices++;
    if (flat)
        take_text(json_get(said, "text"), seen);
    else
        take_said(said, seen);
    seen->finished += reason.len > 0;
    seen->begun |= bit_of(at[3]);
    seen->ended |= reason.len ? bit_of(at[3]) : 0;
    seen->excused |= is_excuse(reason);
    if (is_failure(reason))
        take_failed_finish(reason, arena, seen);
    return true;
}

static bool read_choices(struct json_value choices, bool flat, bool whole, struct arena *arena,
                         struct wire_seen *seen) {
    for (struct json_iter it = json_iter(choices); json_next(&it);)
        if (!read_choice(it.value, flat, whole, arena, seen))
            return false;
    return true;
}

/* --- documents --- */

enum { ROOT_CHOICES = WIRE_AT_OWN, ROOT_USAGE, ROOT_MODEL, ROOT_X_GROQ, ROOT_COUNT };

static const struct span root_names[ROOT_COUNT] = { WIRE_AT_NAMES, WIRE_NAME("choices"),
                                                    WIRE_NAME("usage"), WIRE_NAME("model"),
                                                    WIRE_NAME("x_groq") };

/* Usage stands at the top, in a vendor's own object, or in the first choice. */
static void find_usage(const struct json_value at[ROOT_COUNT], struct wire_seen *seen) {
    (void)(wire_openai_chat_usage(at[ROOT_USAGE], seen) ||
           wire_openai_chat_usage(json_get(at[ROOT_X_GROQ], "usage"), seen) ||
           wire_openai_chat_usage(json_get(wire_first(at[ROOT_CHOICES]), "usage"), seen));
}

/* The end mark, or an event whose name says that it is an error. */
static bool is_special(struct json_parser *p, struct span name, struct span data,
                       struct arena *arena, struct wire_seen *seen) {
    bool end = span_starts(data, SPAN("[DONE]"));
    if (!end && !span_eq(name, SPAN("error")))
        return false;
    *seen = (struct wire_seen){ .kind = end ? WIRE_END : WIRE_ERROR, .usage = WIRE_USAGE_UNKNOWN };
    if (!end)
        wire_read_error(p, data, arena, &seen->error);
    return true;
}

void wire_openai_chat_event(bool flat, struct json_parser *p, struct span name, struct span data,
                            struct arena *arena, struct wire_seen *seen) {
    struct json_value at[ROOT_COUNT];
    data = span_trim(data);
    if (is_special(p, name, data, arena, seen) ||
        !wire_begin(p, data, root_names, at, ROOT_COUNT, arena, seen))
        return;
    struct span model = json_text(at[ROOT_MODEL]);
    seen->model = model.len ? model : SPAN_NONE;
    seen->nameless = !model.len;
    enum json_type type = json_type(at[ROOT_CHOICES]);
    bool fit = type == JSON_ARRAY || type == JSON_NULL || type == JSON_ABSENT;
    if (!fit || !read_choices(at[ROOT_CHOICES], flat, false, arena, seen)) {
        seen->kind = WIRE_MALFORMED;
        return;
    }
    find_usage(at, seen);
    seen->only_usage = seen->has_usage && seen->choices == 0;
}

void wire_openai_chat_answer(bool flat, struct json_parser *p, struct span body,
                             struct arena *arena, struct wire_seen *seen) {
    struct json_value at[ROOT_COUNT];
    if (!wire_begin(p, body, root_names, at, ROOT_COUNT, arena, seen))
        return;
    struct json_value choices = at[ROOT_CHOICES];
    if (json_type(choices) != JSON_ARRAY || json_count(choices) == 0 ||
        !read_choices(choices, flat, true, arena, seen)) {
        seen->kind = WIRE_MALFORMED;
        return;
    }
    find_usage(at, seen);
    wire_answer_model(p, at[ROOT_MODEL], seen);
}

static void read_event(struct json_parser *p, struct span name, struct span data,
                       struct arena *arena, struct wire_seen *seen) {
    wire_openai_chat_event(false, p, name, data, arena, seen);
}

static void read_answer(struct json_parser *p, struct span body, struct arena *arena,
                        struct wire_seen *seen) {
    wire_openai_chat_answer(false, p, body, arena, seen);
}

const struct wire wire_openai_chat = { .end_mark = WIRE_NAME("data: [DONE]\n\n"),
                                       .read_event = read_event,
                                       .read_answer = read_answer };
