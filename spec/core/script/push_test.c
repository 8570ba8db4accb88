#include "lua_unit.h"

#include "base/ability.h"
#include "script/policy.h"
#include "script/push.h"

#include <math.h>

static struct provider provider = { .name = { "p", 1 } };

static enum vm_result setup(lua_State *L, void *arg) {
    struct span tags[] = { SPAN("eu") }, chained[] = { SPAN("p/m"), SPAN("p/n") };
    struct price_rule rules[] = {
        { 1000, 1798761600, 990, 0, 96, { 5000000000, 20, PRICE_UNKNOWN, 0 } },
        { -1, 0, -1, -1, 0, { 1000000000, 10, PRICE_UNKNOWN, 0 } },
    };
    struct target targets[] = {
        { .id = SPAN("p/m"),
          .rules = rules,
          .n_rules = 2,
          .model = SPAN("m"),
          .provider = &provider,
          .price = { 2500000000, 10, PRICE_UNKNOWN, 0 },
          .context = 1000,
          .abilities = ABILITY_TOOLS | ABILITY_FILES,
          .quality = 12.5,
          .weight = 2,
          .tags = tags,
          .n_tags = 1 },
        { .id = SPAN("p/n"),
          .model = SPAN("n"),
          .provider = &provider,
          .price = { -1, -1, -1, -1 },
          .quality = NAN },
    };
    struct named_chain chain = { SPAN("m"), chained, 2 };
    struct pair params[] = { { SPAN("own"), SPAN("{\"a\":1}") } };
    struct snapshot snap = { .providers = &provider,
                             .n_providers = 1,
                             .targets = targets,
                             .n_targets = 2,
                             .chains = &chain,
                             .n_chains = 1,
                             .config = { .policy_params = params, .n_policy_params = 1 } };
    push_setup(L, &snap);
    assert_true(
        lua_holds(L, "#v.targets == 2 and v.providers[1] == 'p' and v.chains.m[2] == 'p/n'"));
    assert_true(lua_holds(L, "next(v.aliases) == nil and v.params.own == '{\"a\":1}'"));
    assert_true(lua_holds(
        L,
        "v.targets[1].id == 'p/m' and v.targets[1].provider == 'p' and v.targets[1].weight == 2"));
    assert_true(
        lua_holds(L, "v.targets[1].price.input == 2.5 and v.targets[1].price.output == 1e-8"));
    assert_true(
        lua_holds(L, "v.targets[1].price.cached == nil and v.targets[1].price.cache_write == 0"));
    assert_true(lua_holds(L, "v.targets[1].context == 1000 and v.targets[1].max_output == nil"));
    assert_true(lua_holds(L, "v.targets[1].abilities.tools and v.targets[1].abilities.files and "
                             "not v.targets[1].abilities.audio"));
    assert_true(lua_holds(
        L,
        "v.targets[1].quality == 12.5 and v.targets[2].quality == nil and v.targets[1].tags.eu"));
    assert_true(lua_holds(L, "next(v.targets[2].price) == nil"));
    assert_true(lua_holds(L, "v.targets[1].price.rules[1].above == 1000 and "
                             "v.targets[1].price.rules[1].until_s == 1798761600 and "
                             "v.targets[1].price.rules[1].days == 96 and "
                             "v.targets[1].price.rules[1].from_min == 990 and "
                             "v.targets[1].price.rules[1].to_min == 0 and "
                             "v.targets[1].price.rules[1].input == 5"));
    assert_true(lua_holds(L, "v.targets[1].price.rules[2].above == nil and "
                             "v.targets[1].price.rules[2].until_s == nil and "
                             "v.targets[1].price.rules[2].days == nil and "
                             "v.targets[1].price.rules[2].from_min == nil and "
                             "v.targets[1].price.rules[2].input == 1"));
    return VM_OK;
}

