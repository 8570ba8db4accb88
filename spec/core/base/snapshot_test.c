#include "base/ability.h"
#include "base/snapshot.h"
#include "support/unit.h"

#include <math.h>

/* Two providers that share a model, one model with a slash in its name, an alias and a chain. */
static struct snapshot *make(void) {
    struct snapshot *snap = snapshot_new();
    struct provider *providers = arena_new_array(&snap->arena, struct provider, 2);
    providers[0] = (struct provider){ .index = 0, .name = SPAN("openai") };
    providers[1] = (struct provider){ .index = 1, .name = SPAN("azure") };
    static const struct {
        int provider;
        const char *id, *model;
    } list[] = {
        { 0, "openai/gpt-4o", "gpt-4o" },
        { 0, "openai/gpt-4o-mini", "gpt-4o-mini" },
        { 1, "azure/gpt-4o", "gpt-4o" },
        { 1, "azure/meta/llama-3", "meta/llama-3" },
    };
    struct target *targets = arena_new_array(&snap->arena, struct target, 4);
    for (unsigned i = 0; i < 4; i++)
        targets[i] = (struct target){ .index = i,
                                      .id = span_of(list[i].id),
                                      .model = span_of(list[i].model),
                                      .provider = &providers[list[i].provider] };
    static const struct span quick[] = { { "gpt-4o-mini", 11 }, { "openai/gpt-4o-mini", 18 } };
    static const struct span loop[] = { { "loop", 4 } };
    static const struct span old[] = { { "openai/gpt-4o", 13 } };
    struct named_chain *aliases = arena_new_array(&snap->arena, struct named_chain, 3);
    aliases[0] = (struct named_chain){ SPAN("quick"), quick, 2 };
    aliases[1] = (struct named_chain){ SPAN("loop"), loop, 1 };
    aliases[2] = (struct named_chain){ SPAN("openai/gpt-4"), old, 1 };
    struct named_chain *chains = arena_new_array(&snap->arena, struct named_chain, 1);
    chains[0] = (struct named_chain){ SPAN("safe-chain"), old, 1 };
    struct policy_source *policies = arena_new_array(&snap->arena, struct policy_source, 1);
    policies[0] = (struct policy_source){ .name = SPAN("tier") };
    snap->providers = providers;
    snap->n_providers = 2;
    snap->targets = targets;
    snap->n_targets = 4;
    snap->aliases = aliases;
    snap->n_aliases = 3;
    snap->chains = chains;
    snap->n_chains = 1;
    snap->policies = policies;
    snap->n_policies = 1;
    snapshot_seal(snap);
    return snap;
}

/* Ids of what a name means, joined by blanks. */
static const char *meaning(struct snapshot *snap, struct span name) {
    static char text[1024];
    const struct target *found[8];
    size_t n = snapshot_resolve(snap, name, &snap->arena, found, 8), len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        len += (size_t)sprintf(text + len, "%s%.*s", i ? " " : "", SPAN_ARGS(found[i]->id));
    return text;
}

static void finds_by_name(void **state) {
    struct snapshot *snap = make();
    assert_ptr_equal(snapshot_provider(snap, SPAN("azure")), &snap->providers[1]);
    assert_null(snapshot_provider(snap, SPAN("gpt-4o")));
    assert_ptr_equal(snapshot_target(snap, SPAN("azure/gpt-4o")), &snap->targets[2]);
    assert_null(snapshot_target(snap, SPAN("gpt-4o")));
    assert_ptr_equal(snapshot_policy(snap, SPAN("tier")), &snap->policies[0]);
    assert_ptr_equal(snapshot_chain(snap, SPAN("safe-chain")), &snap->chains[0]);
    assert_null(snapshot_chain(snap, SPAN("quick")));
    snapshot_unref(snap);
}

