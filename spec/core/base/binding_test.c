/* To whom a conversation is bound: to who answered it last, else to the only one it can be. */
#include "base/binding.h"
#include "support/unit.h"

static struct snapshot *snap;
static struct facts facts;

/* Two who serve one model of Anthropic's, one with a model of its own beside. */
static int set_up(void **state) {
    snap = snapshot_new();
    struct provider *providers = arena_new_array(&snap->arena, struct provider, 3);
    providers[0] = (struct provider){ .index = 0, .name = SPAN("anthropic") };
    providers[1] = (struct provider){ .index = 1, .name = SPAN("proxy") };
    providers[2] = (struct provider){ .index = 2, .name = SPAN("google") };
    static const struct {
        int provider;
        enum dialect dialect;
        uint32_t speaks;
        const char *id, *upstream;
    } list[] = {
        { 0, DIALECT_ANTHROPIC_MESSAGES, 0, "anthropic/opus", "claude-opus" },
        { 1, DIALECT_OPENAI_CHAT, DIALECT_BIT(DIALECT_ANTHROPIC_MESSAGES), "proxy/opus",
          "claude-opus" },
        { 1, DIALECT_ANTHROPIC_MESSAGES, 0, "proxy/own", "own" },
        { 2, DIALECT_GEMINI, 0, "google/pro", "gemini-pro" },
        { 2, DIALECT_GEMINI, 0, "google/flash", "gemini-flash" },
    };
    struct target *targets = arena_new_array(&snap->arena, struct target, 5);
    for (unsigned i = 0; i < 5; i++)
        targets[i] = (struct target){ .index = i,
                                      .id = span_of(list[i].id),
                                      .upstream = span_of(list[i].upstream),
                                      .dialect = list[i].dialect,
                                      .speaks = list[i].speaks,
                                      .provider = &providers[list[i].provider] };
    snap->providers = providers;
    snap->n_providers = 3;
    snap->targets = targets;
    snap->n_targets = 5;
    snapshot_seal(snap);
    facts = (struct facts){ 0 };
    return 0;
}

static int tear_down(void **state) {
    snapshot_unref(snap);
    return 0;
}

static void to_nobody_without_a_state(void **state) {
    const struct session_target last = { SPAN("anthropic/opus"), 0 };
    assert_null(binding_provider(snap, &facts).at);
    facts.last_targets = &last;
    facts.n_last_targets = 1;
    assert_null(binding_provider(snap, &facts).at);
}

static void to_the_only_one_it_can_be(void **state) {
    facts.signed_by = DIALECT_GEMINI;
    assert_span(binding_provider(snap, &facts), "google");
    facts.signed_by = DIALECT_ANTHROPIC_MESSAGES;
    assert_null(binding_provider(snap, &facts).at);
    facts.signed_model = SPAN("own");
    assert_span(binding_provider(snap, &facts), "proxy");
    facts.signed_model = SPAN("claude-opus");
    assert_null(binding_provider(snap, &facts).at);
    facts.signed_model = SPAN("gone");
    assert_null(binding_provider(snap, &facts).at);
}

static void to_who_answered_last(void **state) {
    const struct session_target last[] = { { SPAN("google/pro"), 0 },
                                           { SPAN("proxy/opus"), 0 },
                                           { SPAN("anthropic/opus"), 0 } };
    facts.signed_by = DIALECT_ANTHROPIC_MESSAGES;
    facts.signed_model = SPAN("claude-opus");
    facts.last_targets = last;
    facts.n_last_targets = 3;
    assert_span(binding_provider(snap, &facts), "proxy");
    facts.signed_model = SPAN("own");
    assert_span(binding_provider(snap, &facts), "proxy");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(to_nobody_without_a_state),
        TEST(to_the_only_one_it_can_be),
        TEST(to_who_answered_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