static enum vm_result request(lua_State *L, void *arg) {
    struct pair headers[] = { { SPAN("a"), SPAN("1") } };
    struct facts facts = { .id = SPAN("id"),
                           .dialect = DIALECT_OPENAI_CHAT,
                           .headers = headers,
                           .n_headers = 1,
                           .text = SPAN("t"),
                           .uses = ABILITY_TOOLS | ABILITY_CHAT,
                           .max_cost_usd = HUGE_VAL,
                           .budget_left = INT64_MAX,
                           .seed = UINT64_MAX };
    int before = lua_gettop(L);
    push_request(L, &facts);
    assert_int_equal(lua_gettop(L) - before, PUSH_REQUEST);
    lua_settop(L, before);
    bool is_text = false;
    const char *late[][2] = { { "id", "v == 'id'" },
                              { "model", "v == nil" }, /* it is told */
                              { "models", "v == nil" },
                              { "stream", "v == false" },
                              { "strict", "v == false" },
                              { "tokens", "v.input == 0 and v.output == 0" },
                              { "limits", "next(v) == nil" },
                              /* That it has to answer at all is for able(), not for policies. */
                              { "uses", "v.tools and v.chat == nil" },
                              { "dialect", "v == 'openai_chat'" },
                              { "seed", "v == 2 ^ 53 - 1" },
                              { "turns", "v == 0" },
                              { "tier", "v == nil" },
                              { "max_tokens", "v == nil" },
                              { "tags", "next(v) == nil" },
                              { "tool_names", "#v == 0" },
                              { "key", "next(v.tags) == nil and v.name == nil and v.meta == nil" },
                              { "budget",
                                "v.left_usd == 1/0 and v.used == 0 and v.free_left == 0" },
                              { "last", "v.role == nil and v.tool_results == 0" } };
    for (size_t i = 0; i < sizeof late / sizeof *late; i++) {
        push_request_field(L, NULL, &facts, span_of(late[i][0]), &is_text);
        assert_true(lua_holds(L, late[i][1]));
        lua_pop(L, 1);
    }
    push_request_field(L, NULL, &facts, SPAN("headers"), &is_text);
    assert_true(lua_holds(L, "v.a == '1'"));
    assert_false(is_text);
    push_request_field(L, NULL, &facts, SPAN("nothing"), &is_text);
    assert_true(lua_isnil(L, -1));
    assert_false(is_text);
    push_request_field(L, NULL, &facts, SPAN("text"), &is_text);
    assert_true(lua_holds(L, "v == 't'"));
    assert_true(is_text);
    return VM_OK;
}

static enum vm_result who_asks(lua_State *L, void *arg) {
    struct span tags[] = { SPAN("ci") };
    struct key key = {
        .id = SPAN("key_1"), .name = SPAN("CI"), .metadata = SPAN("{}"), .tags = tags, .n_tags = 1
    };
    struct project project = { .name = SPAN("shop") };
    struct facts facts = { .key = &key,
                           .project = &project,
                           .budget_left = 2500000000,
                           .budget_used = 0.75,
                           .free_left = 7 };
    bool is_text;
    push_request_field(L, NULL, &facts, SPAN("key"), &is_text);
    assert_true(lua_holds(L, "v.id == 'key_1' and v.name == 'CI' and v.project == 'shop' and "
                             "v.tags.ci and v.meta == '{}'"));
    push_request_field(L, NULL, &facts, SPAN("budget"), &is_text);
    assert_true(lua_holds(L, "v.left_usd == 2.5 and v.used == 0.75 and v.free_left == 7"));
    /* Nobody with a key: of a project all the same. */
    facts.key = NULL;
    push_request_field(L, NULL, &facts, SPAN("key"), &is_text);
    assert_true(lua_holds(L, "v.project == 'shop' and v.id == nil and next(v.tags) == nil"));
    return VM_OK;
}

/* A byte is a token at most; an answer without a bound of the client's is as long as a model's. */
static void assert_most(lua_State *L, const struct facts *facts, double input, double output) {
    push_request(L, facts);
    assert_true(lua_tonumber(L, -2) == input);
    assert_true(lua_tonumber(L, -1) == output);
    lua_pop(L, PUSH_REQUEST);
}

static enum vm_result the_most(lua_State *L, void *arg) {
    struct facts facts = {
        .model = SPAN("auto"), .input_bytes = 4000, .input_tokens = 1000, .output_tokens = 512
    };
    assert_most(L, &facts, 4000, HUGE_VAL);
    facts.input_bytes = 0; /* pictures alone */
    facts.max_tokens = 100;
    facts.answers = 3;
    assert_most(L, &facts, 1000, 300);
    facts.max_tokens = facts.output_tokens = 0;
    assert_most(L, &facts, 1000, 0);
    return VM_OK;
}

static enum vm_result session(lua_State *L, void *arg) {
    struct session_target last[] = { { SPAN("p/new"), 900 }, { SPAN("p/old"), 0 } };
    struct facts facts = { .model = SPAN("auto"), .last_targets = last, .n_last_targets = 2 };
    bool is_text;
    push_request_field(L, NULL, &facts, SPAN("last_target"), &is_text);
    assert_true(lua_holds(L, "v == 'p/new'"));
    push_request_field(L, NULL, &facts, SPAN("cached"), &is_text);
    assert_true(lua_holds(L, "v['p/new'] == 900 and v['p/old'] == 0"));
    facts.n_last_targets = 0;
    push_request_field(L, NULL, &facts, SPAN("last_target"), &is_text);
    assert_true(lua_holds(L, "v == nil"));
    return VM_OK;
}

