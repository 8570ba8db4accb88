/* models_test.c - the list of models, read back as a client reads it. */
#include "route/models.h"

#include "base/ability.h"
#include "base/json.h"
#include "support/unit.h"

static struct snapshot *snap;
static struct json_parser *parser;
static struct buf out;

#define TEXT(literal)                                                                              \
    { literal, sizeof(literal) - 1 }

static const struct {
    int provider;
    struct span id, model;
    struct price price;
    uint32_t context, max_output, abilities;
} list[] = {
    { 0,
      TEXT("openai/gpt-4o"),
      TEXT("gpt-4o"),
      { 2500000000, 10000000000, 1250000000, PRICE_UNKNOWN },
      128000,
      16384,
      ABILITY_TOOLS | ABILITY_JSON_SCHEMA },
    { 1,
      TEXT("azure/gpt-4o"),
      TEXT("gpt-4o"),
      { PRICE_UNKNOWN, 7, PRICE_UNKNOWN, PRICE_UNKNOWN },
      0,
      0,
      0 },
    { 1,
      TEXT("azure/\"odd\"\n<name>\xff"),
      TEXT("\"odd\"\n<name>\xff"),
      { 0, 0, 0, 0 },
      4294967295u,
      1,
      UINT32_MAX },
    { 1,
      TEXT("azure/dear"),
      TEXT("dear"),
      { 1000000000000000, INT64_MAX, PRICE_UNKNOWN, PRICE_UNKNOWN },
      1,
      0,
      0 },
};
enum { TARGETS = sizeof list / sizeof *list };

static int set_up(void **state) {
    static const struct span steps[] = { TEXT("gpt-4o") };
    snap = snapshot_new();
    struct provider *providers = arena_new_array(&snap->arena, struct provider, 2);
    struct target *targets = arena_new_array(&snap->arena, struct target, TARGETS);
    struct named_chain *names = arena_new_array(&snap->arena, struct named_chain, 3);
    struct policy_source *sources = arena_new_array(&snap->arena, struct policy_source, 2);
    providers[0] = (struct provider){ .index = 0, .name = SPAN("openai") };
    providers[1] = (struct provider){ .index = 1, .name = SPAN("azure") };
    for (unsigned i = 0; i < TARGETS; i++)
        targets[i] = (struct target){ .index = i,
                                      .id = list[i].id,
                                      .model = list[i].model,
                                      .provider = &providers[list[i].provider],
                                      .price = list[i].price,
                                      .context = list[i].context,
                                      .max_output = list[i].max_output,
                                      .abilities = list[i].abilities };
    names[0] = (struct named_chain){ SPAN("safe"), steps, 1 };
    names[1] =
        (struct named_chain){ SPAN("gpt-4o"), steps, 1 }; /* follows the model of that name */
    names[2] = (struct named_chain){ SPAN("quick"), steps, 1 };
    sources[0].name = SPAN("auto");
    sources[1].name = SPAN("tier");
    snap->providers = providers, snap->n_providers = 2;
    snap->targets = targets, snap->n_targets = TARGETS;
    snap->chains = names, snap->n_chains = 2;
    snap->aliases = names + 2, snap->n_aliases = 1;
    snap->policies = sources, snap->n_policies = 2;
    snapshot_seal(snap);
    parser = json_parser_new();
    return 0;
}

static int tear_down(void **state) {
    snapshot_unref(snap);
    json_parser_free(parser);
    buf_deinit(&out);
    return 0;
}

static struct json_value parsed(void) {
    struct json_value root;
    assert_int_equal(json_parse(parser, buf_span(&out), &root), JSON_OK);
    return root;
}

static struct json_value the_list(void) {
    buf_clear(&out);
    models_write_list(snap, NULL, DIALECT_OPENAI_CHAT, &out);
    struct json_value root = parsed();
    assert_int_equal(json_count(root), 2);
    assert_span(json_text(json_get(root, "object")), "list");
    assert_int_equal(json_type(json_get(root, "data")), JSON_ARRAY);
    return json_get(root, "data");
}

