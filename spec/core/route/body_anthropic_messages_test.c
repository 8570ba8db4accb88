/* Anthropic Messages: turns and blocks, tools, thinking, what a coding agent sends. */
#include "body_unit.h"

static enum dialect unit_dialect(void) {
    return DIALECT_ANTHROPIC_MESSAGES;
}

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"
#define WITH(more) "{\"model\":\"m\",\"max_tokens\":100," HI "," more "}"
#define TURNS(list) "{\"model\":\"m\",\"max_tokens\":100,\"messages\":[" list "]}"
#define USER(content) "{\"role\":\"user\",\"content\":" content "}"
#define ASSISTANT(content) "{\"role\":\"assistant\",\"content\":" content "}"
#define CALL "{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"search\",\"input\":{\"q\":\"x\"}}"
#define RESULT "{\"type\":\"tool_result\",\"tool_use_id\":\"t1\",\"content\":\"found\"}"

static void reads_an_agents_request(void **state) {
    unit_reads(
        "{\"model\":\"claude-sonnet-4-6\",\"max_tokens\":32000,\"stream\":true,"
        "\"system\":[{\"type\":\"text\",\"text\":\"Be\",\"cache_control\":{\"type\":\"ephemeral\"}}"
        ","
        "{\"type\":\"text\",\"text\":\"brief\"}],"
        "\"thinking\":{\"type\":\"adaptive\"},\"tools\":[{\"name\":\"search\",\"input_schema\":{}},"
        "{\"type\":\"web_search_20260209\",\"name\":\"web_search\"}],"
        "\"tool_choice\":{\"type\":\"any\",\"disable_parallel_tool_use\":true},"
        "\"metadata\":{\"user_id\":\"user_4f_account_1_session_9c-2\"},"
        "\"messages\":[" USER("\"one\"") "," ASSISTANT(
            "[{\"type\":\"thinking\",\"thinking\":"
            "\"hm\",\"signature\":\"c2ln\"}," CALL "]") "," USER("[" RESULT "," RESULT "]") "]}");
    assert_span(facts.model, "claude-sonnet-4-6");
    assert_true(facts.stream);
    assert_int_equal(facts.max_tokens, 32000);
    assert_int_equal(facts.output_tokens, 32000);
    assert_int_equal(facts.uses, ABILITY_CHAT | ABILITY_TOOLS | ABILITY_REASONING);
    assert_int_equal(facts.n_tool_names, 2);
    assert_span(facts.tool_names[0], "search");
    assert_span(facts.tool_names[1], "web_search");
    assert_span(facts.tool_choice, "required");
    assert_span(facts.last_role, "tool");
    assert_int_equal(facts.tool_results, 2);
    assert_int_equal(facts.turns, 1);
    assert_span(facts.text, "one");
    assert_span(facts.system, "Be\nbrief");
    assert_span(facts.user, "user_4f_account_1");
    assert_span(facts.session, "9c-2");
}

