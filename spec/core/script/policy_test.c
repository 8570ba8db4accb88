/* Policies of a snapshot: what they see, what they answer, what they can not reach. */
#include "support/unit.h"

#include "base/ability.h"
#include "script/loader.h"
#include "script/policy.h"

#include <math.h>

enum { POLICIES_MAX = 8, FAULTS_MAX = 8, TARGETS = 10 };

struct world {
    struct vm_watchdog *watchdog;
    struct vm_guard *guard;
    struct arena arena; /* of one request */
    struct snapshot *snap;
    struct policy_source policies[POLICIES_MAX];
    struct policy_state *state;
    struct policy_fault faults[FAULTS_MAX];
    size_t n_faults;
    struct facts facts;
    struct decision decision;
};

static const struct pair headers[] = {
    { { "user-agent", 10 }, { "spec", 4 } },
    { { "x-route-tier", 12 }, { "free", 4 } },
};

/* Targets local/m1 ... local/mN; mI costs I dollars a million tokens and has quality 10 * I. */
static void fill_catalogue(struct snapshot *snap, size_t n) {
    struct provider *provider = arena_new(&snap->arena, struct provider);
    provider->name = SPAN("local");
    provider->base_url = SPAN("http://127.0.0.1:1/v1");
    provider->dialect = DIALECT_OPENAI_CHAT;
    snap->providers = provider;
    snap->n_providers = 1;
    snap->targets = arena_new_array(&snap->arena, struct target, n);
    snap->n_targets = n;
    for (size_t i = 0; i < n; i++) {
        struct target *t = &snap->targets[i];
        int64_t price = (int64_t)(i + 1) * 1000000000;
        t->index = (unsigned)i;
        t->model = arena_printf(&snap->arena, "m%zu", i + 1);
        t->id = arena_printf(&snap->arena, "local/m%zu", i + 1);
        t->upstream = t->model;
        t->provider = provider;
        t->price = (struct price){ price, 3 * price, PRICE_UNKNOWN, PRICE_UNKNOWN };
        t->context = 128000;
        t->max_output = 4096;
        t->abilities = ABILITY_TOOLS | ABILITY_IMAGES;
        t->quality = 10.0 * (double)(i + 1);
        t->weight = 1;
    }
}

static enum vm_result run_compile(lua_State *L, void *arg) {
    struct snapshot *snap = arg;
    snap->n_library = loader_compile(L, NULL, &snap->arena, &snap->library);
    return VM_OK;
}

static void compile_library(struct world *w) {
    struct vm *vm = vm_new(VM_TRUSTED, 64 << 20, NULL);
    assert_int_equal(vm_call(vm, NULL, 0, run_compile, w->snap), VM_OK);
    assert_true(w->snap->n_library > 10);
    vm_free(vm);
}

static void make_snapshot(struct world *w, size_t n_targets) {
    w->snap = snapshot_new();
    w->snap->config.policy_deadline_ms = 20;
    w->snap->config.policy_memory = 16 << 20;
    w->snap->config.auto_policy = SPAN("auto");
    w->snap->policies = w->policies;
    compile_library(w);
    fill_catalogue(w->snap, n_targets);
}

static void add_policy(struct world *w, const char *name, const char *text) {
    struct policy_source *source = &w->policies[w->snap->n_policies++];
    struct arena *arena = &w->snap->arena;
    source->name = span_of(name);
    source->version = arena_printf(arena, "%s@00000000", name);
    source->path = arena_printf(arena, "policies/%s.lua", name);
    source->text = span_of(text);
}

static void build(struct world *w) {
    snapshot_seal(w->snap);
    w->state = policy_state_new(w->snap, w->guard, &w->arena, w->faults, &w->n_faults, FAULTS_MAX);
}