static void resolves(void **state) {
    struct snapshot *snap = make();
    assert_string_equal(meaning(snap, SPAN("openai/gpt-4o")), "openai/gpt-4o");
    assert_string_equal(meaning(snap, SPAN("gpt-4o")), "openai/gpt-4o azure/gpt-4o");
    assert_string_equal(meaning(snap, SPAN("meta/llama-3")), "azure/meta/llama-3");
    assert_string_equal(meaning(snap, SPAN("azure/*")), "azure/gpt-4o azure/meta/llama-3");
    assert_string_equal(meaning(snap, SPAN("quick")), "openai/gpt-4o-mini"); /* once */
    assert_string_equal(meaning(snap, SPAN("openai/gpt-4")), "openai/gpt-4o");
    assert_string_equal(meaning(snap, SPAN("loop")), "");
    assert_string_equal(meaning(snap, SPAN("safe-chain")), "");
    assert_string_equal(meaning(snap, SPAN("nobody/gpt-4o")), "");
    assert_string_equal(meaning(snap, SPAN("nobody/*")), "");
    assert_string_equal(meaning(snap, SPAN("")), "");
    snapshot_unref(snap);
}

static void makes_targets_nobody_wrote_down(void **state) {
    struct snapshot *snap = make();
    const struct target *t;
    assert_int_equal(snapshot_resolve(snap, SPAN("azure/org/new-model"), &snap->arena, &t, 1), 1);
    assert_span(t->id, "azure/org/new-model");
    assert_span(t->model, "org/new-model");
    assert_span(t->upstream, "org/new-model");
    assert_ptr_equal(t->provider, &snap->providers[1]);
    assert_true(t->index == TARGET_AD_HOC);
    assert_true(t->price.input == PRICE_UNKNOWN && t->price.output == PRICE_UNKNOWN);
    assert_true(t->abilities & ABILITY_TOOLS);
    assert_true(isnan(t->quality));
    snapshot_unref(snap);
}

static void refuses_names_that_could_do_harm(void **state) {
    struct snapshot *snap = make();
    char name[300];
    assert_string_equal(meaning(snap, SPAN("openai/")), "");
    assert_string_equal(meaning(snap, SPAN("openai/a\r\nx-evil: 1")), "");
    assert_string_equal(meaning(snap, SPAN("openai/a\0b")), "");
    memset(name, 'a', sizeof name);
    memcpy(name, "openai/", 7);
    assert_string_equal(meaning(snap, (struct span){ name, sizeof name }), "");
    snapshot_unref(snap);
}

static void counts_more_than_fit(void **state) {
    struct snapshot *snap = make();
    const struct target *t;
    assert_int_equal(snapshot_resolve(snap, SPAN("gpt-4o"), &snap->arena, &t, 1), 2);
    assert_ptr_equal(t, &snap->targets[0]);
    snapshot_unref(snap);
}

static void suggests(void **state) {
    struct snapshot *snap = make();
    struct span near[4];
    assert_int_equal(snapshot_near(snap, SPAN("gtp-4o"), near, 4), 1);
    assert_span(near[0], "gpt-4o");
    assert_true(snapshot_near(snap, SPAN("GPT-4o-mni"), near, 4) >= 1);
    assert_span(near[0], "gpt-4o-mini");
    assert_int_equal(snapshot_near(snap, SPAN("opnai/gpt-4o"), near, 1), 1);
    assert_span(near[0], "openai/gpt-4o");
    assert_int_equal(snapshot_near(snap, SPAN("safe"), near, 4), 1); /* unfinished */
    assert_span(near[0], "safe-chain");
    assert_true(snapshot_near(snap, SPAN("gpt-4"), near, 4) >= 2); /* the shorter addition first */
    assert_span(near[0], "gpt-4o");
    assert_span(near[1], "gpt-4o-mini");
    assert_int_equal(snapshot_near(snap, SPAN("zebra"), near, 4), 0);
    assert_int_equal(snapshot_near(snap, SPAN("x"), near, 4), 0);
    assert_int_equal(snapshot_near(snap, SPAN(""), near, 4), 0);
    snapshot_unref(snap);
}

