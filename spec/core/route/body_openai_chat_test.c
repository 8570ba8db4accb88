/* Chat Completions: what is read out of a client's body, what is refused, and what goes up in its
 * place. */
#include "body_unit.h"

static enum dialect unit_dialect(void) {
    return DIALECT_OPENAI_CHAT;
}

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"
#define WITH(more) "{\"model\":\"gpt-4o\"," HI "," more "}"

/* --- facts --- */

static void reads_the_smallest_request(void **state) {
    unit_reads("{\"model\":\"gpt-4o\"," HI "}");
    assert_span(facts.model, "gpt-4o");
    assert_int_equal(facts.n_models, 0);
    assert_false(facts.stream);
    assert_int_equal(facts.uses, ABILITY_CHAT);
    assert_int_equal(facts.max_tokens, 0);
    assert_int_equal(facts.turns, 1);
    assert_span(facts.last_role, "user");
    assert_span(facts.text, "Hi");
    assert_span(facts.system, NULL);
    assert_span(facts.user, NULL);
    assert_span(facts.session, NULL);
    assert_span(facts.tool_choice, NULL);
    assert_int_equal(facts.tool_results, 0);
    assert_int_equal(facts.input_tokens, 1 + 4);
    assert_false(body.stream);
    assert_false(body.asks_usage);
}

static void reads_an_agents_request(void **state) {
    unit_reads(
        "{\"mod\\u0065l\":\"gpt-4o\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
        "\"max_tokens\":50,"
        "\"max_completion_tokens\":70,\"n\":2,\"prompt_cache_key\":\"s1\",\"user\":\"u\",\"safety_"
        "identifier\":\"si\","
        "\"reasoning_effort\":\"high\",\"response_format\":{\"type\":\"json_schema\",\"json_"
        "schema\":{}},"
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"search\",\"parameters\":{}}},"
        "{\"type\":\"custom\",\"custom\":{\"name\":\"patch\"}}],"
        "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"search\"}},"
        "\"messages\":[{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"Be\"},{"
        "\"type\":\"text\",\"text\":"
        "\"brief\"}]},{\"role\":\"system\",\"content\":\"second\"},{\"role\":\"user\",\"content\":"
        "\"one\"},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"two\"},{\"type\":\"image_"
        "url\",\"image_url\":"
        "{\"url\":\"http://x/"
        "y.png\"}}]},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\"},"
        "{\"id\":\"c2\"}]},{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"r1\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":[{\"type\":\"text\",\"text\":"
        "\"r2\"}]}]}");
    assert_span(facts.model, "gpt-4o");
    assert_true(facts.stream);
    assert_true(body.asks_usage);
    assert_int_equal(facts.max_tokens, 70);
    assert_int_equal(facts.output_tokens, 140);
    assert_span(facts.session, "s1");
    assert_span(facts.user, "si");
    assert_int_equal(facts.uses, ABILITY_CHAT | ABILITY_TOOLS | ABILITY_IMAGES |
                                     ABILITY_JSON_SCHEMA | ABILITY_REASONING);
    assert_int_equal(facts.n_tool_names, 2);
    assert_span(facts.tool_names[0], "search");
    assert_span(facts.tool_names[1], "patch");
    assert_span(facts.tool_choice, "search");
    assert_span(facts.last_role, "tool");
    assert_int_equal(facts.tool_results, 2);
    assert_int_equal(facts.turns, 2);
    assert_span(facts.text, "two");
    assert_span(facts.system, "Be\nbrief");
}

static void sees_what_is_used(void **state) {
    static const struct {
        const char *text;
        uint32_t uses;
    } cases[] = {
        { WITH("\"tools\":[]"), 0 },
        { WITH("\"functions\":[{\"name\":\"f\"}]"), ABILITY_TOOLS },
        { WITH("\"response_format\":{\"type\":\"json_object\"}"), 0 },
        { WITH("\"reasoning_effort\":\"none\""), 0 },
        { WITH("\"reasoning_effort\":\"low\""), ABILITY_REASONING },
        { WITH("\"reasoning\":{\"effort\":\"high\"}"), ABILITY_REASONING },
        { WITH("\"reasoning\":{\"enabled\":false}"), 0 },
        { WITH("\"reasoning\":null"), 0 },
        { WITH("\"modalities\":[\"text\",\"audio\"]"), ABILITY_AUDIO },
        { WITH("\"modalities\":[\"text\"]"), 0 },
        { "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_"
          "audio\",\"input_audio\":{\"data\":"
          "\"UklG\",\"format\":\"wav\"}}]}]}",
          ABILITY_AUDIO },
        { "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\","
          "\"file\":{\"file_id\":\"f\"}}]}]}",
          ABILITY_FILES },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unit_reads(cases[i].text);
        assert_int_equal(facts.uses, ABILITY_CHAT | cases[i].uses);
    }
}

