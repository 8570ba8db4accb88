/* What providers send under the name of Chat Completions, from the reference forms to those that
 * broke other gateways. */
#include "wire_unit.h"

static enum dialect unit_dialect(void) {
    return DIALECT_OPENAI_CHAT;
}

#define CHUNK(choices)                                                                             \
    "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","           \
    "\"choices\":" choices "}"
#define DELTA(delta) CHUNK("[{\"index\":0,\"delta\":" delta ",\"finish_reason\":null}]")

/* --- streams --- */

static void reads_the_stream_of_one_text(void **state) {
    struct wire_seen s = event(DELTA("{\"role\":\"assistant\",\"content\":\"\"}"));
    assert_int_equal(s.kind, WIRE_OK);
    assert_false(s.content);
    assert_int_equal(s.choices, 1);
    assert_int_equal(s.finished, 0);
    assert_span(s.model, "m");
    s = event(DELTA("{\"content\":\"Hel\"}"));
    assert_true(s.content);
    s = event(CHUNK("[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null"));
    assert_false(s.content);
    assert_int_equal(s.finished, 1);
    assert_false(s.excused);
    assert_false(s.has_usage);
    s = event(
        CHUNK("[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}"));
    assert_true(s.only_usage);
    assert_true(s.has_usage);
    assert_int_equal(s.usage.input, 9);
    assert_int_equal(s.usage.output, 2);
    assert_int_equal(s.usage.cached, -1);
    assert_int_equal(s.usage.reasoning, -1);
    assert_int_equal(event("[DONE]").kind, WIRE_END);
    assert_int_equal(event(" [DONE] ").kind, WIRE_END);
}

static void knows_content_from_nothing(void **state) {
    static const struct {
        const char *data;
        bool content;
    } cases[] = {
        { DELTA("{\"content\":\" \"}"), true },
        { DELTA("{\"content\":null}"), false },
        { DELTA("{\"reasoning_content\":\"hm\",\"content\":null}"), true },
        { DELTA("{\"reasoning\":\"hm\"}"), true },
        { DELTA("{\"reasoning\":\"\",\"reasoning_content\":\"\"}"), false },
        { DELTA("{\"refusal\":\"no\"}"), true },
        { DELTA("{\"refusal\":null}"), false },
        { DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\","
                "\"function\":{\"name\":\"f\","
                "\"arguments\":\"\"}}]}"),
          true },
        { DELTA("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\"}}]}"), true },
        { DELTA("{\"tool_calls\":[]}"), false }, /* vLLM, on every plain chunk */
        { DELTA("{\"tool_calls\":null}"), false },
        { DELTA("{\"function_call\":{\"name\":\"f\"}}"), true },
        { DELTA("{\"audio\":{\"id\":\"a1\"}}"), false },
        { DELTA("{\"audio\":{\"data\":\"UklG\"}}"), true },
        { DELTA("{\"audio\":{\"transcript\":\"Hi\"}}"), true },
        { DELTA("{\"content\":[{\"type\":\"thinking\",\"thinking\":[]}]}"), true }, /* Mistral */
        { DELTA("{\"content\":[]}"), false },
        { DELTA("{\"obfuscation\":\"xyz\"}"), false },
        { DELTA("{}"), false },
        { DELTA("null"), false },
        { CHUNK("[{\"index\":0,\"finish_reason\":null}]"), false },
        { CHUNK("[{\"index\":0,\"message\":{\"content\":\"whole\"}}]"), true },
        { CHUNK("[{\"index\":0,\"delta\":{}},{\"index\":1,\"delta\":{\"content\":\"b\"}}]"), true },
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
        { DELTA("{\"role\":\"assistant\",\"content\":\"\"}"), 0 },
        { DELTA("{\"role\":\"assistant\",\"content\":\"H\\u00e9\\n\"}"), 4 },
        { DELTA("{\"content\":\"ab\",\"refusal\":\"c\"}"), 3 },
        { DELTA("{\"reasoning_content\":\"think\",\"reasoning\":\"think\"}"), 5 },
        { DELTA("{\"reasoning\":\"hm\",\"content\":\"a\"}"), 3 },
        { DELTA("{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":"
                "\"hm\"}]},{\"type\":\"text\",\"text\":\"abc\"}]}"),
          5 },
        { DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"function\":{\"name\":\"f\","
                "\"arguments\":\"\"}}]}"),
          0 },
        { DELTA("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":1\"}},{"
                "\"index\":1,\"function\":{\"arguments\":\"}\"}}]}"),
          7 },
        { DELTA("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":{\"city\":\"Oslo\","
                "\"n\":[1]}}}]}"),
          26 }, /* a number counts as four */
        { DELTA("{\"tool_calls\":[{\"index\":0,\"custom\":{\"input\":\"abc\"}}]}"), 3 },
        { DELTA("{\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"}}"), 2 },
        { DELTA("{\"audio\":{\"data\":\"UklG\"}}"), 0 },
        { CHUNK("[{\"index\":0,\"delta\":{\"content\":\"a\"}},{\"index\":1,\"delta\":{\"content\":"
                "\"b\"}}]"),
          2 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t n = event(cases[i].data).text;
        if (n != cases[i].text)
            fail_msg("%d bytes: %s", (int)n, cases[i].data);
    }
    assert_int_equal(
        answer("{\"choices\":[{\"message\":{\"content\":\"abc\",\"tool_calls\":[{\"function\":{"
               "\"arguments\":\"{}\"}}]},\"finish_reason\":\"stop\"}]}")
            .text,
        5);
}

