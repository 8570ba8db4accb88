/* stream_test.c - every way a provider's stream can go, fed whole, byte by byte and cut at every
 * position: what the client gets, how it ends and what was learnt must not depend on it. */
#include "route/stream.h"

#include "support/unit.h"

/* One stream as a provider sends it, and how it is read. */
struct fixture {
    struct span text;
    bool keep_usage;
    bool routes;          /* somebody wants the route member */
    bool adapted;         /* through the adapter below */
    bool open;            /* the connection stays open behind the text: no stream_close() */
    bool frames;          /* Amazon's */
    enum dialect dialect; /* of both sides; Chat Completions unless said */
};

/* What became of it. */
struct result {
    struct buf out;
    enum stream_state state;
    enum failure why;
    struct wire_usage usage;
    uint64_t text, told_at;
    char model[64], message[256], code[64], type[64];
    char kept[64]; /* "call value;" for each */
    char id[64];   /* where the client's stream stands */
    uint64_t sequence;
};

static struct json_parser *parser;
static bool wants_route;
static struct stream *under_test;
static struct buf memory;

static const struct provider_key keys[] = { { .secret = { "sk-secret-of-ours", 17 },
                                              .weight = 1 } };
static const struct failure_rule rules[] = {
    { .code = { "slow_down", 9 }, .class = FAILURE_RATE_LIMITED },
    { .code = { "overloaded_error", 16 }, .class = FAILURE_OVERLOADED },
};
static const struct provider provider = {
    .name = { "p", 1 }, .keys = keys, .n_keys = 1, .rules = rules, .n_rules = 2
};
static const struct target target = { .id = { "p/our-name", 10 },
                                      .model = { "our-name", 8 },
                                      .provider = &provider };

/* --- an adapter for these tests: each event becomes one in our dialect --- */

/* Understands "hello" (content), "two" (two events), "over" (finish), "again" (a choice that begins
 * after the finish), "full" (a finish that needs no content), "sorry" (an error), "rest" (content that
 * comes out only at the end), "keep" (something to be kept), "[DONE]"; all else is nonsense to it. */
static char kept_back[32];
static bool is_over; /* as adapters tell it: whether all is finished by now */

static void nothing_seen(struct adapter_seen *seen) {
    *seen = (struct adapter_seen){ .finished = is_over,
                                   .input_tokens = -1,
                                   .output_tokens = -1,
                                   .cached_tokens = -1,
                                   .cache_write_tokens = -1,
                                   .reasoning_tokens = -1 };
}

static void finish(struct adapter_seen *seen, struct buf *out) {
    seen->finished = is_over = true;
    seen->output_tokens = 5;
    buf_add(out, SPAN("event: x\ndata: {\"over\":1}\n\n"));
}

static void say_sorry(struct adapter_seen *seen) {
    seen->error = true;
    seen->message = SPAN("no, said sk-secret-of-ours");
    seen->code = SPAN("slow_down");
    seen->type = SPAN("sk-secret-of-ours");
}

int adapter_feed(struct adapter *a, int handle, struct span event, struct span data,
                 struct buf *out, struct adapter_seen *seen, const char **why) {
    assert_ptr_equal(a, &kept_back);
    assert_int_equal(handle, 7);
    nothing_seen(seen);
    *why = "no such word";
    if (span_eq(data, SPAN("hello")) || span_eq(data, SPAN("keep"))) {
        seen->content = true;
        seen->model = SPAN("made");
        buf_add(out, SPAN("data: {\"hello\":1}\n\n"));
        if (span_eq(data, SPAN("keep")))
            seen->keeps[seen->n_keeps++] = (struct pair){ SPAN("call_1"), SPAN("thought") };
    } else if (span_eq(data, SPAN("two"))) {
        seen->content = true;
        buf_add(out, SPAN("data: {\"two\":1}\n\nevent: x\ndata: {\"two\":2}\n\n"));
    } else if (span_eq(data, SPAN("over"))) {
        finish(seen, out);
    } else if (span_eq(data, SPAN("again"))) {
        seen->finished = is_over = false;
    } else if (span_eq(data, SPAN("full"))) {
        seen->finished = seen->excused = is_over = true;
        buf_add(out, SPAN("data: {\"full\":1}\n\n"));
    } else if (span_eq(data, SPAN("rest"))) {
        seen->content = true;
        strcpy(kept_back, "data: {\"rest\":1}\n\n");
    } else if (span_eq(data, SPAN("sorry")) || span_eq(event, SPAN("throttlingException"))) {
        say_sorry(seen);
    } else if (span_eq(data, SPAN("[DONE]"))) {
        seen->ended = true;
    } else {
        return -1;
    }
    return 0;
}

/* What was told of and not said yet. */
void adapter_settle(struct adapter *a, int handle, struct adapter_seen *seen) {
    nothing_seen(seen);
    seen->output_tokens = 9;
}

int adapter_finish(struct adapter *a, int handle, struct buf *out, struct adapter_seen *seen,
                   const char **why) {
    nothing_seen(seen);
    if (strcmp(kept_back, "broken") == 0) {
        *why = "can not end";
        return -1;
    }
    if (strcmp(kept_back, "failed") == 0) {
        say_sorry(seen);
        return 0;
    }
    buf_add(out, span_of(kept_back));
    return 0;
}

/* --- running a fixture --- */

static void on_route(void *owner, struct buf *out) {
    assert_ptr_equal(owner, &wants_route);
    if (wants_route)
        buf_printf(out, "{\"output\":%d}", (int)under_test->usage.output);
}

static void on_keep(void *owner, struct pair keep) {
    assert_ptr_equal(owner, &wants_route);
    buf_printf(&memory, "%.*s %.*s;", SPAN_ARGS(keep.name), SPAN_ARGS(keep.value));
}

static void take(struct result *r, struct stream *s) {
    buf_add(&r->out, buf_span(&s->out));
    buf_clear(&s->out);
}

/* `a`, then `b`, byte by byte if `step` is 1; what is ready is taken as an attempt takes it. */
static void run(const struct fixture *f, size_t cut, size_t step, struct result *r) {
    struct stream s;
    struct arena arena;
    arena_init(&arena, 512);
    *r = (struct result){ .out = { 0 } };
    wants_route = f->routes;
    under_test = &s;
    is_over = false;
    buf_clear(&memory);
    enum dialect dialect = f->dialect ? f->dialect : DIALECT_OPENAI_CHAT;
    struct stream_setup setup = { .wire = wire_of(dialect),
                                  .client = dialect,
                                  .frames = f->frames,
                                  .on_keep = on_keep,
                                  .adapter = f->adapted ? (struct adapter *)&kept_back : NULL,
                                  .handle = 7,
                                  .target = &target,
                                  .parser = parser,
                                  .arena = &arena,
                                  .keep_usage = f->keep_usage,
                                  .on_route = on_route,
                                  .owner = &wants_route };
    if (strcmp(kept_back, "broken") && strcmp(kept_back, "failed"))
        kept_back[0] = '\0';
    stream_init(&s, &setup);
    for (size_t at = 0; at < f->text.len;) {
        size_t end = at < cut ? cut : at + step;
        if (end > f->text.len)
            end = f->text.len;
        /* In memory of its own, so that reading beyond it is found out. */
        char *part = malloc(end - at);
        memcpy(part, f->text.at + at, end - at);
        stream_feed(&s, part, end - at);
        free(part);
        at = end;
        if (s.state == STREAM_FLOWING)
            take(r, &s);
    }
    if (!f->open)
        stream_close(&s);
    take(r, &s);
    r->state = s.state;
    r->why = s.why;
    r->usage = s.usage;
    r->text = s.text;
    r->told_at = s.told_at;
    span_copy(s.model, r->model, sizeof r->model);
    span_copy(s.error.message, r->message, sizeof r->message);
    span_copy(s.error.code, r->code, sizeof r->code);
    span_copy(s.error.type, r->type, sizeof r->type);
    span_copy(buf_span(&memory), r->kept, sizeof r->kept);
    span_copy(s.place.id, r->id, sizeof r->id);
    r->sequence = s.place.sequence;
    stream_feed(&s, "data: {}\n\n", 10);
    if (r->state == STREAM_ENDED || r->state == STREAM_FAILED)
        assert_int_equal(s.out.len, 0);
    stream_deinit(&s);
    arena_deinit(&arena);
}

