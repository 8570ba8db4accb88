/* mock_anthropic.c - Anthropic's Messages: blocks, one after the other. */
#include "cli/mock_anthropic.h"

/* ---- the request ---- */

static bool holds_results(struct json_value content) {
    if (json_type(content) == JSON_ARRAY)
        for (struct json_iter it = json_iter(content); json_next(&it);)
            if (span_eq(json_text(json_get(it.value, "type")), SPAN("tool_result")))
                return true;
    return false;
}

static void count_results(struct json_value content, struct arena *arena, size_t *bytes) {
    if (json_type(content) == JSON_ARRAY)
        for (struct json_iter it = json_iter(content); json_next(&it);)
            mock_content_text(json_get(it.value, "content"), arena, bytes);
}

static void read_messages(struct mock_ask *ask, struct json_value root, struct arena *arena) {
    struct json_value messages = json_get(root, "messages");
    size_t bytes = 0, n = json_count(messages);
    if (mock_content_text(json_get(root, "system"), arena, &bytes).len)
        n++;
    for (struct json_iter it = json_iter(messages); json_next(&it);) {
        struct json_value content = json_get(it.value, "content");
        struct span text = mock_content_text(content, arena, &bytes);
        count_results(content, arena, &bytes);
        /* A turn that only brings results is not what the user said last. */
        if (span_eq(json_text(json_get(it.value, "role")), SPAN("user")) &&
            (text.len || !holds_results(content)))
            ask->text = text;
    }
    ask->text = arena_copy(arena, ask->text);
    ask->prompt_tokens = mock_tokens_of(bytes) + (int64_t)n * 4;
}

bool mock_anthropic_on_vertex(const struct mock_post *post) {
    return span_ends(post->path, SPAN(":rawPredict")) ||
           span_ends(post->path, SPAN(":streamRawPredict"));
}

static bool anthropic_read(struct mock_ask *ask, const struct mock_post *post, struct arena *arena,
                           struct mock_wrong *wrong) {
    struct json_value root = post->root, messages = json_get(root, "messages");
    bool vertex = mock_anthropic_on_vertex(post);
    if (!vertex && json_type(json_get(root, "model")) != JSON_STRING)
        return mock_refuse(wrong, NULL, "model: there must be one, as a string");
    if (json_type(messages) != JSON_ARRAY || json_count(messages) == 0)
        return mock_refuse(wrong, NULL, "messages: there must be at least one message");
    ask->model = vertex ? mock_post_model(post, arena)
                        : arena_copy(arena, json_text(json_get(root, "model")));
    ask->stream = json_true(json_get(root, "stream"));
    ask->max_tokens = mock_limit(json_get(root, "max_tokens"));
    struct json_value tools = json_get(root, "tools");
    if (json_type(tools) == JSON_ARRAY)
        for (struct json_iter it = json_iter(tools); json_next(&it);)
            mock_ask_tool(ask, json_get(it.value, "name"), arena);
    read_messages(ask, root, arena);
    return true;
}

static bool count_read(struct mock_ask *ask, const struct mock_post *post, struct arena *arena,
                       struct mock_wrong *wrong) {
    bool fine = anthropic_read(ask, post, arena, wrong);
    ask->stream = false;
    return fine;
}

/* ---- parts of an answer ---- */

static const char *stop_reason(const struct mock_answer *a) {
    static const char *const words[] = { [MOCK_STOP] = "end_turn",
                                         [MOCK_LENGTH] = "max_tokens",
                                         [MOCK_CALLS] = "tool_use",
                                         [MOCK_REFUSED] = "refusal" };
    return words[a->finish];
}

static void put_stop(const struct mock_answer *a, struct buf *out) {
    mock_put_text(
        out, "\"stop_reason\":", a->shape->finish.at ? a->shape->finish : span_of(stop_reason(a)));
    mock_put(out, ",\"stop_sequence\":null,\"stop_details\":");
    if (a->finish == MOCK_REFUSED)
        mock_put_text(out, "{\"type\":\"refusal\",\"category\":null,\"explanation\":", a->content);
    mock_put(out, a->finish == MOCK_REFUSED ? "}" : "null");
}