/* The one entry of that id; absent when there is none. */
static struct json_value entry(struct json_value data, const char *id) {
    struct json_value found = { 0 };
    for (struct json_iter it = json_iter(data); json_next(&it);)
        if (span_eq(json_text(json_get(it.value, "id")), span_of(id))) {
            assert_int_equal(json_type(found), JSON_ABSENT);
            found = it.value;
        }
    return found;
}

static void everything_one_can_ask_for_is_there_once(void **state) {
    static const char *const ids[] = { "auto",
                                       "policy/auto",
                                       "policy/tier",
                                       "safe",
                                       "gpt-4o",
                                       "openai/gpt-4o",
                                       "azure/gpt-4o",
                                       "\"odd\"\n<name>\xef\xbf\xbd",
                                       "azure/\"odd\"\n<name>\xef\xbf\xbd",
                                       "dear",
                                       "azure/dear" };
    struct json_value data = the_list();
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        assert_int_equal(json_type(entry(data, ids[i])), JSON_OBJECT);
    assert_int_equal(json_count(data), sizeof ids / sizeof *ids);
}

static void every_entry_has_what_clients_need(void **state) {
    for (struct json_iter it = json_iter(the_list()); json_next(&it);) {
        int64_t created;
        assert_true(json_text(json_get(it.value, "id")).len > 0);
        assert_span(json_text(json_get(it.value, "object")), "model");
        assert_true(json_int(json_get(it.value, "created"), &created) && created > 0);
        assert_true(json_text(json_get(it.value, "owned_by")).len > 0);
    }
}

static void what_is_known_of_a_target_is_said(void **state) {
    struct json_value e = entry(the_list(), "openai/gpt-4o");
    assert_span(json_text(json_get(e, "owned_by")), "openai");
    assert_int_equal(json_number(json_get(e, "context_length"), 0), 128000);
    assert_int_equal(json_number(json_get(e, "max_output_tokens"), 0), 16384);
    struct json_iter it = json_iter(json_get(e, "capabilities"));
    assert_true(json_next(&it));
    assert_span(json_text(it.value), "tools");
    assert_true(json_next(&it));
    assert_span(json_text(it.value), "json_schema");
    assert_false(json_next(&it));
    /* Dollars a token: 2.50 and 10 dollars a million. */
    struct json_value pricing = json_get(e, "pricing");
    assert_span(json_text(json_get(pricing, "prompt")), "0.000002500000000");
    assert_span(json_text(json_get(pricing, "completion")), "0.000010000000000");
}

static void what_is_not_known_is_left_out(void **state) {
    struct json_value e = entry(the_list(), "azure/gpt-4o");
    assert_int_equal(json_type(json_get(e, "context_length")), JSON_ABSENT);
    assert_int_equal(json_type(json_get(e, "max_output_tokens")), JSON_ABSENT);
    assert_int_equal(json_count(json_get(e, "capabilities")), 0);
    struct json_value pricing = json_get(e, "pricing");
    assert_int_equal(json_count(pricing), 1);
    assert_span(json_text(json_get(pricing, "completion")), "0.000000000000007");
}

static void extremes_are_numbers_still(void **state) {
    struct json_value data = the_list();
    struct json_value odd = entry(data, "azure/\"odd\"\n<name>\xef\xbf\xbd");
    assert_true(json_number(json_get(odd, "context_length"), 0) == 4294967295.0);
    /* All but "chat", which goes without saying, and what its provider has no way to do. */
    assert_int_equal(json_count(json_get(odd, "capabilities")), ABILITY_COUNT - 2);
    assert_span(json_text(json_get(json_get(odd, "pricing"), "prompt")), "0.000000000000000");
    struct json_value pricing = json_get(entry(data, "dear"), "pricing");
    assert_span(json_text(json_get(pricing, "prompt")), "1.000000000000000");
    assert_span(json_text(json_get(pricing, "completion")), "9223.372036854775807");
}