static void assert_same(const struct result *a, const struct result *b, size_t cut) {
    if (!span_eq(buf_span(&a->out), buf_span(&b->out)) || a->state != b->state ||
        a->why != b->why || strcmp(a->message, b->message)) {
        print_error("cut at %zu: state %d, %s, \"%s\", out:\n%.*s\n", cut, b->state,
                    failure_name(b->why), b->message, SPAN_ARGS(buf_span(&b->out)));
        fail();
    }
    assert_memory_equal(&a->usage, &b->usage, sizeof a->usage);
    assert_int_equal(a->text, b->text);
    assert_int_equal(a->told_at, b->told_at);
    assert_string_equal(a->model, b->model);
    assert_string_equal(a->code, b->code);
    assert_string_equal(a->type, b->type);
    assert_string_equal(a->kept, b->kept);
    assert_string_equal(a->id, b->id);
    assert_int_equal(a->sequence, b->sequence);
}

/* The result of feeding it whole, after every other way has given the same. */
static struct result play(struct fixture f) {
    struct result whole, other;
    run(&f, f.text.len, f.text.len, &whole);
    for (size_t cut = 0; cut < f.text.len; cut++) {
        run(&f, cut, f.text.len, &other);
        assert_same(&whole, &other, cut);
        buf_deinit(&other.out);
    }
    for (size_t step = 1; step <= 3; step++) {
        run(&f, 0, step, &other);
        assert_same(&whole, &other, step);
        buf_deinit(&other.out);
    }
    return whole;
}

static struct result play_text(const char *text) {
    return play((struct fixture){ .text = span_of(text) });
}

static void check_result(struct result r, enum stream_state state, enum failure why,
                         const char *out, const char *file, int line) {
    if (r.state != state || r.why != why) {
        print_error("state %d, %s, \"%s\"\n", r.state, failure_name(r.why), r.message);
        _fail(file, line);
    }
    check_span(r.out.len ? buf_span(&r.out) : SPAN(""), out, file, line);
    buf_deinit(&r.out);
}

#define assert_ends(r, out) check_result((r), STREAM_ENDED, FAILURE_NONE, (out), __FILE__, __LINE__)
#define assert_fails(r, why, out) check_result((r), STREAM_FAILED, (why), (out), __FILE__, __LINE__)

/* --- pieces --- */

#define EVENT(json) "data: " json "\n\n"
#define HEAD "\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,"
#define CHUNK_OF(index, delta, finish)                                                             \
    "{" HEAD "\"model\":\"m-1\",\"choices\":[{\"index\":" index ",\"delta\":" delta                \
    ",\"finish_reason\":" finish "}]}"
#define CHUNK(delta, finish) EVENT(CHUNK_OF("0", delta, finish))
#define NTH(index, delta, finish) EVENT(CHUNK_OF(index, delta, finish))
#define ROLE CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null")
#define TEXT(text) CHUNK("{\"content\":\"" text "\"}", "null")
#define STOP_JSON CHUNK_OF("0", "{}", "\"stop\"")
#define STOP EVENT(STOP_JSON)
#define USAGE_JSON                                                                                 \
    "{" HEAD "\"model\":\"m-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,"                    \
    "\"completion_tokens\":2,\"total_tokens\":11}}"
#define USAGE EVENT(USAGE_JSON)
#define DONE "data: [DONE]\n\n"

/* --- streams that end well --- */

static void a_good_stream_passes_untouched(void **state) {
    struct result r = play_text(ROLE TEXT("Hel") TEXT("lo \xc3\xa9") STOP DONE);
    assert_string_equal(r.model, "m-1");
    assert_int_equal(r.usage.output, -1);
    assert_ends(r, ROLE TEXT("Hel") TEXT("lo \xc3\xa9") STOP);
}

static void nothing_is_for_the_client_before_content(void **state) {
    struct fixture f = { .text = SPAN(": hello\n\n" ROLE CHUNK("{}", "null")), .open = true };
    struct result r = play(f);
    check_result(r, STREAM_HELD, FAILURE_NONE, ROLE CHUNK("{}", "null"), __FILE__, __LINE__);
}

static void each_event_goes_at_once(void **state) {
    const char *const texts[] = { ROLE TEXT("a"), ROLE TEXT("a") TEXT("b"), ROLE TEXT("a") STOP,
                                  ROLE TEXT("a") STOP ": x\n\n" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct fixture f = { .text = span_of(texts[i]), .open = true };
        check_result(play(f), STREAM_FLOWING, FAILURE_NONE, texts[i], __FILE__, __LINE__);
    }
    struct fixture routed = { .text = SPAN(ROLE TEXT("a") TEXT("b")),
                              .open = true,
                              .routes = true };
    check_result(play(routed), STREAM_FLOWING, FAILURE_NONE, ROLE TEXT("a") TEXT("b"), __FILE__,
                 __LINE__);
}

static void every_kind_of_content_opens_the_stream(void **state) {
    static const char *const deltas[] = {
        CHUNK("{\"reasoning_content\":\"hm\"}", "null"),
        CHUNK("{\"reasoning\":\"hm\"}", "null"),
        CHUNK("{\"refusal\":\"no\"}", "null"),
        CHUNK("{\"audio\":{\"data\":\"AA==\"}}", "null"),
        CHUNK("{\"tool_calls\":[{\"index\":0,\"id\":\"t\",\"function\":{\"name\":\"f\"}}]}",
              "null"),
    };
    for (size_t i = 0; i < sizeof deltas / sizeof *deltas; i++) {
        struct fixture f = { .text = span_of(deltas[i]), .open = true };
        check_result(play(f), STREAM_FLOWING, FAILURE_NONE, deltas[i], __FILE__, __LINE__);
    }
}

