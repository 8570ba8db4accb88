/* error_test.c - what a client reads when it gets no answer: every code with its status and type,
 * the exact JSON, and that no text breaks out of it. */
#include "route/error.h"

#include "base/json.h"
#include "support/unit.h"

static struct arena arena;
static struct json_parser *parser;
static struct buf out;

static int set_up(void **state) {
    arena_init(&arena, 512);
    parser = json_parser_new();
    return 0;
}

static int tear_down(void **state) {
    arena_deinit(&arena);
    json_parser_free(parser);
    buf_deinit(&out);
    return 0;
}

static struct span written(const struct api_error *e) {
    buf_clear(&out);
    error_write(DIALECT_OPENAI_CHAT, e, &out);
    return buf_span(&out);
}

static struct span written_event(const struct api_error *e) {
    buf_clear(&out);
    error_write_event(DIALECT_OPENAI_CHAT, e, &out);
    return buf_span(&out);
}

static void keys_are_not_said_back(void **state) {
    static const enum dialect dialects[] = { DIALECT_OPENAI_CHAT, DIALECT_OPENAI_RESPONSES,
                                             DIALECT_ANTHROPIC_MESSAGES };
    struct api_error e = api_error(ERROR_MODEL_NOT_FOUND, SPAN("no pl-abcDEF0123456789abcdef"));
    e.param = SPAN("sk-abcDEF0123456789abcdef");
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++) {
        buf_clear(&out);
        error_write(dialects[i], &e, &out);
        error_write_event(dialects[i], &e, &out);
        assert_true(memmem(out.at, out.len, "no [key]", 8));
        assert_null(memmem(out.at, out.len, "0123456789", 10));
    }
}

static void every_code_has_its_status_type_and_form(void **state) {
    static const struct {
        enum error_code code;
        int status;
        const char *name, *type;
    } table[] = {
        { ERROR_INVALID_REQUEST, 400, "invalid_request", "invalid_request_error" },
        { ERROR_CONTEXT_LENGTH_EXCEEDED, 400, "context_length_exceeded", "invalid_request_error" },
        { ERROR_CONTENT_POLICY_VIOLATION, 400, "content_policy_violation",
          "invalid_request_error" },
        { ERROR_IDEMPOTENCY_MISMATCH, 400, "idempotency_mismatch", "invalid_request_error" },
        { ERROR_CONFLICT, 409, "conflict", "invalid_request_error" },
        { ERROR_INVALID_API_KEY, 401, "invalid_api_key", "invalid_request_error" },
        { ERROR_COST_CAP_REACHED, 402, "cost_cap_reached", "insufficient_quota" },
        { ERROR_PERMISSION_DENIED, 403, "permission_denied", "permission_error" },
        { ERROR_POLICY_REFUSED, 403, "policy_refused", "permission_error" },
        { ERROR_MODEL_NOT_FOUND, 404, "model_not_found", "invalid_request_error" },
        { ERROR_NOT_FOUND, 404, "not_found", "invalid_request_error" },
        { ERROR_METHOD_NOT_ALLOWED, 405, "method_not_allowed", "invalid_request_error" },
        { ERROR_TIMEOUT, 408, "timeout", "invalid_request_error" },
        { ERROR_REQUEST_TOO_LARGE, 413, "request_too_large", "invalid_request_error" },
        { ERROR_HEADERS_TOO_LARGE, 431, "request_too_large", "invalid_request_error" },
        { ERROR_UNSUPPORTED_ENCODING, 415, "unsupported_encoding", "invalid_request_error" },
        { ERROR_RATE_LIMIT_EXCEEDED, 429, "rate_limit_exceeded", "rate_limit_error" },
        { ERROR_QUEUE_FULL, 429, "queue_full", "rate_limit_error" },
        { ERROR_INTERNAL, 500, "internal", "server_error" },
        { ERROR_FALLBACKS_EXHAUSTED, 503, "fallbacks_exhausted", "server_error" },
        { ERROR_NO_ELIGIBLE_TARGET, 503, "no_eligible_target", "server_error" },
        { ERROR_OVERLOADED, 503, "overloaded", "server_error" },
        { ERROR_LEDGER_UNAVAILABLE, 503, "ledger_unavailable", "server_error" },
        { ERROR_DEADLINE_EXCEEDED, 504, "deadline_exceeded", "server_error" },
        { ERROR_UPSTREAM_INTERRUPTED, 502, "upstream_stream_interrupted", "upstream_error" },
    };
    assert_int_equal(sizeof table / sizeof *table, ERROR_COUNT);
    for (size_t i = 0; i < ERROR_COUNT; i++) {
        struct api_error e = api_error(table[i].code, SPAN("Why."));
        char wanted[256];
        snprintf(wanted, sizeof wanted,
                 "{\"error\":{\"message\":\"Why.\",\"type\":\"%s\",\"param\":null,"
                 "\"code\":\"%s\"}}",
                 table[i].type, table[i].name);
        assert_int_equal(table[i].code, i);
        assert_int_equal(error_status(&e), table[i].status);
        assert_int_equal(e.retry_after_ms, -1);
        assert_span(written(&e), wanted);
    }
}