static void tells_how_it_finished(void **state) {
    static const struct {
        const char *reason;
        unsigned finished;
        bool excused;
    } cases[] = {
        { "\"stop\"", 1, false },     { "\"tool_calls\"", 1, false },
        { "\"length\"", 1, true },    { "\"content_filter\"", 1, true },
        { "\"end_turn\"", 1, false }, { "\"max_tokens\"", 1, true },
        { "null", 0, false },         { "\"\"", 0, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        sprintf(text, CHUNK("[{\"index\":0,\"delta\":{},\"finish_reason\":%s}]"), cases[i].reason);
        struct wire_seen s = event(text);
        assert_int_equal(s.kind, WIRE_OK);
        assert_int_equal(s.finished, cases[i].finished);
        assert_int_equal(s.excused, cases[i].excused);
    }
    struct wire_seen s = event(CHUNK("[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"},"
                                     "{\"index\":1,\"delta\":{},\"finish_reason\":null}]"));
    assert_int_equal(s.choices, 2);
    assert_int_equal(s.finished, 1);
}

static void tells_the_choices_apart(void **state) {
    struct wire_seen s = event(CHUNK("[{\"index\":1,\"delta\":{}},"
                                     "{\"index\":3,\"delta\":{},\"finish_reason\":\"stop\"}]"));
    assert_int_equal(s.begun, 1 << 1 | 1 << 3);
    assert_int_equal(s.ended, 1 << 3);
    s = event(CHUNK("[{\"delta\":{},\"finish_reason\":\"\"},{\"index\":-4,\"delta\":{}}]"));
    assert_int_equal(s.begun, 1);
    assert_int_equal(s.ended, 0);
    s = event(CHUNK("[{\"index\":62,\"delta\":{}},{\"index\":63,\"delta\":{}},"
                    "{\"index\":9007199254740991,\"delta\":{},\"finish_reason\":\"stop\"}]"));
    assert_true(s.begun == UINT64_C(3) << 62);
    assert_true(s.ended == UINT64_C(1) << 63);
    assert_int_equal(event(CHUNK("[]")).begun, 0);
}