static void tools_parallel(void **state) {
    static const char text[] = CHUNK("{\"role\":\"assistant\",\"content\":null}", "null")
        CHUNK("{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\","
              "\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}",
              "null") CHUNK("{\"tool_calls\":[{\"index\":1,\"id\":\"call_2\",\"type\":\"function\","
                            "\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]}",
                            "null")
            CHUNK("{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"{\\\"b\\\":2}\"}},"
                  "{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}",
                  "null") CHUNK("{}", "\"tool_calls\"");
    struct fixture f = { .text = SPAN_NONE };
    struct buf whole = { 0 };
    buf_add(&whole, span_of(text));
    buf_add(&whole, SPAN(DONE));
    f.text = buf_span(&whole);
    assert_ends(play(f), text);
    buf_deinit(&whole);
}

static void usage_is_kept_for_a_client_that_asked(void **state) {
    struct fixture f = { .text = SPAN(ROLE TEXT("a") STOP USAGE DONE), .keep_usage = true };
    struct result r = play(f);
    assert_int_equal(r.usage.input, 9);
    assert_int_equal(r.usage.output, 2);
    assert_ends(r, ROLE TEXT("a") STOP USAGE);
}

static void d11_usage_is_noted_but_dropped_for_one_that_did_not_ask(void **state) {
    struct result r = play_text(ROLE TEXT("a") STOP USAGE DONE);
    assert_int_equal(r.usage.input, 9);
    assert_int_equal(r.usage.output, 2);
    assert_ends(r, ROLE TEXT("a") STOP);
}

#define SO_FAR(text, output)                                                                       \
    EVENT("{" HEAD "\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text    \
          "\"},\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":9,\"completion_"              \
          "tokens\":" output "}}")

/* What came behind the last usage is counted by its text alone. */
static void text_is_counted_and_where_usage_was_told_last(void **state) {
    struct result r = play_text(ROLE TEXT("abc") TEXT("de") STOP USAGE DONE);
    assert_int_equal(r.text, 5);
    assert_int_equal(r.told_at, 5);
    buf_deinit(&r.out);
    r = play_text(ROLE TEXT("abc") TEXT("de"));
    assert_int_equal(r.text, 5);
    assert_int_equal(r.told_at, 0);
    buf_deinit(&r.out);
    r = play_text(ROLE SO_FAR("abc", "1") SO_FAR("de", "2") TEXT("f"));
    assert_int_equal(r.usage.output, 2);
    assert_int_equal(r.text, 6);
    assert_int_equal(r.told_at, 5);
    buf_deinit(&r.out);
    r = play_text(ROLE SO_FAR("abc", "1") SO_FAR("de", "1")); /* nobody counts anew */
    assert_int_equal(r.told_at, 3);
    buf_deinit(&r.out);
}

static void no_usage_is_no_fault(void **state) {
    struct fixture f = { .text = SPAN(ROLE TEXT("a") STOP DONE), .keep_usage = true };
    struct result r = play(f);
    assert_int_equal(r.usage.input, -1);
    assert_ends(r, ROLE TEXT("a") STOP);
}

#define STOP_WITH_USAGE                                                                            \
    EVENT("{" HEAD "\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":"   \
          "\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}")

static void usage_in_the_finish_chunk_stays_there(void **state) {
    for (int keep = 0; keep < 2; keep++) {
        struct fixture f = { .text = SPAN(TEXT("a") STOP_WITH_USAGE DONE), .keep_usage = keep };
        struct result r = play(f);
        assert_int_equal(r.usage.output, 2);
        assert_ends(r, TEXT("a") STOP_WITH_USAGE);
    }
}

static void d10_a_first_chunk_without_choices_is_no_end(void **state) {
    static const char azure[] =
        EVENT("{\"id\":\"\",\"model\":\"m-1\",\"choices\":[],\"prompt_filter_results\":[]}");
    struct buf text = { 0 };
    buf_printf(&text, "%s%s", azure, TEXT("a") STOP DONE);
    struct fixture f = { .text = buf_span(&text) };
    struct result r = play(f);
    buf_clear(&text);
    buf_printf(&text, "%s%s%c", azure, TEXT("a") STOP, 0);
    assert_ends(r, text.at);
    buf_deinit(&text);
}

static void an_end_without_the_mark_is_an_end(void **state) {
    assert_ends(play_text(ROLE TEXT("a") STOP), ROLE TEXT("a") STOP);
}

static void a_last_event_without_its_blank_line_counts(void **state) {
    assert_ends(play_text(TEXT("a") "data: " STOP_JSON), TEXT("a") STOP);
    assert_ends(play_text(TEXT("a") "data: " STOP_JSON "\n"), TEXT("a") STOP);
    assert_ends(play_text(TEXT("a") STOP "data: [DONE]"), TEXT("a") STOP);
}

static void nothing_counts_behind_the_end_mark(void **state) {
    assert_ends(
        play_text(TEXT("a") STOP DONE TEXT("b") "data: {\"error\":{\"message\":\"x\"}}\n\n"),
        TEXT("a") STOP);
}

static void comments_pass_once_there_is_content(void **state) {
    assert_ends(play_text(": OPENROUTER PROCESSING\n\n" ROLE
                          ": a\n\n" TEXT("a") ": b\n\n"
                                              "event: ping\n\n" STOP ": c\n\n" DONE),
                ROLE TEXT("a") ": b\n\n" STOP ": c\n\n");
}

static void events_that_say_nothing_do_not_reach_the_client(void **state) {
    assert_ends(play_text("data:\n\n" ROLE "data: \n\n" TEXT("a") "data\n\ndata:  \n\n" STOP DONE),
                ROLE TEXT("a") STOP);
}

static void all_line_ends_are_lines_ends(void **state) {
    static const char crlf[] =
        "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}"
        "\r\n\r\n"
        "data: {\"model\":\"m\",\"choices\":[{\"finish_reason\":\"stop\"}]}"
        "\r\n\r\ndata: [DONE]\r\n\r\n";
    static const char cr[] = "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}"
                             "\r\r"
                             "data: {\"model\":\"m\",\"choices\":[{\"finish_reason\":\"stop\"}]}"
                             "\r\rdata: [DONE]\r\r";
    char kept[512];
    span_copy(span_sub(span_of(crlf), 0, strlen(crlf) - 16), kept, sizeof kept);
    assert_ends(play_text(crlf), kept);
    span_copy(span_sub(span_of(cr), 0, strlen(cr) - 14), kept, sizeof kept);
    assert_ends(play_text(cr), kept);
}

static void a_byte_order_mark_and_no_space_do_no_harm(void **state) {
    static const char one[] = "data:" CHUNK_OF("0", "{\"content\":\"a\"}", "\"stop\"") "\n\n";
    char text[512];
    snprintf(text, sizeof text, "\xef\xbb\xbf%s", one);
    assert_ends(play_text(text), one);
}

static void a_stream_in_one_chunk(void **state) {
    static const char one[] = CHUNK("{\"role\":\"assistant\",\"content\":\"all\"}", "\"stop\"");
    assert_ends(play_text(one), one);
}

static void length_and_filter_excuse_an_empty_answer(void **state) {
    assert_ends(play_text(ROLE CHUNK("{}", "\"length\"") DONE), ROLE CHUNK("{}", "\"length\""));
    assert_ends(play_text(ROLE CHUNK("{}", "\"content_filter\"") DONE),
                ROLE CHUNK("{}", "\"content_filter\""));
}

/* --- who answers --- */

#define NAMELESS(model, rest) EVENT("{" model "\"choices\":[{\"index\":0," rest "}]}")
#define SAYS "\"delta\":{\"content\":\"a\"}"
#define ENDS "\"delta\":{},\"finish_reason\":\"stop\""

static void a_chunk_that_names_nobody_gets_a_name(void **state) {
    static const char *const absent[] = { "", "\"model\":null,", "\"model\":\"\"," };
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        char text[512];
        snprintf(text, sizeof text, "data: {%s%s\n\n", absent[i],
                 "\"choices\":[{\"index\":0," SAYS "}]}");
        struct fixture f = { .text = span_of(text), .open = true };
        check_result(play(f), STREAM_FLOWING, FAILURE_NONE,
                     i == 0 ? EVENT("{\"choices\":[{\"index\":0," SAYS "}],\"model\":\"our-name\"}")
                            : NAMELESS("\"model\":\"our-name\",", SAYS),
                     __FILE__, __LINE__);
    }
}

static void the_name_that_was_said_once_stays(void **state) {
    struct result r = play_text(NAMELESS("\"model\":\"m-2\",", SAYS) NAMELESS("", ENDS) DONE);
    assert_string_equal(r.model, "m-2");
    assert_ends(r, NAMELESS("\"model\":\"m-2\",", SAYS)
                       EVENT("{\"choices\":[{\"index\":0," ENDS "}],\"model\":\"m-2\"}"));
}

static void a_chunk_over_several_lines_stays_one_event(void **state) {
    assert_ends(play_text("data: {\ndata: \"choices\":[{\"index\":0," SAYS "}]}\n\n" STOP),
                "data: {\ndata: \"choices\":[{\"index\":0," SAYS
                "}],\"model\":\"our-name\"}\n\n" STOP);
}

static void a_name_that_stands_twice_is_left_alone(void **state) {
    static const char twice[] = EVENT("{\"model\":\"\",\"model\":\"\",\"choices\":[{" SAYS "}]}");
    struct fixture f = { .text = span_of(twice), .open = true };
    check_result(play(f), STREAM_FLOWING, FAILURE_NONE, twice, __FILE__, __LINE__);
}

/* --- the route member --- */

#define ROUTED(json, output) "data: " json ",\"route\":{\"output\":" output "}}\n\n"
#define STOP_OPEN                                                                                  \
    "{" HEAD "\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{},"                           \
    "\"finish_reason\":\"stop\"}]"
#define USAGE_OPEN                                                                                 \
    "{" HEAD "\"model\":\"m-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,"                    \
    "\"completion_tokens\":2,\"total_tokens\":11}"

static void route_goes_with_the_usage_chunk(void **state) {
    struct fixture f = { .text = SPAN(ROLE TEXT("a") STOP USAGE DONE),
                         .keep_usage = true,
                         .routes = true };
    assert_ends(play(f), ROLE TEXT("a") STOP ROUTED(USAGE_OPEN, "2"));
}

static void without_a_usage_chunk_route_goes_with_the_finish(void **state) {
    struct fixture f = { .text = SPAN(ROLE TEXT("a") STOP DONE),
                         .keep_usage = true,
                         .routes = true };
    assert_ends(play(f), ROLE TEXT("a") ROUTED(STOP_OPEN, "-1"));
    f.text = SPAN(ROLE TEXT("a") STOP); /* nor an end mark */
    assert_ends(play(f), ROLE TEXT("a") ROUTED(STOP_OPEN, "-1"));
}