static void the_status_an_error_was_given_decides_its_type(void **state) {
    static const struct {
        int status;
        const char *type;
    } cases[] = { { 429, "rate_limit_error" },   { 504, "server_error" },
                  { 502, "server_error" },       { 400, "invalid_request_error" },
                  { 402, "insufficient_quota" }, { 503, "server_error" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct api_error e = api_error(ERROR_FALLBACKS_EXHAUSTED, SPAN("m"));
        char wanted[160];
        e.status = cases[i].status;
        snprintf(wanted, sizeof wanted,
                 "{\"error\":{\"message\":\"m\",\"type\":\"%s\",\"param\":null,"
                 "\"code\":\"fallbacks_exhausted\"}}",
                 cases[i].type);
        assert_int_equal(error_status(&e), cases[i].status);
        assert_span(written(&e), wanted);
    }
}

static void a_parameter_and_the_providers_own_words_are_named(void **state) {
    struct api_error e = api_error(ERROR_INVALID_REQUEST, SPAN("Bad."));
    e.param = SPAN("messages[0].role");
    e.custom_code = SPAN("unsupported_value");
    e.type = SPAN("their_type");
    e.status = 422;
    assert_int_equal(error_status(&e), 422);
    assert_span(written(&e), "{\"error\":{\"message\":\"Bad.\",\"type\":\"their_type\","
                             "\"param\":\"messages[0].role\",\"code\":\"unsupported_value\"}}");
}

static void without_a_message_it_is_empty(void **state) {
    struct api_error e = api_error(ERROR_INTERNAL, SPAN_NONE);
    assert_span(written(&e), "{\"error\":{\"message\":\"\",\"type\":\"server_error\","
                             "\"param\":null,\"code\":\"internal\"}}");
}

static void what_was_tried_is_told(void **state) {
    static const struct target a = { .id = { "p/a", 3 } }, b = { .id = { "q/b", 3 } };
    struct trace trace;
    trace_init(&trace, SPAN("01ID"), 0);
    struct trace_attempt *first = trace_add(&trace, &arena, &a);
    first->tried = true;
    first->failure = FAILURE_RATE_LIMITED;
    first->status = 429;
    first->began_us = 1000;
    first->ended_us = 13999;
    trace_add(&trace, &arena, &b)->failure = FAILURE_COST;
    struct api_error e = api_error(ERROR_FALLBACKS_EXHAUSTED, SPAN("m"));
    e.trace = &trace;
    e.retry_after_ms = 1500;
    e.status = 429;
    assert_span(written(&e),
                "{\"error\":{\"message\":\"m\",\"type\":\"rate_limit_error\",\"param\":null,"
                "\"code\":\"fallbacks_exhausted\",\"route\":{\"id\":\"01ID\",\"attempts\":["
                "{\"target\":\"p/a\",\"failure\":\"rate_limited\",\"status\":429,\"ms\":12},"
                "{\"target\":\"q/b\",\"failure\":\"cost\",\"status\":null,\"ms\":0,"
                "\"skipped\":true}],\"retry_after_ms\":1500}}}");
    e.retry_after_ms = -1;
    assert_null(memmem(written(&e).at, out.len, "retry_after_ms", 14));
}

/* The texts of an error read back by a real parser. */
static void assert_reads_back(struct span json, struct span message, struct span code) {
    struct json_value root;
    assert_int_equal(json_parse(parser, json, &root), JSON_OK);
    assert_int_equal(json_count(root), 1);
    struct json_value e = json_get(root, "error");
    assert_int_equal(json_count(e), 4);
    assert_true(span_eq(json_text(json_get(e, "message")), message));
    assert_true(span_eq(json_text(json_get(e, "code")), code));
}

#define TEXT(literal)                                                                              \
    { literal, sizeof(literal) - 1 }

static void no_text_breaks_out(void **state) {
    static const struct span texts[] = {
        TEXT("\"},\"choices\":[{\"finish_reason\":\"stop\"}],\"x\":{\""),
        TEXT("a\r\n\r\ndata: {\"forged\":1}\n\n"),
        TEXT("nul \0 del \x7f esc \x1b"),
        TEXT("</script><script>alert(1)</script>"),
        TEXT("\xe2\x80\xa8 line \xe2\x80\xa9 paragraph"),
        TEXT("back\\slash and \"quotes\" \\u0041 \\"),
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct api_error e = api_error(ERROR_INVALID_REQUEST, texts[i]);
        e.param = e.custom_code = e.type = texts[i];
        struct span json = written(&e);
        for (size_t k = 0; k < json.len; k++)
            assert_true((unsigned char)json.at[k] >= 0x20 && json.at[k] != 0x7f &&
                        json.at[k] != '<');
        assert_reads_back(json, texts[i], texts[i]);
    }
    struct api_error e = api_error(ERROR_INTERNAL, SPAN("half \xc3"));
    assert_reads_back(written(&e), SPAN("half \xef\xbf\xbd"), SPAN("internal"));
}

static void any_bytes_make_json(void **state) {
    char text[512];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7 + i / 256);
    for (size_t len = 0; len < sizeof text; len++) {
        struct json_value root;
        struct api_error e = api_error(ERROR_INTERNAL, (struct span){ text, len });
        e.param = e.custom_code = e.type = e.message;
        assert_int_equal(json_parse(parser, written(&e), &root), JSON_OK);
    }
}

