/* The old completions: prompts of every form, and what they may cost. */
#include "body_unit.h"

static enum dialect unit_dialect(void) {
    return DIALECT_OPENAI_COMPLETIONS;
}

#define WITH(more) "{\"model\":\"m\",\"prompt\":\"Hi\"," more "}"

static void reads_prompts(void **state) {
    static const struct {
        const char *prompt;
        uint64_t bytes, tokens, prompts;
        const char *text;
    } cases[] = {
        { "\"12345\"", 5, 2, 1, "12345" },      { "\"\"", 0, 0, 1, "" },
        { "[\"12\",\"345\"]", 5, 2, 2, "345" }, { "[1,2,3]", 0, 3, 1, NULL },
        { "[[1,2,3],[4,5]]", 0, 5, 2, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unit_reads(arena_printf(&arena, "{\"model\":\"m\",\"prompt\":%s}", cases[i].prompt).at);
        assert_int_equal(facts.input_bytes, cases[i].bytes);
        assert_int_equal(facts.input_tokens, cases[i].tokens);
        assert_int_equal(facts.output_tokens, 16 * cases[i].prompts);
        assert_int_equal(facts.max_tokens, 16);
        assert_span(facts.text, cases[i].text);
        assert_span(facts.last_role, "user");
        assert_int_equal(facts.turns, 1);
        assert_int_equal(facts.uses, ABILITY_CHAT);
    }
}

static void what_is_written_is_paid(void **state) {
    unit_reads(WITH("\"max_tokens\":100,\"n\":2"));
    assert_int_equal(facts.max_tokens, 100);
    assert_int_equal(facts.output_tokens, 200);
    unit_reads(WITH("\"max_tokens\":100,\"n\":2,\"best_of\":5"));
    assert_int_equal(facts.output_tokens, 500);
    unit_reads(WITH("\"max_tokens\":0,\"echo\":true,\"logprobs\":1"));
    assert_int_equal(facts.output_tokens, 0);
    unit_reads(WITH("\"suffix\":\"123456\",\"user\":\"u\""));
    assert_int_equal(facts.input_bytes, 8);
    assert_span(facts.user, "u");
}

static void names_what_is_wrong(void **state) {
    static const char *const cases[][2] = {
        { "{\"model\":\"m\"}", "prompt" },
        { "{\"model\":\"m\",\"prompt\":null}", "prompt" },
        { "{\"model\":\"m\",\"prompt\":[]}", "prompt" },
        { "{\"model\":\"m\",\"prompt\":7}", "prompt" },
        { "{\"model\":\"m\",\"prompt\":{}}", "prompt" },
        { "{\"model\":\"m\",\"prompt\":[\"a\",1]}", "prompt" },
        { "{\"model\":\"m\",\"prompt\":[1,\"a\"]}", "prompt" },
        { "{\"model\":\"m\",\"prompt\":[1.5]}", "prompt" },
        { "{\"model\":\"m\",\"prompt\":[-1]}", "prompt" },
        { "{\"model\":\"m\",\"prompt\":[{}]}", "prompt" },
        { WITH("\"suffix\":7"), "suffix" },
        { WITH("\"max_tokens\":-1"), "max_tokens" },
        { WITH("\"n\":0"), "n" },
        { WITH("\"best_of\":0"), "best_of" },
        { WITH("\"logprobs\":true"), "logprobs" },
        { WITH("\"stop\":[1]"), "stop" },
        { WITH("\"echo\":1"), "echo" },
        { WITH("\"prompt\":\"again\""), "prompt" },
        { WITH("\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_usage\":"
               "false}"),
          "stream_options.include_usage" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        unit_refuses(cases[i][0], cases[i][1]);
}

static void applies_params(void **state) {
    const struct pair params[] = { { SPAN("temperature"), SPAN("0") },
                                   { SPAN("max_tokens"), SPAN("9") },
                                   { SPAN("top_k"), SPAN("1") },
                                   { SPAN("stream"), SPAN("true") },
                                   { SPAN("stream_options"), SPAN("1") } };
    unit_builds(
        WITH("\"temperature\":1"), SPAN("up"), params, 5, true,
        "{\"model\":\"up\",\"prompt\":\"Hi\",\"temperature\":0,\"max_tokens\":9,\"top_k\":1}");
}

static void has_one_bound_by_either_name(void **state) {
    const struct pair params[] = { { SPAN("max_completion_tokens"), SPAN("9") } };
    unit_builds(WITH("\"max_tokens\":100"), SPAN("up"), params, 1, false,
                "{\"model\":\"up\",\"prompt\":\"Hi\",\"max_tokens\":9}");
}

static void knows_who_asked_for_usage(void **state) {
    unit_reads(WITH("\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
    assert_true(body.asks_usage);
    unit_reads(WITH("\"stream\":true"));
    assert_false(body.asks_usage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_prompts),
        cmocka_unit_test(what_is_written_is_paid),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(applies_params),
        cmocka_unit_test(has_one_bound_by_either_name),
        cmocka_unit_test(knows_who_asked_for_usage),
    };
    return cmocka_run_group_tests(tests, unit_set_up, unit_tear_down);
}
