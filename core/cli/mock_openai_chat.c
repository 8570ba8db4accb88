/* mock_openai_chat.c - Chat Completions, and the ways vendors bend it. */
#include "cli/mock_check.h"

/* ---- the request ---- */

static void read_messages(struct mock_ask *ask, struct json_value messages, struct arena *arena) {
    size_t bytes = 0;
    struct span last = SPAN("");
    for (struct json_iter it = json_iter(messages); json_next(&it);) {
        struct span text = mock_content_text(json_get(it.value, "content"), arena, &bytes);
        if (span_eq(json_text(json_get(it.value, "role")), SPAN("user")))
            last = text;
    }
    ask->text = arena_copy(arena, last.at ? last : SPAN(""));
    ask->prompt_tokens = mock_tokens_of(bytes) + (int64_t)json_count(messages) * 4;
}

static bool chat_read(struct mock_ask *ask, const struct mock_post *post, struct arena *arena,
                      struct mock_wrong *wrong) {
    struct json_value root = post->root, messages = json_get(root, "messages");
    if (!mock_openai_read_model(ask, post, arena, wrong))
        return false;
    if (json_type(messages) != JSON_ARRAY || json_count(messages) == 0)
        return mock_refuse(wrong, "messages",
                           "There must be messages, as a list that is not empty.");
    ask->stream = json_true(json_get(root, "stream"));
    ask->include_usage = json_true(json_get(json_get(root, "stream_options"), "include_usage"));
    ask->max_tokens = mock_limit(json_get(root, "max_completion_tokens"));
    if (ask->max_tokens < 0)
        ask->max_tokens = mock_limit(json_get(root, "max_tokens"));
    struct json_value tools = json_get(root, "tools");
    if (json_type(tools) == JSON_ARRAY)
        for (struct json_iter it = json_iter(tools); json_next(&it);)
            mock_ask_tool(ask, json_get(json_get(it.value, "function"), "name"), arena);
    read_messages(ask, messages, arena);
    return true;
}

static bool unanswered(const struct mock_pairs *waiting, struct arena *arena,
                       struct mock_wrong *wrong) {
    return waiting->n == 0 ||
           mock_wrongf(wrong, arena, "messages",
                       "An assistant's tool_calls must be followed by a tool message for each "
                       "tool_call_id; there is none for %.*s.",
                       SPAN_ARGS(waiting->ids[0]));
}

/* Each message of the role tool answers a call of the assistant's turn before it, and each call is
 * answered before anybody else speaks. */
static bool chat_check(const struct mock_post *post, struct arena *arena,
                       struct mock_wrong *wrong) {
    struct mock_pairs waiting = { 0 };
    struct json_iter it = json_iter(json_get(post->root, "messages"));
    for (size_t i = 0; json_next(&it); i++) {
        struct span role = json_text(json_get(it.value, "role"));
        if (span_eq(role, SPAN("tool"))) {
            struct span id = json_text(json_get(it.value, "tool_call_id"));
            if (!id.at || !mock_pairs_close(&waiting, id))
                return mock_wrongf(wrong, arena, "messages",
                                   "messages[%zu] of the role tool answers no tool_calls of the "
                                   "message before it.",
                                   i);
            continue;
        }
        if (!unanswered(&waiting, arena, wrong))
            return false;
        if (!span_eq(role, SPAN("assistant")))
            continue;
        struct json_value calls = json_get(it.value, "tool_calls");
        if (json_type(calls) == JSON_ARRAY)
            for (struct json_iter call = json_iter(calls); json_next(&call);)
                mock_pairs_open(&waiting, json_text(json_get(call.value, "id")), arena);
    }
    return unanswered(&waiting, arena, wrong);
}

/* ---- parts of an answer ---- */

static void put_head(const struct mock_answer *a, const char *object, struct buf *out) {
    mock_put_named(out, "{\"id\":\"chatcmpl-mock-", (int64_t)a->serial);
    mock_put(out, "\",\"object\":\"");
    mock_put(out, object);
    mock_put_text(out, "\",\"created\":" MOCK_CREATED ",\"model\":", a->model);
    mock_answer_extra(a, out);
    if (a->shape->extra)
        mock_put(out, ",\"obfuscation\":\"aZ09\"");
}

