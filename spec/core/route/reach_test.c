/* reach_test.c - what names mean: which policy decides, which models exist, where a request goes
 * when no policy can say, and that a strict one goes nowhere else. */
#include "route/reach.h"

#include "base/ability.h"
#include "support/unit.h"

#include <math.h>

static struct snapshot *snap;
static struct arena arena;
static struct facts facts;
static struct api_error error;

#define USD INT64_C(1000000000)
#define UNKNOWN PRICE_UNKNOWN

/* Two providers that share a model, targets with and without prices, models that embed (of which
 * only one provider speaks it), a chain that is no model, one that follows a model, an alias. */
static const struct {
    int provider;
    const char *id, *model;
    int64_t input, output;
    uint32_t context, abilities;
} list[] = {
    { 0, "openai/gpt-4o", "gpt-4o", 5 * USD, 10 * USD, 128000, ABILITY_TOOLS | ABILITY_IMAGES },
    { 1, "azure/gpt-4o", "gpt-4o", 4 * USD, 10 * USD, 128000, ABILITY_TOOLS },
    { 0, "openai/mini", "mini", USD, 2 * USD, 8000, ABILITY_TOOLS },
    { 1, "azure/free", "free", UNKNOWN, UNKNOWN, 0, ABILITY_TOOLS | ABILITY_IMAGES },
    { 0, "openai/half", "half", 0, UNKNOWN, 0, 0 },
    { 1, "azure/tiny", "tiny", 0, 0, 1000, 0 },
    { 0, "openai/embed", "embed", 0, 0, 8000, ABILITY_EMBEDDINGS },
    { 1, "azure/embed", "embed", 0, 0, 8000, ABILITY_EMBEDDINGS },
    { 0, "openai/both", "both", 9 * USD, 9 * USD, 8000, ABILITY_EMBEDDINGS | ABILITY_CHAT },
};
enum { TARGETS = sizeof list / sizeof *list };

static const char *const policies[] = { "auto", "cheapest", "quality", "tier" };
static const struct span safe[] = { { "mini", 4 }, { "azure/tiny", 10 }, { "mini", 4 } };
static const struct span after_gpt[] = { { "azure/free", 10 }, { "gpt-4o", 6 } };
static const struct span vectors[] = { { "mini", 4 }, { "embed", 5 } };
static const struct retired gone[] = {
    { { "gpt-3", 5 }, { "gpt-4o", 6 }, { "2026-01-02", 10 } },
    { { "openai/gpt-3", 12 }, { "gpt-4o", 6 }, { "2026-01-02", 10 } },
    { { "azure/gpt-1", 11 }, { "gpt-2", 5 }, { 0 } },
    { { "azure/gpt-2", 11 }, { "gpt-4o", 6 }, { 0 } },
    { { "gpt-2", 5 }, { "gpt-3", 5 }, { 0 } },
    { { "gpt-1", 5 }, { 0 }, { "2025-01-02", 10 } },
    { { "gpt-0", 5 }, { "gpt-9", 5 }, { 0 } },
    { { "a", 1 }, { "b", 1 }, { 0 } },
    { { "b", 1 }, { "a", 1 }, { 0 } },
    { { "mini", 4 }, { "gpt-4o", 6 }, { 0 } }, /* a provider has it still */
};
static const struct span quick[] = { { "mini", 4 } };
enum { ASSIGNMENTS = 5 };
static const struct {
    enum assignment_scope scope;
    const char *name, *policy;
} assigned[ASSIGNMENTS] = { { ASSIGNED_TIER, "free", "cheapest" },
                            { ASSIGNED_TIER, "odd", "auto" },
                            { ASSIGNED_TIER, "lost", "never-loaded" },
                            { ASSIGNED_ENDPOINT, "/v1/messages", "quality" },
                            { ASSIGNED_ACCOUNT, NULL, "tier" } };
static struct assignment assignments[ASSIGNMENTS];
static const struct span fallback[] = { { "openai/mini", 11 }, { "azure/tiny", 10 } };