static void reads_tool_choices(void **state) {
    static const struct {
        const char *text, *choice;
    } cases[] = {
        { WITH("\"tool_choice\":\"required\""), "required" },
        { WITH("\"tool_choice\":{\"type\":\"custom\",\"custom\":{\"name\":\"p\"}}"), "p" },
        { WITH("\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\","
               "\"tools\":[]}}"),
          "auto" },
        { WITH("\"function_call\":{\"name\":\"old\"}"), "old" },
        { WITH("\"function_call\":\"none\""), "none" },
        { WITH("\"tool_choice\":null"), NULL },
        { WITH("\"tool_choice\":{}"), NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unit_reads(cases[i].text);
        assert_span(facts.tool_choice, cases[i].choice);
    }
}

static void takes_null_for_absent(void **state) {
    unit_reads(
        WITH("\"stream\":null,\"stream_options\":null,\"max_tokens\":null,\"n\":null,\"tools\":"
             "null,\"stop\":null,"
             "\"user\":null,\"models\":null,\"temperature\":null,\"metadata\":null,\"response_"
             "format\":null"));
    assert_false(facts.stream);
    assert_int_equal(facts.max_tokens, 0);
    assert_int_equal(facts.n_tool_names, 0);
    assert_span(facts.user, NULL);
    assert_int_equal(facts.n_models, 0);
}

static void takes_the_first_user_there_is(void **state) {
    unit_reads(WITH("\"metadata\":{\"user_id\":\"m\"}"));
    assert_span(facts.user, "m");
    unit_reads(WITH("\"metadata\":{\"user_id\":\"m\"},\"user\":\"u\""));
    assert_span(facts.user, "u");
    unit_reads(WITH("\"user\":\"\",\"metadata\":{\"user_id\":7}"));
    assert_span(facts.user, NULL);
}

static void reads_the_clients_own_list(void **state) {
    unit_reads(WITH("\"models\":[\"a\",\"b/c\"]"));
    assert_span(facts.model, "gpt-4o");
    assert_int_equal(facts.n_models, 2);
    assert_span(facts.models[1], "b/c");
    unit_reads("{\"models\":[\"first\",\"second\"]," HI "}");
    assert_span(facts.model, "first");
    unit_reads(WITH("\"models\":[]"));
    assert_int_equal(facts.n_models, 0);
}

static void keeps_what_the_head_said(void **state) {
    const struct span named[] = { SPAN("from-head") };
    facts = (struct facts){
        .dialect = DIALECT_OPENAI_CHAT, .session = SPAN("head"), .models = named, .n_models = 1
    };
    struct span text = SPAN("{\"models\":[\"a\",\"b\"],\"prompt_cache_key\":\"body\"," HI "}");
    assert_true(body_read(parser, text, &facts, &arena, &body, &error));
    assert_span(facts.session, "head");
    assert_int_equal(facts.n_models, 1);
    assert_span(facts.models[0], "from-head");
    assert_span(facts.model, "from-head");
}

static void estimates_tokens(void **state) {
    struct buf b = { 0 };
    buf_add(&b, SPAN("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\""));
    for (int i = 0; i < 400; i++)
        buf_add(&b, SPAN("0123456789"));
    buf_add(&b, SPAN("\"}]}"));
    assert_true(unit_read(buf_span(&b)));
    assert_int_equal(facts.input_tokens, 1000 + 4);
    assert_true(facts.output_tokens > 0);
    buf_deinit(&b);
    unit_reads(
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
        "\"image_url\":{\"url\":\"data:"
        "image/"
        "png;base64,"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}}]}]}");
    assert_int_equal(facts.input_tokens, 1000 + 4); /* a picture, not its base64 */
    unit_reads(WITH("\"max_tokens\":9223372036854775807,\"n\":9223372036854775807"));
    assert_int_equal(facts.max_tokens, UINT32_MAX); /* no sum of it overflows */
}

