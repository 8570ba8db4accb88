/* mock_openai.c - what OpenAI's APIs have in common: errors, usage, the last event. */
#include "cli/mock_answer.h"

bool mock_openai_read_model(struct mock_ask *ask, const struct mock_post *post, struct arena *arena,
                            struct mock_wrong *wrong) {
    struct json_value model = json_get(post->root, "model");
    if (json_type(model) != JSON_STRING)
        return mock_refuse(wrong, "model", "There must be a model, as a string.");
    ask->model = arena_copy(arena, json_text(model));
    return true;
}

void mock_openai_names(struct mock_error *e) {
    static const struct {
        int64_t status;
        const char *type, *code;
    } names[] = {
        { 400, "invalid_request_error", NULL },
        { 401, "invalid_request_error", "invalid_api_key" },
        { 403, "invalid_request_error", "unsupported_country_region_territory" },
        { 404, "invalid_request_error", "model_not_found" },
        { 429, "requests", "rate_limit_exceeded" },
        { 503, "service_unavailable_error", NULL },
        { 529, "overloaded_error", NULL },
    };
    e->type = e->status < 500 ? SPAN("invalid_request_error") : SPAN("server_error");
    e->code = SPAN_NONE;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].status == e->status) {
            e->type = span_of(names[i].type);
            e->code = span_of(names[i].code);
        }
    }
}

void mock_openai_error(const struct mock_error *e, struct buf *out) {
    mock_put_text(out, "{\"error\":{\"message\":", e->message);
    mock_put_text(out, ",\"type\":", e->type);
    mock_put_text(out, ",\"param\":", e->param);
    mock_put_text(out, ",\"code\":", e->code);
    mock_put(out, "}}");
}

void mock_openai_fail(struct mock_answer *a, const struct mock_error *e, struct buf *out) {
    mock_put(out, "data: ");
    mock_openai_error(e, out);
    mock_put(out, "\n\n");
}

void mock_openai_done(struct mock_answer *a, struct buf *out) {
    mock_put(out, "data: [DONE]\n\n");
}

void mock_openai_usage(const struct mock_answer *a, struct buf *out) {
    mock_put_named(out, "\"usage\":{\"prompt_tokens\":", a->prompt_tokens);
    mock_put_named(out, ",\"completion_tokens\":", a->completion_tokens);
    mock_put_named(out, ",\"total_tokens\":", a->prompt_tokens + a->completion_tokens);
    mock_put_named(out, ",\"prompt_tokens_details\":{\"cached_tokens\":", a->shape->cached);
    if (a->shape->written)
        mock_put_named(out, ",\"cache_write_tokens\":", a->shape->written);
    mock_put_named(out,
                   "},\"completion_tokens_details\":{\"reasoning_tokens\":", a->reasoning_tokens);
    mock_put(out, "}}");
}