static void a_very_long_message_is_whole(void **state) {
    struct buf text = { 0 };
    memset(buf_reserve(&text, 3000000), 'm', 3000000);
    text.len = 3000000;
    struct api_error e = api_error(ERROR_INTERNAL, buf_span(&text));
    assert_reads_back(written(&e), buf_span(&text), SPAN("internal"));
    buf_deinit(&text);
}

/* --- inside a stream --- */

static void c3_a_stream_ends_with_one_error_and_the_mark(void **state) {
    struct api_error e = api_error(ERROR_UPSTREAM_INTERRUPTED, SPAN("Broke off."));
    assert_span(written_event(&e),
                "data: {\"error\":{\"message\":\"Broke off.\",\"type\":\"upstream_error\","
                "\"param\":null,\"code\":\"upstream_stream_interrupted\"}}\n\ndata: [DONE]\n\n");
}

static void no_text_makes_an_event_of_its_own(void **state) {
    static const char *const texts[] = { "a\n\ndata: [DONE]\n\n", "a\r\rdata: x\r\r",
                                         "a\r\n\r\nevent: x", "\n", "id: 1\nretry: 0\n\n" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct api_error e = api_error(ERROR_UPSTREAM_INTERRUPTED, span_of(texts[i]));
        struct span event = written_event(&e);
        size_t ends = 0;
        for (size_t k = 0; k < event.len; k++) {
            assert_int_not_equal(event.at[k], '\r');
            ends += event.at[k] == '\n';
        }
        assert_int_equal(ends, 4);
        assert_true(span_starts(event, SPAN("data: {\"error\":{")));
        assert_null(memmem(event.at, event.len, "choices", 7));
        assert_null(memmem(event.at, event.len, "finish_reason", 13));
    }
}

/* --- by dialect --- */

static struct span in(enum dialect dialect, const struct api_error *e) {
    buf_clear(&out);
    error_write(dialect, e, &out);
    return buf_span(&out);
}

static struct span event_in(enum dialect dialect, const struct api_error *e) {
    buf_clear(&out);
    error_write_event(dialect, e, &out);
    return buf_span(&out);
}

