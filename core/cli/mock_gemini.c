/* mock_gemini.c - Google's generateContent: chunks of parts, the finish in the last. */
#include "cli/mock_gemini.h"

struct json_value mock_gemini_get(struct json_value object, const char *camel, const char *snake) {
    struct json_value v = json_get(object, camel);
    return json_type(v) == JSON_ABSENT ? json_get(object, snake) : v;
}

/* ---- the request ---- */

/* The results of calls in a content; what they say is added to *bytes. */
static size_t count_results(struct json_value parts, size_t *bytes) {
    size_t n = 0;
    for (struct json_iter it = json_iter(parts); json_next(&it);) {
        struct json_value result =
            mock_gemini_get(it.value, "functionResponse", "function_response");
        if (json_type(result) == JSON_ABSENT)
            continue;
        n++;
        for (struct json_iter said = json_iter(json_get(result, "response")); json_next(&said);)
            *bytes += json_text(said.value).len;
    }
    return n;
}

static void read_contents(struct mock_ask *ask, struct json_value root, struct arena *arena) {
    struct json_value contents = json_get(root, "contents");
    struct json_value system = mock_gemini_get(root, "systemInstruction", "system_instruction");
    size_t bytes = 0, n = json_count(contents);
    if (mock_content_text(json_get(system, "parts"), arena, &bytes).len)
        n++;
    for (struct json_iter it = json_iter(contents); json_next(&it);) {
        struct json_value parts = json_get(it.value, "parts");
        struct span text = mock_content_text(parts, arena, &bytes);
        size_t results = count_results(parts, &bytes);
        bool model = span_eq(json_text(json_get(it.value, "role")), SPAN("model"));
        if (!model && (text.len || !results))
            ask->text = text;
    }
    ask->text = arena_copy(arena, ask->text);
    ask->prompt_tokens = mock_tokens_of(bytes) + (int64_t)n * 4;
}

static void read_tools(struct mock_ask *ask, struct json_value root, struct arena *arena) {
    for (struct json_iter tool = json_iter(json_get(root, "tools")); json_next(&tool);) {
        struct json_iter it =
            json_iter(mock_gemini_get(tool.value, "functionDeclarations", "function_declarations"));
        while (json_next(&it))
            mock_ask_tool(ask, json_get(it.value, "name"), arena);
    }
}

static bool gemini_read(struct mock_ask *ask, const struct mock_post *post, struct arena *arena,
                        struct mock_wrong *wrong) {
    struct json_value contents = json_get(post->root, "contents");
    bool stream = span_ends(post->path, SPAN(":streamGenerateContent"));
    struct span query = post->query, field;
    bool sse = false;
    if (json_type(contents) != JSON_ARRAY || json_count(contents) == 0)
        return mock_refuse(wrong, NULL, "GenerateContentRequest.contents: contents is not set");
    while (span_split(&query, '&', &field))
        sse = sse || span_eq(field, SPAN("alt=sse"));
    ask->model = mock_post_model(post, arena);
    ask->stream = stream && sse;
    ask->listed = stream && !sse;
    struct json_value config = mock_gemini_get(post->root, "generationConfig", "generation_config");
    ask->max_tokens = mock_limit(mock_gemini_get(config, "maxOutputTokens", "max_output_tokens"));
    read_tools(ask, post->root, arena);
    read_contents(ask, post->root, arena);
    return true;
}

/* ---- parts of an answer ---- */

static const char *finish_reason(const struct mock_answer *a) {
    static const char *const words[] = { [MOCK_STOP] = "STOP",
                                         [MOCK_LENGTH] = "MAX_TOKENS",
                                         [MOCK_CALLS] = "STOP",
                                         [MOCK_REFUSED] = "SAFETY" };
    return words[a->finish];
}

/* Models before the third generation do not number their calls. */
static bool names_calls(const struct mock_answer *a) {
    return !a->shape->no_id && !span_starts(a->model, SPAN("gemini-1")) &&
           !span_starts(a->model, SPAN("gemini-2"));
}

