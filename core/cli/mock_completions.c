/* mock_completions.c - the completions of old: a prompt goes on. */
#include "cli/mock_answer.h"

static bool completions_read(struct mock_ask *ask, const struct mock_post *post,
                             struct arena *arena, struct mock_wrong *wrong) {
    struct json_value prompt = json_get(post->root, "prompt");
    if (!mock_openai_read_model(ask, post, arena, wrong))
        return false;
    if (json_type(prompt) == JSON_ARRAY && json_count(prompt) == 1) {
        struct json_iter it = json_iter(prompt);
        json_next(&it);
        prompt = it.value;
    }
    if (json_type(prompt) != JSON_STRING)
        return mock_refuse(wrong, "prompt", "There must be one prompt, as a string.");
    ask->text = arena_copy(arena, json_text(prompt));
    ask->prompt_tokens = mock_tokens_of(ask->text.len);
    ask->stream = json_true(json_get(post->root, "stream"));
    ask->include_usage =
        json_true(json_get(json_get(post->root, "stream_options"), "include_usage"));
    ask->max_tokens = mock_limit(json_get(post->root, "max_tokens"));
    return true;
}

static void completions_chunk_head(const struct mock_answer *a, struct buf *out) {
    mock_put_named(out, "data: {\"id\":\"cmpl-mock-", (int64_t)a->serial);
    mock_put_text(
        out, "\",\"object\":\"text_completion\",\"created\":" MOCK_CREATED ",\"model\":", a->model);
    mock_answer_extra(a, out);
}

/* There are neither calls nor reasoning in this dialect: what there is, is text. */
static void put_choice(const struct mock_answer *a, struct span text, bool over, struct buf *out) {
    mock_put_text(out, ",\"choices\":[{\"text\":", text);
    mock_put(out, ",\"index\":0,\"logprobs\":null,\"finish_reason\":");
    if (!over)
        mock_put(out, "null");
    else if (a->shape->finish.at)
        buf_add_json(out, a->shape->finish);
    else
        mock_put(out, a->finish == MOCK_LENGTH ? "\"length\"" : "\"stop\"");
    mock_put(out, "}]");
}

static void completions_whole(struct mock_answer *a, struct buf *out) {
    struct buf head = { 0 };
    completions_chunk_head(a, &head);
    buf_add(out, span_sub(buf_span(&head), 6, SIZE_MAX)); /* without "data: " */
    buf_deinit(&head);
    put_choice(a, a->content, !a->harm->no_finish, out);
    if (!a->harm->no_usage) {
        mock_put(out, ",");
        mock_openai_usage(a, out);
    }
    mock_put(out, "}");
}

static void put_chunk(const struct mock_answer *a, struct span text, bool over, struct buf *out) {
    buf_add(out, a->chunk_head);
    put_choice(a, text, over, out);
    mock_put(out, a->ask->include_usage ? ",\"usage\":null}\n\n" : "}\n\n");
}

static void completions_begin(struct mock_answer *a, struct buf *out) {}

static void completions_piece(struct mock_answer *a, size_t i, struct buf *out) {
    put_chunk(a, a->pieces[i].text, false, out);
}

static void completions_finish(struct mock_answer *a, struct buf *out) {
    put_chunk(a, SPAN(""), true, out);
}

static void completions_usage(struct mock_answer *a, struct buf *out) {
    if (!a->ask->include_usage)
        return;
    buf_add(out, a->chunk_head);
    mock_put(out, ",\"choices\":[],");
    mock_openai_usage(a, out);
    mock_put(out, "}\n\n");
}

const struct mock_dialect mock_completions = {
    .stream_type = "text/event-stream",
    .id_header = "x-request-id",
    .says = MOCK_SAYS_TEXT,
    .limits = MOCK_OPENAI_LIMITS,
    .read = completions_read,
    .whole = completions_whole,
    .begin = completions_begin,
    .piece = completions_piece,
    .finish = completions_finish,
    .usage = completions_usage,
    .done = mock_openai_done,
    .fail = mock_openai_fail,
    .chunk_head = completions_chunk_head,
    .names = mock_openai_names,
    .error = mock_openai_error,
};
