/* Answers the library would never give: what comes over the border is believed by nobody. */
#include "lua_unit.h"

#include "script/answer.h"

struct world {
    struct snapshot *snap;
    struct arena arena;
    struct decision decision;
    const char *expression, *wrong;
};

static enum vm_result read_one(lua_State *L, void *arg) {
    struct world *w = arg;
    lua_value(L, w->expression);
    int top = lua_gettop(L);
    w->wrong = answer_read(L, w->snap, &w->arena, &w->decision);
    assert_int_equal(lua_gettop(L), top);
    return VM_OK;
}

static const char *read(struct world *w, const char *expression) {
    w->expression = expression;
    w->decision = (struct decision){ 0 };
    assert_int_equal(lua_run(read_one, w), VM_OK);
    return w->wrong;
}

static int open_world(void **state) {
    static struct provider provider = { .name = { "p", 1 } };
    struct world *w = calloc(1, sizeof *w);
    w->snap = snapshot_new();
    w->snap->providers = &provider;
    w->snap->n_providers = 1;
    w->snap->targets = arena_new_array(&w->snap->arena, struct target, 2);
    w->snap->n_targets = 2;
    w->snap->targets[0] =
        (struct target){ .id = SPAN("p/a"), .model = SPAN("a"), .provider = &provider };
    w->snap->targets[1] =
        (struct target){ .id = SPAN("p/b"), .model = SPAN("b"), .provider = &provider, .index = 1 };
    snapshot_seal(w->snap);
    arena_init(&w->arena, 1024);
    *state = w;
    return 0;
}

static int close_world(void **state) {
    struct world *w = *state;
    snapshot_unref(w->snap);
    arena_deinit(&w->arena);
    free(w);
    return 0;
}

static void what_is_left_out_has_its_default(void **state) {
    struct world *w = *state;
    assert_null(read(w, "{ 2, { index = 1 }, { id = 'p/new' } }"));
    assert_int_equal(w->decision.kind, DECISION_CHAIN);
    assert_int_equal(w->decision.chain.n_steps, 3);
    assert_ptr_equal(w->decision.chain.steps[0].target, &w->snap->targets[1]);
    assert_ptr_equal(w->decision.chain.steps[1].target, &w->snap->targets[0]);
    assert_span(w->decision.chain.steps[2].target->id, "p/new");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(w->decision.chain.steps[i].retries, -1);
        assert_true(w->decision.chain.steps[i].max_cost == NANOUSD_NONE);
        assert_int_equal(w->decision.chain.steps[i].when, 0);
    }
    assert_int_equal(w->decision.chain.hold_ms, -1);
    assert_true(w->decision.chain.max_cost == NANOUSD_NONE);
    assert_int_equal(w->decision.n_cuts + w->decision.n_notes, 0);
}

static void money_is_whole(void **state) {
    struct world *w = *state;
    assert_null(read(w, "{ 1, max_cost_usd = 0.1 + 0.2 }"));
    assert_int_equal(w->decision.chain.max_cost, 300000000);
    assert_null(read(w, "{ 1, max_cost_usd = 0 }"));
    assert_int_equal(w->decision.chain.max_cost, 0);
    assert_null(read(w, "{ 1, max_cost_usd = 1e300 }"));
    assert_true(w->decision.chain.max_cost == NANOUSD_NONE);
}

static void what_could_not_be_used(void **state) {
    struct world *w = *state;
    assert_null(read(w, "{ 1, findings = { 'chain[2]: a', 'chain.b: c' } }"));
    assert_int_equal(w->decision.chain.n_steps, 1);
    assert_int_equal(w->decision.n_findings, 2);
    assert_span(w->decision.findings[0], "chain[2]: a");
    assert_span(w->decision.findings[1], "chain.b: c");
}