static struct target *make_targets(const struct provider *providers) {
    struct target *targets = arena_new_array(&snap->arena, struct target, TARGETS);
    for (unsigned i = 0; i < TARGETS; i++)
        targets[i] = (struct target){ .index = i,
                                      .id = span_of(list[i].id),
                                      .model = span_of(list[i].model),
                                      .upstream = span_of(list[i].model),
                                      .provider = &providers[list[i].provider],
                                      .price = { list[i].input, list[i].output, UNKNOWN, UNKNOWN },
                                      .context = list[i].context,
                                      .speaks = providers[list[i].provider].speaks,
                                      .abilities = list[i].abilities,
                                      .quality = NAN,
                                      .weight = 1 };
    return targets;
}

static void make_names(void) {
    struct named_chain *chains = arena_new_array(&snap->arena, struct named_chain, 3);
    struct named_chain *aliases = arena_new_array(&snap->arena, struct named_chain, 1);
    struct policy_source *sources = arena_new_array(&snap->arena, struct policy_source, 4);
    chains[0] = (struct named_chain){ SPAN("safe"), safe, 3 };
    chains[1] = (struct named_chain){ SPAN("gpt-4o"), after_gpt, 2 };
    chains[2] = (struct named_chain){ SPAN("vectors"), vectors, 2 };
    aliases[0] = (struct named_chain){ SPAN("quick"), quick, 1 };
    for (size_t i = 0; i < 4; i++)
        sources[i].name = span_of(policies[i]);
    snap->chains = chains, snap->n_chains = 3;
    snap->aliases = aliases, snap->n_aliases = 1;
    snap->policies = sources, snap->n_policies = 4;
}

static int set_up(void **state) {
    snap = snapshot_new();
    struct provider *providers = arena_new_array(&snap->arena, struct provider, 2);
    const uint32_t chat = DIALECT_BIT(DIALECT_OPENAI_CHAT);
    const uint32_t embeddings = DIALECT_BIT(DIALECT_OPENAI_EMBEDDINGS);
    providers[0] =
        (struct provider){ .index = 0, .name = SPAN("openai"), .speaks = chat | embeddings };
    providers[1] = (struct provider){ .index = 1, .name = SPAN("azure"), .speaks = chat };
    snap->retired = gone, snap->n_retired = sizeof gone / sizeof *gone;
    snap->providers = providers, snap->n_providers = 2;
    snap->targets = make_targets(providers), snap->n_targets = TARGETS;
    make_names();
    snap->config.auto_policy = SPAN("cheapest");
    for (size_t i = 0; i < ASSIGNMENTS; i++)
        assignments[i] = (struct assignment){ .scope = assigned[i].scope,
                                              .name = span_of(assigned[i].name),
                                              .policy = span_of(assigned[i].policy),
                                              .max_cost_usd = HUGE_VAL };
    snap->config.assignments = assignments;
    snap->config.n_assignments = ASSIGNMENTS - 1; /* nothing is said of the account */
    snapshot_seal(snap);
    arena_init(&arena, 1024);
    facts = (struct facts){ .endpoint = SPAN("/v1/chat/completions"),
                            .model = SPAN("auto"),
                            .max_cost_usd = HUGE_VAL };
    error = (struct api_error){ 0 };
    return 0;
}

static int tear_down(void **state) {
    snapshot_unref(snap);
    arena_deinit(&arena);
    return 0;
}

/* --- which policy --- */

static bool chooses(const char *wished) {
    struct span policy = SPAN_NONE;
    bool ok = reach_policy(snap, &facts, span_of(wished), &arena, &policy, &error);
    error.message = ok ? policy : error.message;
    return ok;
}

#define assert_chooses(wished, policy)                                                             \
    do {                                                                                           \
        assert_true(chooses(wished));                                                              \
        assert_span(error.message, policy);                                                        \
    } while (0)

/* As in another snapshot: the last assignment is there, too. */
static void assign_to_the_account(void) {
    snap->config.n_assignments = ASSIGNMENTS;
    snap->index = NULL;
    snapshot_seal(snap);
}

static void the_first_word_there_is_decides(void **state) {
    assert_chooses(NULL, "cheapest"); /* the account's, "auto", means its mode */
    assign_to_the_account();
    assert_chooses(NULL, "tier");
    facts.endpoint = SPAN("/v1/messages");
    assert_chooses(NULL, "quality");
    facts.tier = SPAN("free");
    assert_chooses(NULL, "cheapest");
    facts.model = SPAN("policy/quality");
    assert_chooses(NULL, "quality");
    assert_span(facts.model, "auto");
    facts.model = SPAN("policy/quality");
    assert_chooses("tier", "tier");
    assert_span(facts.model, "auto");
}

