/* Events that are alike but for a text: what is learned from two, what is answered then, and what is
 * left to the translator. */
#include "support/unit.h"

#include "script/echo.h"

struct world {
    struct echo e;
    struct buf out, told;
    size_t text; /* bytes of it in the last event that was answered */
};

static int open_world(void **state) {
    struct world *w = calloc(1, sizeof *w);
    w->e.names = (struct echo_names){ SPAN("text delta"), SPAN("p seq n"), SPAN("number") };
    *state = w;
    return 0;
}

static int close_world(void **state) {
    struct world *w = *state;
    echo_deinit(&w->e);
    buf_deinit(&w->out);
    buf_deinit(&w->told);
    free(w);
    return 0;
}

static void learn(struct world *w, const char *data, const char *made) {
    echo_learn(&w->e, SPAN("piece"), span_of(data), span_of(made));
}

/* What is answered; NULL when the translator has to be asked. */
static const char *answer_as(struct world *w, struct span event, struct span data) {
    /* In memory of its own, so that reading beyond it is found out. */
    char *copy = malloc(data.len ? data.len : 1);
    memcpy(copy, data.at, data.len);
    buf_clear(&w->out);
    w->text = echo_answer(&w->e, event, (struct span){ copy, data.len }, &w->out);
    free(copy);
    if (!w->text)
        assert_int_equal(w->out.len, 0);
    buf_add_char(&w->out, '\0');
    return w->text ? w->out.at : NULL;
}

static const char *answer(struct world *w, const char *data) {
    return answer_as(w, SPAN("piece"), span_of(data));
}

static size_t take(struct world *w) {
    struct span event;
    buf_clear(&w->told);
    size_t n = echo_take(&w->e, &event, &w->told);
    if (n)
        assert_span(event, "piece");
    return n;
}

#define D(text) "{\"type\":\"d\",\"index\":0,\"text\":\"" text "\"}"
#define O(text) "data: {\"say\":{\"content\":\"" text "\"}}\n\n"

static void learn_plain(struct world *w) {
    learn(w, D("a"), O("a"));
    learn(w, D("bc"), O("bc"));
}

static void two_events_teach(void **state) {
    struct world *w = *state;
    assert_null(answer(w, D("x")));
    learn(w, D("a"), O("a"));
    assert_null(answer(w, D("x")));
    learn(w, D("bc"), O("bc"));
    assert_string_equal(answer(w, D("x")), O("x"));
    assert_string_equal(answer(w, D(" long er")), O(" long er"));
    assert_int_equal(take(w), 2);
    assert_span(buf_span(&w->told), D("x long er"));
    assert_int_equal(take(w), 0);
    assert_int_equal(w->told.len, 0);
    assert_string_equal(answer(w, D("y")), O("y"));
    assert_int_equal(take(w), 1);
    assert_span(buf_span(&w->told), D("y"));
    echo_forget(&w->e);
    assert_null(answer(w, D("x")));
    learn(w, D("a"), O("a"));
    assert_null(answer(w, D("x")));
}

/* However one byte is changed, it is another event: or a text of the same kind. */
static void another_byte_is_another_event(void **state) {
    struct world *w = *state;
    const char known[] = D("bc");
    const size_t text = sizeof "{\"type\":\"d\",\"index\":0,\"text\":\"" - 1;
    learn_plain(w);
    for (size_t at = 0; at < sizeof known - 1; at++)
        for (int c = 0; c < 256; c++) {
            char data[sizeof known];
            memcpy(data, known, sizeof known);
            if (data[at] == (char)c)
                continue;
            data[at] = (char)c;
            bool fine = (at == text || at == text + 1) && c >= 0x20 && c < 0x80 && c != '"' &&
                        (c != '\\' || at == text);
            if (fine && c == '\\')
                continue; /* "\c" is no escape, and "\" before the quote no end: see below */
            assert_int_equal(
                answer_as(w, SPAN("piece"), (struct span){ data, sizeof known - 1 }) != NULL, fine);
        }
    for (size_t len = 0; len < sizeof known - 1; len++)
        assert_null(answer_as(w, SPAN("piece"), (struct span){ known, len }));
    assert_null(answer(w, D("bc") " "));
    assert_null(answer_as(w, SPAN("other"), span_of(known)));
    assert_null(answer_as(w, SPAN(""), span_of(known)));
    assert_null(answer_as(w, SPAN_NONE, span_of(known)));
}

