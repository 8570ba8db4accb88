/* Embeddings: inputs of every form; a request that keeps to its model and comes whole. */
#include "body_unit.h"

static enum dialect unit_dialect(void) {
    return DIALECT_OPENAI_EMBEDDINGS;
}

#define WITH(more) "{\"model\":\"m\",\"input\":\"Hi\"," more "}"

static void reads_inputs(void **state) {
    static const struct {
        const char *input;
        uint64_t bytes, tokens;
    } cases[] = {
        { "\"12345\"", 5, 2 },
        { "[\"12\",\"345\",\"\"]", 5, 2 },
        { "[1,2,3]", 0, 3 },
        { "[[1,2,3],[4,5]]", 0, 5 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unit_reads(arena_printf(&arena, "{\"model\":\"m\",\"input\":%s}", cases[i].input).at);
        assert_int_equal(facts.input_bytes, cases[i].bytes);
        assert_int_equal(facts.input_tokens, cases[i].tokens);
        assert_int_equal(facts.output_tokens, 0);
        assert_int_equal(facts.max_tokens, 0);
        assert_int_equal(facts.uses, ABILITY_EMBEDDINGS);
    }
}

/* Also when the head says otherwise: vectors of two models can not be compared. */
static void keeps_to_its_model(void **state) {
    facts = (struct facts){ .dialect = DIALECT_OPENAI_EMBEDDINGS, .strict = false };
    assert_true(body_read(parser, SPAN("{\"model\":\"m\",\"input\":\"a\"}"), &facts, &arena, &body,
                          &error));
    assert_true(facts.strict);
}

static void goes_up_as_it_came(void **state) {
    unit_builds(WITH("\"encoding_format\":\"base64\",\"dimensions\":256 ,\"input_type\":\"query\""),
                SPAN("up"), NULL, 0, true,
                "{\"model\":\"up\",\"input\":\"Hi\",\"encoding_format\":\"base64\",\"dimensions\":"
                "256 ,\"input_type\":\"query\"}");
}

static void names_what_is_wrong(void **state) {
    static const char *const cases[][2] = {
        { "{\"model\":\"m\"}", "input" },
        { "{\"model\":\"m\",\"input\":[]}", "input" },
        { "{\"model\":\"m\",\"input\":7}", "input" },
        { "{\"model\":\"m\",\"input\":[\"a\",null]}", "input" },
        { "{\"model\":\"m\",\"input\":[true]}", "input" },
        { WITH("\"stream\":true"), "stream" },
        { WITH("\"dimensions\":0"), "dimensions" },
        { WITH("\"encoding_format\":64"), "encoding_format" },
        { WITH("\"user\":7"), "user" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        unit_refuses(cases[i][0], cases[i][1]);
    unit_reads(WITH("\"stream\":false"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_inputs),
        cmocka_unit_test(keeps_to_its_model),
        cmocka_unit_test(goes_up_as_it_came),
        cmocka_unit_test(names_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, unit_set_up, unit_tear_down);
}
