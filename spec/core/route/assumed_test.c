/* Who asks, as it might be: keys and projects by name, what is left as numbers, all else left alone. */
#include "route/assumed.h"

#include "support/unit.h"

static struct arena arena;
static struct facts facts;
static struct api_error error;

static const struct project projects[] = { { .name = { "shop", 4 }, .tier = { "paid", 4 } } };
static const struct configured_key configured[] = {
    { .key = { .id = { "ci", 2 }, .project = { "shop", 4 } } },
    { .key = { .id = { "lost", 4 }, .project = { "gone", 4 } } },
};
static const struct config config = {
    .projects = projects, .n_projects = 1, .keys = configured, .n_keys = 2
};

static int set_up(void **state) {
    arena_init(&arena, 256);
    facts = (struct facts){ 0 };
    return 0;
}

static int tear_down(void **state) {
    arena_deinit(&arena);
    return 0;
}

static bool assume(const char *text) {
    struct span list[] = { SPAN("openai=down"), span_of(text) };
    return assumed_asker(&config, NULL, list, 2, &arena, &facts, &error);
}

static void without_a_word_it_is_nobody_with_a_key(void **state) {
    assert_true(assume("openai/gpt-4o.ttft_ms=9"));
    assert_null(facts.key);
    assert_span(facts.project->name, "default");
    assert_true(facts.budget_left == INT64_MAX);
}

static void a_key_comes_with_its_project(void **state) {
    assert_true(assume(" key = ci "));
    assert_span(facts.key->id, "ci");
    assert_span(facts.project->tier, "paid");
    assert_true(assume("project=shop"));
    assert_null(facts.key);
    assert_span(facts.project->name, "shop");
}

static void what_is_left_is_numbers(void **state) {
    assert_true(assume("budget.left_usd=0.25"));
    assert_true(facts.budget_left == 250000000);
    assert_true(assume("budget.used=0.9"));
    assert_true(facts.budget_left == INT64_MAX && facts.budget_used == 0.9);
    assert_true(assume("budget.free_left=7"));
    assert_int_equal(facts.free_left, 7);
}

static void keys_made_later_are_known_too(void **state) {
    static const unsigned char pepper[KEYS_PEPPER_SIZE] = { 1 };
    struct keys *keys = keys_new(pepper);
    struct buf secret = { 0 }, id = { 0 }, why = { 0 }, text = { 0 };
    struct key like = { .project = SPAN("default"), .expires_s = PERIOD_FOR_EVER };
    assert_int_equal(keys_make(keys, &like, 0, &secret, &id, &why), KEYS_CHANGED);
    struct keys_pass known = keys_anybody(keys);
    buf_printf(&text, "key=%.*s", (int)id.len, id.at);
    struct span list[] = { buf_span(&text), SPAN("key=ci") };
    assert_true(assumed_asker(&config, &known, list, 1, &arena, &facts, &error));
    assert_true(span_eq(facts.key->id, buf_span(&id)));
    assert_false(assumed_asker(&config, &known, list, 2, &arena, &facts, &error));
    keys_pass_end(&known);
    buf_deinit(&secret);
    buf_deinit(&id);
    buf_deinit(&why);
    buf_deinit(&text);
    keys_free(keys);
}

static void over_what_was_recorded_only_that_changes(void **state) {
    const struct key then = { .id = SPAN("old") };
    const struct span list[] = { SPAN("budget.used=1") };
    facts.key = &then;
    facts.budget_left = 5;
    assert_true(assumed_over(&config, NULL, list, 1, &arena, &facts, &error));
    assert_span(facts.key->id, "old");
    assert_true(facts.budget_left == 5 && facts.budget_used == 1);
}

static void what_is_wrong_is_said(void **state) {
    static const char *const wrong[][2] = {
        { "key=cii", "\"key=cii\": there is no such key" },
        { "key=lost", "\"key=lost\": there is no such key" },
        { "project=", "\"project=\": there is no such project" },
        { "budget.left_usd=-1", "\"budget.left_usd=-1\": expected dollars, a number not below 0" },
        { "budget.left_usd=1e300",
          "\"budget.left_usd=1e300\": expected dollars, a number not below 0" },
        { "budget.used=1.5", "\"budget.used=1.5\": expected a number from 0 to 1" },
        { "budget.used=nan", "\"budget.used=nan\": expected a number from 0 to 1" },
        { "budget.free_left=few", "\"budget.free_left=few\": expected a whole number" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(assume(wrong[i][0]));
        assert_int_equal(error.code, ERROR_INVALID_REQUEST);
        assert_span(error.message, wrong[i][1]);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(without_a_word_it_is_nobody_with_a_key),
        TEST(a_key_comes_with_its_project),
        TEST(what_is_left_is_numbers),
        TEST(keys_made_later_are_known_too),
        TEST(over_what_was_recorded_only_that_changes),
        TEST(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
