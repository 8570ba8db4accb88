/* Requests and answers through the Lua dialects: many streams in one state, and what goes wrong
 * in one of them. */
#include "support/unit.h"

#include "script/adapter.h"

#define CHAT "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}"

struct world {
    struct snapshot *snap;
    struct provider provider;
    struct target target;
    struct adapter *a;
    struct arena arena;
    struct buf body, out;
    struct adapter_seen seen;
    const char *why;
};

static int open_world(void **state) {
    struct world *w = calloc(1, sizeof *w);
    w->snap = snapshot_new();
    w->snap->config.max_body = 1 << 20;
    snapshot_seal(w->snap);
    w->provider = (struct provider){ .name = SPAN("p"), .dialect = DIALECT_OPENAI_CHAT };
    w->target = (struct target){ .id = SPAN("p/m"),
                                 .model = SPAN("m"),
                                 .upstream = SPAN("vendor-m"),
                                 .provider = &w->provider };
    w->a = adapter_new(w->snap);
    assert_non_null(w->a);
    arena_init(&w->arena, 1024);
    *state = w;
    return 0;
}

static int close_world(void **state) {
    struct world *w = *state;
    adapter_free(w->a);
    snapshot_unref(w->snap);
    arena_deinit(&w->arena);
    buf_deinit(&w->body);
    buf_deinit(&w->out);
    free(w);
    return 0;
}

static struct adapter_setup setup_of(struct world *w, const char *body, bool stream) {
    buf_clear(&w->body);
    return (struct adapter_setup){
        .client = DIALECT_OPENAI_CHAT,
        .spoken = DIALECT_OPENAI_CHAT,
        .target = &w->target,
        .body = span_of(body),
        .stream = stream,
        .keep_usage = strstr(body, "include_usage") != NULL,
        .id = SPAN("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        .created_s = 1790000000,
        .arena = &w->arena,
        .out = &w->body,
    };
}

static int open_stream(struct world *w, const char *body, bool stream) {
    struct adapter_setup setup = setup_of(w, body, stream);
    int handle = adapter_open(w->a, &setup, &w->why);
    if (!handle)
        fail_msg("%s", w->why);
    assert_span(setup.path, "/chat/completions");
    assert_null(setup.dropped.at);
    return handle;
}

static int feed(struct world *w, int handle, const char *data) {
    buf_clear(&w->out);
    return adapter_feed(w->a, handle, SPAN_NONE, span_of(data), &w->out, &w->seen, &w->why);
}

static void a_request_goes_up(void **state) {
    struct world *w = *state;
    struct pair params[] = { { SPAN("temperature"), SPAN("0.5") }, { SPAN("seed"), SPAN_NONE } };
    struct adapter_setup setup =
        setup_of(w,
                 "{\"model\":\"m\",\"seed\":1,\"models\":[\"x\"],\"messages\":[{\"role\":\"user\","
                 "\"content\":\"Hi\"}],\"extra\":[ 1,2 ]}",
                 false);
    setup.params = params;
    setup.n_params = 2;
    int handle = adapter_open(w->a, &setup, &w->why);
    assert_true(handle > 0);
    assert_span(buf_span(&w->body), "{\"model\":\"vendor-m\",\"messages\":[{\"role\":\"user\","
                                    "\"content\":\"Hi\"}],\"extra\":[ 1,2 ],\"temperature\":0.5}");
    adapter_close(w->a, handle);
}

static void an_answer_comes_back(void **state) {
    struct world *w = *state;
    int handle = open_stream(w, CHAT, false);
    const char *answer =
        "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"vendor-m-1\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},"
        "\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}";
    assert_int_equal(adapter_answer(w->a, handle, span_of(answer), &w->out, &w->seen, &w->why), 0);
    assert_span(buf_span(&w->out), answer);
    assert_true(w->seen.content && w->seen.finished && !w->seen.error);
    assert_span(w->seen.model, "vendor-m-1");
    assert_null(w->seen.message.at);
    assert_int_equal(w->seen.input_tokens, 5);
    assert_int_equal(w->seen.output_tokens, 2);
    assert_int_equal(w->seen.reasoning_tokens, -1);
    assert_int_equal(w->seen.text, 2);
    adapter_close(w->a, handle);
}

static void an_error_comes_back(void **state) {
    struct world *w = *state;
    int handle = open_stream(w, CHAT, false);
    struct span answer = SPAN("{\"error\":{\"message\":\"no room\"}}");
    assert_int_equal(adapter_answer(w->a, handle, answer, &w->out, &w->seen, &w->why), 0);
    assert_true(w->seen.error);
    assert_span(w->seen.message, "no room");
    adapter_close(w->a, handle);
}

