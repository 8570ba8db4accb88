/* What providers send under the name of Anthropic's Messages. */
#include "wire_unit.h"

static enum dialect unit_dialect(void) {
    return DIALECT_ANTHROPIC_MESSAGES;
}

#define START(model, usage)                                                                        \
    "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\","              \
    "\"role\":\"assistant\"" model ",\"content\":[],\"stop_reason\":null,\"usage\":" usage "}}"
#define BLOCK(block) "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":" block "}"
#define DELTA(delta) "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":" delta "}"
#define END_OF(reason, usage)                                                                      \
    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":" reason                               \
    ",\"stop_sequence\":null},\"usage\":" usage "}"
#define NO_USAGE "{}"

/* --- streams --- */

static void reads_the_stream_of_one_text(void **state) {
    struct wire_seen s =
        event(START(",\"model\":\"claude\"", "{\"input_tokens\":10,\"output_tokens\":1}"));
    assert_int_equal(s.kind, WIRE_OK);
    assert_false(s.content);
    assert_int_equal(s.begun, 1);
    assert_int_equal(s.ended, 0);
    assert_span(s.model, "claude");
    assert_false(s.nameless);
    assert_true(s.has_usage);
    assert_false(s.only_usage);
    assert_false(event("{\"type\":\"ping\"}").content);
    assert_false(event(BLOCK("{\"type\":\"text\",\"text\":\"\"}")).content);
    s = event(DELTA("{\"type\":\"text_delta\",\"text\":\"Hi\"}"));
    assert_true(s.content);
    assert_false(s.nameless); /* only the first event names the model */
    assert_false(event("{\"type\":\"content_block_stop\",\"index\":0}").content);
    s = event(END_OF("\"end_turn\"", "{\"output_tokens\":2}"));
    assert_int_equal(s.kind, WIRE_OK);
    assert_int_equal(s.finished, 1);
    assert_int_equal(s.ended, 1);
    assert_int_equal(s.usage.output, 2);
    assert_int_equal(event("{\"type\":\"message_stop\"}").kind, WIRE_END);
    assert_null(wire->end_mark.at);
}

