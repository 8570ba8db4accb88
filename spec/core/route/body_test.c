/* What all dialects have in common: model, models and route, nulls, what stands twice, nesting, who
 * the session is, and that nothing goes up changed but what must. */
#include "body_unit.h"

static enum dialect spoken;

static enum dialect unit_dialect(void) {
    return spoken;
}

/* The smallest body of each dialect without its braces and model, its text, and its own name for a
 * bound of the answer. */
static const struct {
    enum dialect dialect;
    const char *members, *text, *bound;
} each[] = {
    { DIALECT_OPENAI_CHAT, "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]", "Hi",
      "max_tokens" },
    { DIALECT_OPENAI_RESPONSES, "\"input\":\"Hi\"", "Hi", "max_output_tokens" },
    { DIALECT_ANTHROPIC_MESSAGES,
      "\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]", "Hi", NULL },
    { DIALECT_OPENAI_COMPLETIONS, "\"prompt\":\"Hi\"", "Hi", "max_tokens" },
    { DIALECT_OPENAI_EMBEDDINGS, "\"input\":\"Hi\"", "Hi", NULL },
};
enum { EACH = sizeof each / sizeof *each };

/* A body of one of them, with `first` before its own members and `last` behind them. */
static const char *make(size_t i, const char *first, const char *last) {
    spoken = each[i].dialect;
    struct span text = arena_printf(&arena, "{%s%s%s}", first, each[i].members, last);
    return arena_copy(&arena, text).at;
}

#define MODEL "\"model\":\"m\","

static void each_dialect_reads_its_smallest(void **state) {
    for (size_t i = 0; i < EACH; i++) {
        unit_reads(make(i, MODEL, ""));
        bool embeds = spoken == DIALECT_OPENAI_EMBEDDINGS;
        assert_span(facts.model, "m");
        assert_span(facts.text, each[i].text);
        assert_span(facts.last_role, embeds ? NULL : "user");
        assert_int_equal(facts.turns, !embeds);
        assert_int_equal(facts.uses, embeds ? ABILITY_EMBEDDINGS : ABILITY_CHAT);
        assert_int_equal(facts.strict, embeds);
        assert_int_equal(facts.input_bytes, 2);
        assert_true(facts.input_tokens >= 1 && facts.input_tokens <= 5);
        assert_span(facts.session, NULL);
        assert_span(facts.user, NULL);
        assert_false(facts.stream);
        assert_int_equal(body.dialect, spoken);
    }
}

static void each_needs_a_model(void **state) {
    for (size_t i = 0; i < EACH; i++) {
        unit_refuses(make(i, "", ""), "model");
        unit_refuses(make(i, "\"model\":null,", ""), "model");
        unit_refuses(make(i, "\"model\":7,", ""), "model");
        unit_refuses(make(i, "\"model\":\"a\\r\\nx-evil: 1\",", ""), "model");
        unit_reads(make(i, "\"models\":[\"a\",\"b/c\"],", ""));
        assert_span(facts.model, "a");
        assert_int_equal(facts.n_models, 2);
    }
}

static void a_null_is_nothing_in_each(void **state) {
    for (size_t i = 0; i < EACH; i++) {
        unit_reads(make(i, MODEL, ",\"stream\":null,\"models\":null,\"route\":null,\"user\":null"));
        assert_false(facts.stream);
        assert_int_equal(facts.n_models, 0);
    }
}

static void what_stands_twice_is_refused_in_each(void **state) {
    for (size_t i = 0; i < EACH; i++) {
        unit_refuses(make(i, MODEL, ",\"m\\u006fdel\":\"again\""), "model");
        unit_refuses(make(i, MODEL, ",\"stream\":false,\"stream\":false"), "stream");
        unit_refuses(make(i, MODEL, ",\"route\":1,\"route\":1"), "route");
        unit_reads(make(i, MODEL, ",\"x\":1,\"x\":2")); /* nothing we read */
    }
}

static void wrong_types_are_named_in_each(void **state) {
    for (size_t i = 0; i < EACH; i++) {
        bool dotted = each[i].dialect == DIALECT_ANTHROPIC_MESSAGES;
        unit_refuses(make(i, MODEL, ",\"stream\":\"yes\""), "stream");
        unit_refuses(make(i, MODEL, ",\"models\":[\"a\",7]"), dotted ? "models.1" : "models[1]");
        if (each[i].bound)
            unit_refuses(make(i, MODEL, arena_printf(&arena, ",\"%s\":-1", each[i].bound).at),
                         each[i].bound);
    }
}