static void streams_do_not_mix(void **state) {
    struct world *w = *state;
    int one = open_stream(w, CHAT, true);
    int two = open_stream(w,
                          "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"
                          "\"stream_options\":{\"include_usage\":true}}",
                          true);
#define HEAD "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"v\","
    const char *role = HEAD "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}";
    const char *text = HEAD "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
                            "\"content\":\"a\"}}]}";
    const char *usage = HEAD "\"choices\":[],\"usage\":{\"prompt_tokens\":3,"
                             "\"completion_tokens\":1}}";
    const char *end = HEAD "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}";
    assert_int_equal(feed(w, one, role), 0);
    assert_false(w->seen.content);
    assert_int_equal(feed(w, two, text), 0);
    assert_true(w->seen.content);
    assert_span(w->seen.model, "v");
    assert_memory_equal(w->out.at, "data: ", 6);
    assert_memory_equal(w->out.at + 6, text, strlen(text));
    /* Only the second client asked for the usage. */
    assert_int_equal(feed(w, one, usage), 0);
    assert_int_equal(w->out.len, 0);
    assert_int_equal(w->seen.input_tokens, 3);
    assert_int_equal(feed(w, two, usage), 0);
    assert_true(w->out.len > 0);
    assert_int_equal(feed(w, two, end), 0);
    assert_true(w->seen.finished);
    assert_int_equal(feed(w, two, "[DONE]"), 0);
    assert_true(w->seen.ended);
    buf_clear(&w->out);
    assert_int_equal(adapter_finish(w->a, two, &w->out, &w->seen, &w->why), 0);
    adapter_close(w->a, two);
    adapter_close(w->a, one);
}

static void what_fails_ends_one_stream_only(void **state) {
    struct world *w = *state;
    int one = open_stream(w, CHAT, true);
    int two = open_stream(w, CHAT, true);
    assert_true(feed(w, one, "{\"choices\":[{") < 0);
    assert_true(w->why[0] != '\0');
    assert_int_equal(w->out.len, 0);
    assert_int_equal(feed(w, two, "{\"choices\":[{\"delta\":{\"content\":\"b\"}}]}"), 0);
    adapter_close(w->a, one);
    assert_true(feed(w, one, "{}") < 0);
    assert_non_null(strstr(w->why, "could not be translated"));
    assert_int_equal(feed(w, two, "{\"choices\":[{\"delta\":{\"content\":\"c\"}}]}"), 0);
    adapter_close(w->a, two);

    struct adapter_setup setup = setup_of(w, "[1]", false);
    assert_int_equal(adapter_open(w->a, &setup, &w->why), 0);
    assert_true(w->why[0] != '\0');
    assert_int_equal(w->body.len, 0);
}

/* Nothing of what Lua says of itself reaches a client, and nothing that is not UTF-8 gets in. */
static void broken_bytes_are_refused(void **state) {
    struct world *w = *state;
    int one = open_stream(w, CHAT, true);
    assert_true(feed(w, one, "{\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}") < 0);
    assert_string_equal(w->why, "An event is not UTF-8.");
    assert_true(adapter_answer(w->a, one, SPAN("\xc3("), &w->out, &w->seen, &w->why) < 0);
    assert_string_equal(w->why, "The answer is not UTF-8.");
    adapter_close(w->a, one);
}

static struct span recall(void *owner, struct span call_id) {
    assert_span(call_id, "call_1");
    return span_of(owner);
}