static void bounds_texts_between_characters(void **state) {
    struct buf b = { 0 };
    buf_add(&b, SPAN("{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":[{\"type\":"
                     "\"text\",\"text\":\"a\"},"
                     "{\"type\":\"text\",\"text\":\""));
    for (int i = 0; i < 6000; i++)
        buf_add(&b, SPAN("\xe2\x82\xac"));
    buf_add(&b, SPAN("\"}]},{\"role\":\"user\",\"content\":\""));
    for (int i = 0; i < 6000; i++)
        buf_add(&b, SPAN("\xe2\x82\xac"));
    buf_add(&b, SPAN("\"}]}"));
    assert_true(unit_read(buf_span(&b)));
    assert_int_equal(facts.text.len, FACTS_TEXT_MAX / 3 * 3);
    assert_int_equal(facts.system.len, 2 + (FACTS_TEXT_MAX - 2) / 3 * 3);
    buf_deinit(&b);
}

static void last_user_text_is_the_last_with_text(void **state) {
    unit_reads(
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"question\"},{\"role\":"
        "\"assistant\",\"content\":\"a\"},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"http:"
        "//x\"}}]}]}");
    assert_span(facts.text, "question");
    assert_int_equal(facts.turns, 2);
}

/* --- refusals --- */

static void names_what_is_wrong(void **state) {
    static const struct {
        const char *text, *param;
    } cases[] = {
        { "", NULL },
        { "not json", NULL },
        { "{\"model\":\"m\",", NULL },
        { "[]", NULL },
        { "\"model\"", NULL },
        { "{}", "model" },
        { "{" HI "}", "model" },
        { "{\"model\":null," HI "}", "model" },
        { "{\"model\":7," HI "}", "model" },
        { "{\"model\":\"\"," HI "}", "model" },
        { "{\"model\":\"a\\r\\nx-evil: 1\"," HI "}", "model" },
        { "{\"model\":\"a\\u0000\"," HI "}", "model" },
        { "{\"model\":\"m\"}", "messages" },
        { "{\"model\":\"m\",\"messages\":null}", "messages" },
        { "{\"model\":\"m\",\"messages\":{}}", "messages" },
        { "{\"model\":\"m\",\"messages\":\"hi\"}", "messages" },
        { "{\"model\":\"m\",\"messages\":[]}", "messages" },
        { "{\"model\":\"m\",\"messages\":[\"hi\"]}", "messages[0]" },
        { "{\"model\":\"m\",\"messages\":[{\"content\":\"hi\"}]}", "messages[0].role" },
        { "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":7}]}",
          "messages[1].role" },
        { "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":7}]}",
          "messages[0].content" },
        { "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[\"a\"]}]}",
          "messages[0].content" },
        { "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\"}}]}",
          "messages[0].content" },
        { WITH("\"models\":\"a\""), "models" },
        { WITH("\"models\":[\"a\",7]"), "models[1]" },
        { WITH("\"stream\":\"true\""), "stream" },
        { WITH("\"stream\":1"), "stream" },
        { WITH("\"stream_options\":true"), "stream_options" },
        { WITH("\"n\":1.5"), "n" },
        { WITH("\"n\":0"), "n" },
        { WITH("\"max_tokens\":0"), "max_tokens" },
        { WITH("\"max_tokens\":-1"), "max_tokens" },
        { WITH("\"max_tokens\":\"100\""), "max_tokens" },
        { WITH("\"max_tokens\":1e999"), "max_tokens" },
        { WITH("\"max_completion_tokens\":2.5"), "max_completion_tokens" },
        { WITH("\"temperature\":\"hot\""), "temperature" },
        { WITH("\"top_p\":true"), "top_p" },
        { WITH("\"tools\":{}"), "tools" },
        { WITH("\"tools\":[\"search\"]"), "tools[0]" },
        { WITH("\"functions\":[{\"name\":\"f\"},1]"), "functions[1]" },
        { WITH("\"tool_choice\":7"), "tool_choice" },
        { WITH("\"stop\":7"), "stop" },
        { WITH("\"stop\":[\"a\",7]"), "stop" },
        { WITH("\"response_format\":\"json\""), "response_format" },
        { WITH("\"user\":7"), "user" },
        { WITH("\"metadata\":[]"), "metadata" },
        { WITH("\"logit_bias\":[]"), "logit_bias" },
        { WITH("\"model\":\"again\""), "model" },
        { WITH("\"m\\u006fdel\":\"again\""), "model" },
        { WITH("\"temperature\":1,\"temperature\":2"), "temperature" },
        { WITH("\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_usage\":"
               "false}"),
          "stream_options.include_usage" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        unit_refuses(cases[i].text, cases[i].param);
}

