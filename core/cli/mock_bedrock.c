/* mock_bedrock.c - Amazon Bedrock's Converse: blocks in binary frames, the usage behind the end. */
#include "cli/mock_bedrock.h"

#include "net/eventstream.h"

/* ---- the request ---- */

static size_t count_results(struct json_value content, struct arena *arena, size_t *bytes) {
    size_t n = 0;
    for (struct json_iter it = json_iter(content); json_next(&it);) {
        struct json_value result = json_get(it.value, "toolResult");
        if (json_type(result) == JSON_ABSENT)
            continue;
        n++;
        mock_content_text(json_get(result, "content"), arena, bytes);
    }
    return n;
}

static void read_messages(struct mock_ask *ask, struct json_value root, struct arena *arena) {
    struct json_value messages = json_get(root, "messages");
    size_t bytes = 0, n = json_count(messages);
    if (mock_content_text(json_get(root, "system"), arena, &bytes).len)
        n++;
    for (struct json_iter it = json_iter(messages); json_next(&it);) {
        struct json_value content = json_get(it.value, "content");
        struct span text = mock_content_text(content, arena, &bytes);
        size_t results = count_results(content, arena, &bytes);
        bool user = span_eq(json_text(json_get(it.value, "role")), SPAN("user"));
        if (user && (text.len || !results))
            ask->text = text;
    }
    ask->text = arena_copy(arena, ask->text);
    ask->prompt_tokens = mock_tokens_of(bytes) + (int64_t)n * 4;
}

/* "/model/MODEL/converse": the name in one segment, its own slashes and colons encoded. */
static struct span model_in(struct span path) {
    size_t end = path.len, start;
    while (end && path.at[end - 1] != '/')
        end--;
    end = end ? end - 1 : 0;
    start = end;
    while (start && path.at[start - 1] != '/')
        start--;
    bool model = span_ends(span_sub(path, 0, start), SPAN("/model/"));
    return model ? span_sub(path, start, end - start) : SPAN("");
}

static bool bedrock_read(struct mock_ask *ask, const struct mock_post *post, struct arena *arena,
                         struct mock_wrong *wrong) {
    struct json_value root = post->root, messages = json_get(root, "messages");
    struct span model = model_in(post->path);
    if (!model.len) {
        mock_refuse(wrong, NULL, "There is no operation at this path.");
        wrong->status = 404;
        wrong->type = SPAN("UnknownOperationException");
        return false;
    }
    if (json_type(messages) != JSON_ARRAY || json_count(messages) == 0)
        return mock_refuse(wrong, NULL, "There must be messages, as a list that is not empty.");
    ask->model = mock_decode(arena, model);
    ask->stream = span_ends(post->path, SPAN("/converse-stream"));
    ask->max_tokens = mock_limit(json_get(json_get(root, "inferenceConfig"), "maxTokens"));
    struct json_iter tools = json_iter(json_get(json_get(root, "toolConfig"), "tools"));
    while (json_next(&tools))
        mock_ask_tool(ask, json_get(json_get(tools.value, "toolSpec"), "name"), arena);
    read_messages(ask, root, arena);
    return true;
}

/* ---- parts of an answer ---- */

static struct span stop_reason(const struct mock_answer *a) {
    static const char *const words[] = { [MOCK_STOP] = "end_turn",
                                         [MOCK_LENGTH] = "max_tokens",
                                         [MOCK_CALLS] = "tool_use",
                                         [MOCK_REFUSED] = "content_filtered" };
    return a->shape->finish.at ? a->shape->finish : span_of(words[a->finish]);
}

/* Input stands without what comes from or goes to a cache. */
static void put_usage(const struct mock_answer *a, struct buf *out) {
    const struct mock_shape *shape = a->shape;
    mock_put_named(
        out, "\"usage\":{\"inputTokens\":", a->prompt_tokens - shape->cached - shape->written);
    mock_put_named(out, ",\"outputTokens\":", a->completion_tokens);
    mock_put_named(out, ",\"totalTokens\":", a->prompt_tokens + a->completion_tokens);
    mock_put_named(out, ",\"cacheReadInputTokens\":", shape->cached);
    mock_put_named(out, ",\"cacheWriteInputTokens\":", shape->written);
    mock_put(out, "},\"metrics\":{\"latencyMs\":1}");
}