static void texts_are_checked(void **state) {
    static const char *const sound[] = { "\\n",     "\\\"q\\\"",    "\\\\",
                                         "\\/",     "\\u00e9",      "\\ud7ff",
                                         "\\uE000", "\xc3\xa9",     "\xf0\x9f\x98\x80",
                                         "text",    "\\b\\f\\r\\t", "\x7f" };
    static const char *const broken[] = {
        "",   "\\",   "\\x",  "\\u12", "\\u12g4",      "\\ud83d", "\\uDFFF", "\\uD800\\uDC00",
        "\n", "\x1f", "\xff", "\xc3",  "\xed\xa0\x80", "\\u",     "a\\"
    };
    struct world *w = *state;
    char data[128], made[128];
    learn_plain(w);
    for (size_t i = 0; i < sizeof sound / sizeof *sound; i++) {
        snprintf(data, sizeof data, D("%s"), sound[i]);
        snprintf(made, sizeof made, O("%s"), sound[i]);
        const char *got = answer(w, data);
        assert_non_null(got);
        assert_string_equal(got, made);
    }
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        snprintf(data, sizeof data, D("%s"), broken[i]);
        assert_null(answer(w, data));
    }
}

/* As many as the translator would count, which reads what escapes stand for. */
static void bytes_of_texts_are_counted(void **state) {
    static const struct {
        const char *text;
        size_t bytes;
    } cases[] = {
        { "text", 4 },
        { "\\n", 1 },
        { "a\\\"b\\\\c", 5 },
        { "\\u0000\\u007F", 2 },
        { "\\u0080\\u07ff", 4 },
        { "\\u0800\\u1000\\uffff", 9 },
        { "\xc3\xa9\\u00e9", 4 },
    };
    struct world *w = *state;
    char data[128];
    learn_plain(w);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(data, sizeof data, D("%s"), cases[i].text);
        assert_non_null(answer(w, data));
        assert_int_equal(w->text, cases[i].bytes);
    }
}

#define LOOSE(text, p, n)                                                                          \
    "{\"seq\":" n ",\"text\":\"" text "\",\"u\":{\"n\":[{\"n\":" n "}]},\"p\":\"" p "\"}"

static void loose_members_may_differ(void **state) {
    struct world *w = *state;
    learn(w, LOOSE("a", "xy", "7"), O("a"));
    learn(w, LOOSE("b", "z", "10"), O("b"));
    assert_string_equal(answer(w, LOOSE("c", "", "0")), O("c"));
    assert_string_equal(answer(w, LOOSE("d", " q ", "999999999999999")), O("d"));
    assert_null(answer(w, LOOSE("d", "q", "1e5")));
    assert_null(answer(w, LOOSE("d", "q", "-0")));
    assert_null(answer(w, LOOSE("d", "q", "01")));
    assert_null(answer(w, LOOSE("d", "q", "1.5")));
    assert_null(answer(w, LOOSE("d", "q", "")));
    assert_null(answer(w, LOOSE("d", "q", "1000000000000000")));
    assert_null(answer(w, LOOSE("d", "q", "\"7\"")));
    assert_int_equal(take(w), 2);
    assert_span(buf_span(&w->told), LOOSE("cd", " q ", "999999999999999"));
    /* What was the same twice is as fixed as all else. */
    echo_forget(&w->e);
    learn(w, LOOSE("a", "x", "7"), O("a"));
    learn(w, LOOSE("b", "y", "7"), O("b"));
    assert_null(answer(w, LOOSE("c", "z", "8")));
    assert_string_equal(answer(w, LOOSE("c", "z", "7")), O("c"));
}

/* Whoever repairs copies what it does not know. */
static void loose_members_may_be_copied(void **state) {
    struct world *w = *state;
#define BOTH(text, p, n) "{\"text\":\"" text "\",\"n\": " n ",\"p\":\"" p "\"}"
    learn(w, BOTH("a", "x", "5"), "data: " BOTH("a", "x", "5") "\n\n");
    learn(w, BOTH("b", "y", "16"), "data: " BOTH("b", "y", "16") "\n\n");
    assert_string_equal(answer(w, BOTH("text", "p", "7")), "data: " BOTH("text", "p", "7") "\n\n");
    /* Of which of the two it is a copy can not be told. */
    assert_int_equal(take(w), 1);
    learn(w, BOTH("a", "a", "5"), "data: " BOTH("a", "a", "5") "\n\n");
    learn(w, BOTH("b", "b", "16"), "data: " BOTH("b", "b", "16") "\n\n");
    assert_null(answer(w, BOTH("c", "d", "5")));
}

#define NUMBERED(text, n) "event: piece\ndata: {\"number\":" n ",\"delta\":\"" text "\"}\n\n"