static void auto_means_the_accounts_mode_wherever_it_stands(void **state) {
    assign_to_the_account();
    assert_chooses("auto", "cheapest");
    facts.model = SPAN("policy/auto");
    assert_chooses(NULL, "cheapest");
    facts.model = SPAN("auto:auto");
    assert_chooses(NULL, "cheapest");
    facts.tier = SPAN("odd");
    facts.model = SPAN("gpt-4o");
    assert_chooses(NULL, "cheapest");
    assert_span(facts.model, "gpt-4o");
}

static void a_mode_is_a_policy(void **state) {
    facts.model = SPAN("auto:quality");
    assert_chooses(NULL, "quality");
    assert_span(facts.model, "auto");
}

static void a_tier_nobody_configured_decides_nothing(void **state) {
    facts.tier = SPAN("gold");
    facts.endpoint = SPAN("/v1/messages");
    assert_chooses(NULL, "quality");
    facts.tier = SPAN("");
    assert_chooses(NULL, "quality");
}

static void a_configured_policy_that_never_loaded_is_not_the_clients_fault(void **state) {
    facts.tier = SPAN("lost");
    assert_chooses(NULL, "never-loaded");
}

static void an_assignment_only_tightens(void **state) {
    struct assignment *free_ones = &assignments[0];
    free_ones->max_cost_usd = 0.5, free_ones->max_latency_ms = 300, free_ones->deadline_ms = 900;
    facts.tier = SPAN("free");
    facts.deadline_ms = 700;
    assert_chooses(NULL, "cheapest");
    assert_int_equal(facts.assignment, 1);
    assert_true(facts.max_cost_usd == 0.5);
    assert_int_equal(facts.max_latency_ms, 300);
    assert_int_equal(facts.deadline_ms, 700);
    facts.max_cost_usd = 0.25;
    assert_chooses(NULL, "cheapest");
    assert_true(facts.max_cost_usd == 0.25);
}

static void who_asks_for_a_policy_gets_it_as_it_is(void **state) {
    assignments[0].max_latency_ms = 300;
    facts.tier = SPAN("free");
    assert_chooses("cheapest", "cheapest");
    assert_int_equal(facts.assignment, 0);
    assert_int_equal(facts.max_latency_ms, 0);
}

/* --- who asks --- */

static struct key key;
static const struct project project = { .name = { "shop", 4 }, .policy = { "tier", 4 } };

static void ask_by_key(void) {
    key = (struct key){ .id = SPAN("ci"), .project = SPAN("shop") };
    facts.key = &key;
    facts.project = &project;
}

static void a_key_goes_before_its_project_and_that_before_its_tier(void **state) {
    ask_by_key();
    facts.tier = SPAN("free");
    assert_chooses(NULL, "tier");
    assert_span(facts.chosen_by, "project shop");
    key.policy = SPAN("quality");
    assert_chooses(NULL, "quality");
    assert_span(facts.chosen_by, "key ci");
    assert_int_equal(facts.assignment, 0);
    facts.key = NULL, facts.project = NULL;
    assert_chooses(NULL, "cheapest");
    assert_span(facts.chosen_by, "tier free");
}

static void a_key_chooses_a_policy_where_that_is_granted(void **state) {
    const struct span listed[] = { SPAN("quality") };
    ask_by_key();
    assert_false(chooses("quality"));
    assert_int_equal(error.code, ERROR_PERMISSION_DENIED);
    assert_span(error.param, "x-route-policy");
    facts.model = SPAN("policy/quality");
    assert_false(chooses(NULL));
    assert_span(error.param, "model");
    key.grants = KEYS_GRANT_POLICY;
    assert_chooses("cheapest", "cheapest");
    assert_span(facts.chosen_by, "x-route-policy");
    key.policies = listed, key.n_policies = 1;
    assert_chooses("quality", "quality");
    assert_false(chooses("cheapest"));
    assert_int_equal(error.code, ERROR_PERMISSION_DENIED);
}