static void put_use(const struct mock_answer *a, size_t call, struct buf *out) {
    mock_put(out, "{\"toolUse\":{\"toolUseId\":");
    mock_put_id(out, "tooluse_mock_", a->serial, call);
    mock_put_text(out, ",\"name\":", mock_answer_tool(a, call));
}

static void put_block(const struct mock_answer *a, const struct mock_block *block,
                      struct buf *out) {
    switch (block->kind) {
    case MOCK_REASONING:
        mock_put_text(out, "{\"reasoningContent\":{\"reasoningText\":{\"text\":", block->text);
        mock_put(out, ",\"signature\":" MOCK_SIGNATURE "}}}");
        break;
    case MOCK_CALL:
        put_use(a, block->call, out);
        mock_put(out, ",\"input\":");
        buf_add(out, mock_answer_input(a, block->call));
        mock_put(out, "}}");
        break;
    default:
        mock_put_text(out, "{\"text\":", block->text);
        mock_put(out, "}");
    }
}

static void bedrock_whole(struct mock_answer *a, struct buf *out) {
    mock_put(out, "{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[");
    for (size_t i = 0; i < mock_answer_blocks(a); i++) {
        struct mock_block block = mock_answer_block(a, i);
        mock_put(out, i ? "," : "");
        put_block(a, &block, out);
    }
    mock_put(out, "]}}");
    if (!a->harm->no_finish)
        mock_put_text(out, ",\"stopReason\":", stop_reason(a));
    if (!a->harm->no_usage) {
        mock_put(out, ",");
        put_usage(a, out);
    }
    mock_answer_extra(a, out);
    mock_put(out, "}");
}

/* ---- frames ---- */

static void put_frame(struct buf *out, const char *type, struct buf *payload) {
    eventstream_write(out, SPAN("event"), span_of(type), buf_span(payload));
    buf_deinit(payload);
}

static void bedrock_begin(struct mock_answer *a, struct buf *out) {
    struct buf payload = { 0 };
    mock_put(&payload, "{\"role\":\"assistant\"");
    mock_answer_extra(a, &payload);
    mock_put(&payload, "}");
    put_frame(out, "messageStart", &payload);
    if (a->shape->extra) {
        mock_put(&payload, "{}");
        put_frame(out, "mockUnknown", &payload);
    }
}

static void put_delta(size_t block, const char *delta, struct span text, const char *end,
                      struct buf *out) {
    struct buf payload = { 0 };
    mock_put_named(&payload, "{\"contentBlockIndex\":", (int64_t)block);
    mock_put_text(&payload, delta, text);
    mock_put(&payload, end);
    put_frame(out, "contentBlockDelta", &payload);
}

/* A thought is signed just before it ends. */
static void close_block(const struct mock_answer *a, size_t i, struct buf *out) {
    static const char signature[] = MOCK_SIGNATURE;
    struct buf payload = { 0 };
    if (mock_answer_block(a, i).kind == MOCK_REASONING)
        put_delta(i, ",\"delta\":{\"reasoningContent\":{\"signature\":",
                  (struct span){ signature + 1, sizeof signature - 3 }, "}}}", out);
    mock_put_named(&payload, "{\"contentBlockIndex\":", (int64_t)i);
    mock_put(&payload, "}");
    put_frame(out, "contentBlockStop", &payload);
}

/* Only a call's block is announced. */
static void open_block(const struct mock_answer *a, size_t i, struct buf *out) {
    struct mock_block block = mock_answer_block(a, i);
    struct buf payload = { 0 };
    if (block.kind != MOCK_CALL)
        return;
    mock_put_named(&payload, "{\"contentBlockIndex\":", (int64_t)i);
    mock_put(&payload, ",\"start\":");
    put_use(a, block.call, &payload);
    mock_put(&payload, "}}}");
    put_frame(out, "contentBlockStart", &payload);
}