static void numbers_go_on(void **state) {
    struct world *w = *state;
    learn(w, D("a"), NUMBERED("a", "8"));
    learn(w, D("b"), NUMBERED("b", "9"));
    assert_string_equal(answer(w, D("9")), NUMBERED("9", "10"));
    assert_string_equal(answer(w, D("d")), NUMBERED("d", "11"));
    assert_int_equal(take(w), 2);
    /* One that was translated in between, for its text, has the next. */
    learn(w, D("e"), NUMBERED("e", "12"));
    assert_string_equal(answer(w, D("f")), NUMBERED("f", "13"));
    assert_int_equal(take(w), 1);
    learn(w, D("g"), NUMBERED("g", "15"));
    assert_null(answer(w, D("h")));
    learn(w, D("i"), NUMBERED("i", "17"));
    assert_null(answer(w, D("h")));
    learn(w, D("j"), NUMBERED("j", "1.8"));
    assert_null(answer(w, D("h")));
    w->e.names.counter = SPAN_NONE;
    learn(w, D("a"), NUMBERED("a", "8"));
    learn(w, D("b"), NUMBERED("b", "9"));
    assert_null(answer(w, D("c")));
}

/* What does not teach: each as a pair of events, and what was made of them. */
static void unlike_events_do_not_teach(void **state) {
    static const struct {
        const char *data[2], *made[2];
    } pairs[] = {
        { { D("a"), D("a") }, { O("a"), O("a") } }, /* what would be the place of the text? */
        { { D("a"), D("b") }, { O("a"), O("a") } }, /* it does not depend on it */
        { { D("a"), D("b") }, { "", "" } },         /* nothing came out */
        { { D("a"), D("b") }, { O("a"), O("\\u0062") } },
        { { D("a"), D("b") }, { O("a") O("a"), O("b") O("b") } },
        { { D("a"), D("b") }, { O("a"), O("b") " " } },
        { { D("a"), D("b") }, { "x" O("a"), "y" O("b") } },
        { { D("a"), D("b") }, { O("aa"), O("ab") } },
        { { D("a"), D("bc") }, { "{\"l\":1}" O("a"), "{\"l\":2}" O("bc") } },
        { { D("a"), D("bc") },
          { "{\"number\":1,\"number\":4}" O("a"), "{\"number\":2,\"number\":5}" O("bc") } },
        { { D(""), D("b") }, { O(""), O("b") } },
        { { D("a"), D("") }, { O("a"), O("") } },
        { { D("a"), "{\"type\":\"e\",\"index\":0,\"text\":\"b\"}" }, { O("a"), O("b") } },
        { { D("a"), "{\"type\":\"d\",\"index\":1,\"text\":\"b\"}" }, { O("a"), O("b") } },
        { { D("a"), "{\"type\":\"d\",\"index\":0,\"delta\":\"b\"}" }, { O("a"), O("b") } },
        { { D("a"), D("b") " " }, { O("a"), O("b") } },
        { { "{\"x\":\"a\"}", "{\"x\":\"b\"}" }, { O("a"), O("b") } }, /* no name of a text */
        { { "{\"text\":1}", "{\"text\":2}" }, { O("1"), O("2") } },
        { { "{\"text\":[\"a\"]}", "{\"text\":[\"b\"]}" }, { O("a"), O("b") } },
        { { "{\"text\":\"a\",\"delta\":\"a\"}", "{\"text\":\"b\",\"delta\":\"b\"}" },
          { O("a"), O("b") } },
        { { "{\"text\":\"a\",\"delta\":\"c\"}", "{\"text\":\"b\",\"delta\":\"c\"}" },
          { O("a"), O("b") } },
        { { "{\"\\u0074ext\":\"c\",\"text\":\"a\"}", "{\"\\u0074ext\":\"c\",\"text\":\"b\"}" },
          { O("a"), O("b") } },
        { { "{\"text\":\"a\",\"p\":{}}", "{\"text\":\"b\",\"p\":[]}" }, { O("a"), O("b") } },
        { { "{\"text\":\"a\",\"p\":\"1\"}", "{\"text\":\"b\",\"p\":2}" }, { O("a"), O("b") } },
        { { "{\"text\":\"a\",\"n\":1e5}", "{\"text\":\"b\",\"n\":2e5}" }, { O("a"), O("b") } },
        { { "{\"text\":\"a\",\"n\":-1}", "{\"text\":\"b\",\"n\":-2}" }, { O("a"), O("b") } },
        { { "{\"text\":\"a\"", "{\"text\":\"b" }, { O("a"), O("b") } },
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        echo_forget(&w->e);
        learn(w, pairs[i].data[0], pairs[i].made[0]);
        learn(w, pairs[i].data[1], pairs[i].made[1]);
        if (answer(w, pairs[i].data[0]) || answer(w, pairs[i].data[1]))
            fail_msg("%s and %s taught", pairs[i].data[0], pairs[i].data[1]);
    }
    /* Names of events that differ; one with a quote, which would be read as a string of what came
     * out. */
    learn(w, D("a"), O("a"));
    echo_learn(&w->e, SPAN("other"), SPAN(D("b")), SPAN(O("b")));
    assert_null(answer(w, D("c")));
    for (int i = 0; i < 3; i++)
        echo_learn(&w->e, SPAN("a\"b"), i % 2 ? SPAN(D("b")) : SPAN(D("a")),
                   i % 2 ? SPAN(O("b")) : SPAN(O("a")));
    assert_null(answer_as(w, SPAN("a\"b"), SPAN(D("c"))));
}