static void one_that_was_asked_for_must_exist(void **state) {
    assert_false(chooses("tire"));
    assert_int_equal(error.code, ERROR_INVALID_REQUEST);
    assert_span(error.param, "x-route-policy");
    assert_span(error.message, "There is no policy named 'tire'. Did you mean tier?");
    facts.model = SPAN("policy/qualty");
    assert_false(chooses(NULL));
    assert_int_equal(error.code, ERROR_MODEL_NOT_FOUND);
    assert_span(error.param, "model");
    assert_span(error.message, "There is no policy named 'qualty'. Did you mean quality?");
    facts.model = SPAN("auto:qual"); /* unfinished */
    assert_false(chooses(NULL));
    assert_span(error.message, "There is no policy named 'qual'. Did you mean quality?");
    static const char *const far[] = { "", "x", "oo", "entirely-else", "../../etc/passwd" };
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        char wanted[128];
        snprintf(wanted, sizeof wanted, "There is no policy named '%s'.", far[i]);
        assert_false(chooses(far[i]));
        assert_span(error.message, wanted);
    }
    facts.model = SPAN("policy/");
    assert_false(chooses(NULL));
    facts.model = SPAN("auto:");
    assert_false(chooses(NULL));
}

static void a_long_name_is_not_said_back_whole(void **state) {
    struct buf name = { 0 };
    for (int i = 0; i < 5000; i++)
        buf_add(&name, SPAN("\xc3\xa9"));
    buf_add_char(&name, '\0');
    assert_false(chooses(name.at));
    assert_true(error.message.len < 300);
    facts.model = span_of(name.at);
    assert_false(reach_names(snap, &facts, &arena, &error));
    assert_true(error.message.len < 300);
    buf_deinit(&name);
}

/* --- which models --- */

static bool known(const char *model) {
    facts.model = span_of(model);
    return reach_names(snap, &facts, &arena, &error);
}

static void names_of_every_kind_are_known(void **state) {
    static const char *const names[] = { "auto",          "gpt-4o",  "openai/gpt-4o",
                                         "openai/any-id", "azure/*", "quick",
                                         "safe",          "tiny",    "openai/meta/llama-3:free" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_true(known(names[i]));
}

static void others_are_not_and_the_nearest_are_named(void **state) {
    static const char *const names[] = { "",       "gpt-5", "nobody/gpt-4o", "openai/",
                                         "openai", "Auto",  "policy/tier",   "auto:tier",
                                         "/",      "*",     "openai/a b",    "openai/a\nb" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_false(known(names[i]));
        assert_int_equal(error.code, ERROR_MODEL_NOT_FOUND);
        assert_span(error.param, "model");
    }
    assert_false(known("gpt4o"));
    assert_span(error.message, "The model 'gpt4o' does not exist here. Near names: gpt-4o");
    assert_false(known("zzzzzzzz"));
    assert_span(error.message,
                "The model 'zzzzzzzz' does not exist here. GET /v1/models lists those that do.");
}

static void every_one_of_a_list_must_be_known(void **state) {
    const struct span good[] = { SPAN("gpt-4o"), SPAN("auto"), SPAN("azure/x") };
    const struct span bad[] = { SPAN("gpt-4o"), SPAN("gone") };
    facts.models = good, facts.n_models = 3;
    assert_true(known("auto"));
    facts.models = bad, facts.n_models = 2;
    assert_false(known("auto"));
    assert_span(error.param, "models");
    assert_span(error.message,
                "The model 'gone' does not exist here. GET /v1/models lists those that do.");
    facts.models = good, facts.n_models = 1;
    assert_false(known("gone"));
    assert_span(error.param, "model");
}

/* --- retired models --- */

static void a_retired_model_is_told_by_its_successor(void **state) {
    static const char *const cases[][2] = {
        { "gpt-3", "The model 'gpt-3' was retired on 2026-01-02; gpt-4o replaces it." },
        { "openai/gpt-3",
          "The model 'openai/gpt-3' was retired on 2026-01-02; gpt-4o replaces it." },
        { "gpt-2", "The model 'gpt-2' was retired; gpt-3 replaces it." },
        { "gpt-1", "The model 'gpt-1' was retired on 2025-01-02." },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(known(cases[i][0]));
        assert_int_equal(error.code, ERROR_MODEL_NOT_FOUND);
        assert_int_equal(error_status(&error), 404);
        assert_span(error.param, "model");
        assert_span(error.message, cases[i][1]);
        assert_span(facts.model, cases[i][0]);
        assert_null(facts.replaced.name.at);
    }
    assert_true(known("mini"));
    assert_true(known("openai/mini"));
    assert_true(known("azure/gpt-3")); /* retired elsewhere */
}

static void a_retired_model_is_replaced_where_that_is_configured(void **state) {
    static const char *const cases[][2] = { { "gpt-3", "gpt-4o" },
                                            { "gpt-2", "gpt-4o" },
                                            { "openai/gpt-3", "openai/gpt-4o" },
                                            { "azure/gpt-1", "azure/gpt-4o" } };
    snap->config.reroute_retired = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        facts.replaced = (struct pair){ SPAN_NONE, SPAN_NONE };
        assert_true(known(cases[i][0]));
        assert_span(facts.model, cases[i][1]);
        assert_span(facts.replaced.name, cases[i][0]);
        assert_span(facts.replaced.value, cases[i][1]);
    }
    facts.replaced = (struct pair){ SPAN_NONE, SPAN_NONE };
    assert_true(known("mini"));
    assert_true(known("auto"));
    assert_null(facts.replaced.name.at);
}

