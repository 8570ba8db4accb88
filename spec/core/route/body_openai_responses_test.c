/* Responses: items in a row, flat tools, what a coding agent sends. */
#include "body_unit.h"

static enum dialect unit_dialect(void) {
    return DIALECT_OPENAI_RESPONSES;
}

#define WITH(more) "{\"model\":\"m\",\"input\":\"Hi\"," more "}"
#define ITEMS(list) "{\"model\":\"m\",\"input\":[" list "]}"
#define USER(content) "{\"role\":\"user\",\"content\":" content "}"
#define CALL                                                                                       \
    "{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"search\",\"arguments\":\"{}\"}"
#define OUTPUT "{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":\"found\"}"

static void reads_an_agents_request(void **state) {
    unit_reads(
        "{\"model\":\"gpt-5-codex\",\"instructions\":\"Be brief\",\"stream\":true,\"store\":false,"
        "\"include\":[\"reasoning.encrypted_content\"],\"max_output_tokens\":70,"
        "\"reasoning\":{\"effort\":\"high\",\"summary\":\"auto\"},\"text\":{\"format\":{\"type\":"
        "\"json_schema\",\"name\":\"s\",\"schema\":{}},\"verbosity\":\"low\"},"
        "\"prompt_cache_key\":\"s1\",\"user\":\"u\",\"safety_identifier\":\"si\","
        "\"tools\":[{\"type\":\"function\",\"name\":\"search\",\"parameters\":{}},{\"type\":"
        "\"custom\",\"name\":\"apply_patch\"},{\"type\":\"web_search\"}],"
        "\"tool_choice\":{\"type\":\"function\",\"name\":\"search\"},\"input\":["
        "{\"type\":\"message\",\"role\":\"developer\",\"content\":[{\"type\":\"input_text\","
        "\"text\":\"second\"}]}," USER(
            "[{\"type\":\"input_text\",\"text\":\"two\"},{\"type\":"
            "\"input_image\",\"image_url\":\"http://x/y.png\"}]") ","
                                                                  "{\"type\":\"reasoning\",\"id\":"
                                                                  "\"rs\",\"summary\":[],"
                                                                  "\"encrypted_content\":\"AAAA\"}"
                                                                  "," CALL "," CALL "," OUTPUT
                                                                  "," OUTPUT "]}");
    assert_span(facts.model, "gpt-5-codex");
    assert_true(facts.stream);
    assert_int_equal(facts.max_tokens, 70);
    assert_int_equal(facts.output_tokens, 70);
    assert_int_equal(facts.uses, ABILITY_CHAT | ABILITY_TOOLS | ABILITY_IMAGES |
                                     ABILITY_JSON_SCHEMA | ABILITY_REASONING);
    assert_int_equal(facts.n_tool_names, 2);
    assert_span(facts.tool_names[1], "apply_patch");
    assert_span(facts.tool_choice, "search");
    assert_span(facts.last_role, "tool");
    assert_int_equal(facts.tool_results, 2);
    assert_int_equal(facts.turns, 1);
    assert_span(facts.text, "two");
    assert_span(facts.system, "Be brief");
    assert_span(facts.user, "si");
    assert_span(facts.session, "s1");
}

static void f20_counts_every_item(void **state) {
    unit_reads(
        ITEMS(USER("\"0123456789\"") ",{\"role\":\"assistant\",\"content\":[{\"type\":"
                                     "\"output_text\",\"text\":\"0123456789\"}]}," USER("\"01\"")));
    assert_int_equal(facts.input_bytes, 22);
    assert_int_equal(facts.input_tokens, 6 + 3 * 4);
    assert_int_equal(facts.turns, 2);
    assert_span(facts.text, "01");
}