static void a_model_stands_for_its_first_target(void **state) {
    struct json_value e = entry(the_list(), "gpt-4o");
    assert_span(json_text(json_get(e, "owned_by")), "openai");
    assert_int_equal(json_number(json_get(e, "context_length"), 0), 128000);
}

static void names_of_ours_have_no_figures(void **state) {
    static const char *const ids[] = { "auto", "policy/tier", "safe" };
    struct json_value data = the_list();
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct json_value e = entry(data, ids[i]);
        assert_span(json_text(json_get(e, "owned_by")), "perilune");
        assert_int_equal(json_count(e), 4);
    }
}

static void an_empty_house_has_auto(void **state) {
    struct snapshot *empty = snapshot_new();
    snapshot_seal(empty);
    buf_clear(&out);
    models_write_list(empty, NULL, DIALECT_OPENAI_CHAT, &out);
    assert_int_equal(json_count(json_get(parsed(), "data")), 1);
    snapshot_unref(empty);
}

static bool one(const char *id) {
    buf_clear(&out);
    return models_write_one(snap, DIALECT_OPENAI_CHAT, span_of(id), &out);
}

static void each_of_the_list_can_be_asked_for(void **state) {
    struct span ids[32];
    size_t n = 0;
    struct arena arena;
    arena_init(&arena, 1024);
    for (struct json_iter it = json_iter(the_list()); json_next(&it);)
        ids[n++] = arena_copy(&arena, json_text(json_get(it.value, "id")));
    for (size_t i = 0; i < n; i++) {
        if (memmem(ids[i].at, ids[i].len, "\xef\xbf\xbd", 3))
            continue; /* a name that is no text can not be asked for as it is written */
        assert_true(one(ids[i].at));
        assert_true(span_eq(json_text(json_get(parsed(), "id")), ids[i]));
    }
    arena_deinit(&arena);
}

static void what_is_not_listed_but_can_be_used_is_there_too(void **state) {
    assert_true(one("openai/brand-new"));
    assert_span(json_text(json_get(parsed(), "owned_by")), "openai");
    assert_int_equal(json_count(parsed()), 4);
    assert_true(one("quick"));
    assert_span(json_text(json_get(parsed(), "id")), "quick");
}

static void others_are_not_there(void **state) {
    static const char *const ids[] = { "",           "gpt-5",       "policy/",     "policy/none",
                                       "nobody/x",   "openai/",     "AUTO",        "tier",
                                       "openai/a b", "openai/\r\n", "policy/tier/" };
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        assert_false(one(ids[i]));
        assert_int_equal(out.len, 0);
    }
}

/* --- for clients of Anthropic's --- */

static struct json_value their_list(void) {
    buf_clear(&out);
    models_write_list(snap, NULL, DIALECT_ANTHROPIC_MESSAGES, &out);
    return parsed();
}

static void anthropics_clients_get_one_page_of_their_own_form(void **state) {
    size_t ours = json_count(the_list());
    struct json_value root = their_list(), data = json_get(root, "data"), last = { 0 };
    assert_int_equal(json_count(root), 4);
    assert_int_equal(json_type(json_get(root, "has_more")), JSON_BOOL);
    assert_false(json_true(json_get(root, "has_more")));
    assert_int_equal(json_count(data), ours);
    assert_span(json_text(json_get(root, "first_id")), "auto");
    for (struct json_iter it = json_iter(data); json_next(&it); last = it.value) {
        struct span id = json_text(json_get(it.value, "id"));
        assert_span(json_text(json_get(it.value, "type")), "model");
        assert_true(span_eq(json_text(json_get(it.value, "display_name")), id));
        assert_span(json_text(json_get(it.value, "created_at")), "2023-11-14T22:13:20Z");
        assert_int_equal(json_type(json_get(it.value, "object")), JSON_ABSENT);
        /* An object of theirs, which ours is not. */
        assert_int_equal(json_type(json_get(it.value, "capabilities")), JSON_ABSENT);
    }
    assert_true(span_eq(json_text(json_get(root, "last_id")), json_text(json_get(last, "id"))));
}

