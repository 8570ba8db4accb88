/* mock_responses.c - OpenAI's Responses: items, each opened, filled and closed by events. */
#include "cli/mock_responses.h"

/* ---- the request ---- */

static bool includes(struct json_value root, const char *what) {
    struct json_value include = json_get(root, "include");
    if (json_type(include) == JSON_ARRAY)
        for (struct json_iter it = json_iter(include); json_next(&it);)
            if (span_eq(json_text(it.value), span_of(what)))
                return true;
    return false;
}

/* An item without a type is a message. */
static void read_item(struct mock_ask *ask, struct json_value item, struct arena *arena,
                      size_t *bytes) {
    struct span text = mock_content_text(json_get(item, "content"), arena, bytes);
    mock_content_text(json_get(item, "output"), arena, bytes);
    if (span_eq(json_text(json_get(item, "role")), SPAN("user")))
        ask->text = text;
}

static void read_input(struct mock_ask *ask, struct json_value root, struct arena *arena) {
    struct json_value input = json_get(root, "input");
    size_t bytes = 0, items = 1;
    if (json_type(input) == JSON_STRING) {
        ask->text = mock_content_text(input, arena, &bytes);
    } else {
        items = json_count(input);
        for (struct json_iter it = json_iter(input); json_next(&it);)
            read_item(ask, it.value, arena, &bytes);
    }
    if (mock_content_text(json_get(root, "instructions"), arena, &bytes).len)
        items++;
    ask->text = arena_copy(arena, ask->text);
    ask->prompt_tokens = mock_tokens_of(bytes) + (int64_t)items * 4;
}

static bool responses_read(struct mock_ask *ask, const struct mock_post *post, struct arena *arena,
                           struct mock_wrong *wrong) {
    struct json_value root = post->root, input = json_get(root, "input");
    if (!mock_openai_read_model(ask, post, arena, wrong))
        return false;
    if (json_type(input) != JSON_STRING && (json_type(input) != JSON_ARRAY || !json_count(input)))
        return mock_refuse(wrong, "input", "There must be input, a string or a list of items.");
    ask->stream = json_true(json_get(root, "stream"));
    ask->encrypted = includes(root, "reasoning.encrypted_content");
    ask->max_tokens = mock_limit(json_get(root, "max_output_tokens"));
    struct json_value tools = json_get(root, "tools");
    if (json_type(tools) == JSON_ARRAY)
        for (struct json_iter it = json_iter(tools); json_next(&it);)
            mock_ask_tool(ask, json_get(it.value, "name"), arena);
    read_input(ask, root, arena);
    return true;
}

/* ---- items ---- */

static const char *const prefixes[] = { [MOCK_REASONING] = "rs_mock_",
                                        [MOCK_CONTENT] = "msg_mock_",
                                        [MOCK_REFUSAL] = "msg_mock_",
                                        [MOCK_CALL] = "fc_mock_" };

static void put_item_id(const struct mock_answer *a, const struct mock_block *block,
                        struct buf *out) {
    mock_put_id(out, prefixes[block->kind], a->serial, block->call);
}

static void put_part(const struct mock_block *block, struct span text, struct buf *out) {
    if (block->kind == MOCK_REFUSAL) {
        mock_put_text(out, "{\"type\":\"refusal\",\"refusal\":", text);
    } else if (block->kind == MOCK_REASONING) {
        mock_put_text(out, "{\"type\":\"summary_text\",\"text\":", text);
    } else {
        mock_put_text(out, "{\"type\":\"output_text\",\"text\":", text);
        mock_put(out, ",\"annotations\":[],\"logprobs\":[]");
    }
    mock_put(out, "}");
}

/* The members behind an item's id; an open one is empty yet. */
static void put_item_body(const struct mock_answer *a, const struct mock_block *block, bool closed,
                          struct buf *out) {
    const char *status = closed ? ",\"status\":\"completed\"" : ",\"status\":\"in_progress\"";
    switch (block->kind) {
    case MOCK_REASONING:
        mock_put(out, ",\"type\":\"reasoning\",\"summary\":[");
        if (closed)
            put_part(block, block->text, out);
        mock_put(out, "]");
        if (a->ask->encrypted)
            mock_put(out, ",\"encrypted_content\":" MOCK_SIGNATURE);
        break;
    case MOCK_CALL:
        mock_put(out, ",\"type\":\"function_call\",\"call_id\":");
        mock_put_id(out, "call_mock_", a->serial, block->call);
        mock_put_text(out, ",\"name\":", mock_answer_tool(a, block->call));
        mock_put_text(out, ",\"arguments\":", closed ? block->text : SPAN(""));
        mock_put(out, status);
        break;
    default:
        mock_put(out, ",\"type\":\"message\",\"role\":\"assistant\",\"content\":[");
        if (closed)
            put_part(block, block->text, out);
        mock_put(out, "]");
        mock_put(out, status);
    }
}

