/* words_test.c - what clients name things by holds no key: none that looks like one, nor theirs. */
#include "route/words.h"

#include "support/unit.h"

#define LOOKS "pl-abcDEF0123456789abcdef"
#define PRESENTED "correct horse battery"

static struct snapshot *snap;
static struct arena arena;

/* A provider of which one model is listed that looks like a key. */
static int set_up(void **state) {
    arena_init(&arena, 512);
    snap = snapshot_new();
    struct provider *providers = arena_new_array(&snap->arena, struct provider, 1);
    struct target *targets = arena_new_array(&snap->arena, struct target, 1);
    providers[0].name = SPAN("a");
    targets[0] = (struct target){
        .id = SPAN("a/" LOOKS), .model = SPAN(LOOKS), .upstream = SPAN(LOOKS), .provider = providers
    };
    snap->providers = providers;
    snap->n_providers = 1;
    snap->targets = targets;
    snap->n_targets = 1;
    snapshot_seal(snap);
    return 0;
}

static int tear_down(void **state) {
    arena_deinit(&arena);
    snapshot_unref(snap);
    return 0;
}

static struct facts cleaned(const char *word) {
    struct span *list = arena_new_array(&arena, struct span, 2);
    list[0] = SPAN("plain");
    list[1] = span_of(word);
    struct pair *headers = arena_new_array(&arena, struct pair, 2);
    headers[0] = (struct pair){ SPAN("x-route-session"), list[1] };
    headers[1] = (struct pair){ SPAN("user-agent"), list[1] };
    struct facts facts = { .headers = headers,
                           .n_headers = 2,
                           .session = list[1],
                           .user = list[1],
                           .tier = list[1],
                           .model = list[1],
                           .tags = list,
                           .n_tags = 2,
                           .models = list,
                           .n_models = 2 };
    words_clean(&facts, snap, SPAN(PRESENTED), &arena);
    assert_span(facts.tags[0], "plain");
    assert_span(facts.models[0], "plain");
    assert_span(facts.headers[1].value, word);
    return facts;
}

static void assert_all(const struct facts *facts, const char *wanted) {
    assert_span(facts->headers[0].value, wanted);
    assert_span(facts->session, wanted);
    assert_span(facts->user, wanted);
    assert_span(facts->tier, wanted);
    assert_span(facts->tags[1], wanted);
}

static void what_looks_like_a_key_is_taken_out(void **state) {
    struct facts facts = cleaned("b/sk-abcDEF0123456789abcdef.");
    assert_all(&facts, "b/[key].");
    assert_span(facts.model, "b/[key].");
    assert_span(facts.models[1], "b/[key].");
}

static void so_is_the_key_it_came_with(void **state) {
    struct facts facts = cleaned("a/" PRESENTED);
    assert_all(&facts, "[key]");
    assert_span(facts.model, "[key]");
}

static void a_model_on_offer_is_called_what_it_is_called(void **state) {
    struct facts facts = cleaned("a/" LOOKS);
    assert_all(&facts, "a/[key]");
    assert_span(facts.model, "a/" LOOKS);
    assert_span(facts.models[1], "a/" LOOKS);
}

static void anything_else_stays(void **state) {
    struct facts facts = cleaned("ann@example.com");
    assert_all(&facts, "ann@example.com");
    assert_span(facts.model, "ann@example.com");
}

static void a_short_key_may_be_a_word_too(void **state) {
    struct facts facts = { .user = SPAN("dev") };
    words_clean(&facts, snap, SPAN("dev"), &arena);
    assert_span(facts.user, "dev");
    assert_null(facts.session.at);
}

int main(void) {
#define UNIT(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        UNIT(what_looks_like_a_key_is_taken_out),
        UNIT(so_is_the_key_it_came_with),
        UNIT(a_model_on_offer_is_called_what_it_is_called),
        UNIT(anything_else_stays),
        UNIT(a_short_key_may_be_a_word_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
