/* tokens_test.c - estimates: text by bytes, pictures by their size, each target by its own density
 * and by what it has reported. */
#include "route/tokens.h"

#include "support/unit.h"

static const struct provider providers[] = { { .name = { "openai", 6 } },
                                             { .name = { "anthropic", 9 } } };
static struct snapshot *snap;
static struct arena arena;
static struct health *health;
static struct health_figure *figures[3];

static int set_up(void **state) {
    static const struct span chained[] = { { "nobody", 6 }, { "claude", 6 } };
    static const struct named_chain chain = { { "safe", 4 }, chained, 2 };
    static const char *const ids[] = { "openai/gpt", "anthropic/claude", "openai/claude" };
    static const char *const models[] = { "gpt", "claude", "claude" };
    snap = snapshot_new();
    struct target *targets = arena_new_array(&snap->arena, struct target, 3);
    health = health_new();
    arena_init(&arena, 1024);
    for (unsigned i = 0; i < 3; i++) {
        targets[i] = (struct target){ .index = i,
                                      .id = span_of(ids[i]),
                                      .model = span_of(models[i]),
                                      .provider = &providers[i == 1],
                                      .bytes_a_token = i == 1 ? 2.5 : 4 };
        figures[i] = health_figure(health, targets[i].id);
    }
    snap->providers = providers, snap->n_providers = 2;
    snap->targets = targets, snap->n_targets = 3;
    snap->chains = &chain, snap->n_chains = 1;
    snapshot_seal(snap);
    return 0;
}

static int tear_down(void **state) {
    snapshot_unref(snap);
    health_free(health);
    arena_deinit(&arena);
    return 0;
}

/* A request of so many bytes of text and so many other tokens. */
static struct facts request(uint64_t bytes, uint64_t others, const char *model) {
    return (struct facts){ .input_bytes = bytes,
                           .input_tokens = tokens_text(bytes) + others,
                           .model = span_of(model) };
}

static void text_is_four_bytes_a_token(void **state) {
    assert_int_equal(tokens_text(0), 0);
    assert_int_equal(tokens_text(1), 1);
    assert_int_equal(tokens_text(4), 1);
    assert_int_equal(tokens_text(5), 2);
    assert_int_equal(tokens_text(4000), 1000);
}

/* --- pictures --- */

static void write_base64(const unsigned char *bytes, size_t n, char *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        unsigned left = n - i < 3 ? (unsigned)(n - i) : 3;
        unsigned v =
            bytes[i] << 16 | (left > 1 ? bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
        for (unsigned k = 0; k < 4; k++)
            *out++ = k > left ? '=' : digits[v >> (18 - 6 * k) & 63];
    }
    *out = '\0';
}

static uint64_t picture(const unsigned char *bytes, size_t n, const char *prefix) {
    char text[512];
    size_t len = (size_t)snprintf(text, sizeof text, "%s", prefix);
    write_base64(bytes, n, text + len);
    return tokens_picture(span_of(text), false);
}

static const unsigned char png[] = {
    0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0,    13,
    'I',  'H', 'D', 'R', 0,    0,    0x04, 0x00, 0, 0, 0x01, 0x77
};
static const unsigned char gif[] = { 'G', 'I', 'F', '8', '9', 'a', 0x2c, 0x01, 0xfa, 0x00 };
/* A segment of its own before the frame, and a table of colours that is none. */
static const unsigned char jpeg[] = { 0xff, 0xd8, 0xff, 0xe0, 0x00, 0x06, 'J',  'F',  'I',
                                      'F',  0xff, 0xc4, 0x00, 0x03, 0x00, 0xff, 0xc2, 0x00,
                                      17,   8,    0x01, 0x77, 0x04, 0x00, 3 };

static void pictures_are_weighed_by_their_size(void **state) {
    assert_int_equal(picture(png, sizeof png, ""), 1024 * 375 / 750);
    assert_int_equal(picture(png, sizeof png, "data:image/png;base64,"), 1024 * 375 / 750);
    assert_int_equal(picture(jpeg, sizeof jpeg, "data:image/jpeg;base64,"), 1024 * 375 / 750);
    assert_int_equal(picture(gif, sizeof gif, ""), 300 * 250 / 750);
}

