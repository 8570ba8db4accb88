#include "support/unit.h"

#include "cli/mock_answer.h"

/* A request, what is to go wrong with it, its answer. */
struct desk {
    struct json_parser *parser;
    struct arena arena;
    struct mock_ask ask;
    struct mock_wrong wrong;
    struct mock_fault fault;
    struct mock_answer answer;
    struct buf out;
};

static void open_desk(struct desk *d) {
    memset(d, 0, sizeof *d);
    d->parser = json_parser_new();
    arena_init(&d->arena, 1024);
    mock_fault_init(&d->fault);
}

static void close_desk(struct desk *d) {
    json_parser_free(d->parser);
    arena_deinit(&d->arena);
    buf_deinit(&d->out);
}

static bool ask(struct desk *d, const char *body, const char *words) {
    struct buf error = { 0 };
    mock_fault_init(&d->fault);
    assert_true(mock_fault_parse(&d->fault, span_of(words), &d->arena, &error));
    if (!mock_ask_read(&d->ask, d->parser, span_of(body), &d->arena, &d->wrong))
        return false;
    mock_answer_plan(&d->answer, &d->ask, &d->fault.shape, &d->fault.harm, 7, &d->arena);
    buf_clear(&d->out);
    return true;
}

#define BODY(rest)                                                                                 \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]" rest "}"

static void test_reading(void **state) {
    struct desk d;
    open_desk(&d);
    assert_true(
        ask(&d,
            "{\"model\":\"m\\u00e4\",\"stream\":true,\"stream_options\":{\"include_usage\":"
            "true},\"max_tokens\":9,\"tools\":[{\"type\":\"function\",\"function\":{\"name\":"
            "\"f\"}}],\"messages\":[{\"role\":\"system\",\"content\":\"12345678\"},{\"role\":"
            "\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image_url\"},"
            "{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"assistant\",\"content\":null}]}",
            ""));
    assert_span(d.ask.model, "m\xc3\xa4");
    assert_span(d.ask.text, "ab");
    assert_span(d.ask.tool, "f");
    assert_true(d.ask.stream && d.ask.include_usage);
    assert_int_equal(d.ask.max_tokens, 9);
    /* Ten bytes are three tokens, a message is four more. */
    assert_int_equal(d.ask.prompt_tokens, 3 + 3 * 4);
    close_desk(&d);
}

static void test_refusing(void **state) {
    static const char *const cases[][2] = {
        { "", NULL },
        { "[]", NULL },
        { "{\"model\":\"m\"", NULL },
        { "{\"messages\":[{}]}", "model" },
        { "{\"model\":1,\"messages\":[{}]}", "model" },
        { "{\"model\":\"m\"}", "messages" },
        { "{\"model\":\"m\",\"messages\":[]}", "messages" },
        { "{\"model\":\"m\",\"messages\":{}}", "messages" },
    };
    struct desk d;
    open_desk(&d);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(ask(&d, cases[i][0], ""));
        assert_non_null(d.wrong.message);
        assert_span(span_of(d.wrong.param), cases[i][1]);
    }
    /* Odd, but not refused. */
    assert_true(ask(&d,
                    "{\"model\":\"m\",\"messages\":[1,{\"content\":7},{\"role\":[]}],\"tools\":"
                    "[3],\"stream_options\":5}",
                    ""));
    assert_span(d.ask.text, "");
    close_desk(&d);
}

static void test_whole(void **state) {
    struct desk d;
    struct json_value root;
    int64_t n;
    open_desk(&d);
    assert_true(ask(&d, BODY(), ""));
    mock_answer_whole(&d.answer, &d.out);
    assert_int_equal(json_parse(d.parser, buf_span(&d.out), &root), 0);
    struct json_iter choices = json_iter(json_get(root, "choices"));
    assert_true(json_next(&choices));
    assert_span(json_text(json_get(json_get(choices.value, "message"), "content")),
                "You said: hello");
    assert_span(json_text(json_get(choices.value, "finish_reason")), "stop");
    assert_span(json_text(json_get(root, "model")), "m");
    assert_true(json_int(json_get(json_get(root, "usage"), "prompt_tokens"), &n) && n == 6);
    assert_true(json_int(json_get(json_get(root, "usage"), "completion_tokens"), &n) && n == 4);
    assert_true(json_int(json_get(json_get(root, "usage"), "total_tokens"), &n) && n == 10);
    close_desk(&d);
}

