/* Requests and answers through the Lua dialects: many streams in one state, and what goes wrong
 * in one of them. */
#include "support/unit.h"

#include "script/adapter.h"

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
        .target = &w->target,
        .body = span_of(body),
        .stream = stream,
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
    struct adapter_setup setup = setup_of(
        w, "{\"model\":\"m\",\"seed\":1,\"models\":[\"x\"],\"messages\":[],\"extra\":[ 1,2 ]}",
        false);
    setup.params = params;
    setup.n_params = 2;
    int handle = adapter_open(w->a, &setup, &w->why);
    assert_true(handle > 0);
    assert_span(buf_span(&w->body),
                "{\"model\":\"vendor-m\",\"messages\":[],\"extra\":[ 1,2 ],\"temperature\":0.5}");
    adapter_close(w->a, handle);
}

static void an_answer_comes_back(void **state) {
    struct world *w = *state;
    int handle = open_stream(w, "{\"model\":\"m\",\"messages\":[]}", false);
    const char *answer = "{\"model\":\"vendor-m-1\",\"choices\":[{\"message\":{\"content\":\"hi\"},"
                         "\"finish_reason\":\"stop\"}],"
                         "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}";
    assert_int_equal(adapter_answer(w->a, handle, 200, span_of(answer), &w->out, &w->seen, &w->why),
                     0);
    assert_span(buf_span(&w->out), answer);
    assert_true(w->seen.content && w->seen.finished && !w->seen.error);
    assert_span(w->seen.model, "vendor-m-1");
    assert_null(w->seen.message.at);
    assert_int_equal(w->seen.input_tokens, 5);
    assert_int_equal(w->seen.output_tokens, 2);
    assert_int_equal(w->seen.reasoning_tokens, -1);
    adapter_close(w->a, handle);
}

static void an_error_comes_back(void **state) {
    struct world *w = *state;
    int handle = open_stream(w, "{\"model\":\"m\",\"messages\":[]}", false);
    struct span answer = SPAN("{\"error\":{\"message\":\"no room\"}}");
    assert_int_equal(adapter_answer(w->a, handle, 503, answer, &w->out, &w->seen, &w->why), 0);
    assert_true(w->seen.error);
    assert_span(w->seen.message, "no room");
    adapter_close(w->a, handle);
}

static void streams_do_not_mix(void **state) {
    struct world *w = *state;
    int one = open_stream(w, "{\"model\":\"m\",\"messages\":[]}", true);
    int two = open_stream(
        w, "{\"model\":\"m\",\"messages\":[],\"stream_options\":{\"include_usage\":true}}", true);
    const char *role = "{\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}";
    const char *text = "{\"model\":\"v\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}";
    const char *usage = "{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}";
    assert_int_equal(feed(w, one, role), 0);
    assert_false(w->seen.content);
    assert_int_equal(feed(w, two, text), 0);
    assert_true(w->seen.content);
    assert_span(w->seen.model, "v");
    assert_span(buf_span(&w->out),
                "data: {\"model\":\"v\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
    /* Only the second client asked for the usage. */
    assert_int_equal(feed(w, one, usage), 0);
    assert_int_equal(w->out.len, 0);
    assert_int_equal(w->seen.input_tokens, 3);
    assert_int_equal(feed(w, two, usage), 0);
    assert_true(w->out.len > 0);
    buf_clear(&w->out);
    assert_int_equal(adapter_finish(w->a, two, &w->out, &w->seen, &w->why), 0);
    adapter_close(w->a, two);
    adapter_close(w->a, one);
}

static void what_fails_ends_one_stream_only(void **state) {
    struct world *w = *state;
    int one = open_stream(w, "{\"model\":\"m\",\"messages\":[]}", true);
    int two = open_stream(w, "{\"model\":\"m\",\"messages\":[]}", true);
    assert_true(feed(w, one, "{\"choices\":[{") < 0);
    assert_true(w->why[0] != '\0');
    assert_int_equal(w->out.len, 0);
    assert_int_equal(feed(w, two, "{\"choices\":[{\"delta\":{\"content\":\"b\"}}]}"), 0);
    adapter_close(w->a, one);
    assert_true(feed(w, one, "{}") < 0);
    assert_non_null(strstr(w->why, "no open stream"));
    assert_int_equal(feed(w, two, "{\"choices\":[{\"delta\":{\"content\":\"c\"}}]}"), 0);
    adapter_close(w->a, two);

    struct adapter_setup setup = setup_of(w, "[1]", false);
    assert_int_equal(adapter_open(w->a, &setup, &w->why), 0);
    assert_true(w->why[0] != '\0');
    assert_int_equal(w->body.len, 0);
}

/* What one answer asks for beyond the cap is refused; the state and the other streams live on. */
static void the_cap_holds(void **state) {
    struct world *w = *state;
    int one = open_stream(w, "{\"model\":\"m\",\"messages\":[]}", true);
    int two = open_stream(w, "{\"model\":\"m\",\"messages\":[]}", true);
    struct buf huge = { 0 };
    buf_add(&huge, SPAN("{\"choices\":[{\"delta\":{\"content\":\""));
    size_t len = 80 << 20;
    memset(buf_reserve(&huge, len), 'x', len);
    huge.len += len;
    buf_add(&huge, SPAN("\"}}]}"));
    assert_true(adapter_feed(w->a, one, SPAN_NONE, buf_span(&huge), &w->out, &w->seen, &w->why) <
                0);
    assert_non_null(strstr(w->why, "memory"));
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
        CASE(the_cap_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