static enum vm_result figures(lua_State *L, void *arg) {
    struct policy_figure seen[] = { {
                                        .target = 4,
                                        .state = "half_open",
                                        .error_rate = 0,
                                        .in_flight = 2,
                                        .headroom = -1,
                                        .ttft_ms = { 300, 900, -1 },
                                        .total_ms = { -1, -1, -1 },
                                        .tokens_per_s = 50,
                                    },
                                    { .target = 0, .state = "closed" } };
    lua_newtable(L);
    push_figures(L, seen, 2);
    assert_true(lua_holds(L, "v[1].index == 5 and v[1].state == 'half_open' and v[1].in_flight == "
                             "2 and v[1].tokens_per_s == 50"));
    assert_true(lua_holds(L, "v[1].error_rate == 0 and v[1].headroom == false"));
    assert_true(lua_holds(
        L, "v[1].ttft_ms.p50 == 300 and v[1].ttft_ms.p99 == false and not v[1].total_ms.p50"));
    assert_true(lua_holds(L, "v[2].index == 1"));
    lua_pushvalue(L, -1);
    lua_setglobal(L, "before");
    seen[0].ttft_ms[0] = 10;
    push_figures(L, seen, 1);
    assert_true(lua_holds(L, "v == before and v[1].ttft_ms.p50 == 10 and v[2].index == 1"));
    return VM_OK;
}

static enum vm_result failure(lua_State *L, void *arg) {
    struct target known = { .id = SPAN("p/m"), .index = 4 },
                  ad_hoc = { .id = SPAN("p/x"), .index = TARGET_AD_HOC };
    struct policy_failure failed = { .class = FAILURE_RATE_LIMITED,
                                     .target = &known,
                                     .status = 429,
                                     .retry_after_ms = 0,
                                     .message = SPAN("slow"),
                                     .attempt = 2,
                                     .spent_usd = 0.5 };
    push_failure(L, &failed);
    assert_true(lua_holds(L, "v.class == 'rate_limited' and v.target == 'p/m' and v.status == 429 "
                             "and v.retry_after_ms == 0"));
    assert_true(lua_holds(
        L, "v.message == 'slow' and v.attempt == 2 and v.spent_usd == 0.5 and v.left_ms == 0"));
    struct pair params[] = { { SPAN("seed"), SPAN("1") } };
    struct step rest[] = {
        { .target = &known, .retries = -1, .max_cost = NANOUSD_NONE },
        { .target = &ad_hoc,
          .retries = 0,
          .max_cost = 1000000,
          .when = FAILURE_BIT(FAILURE_AUTH),
          .params = params,
          .n_params = 1 },
    };
    push_rest(L, rest, 2);
    assert_true(lua_holds(L, "#v == 2 and v[1].index == 5 and v[1].id == nil and v[1].retries == "
                             "nil and v[1].max_cost_usd == nil"));
    assert_true(lua_holds(L, "v[2].id == 'p/x' and v[2].index == nil and v[2].retries == 0 and "
                             "v[2].max_cost_usd == 0.001"));
    assert_true(lua_holds(L, "v[2].when == 2 ^ 8 and v[2].params[1][1] == 'seed'"));
    return VM_OK;
}

static enum vm_result source(lua_State *L, void *arg) {
    struct policy_source lib = { .name = SPAN("l"), .path = SPAN("lp"), .text = SPAN("lt") };
    struct policy_source own = { .name = SPAN("n"),
                                 .version = SPAN("v"),
                                 .path = SPAN("p"),
                                 .text = SPAN("t"),
                                 .libs = &lib,
                                 .n_libs = 1 };
    push_source(L, &own);
    assert_true(
        lua_holds(L, "v.name == 'n' and v.version == 'v' and v.path == 'p' and v.text == 't'"));
    assert_true(lua_holds(L, "#v.libs == 1 and v.libs[1].name == 'l' and v.libs[1].text == 'lt'"));
    return VM_OK;
}

static void the_catalogue(void **state) {
    assert_int_equal(lua_run(setup, NULL), VM_OK);
}

static void a_request(void **state) {
    assert_int_equal(lua_run(request, NULL), VM_OK);
}

static void who_asks_and_what_is_left(void **state) {
    assert_int_equal(lua_run(who_asks, NULL), VM_OK);
}

static void the_most_it_can_come_to(void **state) {
    assert_int_equal(lua_run(the_most, NULL), VM_OK);
}

static void what_a_session_knows(void **state) {
    assert_int_equal(lua_run(session, NULL), VM_OK);
}

static void live_figures_in_tables_used_again(void **state) {
    assert_int_equal(lua_run(figures, NULL), VM_OK);
}

static void a_failure_and_the_rest(void **state) {
    assert_int_equal(lua_run(failure, NULL), VM_OK);
}

static void a_policys_source(void **state) {
    assert_int_equal(lua_run(source, NULL), VM_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_catalogue),
        cmocka_unit_test(a_request),
        cmocka_unit_test(who_asks_and_what_is_left),
        cmocka_unit_test(the_most_it_can_come_to),
        cmocka_unit_test(what_a_session_knows),
        cmocka_unit_test(live_figures_in_tables_used_again),
        cmocka_unit_test(a_failure_and_the_rest),
        cmocka_unit_test(a_policys_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