/* `signed_too`: the part carries the signature of what was thought before it. */
static void put_part(const struct mock_answer *a, const struct mock_block *block, struct span text,
                     bool signed_too, struct buf *out) {
    if (block->kind == MOCK_CALL) {
        mock_put(out, "{\"functionCall\":{");
        if (names_calls(a)) {
            mock_put(out, "\"id\":");
            mock_put_id(out, "fc-mock-", a->serial, block->call);
            mock_put(out, ",");
        }
        mock_put_text(out, "\"name\":", mock_answer_tool(a, block->call));
        mock_put(out, ",\"args\":");
        buf_add(out, mock_answer_input(a, block->call));
        mock_put(out, "}");
    } else {
        mock_put_text(out, "{\"text\":", text);
        mock_put(out, block->kind == MOCK_REASONING ? ",\"thought\":true" : "");
    }
    mock_put(out, signed_too ? ",\"thoughtSignature\":" MOCK_SIGNATURE "}" : "}");
}

/* Of parallel calls the first one, or a text that was thought about. */
static bool is_signed(const struct mock_answer *a, const struct mock_block *block) {
    if (block->kind == MOCK_CALL)
        return block->call == 0;
    return block->kind == MOCK_CONTENT && a->reasoning.len > 0 && a->n_calls == 0;
}

/* What was said by now is `part` of `all`. */
static void put_tail(const struct mock_answer *a, int64_t part, int64_t all, struct buf *out) {
    int64_t said = (a->completion_tokens - a->reasoning_tokens) * part / (all ? all : 1);
    if (!a->harm->no_usage) {
        mock_put_named(out, ",\"usageMetadata\":{\"promptTokenCount\":", a->prompt_tokens);
        if (a->shape->cached)
            mock_put_named(out, ",\"cachedContentTokenCount\":", a->shape->cached);
        mock_put_named(out, ",\"candidatesTokenCount\":", said);
        if (a->reasoning_tokens)
            mock_put_named(out, ",\"thoughtsTokenCount\":", a->reasoning_tokens);
        mock_put_named(out, ",\"totalTokenCount\":", a->prompt_tokens + said + a->reasoning_tokens);
        mock_put(out, "}");
    }
    mock_put_text(out, ",\"modelVersion\":", a->model);
    mock_put_named(out, ",\"responseId\":\"mock-", (int64_t)a->serial);
    mock_put(out, "\"");
    mock_answer_extra(a, out);
}

static void put_finish(const struct mock_answer *a, struct buf *out) {
    mock_put_text(out, ",\"finishReason\":",
                  a->shape->finish.at ? a->shape->finish : span_of(finish_reason(a)));
}

static void gemini_whole(struct mock_answer *a, struct buf *out) {
    size_t n = mock_answer_blocks(a);
    mock_put(out, a->ask->listed ? "[" : "");
    mock_put(out, "{\"candidates\":[{\"content\":{");
    for (size_t i = 0; i < n; i++) {
        struct mock_block block = mock_answer_block(a, i);
        mock_put(out, i ? "," : "\"parts\":[");
        put_part(a, &block, block.text, is_signed(a, &block), out);
    }
    mock_put(out, n ? "],\"role\":\"model\"}" : "\"role\":\"model\"}");
    if (!a->harm->no_finish)
        put_finish(a, out);
    mock_put(out, ",\"index\":0}]");
    put_tail(a, 1, 1, out);
    mock_put(out, a->ask->listed ? "}]" : "}");
}

/* ---- events ---- */

static void gemini_begin(struct mock_answer *a, struct buf *out) {}

/* Whether the finish comes with the last part: not where something is to happen between them. */
static bool ends_with_part(const struct mock_answer *a) {
    const struct mock_harm *harm = a->harm;
    return a->n_pieces && !a->shape->split_stop && !harm->no_finish && !harm->cut_frame &&
           harm->cut_after < 0 && harm->error_after < 0;
}