static void a_successor_nobody_has_replaces_nothing(void **state) {
    static const char *const names[] = { "gpt-1", "gpt-0", "a", "b" };
    snap->config.reroute_retired = true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_false(known(names[i]));
        assert_int_equal(error.code, ERROR_MODEL_NOT_FOUND);
        assert_null(facts.replaced.name.at);
    }
}

static void each_of_a_list_is_replaced(void **state) {
    const struct span models[] = { SPAN("tiny"), SPAN("gpt-2"), SPAN("gpt-3") };
    facts.models = models, facts.n_models = 3;
    assert_false(known("tiny"));
    assert_span(error.param, "models");
    snap->config.reroute_retired = true;
    assert_true(known("tiny"));
    assert_span(facts.models[0], "tiny");
    assert_span(facts.models[1], "gpt-4o");
    assert_span(facts.models[2], "gpt-4o");
    assert_span(facts.replaced.name, "gpt-2");
    assert_span(models[1], "gpt-2"); /* the client's list is its own */
}

/* --- who embeds --- */

static bool embeds(const char *model) {
    facts.uses = ABILITY_EMBEDDINGS;
    facts.strict = true;
    return known(model);
}

static void embeddings_need_a_model_that_embeds(void **state) {
    static const char *const good[] = { "embed", "openai/embed", "both", "vectors", "openai/any" };
    static const char *const bad[] = { "gpt-4o", "azure/embed", "safe", "azure/any" };
    const char *named = "Models that embed here: openai/embed, openai/both.";
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(embeds(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char wanted[128];
        snprintf(wanted, sizeof wanted, "The model '%s' does not embed. %s", bad[i], named);
        assert_false(embeds(bad[i]));
        assert_int_equal(error_status(&error), 400);
        assert_span(error.param, "model");
        assert_span(error.message, wanted);
    }
    assert_false(embeds("gone"));
    assert_int_equal(error.code, ERROR_MODEL_NOT_FOUND);
}

static void auto_can_not_choose_what_vectors_mean(void **state) {
    assert_false(embeds("auto"));
    assert_int_equal(error_status(&error), 400);
    assert_span(error.message, "Embeddings need a model by name. Models that embed here: "
                               "openai/embed, openai/both.");
    snap->n_targets = 2;
    assert_false(embeds("auto"));
    assert_span(error.message, "Embeddings need a model by name. No model here does.");
    snap->n_targets = TARGETS;
}

static void what_only_embeds_answers_nobody(void **state) {
    facts.uses = ABILITY_CHAT;
    assert_false(known("embed"));
    assert_int_equal(error_status(&error), 400);
    assert_span(error.message, "The model 'embed' only embeds.");
    assert_true(known("both"));
    assert_true(known("vectors")); /* its other model answers */
    const struct span models[] = { SPAN("mini"), SPAN("embed") };
    facts.models = models, facts.n_models = 2;
    assert_false(known("mini"));
    assert_span(error.param, "models");
}

/* --- chains --- */

static struct chain chain;

/* The ids of the chain, joined by blanks. */
static const char *steps(void) {
    static char text[4096];
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < chain.n_steps; i++) {
        const struct step *s = &chain.steps[i];
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s", i ? " " : "",
                                SPAN_ARGS(s->target->id));
    }
    return text;
}

