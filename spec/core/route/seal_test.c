/* Whose a state is: what lua/perilune/shape.lua seals is read back, all else is of where it stands. */
#include "route/seal.h"

#include "support/unit.h"

static struct arena arena;

static void reads(const char *state, enum dialect by, const char *model) {
    struct span of = SPAN("untouched");
    assert_int_equal(seal_read(span_of(state), DIALECT_ANTHROPIC_MESSAGES, &arena, &of), by);
    if (model)
        assert_span(of, model);
    else
        assert_null(of.at);
}

static void a_seal_says_whose_it_is(void **state) {
    reads("pl1.gemini.signature.gemini-3-pro.AbC.=", DIALECT_GEMINI, "gemini-3-pro");
    reads("pl1.openai_responses.encrypted.gpt-4%2e1.x", DIALECT_OPENAI_RESPONSES, "gpt-4.1");
    reads("pl1.openai_chat.signature..x", DIALECT_OPENAI_CHAT, NULL);
}

static void others_are_of_the_dialect_they_stand_in(void **state) {
    reads("EqQBCkYIBRgCKkB", DIALECT_ANTHROPIC_MESSAGES, NULL);
    reads("pl1", DIALECT_ANTHROPIC_MESSAGES, NULL);
}

static void what_nobody_sealed_is_of_nobody(void **state) {
    reads("pl1.", DIALECT_NONE, NULL);
    reads("pl1.gemini.signature", DIALECT_NONE, NULL);
    reads("pl1.klingon.signature.m.x", DIALECT_NONE, "m");
    reads("pl1.gemini.signature.%zz%4.x", DIALECT_GEMINI, "%zz%4");
}

static int set_up(void **state) {
    arena_init(&arena, 256);
    return 0;
}

static int tear_down(void **state) {
    arena_deinit(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seal_says_whose_it_is),
        cmocka_unit_test(others_are_of_the_dialect_they_stand_in),
        cmocka_unit_test(what_nobody_sealed_is_of_nobody),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
