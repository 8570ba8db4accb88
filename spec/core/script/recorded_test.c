/* A recorded line is facts again; a line that anybody may have written, too. */
#include "support/unit.h"

#include "base/ability.h"
#include "script/recorded.h"

#include <math.h>

static struct arena arena;
static struct json_parser *parser;
static struct snapshot *snap;
static struct facts facts;

static int set_up(void **state) {
    arena_init(&arena, 1024);
    parser = json_parser_new();
    snap = snapshot_new();
    struct assignment *a = arena_new_array(&snap->arena, struct assignment, 4);
    a[1] = (struct assignment){ .scope = snapshot_scope_of(SPAN("tier")), .name = SPAN("paid") };
    a[2] = (struct assignment){ .scope = ASSIGNED_KEY, .name = SPAN("ci") };
    a[3] = (struct assignment){ .scope = ASSIGNED_PROJECT, .name = SPAN("shop") };
    snap->config.assignments = a;
    snap->config.n_assignments = 4;
    snapshot_seal(snap);
    return 0;
}

static int tear_down(void **state) {
    snapshot_unref(snap);
    json_parser_free(parser);
    arena_deinit(&arena);
    return 0;
}

static void read(const char *line) {
    struct json_value root;
    assert_int_equal(json_parse(parser, span_of(line), &root), JSON_OK);
    recorded_facts(root, snap, &arena, &facts);
}

static void a_line_is_facts(void **state) {
    read("{\"id\":\"01A\",\"assignment\":{\"scope\":\"tier\",\"name\":\"paid\"},\"req\":{\"model\":"
         "\"gpt-4o\",\"models\":[\"a\",\"b\"],\"endpoint\":\"/v1/messages\",\"dialect\":"
         "\"anthropic_messages\",\"stream\":true,\"strict\":true,\"headers\":{\"x-route-tier\":"
         "\"paid\"},\"tier\":\"paid\",\"user\":\"u\",\"session\":\"s\",\"last_targets\":[{\"id\":"
         "\"p/m\",\"cached_tokens\":90}],\"tags\":{\"eu\":true,\"us\":false},\"tokens\":{\"input\":"
         "812,\"output\":40},\"max_tokens\":50,\"uses\":{\"tools\":true},\"chat\":true,"
         "\"tool_names\":[\"t\"],\"tool_choice\":\"auto\",\"last\":{\"role\":\"tool\","
         "\"tool_results\":2},\"turns\":3,\"limits\":{\"max_cost_usd\":0.5,\"max_latency_ms\":9,"
         "\"deadline_ms\":8},\"seed\":\"18446744073709551615\",\"now\":1790000000.131}}");
    assert_span(facts.id, "01A");
    assert_int_equal(facts.assignment, 2);
    assert_span(facts.model, "gpt-4o");
    assert_int_equal(facts.n_models, 2);
    assert_span(facts.models[1], "b");
    assert_int_equal(facts.dialect, DIALECT_ANTHROPIC_MESSAGES);
    assert_true(facts.stream && facts.strict);
    assert_int_equal(facts.n_headers, 1);
    assert_span(facts.headers[0].value, "paid");
    assert_int_equal(facts.n_last_targets, 1);
    assert_int_equal(facts.last_targets[0].cached_tokens, 90);
    assert_int_equal(facts.n_tags, 1);
    assert_span(facts.tags[0], "eu");
    assert_int_equal(facts.input_tokens, 812);
    assert_int_equal(facts.max_tokens, 50);
    assert_int_equal(facts.uses, ABILITY_CHAT | ABILITY_TOOLS);
    assert_int_equal(facts.tool_results, 2);
    assert_true(facts.max_cost_usd == 0.5);
    assert_int_equal(facts.deadline_ms, 8);
    assert_true(facts.seed == UINT64_MAX);
    assert_true(facts.now_ms == 1790000000131);
    assert_null(facts.text.at);
}

static void who_asked_and_what_was_left(void **state) {
    read("{\"req\":{\"key\":{\"id\":\"ci\",\"name\":\"CI\",\"tags\":{\"a\":true},\"metadata\":"
         "\"{\\\"team\\\":1}\",\"project\":\"shop\"},\"budget\":{\"left_usd\":1.234567891,"
         "\"used\":0.8,\"free_left\":3},\"input_bytes\":4000,\"answers\":2}}");
    assert_span(facts.key->id, "ci");
    assert_span(facts.key->name, "CI");
    assert_span(facts.key->tags[0], "a");
    assert_span(facts.key->metadata, "{\"team\":1}");
    assert_span(facts.project->name, "shop");
    assert_true(facts.budget_left == 1234567891);
    assert_true(facts.budget_used == 0.8);
    assert_int_equal(facts.free_left, 3);
    assert_int_equal(facts.input_bytes, 4000);
    assert_int_equal(facts.answers, 2);
    read("{\"req\":{\"key\":{\"project\":\"shop\"}}}");
    assert_null(facts.key);
    assert_span(facts.project->name, "shop");
}

static void an_assignment_to_a_key_or_project_is_found_by_name(void **state) {
    read("{\"assignment\":{\"scope\":\"key\",\"name\":\"ci\"}}");
    assert_int_equal(facts.assignment, 3);
    read("{\"assignment\":{\"scope\":\"project\",\"name\":\"shop\"}}");
    assert_int_equal(facts.assignment, 4);
    read("{\"assignment\":{\"scope\":\"project\",\"name\":\"gone\"}}");
    assert_int_equal(facts.assignment, 0);
}

static void what_is_missing_is_as_in_a_request_that_says_nothing(void **state) {
    read("{}");
    assert_span(facts.model, "auto");
    assert_int_equal(facts.uses, ABILITY_CHAT);
    assert_true(isinf(facts.max_cost_usd));
    assert_true(facts.budget_left == INT64_MAX);
    assert_null(facts.key);
    assert_span(facts.project->name, "default");
    assert_int_equal(facts.assignment, 0);
    read("{\"req\":{\"chat\":false}}");
    assert_int_equal(facts.uses, 0);
}

static void other_types_say_nothing_either(void **state) {
    static const char *const values[] = { "1",      "-1e300", "1e300",     "\"x\"", "[]",
                                          "[1,{}]", "{}",     "{\"a\":1}", "true",  "null" };
    static const char *const names[] = { "model",  "models", "headers",    "last_targets",
                                         "tags",   "tokens", "max_tokens", "uses",
                                         "chat",   "last",   "limits",     "seed",
                                         "now",    "turns",  "dialect",    "key",
                                         "budget", "signed" };
    char line[200];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
            snprintf(line, sizeof line, "{\"assignment\":%s,\"req\":{\"%s\":%s}}", values[j],
                     names[i], values[j]);
            read(line);
            assert_non_null(facts.model.at);
            assert_true(facts.max_cost_usd >= 0);
            assert_int_equal(facts.assignment, 0);
            assert_true(facts.budget_left >= 0);
            assert_non_null(facts.project);
            assert_true(facts.now_ms <= UINT64_C(100000000000000));
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_facts),
        cmocka_unit_test(who_asked_and_what_was_left),
        cmocka_unit_test(an_assignment_to_a_key_or_project_is_found_by_name),
        cmocka_unit_test(what_is_missing_is_as_in_a_request_that_says_nothing),
        cmocka_unit_test(other_types_say_nothing_either),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