static void leaves_to_the_provider_what_is_its_own(void **state) {
    unit_reads(WITH("\"x\":1,\"x\":2")); /* nothing we read */
    unit_reads(
        WITH("\"temperature\":99,\"service_tier\":\"gold\",\"thinking\":{\"type\":\"disabled\"}"));
    unit_reads(WITH("\"seed\":123456789012345678901234567890"));
    unit_reads("{\"model\":\"m\",\"messages\":[{\"role\":\"critic\",\"content\":[{\"type\":"
               "\"hologram\"}]}]}");
    unit_reads("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\\ud83d\"}]}");
}

static void refuses_every_cut(void **state) {
    unit_refuses_every_cut(
        WITH("\"stream\":true,\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"));
}

static void refuses_depth(void **state) {
    struct buf b = { 0 };
    buf_add(&b, SPAN("{\"model\":\"m\"," HI ",\"x\":"));
    for (int i = 0; i < 100000; i++)
        buf_add_char(&b, '[');
    assert_false(unit_read(buf_span(&b)));
    for (int i = 0; i < 100000; i++)
        buf_add_char(&b, ']');
    buf_add_char(&b, '}');
    assert_false(unit_read(buf_span(&b)));
    assert_non_null(memmem(error.message.at, error.message.len, "256", 3));
    buf_deinit(&b);
}

/* --- what goes up --- */

static void changes_only_the_model(void **state) {
    unit_builds("{ \"x\": [1 , 2.0],\"model\" : \"gpt-4o\" ,\n " HI ", \"y\":{\"b\":1e2}}\n",
                SPAN("vendor/gpt\"4o"), NULL, 0, true,
                "{ \"x\": [1 , 2.0],\"model\" : \"vendor/gpt\\\"4o\" ,\n " HI
                ", \"y\":{\"b\":1e2}}\n");
}

/* What a vendor added to the dialect goes up as it came: a switch that is lost is a model that
 * thinks, and a bill for it. */
static void f12_passes_a_vendors_switches(void **state) {
    unit_builds(WITH("\"thinking\":{\"type\":\"disabled\"},\"enable_thinking\":false,\"top_k\":3"),
                SPAN("up"), NULL, 0, false,
                "{\"model\":\"up\"," HI ",\"thinking\":{\"type\":\"disabled\"},"
                "\"enable_thinking\":false,\"top_k\":3}");
}

static void f20_counts_every_message(void **state) {
    unit_reads("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"0123456789\"},"
               "{\"role\":\"assistant\",\"content\":\"0123456789\"},{\"role\":\"user\","
               "\"content\":\"01\"}]}");
    assert_int_equal(facts.input_bytes, 22);
    assert_int_equal(facts.input_tokens, 6 + 3 * 4);
    assert_int_equal(facts.turns, 2);
    assert_span(facts.text, "01");
}

static void takes_router_fields_out(void **state) {
    unit_builds("{\"models\":[\"a\",\"b\"]," HI ",\"route\":\"fallback\"}", SPAN("up"), NULL, 0,
                false, "{" HI ",\"model\":\"up\"}");
    unit_builds("{\"route\":1,\"model\":\"m\",\"mod\\u0065ls\":[\"a\"]," HI "}", SPAN("up"), NULL,
                0, false, "{\"model\":\"up\"," HI "}");
}

