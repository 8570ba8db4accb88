/* A record through policies in their real states: what they decide, what becomes of those that do
 * not end. What is compared, and how, is in spec/lua/replay_spec.lua. */
#include "support/unit.h"

#include "base/ability.h"
#include "base/json.h"
#include "script/replay.h"

static struct snapshot *snap;
static struct vm_watchdog *watchdog;
static struct vm_guard *guard;
static struct json_parser *parser;
static struct buf out;

#define LITERAL(text)                                                                              \
    { text, sizeof(text) - 1 }

static const struct policy_source policies[] = {
    { .name = LITERAL("first"),
      .version = LITERAL("first@1"),
      .path = LITERAL("policies/first.lua"),
      .text = LITERAL("return function() return { 'local/m1', 'local/m2' } end") },
    { .name = LITERAL("steady"),
      .version = LITERAL("steady@1"),
      .path = LITERAL("policies/steady.lua"),
      .text =
          LITERAL("return function(req, fleet) return fleet:where(function(t) return t.state ~= "
                  "'open' end) end") },
    { .name = LITERAL("endless"),
      .version = LITERAL("endless@1"),
      .path = LITERAL("policies/endless.lua"),
      .text = LITERAL("return function() while true do end end") },
    { .name = LITERAL("reader"),
      .version = LITERAL("reader@1"),
      .path = LITERAL("policies/reader.lua"),
      .text = LITERAL("return function(req) return req.text and {} or { 'local/m1' } end") },
};

static int set_up(void **state) {
    snap = snapshot_new();
    struct provider *provider = arena_new(&snap->arena, struct provider);
    provider->name = SPAN("local");
    provider->dialect = DIALECT_OPENAI_CHAT;
    snap->providers = provider;
    snap->n_providers = 1;
    snap->targets = arena_new_array(&snap->arena, struct target, 2);
    snap->n_targets = 2;
    for (size_t i = 0; i < 2; i++) {
        struct target *t = &snap->targets[i];
        t->index = (unsigned)i;
        t->model = arena_printf(&snap->arena, "m%zu", i + 1);
        t->id = arena_printf(&snap->arena, "local/m%zu", i + 1);
        t->upstream = t->model;
        t->provider = provider;
        t->weight = 1;
        t->abilities = ABILITY_CHAT;
    }
    snap->policies = policies;
    snap->n_policies = sizeof policies / sizeof *policies;
    snap->config.policy_deadline_ms = 5;
    snap->config.policy_memory = 8 << 20;
    snapshot_seal(snap);
    watchdog = vm_watchdog_new();
    guard = vm_guard_open(watchdog);
    parser = json_parser_new();
    return 0;
}

static int tear_down(void **state) {
    json_parser_free(parser);
    vm_guard_close(guard);
    vm_watchdog_free(watchdog);
    snapshot_unref(snap);
    buf_deinit(&out);
    return 0;
}

/* A nano-dollar a token at the first target, two at the second. */
static nanousd cost(const struct target *target, int64_t input, int64_t output, int64_t cached,
                    int64_t written, uint64_t now_s) {
    return (input + output) * (target->index + 1);
}

#define FIGURES(at, state)                                                                         \
    "{\"kind\":\"figures\",\"at\":" #at ",\"target\":\"local/m1\",\"state\":\"" state "\"}"
#define REQUEST(at)                                                                                \
    "{\"kind\":\"request\",\"id\":\"r\",\"at\":" #at ",\"policy\":\"x@1\",\"req\":{},\"chain\":["  \
    "\"local/m1\",\"local/m2\"],\"attempts\":[{\"target\":\"local/m1\",\"ms\":1,\"input_tokens\":" \
    "10,\"output_tokens\":5}]}"

