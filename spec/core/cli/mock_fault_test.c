#include "support/unit.h"

#include "cli/cli.h"
#include "cli/mock_fault.h"
#include "cli/mock_words.h"

/* Parsed into `f`; the complaint, or NULL when there is none. */
static char *parse(const char *text, struct mock_fault *f, struct arena *arena) {
    struct buf error = { 0 };
    mock_fault_init(f);
    if (mock_fault_parse(f, span_of(text), arena, &error)) {
        buf_deinit(&error);
        return NULL;
    }
    buf_add_char(&error, '\0');
    return error.at;
}

static void test_nothing_is_a_good_answer(void **state) {
    struct mock_fault f;
    struct arena arena;
    arena_init(&arena, 256);
    assert_null(parse("", &f, &arena));
    assert_null(f.shape.content.at);
    assert_int_equal(f.shape.events, -1);
    assert_int_equal(f.harm.status, 0);
    assert_int_equal(f.harm.cut_event, -1);
    assert_int_equal(f.fail_first, -1);
    arena_deinit(&arena);
}

static void test_words_and_values(void **state) {
    struct mock_fault f;
    struct arena arena;
    arena_init(&arena, 256);
    assert_null(parse("status=429; retry_after = 2;;html;cut_event=0;message=a%3Bb%20c%;"
                      "half_headers;content=;name=x;every=3;tool=true;crlf=1",
                      &f, &arena));
    assert_int_equal(f.harm.status, 429);
    assert_span(f.harm.retry_after, "2");
    assert_true(f.harm.html);
    assert_int_equal(f.harm.cut_event, 0);
    assert_span(f.harm.message, "a;b c%");
    assert_span(f.harm.half_headers, "1");
    assert_span(f.shape.content, "");
    assert_span(f.name, "x");
    assert_int_equal(f.every, 3);
    assert_true(f.shape.tool && f.shape.crlf);
    arena_deinit(&arena);
}

static void test_healing_keeps_the_shape(void **state) {
    struct mock_fault f;
    struct arena arena;
    arena_init(&arena, 256);
    assert_null(parse("status=500;events=3;gap_ms=5;cut_after=1;slow=9", &f, &arena));
    mock_fault_heal(&f);
    assert_int_equal(f.harm.status, 0);
    assert_int_equal(f.harm.slow, 0);
    assert_int_equal(f.harm.cut_after, -1);
    assert_int_equal(f.shape.events, 3);
    assert_int_equal(f.shape.gap_ms, 5);
    arena_deinit(&arena);
}

static void test_mistakes_are_told(void **state) {
    static const char *const cases[][2] = {
        { "nonsense", "the mock knows no such word: nonsense" },
        { "html;Status=500", "the mock knows no such word: Status, did you mean status?" },
        { "stats=500", "the mock knows no such word: stats, did you mean status?" },
        { "status", "the word needs a whole number: status" },
        { "status=", "the word needs a whole number: status=" },
        { "status=5x", "the word needs a whole number: status=5x" },
        { "status=-1", "the word needs a whole number: status=-1" },
        { "slow=1000000001", "the word needs a whole number: slow=1000000001" },
        { "html=no", "the word takes no value: html=no" },
        { "content", "the word needs a value: content" },
        { "=5", "the mock knows no such word: " },
    };
    struct arena arena;
    arena_init(&arena, 256);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mock_fault f;
        char *error = parse(cases[i][0], &f, &arena);
        assert_non_null(error);
        assert_string_equal(error, cases[i][1]);
        free(error);
    }
    arena_deinit(&arena);
}

/* All there are, each taken, each in the help. */
static void test_help_names_every_word(void **state) {
    static const char *const all[] = {
#define FLAG ""
#define NUMBER "=1"
#define TEXT "=x"
#define TEXT_OR_1 ""
#define WORD(kind, field, help) #field kind,
        MOCK_SHAPE_WORDS(WORD) MOCK_QUIRK_WORDS(WORD) MOCK_HARM_WORDS(WORD) MOCK_TURN_WORDS(WORD)
    };
    struct arena arena;
    arena_init(&arena, 256);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct mock_fault f;
        char line[40];
        char *error = parse(all[i], &f, &arena);
        if (error)
            fail_msg("%s: %s", all[i], error);
        /* Help is written by hand beside the name: it must begin with that very word. */
        snprintf(line, sizeof line, "\n  %.*s", (int)strcspn(all[i], "="), all[i]);
        const char *at = strstr(mock_command.notes, line);
        while (at && !strchr(" =[\n", at[strlen(line)]))
            at = strstr(at + 1, line);
        if (!at)
            fail_msg("the help does not name %s", all[i]);
    }
    arena_deinit(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_a_good_answer), cmocka_unit_test(test_words_and_values),
        cmocka_unit_test(test_healing_keeps_the_shape),  cmocka_unit_test(test_mistakes_are_told),
        cmocka_unit_test(test_help_names_every_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