/* Input stands without what comes from or goes to a cache. */
static void put_usage(const struct mock_answer *a, int64_t output, struct buf *out) {
    const struct mock_shape *shape = a->shape;
    mock_put_named(
        out, ",\"usage\":{\"input_tokens\":", a->prompt_tokens - shape->cached - shape->written);
    mock_put_named(out, ",\"cache_creation_input_tokens\":", shape->written);
    mock_put_named(out, ",\"cache_read_input_tokens\":", shape->cached);
    mock_put_named(out, ",\"cache_creation\":{\"ephemeral_5m_input_tokens\":", shape->written);
    mock_put_named(out, ",\"ephemeral_1h_input_tokens\":0},\"output_tokens\":", output);
    mock_put_named(out, ",\"output_tokens_details\":{\"thinking_tokens\":",
                   output < a->reasoning_tokens ? 0 : a->reasoning_tokens);
    mock_put(out, "},\"service_tier\":\"standard\"}");
}

/* A block as it opens, or with all that is in it. */
static void put_block(const struct mock_answer *a, const struct mock_block *block, bool filled,
                      struct buf *out) {
    struct span text = filled ? block->text : SPAN("");
    switch (block->kind) {
    case MOCK_REASONING:
        mock_put_text(out, "{\"type\":\"thinking\",\"thinking\":", text);
        mock_put(out, filled ? ",\"signature\":" MOCK_SIGNATURE "}" : ",\"signature\":\"\"}");
        break;
    case MOCK_CALL:
        mock_put(out, "{\"type\":\"tool_use\",\"id\":");
        mock_put_id(out, "toolu_mock_", a->serial, block->call);
        mock_put_text(out, ",\"name\":", mock_answer_tool(a, block->call));
        mock_put(out, ",\"input\":");
        buf_add(out, filled ? mock_answer_input(a, block->call) : SPAN("{}"));
        mock_put(out, "}");
        break;
    default:
        mock_put_text(out, "{\"type\":\"text\",\"text\":", text);
        mock_put(out, "}");
    }
}

static void put_message_head(const struct mock_answer *a, struct buf *out) {
    mock_put(out, "{\"id\":");
    mock_put_id(out, "msg_mock_", a->serial, 0);
    mock_put_text(out, ",\"type\":\"message\",\"role\":\"assistant\",\"model\":", a->model);
    mock_answer_extra(a, out);
    mock_put(out, ",\"content\":[");
}

static void anthropic_whole(struct mock_answer *a, struct buf *out) {
    put_message_head(a, out);
    for (size_t i = 0; i < mock_answer_blocks(a); i++) {
        struct mock_block block = mock_answer_block(a, i);
        mock_put(out, i ? "," : "");
        put_block(a, &block, true, out);
    }
    mock_put(out, "],");
    if (a->harm->no_finish)
        mock_put(out, "\"stop_reason\":null,\"stop_sequence\":null");
    else
        put_stop(a, out);
    if (!a->harm->no_usage)
        put_usage(a, a->completion_tokens, out);
    mock_put(out, "}");
}

static void count_whole(struct mock_answer *a, struct buf *out) {
    mock_put_named(out, "{\"input_tokens\":", a->prompt_tokens);
    mock_put(out, "}");
}

/* ---- events ---- */

static void anthropic_begin(struct mock_answer *a, struct buf *out) {
    mock_put_event(out, "message_start");
    mock_put(out, ",\"message\":");
    put_message_head(a, out);
    mock_put(out, "],\"stop_reason\":null,\"stop_sequence\":null,\"stop_details\":null");
    if (!a->harm->no_usage)
        put_usage(a, a->completion_tokens > 0, out);
    mock_put(out, "}" MOCK_EVENT_END);
    mock_put_event(out, "ping");
    mock_put(out, MOCK_EVENT_END);
    if (a->shape->extra) {
        mock_put_event(out, "mock_unknown");
        mock_put(out, MOCK_EVENT_END);
    }
}

static void begin_delta(size_t block, const char *type, struct buf *out) {
    mock_put_event(out, "content_block_delta");
    mock_put_named(out, ",\"index\":", (int64_t)block);
    mock_put(out, ",\"delta\":{\"type\":\"");
    mock_put(out, type);
}

/* A thinking block is signed just before it ends. */
static void close_block(struct mock_answer *a, size_t i, struct buf *out) {
    if (mock_answer_block(a, i).kind == MOCK_REASONING) {
        begin_delta(i, "signature_delta\",\"signature\":" MOCK_SIGNATURE "}", out);
        mock_put(out, MOCK_EVENT_END);
    }
    mock_put_event(out, "content_block_stop");
    mock_put_named(out, ",\"index\":", (int64_t)i);
    mock_put(out, MOCK_EVENT_END);
}