static int open_world(void **state) {
    struct world *w = calloc(1, sizeof *w);
    w->watchdog = vm_watchdog_new();
    w->guard = vm_guard_open(w->watchdog);
    arena_init(&w->arena, 4096);
    make_snapshot(w, TARGETS);
    w->facts = (struct facts){
        .id = SPAN("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        .endpoint = SPAN("/v1/chat/completions"),
        .dialect = DIALECT_OPENAI_CHAT,
        .model = SPAN("auto"),
        .headers = headers,
        .n_headers = 2,
        .input_tokens = 1000,
        .output_tokens = 500,
        .last_role = SPAN("user"),
        .turns = 1,
        .text = SPAN("what the user wrote"),
        .system = SPAN("what the system wrote"),
        .max_cost_usd = HUGE_VAL,
        .budget_left = INT64_MAX,
        .now_ms = 1790000000500,
        .seed = 42,
    };
    *state = w;
    return 0;
}

static int close_world(void **state) {
    struct world *w = *state;
    policy_state_free(w->state);
    snapshot_unref(w->snap);
    arena_deinit(&w->arena);
    vm_guard_close(w->guard);
    vm_watchdog_free(w->watchdog);
    free(w);
    return 0;
}

static enum vm_result decide(struct world *w, const char *policy) {
    return policy_decide(w->state, w->guard, span_of(policy), &w->facts, &w->arena, &w->decision);
}

/* One policy of that text, asked once. */
static enum vm_result decide_by(struct world *w, const char *text) {
    add_policy(w, "under_test", text);
    build(w);
    for (size_t i = 0; i < w->n_faults; i++)
        print_error("%.*s:%u: %.*s\n", SPAN_ARGS(w->faults[i].path), w->faults[i].line,
                    SPAN_ARGS(w->faults[i].message));
    return decide(w, "under_test");
}

static void assert_ok(struct world *w, enum vm_result result) {
    if (result != VM_OK)
        fail_msg("%s: %s", vm_result_name(result), policy_error(w->state));
}

static void assert_steps(const struct decision *d, size_t n, const char *const *ids) {
    assert_int_equal(d->kind, DECISION_CHAIN);
    assert_int_equal(d->chain.n_steps, n);
    for (size_t i = 0; i < n; i++)
        assert_span(d->chain.steps[i].target->id, ids[i]);
}

/* ---- answers ---- */

static void a_fleet_is_a_chain(void **state) {
    struct world *w = *state;
    assert_ok(w, decide_by(w, "return function(req, fleet) return fleet:able():cheapest():take(2), "
                              "'the cheapest' end"));
    assert_steps(&w->decision, 2, (const char *[]){ "local/m1", "local/m2" });
    assert_span(w->decision.chain.reason, "the cheapest");
    assert_span(w->decision.policy, "under_test@00000000");
    assert_int_equal(w->decision.chain.steps[0].retries, -1);
    assert_true(w->decision.chain.steps[0].max_cost == NANOUSD_NONE);
    assert_true(w->decision.chain.max_cost == NANOUSD_NONE);
    assert_int_equal(w->decision.chain.hold_ms, -1);
    assert_false(w->decision.read_text);
}

static void all_that_a_chain_can_say(void **state) {
    struct world *w = *state;
    assert_ok(
        w, decide_by(w, "return function(req, fleet)\n"
                        "  return { { target = 'local/m3', timeout_ms = 8000, first_token_ms = "
                        "700, idle_ms = 900, retries = 2,\n"
                        "             when = { 'connect', 'cut_stream' }, max_cost_usd = 0.0125, "
                        "max_latency_ms = 3000,\n"
                        "             params = { temperature = 0.5, drop = { 'seed' } } }, 'm1',\n"
                        "    deadline_ms = 60000, max_cost_usd = 0.5, max_latency_ms = 2000, "
                        "max_attempts = 4, hedge_after_ms = 800,\n"
                        "    on_exhausted = 'queue', retry_window_ms = 5000, hold_ms = 0, reason = "
                        "'all of it' }\n"
                        "end"));
    assert_steps(&w->decision, 2, (const char *[]){ "local/m3", "local/m1" });
    const struct step *s = &w->decision.chain.steps[0];
    assert_int_equal(s->timeout_ms, 8000);
    assert_int_equal(s->first_token_ms, 700);
    assert_int_equal(s->idle_ms, 900);
    assert_int_equal(s->retries, 2);
    assert_int_equal(s->when, FAILURE_BIT(FAILURE_CONNECT) | FAILURE_BIT(FAILURE_CUT_STREAM));
    assert_int_equal(s->max_cost, 12500000);
    assert_int_equal(s->max_latency_ms, 3000);
    assert_int_equal(s->n_params, 2);
    assert_span(s->params[0].name, "seed");
    assert_null(s->params[0].value.at);
    assert_span(s->params[1].name, "temperature");
    assert_span(s->params[1].value, "0.5");
    const struct chain *c = &w->decision.chain;
    assert_int_equal(c->deadline_ms, 60000);
    assert_int_equal(c->max_cost, 500000000);
    assert_int_equal(c->max_latency_ms, 2000);
    assert_int_equal(c->max_attempts, 4);
    assert_int_equal(c->hedge_after_ms, 800);
    assert_int_equal(c->on_exhausted, EXHAUSTED_QUEUE);
    assert_int_equal(c->retry_window_ms, 5000);
    assert_int_equal(c->hold_ms, 0);
    assert_span(c->reason, "all of it");
}

static void a_refusal(void **state) {
    struct world *w = *state;
    assert_ok(w, decide_by(w, "return function() return nil, { status = 451, code = 'not_here', "
                              "message = 'No.' } end"));
    assert_int_equal(w->decision.kind, DECISION_REFUSED);
    assert_int_equal(w->decision.status, 451);
    assert_span(w->decision.code, "not_here");
    assert_span(w->decision.message, "No.");
}

static void an_empty_chain_is_an_answer(void **state) {
    struct world *w = *state;
    assert_ok(w, decide_by(w, "return function(req, fleet) return fleet:where(function() return "
                              "false end, 'none will do') end"));
    assert_steps(&w->decision, 0, NULL);
    assert_int_equal(w->decision.n_cuts, 1);
    assert_span(w->decision.cuts[0].word, "where");
    assert_span(w->decision.cuts[0].why, "none will do");
    assert_int_equal(w->decision.cuts[0].count, TARGETS);
}

static void notes_reach_the_trace(void **state) {
    struct world *w = *state;
    assert_ok(w, decide_by(w, "return function(req, fleet) note('hour', 12) note('who', req.tier) "
                              "return fleet:take(1) end"));
    assert_int_equal(w->decision.n_notes, 2);
    assert_span(w->decision.notes[0].name, "hour");
    assert_span(w->decision.notes[0].value, "12");
    assert_span(w->decision.notes[1].value, "nil");
}

static void any_model_of_a_provider_can_be_named(void **state) {
    struct world *w = *state;
    assert_ok(w, decide_by(w, "return function() return { 'local/brand-new', 'm2' } end"));
    assert_steps(&w->decision, 2, (const char *[]){ "local/brand-new", "local/m2" });
    assert_int_equal(w->decision.chain.steps[0].target->index, TARGET_AD_HOC);
    assert_ptr_equal(w->decision.chain.steps[0].target->provider, w->snap->providers);
}

/* ---- what a policy sees ---- */

static void the_request_as_policies_see_it(void **state) {
    struct world *w = *state;
    struct span models[] = { SPAN("m1"), SPAN("m2") }, tags[] = { SPAN("eu") },
                tools[] = { SPAN("search") };
    w->facts.models = models;
    w->facts.n_models = 2;
    w->facts.tags = tags;
    w->facts.n_tags = 1;
    w->facts.tool_names = tools;
    w->facts.n_tool_names = 1;
    w->facts.tool_choice = SPAN("auto");
    w->facts.uses = ABILITY_TOOLS | ABILITY_IMAGES;
    w->facts.stream = true;
    w->facts.tier = SPAN("free");
    w->facts.user = SPAN("u1");
    w->facts.session = SPAN("s1");
    w->facts.max_cost_usd = 0.25;
    w->facts.max_latency_ms = 900;
    w->facts.deadline_ms = 5000;
    assert_ok(
        w,
        decide_by(
            w,
            "return function(req, fleet)\n"
            "  assert(req.id == '01ARZ3NDEKTSV4RRFFQ69G5FAV' and req.endpoint == "
            "'/v1/chat/completions')\n"
            "  assert(req.dialect == 'openai_chat' and req.model == 'auto' and req.models[2] == "
            "'m2')\n"
            "  assert(req.stream == true and req.strict == false and req.tier == 'free')\n"
            "  assert(req.user == 'u1' and req.session == 's1' and req.tags.eu and not "
            "req.tags.us)\n"
            "  assert(req.tokens.input == 1000 and req.tokens.output == 500)\n"
            "  assert(req.uses.tools and req.uses.images and not req.uses.audio)\n"
            "  assert(req.tool_names[1] == 'search' and req.tool_choice == 'auto')\n"
            "  assert(req.last.role == 'user' and req.last.tool_results == 0 and req.turns == 1)\n"
            "  assert(req.limits.max_cost_usd == 0.25 and req.limits.max_latency_ms == 900)\n"
            "  assert(req.limits.deadline_ms == 5000 and req.budget.left_usd == math.huge)\n"
            "  assert(req.now == 1790000000.5 and req.clock().date == '2026-09-21')\n"
            "  assert(req.headers['user-agent'] == 'spec' and req.headers['x-none'] == nil)\n"
            "  local r = req.random() assert(r >= 0 and r < 1)\n"
            "  return fleet:take(1)\n"
            "end"));
    assert_false(w->decision.read_text);
}

static void the_key_as_policies_see_it(void **state) {
    struct world *w = *state;
    struct span tags[] = { SPAN("ci") };
    struct key key = { .id = SPAN("key_1"),
                       .name = SPAN("CI"),
                       .metadata = SPAN("{\"plan\":{\"seats\":3},\"left\":null,\"x\":[1,2]}"),
                       .tags = tags,
                       .n_tags = 1 };
    struct project project = { .name = SPAN("shop") };
    w->facts.key = &key;
    w->facts.project = &project;
    w->facts.budget_left = 1500000000;
    w->facts.budget_used = 0.85;
    w->facts.free_left = 3;
    assert_ok(w, decide_by(w, "return function(req, fleet)\n"
                              "  local key, meta = req.key, req.key.meta\n"
                              "  assert(key.id == 'key_1' and key.name == 'CI' and key.tags.ci)\n"
                              "  assert(key.project == 'shop' and meta.plan.seats == 3)\n"
                              "  assert(meta.left == nil and meta.x[2] == 2)\n"
                              "  assert(req.budget.left_usd == 1.5 and req.budget.used == 0.85)\n"
                              "  assert(req.budget.free_left == 3)\n"
                              "  local n, m = 0, 0\n"
                              "  for _ in pairs(key) do n = n + 1 end\n"
                              "  for _ in pairs(req.budget) do m = m + 1 end\n"
                              "  assert(n == 5 and m == 3)\n"
                              "  return fleet:take(1)\n"
                              "end"));
}

static void whom_the_history_binds_to(void **state) {
    struct world *w = *state;
    add_policy(w, "bound",
               "return function(req, fleet) return fleet:take(1), tostring(req.bound_to) end");
    w->snap->targets[0].dialect = DIALECT_GEMINI;
    build(w);
    assert_ok(w, decide(w, "bound"));
    assert_span(w->decision.chain.reason, "nil");
    w->facts.signed_by = DIALECT_GEMINI;
    assert_ok(w, decide(w, "bound"));
    assert_true(span_eq(w->decision.chain.reason, w->snap->targets[0].provider->name));
}

/* What a cap leaves is for able() to know, whether a policy asks for it or not. */
static void what_is_left_is_a_limit(void **state) {
    struct world *w = *state;
    add_policy(w, "able", "return function(req, fleet) return fleet:able() end");
    build(w);
    assert_ok(w, decide(w, "able"));
    size_t all = w->decision.chain.n_steps;
    assert_true(all > 0);
    w->facts.budget_left = 0;
    assert_ok(w, decide(w, "able"));
    assert_int_equal(w->decision.chain.n_steps, 0);
    assert_span(w->decision.cuts[w->decision.n_cuts - 1].why, "price over budget");
    w->facts.budget_left = INT64_MAX - 1;
    assert_ok(w, decide(w, "able"));
    assert_int_equal(w->decision.chain.n_steps, all);
}

static void reading_text_is_noted(void **state) {
    struct world *w = *state;
    add_policy(
        w, "reads",
        "return function(req, fleet) if req.text:find('user') then return fleet:take(1) end end");
    add_policy(w, "reads_system",
               "return function(req, fleet) note('s', req.system) return fleet:take(1) end");
    add_policy(w, "reads_not",
               "return function(req, fleet) note('m', req.model) return fleet:take(1) end");
    build(w);
    assert_ok(w, decide(w, "reads"));
    assert_true(w->decision.read_text);
    assert_ok(w, decide(w, "reads_system"));
    assert_true(w->decision.read_text);
    assert_span(w->decision.notes[0].value, "what the system wrote");
    assert_ok(w, decide(w, "reads_not"));
    assert_false(w->decision.read_text);
}

/* A request kept by a policy must not give away the text of the next one. */
static void a_kept_request_reads_nothing(void **state) {
    struct world *w = *state;
    add_policy(w, "keeps",
               "local kept return function(req, fleet)\n"
               "  if kept then note('kept', kept.text or 'nothing') note('headers', "
               "kept.headers['user-agent'] or 'nothing') end\n"
               "  kept = req return fleet:take(1) end");
    build(w);
    assert_ok(w, decide(w, "keeps"));
    assert_ok(w, decide(w, "keeps"));
    assert_span(w->decision.notes[0].value, "nothing");
    assert_span(w->decision.notes[1].value, "nothing");
    assert_false(w->decision.read_text);
}

static void random_numbers_are_the_requests(void **state) {
    struct world *w = *state;
    char first[64];
    assert_ok(
        w,
        decide_by(
            w,
            "return function(req, fleet) note('r', math.random(1, 1e9)) return fleet:take(1) end"));
    snprintf(first, sizeof first, "%.*s", SPAN_ARGS(w->decision.notes[0].value));
    assert_ok(w, decide(w, "under_test"));
    assert_span(w->decision.notes[0].value, first);
    w->facts.seed = UINT64_C(0xfedcba9876543210);
    assert_ok(w, decide(w, "under_test"));
    assert_false(span_eq(w->decision.notes[0].value, span_of(first)));
}

static void libraries_and_params(void **state) {
    struct world *w = *state;
    struct policy_source lib = {
        .name = SPAN("names"),
        .path = SPAN("policies/lib/names.lua"),
        .text = SPAN("return { first = 'm4' }"),
    };
    struct pair params[] = { { SPAN("under_test"), SPAN("{\"count\":2}") } };
    add_policy(w, "under_test",
               "local names = require 'names'\n"
               "return { params = { count = 1 }, decide = function(req) return { names.first, 'm' "
               ".. req.params.count } end }");
    w->policies[0].libs = &lib;
    w->policies[0].n_libs = 1;
    w->snap->config.policy_params = params;
    w->snap->config.n_policy_params = 1;
    build(w);
    assert_int_equal(w->n_faults, 0);
    assert_ok(w, decide(w, "under_test"));
    assert_steps(&w->decision, 2, (const char *[]){ "local/m4", "local/m2" });
}

static void prepare_runs_once(void **state) {
    struct world *w = *state;
    add_policy(
        w, "under_test",
        "return { prepare = function(fleet) return { best = fleet:best():take(1) and 'm10' } end,\n"
        "         decide = function(req, fleet, prepared) return { prepared.best } end }");
    build(w);
    assert_ok(w, decide(w, "under_test"));
    assert_steps(&w->decision, 1, (const char *[]){ "local/m10" });
}

/* ---- what goes wrong ---- */

static void what_a_policy_raises(void **state) {
    struct world *w = *state;
    enum vm_result result = decide_by(w, "return function(req)\n  return req.user.name\nend");
    assert_int_equal(result, VM_RAISED);
    assert_non_null(strstr(policy_error(w->state), "policies/under_test.lua:2:"));
    assert_false(policy_state_dead(w->state));
    assert_int_equal(decide(w, "nobody"), VM_RAISED);
    assert_string_equal(policy_error(w->state), "policy nobody did not load");
}

static void nonsense_is_no_answer(void **state) {
    static const char *const nonsense[] = {
        "return function() end",
        "return function() return 7 end",
        "return function() return { { timeout_ms = 5 } } end",
        "return function() return { 'no-such-model' } end",
        "return function() return { 'no-such-model', { timeout_ms = 5 }, max_cost_usd = 0.1 } end",
    };
    struct world *w = *state;
    char name[POLICIES_MAX][16];
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        snprintf(name[i], sizeof name[i], "p%zu", i);
        add_policy(w, name[i], nonsense[i]);
    }
    build(w);
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        enum vm_result result = decide(w, name[i]);
        if (result != VM_RAISED && result != VM_BAD_RESULT)
            fail_msg("%s ended with %s", nonsense[i], vm_result_name(result));
        assert_true(policy_error(w->state)[0] != '\0');
    }
}