static void usage_the_client_does_not_get_is_in_its_route(void **state) {
    struct fixture f = { .text = SPAN(ROLE TEXT("a") STOP USAGE DONE), .routes = true };
    assert_ends(play(f), ROLE TEXT("a") ROUTED(STOP_OPEN, "2"));
}

static void usage_in_the_finish_chunk_is_beside_the_route(void **state) {
    struct fixture f = { .text = SPAN(TEXT("a") STOP_WITH_USAGE DONE),
                         .keep_usage = true,
                         .routes = true };
    assert_ends(play(f),
                TEXT("a") EVENT("{" HEAD "\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{},"
                                "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,"
                                "\"completion_tokens\":2},\"route\":{\"output\":2}}"));
}

static void early_usage_chunks_get_no_route(void **state) {
    struct fixture f = { .text = SPAN(TEXT("a") USAGE TEXT("b") STOP USAGE DONE),
                         .keep_usage = true,
                         .routes = true };
    assert_ends(play(f), TEXT("a") USAGE TEXT("b") STOP ROUTED(USAGE_OPEN, "2"));
}

static void a_route_of_the_providers_is_replaced(void **state) {
    struct fixture f = { .text = SPAN(TEXT("a") EVENT(
                             "{\"route\":9,\"model\":\"m\",\"choices\":[{" ENDS "}]}") DONE),
                         .routes = true };
    assert_ends(play(f),
                TEXT("a")
                    EVENT("{\"route\":{\"output\":-1},\"model\":\"m\",\"choices\":[{" ENDS "}]}"));
}

static void route_and_model_go_in_together(void **state) {
    struct fixture f = { .text =
                             SPAN(TEXT("a") "event: e\r\ndata: {\"choices\":[{" ENDS "}]}\r\n\r\n"),
                         .routes = true };
    assert_ends(play(f),
                TEXT("a") "event: e\n" EVENT("{\"choices\":[{" ENDS
                                             "}],\"model\":\"m-1\",\"route\":{\"output\":-1}}"));
}

static void comments_do_not_wait_with_the_last_chunk(void **state) {
    struct fixture f = { .text = SPAN(TEXT("a") STOP ": c\n\n" DONE), .routes = true };
    assert_ends(play(f), TEXT("a") ": c\n\n" ROUTED(STOP_OPEN, "-1"));
}

static void a_finish_before_a_failure_has_no_route(void **state) {
    struct fixture f = { .text = SPAN(TEXT("a") STOP EVENT("{\"error\":{\"message\":\"x\"}}")),
                         .routes = true };
    assert_fails(play(f), FAILURE_SERVER_ERROR, TEXT("a") STOP);
}

/* --- several choices --- */

#define SAID(index) NTH(index, "{\"content\":\"a\"}", "null")
#define OVER(index) NTH(index, "{}", "\"stop\"")

static void route_waits_for_the_last_of_several_choices(void **state) {
    struct fixture f = { .text = SPAN(SAID("0") SAID("1") OVER("0") SAID("1") OVER("1") DONE),
                         .routes = true };
    assert_ends(play(f), SAID("0") SAID("1") OVER("0") SAID("1")
                             ROUTED("{" HEAD "\"model\":\"m-1\",\"choices\":[{\"index\":1,"
                                    "\"delta\":{},\"finish_reason\":\"stop\"}]",
                                    "-1"));
}

static void choices_one_after_the_other(void **state) {
    struct fixture f = { .text = SPAN(SAID("0") OVER("0") SAID("1") OVER("1") DONE),
                         .routes = true };
    assert_ends(play(f), SAID("0") OVER("0") SAID("1")
                             ROUTED("{" HEAD "\"model\":\"m-1\",\"choices\":[{\"index\":1,"
                                    "\"delta\":{},\"finish_reason\":\"stop\"}]",
                                    "-1"));
}

static void a_choice_without_its_finish_is_cut(void **state) {
    assert_fails(play_text(SAID("0") SAID("1") OVER("0") DONE), FAILURE_CUT_STREAM,
                 SAID("0") SAID("1") OVER("0"));
    assert_ends(play_text(SAID("1") OVER("1") DONE), SAID("1") OVER("1"));
    assert_ends(play_text(SAID("70") SAID("99") OVER("99") DONE), SAID("70") SAID("99") OVER("99"));
}

static void one_empty_choice_of_several_is_no_fault(void **state) {
    static const char text[] = NTH("0", "{\"role\":\"assistant\"}", "null")
        NTH("1", "{\"role\":\"assistant\"}", "null") OVER("0") SAID("1") OVER("1");
    assert_ends(play_text(text), text);
}

/* --- streams that fail --- */

static void an_error_before_content(void **state) {
    struct result r = play_text(ROLE EVENT("{\"error\":{\"message\":\"Slow, sk-secret-of-ours!\","
                                           "\"code\":\"slow_down\",\"type\":\"t\"}}") DONE);
    assert_string_equal(r.message, "Slow, ***!");
    assert_string_equal(r.code, "slow_down");
    assert_fails(r, FAILURE_RATE_LIMITED, ROLE);
    assert_fails(play_text("event: error\ndata: {\"message\":\"broke\"}\n\n"), FAILURE_SERVER_ERROR,
                 "");
}

static void an_error_after_content(void **state) {
    struct result r = play_text(ROLE TEXT("a") EVENT("{\"error\":{\"message\":\"overloaded\","
                                                     "\"code\":503}}"));
    assert_string_equal(r.message, "overloaded");
    assert_fails(r, FAILURE_OVERLOADED, ROLE TEXT("a"));
}

static void a_finish_that_is_a_failure(void **state) {
    assert_fails(play_text(TEXT("a") CHUNK("{}", "\"error\"") DONE), FAILURE_SERVER_ERROR,
                 TEXT("a"));
}

static void html(void **state) {
    assert_fails(play_text("<!DOCTYPE html>\n<html><title>502 Bad Gateway</title>\n\n</html>\n"),
                 FAILURE_BAD_RESPONSE, "");
    assert_fails(play_text("data: <html>oops</html>\n\n"), FAILURE_BAD_RESPONSE, "");
}

static void malformed(void **state) {
    static const char *const broken[] = {
        "data: {\"choices\":[\n\n",
        "data: 42\n\n",
        "data: {\"choices\":{}}\n\n",
        "data: {\"choices\":[1]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\n",
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        assert_fails(play_text(broken[i]), FAILURE_BAD_RESPONSE, "");
        char text[1024];
        snprintf(text, sizeof text, "%s%s", TEXT("a"), broken[i]);
        assert_fails(play_text(text), FAILURE_BAD_RESPONSE, TEXT("a"));
    }
}

static void c2_an_end_without_a_finish_is_a_failure(void **state) {
    assert_fails(play_text(ROLE TEXT("a")), FAILURE_CUT_STREAM, ROLE TEXT("a"));
    assert_fails(play_text(ROLE TEXT("a") DONE), FAILURE_CUT_STREAM, ROLE TEXT("a"));
    assert_fails(play_text(ROLE TEXT("a") USAGE DONE), FAILURE_CUT_STREAM, ROLE TEXT("a"));
    assert_fails(play_text(DONE), FAILURE_CUT_STREAM, "");
}

static void finish_without_content(void **state) {
    assert_fails(play_text(ROLE STOP DONE), FAILURE_BAD_RESPONSE, ROLE STOP);
    assert_fails(play_text(STOP USAGE), FAILURE_BAD_RESPONSE, STOP);
    assert_fails(play_text(CHUNK("{\"content\":\"\",\"tool_calls\":[]}", "\"tool_calls\"")),
                 FAILURE_BAD_RESPONSE,
                 CHUNK("{\"content\":\"\",\"tool_calls\":[]}", "\"tool_calls\""));
    struct fixture f = { .text = SPAN(ROLE STOP DONE), .routes = true };
    assert_fails(play(f), FAILURE_BAD_RESPONSE, ROLE STOP);
}

/* Ended after any number of bytes: what came whole goes out, and nothing is made up. */
static void cut_mid_event(void **state) {
    const struct span text = SPAN(ROLE TEXT("a") STOP DONE);
    const size_t role = strlen("data: "), content = strlen(ROLE TEXT("a")) - 2;
    const size_t finish = strlen(ROLE TEXT("a") STOP) - 2;
    for (size_t len = 0; len < text.len; len++) {
        struct fixture f = { .text = span_sub(text, 0, len) };
        struct result r = play(f);
        const char *out = len >= finish             ? ROLE TEXT("a") STOP
                          : len >= content          ? ROLE TEXT("a")
                          : len >= strlen(ROLE) - 2 ? ROLE
                                                    : "";
        if (len >= finish)
            assert_ends(r, out);
        else
            assert_fails(r, len <= role ? FAILURE_BAD_RESPONSE : FAILURE_CUT_STREAM, out);
    }
}

