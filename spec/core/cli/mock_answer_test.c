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
    struct mock_post post = { .body = span_of(body) };
    if (!mock_ask_read(&d->ask, &mock_openai_chat, d->parser, &post, &d->arena, &d->wrong))
        return false;
    mock_answer_plan(&d->answer, &mock_openai_chat, &d->ask, &d->fault.shape, &d->fault.harm, 7,
                     &d->arena);
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
    assert_int_equal(d.ask.n_tools, 1);
    assert_span(d.ask.tools[0], "f");
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
        assert_non_null(d.wrong.message.at);
        assert_span(d.wrong.param, cases[i][1]);
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
    mock_openai_chat.whole(&d.answer, &d.out);
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
    mock_openai_chat.whole(&d.answer, &d.out);
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
    assert_int_equal(d.answer.finish, MOCK_LENGTH);
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
    mock_openai_chat.begin(&d.answer, &d.out);
    expect_event(&d, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"");
    mock_openai_chat.piece(&d.answer, 0, &d.out);
    expect_event(&d, "\"delta\":{\"content\":\"a\\n\\\"b\"}");
    mock_openai_chat.finish(&d.answer, &d.out);
    expect_event(&d, "\"finish_reason\":\"stop\"}],\"usage\":null");
    mock_openai_chat.usage(&d.answer, &d.out);
    expect_event(&d, "\"choices\":[],\"usage\":{\"prompt_tokens\":6,");
    assert_true(ask(&d, BODY(",\"stream\":true"), "tool;bytes=8"));
    mock_openai_chat.piece(&d.answer, 0, &d.out);
    expect_event(&d, "\"tool_calls\":[{\"index\":0,\"id\":\"call_mock_7\"");
    mock_openai_chat.piece(&d.answer, 1, &d.out);
    expect_event(&d, "\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":");
    close_desk(&d);
}

static void test_errors(void **state) {
    struct buf out = { 0 };
    struct mock_error e = { .status = 429 };
    mock_openai_names(&e);
    assert_span(e.code, "rate_limit_exceeded");
    e = (struct mock_error){ .status = 500, .message = SPAN("a\"b") };
    mock_openai_names(&e);
    assert_span(e.type, "server_error");
    assert_span(e.code, NULL);
    mock_openai_error(&e, &out);
    assert_span(buf_span(&out), "{\"error\":{\"message\":\"a\\\"b\",\"type\":\"server_error\","
                                "\"param\":null,\"code\":null}}");
    buf_deinit(&out);
}

/* Kinds and texts of all pieces: "c1:abc" is of the second block. */
static void expect_pieces(struct desk *d, const char *words, const char *expected) {
    struct buf all = { 0 };
    assert_true(ask(d, BODY(",\"stream\":true"), words));
    for (size_t i = 0; i < d->answer.n_pieces; i++) {
        const struct mock_piece *p = &d->answer.pieces[i];
        buf_printf(&all, "%s%s%zu:%.*s", i ? " " : "", p->first ? "+" : "", p->block,
                   SPAN_ARGS(p->text));
    }
    assert_span(all.at ? buf_span(&all) : SPAN(""), expected);
    buf_deinit(&all);
}

static void test_blocks(void **state) {
    struct desk d;
    open_desk(&d);
    expect_pieces(&d, "content=ab;tools=2;tool_input=12;events=2", "+0:a 0:b +1:1 1:2 +2:1 2:2");
    expect_pieces(&d, "tools=3;tool_input=123;bytes=2;interleave", "+0:12 +1:12 +2:12 0:3 1:3 2:3");
    expect_pieces(&d, "tools=2;tool_input=", "+0: +1:");
    expect_pieces(&d, "tools=2;args_empty", "+0: +1:");
    expect_pieces(&d, "tools=2;args_object;tool_input={};bytes=1", "+0:{} +1:{}");
    expect_pieces(&d, "tools=2;no_content", "");
    assert_true(ask(&d, BODY(), "content=ab;reasoning;tools=2"));
    assert_int_equal(mock_answer_blocks(&d.answer), 4);
    assert_int_equal(mock_answer_block(&d.answer, 0).kind, MOCK_REASONING);
    assert_int_equal(mock_answer_block(&d.answer, 1).kind, MOCK_CONTENT);
    assert_int_equal(mock_answer_block(&d.answer, 3).kind, MOCK_CALL);
    assert_int_equal(mock_answer_block(&d.answer, 3).call, 1);
    assert_span(d.answer.arguments[0], "{\"text\": \"hello\"}");
    assert_span(d.answer.arguments[1], "{\"text\": \"hello\", \"call\": 1}");
    assert_int_equal(d.answer.finish, MOCK_CALLS);
    close_desk(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading), cmocka_unit_test(test_refusing),
        cmocka_unit_test(test_whole),   cmocka_unit_test(test_whole_with_everything),
        cmocka_unit_test(test_pieces),  cmocka_unit_test(test_pieces_are_whole_letters),
        cmocka_unit_test(test_limit),   cmocka_unit_test(test_events),
        cmocka_unit_test(test_errors),  cmocka_unit_test(test_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