static void put_item(const struct mock_answer *a, const struct mock_block *block, bool closed,
                     struct buf *out) {
    mock_put(out, "{\"id\":");
    put_item_id(a, block, out);
    put_item_body(a, block, closed, out);
    mock_put(out, "}");
}

/* ---- the response ---- */

static void put_usage(const struct mock_answer *a, struct buf *out) {
    if (a->harm->no_usage) {
        mock_put(out, ",\"usage\":null");
        return;
    }
    mock_put_named(out, ",\"usage\":{\"input_tokens\":", a->prompt_tokens);
    mock_put_named(out, ",\"input_tokens_details\":{\"cached_tokens\":", a->shape->cached);
    mock_put_named(out, ",\"cache_write_tokens\":", a->shape->written);
    mock_put_named(out, "},\"output_tokens\":", a->completion_tokens);
    mock_put_named(out, ",\"output_tokens_details\":{\"reasoning_tokens\":", a->reasoning_tokens);
    mock_put_named(out, "},\"total_tokens\":", a->prompt_tokens + a->completion_tokens);
    mock_put(out, "}");
}

/* Why it stopped short; SPAN_NONE when it did not. */
static struct span short_of(const struct mock_answer *a) {
    if (a->shape->finish.at)
        return a->shape->finish;
    return a->finish == MOCK_LENGTH ? SPAN("max_output_tokens") : SPAN_NONE;
}

enum state { IN_PROGRESS, FAILED, OVER };

static const char *status_of(const struct mock_answer *a, enum state state) {
    if (state == IN_PROGRESS)
        return "in_progress";
    if (state == FAILED)
        return "failed";
    return short_of(a).at ? "incomplete" : "completed";
}

static void put_response(const struct mock_answer *a, enum state state, const struct mock_error *e,
                         struct buf *out) {
    mock_put(out, "{\"id\":");
    mock_put_id(out, "resp_mock_", a->serial, 0);
    mock_put(out, ",\"object\":\"response\",\"created_at\":" MOCK_CREATED ",\"status\":\"");
    mock_put(out, status_of(a, state));
    mock_put(out, state == OVER ? "\",\"completed_at\":" MOCK_CREATED : "\",\"completed_at\":null");
    if (e) {
        mock_put_text(out, ",\"error\":{\"code\":", e->code.at ? e->code : SPAN("server_error"));
        mock_put_text(out, ",\"message\":", e->message);
        mock_put(out, "}");
    } else {
        mock_put(out, ",\"error\":null");
    }
    struct span reason = state == OVER ? short_of(a) : SPAN_NONE;
    mock_put_text(
        out,
        reason.at ? ",\"incomplete_details\":{\"reason\":" : ",\"incomplete_details\":", reason);
    mock_put_text(out, reason.at ? "},\"model\":" : ",\"model\":", a->model);
    mock_put(out, ",\"output\":[");
    for (size_t i = 0; state == OVER && i < mock_answer_blocks(a); i++) {
        struct mock_block block = mock_answer_block(a, i);
        mock_put(out, i ? "," : "");
        put_item(a, &block, true, out);
    }
    mock_put(out, "],\"parallel_tool_calls\":true,\"tool_choice\":\"auto\",\"tools\":[],"
                  "\"temperature\":1,\"top_p\":1,\"instructions\":null,\"metadata\":{},"
                  "\"previous_response_id\":null,\"store\":false,\"truncation\":\"disabled\","
                  "\"reasoning\":{\"effort\":null,\"summary\":null},"
                  "\"text\":{\"format\":{\"type\":\"text\"}}");
    if (state == OVER)
        put_usage(a, out);
    else
        mock_put(out, ",\"usage\":null");
    mock_answer_extra(a, out);
    mock_put(out, "}");
}

static void responses_whole(struct mock_answer *a, struct buf *out) {
    put_response(a, a->harm->no_finish ? IN_PROGRESS : OVER, NULL, out);
}

/* ---- events ---- */

static void begin_event(struct mock_answer *a, const char *name, struct buf *out) {
    mock_put_event(out, name);
    mock_put_named(out, ",\"sequence_number\":", (int64_t)a->sequence++);
}

static void put_state(struct mock_answer *a, const char *name, enum state state,
                      const struct mock_error *e, struct buf *out) {
    begin_event(a, name, out);
    mock_put(out, ",\"response\":");
    put_response(a, state, e, out);
    mock_put(out, MOCK_EVENT_END);
}

/* An event about a part of an item. */
static void begin_part_event(struct mock_answer *a, const char *name, size_t i,
                             const struct mock_block *block, struct buf *out) {
    begin_event(a, name, out);
    mock_put(out, ",\"item_id\":");
    put_item_id(a, block, out);
    mock_put_named(out, ",\"output_index\":", (int64_t)i);
    if (block->kind == MOCK_REASONING)
        mock_put(out, ",\"summary_index\":0");
    else if (block->kind != MOCK_CALL)
        mock_put(out, ",\"content_index\":0");
}