static void c7_an_empty_stream_is_a_failure(void **state) {
    assert_fails(play_text(""), FAILURE_BAD_RESPONSE, "");
    assert_fails(play_text(": only\n\n: comments\n\n"), FAILURE_BAD_RESPONSE, "");
    assert_fails(play_text("data:\n\n"), FAILURE_BAD_RESPONSE, "");
}

static void filled(struct buf *b, size_t len) {
    memset(buf_reserve(b, len), 'x', len);
    b->len += len;
}

/* Too long to be cut everywhere: by steps of different sizes. */
static void assert_fails_in_steps(struct span text, const char *message) {
    static const size_t steps[] = { 4096, 65536, 1000003, SIZE_MAX / 2 };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct fixture f = { .text = text };
        struct result r;
        run(&f, 0, steps[i], &r);
        assert_string_equal(r.message, message);
        assert_fails(r, FAILURE_BAD_RESPONSE, TEXT("a"));
    }
}

static void oversize(void **state) {
    struct buf text = { 0 };
    buf_add(&text, SPAN(TEXT("a") "data: {\"choices\":[],\"x\":\""));
    filled(&text, STREAM_EVENT_MAX);
    assert_fails_in_steps(buf_span(&text), "An event was too large.");
    buf_add(&text, SPAN("\"}\n\n" STOP));
    assert_fails_in_steps(buf_span(&text), "An event was too large.");
    buf_deinit(&text);
}

static void the_largest_event_passes(void **state) {
    struct buf text = { 0 };
    buf_add(&text, SPAN("data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\""));
    filled(&text, STREAM_EVENT_MAX - text.len - strlen("\"}}]}\n\n"));
    buf_add(&text, SPAN("\"}}]}\n\n"));
    assert_int_equal(text.len, STREAM_EVENT_MAX);
    struct fixture f = { .text = buf_span(&text), .open = true };
    struct result r;
    run(&f, 0, 10000, &r);
    assert_int_equal(r.state, STREAM_FLOWING);
    assert_true(span_eq(buf_span(&r.out), buf_span(&text)));
    buf_deinit(&r.out);
    buf_deinit(&text);
}

static void what_is_held_is_bounded(void **state) {
    struct buf text = { 0 };
    while (text.len <= STREAM_HELD_MAX)
        buf_add(&text, SPAN(ROLE));
    for (size_t step = 1; step < 1000000; step *= 7) {
        struct fixture f = { .text = buf_span(&text), .open = true };
        struct result r;
        run(&f, 0, step, &r);
        assert_string_equal(r.message, "Too much came before the first content.");
        assert_int_equal(r.state, STREAM_FAILED);
        assert_int_equal(r.why, FAILURE_BAD_RESPONSE);
        buf_deinit(&r.out);
    }
    text.len -= strlen(ROLE);
    buf_add(&text, SPAN(TEXT("a") STOP));
    struct fixture f = { .text = buf_span(&text) };
    struct result r;
    run(&f, 0, 5000, &r);
    assert_int_equal(r.state, STREAM_ENDED);
    assert_int_equal(r.out.len, text.len);
    buf_deinit(&r.out);
    buf_deinit(&text);
}

/* --- through an adapter --- */

static struct result play_adapted(const char *text, bool routes) {
    return play((struct fixture){ .text = span_of(text), .adapted = true, .routes = routes });
}

static void an_adapter_makes_the_events(void **state) {
    struct result r = play_adapted("data: hello\n\ndata: two\n\ndata: over\n\n", false);
    assert_string_equal(r.model, "made");
    assert_int_equal(r.usage.output, 5);
    assert_ends(r, "data: {\"hello\":1}\n\ndata: {\"two\":1}\n\nevent: x\ndata: {\"two\":2}\n\n"
                   "event: x\ndata: {\"over\":1}\n\n");
}

static void what_an_adapter_kept_back_comes_at_the_end_however_that_is_told(void **state) {
    static const char out[] = "event: x\ndata: {\"over\":1}\n\ndata: {\"rest\":1}\n\n";
    assert_ends(play_adapted("data: rest\n\ndata: over\n\n", false), out);
    assert_ends(play_adapted("data: rest\n\ndata: over\n\n" DONE, false), out);
}

static void the_route_goes_with_the_last_event_an_adapter_made(void **state) {
    assert_ends(play_adapted("data: hello\n\ndata: over\n\n" DONE, true),
                "data: {\"hello\":1}\n\nevent: x\ndata: {\"over\":1,\"route\":{\"output\":5}}\n\n");
    assert_ends(play_adapted("data: rest\n\ndata: over\n\n", true),
                "event: x\ndata: {\"over\":1}\n\ndata: {\"rest\":1,\"route\":{\"output\":5}}\n\n");
}

static void an_adapter_that_fails_ends_its_stream(void **state) {
    struct result r = play_adapted("data: hello\n\ndata: what\n\ndata: over\n\n", false);
    assert_string_equal(r.message, "no such word");
    assert_fails(r, FAILURE_BAD_RESPONSE, "data: {\"hello\":1}\n\n");
    r = play_adapted("data: hello\n\ndata: sorry\n\n", false);
    assert_string_equal(r.message, "no, said ***");
    assert_string_equal(r.code, "slow_down");
    assert_string_equal(r.type, "***");
    assert_fails(r, FAILURE_RATE_LIMITED, "data: {\"hello\":1}\n\n");
    assert_fails(play_adapted("data: hello\n\ndata: ove", false), FAILURE_CUT_STREAM,
                 "data: {\"hello\":1}\n\n");
    assert_fails(play_adapted("data: hello\n\n" DONE, false), FAILURE_CUT_STREAM,
                 "data: {\"hello\":1}\n\n");
    assert_fails(play_adapted("data: over\n\n", false), FAILURE_BAD_RESPONSE,
                 "event: x\ndata: {\"over\":1}\n\n");
    assert_ends(play_adapted("data: full\n\n", false), "data: {\"full\":1}\n\n");
    strcpy(kept_back, "broken");
    r = play_adapted("data: hello\n\ndata: over\n\n" DONE, false);
    assert_string_equal(r.message, "can not end");
    assert_fails(r, FAILURE_BAD_RESPONSE,
                 "data: {\"hello\":1}\n\nevent: x\ndata: {\"over\":1}\n\n");
    kept_back[0] = '\0';
}

static void a_choice_that_begins_late_opens_the_end_again(void **state) {
    assert_fails(play_adapted("data: hello\n\ndata: over\n\ndata: again\n\n" DONE, false),
                 FAILURE_CUT_STREAM, "data: {\"hello\":1}\n\nevent: x\ndata: {\"over\":1}\n\n");
}

/* An adapter is handed the end mark as well, and says what it means. */
static void nothing_counts_behind_an_adapters_end(void **state) {
    assert_ends(play_adapted("data: hello\n\ndata: over\n\n" DONE "data: sorry\n\n", false),
                "data: {\"hello\":1}\n\nevent: x\ndata: {\"over\":1}\n\n");
}

static void what_a_model_wants_back_is_handed_on(void **state) {
    struct result r = play_adapted("data: keep\n\ndata: hello\n\ndata: over\n\n", false);
    assert_string_equal(r.kept, "call_1 thought;");
    assert_ends(r,
                "data: {\"hello\":1}\n\ndata: {\"hello\":1}\n\nevent: x\ndata: {\"over\":1}\n\n");
}

static void an_adapter_may_find_the_failure_at_the_end(void **state) {
    strcpy(kept_back, "failed");
    struct result r = play_adapted("data: hello\n\ndata: over\n\n", false);
    kept_back[0] = '\0';
    assert_string_equal(r.message, "no, said ***");
    assert_fails(r, FAILURE_RATE_LIMITED,
                 "data: {\"hello\":1}\n\nevent: x\ndata: {\"over\":1}\n\n");
}

/* --- Amazon's frames --- */

static struct buf frames;