static void what_is_sound_is_used(void **state) {
    struct world *w = *state;
    assert_ok(w, decide_by(w, "return function() return { 'no-such-model', { target = 'm2', "
                              "timeout_ms = -1, retries = 2 }, max_cost_usd = 0 / 0 } end"));
    assert_int_equal(w->decision.chain.n_steps, 1);
    assert_span(w->decision.chain.steps[0].target->id, "local/m2");
    assert_int_equal(w->decision.chain.steps[0].retries, 2);
    assert_int_equal(w->decision.n_findings, 3);
    assert_true(span_starts(w->decision.findings[0], SPAN("chain[1]: no target or model")));
    assert_true(span_starts(w->decision.findings[1], SPAN("chain[2].timeout_ms: expected")));
    assert_true(span_starts(w->decision.findings[2], SPAN("chain.max_cost_usd: expected")));
}

static void figures_and_sessions_reach_policies(void **state) {
    struct world *w = *state;
    add_policy(w, "p",
               "return function(req, fleet) local t = fleet[2]\n"
               "return fleet:fastest():sticky():take(2), tostring(t.ttft_ms and "
               "t.ttft_ms.p95) .. ' ' .. tostring(t.headroom) .. ' ' .. t.state .. ' ' .. "
               "tostring(fleet[3].cached_tokens) end");
    build(w);
    struct policy_figure figure = { .target = 1,
                                    .state = "half_open",
                                    .error_rate = 0,
                                    .in_flight = 1,
                                    .headroom = -1,
                                    .ttft_ms = { 100, 200, 300 },
                                    .total_ms = { -1, -1, -1 },
                                    .tokens_per_s = 10 };
    struct session_target last[] = { { SPAN("local/m3"), 50 } };
    w->facts.last_targets = last;
    w->facts.n_last_targets = 1;
    policy_update(w->state, &figure, 1);
    assert_ok(w, decide(w, "p"));
    assert_steps(&w->decision, 2, (const char *const[]){ "local/m3", "local/m2" });
    assert_span(w->decision.chain.reason, "200 nil half_open 50");
    figure.state = "closed";
    figure.ttft_ms[0] = -1;
    figure.headroom = 0.5;
    w->facts.n_last_targets = 0;
    policy_update(w->state, &figure, 1);
    assert_ok(w, decide(w, "p"));
    assert_span(w->decision.chain.reason, "nil 0.5 closed nil");
}