static void counts_references(void **state) {
    struct snapshot *snap = make();
    assert_ptr_equal(snapshot_ref(snap), snap);
    snapshot_unref(snap);
    assert_non_null(snapshot_target(snap, SPAN("openai/gpt-4o")));
    snapshot_unref(snap);
    snapshot_unref(NULL);
}

/* The index under load: every one of many names is found, and none that is not there. */
static void finds_among_thousands(void **state) {
    struct snapshot *snap = snapshot_new();
    enum { N = 5000 };
    struct target *targets = arena_new_array(&snap->arena, struct target, N);
    for (unsigned i = 0; i < N; i++) {
        targets[i].id = arena_printf(&snap->arena, "p%u/m%u", i % 7, i);
        targets[i].model = arena_printf(&snap->arena, "m%u", i % 1000);
    }
    snap->targets = targets;
    snap->n_targets = N;
    snapshot_seal(snap);
    const struct target *found[8];
    for (unsigned i = 0; i < N; i++)
        assert_ptr_equal(snapshot_target(snap, targets[i].id), &targets[i]);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(snapshot_resolve(snap, targets[i].model, &snap->arena, found, 8), 5);
        for (unsigned k = 0; k < 5; k++)
            assert_ptr_equal(found[k], &targets[i + 1000 * k]);
    }
    assert_null(snapshot_target(snap, SPAN("p1/m5001")));
    snapshot_unref(snap);
}

static void finds_assignments_by_scope_and_name(void **state) {
    const struct assignment list[] = { { .scope = ASSIGNED_TIER, .name = SPAN("x") },
                                       { .scope = ASSIGNED_ENDPOINT, .name = SPAN("x") },
                                       { .scope = ASSIGNED_ACCOUNT } };
    struct snapshot *snap = snapshot_new();
    snap->config.assignments = list, snap->config.n_assignments = 3;
    snapshot_seal(snap);
    assert_ptr_equal(snapshot_assignment(snap, ASSIGNED_ENDPOINT, SPAN("x")), &list[1]);
    assert_ptr_equal(snapshot_assignment(snap, ASSIGNED_ACCOUNT, SPAN_NONE), &list[2]);
    assert_null(snapshot_assignment(snap, ASSIGNED_TIER, SPAN("y")));
    assert_null(snapshot_assignment(snap, ASSIGNED_KEY, SPAN("x")));
    snapshot_unref(snap);
}

static void names_scopes(void **state) {
    for (enum assignment_scope s = 0; s < ASSIGNED_SCOPES; s++)
        assert_int_equal(snapshot_scope_of(span_of(snapshot_scope_name(s))), s);
    assert_int_equal(snapshot_scope_of(SPAN("teir")), ASSIGNED_SCOPES);
    assert_int_equal(snapshot_scope_of(SPAN_NONE), ASSIGNED_SCOPES);
}

static void knows_which_headers_are_recorded(void **state) {
    static const struct span named[] = { SPAN("x-team") };
    struct snapshot snap = { .config = { .record_headers = named, .n_record_headers = 1 } };
    assert_true(snapshot_records(&snap, SPAN("x-route-tier")));
    assert_true(snapshot_records(&snap, SPAN("session_id")));
    assert_true(snapshot_records(&snap, SPAN("x-team")));
    assert_false(snapshot_records(&snap, SPAN("x-teams")));
    assert_false(snapshot_records(&snap, SPAN("user-agent")));
    assert_false(snapshot_records(&snap, SPAN_NONE));
    snap.config.n_record_headers = 0;
    assert_false(snapshot_records(&snap, SPAN("x-team")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_name),
        cmocka_unit_test(resolves),
        cmocka_unit_test(makes_targets_nobody_wrote_down),
        cmocka_unit_test(refuses_names_that_could_do_harm),
        cmocka_unit_test(counts_more_than_fit),
        cmocka_unit_test(suggests),
        cmocka_unit_test(counts_references),
        cmocka_unit_test(finds_among_thousands),
        cmocka_unit_test(finds_assignments_by_scope_and_name),
        cmocka_unit_test(names_scopes),
        cmocka_unit_test(knows_which_headers_are_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
