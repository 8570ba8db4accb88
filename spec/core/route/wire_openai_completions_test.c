/* The old Completions: what differs from Chat Completions, whose readers they share. */
#include "wire_unit.h"

static enum dialect unit_dialect(void) {
    return DIALECT_OPENAI_COMPLETIONS;
}

#define CHUNK(choice)                                                                              \
    "{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"model\":\"m\",\"choices\":[" choice "]}"

static void reads_a_stream(void **state) {
    struct wire_seen s = event(CHUNK("{\"text\":\"Hi\",\"index\":0,\"logprobs\":null,"
                                     "\"finish_reason\":null}"));
    assert_int_equal(s.kind, WIRE_OK);
    assert_true(s.content);
    assert_int_equal(s.text, 2);
    assert_int_equal(s.begun, 1);
    assert_int_equal(s.ended, 0);
    assert_span(s.model, "m");
    s = event(CHUNK("{\"text\":\"\",\"index\":1,\"finish_reason\":\"length\"}"));
    assert_false(s.content);
    assert_int_equal(s.ended, 2);
    assert_true(s.excused);
    s = event("{\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}");
    assert_true(s.only_usage);
    assert_true(s.nameless);
    assert_int_equal(s.usage.input, 5);
    assert_int_equal(event("[DONE]").kind, WIRE_END);
    assert_span(wire->end_mark, "data: [DONE]\n\n");
}

static void a_messages_content_is_none_here(void **state) {
    assert_false(event(CHUNK("{\"index\":0,\"delta\":{\"content\":\"Hi\"}}")).content);
    assert_int_equal(answer(CHUNK("{\"index\":0,\"message\":{\"content\":\"Hi\"}}")).kind,
                     WIRE_MALFORMED);
}

static void reads_an_answer(void **state) {
    struct wire_seen s = answer(CHUNK("{\"text\":\"Hi\",\"finish_reason\":\"stop\"}"));
    assert_int_equal(s.kind, WIRE_OK);
    assert_true(s.content);
    assert_int_equal(s.finished, 1);
    s = answer("{\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}]}");
    assert_int_equal(s.kind, WIRE_OK);
    assert_false(s.content);
    assert_false(s.model_place.found);
    assert_int_equal(answer("{\"choices\":[]}").kind, WIRE_MALFORMED);
    assert_int_equal(answer("{\"choices\":[{\"text\":null}]}").kind, WIRE_MALFORMED);
    assert_int_equal(answer("{\"error\":{\"message\":\"no\"}}").kind, WIRE_ERROR);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_stream),
        cmocka_unit_test(a_messages_content_is_none_here),
        cmocka_unit_test(reads_an_answer),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