static const char *falls_back(const char *model) {
    facts.model = span_of(model);
    reach_fallback(snap, &facts, &arena, &chain);
    return steps();
}

static void configure_fallback(void) {
    snap->config.fallback = fallback;
    snap->config.n_fallback = 2;
}

static void the_configured_fallback_comes_before_what_was_named(void **state) {
    assert_string_equal(falls_back("gpt-4o"), "openai/gpt-4o azure/gpt-4o azure/free");
    assert_string_equal(falls_back("azure/tiny"), "azure/tiny");
    assert_string_equal(falls_back("quick"), "openai/mini");
    assert_string_equal(falls_back("safe"), "openai/mini azure/tiny");
    assert_string_equal(falls_back("openai/new"), "openai/new");
    configure_fallback();
    assert_string_equal(falls_back("gpt-4o"), "openai/mini azure/tiny");
    assert_string_equal(falls_back("auto"), "openai/mini azure/tiny");
}

static void a_fallback_may_name_chains_and_aliases(void **state) {
    static const struct span names[] = { { "gpt-4o", 6 }, { "quick", 5 }, { "safe", 4 } };
    snap->config.fallback = names, snap->config.n_fallback = 3;
    assert_string_equal(falls_back("auto"),
                        "openai/gpt-4o azure/gpt-4o azure/free openai/mini azure/tiny");
}

static void a_fallback_of_names_nobody_has_is_none(void **state) {
    static const struct span names[] = { { "gone", 4 } };
    snap->config.fallback = names, snap->config.n_fallback = 1;
    assert_string_equal(falls_back("azure/tiny"), "azure/tiny");
}

static void a_list_of_the_clients_stands_for_its_model(void **state) {
    const struct span models[] = { SPAN("tiny"), SPAN("openai/new"), SPAN("gpt-4o"), SPAN("tiny"),
                                   SPAN("openai/new") };
    facts.models = models, facts.n_models = 5;
    assert_string_equal(falls_back("mini"),
                        "azure/tiny openai/new openai/gpt-4o azure/gpt-4o azure/free");
}

static void without_any_the_cheapest_that_can(void **state) {
    assert_string_equal(falls_back("auto"), "azure/tiny openai/mini azure/gpt-4o");
    facts.uses = ABILITY_TOOLS;
    assert_string_equal(falls_back("auto"), "openai/mini azure/gpt-4o openai/gpt-4o");
    facts.uses = ABILITY_IMAGES | ABILITY_TOOLS;
    assert_string_equal(falls_back("auto"), "openai/gpt-4o azure/free"); /* no price: last */
    facts.uses = 0;
    facts.input_tokens = 8001;
    assert_string_equal(falls_back("auto"), "azure/gpt-4o openai/gpt-4o azure/free");
    facts.uses = ABILITY_AUDIO;
    assert_string_equal(falls_back("auto"), "");
}

static void a_step_of_a_fallback_says_nothing_of_its_own(void **state) {
    configure_fallback();
    falls_back("auto");
    assert_int_equal(chain.steps[0].retries, -1);
    assert_true(chain.steps[0].max_cost == NANOUSD_NONE);
    assert_int_equal(chain.steps[0].when, 0);
    assert_true(chain.max_cost == NANOUSD_NONE);
    assert_int_equal(chain.hold_ms, -1);
    assert_int_equal(chain.deadline_ms + chain.max_attempts + chain.max_latency_ms, 0);
}

static void more_names_than_anybody_needs_are_cut(void **state) {
    struct span models[100];
    for (int i = 0; i < 100; i++)
        models[i] = arena_printf(&arena, "openai/any-%d", i);
    facts.models = models, facts.n_models = 100;
    falls_back("auto");
    assert_int_equal(chain.n_steps, 64);
    assert_span(chain.steps[63].target->id, "openai/any-63");
}

/* --- strictness --- */

/* Makes `chain` of these targets ("openai/mini azure/tiny"). */
static void make_chain(const char *decided) {
    struct span rest = span_of(decided), id;
    chain = reach_chain();
    chain.steps = arena_new_array(&arena, struct step, TARGETS);
    while (decided[0] && span_split(&rest, ' ', &id)) {
        const struct target *t = snapshot_target(snap, id);
        assert_non_null(t);
        chain.steps[chain.n_steps] = reach_step(t);
        chain.steps[chain.n_steps].timeout_ms = 100 + (uint32_t)chain.n_steps;
        chain.n_steps++;
    }
}