static void they_read_figures_by_their_own_names(void **state) {
    struct json_value e = entry(json_get(their_list(), "data"), "openai/gpt-4o");
    assert_int_equal(json_number(json_get(e, "max_input_tokens"), 0), 128000);
    assert_int_equal(json_number(json_get(e, "max_tokens"), 0), 16384);
    assert_int_equal(json_count(json_get(e, "abilities")), 2);
    assert_span(json_text(json_get(json_get(e, "pricing"), "prompt")), "0.000002500000000");
    buf_clear(&out);
    assert_true(models_write_one(snap, DIALECT_ANTHROPIC_MESSAGES, SPAN("policy/tier"), &out));
    assert_span(buf_span(&out), "{\"type\":\"model\",\"id\":\"policy/tier\",\"display_name\":"
                                "\"policy/tier\",\"created_at\":\"2023-11-14T22:13:20Z\"}");
    buf_clear(&out);
    assert_false(models_write_one(snap, DIALECT_ANTHROPIC_MESSAGES, SPAN("gpt-5"), &out));
}

/* --- both --- */

static void what_embeds_says_so_and_nobody_says_chat(void **state) {
    static const enum dialect dialects[] = { DIALECT_OPENAI_CHAT, DIALECT_ANTHROPIC_MESSAGES };
    struct target *t = &snap->targets[1];
    t->abilities = ABILITY_EMBEDDINGS;
    t->speaks = DIALECT_BIT(DIALECT_OPENAI_EMBEDDINGS);
    for (size_t i = 0; i < 2; i++) {
        buf_clear(&out);
        assert_true(models_write_one(snap, dialects[i], t->id, &out));
        assert_non_null(memmem(out.at, out.len, "[\"embeddings\"]", 14));
        buf_clear(&out);
        models_write_list(snap, NULL, dialects[i], &out);
        assert_null(memmem(out.at, out.len, "\"chat\"", 6));
    }
    t->abilities = list[1].abilities;
}

/* What a key may not use or choose it does not see. */
static void a_key_sees_what_it_may_use(void **state) {
    const struct span mine[] = { SPAN("azure/gpt-4o") };
    const struct key key = { .id = SPAN("ci"), .models = mine, .n_models = 1 };
    buf_clear(&out);
    models_write_list(snap, &key, DIALECT_OPENAI_CHAT, &out);
    struct json_value data = json_get(parsed(), "data");
    assert_span(json_text(json_get(entry(data, "gpt-4o"), "owned_by")), "azure");
    assert_int_equal(json_type(entry(data, "azure/gpt-4o")), JSON_OBJECT);
    assert_int_equal(json_type(entry(data, "openai/gpt-4o")), JSON_ABSENT);
    assert_int_equal(json_type(entry(data, "dear")), JSON_ABSENT);
    assert_int_equal(json_type(entry(data, "policy/tier")), JSON_ABSENT);
    assert_int_equal(json_type(entry(data, "auto")), JSON_OBJECT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_one_can_ask_for_is_there_once),
        cmocka_unit_test(a_key_sees_what_it_may_use),
        cmocka_unit_test(every_entry_has_what_clients_need),
        cmocka_unit_test(what_is_known_of_a_target_is_said),
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(extremes_are_numbers_still),
        cmocka_unit_test(a_model_stands_for_its_first_target),
        cmocka_unit_test(names_of_ours_have_no_figures),
        cmocka_unit_test(an_empty_house_has_auto),
        cmocka_unit_test(each_of_the_list_can_be_asked_for),
        cmocka_unit_test(what_is_not_listed_but_can_be_used_is_there_too),
        cmocka_unit_test(others_are_not_there),
        cmocka_unit_test(anthropics_clients_get_one_page_of_their_own_form),
        cmocka_unit_test(they_read_figures_by_their_own_names),
        cmocka_unit_test(what_embeds_says_so_and_nobody_says_chat),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