static void all_but_messages_get_openais_form(void **state) {
    static const enum dialect dialects[] = { DIALECT_NONE, DIALECT_OPENAI_RESPONSES,
                                             DIALECT_OPENAI_COMPLETIONS,
                                             DIALECT_OPENAI_EMBEDDINGS };
    struct api_error e = api_error(ERROR_OVERLOADED, SPAN("m"));
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++) {
        assert_span(in(dialects[i], &e), "{\"error\":{\"message\":\"m\",\"type\":\"server_error\","
                                         "\"param\":null,\"code\":\"overloaded\"}}");
        assert_int_equal(error_status_for(dialects[i], &e), 503);
    }
}

static void messages_get_types_by_status(void **state) {
    static const struct {
        enum error_code code;
        int given, status;
        const char *type;
    } cases[] = {
        { ERROR_INVALID_REQUEST, 0, 400, "invalid_request_error" },
        { ERROR_INVALID_REQUEST, 422, 422, "invalid_request_error" },
        { ERROR_IDEMPOTENCY_MISMATCH, 0, 400, "invalid_request_error" },
        { ERROR_CONFLICT, 0, 409, "conflict_error" },
        { ERROR_INVALID_API_KEY, 0, 401, "authentication_error" },
        { ERROR_COST_CAP_REACHED, 0, 402, "billing_error" },
        { ERROR_PERMISSION_DENIED, 0, 403, "permission_error" },
        { ERROR_MODEL_NOT_FOUND, 0, 404, "not_found_error" },
        { ERROR_METHOD_NOT_ALLOWED, 0, 405, "invalid_request_error" },
        { ERROR_TIMEOUT, 0, 408, "timeout_error" },
        { ERROR_INVALID_REQUEST, 409, 409, "conflict_error" },
        { ERROR_REQUEST_TOO_LARGE, 0, 413, "request_too_large" },
        { ERROR_HEADERS_TOO_LARGE, 0, 431, "request_too_large" },
        { ERROR_UNSUPPORTED_ENCODING, 0, 415, "invalid_request_error" },
        { ERROR_RATE_LIMIT_EXCEEDED, 0, 429, "rate_limit_error" },
        { ERROR_INTERNAL, 0, 500, "api_error" },
        { ERROR_FALLBACKS_EXHAUSTED, 502, 502, "api_error" },
        { ERROR_FALLBACKS_EXHAUSTED, 0, 503, "overloaded_error" },
        { ERROR_FALLBACKS_EXHAUSTED, 429, 429, "rate_limit_error" },
        { ERROR_OVERLOADED, 0, 529, "overloaded_error" },
        { ERROR_DEADLINE_EXCEEDED, 0, 504, "timeout_error" },
        { ERROR_UPSTREAM_INTERRUPTED, 0, 502, "api_error" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct api_error e = api_error(cases[i].code, SPAN("Why."));
        char wanted[256];
        e.status = cases[i].given;
        snprintf(wanted, sizeof wanted,
                 "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"Why.\"},"
                 "\"request_id\":null}",
                 cases[i].type);
        assert_int_equal(error_status_for(DIALECT_ANTHROPIC_MESSAGES, &e), cases[i].status);
        assert_span(in(DIALECT_ANTHROPIC_MESSAGES, &e), wanted);
    }
}

static struct span messages_text(const struct api_error *e) {
    struct json_value root;
    assert_int_equal(json_parse(parser, in(DIALECT_ANTHROPIC_MESSAGES, e), &root), JSON_OK);
    return json_text(json_get(json_get(root, "error"), "message"));
}

static void messages_name_no_type_their_clients_do_not_know(void **state) {
    struct api_error e = api_error(ERROR_INVALID_REQUEST, SPAN("m"));
    e.type = SPAN("BadRequestError");
    assert_non_null(
        memmem(in(DIALECT_ANTHROPIC_MESSAGES, &e).at, out.len, "\"invalid_request_error\"", 23));
    e.type = SPAN("permission_error");
    assert_non_null(
        memmem(in(DIALECT_ANTHROPIC_MESSAGES, &e).at, out.len, "\"permission_error\"", 18));
}

static void messages_say_the_parameter_in_words(void **state) {
    struct api_error e = api_error(ERROR_INVALID_REQUEST, SPAN("Field required"));
    e.param = SPAN("max_tokens");
    assert_span(messages_text(&e), "max_tokens: Field required");
    e.message = SPAN("max_tokens must be over 0.");
    assert_span(messages_text(&e), "max_tokens must be over 0.");
    e.message = SPAN_NONE;
    assert_span(messages_text(&e), "max_tokens: ");
}

static void messages_tell_what_became_of_a_thread(void **state) {
    struct api_error e = api_error(ERROR_INVALID_REQUEST, SPAN("Send all of it."));
    struct span ours = SPAN("\"details\":{\"error_code\":\"thread_not_found\"}");
    struct span theirs = SPAN("\"details\":{\"error_code\":\"thread_already_continued\"}");
    struct span got = in(DIALECT_ANTHROPIC_MESSAGES, &e);
    assert_null(memmem(got.at, got.len, "details", 7));
    e.param = SPAN("thread");
    got = in(DIALECT_ANTHROPIC_MESSAGES, &e);
    assert_non_null(memmem(got.at, got.len, ours.at, ours.len));
    e.param = SPAN_NONE;
    e.custom_code = SPAN("thread_already_continued");
    got = in(DIALECT_ANTHROPIC_MESSAGES, &e);
    assert_non_null(memmem(got.at, got.len, theirs.at, theirs.len));
}

static void messages_say_how_much_was_too_long(void **state) {
    struct api_error e = api_error(ERROR_CONTEXT_LENGTH_EXCEEDED, SPAN("Too much text."));
    assert_span(messages_text(&e), "prompt is too long: Too much text.");
    e.message = SPAN("prompt is too long for this model");
    assert_span(messages_text(&e), "prompt is too long for this model");
    e.tokens = 205000, e.limit = 200000;
    assert_span(messages_text(&e), "prompt is too long: 205000 tokens > 200000 maximum");
    assert_non_null(memmem(written(&e).at, out.len, "for this model", 14));
}

static void messages_tell_what_was_tried_beside_the_error(void **state) {
    static const struct target a = { .id = { "p/a", 3 } };
    struct trace trace;
    trace_init(&trace, SPAN("01ID"), 0);
    trace_add(&trace, &arena, &a)->failure = FAILURE_COST;
    struct api_error e = api_error(ERROR_FALLBACKS_EXHAUSTED, SPAN("m"));
    e.trace = &trace;
    e.id = trace.id;
    e.retry_after_ms = 1500;
    assert_span(in(DIALECT_ANTHROPIC_MESSAGES, &e),
                "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"},"
                "\"request_id\":\"01ID\",\"route\":{\"id\":\"01ID\",\"attempts\":[{\"target\":"
                "\"p/a\",\"failure\":\"cost\",\"status\":null,\"ms\":0,\"skipped\":true}],"
                "\"retry_after_ms\":1500}}");
}