/* OpenRouter, Mistral, DeepSeek: a finish that is none. */
static void takes_a_failed_finish_for_an_error(void **state) {
    struct wire_seen s = event(
        CHUNK("[{\"index\":0,\"delta\":{},\"finish_reason\":\"insufficient_system_resource\"}]"));
    assert_int_equal(s.kind, WIRE_ERROR);
    assert_span(s.error.code, "insufficient_system_resource");
    assert_int_equal(wire_classify(NULL, 0, 200, &s.error), FAILURE_SERVER_ERROR);
    s = event(CHUNK("[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}],"
                    "\"error\":{\"code\":502,\"message\":\"Provider disconnected\"}"));
    assert_int_equal(s.kind, WIRE_ERROR);
    assert_span(s.error.message, "Provider disconnected");
    assert_span(s.error.code, "502");
}

static void reads_usage_wherever_it_is_told(void **state) {
    struct wire_seen s = event("{\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_"
                               "tokens\":5,\"total_tokens\":15,"
                               "\"prompt_tokens_details\":{\"cached_tokens\":4},"
                               "\"completion_tokens_details\":{\"reasoning_tokens\":3}}}");
    assert_int_equal(s.usage.cached, 4);
    assert_int_equal(s.usage.reasoning, 3);
    assert_int_equal(s.usage.output, 5);
    s = event(CHUNK("[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"x_groq\":{\"usage\":"
                    "{\"prompt_tokens\":7,"
                    "\"completion_tokens\":1}}"));
    assert_int_equal(s.usage.input, 7);
    assert_false(s.only_usage);
    s = event(CHUNK("[{\"index\":0,\"delta\":{},\"usage\":{\"prompt_tokens\":8,\"completion_"
                    "tokens\":1,\"cached_tokens\":2}}]"));
    assert_int_equal(s.usage.input, 8);
    assert_int_equal(s.usage.cached, 2);
    s = event("{\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"prompt_"
              "cache_hit_tokens\":6}}");
    assert_int_equal(s.usage.cached, 6);
    s = event("{\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"cache_"
              "read_input_tokens\":3}}");
    assert_int_equal(s.usage.cached, 3);
    /* xAI: reasoning beside the completion, which only the total shows. */
    s = event("{\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_"
              "tokens\":115,"
              "\"completion_tokens_details\":{\"reasoning_tokens\":100}}}");
    assert_int_equal(s.usage.output, 105);
    s = event("{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}");
    assert_true(s.only_usage);
    s = event("{\"choices\":[],\"usage\":{}}");
    assert_false(s.has_usage);
    assert_false(s.only_usage);
    s = event("{\"choices\":[],\"usage\":{\"prompt_tokens\":-4,\"completion_tokens\":\"x\"}}");
    assert_false(s.has_usage);
}

/* Azure's first chunk: no choices, no model, and no reason to stop. */
static void goes_on_after_empty_choices(void **state) {
    struct wire_seen s = event(
        "{\"id\":\"\",\"model\":\"\",\"created\":0,\"choices\":[],\"prompt_filter_results\":[]}");
    assert_int_equal(s.kind, WIRE_OK);
    assert_false(s.only_usage);
    assert_false(s.content);
    assert_span(s.model, NULL);
    s = event("{\"choices\":null}");
    assert_int_equal(s.kind, WIRE_OK);
    s = event("{\"type\":\"ping\"}");
    assert_int_equal(s.kind, WIRE_OK);
    assert_int_equal(s.choices, 0);
}

static void e6_cached_tokens_are_told_in_four_places(void **state) {
    static const char *const places[] = {
        "\"prompt_tokens_details\":{\"cached_tokens\":6}",
        "\"prompt_cache_hit_tokens\":6,\"prompt_cache_miss_tokens\":4", /* DeepSeek */
        "\"cached_tokens\":6",                                          /* Moonshot */
        "\"cache_read_input_tokens\":6",
        "\"prompt_tokens_details\":null,\"cached_tokens\":6",
        "\"prompt_tokens_details\":{\"cached_tokens\":6},\"cached_tokens\":9",
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "{\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,%s}}",
                 places[i]);
        struct wire_seen s = event(text);
        assert_int_equal(s.usage.cached, 6);
        assert_int_equal(s.usage.input, 10); /* it is part of the prompt, and not added to it */
    }
    struct wire_seen s = event("{\"choices\":[],\"usage\":{\"prompt_tokens\":10,"
                               "\"prompt_tokens_details\":{\"cache_write_tokens\":3}}}");
    assert_int_equal(s.usage.written, 3);
    assert_int_equal(s.usage.cached, -1);
}

