/* What OpenAI's Responses send, and those who copied them. */
#include "wire_unit.h"

static enum dialect unit_dialect(void) {
    return DIALECT_OPENAI_RESPONSES;
}

#define AT(type, response)                                                                         \
    "{\"type\":\"response." type "\",\"sequence_number\":1,\"response\":" response "}"
#define RESPONSE(status, rest)                                                                     \
    "{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"" status "\",\"error\":null,"         \
    "\"incomplete_details\":null,\"model\":\"gpt\"" rest "}"
#define MESSAGE(text)                                                                              \
    "{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"" text "\"}]}"
#define USAGE                                                                                      \
    ",\"usage\":{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":4,"                \
    "\"cache_write_tokens\":3},\"output_tokens\":5,\"output_tokens_details\":"                     \
    "{\"reasoning_tokens\":2},\"total_tokens\":14}"

/* --- streams --- */

static void reads_the_stream_of_one_text(void **state) {
    struct wire_seen s = event(AT("created", RESPONSE("in_progress", ",\"output\":[]")));
    assert_int_equal(s.kind, WIRE_OK);
    assert_span(s.model, "gpt");
    assert_int_equal(s.begun, 1);
    assert_int_equal(s.ended, 0);
    assert_false(s.content);
    assert_false(s.has_usage);
    s = event("{\"type\":\"response.output_text.delta\",\"delta\":\"Hi\",\"logprobs\":[]}");
    assert_true(s.content);
    assert_false(s.nameless);
    s = event(AT("completed", RESPONSE("completed", ",\"output\":[" MESSAGE("Hi") "]" USAGE)));
    assert_int_equal(s.kind, WIRE_END);
    assert_int_equal(s.finished, 1);
    assert_int_equal(s.ended, 1);
    assert_false(s.excused);
    assert_span(s.model, "gpt");
    assert_true(s.has_usage);
    assert_int_equal(s.usage.input, 9);
    assert_int_equal(s.usage.cached, 4);
    assert_int_equal(s.usage.written, 3);
    assert_int_equal(s.usage.output, 5);
    assert_int_equal(s.usage.reasoning, 2);
    assert_int_equal(s.usage.fresh, -1);
    assert_null(wire->end_mark.at);
}