static void no_picture_is_nothing_or_without_end(void **state) {
    unsigned char sized[sizeof png];
    memcpy(sized, png, sizeof png);
    memset(sized + 16, 0, 8);
    sized[19] = sized[23] = 1;
    assert_int_equal(picture(sized, sizeof sized, ""), 64);
    sized[18] = sized[22] = 0xff;
    assert_int_equal(picture(sized, sizeof sized, ""), 1600);
    assert_int_equal(tokens_picture(SPAN("http://x/y.png"), true), 85);
}

static void a_picture_that_does_not_say_is_a_usual_one(void **state) {
    static const char *const others[] = { "",
                                          "http://x/y.png",
                                          "data:",
                                          "data:,",
                                          "iVBORw0KGgo",
                                          "R0lGOD",
                                          "/9j/",
                                          "/9j//9j//9j/",
                                          "data:image/png;base64",
                                          "iVBORw0KGgo!!!!!!!!!!!!!!!!!!!!!!!!!!" };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(tokens_picture(span_of(others[i]), false), 1000);
    assert_int_equal(tokens_picture(SPAN_NONE, false), 1000);
    for (size_t len = 0; len < sizeof jpeg - 2; len++) /* cut before its size is whole */
        assert_int_equal(picture(jpeg, len, ""), 1000);
}

/* --- targets --- */

static void each_target_has_its_own_density(void **state) {
    struct facts f = request(1000, 30, "gpt");
    assert_int_equal(tokens_estimate(&f, &snap->targets[0]), 250 + 30);
    assert_int_equal(tokens_estimate(&f, &snap->targets[1]), 400 + 30);
    assert_int_equal(tokens_input(&f, &snap->targets[1], NULL), 430);
    assert_int_equal(tokens_input(&f, &snap->targets[1], figures[1]), 430);
}

static void what_is_reported_corrects_what_is_estimated(void **state) {
    struct facts f = request(8000, 0, "gpt");
    for (int i = 0; i < 100; i++)
        health_tokens(figures[0], tokens_estimate(&f, &snap->targets[0]), 3000);
    assert_in_range(tokens_input(&f, &snap->targets[0], figures[0]), 2990, 3010);
    assert_int_equal(tokens_estimate(&f, &snap->targets[0]), 2000); /* what it learns from stays */
}

static void an_answer_is_worth_its_text(void **state) {
    assert_true(tokens_a_byte(&snap->targets[0], NULL) == 0.25);
    assert_true(tokens_a_byte(&snap->targets[1], figures[1]) == 0.4);
    for (int i = 0; i < 100; i++)
        health_output(figures[1], 200, 100);
    double learned = tokens_a_byte(&snap->targets[1], figures[1]);
    assert_true(learned > 0.199 && learned < 0.201);
    assert_true(tokens_input(&(struct facts){ .input_tokens = 1, .input_bytes = 4 },
                             &snap->targets[1], figures[1]) == 2); /* prompts are worth the same */
}

static void g5_counts_tokens_of_foreign_models(void **state) {
    struct facts f = request(1000, 30, "gpt");
    assert_int_equal(tokens_count(&f, snap, figures, &arena), 280);
    f.model = SPAN("claude"); /* at two providers: the first counts */
    assert_int_equal(tokens_count(&f, snap, figures, &arena), 430);
    f.model = SPAN("openai/claude");
    assert_int_equal(tokens_count(&f, snap, figures, &arena), 280);
    f.model = SPAN("safe"); /* a chain: its first model that exists */
    assert_int_equal(tokens_count(&f, snap, figures, &arena), 430);
    f.model = SPAN("openai/any-id");
    assert_int_equal(tokens_count(&f, snap, figures, &arena), 280);
    f.model = SPAN("auto");
    assert_int_equal(tokens_count(&f, snap, NULL, &arena), 280);
    const struct span named[] = { SPAN("claude"), SPAN("gpt") };
    f.models = named, f.n_models = 2;
    assert_int_equal(tokens_count(&f, snap, figures, &arena), 430);
    health_tokens(figures[1], 4096, 8192);
    assert_true(tokens_count(&f, snap, figures, &arena) > 430);
    assert_int_equal(tokens_count(&f, snap, NULL, &arena), 430);
    f = request(0, 0, "gpt");
    assert_int_equal(tokens_count(&f, snap, figures, &arena), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_is_four_bytes_a_token, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pictures_are_weighed_by_their_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_picture_is_nothing_or_without_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_picture_that_does_not_say_is_a_usual_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(each_target_has_its_own_density, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_is_worth_its_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_reported_corrects_what_is_estimated, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(g5_counts_tokens_of_foreign_models, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