static void frame(const char *message_type, const char *type, const char *payload) {
    eventstream_write(&frames, span_of(message_type), span_of(type), span_of(payload));
}

static struct result play_frames(void) {
    struct fixture f = { .text = buf_span(&frames), .adapted = true, .frames = true };
    struct result r = play(f);
    buf_clear(&frames);
    return r;
}

#define HELLO "data: {\"hello\":1}\n\n"
#define OVER_X "event: x\ndata: {\"over\":1}\n\n"

static void frames_are_events_of_the_adapter(void **state) {
    frame("event", "contentBlockDelta", "hello");
    frame("event", "messageStop", "over");
    assert_ends(play_frames(), HELLO OVER_X);
}

static void what_comes_after_the_stop_of_frames_still_counts(void **state) {
    frame("event", "contentBlockDelta", "rest");
    frame("event", "messageStop", "over");
    frame("event", "metadata", "hello");
    assert_ends(play_frames(), OVER_X HELLO "data: {\"rest\":1}\n\n");
}

static void exceptions_among_frames_are_failures(void **state) {
    frame("event", "contentBlockDelta", "hello");
    frame("exception", "throttlingException", "{\"message\":\"slow down\"}");
    struct result r = play_frames();
    assert_string_equal(r.message, "no, said ***");
    assert_fails(r, FAILURE_RATE_LIMITED, HELLO);
}

/* A frame of the kind "error" says it in headers; its sums are of another implementation. */
static void errors_among_frames_are_failures(void **state) {
    static const char error[] = "\x00\x00\x00\x57\x00\x00\x00\x47\x07\xa9\x18\x81"
                                "\x0d:message-type\x07\x00\x05"
                                "error\x0b:error-code\x07\x00\x09"
                                "slow_down\x0e:error-message\x07\x00\x07"
                                "no more\x44\x9a\x28\x3c";
    frame("event", "contentBlockDelta", "hello");
    buf_append(&frames, error, sizeof error - 1);
    struct result r = play_frames();
    assert_string_equal(r.message, "no more");
    assert_string_equal(r.type, "slow_down");
    assert_fails(r, FAILURE_RATE_LIMITED, HELLO);
}

/* Ended after any number of bytes, in the middle of a call's arguments or elsewhere: what came whole
 * goes out, and no end is made up. */
static void c5_frames_that_are_cut_are_a_failure(void **state) {
    frame("event", "contentBlockDelta", "hello");
    size_t content = frames.len;
    frame("event", "contentBlockDelta", "two");
    size_t more = frames.len;
    frame("event", "messageStop", "over");
    size_t all = frames.len;
    for (size_t len = 0; len < all; len++) {
        struct fixture f = { .text = span_sub(buf_span(&frames), 0, len),
                             .adapted = true,
                             .frames = true };
        const char *out = len >= more ? HELLO "data: {\"two\":1}\n\nevent: x\ndata: {\"two\":2}\n\n"
                          : len >= content ? HELLO
                                           : "";
        assert_fails(play(f), len >= content ? FAILURE_CUT_STREAM : FAILURE_BAD_RESPONSE, out);
    }
    buf_clear(&frames);
}

static void damaged_frames_are_a_failure(void **state) {
    frame("event", "contentBlockDelta", "hello");
    frame("event", "messageStop", "over");
    frames.at[frames.len - 6] ^= 1;
    struct result r = play_frames();
    assert_string_equal(r.message, "A frame was damaged or too large.");
    assert_fails(r, FAILURE_BAD_RESPONSE, HELLO);
    buf_add(&frames, SPAN("data: hello\n\n"));
    assert_fails(play_frames(), FAILURE_BAD_RESPONSE, "");
}

/* --- Anthropic's Messages, passed through --- */

#define NAMED(name, json) "event: " name "\ndata: {\"type\":\"" name "\"" json "}\n\n"
#define A_START_OF(model)                                                                          \
    NAMED("message_start", ",\"message\":{\"id\":\"msg_1\"," model "\"content\":[],\"usage\":"     \
                           "{\"input_tokens\":10,\"cache_creation_input_tokens\":200,"             \
                           "\"cache_read_input_tokens\":3000,\"output_tokens\":1}}")
#define A_START A_START_OF("\"model\":\"claude-1\",")
#define A_PING NAMED("ping", "")
#define A_TEXT(text)                                                                               \
    NAMED("content_block_start",                                                                   \
          ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}")                      \
    NAMED("content_block_delta",                                                                   \
          ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"" text "\"}")                \
    NAMED("content_block_stop", ",\"index\":0")
#define A_CALL                                                                                     \
    NAMED("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"tool_use\","          \
                                 "\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{}}")                \
    NAMED("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"input_json_delta\","          \
                                 "\"partial_json\":\"{\\\"a\"}")
#define A_DELTA(reason)                                                                            \
    NAMED("message_delta", ",\"delta\":{\"stop_reason\":\"" reason                                 \
                           "\",\"stop_sequence\":null},\"usage\":{\"input_tokens\":null,"          \
                           "\"output_tokens\":20}")
#define A_STOP_OF(route) NAMED("message_stop", route)
#define A_STOP A_STOP_OF("")
#define A_ERROR                                                                                    \
    NAMED("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}")

static struct result play_as(enum dialect dialect, const char *text, bool routes) {
    return play((struct fixture){ .text = span_of(text), .dialect = dialect, .routes = routes });
}

#define play_messages(text) play_as(DIALECT_ANTHROPIC_MESSAGES, text, false)

static void messages_pass_with_their_last_event(void **state) {
    static const char text[] = A_START A_PING A_TEXT("Hi") A_PING A_DELTA("end_turn") A_STOP;
    struct result r = play_messages(text);
    assert_string_equal(r.model, "claude-1");
    assert_int_equal(r.usage.input, 3210);
    assert_int_equal(r.usage.cached, 3000);
    assert_int_equal(r.usage.written, 200);
    assert_int_equal(r.usage.output, 20);
    assert_ends(r, text);
    struct result behind = play_messages(A_START A_TEXT("Hi") A_DELTA("end_turn") A_STOP A_ERROR);
    assert_ends(behind, A_START A_TEXT("Hi") A_DELTA("end_turn") A_STOP);
}

static void messages_open_with_content_alone(void **state) {
    struct fixture f = { .text = SPAN(A_START A_PING),
                         .open = true,
                         .dialect = DIALECT_ANTHROPIC_MESSAGES };
    check_result(play(f), STREAM_HELD, FAILURE_NONE, A_START A_PING, __FILE__, __LINE__);
    f.text = SPAN(A_START A_CALL);
    check_result(play(f), STREAM_FLOWING, FAILURE_NONE, A_START A_CALL, __FILE__, __LINE__);
}

static void no_event_of_messages_waits_for_the_next(void **state) {
    struct fixture f = { .text = SPAN(A_START A_TEXT("a") A_DELTA("end_turn")),
                         .open = true,
                         .routes = true,
                         .dialect = DIALECT_ANTHROPIC_MESSAGES };
    check_result(play(f), STREAM_FLOWING, FAILURE_NONE, A_START A_TEXT("a") A_DELTA("end_turn"),
                 __FILE__, __LINE__);
}

static void the_route_goes_with_the_last_event_of_messages(void **state) {
    assert_ends(
        play_as(DIALECT_ANTHROPIC_MESSAGES, A_START A_TEXT("a") A_DELTA("end_turn") A_STOP, true),
        A_START A_TEXT("a") A_DELTA("end_turn") A_STOP_OF(",\"route\":{\"output\":20}"));
}

static void a_message_that_names_nobody_gets_a_name(void **state) {
    assert_ends(play_messages(A_START_OF("") A_TEXT("a") A_DELTA("end_turn") A_STOP),
                NAMED("message_start", ",\"message\":{\"id\":\"msg_1\",\"content\":[],\"usage\":"
                                       "{\"input_tokens\":10,\"cache_creation_input_tokens\":200,"
                                       "\"cache_read_input_tokens\":3000,\"output_tokens\":1},"
                                       "\"model\":\"our-name\"}") A_TEXT("a") A_DELTA("end_turn")
                    A_STOP);
    assert_ends(play_messages(A_START_OF("\"model\":null,") A_TEXT("a") A_DELTA("end_turn") A_STOP),
                A_START_OF("\"model\":\"our-name\",") A_TEXT("a") A_DELTA("end_turn") A_STOP);
    /* There is no place for it: as it came. */
    static const char none[] = NAMED("message_start", "") NAMED("message_start", ",\"message\":7")
        A_TEXT("a") A_DELTA("end_turn") A_STOP;
    assert_ends(play_messages(none), none);
}