static void knows_content_from_nothing(void **state) {
    static const struct {
        const char *data;
        bool content;
    } cases[] = {
        { "{\"type\":\"response.output_text.delta\",\"delta\":\"\"}", false },
        { "{\"type\":\"response.refusal.delta\",\"delta\":\"no\"}", true },
        { "{\"type\":\"response.reasoning_text.delta\",\"delta\":\"hm\"}", true },
        { "{\"type\":\"response.reasoning_summary_text.delta\",\"delta\":\"hm\"}", true },
        { "{\"type\":\"response.function_call_arguments.delta\",\"delta\":\"{\"}", true },
        { "{\"type\":\"response.custom_tool_call_input.delta\",\"delta\":\"*** Begin\"}", true },
        { "{\"type\":\"response.image_generation_call.partial_image\","
          "\"partial_image_b64\":\"iVBO\"}",
          true },
        { "{\"type\":\"response.output_item.added\",\"item\":{\"type\":\"function_call\","
          "\"arguments\":\"\"}}",
          true },
        { "{\"type\":\"response.output_item.added\",\"item\":{\"type\":\"custom_tool_call\"}}",
          true },
        { "{\"type\":\"response.output_item.added\",\"item\":{\"type\":\"web_search_call\"}}",
          true },
        { "{\"type\":\"response.output_item.added\",\"item\":{\"type\":\"message\","
          "\"content\":[]}}",
          false },
        { "{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"reasoning\","
          "\"summary\":[],\"encrypted_content\":\"gAAA\"}}",
          false },
        { "{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"reasoning\","
          "\"summary\":[{\"type\":\"summary_text\",\"text\":\"hm\"}]}}",
          true },
        { "{\"type\":\"response.output_item.done\",\"item\":" MESSAGE("whole") "}", true },
        { "{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"message\",\"content\":"
          "[{\"type\":\"refusal\",\"refusal\":\"no\"}]}}",
          true },
        { "{\"type\":\"response.content_part.added\",\"part\":{\"type\":\"output_text\"}}", false },
        { "{\"type\":\"keepalive\",\"sequence_number\":3}", false },
        { "{\"type\":\"response.came_after_us\",\"text\":\"x\"}", false },
        { AT("in_progress", RESPONSE("in_progress", "")), false },
        { AT("queued", RESPONSE("queued", "")), false },
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
        { "{\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}", 2 },
        { "{\"type\":\"response.refusal.delta\",\"delta\":\"no\"}", 2 },
        { "{\"type\":\"response.function_call_arguments.delta\",\"delta\":\"{}\"}", 2 },
        { "{\"type\":\"response.reasoning_text.delta\",\"delta\":\"hmm\"}", 3 },
        { "{\"type\":\"response.audio.delta\",\"delta\":\"UklG\"}", 0 },
        { "{\"type\":\"response.output_text.done\",\"text\":\"Hi\"}", 0 },
        { "{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"function_call\","
          "\"arguments\":\"{}\"}}",
          0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t n = event(cases[i].data).text;
        if (n != cases[i].text)
            fail_msg("%d bytes: %s", (int)n, cases[i].data);
    }
    struct wire_seen s =
        event(AT("completed",
                 RESPONSE("completed", ",\"output\":[" MESSAGE("Hi") ",{\"type\":\"function_call\","
                                                                     "\"arguments\":\"{}\"}]")));
    assert_int_equal(s.text, 4);
    assert_true(s.all_text);
}

static void what_is_incomplete_is_an_end_that_needs_no_content(void **state) {
    struct wire_seen s = event(AT("incomplete", RESPONSE("incomplete", ",\"output\":[]" USAGE)));
    assert_int_equal(s.kind, WIRE_END);
    assert_int_equal(s.ended, 1);
    assert_true(s.excused);
    assert_false(s.content);
    assert_int_equal(s.usage.output, 5);
    /* Also where the object forgets to say so. */
    s = event(AT("incomplete", "{\"output\":[]}"));
    assert_int_equal(s.kind, WIRE_END);
    assert_true(s.excused);
}

static void the_end_may_be_all_there_is(void **state) {
    struct wire_seen s =
        event(AT("completed", RESPONSE("completed", ",\"output\":[" MESSAGE("Hi") "]")));
    assert_true(s.content);
    s = event(AT("completed", RESPONSE("completed", ",\"output\":[" MESSAGE("") "]")));
    assert_false(s.content);
    assert_false(s.excused);
    assert_false(s.has_usage);
}

static void tells_where_the_model_is_missing(void **state) {
    assert_true(event(AT("created", "{\"id\":\"resp_1\"}")).nameless);
    assert_true(event(AT("created", "{\"model\":null}")).nameless);
    assert_true(event(AT("completed", "{\"output\":[]}")).nameless);
    assert_span(wire->model_in, "response");
}

/* --- failures --- */

static void c4_a_failed_response_is_no_end(void **state) {
    static const char *const failed[] = {
        AT("failed", "{\"id\":\"resp_1\",\"status\":\"failed\",\"error\":{\"code\":"
                     "\"server_error\",\"message\":\"boom\"}}"),
        AT("completed", "{\"status\":\"failed\",\"error\":{\"code\":\"server_error\","
                        "\"message\":\"boom\"}}"),
        "{\"type\":\"error\",\"code\":\"server_error\",\"message\":\"boom\",\"param\":null,"
        "\"sequence_number\":2}",
        "{\"type\":\"error\",\"error\":{\"type\":\"t\",\"code\":\"server_error\","
        "\"message\":\"boom\"}}",
        "{\"error\":{\"code\":\"server_error\",\"message\":\"boom\"}}",
    };
    for (size_t i = 0; i < sizeof failed / sizeof *failed; i++) {
        struct wire_seen s = event(failed[i]);
        if (s.kind != WIRE_ERROR)
            fail_msg("kind %d: %s", s.kind, failed[i]);
        assert_span(s.error.message, "boom");
        assert_span(s.error.code, "server_error");
        assert_int_equal(s.ended, 0);
    }
    struct wire_seen s = event(AT("failed", "{\"status\":\"failed\",\"error\":null}"));
    assert_int_equal(s.kind, WIRE_ERROR);
    assert_span(s.error.message, "the provider says that the response failed");
    assert_int_equal(event(AT("cancelled", RESPONSE("cancelled", ""))).kind, WIRE_ERROR);
}

static void a_bare_end_mark_is_an_end_without_a_finish(void **state) {
    struct wire_seen s = event("[DONE]");
    assert_int_equal(s.kind, WIRE_END);
    assert_int_equal(s.ended, 0);
}

static void calls_nonsense_malformed(void **state) {
    static const char *const wrong[] = {
        "",
        "nonsense",
        "{}",
        "[]",
        "7",
        "{\"choices\":[]}",
        "{\"type\":\"response.completed\"",
        "{\"type\":\"response.completed\"}",
        "{\"type\":\"response.failed\",\"response\":null}",
        "{\"type\":\"response.incomplete\",\"response\":[]}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (event(wrong[i]).kind != WIRE_MALFORMED)
            fail_msg("taken for good: %s", wrong[i]);
    static const char *const answers[] = { "", "{}", "{\"output\":\"x\"}", "{\"choices\":[]}",
                                           "[]" };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (answer(answers[i]).kind != WIRE_MALFORMED)
            fail_msg("taken for good: %s", answers[i]);
}

static void sees_every_cut(void **state) {
    const char *whole =
        AT("completed", RESPONSE("completed", ",\"output\":[" MESSAGE("\xc3\xa9") "]"));
    for (size_t len = 0; len < strlen(whole); len++) {
        struct wire_seen s;
        wire->read_event(parser, SPAN_NONE, (struct span){ whole, len }, &arena, &s);
        assert_int_equal(s.kind, WIRE_MALFORMED);
    }
    assert_int_equal(event(whole).kind, WIRE_END);
}

/* --- answers --- */

static void reads_an_answer(void **state) {
    struct wire_seen s = answer(RESPONSE("completed", ",\"output\":[" MESSAGE("Hi") "]" USAGE));
    assert_int_equal(s.kind, WIRE_OK);
    assert_true(s.content);
    assert_span(s.model, "gpt");
    assert_int_equal(s.usage.input, 9);
    s = answer(RESPONSE("incomplete", ",\"output\":[]"));
    assert_false(s.content);
    assert_true(s.excused);
    s = answer(RESPONSE("completed", ",\"output\":[]"));
    assert_false(s.content);
    assert_false(s.excused);
    s = answer(
        "{\"status\":\"failed\",\"output\":[],\"error\":{\"code\":\"c\",\"message\":\"m\"}}");
    assert_int_equal(s.kind, WIRE_ERROR);
    assert_span(s.error.code, "c");
    assert_int_equal(answer("{\"status\":\"failed\",\"output\":[],\"error\":null}").kind,
                     WIRE_ERROR);
    assert_false(answer("{\"status\":\"completed\",\"output\":[]}").model_place.found);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_stream_of_one_text),
        cmocka_unit_test(knows_content_from_nothing),
        cmocka_unit_test(counts_the_bytes_of_what_is_said),
        cmocka_unit_test(what_is_incomplete_is_an_end_that_needs_no_content),
        cmocka_unit_test(the_end_may_be_all_there_is),
        cmocka_unit_test(tells_where_the_model_is_missing),
        cmocka_unit_test(c4_a_failed_response_is_no_end),
        cmocka_unit_test(a_bare_end_mark_is_an_end_without_a_finish),
        cmocka_unit_test(calls_nonsense_malformed),
        cmocka_unit_test(sees_every_cut),
        cmocka_unit_test(reads_an_answer),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