/* What is left of a policy's chain. */
static const char *enforced(const char *model, const char *decided) {
    make_chain(decided);
    facts.model = span_of(model);
    reach_enforce(snap, &facts, &arena, &chain);
    return steps();
}

/* What is left of another rest, after a failure. */
static const char *filtered(const char *model, const char *decided) {
    make_chain(decided);
    facts.model = span_of(model);
    reach_filter(snap, &facts, &arena, &chain);
    return steps();
}

static void who_is_not_strict_goes_where_the_policy_says(void **state) {
    assert_string_equal(enforced("gpt-4o", "openai/mini azure/tiny"), "openai/mini azure/tiny");
}

static void a_key_keeps_to_its_models(void **state) {
    const struct span mine[] = { SPAN("azure/*"), SPAN("quick") };
    ask_by_key();
    key.models = mine, key.n_models = 2;
    assert_string_equal(enforced("auto", "openai/gpt-4o azure/tiny openai/mini azure/gpt-4o"),
                        "azure/tiny openai/mini azure/gpt-4o");
    assert_string_equal(filtered("auto", "openai/gpt-4o azure/tiny"), "azure/tiny");
    assert_string_equal(filtered("auto", "openai/gpt-4o"), "");
    /* A policy that chose nothing of it: what the key may use is tried, as it lists it. */
    assert_string_equal(enforced("auto", "openai/gpt-4o"),
                        "azure/gpt-4o azure/free azure/tiny openai/mini");
    facts.strict = true;
    assert_string_equal(enforced("gpt-4o", "openai/gpt-4o"), "azure/gpt-4o");
}

static void a_model_the_key_may_not_use_is_refused(void **state) {
    const struct span mine[] = { SPAN("mini") };
    ask_by_key();
    key.models = mine, key.n_models = 1;
    facts.model = SPAN("gpt-4o");
    assert_false(reach_names(snap, &facts, &arena, &error));
    assert_int_equal(error.code, ERROR_PERMISSION_DENIED);
    assert_span(error.param, "model");
    facts.model = SPAN("safe"); /* a chain, of which it may use something */
    assert_true(reach_names(snap, &facts, &arena, &error));
    facts.model = SPAN("auto");
    assert_true(reach_names(snap, &facts, &arena, &error));
}

static void a_strict_request_keeps_to_what_it_named(void **state) {
    facts.strict = true;
    assert_string_equal(enforced("gpt-4o", "openai/mini azure/gpt-4o azure/free openai/gpt-4o"),
                        "azure/gpt-4o openai/gpt-4o");
    assert_int_equal(chain.steps[0].timeout_ms, 101); /* the policy's steps, not new ones */
    assert_string_equal(enforced("openai/gpt-4o", "azure/gpt-4o openai/gpt-4o"), "openai/gpt-4o");
    assert_string_equal(enforced("openai/gpt-4o", "azure/gpt-4o"), "openai/gpt-4o");
    assert_string_equal(enforced("quick", "azure/tiny openai/mini"), "openai/mini");
}

static void strict_and_a_list_means_the_list(void **state) {
    const struct span models[] = { SPAN("tiny"), SPAN("mini") };
    facts.strict = true;
    facts.models = models, facts.n_models = 2;
    assert_string_equal(enforced("gpt-4o", "openai/gpt-4o openai/mini azure/tiny"),
                        "openai/mini azure/tiny");
    assert_string_equal(enforced("gpt-4o", "openai/gpt-4o"), "azure/tiny openai/mini");
}

static void a_chains_name_keeps_to_the_chain(void **state) {
    facts.strict = true;
    assert_string_equal(enforced("safe", "openai/gpt-4o azure/tiny"), "azure/tiny");
    assert_string_equal(enforced("safe", "openai/gpt-4o"), "openai/mini azure/tiny");
}

static void auto_can_not_be_kept_to(void **state) {
    facts.strict = true;
    assert_string_equal(enforced("auto", "openai/gpt-4o azure/tiny"), "openai/gpt-4o azure/tiny");
}