static void a_runaway_takes_only_its_state(void **state) {
    struct world *w = *state;
    assert_int_equal(decide_by(w, "return function() while true do end end"), VM_TIMEOUT);
    assert_true(policy_state_dead(w->state));
    assert_string_equal(policy_error(w->state), "used more than its 20 ms of processor time");
    policy_state_free(w->state);
    w->state = policy_state_new(w->snap, w->guard, &w->arena, w->faults, &w->n_faults, FAULTS_MAX);
    assert_false(policy_state_dead(w->state));
}

static void a_bomb_takes_only_its_state(void **state) {
    struct world *w = *state;
    w->snap->config.policy_deadline_ms = 1000;
    assert_int_equal(decide_by(w, "return function() local t = {} for i = 1, 1e9 do "
                                  "pcall(function() t[i] = {} end) end end"),
                     VM_NOMEM);
    assert_true(policy_state_dead(w->state));
}

static void what_does_not_load_is_left_out(void **state) {
    struct world *w = *state;
    add_policy(w, "syntax", "local a = 1\nreturn funtion(req) end\n");
    add_policy(w, "raises", "\nerror('not today')");
    add_policy(w, "endless", "while true do end");
    add_policy(w, "good", "return function(req, fleet) return fleet:take(1) end");
    add_policy(w, "huge",
               "return { prepare = function() local s = 'x' while true do s = s .. s end end, "
               "decide = function() end }");
    build(w);
    assert_int_equal(w->n_faults, 4);
    assert_span(w->faults[0].policy, "syntax");
    assert_span(w->faults[0].path, "policies/syntax.lua");
    assert_int_equal(w->faults[0].line, 2);
    assert_non_null(strstr(w->faults[0].excerpt.at, "return funtion"));
    assert_span(w->faults[1].message, "not today");
    assert_int_equal(w->faults[1].line, 2);
    assert_ok(w, decide(w, "good"));
    assert_int_equal(decide(w, "endless"), VM_RAISED);
}

