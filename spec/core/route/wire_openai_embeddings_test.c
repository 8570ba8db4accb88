/* Embeddings: whole answers, whose content is opaque. */
#include "wire_unit.h"

static enum dialect unit_dialect(void) {
    return DIALECT_OPENAI_EMBEDDINGS;
}

static void reads_an_answer(void **state) {
    struct wire_seen s =
        answer("{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":"
               "\"AACAPw==\"}],\"model\":\"text-embedding\",\"usage\":{\"prompt_tokens\":3,"
               "\"total_tokens\":3}}");
    assert_int_equal(s.kind, WIRE_OK);
    assert_true(s.content);
    assert_span(s.model, "text-embedding");
    assert_true(s.has_usage);
    assert_int_equal(s.usage.input, 3);
    assert_int_equal(s.usage.output, 0);
    s = answer("{\"data\":[[0.5]]}");
    assert_true(s.content);
    assert_int_equal(s.usage.output, -1); /* nothing was told */
}

static void an_empty_list_is_no_content(void **state) {
    struct wire_seen s = answer("{\"data\":[]}");
    assert_int_equal(s.kind, WIRE_OK);
    assert_false(s.content);
    assert_false(s.has_usage);
    assert_false(s.model_place.found);
    assert_span(s.model_place.name, "model");
}

static void other_forms_are_errors_or_malformed(void **state) {
    assert_int_equal(answer("{\"data\":{}}").kind, WIRE_MALFORMED);
    assert_int_equal(answer("{\"choices\":[]}").kind, WIRE_MALFORMED);
    assert_int_equal(answer("<html>").kind, WIRE_MALFORMED);
    assert_int_equal(answer("{\"detail\":\"no\"}").kind, WIRE_ERROR);
    assert_int_equal(answer("{\"error\":{\"message\":\"no\"},\"data\":[]}").kind, WIRE_ERROR);
}

static void there_are_no_streams(void **state) {
    assert_int_equal(event("{\"data\":[1]}").kind, WIRE_MALFORMED);
    assert_int_equal(event("{\"error\":\"no\"}").kind, WIRE_ERROR);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_an_answer),
        cmocka_unit_test(an_empty_list_is_no_content),
        cmocka_unit_test(other_forms_are_errors_or_malformed),
        cmocka_unit_test(there_are_no_streams),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