static void knows_content_from_nothing(void **state) {
    static const struct {
        const char *data;
        bool content;
    } cases[] = {
        { DELTA("{\"type\":\"text_delta\",\"text\":\"\"}"), false },
        { DELTA("{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}"), true },
        { DELTA("{\"type\":\"thinking_delta\",\"thinking\":\"\"}"), false },
        { DELTA("{\"type\":\"signature_delta\",\"signature\":\"Er8B\"}"), false },
        { DELTA("{\"type\":\"input_json_delta\",\"partial_json\":\"\"}"), false },
        { DELTA("{\"type\":\"input_json_delta\",\"partial_json\":\"{\"}"), true },
        { DELTA("{\"type\":\"citations_delta\",\"citation\":{\"cited_text\":\"x\"}}"), false },
        { DELTA("{\"type\":\"new_delta\",\"new\":\"x\"}"), false },
        { DELTA("null"), false },
        { BLOCK("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"), false },
        { BLOCK("{\"type\":\"text\",\"text\":\"Hi\"}"), true }, /* some begin with it */
        { BLOCK("{\"type\":\"redacted_thinking\",\"data\":\"Eo\"}"), true },
        { BLOCK("{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{}}"), true },
        { BLOCK("{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"web_search\"}"), true },
        { BLOCK("{\"type\":\"web_search_tool_result\",\"content\":[]}"), true },
        { BLOCK("null"), false },
        { "{\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"content\":[{\"type\":"
          "\"text\",\"text\":\"all of it\"}]}}",
          true },
        { "{\"type\":\"ping\",\"text\":\"x\"}", false },
        { "{\"type\":\"came_after_us\",\"delta\":{\"text\":\"x\"}}", false },
        { "{\"type\":\"content_block_stop\"}", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wire_seen s = event(cases[i].data);
        if (s.kind != WIRE_OK || s.content != cases[i].content)
            fail_msg("kind %d, content %d: %s", s.kind, s.content, cases[i].data);
    }
}

static void counts_the_bytes_of_what_is_said(void **state) {
    static const struct {
        const char *data;
        uint64_t text;
    } cases[] = {
        { DELTA("{\"type\":\"text_delta\",\"text\":\"Hi\"}"), 2 },
        { DELTA("{\"type\":\"thinking_delta\",\"thinking\":\"hmm\"}"), 3 },
        { DELTA("{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\"}"), 3 },
        { DELTA("{\"type\":\"signature_delta\",\"signature\":\"Er8B\"}"), 0 },
        { BLOCK("{\"type\":\"text\",\"text\":\"a\"}"), 1 },
        { BLOCK("{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}"), 0 },
        { BLOCK("{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":\"b\"}}"), 9 },
        { BLOCK("{\"type\":\"redacted_thinking\",\"data\":\"abc\"}"), 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t n = event(cases[i].data).text;
        if (n != cases[i].text)
            fail_msg("%d bytes: %s", (int)n, cases[i].data);
    }
    assert_int_equal(
        answer("{\"type\":\"message\",\"content\":[{\"type\":\"thinking\",\"thinking\":"
               "\"hm\"},{\"type\":\"text\",\"text\":\"abc\"},{\"type\":\"tool_use\","
               "\"input\":{\"a\":\"b\"}}],\"stop_reason\":\"tool_use\"}")
            .text,
        14);
}

static void tells_how_it_finished(void **state) {
    static const struct {
        const char *reason;
        unsigned finished;
        bool excused;
    } cases[] = {
        { "\"end_turn\"", 1, false },  { "\"stop_sequence\"", 1, false },
        { "\"tool_use\"", 1, false },  { "\"pause_turn\"", 1, false },
        { "\"max_tokens\"", 1, true }, { "\"model_context_window_exceeded\"", 1, true },
        { "\"refusal\"", 1, true },    { "\"new_reason\"", 1, false },
        { "null", 0, false },          { "\"\"", 0, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text, END_OF("%s", NO_USAGE), cases[i].reason);
        struct wire_seen s = event(text);
        assert_int_equal(s.kind, WIRE_OK);
        assert_int_equal(s.finished, cases[i].finished);
        assert_int_equal(s.ended, cases[i].finished);
        assert_int_equal(s.excused, cases[i].excused);
        assert_false(s.has_usage);
        snprintf(text, sizeof text, "{\"type\":\"message\",\"content\":[],\"stop_reason\":%s}",
                 cases[i].reason);
        s = answer(text);
        assert_int_equal(s.finished, cases[i].finished);
        assert_int_equal(s.excused, cases[i].excused);
    }
}

static void tells_where_the_model_is_missing(void **state) {
    assert_true(event(START("", NO_USAGE)).nameless);
    assert_true(event(START(",\"model\":null", NO_USAGE)).nameless);
    struct wire_seen s = event(START(",\"model\":\"\"", NO_USAGE));
    assert_true(s.nameless);
    assert_span(s.model, NULL);
    assert_span(wire->model_in, "message");
}

/* --- usage --- */

/* What is known after the start and after the end of a stream. */
static struct wire_usage merged(const char *start, const char *end) {
    struct wire_usage known = WIRE_USAGE_UNKNOWN;
    char text[1024];
    snprintf(text, sizeof text, START(",\"model\":\"m\"", "%s"), start);
    struct wire_seen s = event(text);
    wire_usage_merge(&known, &s.usage);
    snprintf(text, sizeof text, END_OF("\"end_turn\"", "%s"), end);
    s = event(text);
    wire_usage_merge(&known, &s.usage);
    return known;
}

static void assert_usage(struct wire_usage u, int64_t input, int64_t cached, int64_t written,
                         int64_t output) {
    assert_int_equal(u.input, input);
    assert_int_equal(u.cached, cached);
    assert_int_equal(u.written, written);
    assert_int_equal(u.output, output);
}

#define ALL(input, written, read, output)                                                          \
    "{\"input_tokens\":" input ",\"cache_creation_input_tokens\":" written                         \
    ",\"cache_read_input_tokens\":" read ",\"output_tokens\":" output "}"

static void e1_what_is_told_so_far_is_set_and_not_added(void **state) {
    assert_usage(merged(ALL("10", "0", "0", "1"), ALL("10", "0", "0", "20")), 10, 0, 0, 20);
    assert_usage(merged(ALL("10", "5", "7", "1"), ALL("10", "5", "7", "20")), 22, 7, 5, 20);
    struct wire_usage twice = WIRE_USAGE_UNKNOWN;
    struct wire_seen s = event(END_OF("null", "{\"output_tokens\":4}"));
    wire_usage_merge(&twice, &s.usage);
    s = event(END_OF("\"end_turn\"", "{\"output_tokens\":9}"));
    wire_usage_merge(&twice, &s.usage);
    assert_int_equal(twice.output, 9);
}

static void e2_the_input_is_all_of_the_prompt(void **state) {
    assert_usage(merged(ALL("10", "200", "3000", "1"), "{\"output_tokens\":20}"), 3210, 3000, 200,
                 20);
    struct wire_seen s = answer("{\"type\":\"message\",\"content\":[{\"type\":\"text\","
                                "\"text\":\"Hi\"}],\"usage\":" ALL("10", "200", "3000", "20") "}");
    assert_usage(s.usage, 3210, 3000, 200, 20);
}

static void e3_what_the_end_leaves_out_or_nulls_stays(void **state) {
    static const char *const ends[] = {
        "{\"output_tokens\":20}",
        ALL("null", "null", "null", "20"),
        "{\"input_tokens\":null,\"output_tokens\":20}",
        "{\"cache_read_input_tokens\":3000,\"output_tokens\":20}",
        "{\"input_tokens\":10,\"output_tokens\":20}",
        "{\"input_tokens\":\"10\",\"output_tokens\":20}",
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        assert_usage(merged(ALL("10", "200", "3000", "1"), ends[i]), 3210, 3000, 200, 20);
    assert_usage(merged(ALL("10", "200", "3000", "1"), "null"), 3210, 3000, 200, 1);
    /* The other way round: nothing at the start. */
    assert_usage(merged("null", ALL("10", "200", "3000", "20")), 3210, 3000, 200, 20);
    assert_usage(merged("{}", "{\"input_tokens\":10,\"output_tokens\":20}"), 10, -1, -1, 20);
}

/* Vendors that first call all of it input, and split it at the end. */
static void e4_a_split_told_late_is_not_counted_twice(void **state) {
    assert_usage(merged(ALL("3210", "0", "0", "1"), ALL("10", "200", "3000", "20")), 3210, 3000,
                 200, 20);
    assert_usage(merged("{\"input_tokens\":3210,\"output_tokens\":1}",
                        "{\"input_tokens\":210,\"cache_read_input_tokens\":3000,"
                        "\"output_tokens\":20}"),
                 3210, 3000, -1, 20);
    /* And those that know nothing at the start. */
    assert_usage(merged(ALL("0", "0", "0", "0"), "{\"input_tokens\":42,\"output_tokens\":20}"), 42,
                 0, 0, 20);
}

static void thoughts_are_part_of_the_output(void **state) {
    struct wire_seen s = event(END_OF("\"end_turn\"", "{\"output_tokens\":20,"
                                                      "\"output_tokens_details\":"
                                                      "{\"thinking_tokens\":15}}"));
    assert_int_equal(s.usage.output, 20);
    assert_int_equal(s.usage.reasoning, 15);
}

/* --- errors --- */

static void finds_errors_inside_streams(void **state) {
    static const char text[] = "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                               "\"message\":\"Overloaded\"},\"request_id\":\"req_1\"}";
    struct wire_seen s = event(text);
    assert_int_equal(s.kind, WIRE_ERROR);
    assert_span(s.error.message, "Overloaded");
    assert_span(s.error.code, "overloaded_error");
    assert_span(s.error.type, "overloaded_error");
    wire->read_event(parser, SPAN("error"), SPAN("out of memory"), &arena, &s);
    assert_int_equal(s.kind, WIRE_ERROR);
    assert_span(s.error.message, "out of memory");
    assert_int_equal(event("{\"error\":\"boom\"}").kind, WIRE_ERROR);
    assert_int_equal(event("{\"message\":\"boom\"}").kind, WIRE_ERROR);
    assert_int_equal(answer(text).kind, WIRE_ERROR);
    assert_int_equal(answer("{\"detail\":\"boom\"}").kind, WIRE_ERROR);
}

static void c7_another_dialect_is_malformed_and_no_empty_answer(void **state) {
    static const char *const wrong[] = {
        "",
        "nonsense",
        "[DONE]",
        "42",
        "null",
        "[]",
        "{}",
        "{\"type\":7}",
        "{\"type\":\"\"}",
        "{\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}",
        "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]}}]}",
        "{\"type\":\"message_stop\"",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (event(wrong[i]).kind != WIRE_MALFORMED)
            fail_msg("taken for good: %s", wrong[i]);
    static const char *const answers[] = {
        "",       "{}", "[]", "{\"choices\":[]}", "{\"content\":\"text\"}", "{\"content\":null}",
        "<html>",
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (answer(answers[i]).kind != WIRE_MALFORMED)
            fail_msg("taken for good: %s", answers[i]);
}

static void sees_every_cut(void **state) {
    const char *whole = END_OF("\"end_turn\"", "{\"output_tokens\":20}");
    for (size_t len = 0; len < strlen(whole); len++) {
        struct wire_seen s;
        wire->read_event(parser, SPAN_NONE, (struct span){ whole, len }, &arena, &s);
        assert_int_equal(s.kind, WIRE_MALFORMED);
    }
    assert_int_equal(event(whole).finished, 1);
}

/* --- answers --- */

#define ANSWER(content)                                                                            \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":" content           \
    ",\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":10,\"output_tokens\":20}}"

static void reads_an_answer(void **state) {
    struct wire_seen s =
        answer(ANSWER("[{\"type\":\"text\",\"text\":\"Hi\"}],\"model\":\"claude\""));
    assert_int_equal(s.kind, WIRE_OK);
    assert_true(s.content);
    assert_span(s.model, "claude");
    assert_usage(s.usage, 10, -1, -1, 20);
    assert_true(answer(ANSWER("[{\"type\":\"tool_use\",\"input\":{}}]")).content);
    assert_false(answer(ANSWER("[]")).content);
    assert_false(answer(ANSWER("[{\"type\":\"text\",\"text\":\"\"},7,null]")).content);
}

static void lets_a_missing_model_be_added(void **state) {
    const char *text = "{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}";
    struct wire_seen s = answer(text);
    struct json_edit edit = { s.model_place, SPAN("\"x\"") };
    struct buf out = { 0 };
    assert_span(s.model, NULL);
    json_splice(span_of(text), &edit, 1, &out);
    assert_span(buf_span(&out), "{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":"
                                "\"a\"}],\"model\":\"x\"}");
    buf_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_stream_of_one_text),
        cmocka_unit_test(knows_content_from_nothing),
        cmocka_unit_test(counts_the_bytes_of_what_is_said),
        cmocka_unit_test(tells_how_it_finished),
        cmocka_unit_test(tells_where_the_model_is_missing),
        cmocka_unit_test(e1_what_is_told_so_far_is_set_and_not_added),
        cmocka_unit_test(e2_the_input_is_all_of_the_prompt),
        cmocka_unit_test(e3_what_the_end_leaves_out_or_nulls_stays),
        cmocka_unit_test(e4_a_split_told_late_is_not_counted_twice),
        cmocka_unit_test(thoughts_are_part_of_the_output),
        cmocka_unit_test(finds_errors_inside_streams),
        cmocka_unit_test(c7_another_dialect_is_malformed_and_no_empty_answer),
        cmocka_unit_test(sees_every_cut),
        cmocka_unit_test(reads_an_answer),
        cmocka_unit_test(lets_a_missing_model_be_added),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