/* ---- on_failure ---- */

static void after_a_failure(void **state) {
    struct world *w = *state;
    add_policy(w, "plain", "return function(req, fleet) return fleet:take(1) end");
    add_policy(
        w, "watches",
        "return { on_error = 'refuse', decide = function(req, fleet) return fleet:take(3) end,\n"
        "  on_failure = function(req, failure, rest, fleet)\n"
        "    if failure.class == 'rate_limited' then return { retry_in_ms = failure.retry_after_ms "
        "+ 1 } end\n"
        "    if failure.class == 'timeout' then return rest:cheapest():take(1) end\n"
        "    if failure.class == 'connect' then\n"
        "      assert(failure.target == 'local/m1' and failure.status == nil and failure.attempt "
        "== 1)\n"
        "      assert(failure.message == 'refused' and failure.elapsed_ms == 5 and failure.left_ms "
        "== 95)\n"
        "      return nil\n"
        "    end\n"
        "    error('unexpected ' .. failure.class)\n"
        "  end }");
    build(w);
    assert_false(policy_has_on_failure(w->state, SPAN("plain")));
    assert_false(policy_refuses_on_error(w->state, SPAN("plain")));
    assert_true(policy_has_on_failure(w->state, SPAN("watches")));
    assert_true(policy_refuses_on_error(w->state, SPAN("watches")));

    struct policy_failure failure = {
        .class = FAILURE_CONNECT,
        .target = &w->snap->targets[0],
        .retry_after_ms = -1,
        .message = SPAN("refused"),
        .attempt = 1,
        .elapsed_ms = 5,
        .left_ms = 95,
    };
    struct step rest[] = {
        { .target = &w->snap->targets[4],
          .retries = -1,
          .max_cost = NANOUSD_NONE,
          .timeout_ms = 1234 },
        { .target = &w->snap->targets[1],
          .retries = -1,
          .max_cost = NANOUSD_NONE,
          .timeout_ms = 99 },
    };
    enum policy_next next;
    uint32_t in_ms = 0;
    struct span watches = SPAN("watches");
#define ASK(name)                                                                                  \
    policy_on_failure(w->state, w->guard, name, &w->facts, &failure, rest, 2, &w->arena, &next,    \
                      &in_ms, &w->decision)
    assert_ok(w, ASK(SPAN("plain")));
    assert_int_equal(next, POLICY_GO_ON);
    assert_ok(w, ASK(watches));
    assert_int_equal(next, POLICY_GO_ON);
    failure.class = FAILURE_RATE_LIMITED;
    failure.retry_after_ms = 250;
    assert_ok(w, ASK(watches));
    assert_int_equal(next, POLICY_STAY);
    assert_int_equal(in_ms, 251);
    failure.class = FAILURE_TIMEOUT;
    assert_ok(w, ASK(watches));
    assert_int_equal(next, POLICY_REPLACED);
    assert_steps(&w->decision, 1, (const char *[]){ "local/m2" });
    assert_int_equal(w->decision.chain.steps[0].timeout_ms, 99);
    failure.class = FAILURE_IDLE;
    assert_int_equal(ASK(watches), VM_RAISED);
    assert_int_equal(next, POLICY_GO_ON);
#undef ASK
}