static void messages_streams_end_with_an_error_alone(void **state) {
    struct api_error e = api_error(ERROR_UPSTREAM_INTERRUPTED, SPAN("Broke off."));
    assert_span(event_in(DIALECT_ANTHROPIC_MESSAGES, &e),
                "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\","
                "\"message\":\"Broke off.\"},\"request_id\":null}\n\n");
}

static void responses_streams_end_with_a_response_that_failed(void **state) {
    struct api_error e = api_error(ERROR_UPSTREAM_INTERRUPTED, SPAN("Broke off."));
    e.place = (struct error_place){ SPAN("resp_1"), SPAN("gpt"), 1790000000, 7 };
    assert_span(event_in(DIALECT_OPENAI_RESPONSES, &e),
                "event: response.failed\ndata: {\"type\":\"response.failed\","
                "\"sequence_number\":7,\"response\":{\"id\":\"resp_1\",\"object\":\"response\","
                "\"created_at\":1790000000,\"status\":\"failed\",\"error\":{\"code\":"
                "\"upstream_stream_interrupted\",\"message\":\"Broke off.\"},"
                "\"incomplete_details\":null,\"model\":\"gpt\",\"output\":[],"
                "\"parallel_tool_calls\":true,\"tool_choice\":\"auto\",\"tools\":[],"
                "\"usage\":null}}\n\n");
    /* Only chat's clients look for more. */
    assert_null(memmem(out.at, out.len, "DONE", 4));
}