static void chat_chunk_head(const struct mock_answer *a, struct buf *out) {
    mock_put(out, "data: ");
    put_head(a, "chat.completion.chunk", out);
}

static bool usage_in(const struct mock_answer *a, const char *place) {
    return a->shape->usage_place.at && !a->harm->no_usage &&
           span_eq(a->shape->usage_place, span_of(place));
}

/* One call, or the part of one that an event brings. Only in a stream it has an index. */
static void put_call(const struct mock_answer *a, size_t call, struct span arguments, bool first,
                     struct buf *out) {
    const struct mock_shape *shape = a->shape;
    mock_put(out, "{");
    if (a->ask->stream && !shape->no_index) {
        mock_put_named(out, "\"index\":", shape->zero_index ? 0 : (int64_t)call);
        mock_put(out, ",");
    }
    if (first && !shape->no_id) {
        mock_put(out, "\"id\":");
        mock_put_id(out, "call_mock_", a->serial, call);
        mock_put(out, ",");
    }
    if (!first && shape->late_id_empty)
        mock_put(out, "\"id\":\"\",\"type\":\"\",");
    mock_put(out, first ? "\"type\":\"function\",\"function\":{" : "\"function\":{");
    if (first) {
        mock_put_text(out, "\"name\":", mock_answer_tool(a, call));
        mock_put(out, ",");
    } else if (shape->late_id_empty) {
        mock_put(out, "\"name\":null,");
    }
    if (shape->args_object) {
        mock_put(out, "\"arguments\":");
        buf_add(out, mock_answer_input(a, call));
    } else {
        mock_put_text(out, "\"arguments\":", arguments);
    }
    mock_put(out, "}}");
}