static void a_rest_without_what_was_named_is_the_end(void **state) {
    assert_string_equal(filtered("openai/gpt-4o", "azure/tiny"), "azure/tiny");
    facts.strict = true;
    assert_string_equal(filtered("openai/gpt-4o", "azure/tiny openai/gpt-4o"), "openai/gpt-4o");
    assert_string_equal(filtered("openai/gpt-4o", "azure/tiny azure/gpt-4o"), "");
    assert_string_equal(filtered("safe", "openai/gpt-4o azure/tiny"), "azure/tiny");
    assert_string_equal(filtered("auto", "openai/gpt-4o"), "openai/gpt-4o");
}

static void embeddings_go_to_nobody_who_does_not_embed(void **state) {
    facts.uses = ABILITY_EMBEDDINGS;
    facts.strict = true;
    assert_string_equal(enforced("embed", "azure/embed openai/mini openai/embed"), "openai/embed");
    assert_string_equal(enforced("embed", "azure/embed openai/both"), "openai/embed");
    assert_string_equal(filtered("embed", "azure/embed"), "");
    assert_string_equal(falls_back("embed"), "openai/embed");
    configure_fallback();
    assert_string_equal(falls_back("embed"), "openai/embed");
}

static void answers_come_from_nobody_who_only_embeds(void **state) {
    facts.uses = ABILITY_CHAT;
    assert_string_equal(enforced("mini", "openai/embed openai/both azure/tiny"),
                        "openai/both azure/tiny");
    assert_string_equal(enforced("mini", "openai/embed"), "");
    assert_string_equal(filtered("mini", "openai/embed openai/mini"), "openai/mini");
    facts.strict = true;
    assert_string_equal(enforced("vectors", "openai/embed"), "openai/mini");
    assert_string_equal(falls_back("vectors"), "openai/mini");
}

static void an_empty_chain_is_an_answer(void **state) {
    facts.strict = true;
    assert_string_equal(enforced("gpt-4o", ""), "");
}

static void a_target_without_an_entry_is_the_same_by_its_name(void **state) {
    const struct target *found;
    facts.strict = true;
    facts.model = SPAN("openai/new");
    assert_int_equal(snapshot_resolve(snap, facts.model, &arena, &found, 1), 1);
    struct step step = reach_step(found);
    chain = reach_chain();
    chain.steps = &step, chain.n_steps = 1;
    reach_enforce(snap, &facts, &arena, &chain);
    assert_int_equal(chain.n_steps, 1);
    assert_ptr_equal(chain.steps[0].target, found);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_word_there_is_decides, set_up, tear_down),
        cmocka_unit_test_setup_teardown(auto_means_the_accounts_mode_wherever_it_stands, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_mode_is_a_policy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_tier_nobody_configured_decides_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            a_configured_policy_that_never_loaded_is_not_the_clients_fault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_assignment_only_tightens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_asks_for_a_policy_gets_it_as_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_goes_before_its_project_and_that_before_its_tier,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_chooses_a_policy_where_that_is_granted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_key_keeps_to_its_models, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_model_the_key_may_not_use_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_was_asked_for_must_exist, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_name_is_not_said_back_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_of_every_kind_are_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(others_are_not_and_the_nearest_are_named, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(every_one_of_a_list_must_be_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_configured_fallback_comes_before_what_was_named, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_fallback_may_name_chains_and_aliases, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_fallback_of_names_nobody_has_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_list_of_the_clients_stands_for_its_model, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(without_any_the_cheapest_that_can, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_step_of_a_fallback_says_nothing_of_its_own, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(more_names_than_anybody_needs_are_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_not_strict_goes_where_the_policy_says, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_strict_request_keeps_to_what_it_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strict_and_a_list_means_the_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_chains_name_keeps_to_the_chain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(auto_can_not_be_kept_to, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rest_without_what_was_named_is_the_end, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_empty_chain_is_an_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_target_without_an_entry_is_the_same_by_its_name, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_retired_model_is_told_by_its_successor, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_retired_model_is_replaced_where_that_is_configured,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_successor_nobody_has_replaces_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_of_a_list_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(embeddings_need_a_model_that_embeds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(auto_can_not_choose_what_vectors_mean, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_only_embeds_answers_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(embeddings_go_to_nobody_who_does_not_embed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(answers_come_from_nobody_who_only_embeds, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