static void gemini_piece(struct mock_answer *a, size_t i, struct buf *out) {
    const struct mock_piece *piece = &a->pieces[i];
    struct mock_block block = mock_answer_block(a, piece->block);
    bool last = i + 1 == a->n_pieces;
    mock_put(out, "data: {\"candidates\":[{\"content\":{\"parts\":[");
    put_part(a, &block, piece->text, is_signed(a, &block) && (last || block.kind == MOCK_CALL),
             out);
    mock_put(out, "],\"role\":\"model\"}");
    if (last && ends_with_part(a))
        put_finish(a, out);
    mock_put(out, ",\"index\":0}]");
    put_tail(a, (int64_t)i + 1, (int64_t)a->n_pieces, out);
    mock_put(out, MOCK_EVENT_END);
}

static void gemini_finish(struct mock_answer *a, struct buf *out) {
    if (ends_with_part(a))
        return;
    mock_put(out, "data: {\"candidates\":[{\"content\":{");
    mock_put(out, a->n_pieces ? "\"parts\":[{\"text\":\"\"}],\"role\":\"model\"}"
                              : "\"role\":\"model\"}");
    put_finish(a, out);
    mock_put(out, ",\"index\":0}]");
    put_tail(a, 1, 1, out);
    mock_put(out, MOCK_EVENT_END);
}

/* Usage is in each chunk, and nothing follows the finish. */
static void gemini_nothing(struct mock_answer *a, struct buf *out) {}

/* ---- errors ---- */

static void gemini_names(struct mock_error *e) {
    static const struct {
        int64_t status;
        const char *type;
    } names[] = {
        { 401, "UNAUTHENTICATED" }, { 403, "PERMISSION_DENIED" },  { 404, "NOT_FOUND" },
        { 409, "ABORTED" },         { 429, "RESOURCE_EXHAUSTED" }, { 499, "CANCELLED" },
        { 503, "UNAVAILABLE" },     { 504, "DEADLINE_EXCEEDED" },
    };
    e->type = e->status < 500 ? SPAN("INVALID_ARGUMENT") : SPAN("INTERNAL");
    e->code = SPAN_NONE;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].status == e->status)
            e->type = span_of(names[i].type);
}

/* There is no header for when to come again: it stands among the details. */
static void gemini_error(const struct mock_error *e, struct buf *out) {
    mock_put_named(out, "{\"error\":{\"code\":", e->status);
    mock_put_text(out, ",\"message\":", e->message);
    mock_put_text(out, ",\"status\":", e->type);
    if (e->code.at || e->retry_after.at)
        mock_put(out, ",\"details\":[");
    if (e->code.at) {
        mock_put_text(
            out, "{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":", e->code);
        mock_put(out, e->retry_after.at ? ",\"domain\":\"googleapis.com\"},"
                                        : ",\"domain\":\"googleapis.com\"}");
    }
    if (e->retry_after.at) {
        mock_put(out, "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"");
        buf_add(out, e->retry_after);
        mock_put(out, "s\"}");
    }
    mock_put(out, e->code.at || e->retry_after.at ? "]}}" : "}}");
}

static void gemini_fail(struct mock_answer *a, const struct mock_error *e, struct buf *out) {
    mock_put(out, "data: ");
    gemini_error(e, out);
    mock_put(out, "\n\n");
}

const struct mock_dialect mock_gemini = {
    .stream_type = "text/event-stream",
    .whole_calls = true,
    .crlf = true,
    .retry_in_body = true,
    .fail_status = 503,
    .read = gemini_read,
    .check = mock_gemini_check,
    .whole = gemini_whole,
    .begin = gemini_begin,
    .piece = gemini_piece,
    .finish = gemini_finish,
    .usage = gemini_nothing,
    .done = gemini_nothing,
    .fail = gemini_fail,
    .names = gemini_names,
    .error = gemini_error,
};