static void cuts_notes_and_refusals(void **state) {
    struct world *w = *state;
    assert_null(read(w, "{ cuts = { { word = 'able', why = 'price', count = 7 }, { target = 'p/a', "
                        "word = 'x' } }, notes = { { 'k', 'v' } } }"));
    assert_int_equal(w->decision.chain.n_steps, 0);
    assert_int_equal(w->decision.n_cuts, 2);
    assert_int_equal(w->decision.cuts[0].count, 7);
    assert_null(w->decision.cuts[0].target.at);
    assert_span(w->decision.cuts[1].target, "p/a");
    assert_span(w->decision.notes[0].value, "v");
    assert_null(read(w, "{ refused = { status = 429 } }"));
    assert_int_equal(w->decision.kind, DECISION_REFUSED);
    assert_int_equal(w->decision.status, 429);
    assert_null(w->decision.code.at);
}

static void nonsense_is_refused(void **state) {
    static const char *const nonsense[] = {
        "7",
        "nil",
        "'text'",
        "true",
        "{ 0 }",
        "{ 3 }",
        "{ 0/0 }",
        "{ 1/0 }",
        "{ -1 }",
        "{ true }",
        "{ 'p/a' }",
        "{ {} }",
        "{ { index = 0 } }",
        "{ { index = 3 } }",
        "{ { index = '1x' } }",
        "{ { id = 'nobody/x' } }",
        "{ { id = {} } }",
        "{ { index = 1, timeout_ms = -1 } }",
        "{ { index = 1, timeout_ms = 1e12 } }",
        "{ { index = 1, timeout_ms = 0/0 } }",
        "{ { index = 1, retries = 1000 } }",
        "{ { index = 1, when = 2^40 } }",
        "{ { index = 1, max_cost_usd = -1 } }",
        "{ { index = 1, params = { { 1, '1' } } } }",
        "{ { index = 1, params = { 'x' } } }",
        "{ { index = 1, params = 'x' } }",
        "{ 1, deadline_ms = 'soon' }",
        "{ 1, max_attempts = 0 }",
        "{ 1, on_exhausted = 'shrug' }",
        "{ 1, on_exhausted = 1 }",
        "{ 1, reason = {} }",
        "{ 1, findings = 'x' }",
        "{ 1, findings = { {} } }",
        "{ 1, cuts = 'x' }",
        "{ 1, cuts = { 'x' } }",
        "{ 1, notes = { {} } }",
        "{ 1, hold_ms = -5 }",
        "{ refused = 'no' }",
        "{ refused = { status = 200 } }",
        "{ refused = { status = 999 } }",
        "{ refused = { code = {} } }",
        "(function() local t = {} for i = 1, 2000 do t[i] = 1 end return t end)()",
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++)
        if (!read(w, nonsense[i]))
            fail_msg("this was taken: %s", nonsense[i]);
}

struct retry {
    const char *expression;
    bool found;
    uint32_t ms;
};

static enum vm_result read_retry(lua_State *L, void *arg) {
    struct retry *r = arg;
    lua_value(L, r->expression);
    r->found = answer_is_retry(L, &r->ms);
    return VM_OK;
}

static void staying_with_a_step(void **state) {
    struct retry r = { .expression = "{ retry_in_ms = 250.7 }" };
    assert_int_equal(lua_run(read_retry, &r), VM_OK);
    assert_true(r.found);
    assert_int_equal(r.ms, 250);
    static const char *const others[] = { "{}", "{ retry_in_ms = -1 }", "{ retry_in_ms = 0/0 }",
                                          "{ retry_in_ms = 'x' }" };
    for (size_t i = 0; i < 4; i++) {
        r = (struct retry){ .expression = others[i] };
        assert_int_equal(lua_run(read_retry, &r), VM_OK);
        assert_false(r.found);
    }
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        CASE(what_is_left_out_has_its_default),
        CASE(money_is_whole),
        CASE(cuts_notes_and_refusals),
        CASE(what_could_not_be_used),
        CASE(nonsense_is_refused),
        CASE(staying_with_a_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