static void test_whole_with_everything(void **state) {
    struct desk d;
    struct json_value root;
    open_desk(&d);
    assert_true(ask(&d, BODY(), "tool;reasoning;extra;model=other;no_usage"));
    mock_answer_whole(&d.answer, &d.out);
    assert_int_equal(json_parse(d.parser, buf_span(&d.out), &root), 0);
    assert_span(json_text(json_get(root, "model")), "other");
    assert_int_equal(json_type(json_get(root, "usage")), JSON_ABSENT);
    assert_int_equal(json_type(json_get(root, "x_mock")), JSON_OBJECT);
    struct json_iter choices = json_iter(json_get(root, "choices"));
    assert_true(json_next(&choices));
    struct json_value message = json_get(choices.value, "message");
    assert_int_equal(json_type(json_get(message, "content")), JSON_NULL);
    assert_true(json_text(json_get(message, "reasoning_content")).len > 0);
    struct json_iter calls = json_iter(json_get(message, "tool_calls"));
    assert_true(json_next(&calls));
    struct json_value function = json_get(calls.value, "function");
    assert_span(json_text(json_get(function, "name")), "lookup");
    assert_span(json_text(json_get(function, "arguments")), "{\"text\": \"hello\"}");
    close_desk(&d);
}

/* The pieces of a stream joined, and how many there are. */
static size_t join(struct desk *d, const char *content, const char *words) {
    char body[512];
    struct buf all = { 0 };
    snprintf(
        body, sizeof body,
        "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}",
        content);
    assert_true(ask(d, body, words));
    for (size_t i = 0; i < d->answer.n_pieces; i++) {
        assert_true(d->answer.pieces[i].text.len > 0);
        buf_add(&all, d->answer.pieces[i].text);
    }
    assert_true(span_eq(buf_span(&all), d->answer.content));
    buf_deinit(&all);
    return d->answer.n_pieces;
}

static void test_pieces(void **state) {
    struct desk d;
    open_desk(&d);
    assert_int_equal(join(&d, "hello big world", ""), 5);
    assert_int_equal(join(&d, "hello", "events=3"), 3);
    assert_int_equal(join(&d, "hello", "events=100"), 100);
    assert_int_equal(join(&d, "hello", "events=100;bytes=7"), 100);
    assert_int_equal(d.answer.content.len, 700);
    assert_int_equal(join(&d, "hello", "bytes=5"), 3);
    assert_int_equal(join(&d, "", "content=abc;events=50"), 3); /* no more than there are bytes */
    assert_int_equal(join(&d, "", "content=abc;events=1"), 1);
    assert_int_equal(join(&d, "", "content="), 0);
    assert_int_equal(join(&d, "hello", "no_content"), 0);
    join(&d, "hello", "tokens=10");
    assert_int_equal(d.answer.completion_tokens, 10);
    join(&d, "hello", "big=1000");
    assert_int_equal(d.answer.content.len, 1000);
    close_desk(&d);
}