static void no_beginning_of_a_body_is_one(void **state) {
    for (size_t i = 0; i < EACH; i++)
        unit_refuses_every_cut(make(i, MODEL, ",\"x\":{\"y\":[1,\"\\u00e9\"]}"));
}

static void nothing_changes_but_what_must(void **state) {
    for (size_t i = 0; i < EACH; i++) {
        const char *sent = make(i, "\"model\" : \"m\" ,\n \"models\":[\"a\"],\"x\":[1 , 2.0e0],",
                                " , \"route\" : 1, \"y\":{\"b\":null} ");
        const char *up =
            make(i, "\"model\" : \"up\\\"1\" ,\n \"x\":[1 , 2.0e0],", " , \"y\":{\"b\":null} ");
        unit_builds(sent, SPAN("up\"1"), NULL, 0, true, up);
        unit_builds(make(i, "\"models\":[\"a\"],", ""), SPAN("up"), NULL, 0, false,
                    make(i, "", ",\"model\":\"up\""));
    }
}

/* Only where usage is a wish is it wished for. */
static void streams_are_asked_for_usage_where_there_is_a_word_for_it(void **state) {
    for (size_t i = 0; i < EACH; i++) {
        bool wish =
            each[i].dialect == DIALECT_OPENAI_CHAT || each[i].dialect == DIALECT_OPENAI_COMPLETIONS;
        if (each[i].dialect == DIALECT_OPENAI_EMBEDDINGS)
            continue;
        unit_builds(make(i, MODEL, ",\"stream\":true"), SPAN("up"), NULL, 0, true,
                    make(i, "\"model\":\"up\",",
                         wish ? ",\"stream\":true,\"stream_options\":{\"include_usage\":true}"
                              : ",\"stream\":true"));
        assert_true(facts.stream && body.stream);
    }
}

static void params_are_written_where_they_are_the_dialects_own_names(void **state) {
    assert_true(body_takes_params(DIALECT_OPENAI_CHAT));
    assert_true(body_takes_params(DIALECT_OPENAI_COMPLETIONS));
    assert_false(body_takes_params(DIALECT_OPENAI_RESPONSES));
    assert_false(body_takes_params(DIALECT_ANTHROPIC_MESSAGES));
    assert_false(body_takes_params(DIALECT_OPENAI_EMBEDDINGS));
}

/* --- sessions --- */

static struct span session_of(const char *text, const struct pair *headers, size_t n,
                              struct span said) {
    facts =
        (struct facts){ .dialect = spoken, .headers = headers, .n_headers = n, .session = said };
    assert_true(body_read(parser, span_of(text), &facts, &arena, &body, &error));
    return facts.session;
}

static void an_agents_header_names_the_session_where_nothing_better_does(void **state) {
    const struct pair claude[] = { { SPAN("x-claude-code-session-id"), SPAN("cc-1") } };
    const struct pair codex[] = { { SPAN("x-other"), SPAN("1") },
                                  { SPAN("session_id"), SPAN("cx-1") } };
    const struct pair empty[] = { { SPAN("session_id"), SPAN("") } };
    for (size_t i = 0; i < EACH; i++) {
        const char *text = make(i, MODEL, "");
        assert_span(session_of(text, claude, 1, SPAN_NONE), "cc-1");
        assert_span(session_of(text, codex, 2, SPAN_NONE), "cx-1");
        assert_span(session_of(text, codex, 2, SPAN("said")), "said");
        assert_span(session_of(text, empty, 1, SPAN_NONE), NULL);
    }
    const char *keyed = make(1, MODEL, ",\"prompt_cache_key\":\"key\"");
    assert_span(session_of(keyed, codex, 2, SPAN_NONE), "key");
    assert_span(session_of(keyed, codex, 2, SPAN("said")), "said");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_dialect_reads_its_smallest),
        cmocka_unit_test(each_needs_a_model),
        cmocka_unit_test(a_null_is_nothing_in_each),
        cmocka_unit_test(what_stands_twice_is_refused_in_each),
        cmocka_unit_test(wrong_types_are_named_in_each),
        cmocka_unit_test(no_beginning_of_a_body_is_one),
        cmocka_unit_test(nothing_changes_but_what_must),
        cmocka_unit_test(streams_are_asked_for_usage_where_there_is_a_word_for_it),
        cmocka_unit_test(params_are_written_where_they_are_the_dialects_own_names),
        cmocka_unit_test(an_agents_header_names_the_session_where_nothing_better_does),
    };
    return cmocka_run_group_tests(tests, unit_set_up, unit_tear_down);
}