static void asks_for_usage(void **state) {
    unit_builds(WITH("\"stream\":true"), SPAN("up"), NULL, 0, true,
                "{\"model\":\"up\"," HI
                ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    unit_builds(WITH("\"stream\":true"), SPAN("up"), NULL, 0, false,
                "{\"model\":\"up\"," HI ",\"stream\":true}");
    unit_builds(WITH("\"stream\":false"), SPAN("up"), NULL, 0, true,
                "{\"model\":\"up\"," HI ",\"stream\":false}");
    unit_builds(WITH("\"stream_options\" : { \"include_obfuscation\" : false } ,\"stream\":true"),
                SPAN("up"), NULL, 0, true,
                "{\"model\":\"up\"," HI
                ",\"stream_options\" : { \"include_obfuscation\" : false,\"include_usage\":true } ,"
                "\"stream\":true}");
    assert_false(body.asks_usage);
    unit_builds(WITH("\"stream_options\":{\"include_usage\": false,\"x\":1},\"stream\":true"),
                SPAN("up"), NULL, 0, true,
                "{\"model\":\"up\"," HI
                ",\"stream_options\":{\"include_usage\": true,\"x\":1},\"stream\":true}");
    unit_builds(WITH("\"stream_options\":{ \"include_usage\" :true},\"stream\":true"), SPAN("up"),
                NULL, 0, true,
                "{\"model\":\"up\"," HI
                ",\"stream_options\":{ \"include_usage\" :true},\"stream\":true}");
    assert_true(body.asks_usage);
    unit_builds(WITH("\"stream_options\":null,\"stream\":true"), SPAN("up"), NULL, 0, true,
                "{\"model\":\"up\"," HI
                ",\"stream_options\":{\"include_usage\":true},\"stream\":true}");
}

static void applies_params(void **state) {
    const struct pair params[] = {
        { SPAN("temperature"), SPAN("0") }, { SPAN("top_k"), SPAN("40") },
        { SPAN("user"), SPAN_NONE },        { SPAN("thinking"), SPAN("{\"a\":[]}") },
        { SPAN("gone"), SPAN_NONE },
    };
    unit_builds(
        WITH("\"temperature\":1.5,\"user\":\"u\",\"top_k\" : 1"), SPAN("up"), params, 5, false,
        "{\"model\":\"up\"," HI ",\"temperature\":0,\"top_k\" : 40,\"thinking\":{\"a\":[]}}");
    unit_builds("{\"model\":\"m\"," HI "}", SPAN("up"), params, 5, false,
                "{\"model\":\"up\"," HI ",\"temperature\":0,\"top_k\":40,\"thinking\":{\"a\":[]}}");
}

static void keeps_reserved_fields_from_params(void **state) {
    const struct pair params[] = {
        { SPAN("model"), SPAN("\"evil\"") },    { SPAN("stream"), SPAN("false") },
        { SPAN("stream_options"), SPAN_NONE },  { SPAN("route"), SPAN("1") },
        { SPAN("models"), SPAN("[\"evil\"]") },
    };
    unit_builds(WITH("\"stream\":true"), SPAN("up"), params, 5, true,
                "{\"model\":\"up\"," HI
                ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
}

static void bounds_under_the_clients_name(void **state) {
    const struct pair old[] = { { SPAN("max_tokens"), SPAN("9") } };
    const struct pair new[] = { { SPAN("max_completion_tokens"), SPAN("9") } };
    unit_builds(WITH("\"max_completion_tokens\":100"), SPAN("up"), old, 1, false,
                "{\"model\":\"up\"," HI ",\"max_completion_tokens\":9}");
    unit_builds(WITH("\"max_tokens\":100"), SPAN("up"), new, 1, false,
                "{\"model\":\"up\"," HI ",\"max_tokens\":9}");
    unit_builds("{\"model\":\"m\"," HI "}", SPAN("up"), old, 1, false,
                "{\"model\":\"up\"," HI ",\"max_tokens\":9}");
    unit_builds("{\"model\":\"m\"," HI "}", SPAN("up"), new, 1, false,
                "{\"model\":\"up\"," HI ",\"max_completion_tokens\":9}");
}

static void of_two_bounds_the_larger_counts(void **state) {
    unit_reads(WITH("\"max_tokens\":100,\"max_completion_tokens\":1"));
    assert_int_equal(facts.max_tokens, 100);
    unit_reads(WITH("\"max_tokens\":1,\"max_completion_tokens\":100"));
    assert_int_equal(facts.max_tokens, 100);
}

static void a_new_bound_takes_the_place_of_two(void **state) {
    const struct pair params[] = { { SPAN("max_tokens"), SPAN("9") } };
    const struct pair new[] = { { SPAN("max_completion_tokens"), SPAN("9") } };
    const char *both = WITH("\"max_tokens\":100,\"max_completion_tokens\":1");
    unit_builds(both, SPAN("up"), params, 1, false, "{\"model\":\"up\"," HI ",\"max_tokens\":9}");
    unit_builds(both, SPAN("up"), new, 1, false,
                "{\"model\":\"up\"," HI ",\"max_completion_tokens\":9}");
}

static void what_answers_come_to_has_an_end(void **state) {
    unit_reads(WITH("\"max_tokens\":4294967295,\"n\":4294967295"));
    assert_int_equal(facts.output_tokens, INT64_C(1) << 53);
}

static void a_later_param_replaces_an_earlier(void **state) {
    const struct pair params[] = { { SPAN("top_k"), SPAN("1") },
                                   { SPAN("seed"), SPAN("1") },
                                   { SPAN("top_k"), SPAN("2") },
                                   { SPAN("seed"), SPAN("2") } };
    unit_builds("{\"model\":\"m\"," HI "}", SPAN("up"), params, 4, false,
                "{\"model\":\"up\"," HI ",\"top_k\":2,\"seed\":2}");
}

static void can_be_built_again(void **state) {
    const struct pair params[] = { { SPAN("top_k"), SPAN("1") } };
    struct buf a = { 0 }, b = { 0 };
    struct json_value other;
    unit_reads(WITH("\"stream\":true"));
    assert_int_equal(body_build(parser, &body, SPAN("up"), params, 1, true, &a), 0);
    assert_int_equal(json_parse(parser, SPAN("[1,2,3]"), &other), 0); /* an answer came between */
    assert_int_equal(body_build(parser, &body, SPAN("up"), params, 1, true, &b), 0);
    assert_true(span_eq(buf_span(&a), buf_span(&b)));
    buf_deinit(&a);
    buf_deinit(&b);
}

static void tells_what_it_can_not_change(void **state) {
    const struct pair params[] = { { SPAN("x"), SPAN("1") } };
    struct buf out = { 0 };
    unit_reads(WITH("\"x\":1,\"x\":2"));
    assert_int_equal(body_build(parser, &body, SPAN("up"), params, 1, true, &out), JSON_DUPLICATE);
    assert_int_equal(out.len, 0);
    buf_deinit(&out);
}

#define THOUGHT(details)                                                                           \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_"        \
    "details\":[" details "]}]}"

static void knows_whose_thoughts_it_holds(void **state) {
    unit_reads(THOUGHT("{\"type\":\"reasoning.summary\",\"summary\":\"so\"},7"));
    assert_int_equal(facts.signed_by, DIALECT_NONE);
    unit_reads(THOUGHT("{\"type\":\"reasoning.text\",\"signature\":\"Eq\",\"format\":"
                       "\"anthropic_messages\",\"model\":\"claude-4.6\"}"));
    assert_int_equal(facts.signed_by, DIALECT_ANTHROPIC_MESSAGES);
    assert_span(facts.signed_model, "claude-4.6");
    unit_reads(
        THOUGHT("{\"type\":\"reasoning.encrypted\",\"data\":\"x\",\"format\":\"theirs-v1\"}"));
    assert_int_equal(facts.signed_by, DIALECT_OPENAI_CHAT);
    assert_null(facts.signed_model.at);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_smallest_request),
        cmocka_unit_test(reads_an_agents_request),
        cmocka_unit_test(sees_what_is_used),
        cmocka_unit_test(reads_tool_choices),
        cmocka_unit_test(takes_null_for_absent),
        cmocka_unit_test(takes_the_first_user_there_is),
        cmocka_unit_test(reads_the_clients_own_list),
        cmocka_unit_test(keeps_what_the_head_said),
        cmocka_unit_test(estimates_tokens),
        cmocka_unit_test(bounds_texts_between_characters),
        cmocka_unit_test(last_user_text_is_the_last_with_text),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(leaves_to_the_provider_what_is_its_own),
        cmocka_unit_test(knows_whose_thoughts_it_holds),
        cmocka_unit_test(refuses_every_cut),
        cmocka_unit_test(refuses_depth),
        cmocka_unit_test(changes_only_the_model),
        cmocka_unit_test(f12_passes_a_vendors_switches),
        cmocka_unit_test(f20_counts_every_message),
        cmocka_unit_test(takes_router_fields_out),
        cmocka_unit_test(asks_for_usage),
        cmocka_unit_test(applies_params),
        cmocka_unit_test(keeps_reserved_fields_from_params),
        cmocka_unit_test(bounds_under_the_clients_name),
        cmocka_unit_test(of_two_bounds_the_larger_counts),
        cmocka_unit_test(a_new_bound_takes_the_place_of_two),
        cmocka_unit_test(what_answers_come_to_has_an_end),
        cmocka_unit_test(a_later_param_replaces_an_earlier),
        cmocka_unit_test(can_be_built_again),
        cmocka_unit_test(tells_what_it_can_not_change),
    };
    return cmocka_run_group_tests(tests, unit_set_up, unit_tear_down);
}