/* A client that has no place for a model's thoughts: they are handed over, and asked for again. */
static void thoughts_are_kept_and_recalled(void **state) {
    struct world *w = *state;
    struct adapter_setup setup = setup_of(w, CHAT, false);
    setup.spoken = DIALECT_ANTHROPIC_MESSAGES;
    int one = adapter_open(w->a, &setup, &w->why);
    assert_true(one > 0);
    assert_int_equal(setup.n_headers, 1);
    assert_span(setup.headers[0], "anthropic-version: 2023-06-01");
    const char *answer =
        "{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"v\",\"content\":["
        "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"SIG\"},"
        "{\"type\":\"tool_use\",\"id\":\"call_1\",\"name\":\"f\",\"input\":{}}],"
        "\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}";
    assert_int_equal(adapter_answer(w->a, one, span_of(answer), &w->out, &w->seen, &w->why), 0);
    assert_int_equal(w->seen.n_keeps, 1);
    assert_span(w->seen.keeps[0].name, "call_1");
    char *kept = strndup(w->seen.keeps[0].value.at, w->seen.keeps[0].value.len);
    adapter_close(w->a, one);

    setup =
        setup_of(w,
                 "{\"model\":\"m\",\"reasoning_effort\":\"low\",\"messages\":["
                 "{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"tool_calls\":["
                 "{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                 "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"call_1\","
                 "\"content\":\"1\"}]}",
                 false);
    setup.spoken = DIALECT_ANTHROPIC_MESSAGES;
    setup.recall = recall;
    setup.owner = kept;
    w->target.abilities = UINT32_MAX;
    int two = adapter_open(w->a, &setup, &w->why);
    assert_true(two > 0);
    struct span body = buf_span(&w->body);
    assert_non_null(memmem(body.at, body.len, "\"signature\":\"SIG\"", 17));
    adapter_close(w->a, two);
    free(kept);
}

static void a_refusal_names_its_field(void **state) {
    struct world *w = *state;
    struct adapter_setup setup = setup_of(
        w, "{\"model\":\"m\",\"seed\":1,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
        false);
    setup.spoken = DIALECT_ANTHROPIC_MESSAGES;
    setup.refuse = true;
    assert_int_equal(adapter_open(w->a, &setup, &w->why), 0);
    assert_string_equal(w->why, "p/m can not take: seed.");
    assert_span(setup.param, "seed");
}

#define ALIKE(text, tokens)                                                                        \
    "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" text "\"}]},\"index\":0}],"           \
    "\"usageMetadata\":{\"candidatesTokenCount\":" tokens "}}"

static int open_gemini(struct world *w) {
    struct adapter_setup setup = setup_of(w, "{\"model\":\"m\",\"input\":\"Hi\"}", true);
    setup.client = DIALECT_OPENAI_RESPONSES;
    setup.spoken = DIALECT_GEMINI;
    int handle = adapter_open(w->a, &setup, &w->why);
    assert_true(handle > 0);
    return handle;
}

static bool out_has(struct world *w, const char *text) {
    return memmem(w->out.at, w->out.len, text, strlen(text)) != NULL;
}

/* A slash that was escaped for no need shows who answered: Lua writes it plain. */
static void events_that_are_alike_need_no_lua(void **state) {
    struct world *w = *state;
    int one = open_gemini(w);
    assert_int_equal(feed(w, one, ALIKE("a", "1")), 0);
    assert_int_equal(feed(w, one, ALIKE("\\/", "2")), 0);
    assert_true(out_has(w, "\"delta\":\"/\""));
    assert_int_equal(feed(w, one, ALIKE("b", "3")), 0);
    assert_int_equal(w->seen.output_tokens, 3);
    assert_int_equal(feed(w, one, ALIKE("c", "4")), 0);
    assert_int_equal(feed(w, one, ALIKE("\\/", "5")), 0);
    assert_true(out_has(w, "\"delta\":\"\\/\""));
    assert_true(out_has(w, "\"sequence_number\":8,"));
    assert_true(w->seen.content && !w->seen.finished);
    /* The next event that is another, and the end, know of all. */
    assert_int_equal(feed(w, one, "{\"candidates\":[{\"finishReason\":\"STOP\",\"index\":0}]}"), 0);
    assert_int_equal(w->seen.output_tokens, 5);
    buf_clear(&w->out);
    assert_int_equal(adapter_finish(w->a, one, &w->out, &w->seen, &w->why), 0);
    assert_true(out_has(w, "\"sequence_number\":9,"));
    assert_true(out_has(w, "\"text\":\"a/bc/\""));
    adapter_close(w->a, one);
}

static void a_stream_given_up_tells_what_it_used(void **state) {
    struct world *w = *state;
    const char *events[] = { ALIKE("a", "1"), ALIKE("b", "2"), ALIKE("c", "3"), ALIKE("d", "4") };
    int one = open_gemini(w);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(feed(w, one, events[i]), 0);
    assert_int_equal(w->seen.output_tokens, -1);
    adapter_settle(w->a, one, &w->seen);
    assert_int_equal(w->seen.output_tokens, 4);
    adapter_settle(w->a, one, &w->seen);
    assert_int_equal(w->seen.output_tokens, -1);
    adapter_close(w->a, one);
    adapter_settle(w->a, one, &w->seen);
    assert_int_equal(w->seen.output_tokens, -1);
}