/* What the events of a kind of item are called. */
static const struct names {
    const char *added, *delta, *done, *closed; /* of the part, its text, the part */
    const char *text;                          /* the member with all of it */
} names[] = {
    [MOCK_REASONING] = { "response.reasoning_summary_part.added",
                         "response.reasoning_summary_text.delta",
                         "response.reasoning_summary_text.done",
                         "response.reasoning_summary_part.done", ",\"text\":" },
    [MOCK_CONTENT] = { "response.content_part.added", "response.output_text.delta",
                       "response.output_text.done", "response.content_part.done", ",\"text\":" },
    [MOCK_REFUSAL] = { "response.content_part.added", "response.refusal.delta",
                       "response.refusal.done", "response.content_part.done", ",\"refusal\":" },
    [MOCK_CALL] = { NULL, "response.function_call_arguments.delta",
                    "response.function_call_arguments.done", NULL, ",\"arguments\":" },
};

static void put_item_event(struct mock_answer *a, const char *name, size_t i, bool closed,
                           struct buf *out) {
    struct mock_block block = mock_answer_block(a, i);
    begin_event(a, name, out);
    mock_put_named(out, ",\"output_index\":", (int64_t)i);
    mock_put(out, ",\"item\":");
    put_item(a, &block, closed, out);
    mock_put(out, MOCK_EVENT_END);
}

static void put_part_event(struct mock_answer *a, const char *name, size_t i, struct span text,
                           struct buf *out) {
    struct mock_block block = mock_answer_block(a, i);
    begin_part_event(a, name, i, &block, out);
    mock_put(out, ",\"part\":");
    put_part(&block, text, out);
    mock_put(out, MOCK_EVENT_END);
}

static void open_item(struct mock_answer *a, size_t i, struct buf *out) {
    const struct names *n = &names[mock_answer_block(a, i).kind];
    put_item_event(a, "response.output_item.added", i, false, out);
    if (n->added)
        put_part_event(a, n->added, i, SPAN(""), out);
}

static void close_item(struct mock_answer *a, size_t i, struct buf *out) {
    struct mock_block block = mock_answer_block(a, i);
    const struct names *n = &names[block.kind];
    begin_part_event(a, n->done, i, &block, out);
    mock_put_text(out, n->text, block.text);
    if (block.kind == MOCK_CALL)
        mock_put_text(out, ",\"name\":", mock_answer_tool(a, block.call));
    if (block.kind == MOCK_CONTENT)
        mock_put(out, ",\"logprobs\":[]");
    mock_put(out, MOCK_EVENT_END);
    if (n->closed)
        put_part_event(a, n->closed, i, block.text, out);
    put_item_event(a, "response.output_item.done", i, true, out);
}

static void responses_begin(struct mock_answer *a, struct buf *out) {
    put_state(a, "response.created", IN_PROGRESS, NULL, out);
    put_state(a, "response.in_progress", IN_PROGRESS, NULL, out);
    if (a->shape->extra) {
        begin_event(a, "response.mock.unknown", out);
        mock_put(out, MOCK_EVENT_END);
    }
}

static void responses_piece(struct mock_answer *a, size_t i, struct buf *out) {
    const struct mock_piece *piece = &a->pieces[i];
    struct mock_block block = mock_answer_block(a, piece->block);
    if (piece->first && i > 0)
        close_item(a, a->pieces[i - 1].block, out);
    if (piece->first)
        open_item(a, piece->block, out);
    begin_part_event(a, names[piece->kind].delta, piece->block, &block, out);
    mock_put_text(out, ",\"delta\":", piece->text);
    if (piece->kind == MOCK_CONTENT)
        mock_put(out, ",\"logprobs\":[]");
    if (a->shape->extra)
        mock_put(out, ",\"obfuscation\":\"aZ09\"");
    mock_put(out, MOCK_EVENT_END);
}

static void responses_finish(struct mock_answer *a, struct buf *out) {
    if (a->n_pieces)
        close_item(a, a->pieces[a->n_pieces - 1].block, out);
}

static void responses_usage(struct mock_answer *a, struct buf *out) {}

static void responses_done(struct mock_answer *a, struct buf *out) {
    if (!a->harm->no_finish)
        put_state(a, short_of(a).at ? "response.incomplete" : "response.completed", OVER, NULL,
                  out);
}

static void responses_fail(struct mock_answer *a, const struct mock_error *e, struct buf *out) {
    put_state(a, "response.failed", FAILED, e, out);
}

const struct mock_dialect mock_responses = {
    .stream_type = "text/event-stream; charset=utf-8",
    .id_header = "x-request-id",
    .limits = MOCK_OPENAI_LIMITS,
    .read = responses_read,
    .check = mock_responses_check,
    .whole = responses_whole,
    .begin = responses_begin,
    .piece = responses_piece,
    .finish = responses_finish,
    .usage = responses_usage,
    .done = responses_done,
    .fail = responses_fail,
    .names = mock_openai_names,
    .error = mock_openai_error,
};