/* ---- ways out ---- */

/* Each is a policy that gets somewhere it must not be, and then answers; none may answer. */
static void no_way_out_of_the_sandbox(void **state) {
    static const char *const ways[] = {
        /* names that are not there */
        "load('return 1')",
        "loadstring('return 1')",
        "loadfile('/etc/passwd')",
        "dofile('/etc/passwd')",
        "io.open('/etc/passwd')",
        "os.execute('true')",
        "os.time()",
        "require 'ffi'",
        "require 'os'",
        "require 'perilune.host'",
        "require 'perilune.sandbox'",
        "package.loaded.io.open('x')",
        "debug.getregistry()",
        "jit.off()",
        "getfenv(1).x = 1",
        "setfenv(1, {})",
        "collectgarbage('stop')",
        "gcinfo()",
        "newproxy(true)",
        "rawset(math, 'huge', 0)",
        "rawget(_G, 'load')()",
        "_G.load('x')",
        "module('x')",
        "print('x')",
        "string.dump(function() end)",
        "coroutine.running.x()",
        "math.randomseed(1)",
        /* through strings */
        "getmetatable('').__index.rep = 1",
        "setmetatable('', {})",
        "(''):dump()",
        "getmetatable('x').x = 1",
        /* bytecode */
        "assert(('').dump)",
        /* shared tables */
        "string.rep = 1",
        "math.random = nil",
        "table.insert(string, 1)",
        "table.insert(math, 'x')",
        "bit.x = 1",
        "leak = 1",
        "getmetatable(fleet).__index.able = 1",
        "fleet:list()[1].price.input = 0",
        "fleet:list()[1].id = 'x'",
        "fleet:list()[1].tags.free = true",
        "setmetatable(fleet:list()[1], {})",
        "getmetatable(fleet:list()[1]).__index.id = 'x'",
        "table.sort(fleet:list()[1])",
        "table.remove(math)",
        "req.params.x = 1",
        "setmetatable(req, nil)",
        "getmetatable(req).__index = nil",
        "setmetatable(math, nil)",
        /* more than is allowed */
        "error(('x'):rep(2 ^ 26))",
        "error(('x'):rep('99999999'))",
        "error(('%99999d'):format(1))",
    };
    char text[400];
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        void *fresh;
        open_world(&fresh);
        struct world *w = fresh;
        snprintf(text, sizeof text, "return function(req, fleet) %s return fleet:take(1) end",
                 ways[i]);
        if (strncmp(ways[i], "(''", 3) == 0)
            snprintf(text, sizeof text,
                     "return function(req, fleet) local x = %s return fleet:take(1) end", ways[i]);
        enum vm_result result = decide_by(w, text);
        if (result == VM_OK)
            fail_msg("a policy may do this: %s", ways[i]);
        close_world(&fresh);
    }
    (void)state;
}