/* Each byte once, whoever answers the event, and however it is written. */
static void texts_are_counted_as_they_come(void **state) {
    struct world *w = *state;
    const char *events[] = { ALIKE("\\u00e9", "1"), ALIKE("a", "2"), ALIKE("bc", "3"),
                             ALIKE("\\u00e9b", "4"), ALIKE("\\n", "5") };
    int one = open_gemini(w);
    uint64_t text = 0;
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(feed(w, one, events[i]), 0);
        text += w->seen.text;
    }
    assert_int_equal(w->seen.output_tokens, -1); /* the last one was answered without Lua */
    assert_int_equal(text, 2 + 1 + 2 + 3 + 1);
    adapter_settle(w->a, one, &w->seen);
    assert_int_equal(w->seen.text, 0);
    assert_int_equal(feed(w, one, "{\"candidates\":[{\"finishReason\":\"STOP\",\"index\":0}]}"), 0);
    assert_int_equal(w->seen.text, 0);
    buf_clear(&w->out);
    assert_int_equal(adapter_finish(w->a, one, &w->out, &w->seen, &w->why), 0);
    assert_int_equal(w->seen.text, 0);
    adapter_close(w->a, one);
}

/* One that is asked to translates all. Streams that are left open go with the state. */
static void echoes_can_be_left_out(void **state) {
    struct world *w = *state;
    adapter_echoes(w->a, false);
    int one = open_gemini(w);
    adapter_echoes(w->a, true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(feed(w, one, ALIKE("a", "1")), 0);
        assert_int_equal(feed(w, one, ALIKE("\\/", "2")), 0);
        assert_true(out_has(w, "\"delta\":\"/\""));
    }
    assert_true(open_gemini(w) > 0);
}

/* What a name means that comes again hangs on the arguments so far: Lua has to look. */
static void calls_named_in_each_event_are_translated(void **state) {
    struct world *w = *state;
#define NAMED(arguments)                                                                           \
    "{\"id\":\"c\",\"model\":\"v\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{"         \
    "\"index\":0,"                                                                                 \
    "\"function\":{\"name\":\"f\",\"arguments\":\"" arguments "\"}}]}}]}"
    struct adapter_setup setup =
        setup_of(w, "{\"model\":\"m\",\"stream\":true,\"input\":\"Hi\"}", true);
    setup.client = DIALECT_OPENAI_RESPONSES;
    int one = adapter_open(w->a, &setup, &w->why);
    assert_true(one > 0);
    assert_int_equal(feed(w, one, NAMED("{")), 0);
    assert_int_equal(feed(w, one, NAMED(" ")), 0);
    assert_int_equal(feed(w, one, NAMED("  ")), 0);
    assert_int_equal(feed(w, one, NAMED("}")), 0);
    assert_int_equal(feed(w, one, NAMED("{}")), 0);
    assert_true(out_has(w, "response.output_item.added"));
    adapter_close(w->a, one);
}

/* What one answer asks for beyond the cap is refused; the state and the other streams live on. */
static void the_cap_holds(void **state) {
    struct world *w = *state;
    int one = open_stream(w, CHAT, true);
    int two = open_stream(w, CHAT, true);
    struct buf huge = { 0 };
    buf_add(&huge, SPAN("{\"choices\":[{\"delta\":{\"content\":\""));
    size_t len = 80 << 20;
    memset(buf_reserve(&huge, len), 'x', len);
    huge.len += len;
    buf_add(&huge, SPAN("\"}}]}"));
    assert_true(adapter_feed(w->a, one, SPAN_NONE, buf_span(&huge), &w->out, &w->seen, &w->why) <
                0);
    assert_non_null(strstr(w->why, "could not be translated"));
    buf_deinit(&huge);
    assert_int_equal(feed(w, two, "{\"choices\":[{\"delta\":{\"content\":\"b\"}}]}"), 0);
    adapter_close(w->a, one);
    adapter_close(w->a, two);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        CASE(a_request_goes_up),
        CASE(an_answer_comes_back),
        CASE(an_error_comes_back),
        CASE(streams_do_not_mix),
        CASE(what_fails_ends_one_stream_only),
        CASE(broken_bytes_are_refused),
        CASE(thoughts_are_kept_and_recalled),
        CASE(a_refusal_names_its_field),
        CASE(events_that_are_alike_need_no_lua),
        CASE(a_stream_given_up_tells_what_it_used),
        CASE(texts_are_counted_as_they_come),
        CASE(echoes_can_be_left_out),
        CASE(calls_named_in_each_event_are_translated),
        CASE(the_cap_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