static void open_block(struct mock_answer *a, size_t i, struct buf *out) {
    struct mock_block block = mock_answer_block(a, i);
    mock_put_event(out, "content_block_start");
    mock_put_named(out, ",\"index\":", (int64_t)i);
    mock_put(out, ",\"content_block\":");
    put_block(a, &block, false, out);
    mock_put(out, MOCK_EVENT_END);
}

static void anthropic_piece(struct mock_answer *a, size_t i, struct buf *out) {
    static const char *const deltas[] = { [MOCK_REASONING] = "thinking_delta\",\"thinking\":",
                                          [MOCK_CONTENT] = "text_delta\",\"text\":",
                                          [MOCK_REFUSAL] = "text_delta\",\"text\":",
                                          [MOCK_CALL] = "input_json_delta\",\"partial_json\":" };
    const struct mock_piece *piece = &a->pieces[i];
    if (piece->first && i > 0)
        close_block(a, a->pieces[i - 1].block, out);
    if (piece->first)
        open_block(a, piece->block, out);
    begin_delta(piece->block, deltas[piece->kind], out);
    buf_add_json(out, piece->text);
    mock_put(out, "}" MOCK_EVENT_END);
}

static void anthropic_finish(struct mock_answer *a, struct buf *out) {
    if (a->n_pieces)
        close_block(a, a->pieces[a->n_pieces - 1].block, out);
    mock_put_event(out, "message_delta");
    mock_put(out, ",\"delta\":{");
    put_stop(a, out);
    mock_put(out, "}");
    if (!a->harm->no_usage)
        put_usage(a, a->completion_tokens, out);
    mock_put(out, MOCK_EVENT_END);
}

/* It went with message_delta. */
static void anthropic_usage(struct mock_answer *a, struct buf *out) {}

static void anthropic_done(struct mock_answer *a, struct buf *out) {
    mock_put_event(out, "message_stop");
    mock_put(out, MOCK_EVENT_END);
}

/* ---- errors ---- */

static void anthropic_names(struct mock_error *e) {
    static const struct {
        int64_t status;
        const char *type;
    } names[] = {
        { 401, "authentication_error" }, { 402, "billing_error" },  { 403, "permission_error" },
        { 404, "not_found_error" },      { 409, "conflict_error" }, { 413, "request_too_large" },
        { 429, "rate_limit_error" },     { 504, "timeout_error" },  { 529, "overloaded_error" },
    };
    e->type = e->status < 500 ? SPAN("invalid_request_error") : SPAN("api_error");
    e->code = SPAN_NONE;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].status == e->status)
            e->type = span_of(names[i].type);
}

static void put_error_object(const struct mock_error *e, struct buf *out) {
    mock_put_text(out, ",\"error\":{\"type\":", e->type);
    mock_put_text(out, ",\"message\":", e->message);
    if (e->code.at) {
        mock_put_text(out, ",\"details\":{\"error_code\":", e->code);
        mock_put(out, "}");
    }
    mock_put_text(out, "},\"request_id\":", e->request_id);
}

static void anthropic_error(const struct mock_error *e, struct buf *out) {
    mock_put(out, "{\"type\":\"error\"");
    put_error_object(e, out);
    mock_put(out, "}");
}

static void anthropic_fail(struct mock_answer *a, const struct mock_error *e, struct buf *out) {
    mock_put_event(out, "error");
    put_error_object(e, out);
    mock_put(out, MOCK_EVENT_END);
}

const struct mock_dialect mock_anthropic = {
    .stream_type = "text/event-stream; charset=utf-8",
    .id_header = "request-id",
    .limits = MOCK_ANTHROPIC_LIMITS,
    .fail_status = 529,
    .read = anthropic_read,
    .check = mock_anthropic_check,
    .whole = anthropic_whole,
    .begin = anthropic_begin,
    .piece = anthropic_piece,
    .finish = anthropic_finish,
    .usage = anthropic_usage,
    .done = anthropic_done,
    .fail = anthropic_fail,
    .names = anthropic_names,
    .error = anthropic_error,
};

const struct mock_dialect mock_anthropic_count = {
    .id_header = "request-id",
    .limits = MOCK_ANTHROPIC_LIMITS,
    .says = MOCK_SAYS_NOTHING,
    .read = count_read,
    .check = mock_anthropic_check_count,
    .whole = count_whole,
    .names = anthropic_names,
    .error = anthropic_error,
};