/* An error that a policy raises in its own words must come from the sandbox, not from a misspelt
 * test above. */
static void what_is_allowed_works(void **state) {
    struct world *w = *state;
    assert_ok(
        w,
        decide_by(
            w, "return function(req, fleet)\n"
               "  local co = coroutine.wrap(function(x) coroutine.yield(x + 1) end)\n"
               "  assert(co(1) == 2 and bit.band(7, 3) == 3 and ('ab'):rep(2) == 'abab')\n"
               "  assert(select('#', pcall(error, 'x')) == 2 and tostring(1) == '1' and "
               "math.floor(1.5) == 1)\n"
               "  local t = { 3, 1, 2 } table.sort(t) assert(table.concat(t, ',') == '1,2,3' and "
               "next(t) == 1)\n"
               "  assert(fleet:list()[1].price.input == 1 and #fleet:list() == 10 and req.params)\n"
               "  return fleet:take(1)\n"
               "end"));
}

/* What one policy leaves behind, another must not find. */
static void policies_share_nothing(void **state) {
    struct world *w = *state;
    add_policy(w, "one",
               "local m = { } return function(req, fleet) m.x = 1 req.x = 2 note('x', m.x) return "
               "fleet:take(1) end");
    add_policy(
        w, "two",
        "return function(req, fleet) note('x', rawequal(req.x, nil)) return fleet:take(1) end");
    build(w);
    assert_ok(w, decide(w, "one"));
    assert_int_not_equal(decide(w, "two"), VM_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
        CASE(a_fleet_is_a_chain),
        CASE(all_that_a_chain_can_say),
        CASE(a_refusal),
        CASE(an_empty_chain_is_an_answer),
        CASE(notes_reach_the_trace),
        CASE(any_model_of_a_provider_can_be_named),
        CASE(the_request_as_policies_see_it),
        CASE(the_key_as_policies_see_it),
        CASE(whom_the_history_binds_to),
        CASE(what_is_left_is_a_limit),
        CASE(reading_text_is_noted),
        CASE(a_kept_request_reads_nothing),
        CASE(random_numbers_are_the_requests),
        CASE(libraries_and_params),
        CASE(prepare_runs_once),
        CASE(what_a_policy_raises),
        CASE(nonsense_is_no_answer),
        CASE(what_is_sound_is_used),
        CASE(figures_and_sessions_reach_policies),
        CASE(a_runaway_takes_only_its_state),
        CASE(a_bomb_takes_only_its_state),
        CASE(what_does_not_load_is_left_out),
        CASE(after_a_failure),
        CASE(what_is_allowed_works),
        CASE(policies_share_nothing),
        cmocka_unit_test(no_way_out_of_the_sandbox),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