/* What a model reads of each kind of item, and whose turn it leaves. */
static void weighs_items(void **state) {
    static const struct {
        const char *item;
        uint64_t bytes, more;
        const char *role;
        unsigned results;
    } cases[] = {
        { USER("\"12345\""), 5, 0, "user", 0 },
        { "{\"type\":null,\"role\":\"user\",\"content\":null}", 0, 0, "user", 0 },
        { "{\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\",\"refusal\":\"123\"}]}", 3, 0,
          "assistant", 0 },
        { CALL, 6 + 2, 0, "assistant", 0 },
        { "{\"type\":\"custom_tool_call\",\"name\":\"ab\",\"input\":\"123\"}", 5, 0, "assistant",
          0 },
        { OUTPUT, 5, 0, "tool", 1 },
        { "{\"type\":\"function_call_output\",\"output\":[{\"type\":\"input_text\",\"text\":"
          "\"1234\"},{\"type\":\"input_image\",\"image_url\":\"http://x\"}]}",
          4, 1000, "tool", 1 },
        { "{\"type\":\"computer_call_output\",\"output\":{\"type\":\"computer_screenshot\"}}", 0, 0,
          "tool", 1 },
        { "{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"123\"}],"
          "\"content\":[{\"type\":\"reasoning_text\",\"text\":\"45\"}],\"encrypted_content\":"
          "\"AAAAAAAA\"}",
          5, 0, "assistant", 0 },
        { "{\"type\":\"local_shell_call\",\"action\":{\"a\":\"12\"}}", 2 + 1 + 4 + 4, 0,
          "assistant", 0 },
        { "{\"type\":\"item_reference\",\"id\":\"x\"}", 0, 0, "assistant", 0 },
        { USER("[{\"type\":\"input_file\",\"file_data\":\"data:application/"
               "pdf;base64,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]"),
          0, 1, "user", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unit_reads(arena_printf(&arena, "{\"model\":\"m\",\"input\":[%s]}", cases[i].item).at);
        assert_int_equal(facts.input_bytes, cases[i].bytes);
        assert_int_equal(facts.input_tokens, (cases[i].bytes + 3) / 4 + 4 + cases[i].more);
        assert_span(facts.last_role, cases[i].role);
        assert_int_equal(facts.tool_results, cases[i].results);
    }
}

static void sees_what_is_used(void **state) {
    static const struct {
        const char *text;
        uint32_t uses;
    } cases[] = {
        { WITH("\"tools\":[]"), 0 },
        { WITH("\"text\":{\"format\":{\"type\":\"json_object\"}}"), 0 },
        { WITH("\"text\":{\"verbosity\":\"low\"}"), 0 },
        { WITH("\"reasoning\":{}"), 0 },
        { WITH("\"reasoning\":null"), 0 },
        { WITH("\"reasoning\":{\"effort\":\"none\",\"summary\":\"auto\"}"), 0 },
        { WITH("\"reasoning\":{\"effort\":null,\"summary\":\"auto\"}"), ABILITY_REASONING },
        { WITH("\"reasoning\":{\"effort\":\"low\"}"), ABILITY_REASONING },
        { ITEMS(USER("[{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"UklG\"}}]")),
          ABILITY_AUDIO },
        { ITEMS(USER("[{\"type\":\"input_file\",\"file_id\":\"f\"}]")), ABILITY_FILES },
        { ITEMS(USER("[{\"type\":\"input_image\",\"file_id\":\"f\"}]")), ABILITY_IMAGES },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unit_reads(cases[i].text);
        assert_int_equal(facts.uses, ABILITY_CHAT | cases[i].uses);
    }
}

static void reads_tool_choices(void **state) {
    static const char *const cases[][2] = {
        { "\"required\"", "required" },
        { "{\"type\":\"custom\",\"name\":\"p\"}", "p" },
        { "{\"type\":\"allowed_tools\",\"mode\":\"auto\",\"tools\":[]}", "auto" },
        { "{\"type\":\"web_search\"}", NULL },
        { "null", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unit_reads(arena_printf(&arena, "{\"model\":\"m\",\"input\":\"Hi\",\"tool_choice\":%s}",
                                cases[i][0])
                       .at);
        assert_span(facts.tool_choice, cases[i][1]);
    }
}

/* Where the provider holds the conversation, nothing new need be said. */
static void an_input_may_lie_elsewhere(void **state) {
    unit_reads("{\"model\":\"m\",\"previous_response_id\":\"resp_1\"}");
    unit_reads("{\"model\":\"m\",\"prompt\":{\"id\":\"p\"},\"input\":[]}");
    unit_reads("{\"model\":\"m\",\"conversation\":\"conv_1\"}");
    unit_refuses("{\"model\":\"m\",\"previous_response_id\":null}", "input");
}

static void names_what_is_wrong(void **state) {
    static const char *const cases[][2] = {
        { "{\"model\":\"m\"}", "input" },
        { ITEMS(""), "input" },
        { "{\"model\":\"m\",\"input\":{}}", "input" },
        { ITEMS("\"hi\""), "input[0]" },
        { ITEMS(USER("\"a\"") ",{\"content\":\"b\"}"), "input[1].role" },
        { ITEMS(USER("7")), "input[0].content" },
        { ITEMS(USER("[7]")), "input[0].content" },
        { ITEMS("{\"type\":7}"), "input[0].type" },
        { ITEMS("{\"type\":\"function_call_output\",\"output\":7}"), "input[0].output" },
        { ITEMS("{\"type\":\"function_call_output\",\"output\":[\"a\"]}"), "input[0].output" },
        { WITH("\"instructions\":[]"), "instructions" },
        { WITH("\"max_output_tokens\":0"), "max_output_tokens" },
        { WITH("\"tools\":{}"), "tools" },
        { WITH("\"tools\":[1]"), "tools[0]" },
        { WITH("\"text\":\"json\""), "text" },
        { WITH("\"reasoning\":\"high\""), "reasoning" },
        { WITH("\"include\":[1]"), "include" },
        { WITH("\"store\":\"no\""), "store" },
        { WITH("\"stream\":true,\"stream_options\":true"), "stream_options" },
        { WITH("\"background\":true"), "background" },
        { WITH("\"previous_response_id\":7"), "previous_response_id" },
        { WITH("\"input\":\"again\""), "input" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        unit_refuses(cases[i][0], cases[i][1]);
    unit_reads(WITH("\"background\":false"));
}

/* What only Chat Completions calls so is another field here, and goes up. */
static void leaves_to_the_provider_what_is_its_own(void **state) {
    unit_reads(
        WITH("\"messages\":7,\"max_tokens\":\"x\",\"moderation\":{},\"truncation\":\"odd\""));
    assert_int_equal(facts.max_tokens, 0);
    unit_builds(WITH("\"stream\":true,\"stream_options\":{\"include_obfuscation\":false}"),
                SPAN("up"), NULL, 0, true,
                "{\"model\":\"up\",\"input\":\"Hi\",\"stream\":true,\"stream_options\":{\"include_"
                "obfuscation\":false}}");
}

static void knows_whose_thoughts_it_holds(void **state) {
    unit_reads(ITEMS(USER("\"hi\"") "," CALL));
    assert_int_equal(facts.signed_by, DIALECT_NONE);
    unit_reads(ITEMS("{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"gAAA\"}"));
    assert_int_equal(facts.signed_by, DIALECT_OPENAI_RESPONSES);
    unit_reads(ITEMS("{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":"
                     "\"pl1.anthropic_messages.signature.claude.Eq\"}"));
    assert_int_equal(facts.signed_by, DIALECT_ANTHROPIC_MESSAGES);
    assert_span(facts.signed_model, "claude");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_an_agents_request),
        cmocka_unit_test(f20_counts_every_item),
        cmocka_unit_test(weighs_items),
        cmocka_unit_test(sees_what_is_used),
        cmocka_unit_test(reads_tool_choices),
        cmocka_unit_test(an_input_may_lie_elsewhere),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(leaves_to_the_provider_what_is_its_own),
        cmocka_unit_test(knows_whose_thoughts_it_holds),
    };
    return cmocka_run_group_tests(tests, unit_set_up, unit_tear_down);
}