static void put_reasoning(const struct mock_answer *a, struct span text, struct buf *out) {
    if (!a->shape->think_details) {
        mock_put_text(out, "\"reasoning_content\":", text);
        return;
    }
    mock_put_text(out, "\"reasoning\":", text);
    mock_put_text(out, ",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":", text);
    mock_put(out,
             ",\"signature\":" MOCK_SIGNATURE ",\"format\":\"anthropic-claude-v1\",\"index\":0}]");
}

/* Each piece of content is one token here. */
static void put_logprobs(const struct mock_answer *a, struct span text, struct buf *out) {
    if (!a->shape->logprobs || !text.at) {
        mock_put(out, "\"logprobs\":null");
        return;
    }
    mock_put_text(out, "\"logprobs\":{\"content\":[{\"token\":", text);
    mock_put(out, ",\"logprob\":-0.25,\"bytes\":[");
    for (size_t i = 0; i < text.len; i++)
        mock_put_named(out, i ? "," : "", (unsigned char)text.at[i]);
    mock_put(out, "],\"top_logprobs\":[]}],\"refusal\":null}");
}

static void put_finish(const struct mock_answer *a, bool over, struct buf *out) {
    static const char *const words[] = { [MOCK_STOP] = "\"stop\"",
                                         [MOCK_LENGTH] = "\"length\"",
                                         [MOCK_CALLS] = "\"tool_calls\"",
                                         [MOCK_REFUSED] = "\"stop\"" };
    mock_put(out, ",\"finish_reason\":");
    if (!over)
        mock_put(out, "null");
    else if (a->shape->finish.at)
        buf_add_json(out, a->shape->finish);
    else
        mock_put(out, words[a->finish]);
}

/* ---- whole ---- */

static void put_message(const struct mock_answer *a, struct buf *out) {
    bool refused = a->content.len && a->shape->refusal;
    bool silent = refused || (a->n_calls && !a->content.len);
    mock_put_text(
        out, "\"message\":{\"role\":\"assistant\",\"content\":", silent ? SPAN_NONE : a->content);
    if (a->reasoning.len) {
        mock_put(out, ",");
        put_reasoning(a, a->reasoning, out);
    }
    mock_put_text(out, ",\"refusal\":", refused ? a->content : SPAN_NONE);
    for (size_t i = 0; i < a->n_calls; i++) {
        mock_put(out, i ? "," : ",\"tool_calls\":[");
        put_call(a, i, a->arguments[i], true, out);
    }
    mock_put(out, a->n_calls ? "]}," : "},");
}

static void chat_whole(struct mock_answer *a, struct buf *out) {
    put_head(a, "chat.completion", out);
    mock_put(out, ",\"choices\":[{\"index\":0,");
    put_message(a, out);
    put_logprobs(a, a->content.len && !a->shape->refusal ? a->content : SPAN_NONE, out);
    put_finish(a, !a->harm->no_finish, out);
    if (usage_in(a, "choice")) {
        mock_put(out, ",");
        mock_openai_usage(a, out);
    }
    mock_put(out, "}]");
    if (!a->harm->no_usage && !usage_in(a, "choice")) {
        mock_put(out, ",");
        mock_openai_usage(a, out);
    }
    mock_put(out, "}");
}

/* ---- events ---- */

static void begin_chunk(const struct mock_answer *a, struct buf *out) {
    buf_add(out, a->chunk_head);
    mock_put(out, ",\"choices\":[{\"index\":0,\"delta\":{");
}

static void end_chunk(const struct mock_answer *a, struct span text, struct buf *out) {
    mock_put(out, "},");
    put_logprobs(a, text, out);
    put_finish(a, false, out);
    mock_put(out, a->ask->include_usage ? "}],\"usage\":null}\n\n" : "}]}\n\n");
}

static void chat_begin(struct mock_answer *a, struct buf *out) {
    begin_chunk(a, out);
    mock_put(out, a->n_calls && !a->content.len
                      ? "\"role\":\"assistant\",\"content\":null"
                      : "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null");
    end_chunk(a, SPAN_NONE, out);
}

static void chat_piece(struct mock_answer *a, size_t i, struct buf *out) {
    const struct mock_piece *piece = &a->pieces[i];
    begin_chunk(a, out);
    switch (piece->kind) {
    case MOCK_CALL:
        mock_put(out, "\"tool_calls\":[");
        put_call(a, mock_answer_block(a, piece->block).call, piece->text, piece->first, out);
        mock_put(out, "]");
        break;
    case MOCK_REASONING:
        put_reasoning(a, piece->text, out);
        break;
    default:
        mock_put_text(out,
                      piece->kind == MOCK_REFUSAL ? "\"refusal\":" : "\"content\":", piece->text);
    }
    end_chunk(a, piece->kind == MOCK_CONTENT ? piece->text : SPAN_NONE, out);
}

/* The chunk with the finish, which some vendors put the usage into. */
static void chat_finish(struct mock_answer *a, struct buf *out) {
    begin_chunk(a, out);
    mock_put(out, "},\"logprobs\":null");
    put_finish(a, true, out);
    if (usage_in(a, "choice")) {
        mock_put(out, ",");
        mock_openai_usage(a, out);
    }
    mock_put(out, "}]");
    if (usage_in(a, "x_groq")) {
        mock_put_named(out, ",\"x_groq\":{\"id\":\"req_mock_", (int64_t)a->serial);
        mock_put(out, "\",");
        mock_openai_usage(a, out);
        mock_put(out, "}");
    }
    if (usage_in(a, "last")) {
        mock_put(out, ",");
        mock_openai_usage(a, out);
    } else if (a->ask->include_usage) {
        mock_put(out, ",\"usage\":null");
    }
    mock_put(out, "}\n\n");
}

static void chat_usage(struct mock_answer *a, struct buf *out) {
    if (!a->ask->include_usage || a->shape->usage_place.at)
        return;
    buf_add(out, a->chunk_head);
    mock_put(out, ",\"choices\":[],");
    mock_openai_usage(a, out);
    mock_put(out, "}\n\n");
}

const struct mock_dialect mock_openai_chat = {
    .stream_type = "text/event-stream",
    .id_header = "x-request-id",
    .limits = MOCK_OPENAI_LIMITS,
    .read = chat_read,
    .check = chat_check,
    .whole = chat_whole,
    .begin = chat_begin,
    .piece = chat_piece,
    .finish = chat_finish,
    .usage = chat_usage,
    .done = mock_openai_done,
    .fail = mock_openai_fail,
    .chunk_head = chat_chunk_head,
    .names = mock_openai_names,
    .error = mock_openai_error,
};