static void test_pieces_are_whole_letters(void **state) {
    struct desk d;
    open_desk(&d);
    for (int n = 1; n < 12; n++) {
        char words[32];
        snprintf(words, sizeof words, n % 2 ? "bytes=%d" : "events=%d", n);
        join(&d, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", words);
        for (size_t i = 0; i < d.answer.n_pieces; i++)
            assert_int_not_equal((unsigned char)d.answer.pieces[i].text.at[0] & 0xc0, 0x80);
    }
    close_desk(&d);
}

static void test_limit(void **state) {
    struct desk d;
    open_desk(&d);
    assert_true(ask(&d, BODY(",\"max_completion_tokens\":2"),
                    "content=\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"));
    assert_int_equal(d.answer.content.len, 8);
    assert_int_equal(d.answer.completion_tokens, 2);
    assert_string_equal(d.answer.finish, "length");
    assert_true(ask(&d, BODY(",\"max_tokens\":1"), "content=123\xc3\xa4"));
    assert_span(d.answer.content, "123");
    close_desk(&d);
}

/* Every event is one `data:` line of JSON. */
static void expect_event(struct desk *d, const char *part) {
    struct json_value root;
    struct span event = buf_span(&d->out);
    assert_true(span_starts(event, SPAN("data: ")) && span_ends(event, SPAN("\n\n")));
    assert_int_equal(json_parse(d->parser, span_sub(event, 6, event.len - 8), &root), 0);
    buf_add_char(&d->out, '\0');
    if (!strstr(d->out.at, part))
        fail_msg("%s is not in %s", part, d->out.at);
    buf_clear(&d->out);
}

static void test_events(void **state) {
    struct desk d;
    open_desk(&d);
    assert_true(ask(&d, BODY(",\"stream\":true,\"stream_options\":{\"include_usage\":true}"),
                    "content=a%0A\"b;extra"));
    mock_answer_role(&d.answer, &d.out);
    expect_event(&d, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"");
    mock_answer_piece(&d.answer, 0, &d.out);
    expect_event(&d, "\"delta\":{\"content\":\"a\\n\\\"b\"}");
    mock_answer_finish(&d.answer, &d.out);
    expect_event(&d, "\"finish_reason\":\"stop\"}],\"usage\":null");
    mock_answer_usage(&d.answer, &d.out);
    expect_event(&d, "\"choices\":[],\"usage\":{\"prompt_tokens\":6,");
    assert_true(ask(&d, BODY(",\"stream\":true"), "tool;bytes=8"));
    mock_answer_piece(&d.answer, 0, &d.out);
    expect_event(&d, "\"tool_calls\":[{\"index\":0,\"id\":\"call_mock_7\"");
    mock_answer_piece(&d.answer, 1, &d.out);
    expect_event(&d, "\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":");
    close_desk(&d);
}

static void test_errors(void **state) {
    struct buf out = { 0 };
    struct span type, code;
    mock_error_names(429, &type, &code);
    assert_span(code, "rate_limit_exceeded");
    mock_error_names(500, &type, &code);
    assert_span(type, "server_error");
    assert_span(code, NULL);
    mock_error(&out, SPAN("a\"b"), type, SPAN_NONE, code);
    assert_span(buf_span(&out), "{\"error\":{\"message\":\"a\\\"b\",\"type\":\"server_error\","
                                "\"param\":null,\"code\":null}}");
    buf_deinit(&out);
}

static void test_gzip(void **state) {
    static const char expected[] =
        "\x1f\x8b\x08\0\0\0\0\0\0\xff\1\2\0\xfd\xffhi\xac\x2a\x93\xd8\2\0\0\0";
    struct buf out = { 0 };
    mock_gzip(&out, SPAN("hi"));
    assert_int_equal(out.len, sizeof expected - 1);
    assert_memory_equal(out.at, expected, out.len);
    buf_clear(&out);
    mock_gzip(&out, SPAN(""));
    assert_int_equal(out.len, 10 + 5 + 8);
    buf_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading), cmocka_unit_test(test_refusing),
        cmocka_unit_test(test_whole),   cmocka_unit_test(test_whole_with_everything),
        cmocka_unit_test(test_pieces),  cmocka_unit_test(test_pieces_are_whole_letters),
        cmocka_unit_test(test_limit),   cmocka_unit_test(test_events),
        cmocka_unit_test(test_errors),  cmocka_unit_test(test_gzip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