static void messages_without_their_last_event_are_cut(void **state) {
    assert_fails(play_messages(A_START A_TEXT("a") A_DELTA("end_turn")), FAILURE_CUT_STREAM,
                 A_START A_TEXT("a") A_DELTA("end_turn"));
    assert_fails(play_messages(A_START A_CALL), FAILURE_CUT_STREAM, A_START A_CALL);
    assert_fails(
        play_messages(A_START A_TEXT("a") A_DELTA("end_turn") "event: message_stop\ndata: {"),
        FAILURE_CUT_STREAM, A_START A_TEXT("a") A_DELTA("end_turn"));
    /* A last event that nothing led to would be taken for success. */
    assert_fails(play_messages(A_START A_TEXT("a") A_STOP), FAILURE_CUT_STREAM,
                 A_START A_TEXT("a"));
}

static void c4_a_failure_within_messages_is_no_end(void **state) {
    struct result r = play_messages(A_START A_TEXT("a") A_ERROR A_DELTA("end_turn") A_STOP);
    assert_string_equal(r.code, "overloaded_error");
    assert_string_equal(r.message, "Overloaded");
    assert_fails(r, FAILURE_OVERLOADED, A_START A_TEXT("a"));
    assert_fails(play_messages(A_START A_ERROR), FAILURE_OVERLOADED, A_START);
}

static void an_empty_message_is_a_failure_unless_it_is_excused(void **state) {
    assert_fails(play_messages(A_START A_DELTA("end_turn") A_STOP), FAILURE_BAD_RESPONSE,
                 A_START A_DELTA("end_turn"));
    assert_ends(play_messages(A_START A_DELTA("max_tokens") A_STOP),
                A_START A_DELTA("max_tokens") A_STOP);
    assert_ends(play_messages(A_START A_DELTA("refusal") A_STOP),
                A_START A_DELTA("refusal") A_STOP);
}

/* --- OpenAI's Responses, passed through --- */

#define R_AT(name, number, response)                                                               \
    NAMED("response." name, ",\"sequence_number\":" number ",\"response\":{\"id\":\"resp_1\","     \
                            "\"created_at\":1790000000," response "}")
#define R_CREATED R_AT("created", "0", "\"model\":\"gpt-1\",\"output\":[]")
#define R_TEXT(text)                                                                               \
    NAMED("response.output_text.delta", ",\"sequence_number\":1,\"delta\":\"" text "\"")
#define R_OUTPUT                                                                                   \
    "\"model\":\"gpt-1\",\"status\":\"completed\",\"output\":[{\"type\":\"message\",\"content\":"  \
    "[{\"type\":\"output_text\",\"text\":\"Hi\"}]}],\"usage\":{\"input_tokens\":9,"                \
    "\"output_tokens\":5}"
#define R_DONE R_AT("completed", "2", R_OUTPUT)

#define play_responses(text) play_as(DIALECT_OPENAI_RESPONSES, text, false)

static void responses_pass_with_their_last_event(void **state) {
    struct result r = play_responses(R_CREATED R_TEXT("Hi") R_DONE);
    assert_string_equal(r.model, "gpt-1");
    assert_int_equal(r.usage.input, 9);
    assert_int_equal(r.usage.output, 5);
    assert_ends(r, R_CREATED R_TEXT("Hi") R_DONE);
    /* A mark behind it, as others have it, is not passed on. */
    assert_ends(play_responses(R_CREATED R_TEXT("Hi") R_DONE DONE), R_CREATED R_TEXT("Hi") R_DONE);
    assert_ends(play_responses(R_DONE), R_DONE);
    assert_ends(play_as(DIALECT_OPENAI_RESPONSES, R_CREATED R_TEXT("Hi") R_DONE, true),
                R_CREATED R_TEXT("Hi")
                    NAMED("response.completed",
                          ",\"sequence_number\":2,\"response\":{\"id\":\"resp_1\","
                          "\"created_at\":1790000000," R_OUTPUT "},\"route\":{\"output\":5}"));
}

static void a_response_that_names_nobody_gets_a_name(void **state) {
    assert_ends(play_responses(R_AT("created", "0", "\"output\":[]") R_TEXT("Hi") R_DONE),
                R_AT("created", "0", "\"output\":[],\"model\":\"our-name\"") R_TEXT("Hi") R_DONE);
}

static void c4_a_failed_response_is_no_end(void **state) {
    struct result r = play_responses(R_CREATED R_TEXT("Hi") R_AT(
        "failed", "2",
        "\"status\":\"failed\",\"error\":{\"code\":\"slow_down\",\"message\":\"m\"}"));
    assert_string_equal(r.code, "slow_down");
    assert_fails(r, FAILURE_RATE_LIMITED, R_CREATED R_TEXT("Hi"));
    assert_fails(play_responses(R_CREATED R_TEXT("Hi")), FAILURE_CUT_STREAM,
                 R_CREATED R_TEXT("Hi"));
    assert_fails(play_responses(R_CREATED R_TEXT("Hi") DONE), FAILURE_CUT_STREAM,
                 R_CREATED R_TEXT("Hi"));
}

/* What an error within the stream needs to go on from it. */
static void a_stream_of_responses_knows_where_it_stands(void **state) {
    struct result r = play_responses(R_CREATED R_TEXT("a") R_TEXT("b"));
    assert_string_equal(r.id, "resp_1");
    assert_int_equal(r.sequence, 3);
    assert_fails(r, FAILURE_CUT_STREAM, R_CREATED R_TEXT("a") R_TEXT("b"));
    r = play_responses(R_AT("created", "7", "\"model\":\"m\"") R_TEXT("a"));
    assert_int_equal(r.sequence, 9);
    assert_fails(r, FAILURE_CUT_STREAM, R_AT("created", "7", "\"model\":\"m\"") R_TEXT("a"));
    /* What was held back nobody has seen. */
    r = play_responses(R_CREATED);
    assert_string_equal(r.id, "");
    assert_int_equal(r.sequence, 0);
    assert_fails(r, FAILURE_CUT_STREAM, R_CREATED);
    struct fixture f = { .text = SPAN(R_CREATED),
                         .open = true,
                         .dialect = DIALECT_OPENAI_RESPONSES };
    r = play(f);
    assert_string_equal(r.id, "");
    check_result(r, STREAM_HELD, FAILURE_NONE, R_CREATED, __FILE__, __LINE__);
    r = play_messages(A_START A_TEXT("a"));
    assert_string_equal(r.id, "");
    assert_fails(r, FAILURE_CUT_STREAM, A_START A_TEXT("a"));
}

/* --- the old Completions, passed through --- */

#define C_CHUNK(text, finish)                                                                      \
    EVENT("{\"id\":\"cmpl-1\",\"model\":\"m-1\",\"choices\":[{\"text\":\"" text "\",\"index\":0,"  \
          "\"finish_reason\":" finish "}]}")

static void completions_pass(void **state) {
    static const char text[] = C_CHUNK("Hi", "null") C_CHUNK("", "\"stop\"");
    assert_ends(play_as(DIALECT_OPENAI_COMPLETIONS,
                        C_CHUNK("Hi", "null") C_CHUNK("", "\"stop\"") DONE, false),
                text);
    assert_fails(play_as(DIALECT_OPENAI_COMPLETIONS, C_CHUNK("Hi", "null") DONE, false),
                 FAILURE_CUT_STREAM, C_CHUNK("Hi", "null"));
}

/* --- what ends without an end --- */

static unsigned count_of(struct span text, const char *needle) {
    unsigned n = 0;
    const char *at;
    while ((at = memmem(text.at, text.len, needle, strlen(needle)))) {
        n++;
        text = span_sub(text, (size_t)(at - text.at) + 1, text.len);
    }
    return n;
}

/* The connection broke: nobody tells the stream that its bytes are over, and what the client got holds
 * no finish. The error that follows holds none either. */