static void finds_errors_inside_streams(void **state) {
    static const char *const errors[] = {
        "{\"error\":{\"message\":\"boom\",\"type\":\"server_error\",\"param\":null,\"code\":null}}",
        "{\"error\":\"boom\"}",
        "{\"object\":\"error\",\"message\":\"boom\",\"type\":\"server_error\",\"code\":500}",
        "{\"message\":\"boom\"}",
        "{\"detail\":\"boom\"}",
        "{\"detail\":[{\"msg\":\"boom\"}]}",
        "[{\"error\":{\"message\":\"boom\"}}]",
        "{\"errors\":[{\"message\":\"boom\"}]}",
        "{\"success\":false,\"error\":\"boom\"}",
    };
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct wire_seen s = event(errors[i]);
        if (s.kind != WIRE_ERROR)
            fail_msg("kind %d: %s", s.kind, errors[i]);
        assert_span(s.error.message, "boom");
    }
    assert_int_equal(event("{\"error\":{},\"choices\":[]}").kind,
                     WIRE_ERROR); /* true to the clients */
    assert_int_equal(event("{\"error\":null,\"choices\":[]}").kind, WIRE_OK);
    assert_int_equal(event("{\"error\":false,\"choices\":[]}").kind, WIRE_OK);
    assert_int_equal(event("{\"error\":\"\",\"choices\":[]}").kind, WIRE_OK);
}

static void believes_the_name_of_an_event(void **state) {
    struct wire_seen s;
    wire->read_event(parser, SPAN("error"), SPAN("{\"text\":1}"), &arena, &s);
    assert_int_equal(s.kind, WIRE_ERROR);
    wire->read_event(parser, SPAN("error"), SPAN("out of  memory\x1b"), &arena, &s);
    assert_int_equal(s.kind, WIRE_ERROR);
    assert_span(s.error.message, "out of memory");
    wire->read_event(parser, SPAN("message"), SPAN(DELTA("{\"content\":\"a\"}")), &arena, &s);
    assert_int_equal(s.kind, WIRE_OK);
}