static void results_are_told_as_elsewhere(void **state) {
    static const struct {
        const char *text, *role;
        unsigned results, turns;
        const char *last;
    } cases[] = {
        { TURNS(USER("\"a\"") "," ASSISTANT("[" CALL "]") "," USER("[" RESULT "]")), "tool", 1, 1,
          "a" },
        { TURNS(USER("\"a\"") "," ASSISTANT("[" CALL "]") "," USER(
              "[" RESULT ",{\"type\":\"text\",\"text\":\"and\"}]")),
          "user", 1, 2, "and" },
        { TURNS(USER("\"a\"") "," ASSISTANT("[" CALL "]") "," USER("[" RESULT
                                                                   "]") "," ASSISTANT("\"b\"")),
          "assistant", 0, 1, "a" },
        { TURNS(USER("\"a\"") ",{\"role\":\"system\",\"content\":\"now\"}"), "system", 0, 1, "a" },
        { TURNS(USER("[]")), "user", 0, 1, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unit_reads(cases[i].text);
        assert_span(facts.last_role, cases[i].role);
        assert_int_equal(facts.tool_results, cases[i].results);
        assert_int_equal(facts.turns, cases[i].turns);
        assert_span(facts.text, cases[i].last);
    }
}

static void f20_counts_every_message(void **state) {
    unit_reads(TURNS(USER("\"0123456789\"") "," ASSISTANT("\"0123456789\"") "," USER("\"01\"")));
    assert_int_equal(facts.input_bytes, 22);
    assert_int_equal(facts.input_tokens, 6 + 3 * 4);
    assert_int_equal(facts.turns, 2);
    assert_span(facts.text, "01");
}

static void sees_what_is_used(void **state) {
    static const struct {
        const char *text;
        uint32_t uses;
    } cases[] = {
        { WITH("\"tools\":[]"), 0 },
        { WITH("\"tools\":[{\"name\":\"f\",\"input_schema\":{}}]"), ABILITY_TOOLS },
        { WITH("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048}"), ABILITY_REASONING },
        { WITH("\"thinking\":{\"type\":\"between_tools\"}"), ABILITY_REASONING },
        { WITH("\"thinking\":{\"type\":\"disabled\"}"), 0 },
        { WITH("\"thinking\":{\"type\":\"disabled\"},\"output_config\":{\"effort\":\"low\"}"), 0 },
        { WITH("\"output_config\":{\"effort\":\"low\"}"), ABILITY_REASONING },
        { WITH("\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{}}}"),
          ABILITY_JSON_SCHEMA },
        { WITH("\"output_format\":{\"type\":\"json_schema\",\"schema\":{}}"), ABILITY_JSON_SCHEMA },
        { TURNS(USER("[{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"http://x\"}}]")),
          ABILITY_IMAGES },
        { TURNS(USER("[{\"type\":\"document\",\"source\":{\"type\":\"file\",\"file_id\":\"f\"}}]")),
          ABILITY_FILES },
        { TURNS(USER("[{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":[{\"type\":"
                     "\"image\",\"source\":{\"type\":\"base64\",\"data\":\"AAAA\"}}]}]")),
          ABILITY_IMAGES },
        { TURNS(USER("[{\"type\":\"hologram\",\"data\":\"x\"}]")), 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unit_reads(cases[i].text);
        assert_int_equal(facts.uses, ABILITY_CHAT | cases[i].uses);
    }
}

static void reads_tool_choices(void **state) {
    static const char *const cases[][2] = {
        { "{\"type\":\"auto\"}", "auto" },
        { "{\"type\":\"any\"}", "required" },
        { "{\"type\":\"none\"}", "none" },
        { "{\"type\":\"tool\",\"name\":\"f\"}", "f" },
        { "{\"type\":\"tool\"}", NULL },
        { "{}", NULL },
        { "null", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unit_reads(arena_printf(&arena,
                                "{\"model\":\"m\",\"max_tokens\":1," HI ",\"tool_choice\":%s}",
                                cases[i][0])
                       .at);
        assert_span(facts.tool_choice, cases[i][1]);
    }
}

/* Every kind of block costs what a model reads of it. */
static void weighs_blocks(void **state) {
    static const struct {
        const char *content;
        uint64_t bytes, more; /* text; other tokens */
    } cases[] = {
        { "[{\"type\":\"text\",\"text\":\"12345\"}]", 5, 0 },
        { "[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"abc\",\"input\":{\"k\":\"12\"}}]",
          3 + (2 + 1 + 4 + 4), 0 },
        { "[{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":[{\"type\":\"text\","
          "\"text\":\"1234\"},{\"type\":\"tool_reference\",\"tool_name\":\"x\"}]}]",
          4, 0 },
        { "[{\"type\":\"tool_result\",\"tool_use_id\":\"t\"}]", 0, 0 },
        { "[{\"type\":\"redacted_thinking\",\"data\":\"AAAAAAAAAAAA\"}]", 0, 0 },
        { "[{\"type\":\"thinking\",\"thinking\":\"123\",\"signature\":\"AAAAAAAAAAAA\"}]", 3, 0 },
        { "[{\"type\":\"search_result\",\"title\":\"12\",\"source\":\"http://x\",\"content\":[{"
          "\"type\":\"text\",\"text\":\"345\"}]}]",
          5, 0 },
        { "[{\"type\":\"document\",\"title\":\"1\",\"source\":{\"type\":\"text\",\"data\":"
          "\"2345\"}}]",
          5, 0 },
        { "[{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":[{\"type\":"
          "\"text\",\"text\":\"12\"}]}}]",
          2, 0 },
        { "[{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"data\":\"JVBERi0xLjQKJVBERi0x"
          "LjQKJVBERi0xLjQKJVBERi0xLjQKJVBERi0xLjQKJVBERi0xLjQK\"}}]",
          0, 1 },
        { "[{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"data\":\"AAAA\"}}]", 0, 1000 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unit_reads(arena_printf(&arena,
                                "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":"
                                "\"user\",\"content\":%s}]}",
                                cases[i].content)
                       .at);
        assert_int_equal(facts.input_bytes, cases[i].bytes);
        assert_int_equal(facts.input_tokens, (cases[i].bytes + 3) / 4 + 4 + cases[i].more);
    }
}

/* Schemas are text to the model, and so is the system's word. */
static void weighs_tools_and_system(void **state) {
    const char *tools = "[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}]";
    unit_reads(arena_printf(&arena,
                            "{\"model\":\"m\",\"max_tokens\":1," HI
                            ",\"system\":\"12345678\",\"tools\":%s}",
                            tools)
                   .at);
    assert_int_equal(facts.input_bytes, 2 + 8 + strlen(tools));
}

static void a_cache_may_be_warmed(void **state) {
    unit_reads("{\"model\":\"m\",\"max_tokens\":0," HI "}");
    assert_int_equal(facts.max_tokens, 0);
    assert_int_equal(facts.output_tokens, 0);
}

static void reads_who_asks(void **state) {
    static const char *const cases[][3] = {
        { "user_1_account__session_2", "user_1_account_", "2" },
        { "user_1", "user_1", NULL },
        { "alice_session_2", "alice_session_2", NULL }, /* no agent's form */
        { "user_1_session_", "user_1", NULL },
        { "", NULL, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unit_reads(arena_printf(&arena,
                                "{\"model\":\"m\",\"max_tokens\":1," HI
                                ",\"metadata\":{\"user_id\":\"%s\"}}",
                                cases[i][0])
                       .at);
        assert_span(facts.user, cases[i][1]);
        assert_span(facts.session, cases[i][2]);
    }
}

static void names_what_is_wrong(void **state) {
    static const char *const cases[][2] = {
        { "[]", NULL },
        { "{\"model\":\"m\",\"max_tokens\":1}", "messages" },
        { "{\"model\":\"m\"," HI "}", "max_tokens" },
        { "{\"model\":\"m\",\"max_tokens\":null," HI "}", "max_tokens" },
        { "{\"model\":\"m\",\"max_tokens\":-1," HI "}", "max_tokens" },
        { "{\"model\":\"m\",\"max_tokens\":1.5," HI "}", "max_tokens" },
        { "{\"model\":\"m\",\"max_tokens\":\"9\"," HI "}", "max_tokens" },
        { TURNS(""), "messages" },
        { TURNS("\"hi\""), "messages.0" },
        { TURNS("{\"content\":\"hi\"}"), "messages.0.role" },
        { TURNS(USER("\"a\"") ",{\"role\":\"user\"}"), "messages.1.content" },
        { TURNS(USER("null")), "messages.0.content" },
        { TURNS(USER("7")), "messages.0.content" },
        { TURNS(USER("[\"a\"]")), "messages.0.content" },
        { TURNS(USER("{\"type\":\"text\"}")), "messages.0.content" },
        { WITH("\"system\":7"), "system" },
        { WITH("\"system\":[\"a\"]"), "system.0" },
        { WITH("\"tools\":{}"), "tools" },
        { WITH("\"tools\":[{\"name\":\"a\"},\"b\"]"), "tools.1" },
        { WITH("\"tool_choice\":\"auto\""), "tool_choice" },
        { WITH("\"thinking\":true"), "thinking" },
        { WITH("\"output_config\":\"high\""), "output_config" },
        { WITH("\"metadata\":\"u\""), "metadata" },
        { WITH("\"temperature\":\"hot\""), "temperature" },
        { WITH("\"top_k\":1.5"), "top_k" },
        { WITH("\"stop_sequences\":\"x\""), "stop_sequences" },
        { WITH("\"stop_sequences\":[\"x\",1]"), "stop_sequences" },
        { WITH("\"stream\":1"), "stream" },
        { WITH("\"max_tokens\":5"), "max_tokens" },
        { WITH("\"system\":\"a\",\"system\":\"b\""), "system" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        unit_refuses(cases[i][0], cases[i][1]);
}

static void says_it_as_the_api_does(void **state) {
    assert_false(unit_read(SPAN("{\"model\":\"m\"," HI "}")));
    assert_span(error.message, "max_tokens: is required.");
}

static void a_bound_is_not_needed_to_be_counted(void **state) {
    facts = (struct facts){ .dialect = DIALECT_ANTHROPIC_MESSAGES };
    struct span text = SPAN("{\"model\":\"m\"," HI "}");
    assert_true(body_read_counted(parser, text, &facts, &arena, &body, &error));
    assert_int_equal(facts.input_tokens, 1 + 4);
    assert_false(
        body_read_counted(parser, SPAN("{\"model\":\"m\"}"), &facts, &arena, &body, &error));
    assert_span(error.param, "messages");
}

static void leaves_to_the_provider_what_is_its_own(void **state) {
    unit_reads(WITH("\"temperature\":9,\"speed\":\"warp\",\"container\":7,\"inference_geo\":\"eu\","
                    "\"context_management\":{\"edits\":[]},\"diagnostics\":[]"));
    unit_reads(TURNS("{\"role\":\"critic\",\"content\":[{\"type\":7}]}"));
    unit_reads(TURNS(USER("[{\"type\":\"tool_result\",\"content\":[7,[{}]]}]")));
}

/* What a model signed goes back to it alone: the last state says to whom the conversation is bound. */
static void knows_whose_thoughts_it_holds(void **state) {
    unit_reads(TURNS(USER("\"hi\"")));
    assert_int_equal(facts.signed_by, DIALECT_NONE);
    unit_reads(
        TURNS("{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"so\","
              "\"signature\":\"EqQB\"},{\"type\":\"text\",\"text\":\"a\"}]}"));
    assert_int_equal(facts.signed_by, DIALECT_ANTHROPIC_MESSAGES);
    assert_null(facts.signed_model.at);
    unit_reads(
        TURNS("{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"so\","
              "\"signature\":\"EqQB\"},{\"type\":\"redacted_thinking\",\"data\":"
              "\"pl1.gemini.redacted.gemini-2%2e5-pro.AA\"}]}"));
    assert_int_equal(facts.signed_by, DIALECT_GEMINI);
    assert_span(facts.signed_model, "gemini-2.5-pro");
    unit_reads(
        TURNS("{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"so\","
              "\"signature\":\"\"}]}"));
    assert_int_equal(facts.signed_by, DIALECT_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_an_agents_request),
        cmocka_unit_test(results_are_told_as_elsewhere),
        cmocka_unit_test(f20_counts_every_message),
        cmocka_unit_test(sees_what_is_used),
        cmocka_unit_test(reads_tool_choices),
        cmocka_unit_test(weighs_blocks),
        cmocka_unit_test(weighs_tools_and_system),
        cmocka_unit_test(a_cache_may_be_warmed),
        cmocka_unit_test(reads_who_asks),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(says_it_as_the_api_does),
        cmocka_unit_test(a_bound_is_not_needed_to_be_counted),
        cmocka_unit_test(leaves_to_the_provider_what_is_its_own),
        cmocka_unit_test(knows_whose_thoughts_it_holds),
    };
    return cmocka_run_group_tests(tests, unit_set_up, unit_tear_down);
}
