/* Embeddings: whole answers, whose content is opaque. */
#include "route/wire.h"
#include "support/unit.h"

static struct json_parser *parser;
static struct arena arena;
static const struct wire *wire;

static int set_up(void **state) {
    parser = json_parser_new();
    arena_init(&arena, 4096);
    wire = wire_of(DIALECT_OPENAI_EMBEDDINGS);
    return 0;
}

static int tear_down(void **state) {
    json_parser_free(parser);
    arena_deinit(&arena);
    return 0;
}

static struct wire_seen event(const char *data) {
    struct wire_seen seen;
    wire->read_event(parser, SPAN_NONE, span_of(data), &arena, &seen);
    return seen;
}

static struct wire_seen answer(const char *body) {
    struct wire_seen seen;
    wire->read_answer(parser, span_of(body), &arena, &seen);
    return seen;
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
    assert_int_equal(s.usage.output, -1);
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