/* The text is where its name is, whatever else is called or says the same. */
static void a_text_may_be_any_word(void **state) {
    struct world *w = *state;
    const char *in[] = { "{\"kind\":\"text\",\"p\":null,\"text\":\"text\"}",
                         "{\"kind\":\"text\",\"p\":null,\"text\":\"kind\"}" };
    const char *out[] = { "{\"text\":\"text\",\"kind\":\"text\"}",
                          "{\"text\":\"kind\",\"kind\":\"text\"}" };
    learn(w, in[0], out[0]);
    learn(w, in[1], out[1]);
    assert_string_equal(answer(w, in[0]), out[0]);
    assert_string_equal(answer(w, "{\"kind\":\"text\",\"p\":null,\"text\":\"0\"}"),
                        "{\"text\":\"0\",\"kind\":\"text\"}");
    assert_null(answer(w, "{\"kind\":\"test\",\"p\":null,\"text\":\"0\"}"));
}

/* No names, no echo. */
static void who_does_not_say_its_texts_is_asked_always(void **state) {
    struct world *w = *state;
    w->e.names = (struct echo_names){ SPAN_NONE, SPAN_NONE, SPAN_NONE };
    learn_plain(w);
    assert_null(answer(w, D("x")));
}

static void what_is_held_has_bounds(void **state) {
    struct world *w = *state;
    struct buf data = { 0 };
    size_t n = 0;
    learn_plain(w);
    while (answer(w, D("0123456789")))
        n++;
    assert_in_range(n, 1000, ECHO_HELD_MAX / 10);
    assert_int_equal(take(w), n);
    assert_in_range(w->told.len, 10 * n, ECHO_HELD_MAX + sizeof D(""));
    assert_null(w->e.held.at);
    /* Two large events teach nothing, one is not answered. */
    assert_non_null(answer(w, D("x")));
    assert_int_equal(take(w), 1);
    buf_add(&data, SPAN("{\"type\":\"d\",\"index\":0,\"text\":\""));
    memset(buf_reserve(&data, ECHO_HELD_MAX), 'x', ECHO_HELD_MAX);
    data.len += ECHO_HELD_MAX;
    buf_add(&data, SPAN("\"}"));
    assert_null(answer_as(w, SPAN("piece"), buf_span(&data)));
    echo_learn(&w->e, SPAN("piece"), buf_span(&data), buf_span(&data));
    assert_null(answer(w, D("x")));
    buf_deinit(&data);
}

static void more_holes_than_are_kept_teach_nothing(void **state) {
    struct world *w = *state;
    char data[2][512];
    for (int k = 0; k < 2; k++) {
        strcpy(data[k], k ? "{\"text\":\"b\"" : "{\"text\":\"a\"");
        for (size_t i = 0; i < ECHO_HOLES; i++)
            strcat(data[k], k ? ",\"n\":2" : ",\"n\":1");
        strcat(data[k], "}");
    }
    learn(w, data[0], O("a"));
    learn(w, data[1], O("b"));
    assert_null(answer(w, data[0]));
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        CASE(two_events_teach),
        CASE(another_byte_is_another_event),
        CASE(texts_are_checked),
        CASE(bytes_of_texts_are_counted),
        CASE(loose_members_may_differ),
        CASE(loose_members_may_be_copied),
        CASE(numbers_go_on),
        CASE(unlike_events_do_not_teach),
        CASE(a_text_may_be_any_word),
        CASE(who_does_not_say_its_texts_is_asked_always),
        CASE(what_is_held_has_bounds),
        CASE(more_holes_than_are_kept_teach_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