static void calls_nonsense_malformed(void **state) {
    static const char *const wrong[] = {
        "",
        "nonsense",
        "{\"choices\":[",
        "{\"choices\":{}}",
        "{\"choices\":[1]}",
        "{\"choices\":\"x\"}",
        "[1,2]",
        "\"text\"",
        "<html></html>",
        "[DONE",
        "null",
        "{\"choices\":[null]}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (event(wrong[i]).kind != WIRE_MALFORMED)
            fail_msg("taken for good: %s", wrong[i]);
}

/* Half an event is never taken for a whole one. */
static void sees_every_cut(void **state) {
    const char *whole = CHUNK(
        "[{\"index\":0,\"delta\":{\"content\":\"\xc3\xa9\\u00e9\"},\"finish_reason\":\"stop\"}]");
    for (size_t len = 0; len < strlen(whole); len++) {
        struct wire_seen s;
        wire->read_event(parser, SPAN_NONE, (struct span){ whole, len }, &arena, &s);
        assert_int_equal(s.kind, WIRE_MALFORMED);
    }
    assert_true(event(whole).content);
}

/* --- answers --- */

static void reads_an_answer(void **state) {
    const char *text =
        " {\"id\":\"chatcmpl-abc\",\"object\":\"chat.completion\",\"created\":1790000000,"
        "\"model\" : "
        "\"gpt-4o-2024-08-06\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":\"Hi\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_"
        "reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3,\"total_tokens\":15,"
        "\"prompt_tokens_details\":{\"cached_tokens\":0}}}";
    struct wire_seen s = answer(text);
    assert_int_equal(s.kind, WIRE_OK);
    assert_true(s.content);
    assert_int_equal(s.finished, 1);
    assert_int_equal(s.usage.input, 12);
    assert_int_equal(s.usage.cached, 0);
    assert_span(s.model, "gpt-4o-2024-08-06");
}

static void lets_a_missing_model_be_added(void **state) {
    const char *text = "{\"choices\":[{\"message\":{\"content\":\"Hi\"}}]}";
    struct wire_seen s = answer(text);
    assert_int_equal(s.kind, WIRE_OK);
    assert_span(s.model, NULL);
    assert_false(s.model_place.found);
    struct json_edit edit = { s.model_place, SPAN("\"x\"") };
    struct buf out = { 0 };
    json_splice(span_of(text), &edit, 1, &out);
    assert_span(buf_span(&out),
                "{\"choices\":[{\"message\":{\"content\":\"Hi\"}}],\"model\":\"x\"}");
    buf_deinit(&out);
}

#define ANSWER(message, reason)                                                                    \
    "{\"choices\":[{\"message\":" message ",\"finish_reason\":" reason "}]}"

static void knows_an_answer_without_content(void **state) {
    assert_true(
        answer(ANSWER("{\"content\":null,\"tool_calls\":[{\"id\":\"c\"}]}", "\"tool_calls\""))
            .content);
    assert_true(answer(ANSWER("{\"content\":null,\"refusal\":\"no\"}", "\"stop\"")).content);
    assert_true(
        answer(ANSWER("{\"content\":null,\"audio\":{\"id\":\"a\",\"data\":\"UklG\"}}", "\"stop\""))
            .content);
    struct wire_seen s =
        answer(ANSWER("{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[]}", "\"stop\""));
    assert_int_equal(s.kind, WIRE_OK);
    assert_false(s.content);
    assert_false(s.excused);
    s = answer(ANSWER("{\"content\":\"\"}", "\"length\"")); /* reasoning ate the budget */
    assert_false(s.content);
    assert_true(s.excused);
}

static void refuses_answers_of_another_form(void **state) {
    static const char *const wrong[] = {
        "",
        "{}",
        "[]",
        "{\"choices\":[]}",
        "{\"choices\":[{}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"x\"}}]}",
        "{\"choices\":[{\"message\":\"x\"}]}",
        "{\"choices\":[1]}",
        "{\"choices\":{\"message\":{}}}",
        "{\"choices\":[{\"message\":{\"content\":\"cut",
        "<html><body>It works!</body></html>",
        "data: {\"choices\":[]}\n\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (answer(wrong[i]).kind != WIRE_MALFORMED)
            fail_msg("taken for good: %s", wrong[i]);
    struct wire_seen s =
        answer("{\"error\":{\"code\":429,\"message\":\"slow down\"}}"); /* under 200 */
    assert_int_equal(s.kind, WIRE_ERROR);
    assert_int_equal(wire_classify(NULL, 0, 200, &s.error), FAILURE_RATE_LIMITED);
    assert_int_equal(answer("\n\n\n" ANSWER("{\"content\":\"x\"}", "null")).kind,
                     WIRE_OK); /* DeepSeek, waiting */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_stream_of_one_text),
        cmocka_unit_test(knows_content_from_nothing),
        cmocka_unit_test(counts_the_bytes_of_what_is_said),
        cmocka_unit_test(tells_how_it_finished),
        cmocka_unit_test(tells_the_choices_apart),
        cmocka_unit_test(takes_a_failed_finish_for_an_error),
        cmocka_unit_test(reads_usage_wherever_it_is_told),
        cmocka_unit_test(e6_cached_tokens_are_told_in_four_places),
        cmocka_unit_test(goes_on_after_empty_choices),
        cmocka_unit_test(finds_errors_inside_streams),
        cmocka_unit_test(believes_the_name_of_an_event),
        cmocka_unit_test(calls_nonsense_malformed),
        cmocka_unit_test(sees_every_cut),
        cmocka_unit_test(reads_an_answer),
        cmocka_unit_test(lets_a_missing_model_be_added),
        cmocka_unit_test(knows_an_answer_without_content),
        cmocka_unit_test(refuses_answers_of_another_form),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