static void c1_a_reset_is_no_finish(void **state) {
    static const struct {
        enum dialect dialect;
        const char *text, *finish;
    } cases[] = {
        { DIALECT_OPENAI_CHAT, ROLE TEXT("a") TEXT("b"), "\"finish_reason\":\"" },
        { DIALECT_OPENAI_COMPLETIONS, C_CHUNK("a", "null"), "\"finish_reason\":\"" },
        { DIALECT_ANTHROPIC_MESSAGES, A_START A_TEXT("a"), "message_stop" },
        { DIALECT_OPENAI_RESPONSES, R_CREATED R_TEXT("a"), "response.completed" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f = { .text = span_of(cases[i].text),
                             .open = true,
                             .dialect = cases[i].dialect };
        struct result r = play(f);
        struct api_error e = api_error(ERROR_UPSTREAM_INTERRUPTED, SPAN("reset"));
        assert_int_equal(r.state, STREAM_FLOWING);
        assert_span(buf_span(&r.out), cases[i].text);
        error_write_event(cases[i].dialect, &e, &r.out);
        assert_int_equal(count_of(buf_span(&r.out), cases[i].finish), 0);
        assert_true(count_of(buf_span(&r.out), "reset") > 0);
        buf_deinit(&r.out);
    }
}

/* Official clients throw at any chunk with an `error` that is true. */
static void c11_healthy_chunks_get_no_error(void **state) {
    static const struct {
        enum dialect dialect;
        const char *text;
    } cases[] = {
        { DIALECT_OPENAI_CHAT, NAMELESS("", SAYS) NAMELESS("", ENDS) DONE },
        { DIALECT_ANTHROPIC_MESSAGES, A_START_OF("") A_TEXT("a") A_DELTA("end_turn") A_STOP },
        { DIALECT_OPENAI_RESPONSES, R_AT("created", "0", "\"output\":[]") R_TEXT("a") R_DONE },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct result r = play_as(cases[i].dialect, cases[i].text, true);
        assert_int_equal(r.state, STREAM_ENDED);
        assert_int_equal(count_of(buf_span(&r.out), "error"), 0);
        assert_int_equal(count_of(buf_span(&r.out), "\"route\":{\"output\":"), 1);
        buf_deinit(&r.out);
    }
}

/* Comments and events without a word are not parsed, and content is not what they are. */
static void d6_comments_are_no_content(void **state) {
    struct fixture f = { .text = SPAN(": OPENROUTER PROCESSING\n\n: keep-alive\n\n" ROLE),
                         .open = true };
    check_result(play(f), STREAM_HELD, FAILURE_NONE, ROLE, __FILE__, __LINE__);
    f.dialect = DIALECT_ANTHROPIC_MESSAGES;
    f.text = SPAN(": x\n\n" A_START);
    check_result(play(f), STREAM_HELD, FAILURE_NONE, A_START, __FILE__, __LINE__);
}

static int set_up(void **state) {
    parser = json_parser_new();
    return 0;
}

static int tear_down(void **state) {
    json_parser_free(parser);
    buf_deinit(&memory);
    buf_deinit(&frames);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_stream_passes_untouched),
        cmocka_unit_test(nothing_is_for_the_client_before_content),
        cmocka_unit_test(each_event_goes_at_once),
        cmocka_unit_test(every_kind_of_content_opens_the_stream),
        cmocka_unit_test(tools_parallel),
        cmocka_unit_test(usage_is_kept_for_a_client_that_asked),
        cmocka_unit_test(d11_usage_is_noted_but_dropped_for_one_that_did_not_ask),
        cmocka_unit_test(text_is_counted_and_where_usage_was_told_last),
        cmocka_unit_test(no_usage_is_no_fault),
        cmocka_unit_test(usage_in_the_finish_chunk_stays_there),
        cmocka_unit_test(d10_a_first_chunk_without_choices_is_no_end),
        cmocka_unit_test(an_end_without_the_mark_is_an_end),
        cmocka_unit_test(a_last_event_without_its_blank_line_counts),
        cmocka_unit_test(nothing_counts_behind_the_end_mark),
        cmocka_unit_test(comments_pass_once_there_is_content),
        cmocka_unit_test(events_that_say_nothing_do_not_reach_the_client),
        cmocka_unit_test(all_line_ends_are_lines_ends),
        cmocka_unit_test(a_byte_order_mark_and_no_space_do_no_harm),
        cmocka_unit_test(a_stream_in_one_chunk),
        cmocka_unit_test(length_and_filter_excuse_an_empty_answer),
        cmocka_unit_test(a_chunk_that_names_nobody_gets_a_name),
        cmocka_unit_test(the_name_that_was_said_once_stays),
        cmocka_unit_test(a_chunk_over_several_lines_stays_one_event),
        cmocka_unit_test(a_name_that_stands_twice_is_left_alone),
        cmocka_unit_test(route_goes_with_the_usage_chunk),
        cmocka_unit_test(without_a_usage_chunk_route_goes_with_the_finish),
        cmocka_unit_test(usage_the_client_does_not_get_is_in_its_route),
        cmocka_unit_test(usage_in_the_finish_chunk_is_beside_the_route),
        cmocka_unit_test(early_usage_chunks_get_no_route),
        cmocka_unit_test(a_route_of_the_providers_is_replaced),
        cmocka_unit_test(route_and_model_go_in_together),
        cmocka_unit_test(comments_do_not_wait_with_the_last_chunk),
        cmocka_unit_test(a_finish_before_a_failure_has_no_route),
        cmocka_unit_test(route_waits_for_the_last_of_several_choices),
        cmocka_unit_test(choices_one_after_the_other),
        cmocka_unit_test(a_choice_without_its_finish_is_cut),
        cmocka_unit_test(one_empty_choice_of_several_is_no_fault),
        cmocka_unit_test(an_error_before_content),
        cmocka_unit_test(an_error_after_content),
        cmocka_unit_test(a_finish_that_is_a_failure),
        cmocka_unit_test(html),
        cmocka_unit_test(malformed),
        cmocka_unit_test(c2_an_end_without_a_finish_is_a_failure),
        cmocka_unit_test(finish_without_content),
        cmocka_unit_test(cut_mid_event),
        cmocka_unit_test(c7_an_empty_stream_is_a_failure),
        cmocka_unit_test(oversize),
        cmocka_unit_test(the_largest_event_passes),
        cmocka_unit_test(what_is_held_is_bounded),
        cmocka_unit_test(an_adapter_makes_the_events),
        cmocka_unit_test(what_an_adapter_kept_back_comes_at_the_end_however_that_is_told),
        cmocka_unit_test(the_route_goes_with_the_last_event_an_adapter_made),
        cmocka_unit_test(an_adapter_that_fails_ends_its_stream),
        cmocka_unit_test(a_choice_that_begins_late_opens_the_end_again),
        cmocka_unit_test(nothing_counts_behind_an_adapters_end),
        cmocka_unit_test(what_a_model_wants_back_is_handed_on),
        cmocka_unit_test(an_adapter_may_find_the_failure_at_the_end),
        cmocka_unit_test(frames_are_events_of_the_adapter),
        cmocka_unit_test(what_comes_after_the_stop_of_frames_still_counts),
        cmocka_unit_test(exceptions_among_frames_are_failures),
        cmocka_unit_test(errors_among_frames_are_failures),
        cmocka_unit_test(c5_frames_that_are_cut_are_a_failure),
        cmocka_unit_test(damaged_frames_are_a_failure),
        cmocka_unit_test(messages_pass_with_their_last_event),
        cmocka_unit_test(messages_open_with_content_alone),
        cmocka_unit_test(no_event_of_messages_waits_for_the_next),
        cmocka_unit_test(the_route_goes_with_the_last_event_of_messages),
        cmocka_unit_test(a_message_that_names_nobody_gets_a_name),
        cmocka_unit_test(messages_without_their_last_event_are_cut),
        cmocka_unit_test(c4_a_failure_within_messages_is_no_end),
        cmocka_unit_test(an_empty_message_is_a_failure_unless_it_is_excused),
        cmocka_unit_test(responses_pass_with_their_last_event),
        cmocka_unit_test(a_response_that_names_nobody_gets_a_name),
        cmocka_unit_test(c4_a_failed_response_is_no_end),
        cmocka_unit_test(a_stream_of_responses_knows_where_it_stands),
        cmocka_unit_test(completions_pass),
        cmocka_unit_test(c1_a_reset_is_no_finish),
        cmocka_unit_test(c11_healthy_chunks_get_no_error),
        cmocka_unit_test(d6_comments_are_no_content),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