static void responses_that_never_began_end_with_an_error(void **state) {
    struct api_error e = api_error(ERROR_RATE_LIMIT_EXCEEDED, SPAN("Slow."));
    assert_span(event_in(DIALECT_OPENAI_RESPONSES, &e),
                "event: error\ndata: {\"type\":\"error\",\"sequence_number\":0,\"code\":"
                "\"rate_limit_exceeded\",\"message\":\"Slow.\",\"param\":null,\"error\":{"
                "\"message\":\"Slow.\",\"type\":\"rate_limit_error\",\"param\":null,\"code\":"
                "\"rate_limit_exceeded\"}}\n\n");
}

/* In every dialect the client is told, in one event that no text leaves, and nothing of it reads as
 * success. */
static void c6_every_client_is_told_how_it_ended(void **state) {
    static const enum dialect dialects[] = { DIALECT_OPENAI_CHAT, DIALECT_OPENAI_COMPLETIONS,
                                             DIALECT_OPENAI_RESPONSES, DIALECT_ANTHROPIC_MESSAGES };
    static const char *const endings[] = { "message_stop", "response.completed", "finish_reason",
                                           "end_turn", "\"stop\"" };
    for (size_t d = 0; d < 4; d++) {
        struct api_error e = api_error(ERROR_UPSTREAM_INTERRUPTED, SPAN("a\n\ndata: x\r\n\r\n"));
        for (int begun = 0; begun < 2; begun++) {
            e.place.id = begun ? SPAN("resp\n\n1") : SPAN_NONE;
            struct span event = event_in(dialects[d], &e);
            unsigned blank = 0;
            for (size_t i = 0; i + 1 < event.len; i++)
                blank += event.at[i] == '\n' && event.at[i + 1] == '\n';
            bool marked = span_ends(event, SPAN("data: [DONE]\n\n"));
            assert_int_equal(blank, 1 + marked);
            assert_null(memchr(event.at, '\r', event.len));
            assert_non_null(memmem(event.at, event.len, "\"error\":{", 9));
            for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
                assert_null(memmem(event.at, event.len, endings[i], strlen(endings[i])));
        }
    }
}

/* --- messages that could not be read --- */

static void a_status_of_the_parser_has_its_code(void **state) {
    static const struct {
        int status;
        enum error_code code;
    } cases[] = {
        { 400, ERROR_INVALID_REQUEST },   { 405, ERROR_METHOD_NOT_ALLOWED },
        { 408, ERROR_TIMEOUT },           { 413, ERROR_REQUEST_TOO_LARGE },
        { 414, ERROR_INVALID_REQUEST },   { 417, ERROR_INVALID_REQUEST },
        { 431, ERROR_HEADERS_TOO_LARGE }, { 501, ERROR_METHOD_NOT_ALLOWED },
        { 503, ERROR_OVERLOADED },        { 505, ERROR_INVALID_REQUEST },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(error_of_status(cases[i].status), cases[i].code);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_status_type_and_form),
        cmocka_unit_test(the_status_an_error_was_given_decides_its_type),
        cmocka_unit_test(a_parameter_and_the_providers_own_words_are_named),
        cmocka_unit_test(without_a_message_it_is_empty),
        cmocka_unit_test(what_was_tried_is_told),
        cmocka_unit_test(no_text_breaks_out),
        cmocka_unit_test(any_bytes_make_json),
        cmocka_unit_test(a_very_long_message_is_whole),
        cmocka_unit_test(c3_a_stream_ends_with_one_error_and_the_mark),
        cmocka_unit_test(no_text_makes_an_event_of_its_own),
        cmocka_unit_test(all_but_messages_get_openais_form),
        cmocka_unit_test(messages_get_types_by_status),
        cmocka_unit_test(messages_name_no_type_their_clients_do_not_know),
        cmocka_unit_test(messages_say_the_parameter_in_words),
        cmocka_unit_test(messages_tell_what_became_of_a_thread),
        cmocka_unit_test(messages_say_how_much_was_too_long),
        cmocka_unit_test(messages_tell_what_was_tried_beside_the_error),
        cmocka_unit_test(messages_streams_end_with_an_error_alone),
        cmocka_unit_test(responses_streams_end_with_a_response_that_failed),
        cmocka_unit_test(responses_that_never_began_end_with_an_error),
        cmocka_unit_test(keys_are_not_said_back),
        cmocka_unit_test(c6_every_client_is_told_how_it_ended),
        cmocka_unit_test(a_status_of_the_parser_has_its_code),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