/* Runs `n` lines, `times` times; the report's root. */
static struct json_value run(const char *policy, const char *against, const char *const *lines,
                             size_t n, unsigned times) {
    const struct replay_limits none = { -1, -1, -1, -1 };
    struct replay_options options = { .policy = { snap, span_of(policy) },
                                      .against = { against ? snap : NULL, span_of(against) },
                                      .cost = cost,
                                      .chain_max = 32,
                                      .since = -1,
                                      .upto = -1,
                                      .show = 1 };
    struct json_value root;
    size_t passed;
    struct replay *r = replay_new(&options, guard);
    assert_non_null(r);
    for (unsigned t = 0; t < times; t++)
        for (size_t i = 0; i < n; i++)
            assert_true(replay_feed(r, span_of(lines[i])));
    buf_clear(&out);
    assert_true(replay_report(r, &none, true, &out, &passed));
    assert_int_equal(passed, 0);
    replay_free(r);
    assert_int_equal(json_parse(parser, buf_span(&out), &root), JSON_OK);
    return root;
}

static int64_t whole(struct json_value v, const char *name) {
    int64_t n = -1;
    json_int(json_get(v, name), &n);
    return n;
}

static void the_same_policy_changes_nothing(void **state) {
    static const char *const lines[] = { REQUEST(100), REQUEST(101) };
    struct json_value r = run("first", NULL, lines, 2, 1);
    assert_int_equal(whole(r, "requests"), 2);
    assert_int_equal(whole(r, "changed"), 0);
    assert_int_equal(whole(json_get(r, "cost"), "compared"), 2);
    assert_true(json_number(json_get(json_get(r, "cost"), "after_usd"), 0) == 30e-9);
}

static void figures_of_then_reach_the_policy(void **state) {
    static const char *const lines[] = { FIGURES(50, "open"), REQUEST(60), FIGURES(70, "closed"),
                                         REQUEST(80), REQUEST(65) };
    struct json_value r = run("steady", NULL, lines, 5, 1);
    assert_int_equal(whole(r, "changed"), 2);
    struct json_iter it = json_iter(json_get(r, "shown"));
    assert_true(json_next(&it));
    assert_int_equal(json_count(json_get(it.value, "after")), 1);
}

static void two_policies_are_compared(void **state) {
    static const char *const lines[] = { REQUEST(100) };
    struct json_value r = run("first", "steady", lines, 1, 1);
    assert_int_equal(whole(r, "changed"), 0);
    assert_span(json_text(json_get(r, "against")), "steady@1");
}

static void a_policy_that_never_ends_is_an_error_and_no_hang(void **state) {
    static const char *const lines[] = { REQUEST(100) };
    struct json_value errors = json_get(run("endless", NULL, lines, 1, 65), "errors");
    assert_int_equal(whole(errors, "count"), 65);
    assert_int_equal(whole(json_get(errors, "classes"), "timeout"), 50);
    assert_int_equal(whole(json_get(errors, "classes"), "not_asked"), 15);
}

static void a_policy_that_reads_the_text_is_not_replayable(void **state) {
    static const char *const lines[] = { REQUEST(100), REQUEST(101) };
    struct json_value r = run("reader", NULL, lines, 2, 1);
    assert_int_equal(whole(json_get(r, "left_out"), "read_text"), 2);
    assert_int_equal(whole(r, "requests"), 0);
}

static void broken_lines_are_counted(void **state) {
    static const char *const lines[] = { "{", "\x80", "{\"kind\":\"request\",\"id\":\"\xff\"}",
                                         "[1]", REQUEST(1) };
    struct json_value r = run("first", NULL, lines, 5, 1);
    assert_int_equal(whole(json_get(r, "lines"), "broken"), 4);
    assert_int_equal(whole(r, "requests"), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_policy_changes_nothing),
        cmocka_unit_test(figures_of_then_reach_the_policy),
        cmocka_unit_test(two_policies_are_compared),
        cmocka_unit_test(a_policy_that_never_ends_is_an_error_and_no_hang),
        cmocka_unit_test(a_policy_that_reads_the_text_is_not_replayable),
        cmocka_unit_test(broken_lines_are_counted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