static void bedrock_piece(struct mock_answer *a, size_t i, struct buf *out) {
    static const char *const deltas[][2] = {
        [MOCK_REASONING] = { ",\"delta\":{\"reasoningContent\":{\"text\":", "}}}" },
        [MOCK_CONTENT] = { ",\"delta\":{\"text\":", "}}" },
        [MOCK_REFUSAL] = { ",\"delta\":{\"text\":", "}}" },
        [MOCK_CALL] = { ",\"delta\":{\"toolUse\":{\"input\":", "}}}" },
    };
    const struct mock_piece *piece = &a->pieces[i];
    if (piece->first && i > 0)
        close_block(a, a->pieces[i - 1].block, out);
    if (piece->first)
        open_block(a, piece->block, out);
    put_delta(piece->block, deltas[piece->kind][0], piece->text, deltas[piece->kind][1], out);
    if (a->harm->frame_crc && i == 0)
        out->at[out->len - 1] ^= 0x55; /* the last bytes of a frame are the sum over it */
}

static void bedrock_finish(struct mock_answer *a, struct buf *out) {
    struct buf payload = { 0 };
    if (a->n_pieces)
        close_block(a, a->pieces[a->n_pieces - 1].block, out);
    mock_put_text(&payload, "{\"stopReason\":", stop_reason(a));
    mock_put(&payload, "}");
    put_frame(out, "messageStop", &payload);
}

static void bedrock_usage(struct mock_answer *a, struct buf *out) {
    struct buf payload = { 0 };
    mock_put(&payload, "{");
    put_usage(a, &payload);
    mock_put(&payload, "}");
    put_frame(out, "metadata", &payload);
}

/* The usage was the last. */
static void bedrock_done(struct mock_answer *a, struct buf *out) {}

/* A frame begins with its length, in four bytes, the highest first. */
static size_t last_frame(struct span bytes) {
    size_t at = 0, next = 0;
    while (next < bytes.len) {
        const unsigned char *b = (const unsigned char *)bytes.at + next;
        at = next;
        next += (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
    }
    return at;
}

static void garbage(struct buf *out) {
    eventstream_write(out, SPAN("event"), SPAN("messageStart"), SPAN("{\"role\":\"assis"));
}

static const struct mock_frames frames = { .last = last_frame, .garbage = garbage };

/* ---- errors ---- */

static void bedrock_names(struct mock_error *e) {
    static const struct {
        int64_t status;
        const char *type;
    } names[] = {
        { 403, "AccessDeniedException" }, { 404, "ResourceNotFoundException" },
        { 408, "ModelTimeoutException" }, { 424, "ModelErrorException" },
        { 429, "ThrottlingException" },   { 503, "ServiceUnavailableException" },
    };
    e->type = e->status < 500 ? SPAN("ValidationException") : SPAN("InternalServerException");
    e->code = SPAN_NONE;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].status == e->status)
            e->type = span_of(names[i].type);
}

/* What went wrong is in a header, and nowhere else. */
static void bedrock_error(const struct mock_error *e, struct buf *out) {
    mock_put_text(out, "{\"message\":", e->message);
    mock_put(out, "}");
}

/* In a stream exceptions begin in lower case. */
static void bedrock_fail(struct mock_answer *a, const struct mock_error *e, struct buf *out) {
    struct buf payload = { 0 }, type = { 0 };
    bedrock_error(e, &payload);
    buf_add(&type, e->type);
    if (type.len)
        type.at[0] |= 0x20;
    eventstream_write(out, SPAN("exception"), buf_span(&type), buf_span(&payload));
    buf_deinit(&type);
    buf_deinit(&payload);
}

const struct mock_dialect mock_bedrock = {
    .stream_type = "application/vnd.amazon.eventstream",
    .id_header = "x-amzn-requestid",
    .error_header = "x-amzn-errortype",
    .fail_status = 500,
    .read = bedrock_read,
    .check = mock_bedrock_check,
    .whole = bedrock_whole,
    .begin = bedrock_begin,
    .piece = bedrock_piece,
    .finish = bedrock_finish,
    .usage = bedrock_usage,
    .done = bedrock_done,
    .fail = bedrock_fail,
    .frames = &frames,
    .names = bedrock_names,
    .error = bedrock_error,
};
