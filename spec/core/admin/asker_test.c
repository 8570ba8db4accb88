/* Keys and projects as JSON: what is read is what is written, exactly, and what is wrong is named. */
#include "support/unit.h"

#include "admin/asker.h"

static struct json_parser *parser;
static struct arena arena;

static int set_up(void **state) {
    parser = json_parser_new();
    arena_init(&arena, 4096);
    return 0;
}

static int tear_down(void **state) {
    json_parser_free(parser);
    arena_deinit(&arena);
    return 0;
}

static bool read_key(struct key *key, const char *body, struct asker_wrong *wrong) {
    return asker_read_key(parser, span_of(body), &arena, key, wrong);
}

static struct key key_of(const char *body) {
    struct asker_wrong wrong;
    struct key key = asker_new_key();
    if (!read_key(&key, body, &wrong))
        fail_msg("%s: %s: %s", body, wrong.param, wrong.message);
    return key;
}

static void money_is_read_digit_by_digit(void **state) {
    static const struct {
        const char *text;
        int64_t nano; /* -1: refused */
    } cases[] = {
        { "5", 5000000000 },
        { "0.1", 100000000 },
        { "0.000000001", 1 },
        { "0.0000000010", 1 },
        { "0.0000000001", -1 },
        { "1e-9", 1 },
        { "1E-10", -1 },
        { "10e-10", 1 },
        { "1.5e3", 1500000000000 },
        { "1e+0009", -1 }, /* nobody writes an exponent so long */
        { "0", 0 },
        { "0e9", 0 },
        { "0.0", 0 },
        { "999999999.999999999", 999999999999999999 },
        { "1000000000", 1000000000000000000 },
        { "1000000000.000000001", -1 },
        { "1e10", -1 },
        { "123456789012345678901234567890", -1 },
        { "-1", -1 },
        { "", -1 },
        { ".5", -1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t nano = -1;
        bool good = asker_decimal(span_of(cases[i].text), 9, INT64_C(1000000000000000000), &nano);
        if (good != (cases[i].nano >= 0) || (good && nano != cases[i].nano))
            fail_msg("%s: %d, %lld", cases[i].text, good, (long long)nano);
    }
}

static const char whole[] =
    "{\"name\":\"CI of \xc3\xbc\",\"project\":\"shop\",\"tier\":\"paid\",\"policy\":\"tier\","
    "\"tags\":[\"ci\",\"eu\"],"
    "\"metadata\":{\"team\" : \"x\", \"n\":12345678901234567890},"
    "\"models\":[\"gpt-4o\",\"openai/*\"],\"policies\":[\"cheapest\"],"
    "\"grants\":[\"policy\",\"models\"],\"strict\":true,"
    "\"expires\":\"2027-01-01T00:00:00.000Z\",\"rpm\":60,\"tpm\":100000,\"concurrent\":10,"
    "\"daily_usd\":0.000000001,\"monthly_usd\":50.100000000,\"total_usd\":null,"
    "\"zone\":\"-05:30\",\"alerts\":[50,80,100]";

static void what_is_read_is_written(void **state) {
    struct buf body = { 0 }, out = { 0 };
    buf_printf(&body, "%s}", whole);
    struct key key = key_of(arena_copy(&arena, buf_span(&body)).at);
    assert_span(key.metadata, "{\"team\" : \"x\", \"n\":12345678901234567890}");
    assert_int_equal(key.n_models, 2);
    assert_int_equal(key.grants, KEYS_GRANT_POLICY | KEYS_GRANT_MODELS);
    assert_int_equal(key.expires_s, 1798761600);
    assert_int_equal(key.n_caps, 2);
    assert_int_equal(key.caps[0].period, PERIOD_DAY);
    assert_int_equal(key.caps[0].nano, 1);
    assert_int_equal(key.caps[0].offset_min, -330);
    assert_int_equal(key.caps[0].scope, BUDGET_KEY);
    assert_int_equal(key.caps[1].nano, 50100000000);
    assert_int_equal(key.caps[1].alerts[2], 100);
    assert_int_equal(key.caps[1].alerts[3], 0);
    key.id = SPAN("key_1");
    key.created_s = 86400;
    key.source = KEYS_STORED;
    key.secret = (struct keys_secret){ .last = "wxyz", .until_s = PERIOD_FOR_EVER };
    asker_write_key(&key, &out);
    buf_add_char(&out, '\0');
    assert_non_null(strstr(out.at, whole + 1));
    assert_non_null(strstr(out.at, "\"last\":\"wxyz\",\"previous\":null,"
                                   "\"created\":\"1970-01-02T00:00:00.000Z\",\"revoked\":false,"
                                   "\"managed_by_file\":false"));
    buf_deinit(&body);
    buf_deinit(&out);
}

static void nothing_of_a_written_secret_is_shown(void **state) {
    struct buf out = { 0 };
    struct key key = asker_new_key();
    key.id = SPAN("ci");
    key.source = KEYS_MANAGED;
    key.secret = (struct keys_secret){ .last = "abcd", .until_s = PERIOD_FOR_EVER };
    asker_write_key(&key, &out);
    buf_add_char(&out, '\0');
    assert_null(strstr(out.at, "abcd"));
    assert_non_null(strstr(out.at, "\"created\":null"));
    buf_deinit(&out);
}

static void what_is_not_named_stays(void **state) {
    struct asker_wrong wrong;
    struct key key = key_of("{\"tier\":\"paid\",\"rpm\":5,\"daily_usd\":1,\"zone\":\"+01:00\","
                            "\"alerts\":[10],\"models\":[\"m\"],\"expires\":\"2030-01-01\"}");
    assert_true(read_key(&key, "{\"monthly_usd\":2,\"tpm\":7}", &wrong));
    assert_span(key.tier, "paid");
    assert_int_equal(key.limits.rpm, 5);
    assert_int_equal(key.limits.tpm, 7);
    assert_int_equal(key.n_caps, 2);
    assert_int_equal(key.caps[1].offset_min, 60);
    assert_int_equal(key.caps[1].alerts[0], 10);
    assert_true(read_key(&key,
                         "{\"tier\":null,\"rpm\":null,\"daily_usd\":null,\"models\":null,"
                         "\"expires\":null,\"project\":null}",
                         &wrong));
    assert_span(key.tier, NULL);
    assert_int_equal(key.limits.rpm, 0);
    assert_int_equal(key.n_models, 0);
    assert_int_equal(key.n_caps, 1);
    assert_int_equal(key.caps[0].period, PERIOD_MONTH);
    assert_true(key.expires_s == PERIOD_FOR_EVER);
    assert_span(key.project, "default");
    assert_true(read_key(&key, "", &wrong));
    assert_int_equal(key.n_caps, 1);
}

static void a_cap_warns_at_four_fifths_and_all(void **state) {
    struct key key = key_of("{\"total_usd\":100}");
    assert_int_equal(key.caps[0].alerts[0], 80);
    assert_int_equal(key.caps[0].alerts[1], 100);
    key = key_of("{\"total_usd\":100,\"alerts\":[]}");
    assert_int_equal(key.caps[0].alerts[0], 0);
}

static void what_is_wrong_is_named(void **state) {
    static const struct {
        const char *body, *param, *part;
    } cases[] = {
        { "{", "", "not JSON" },
        { "[]", "", "no JSON object" },
        { "{\"nmae\":1}", "nmae", "did you mean \"name\"" },
        { "{\"secret\":\"x\"}", "secret", "there are: name, project" },
        { "{\"rpm\":1,\"rpm\":2}", "rpm", "twice" },
        { "{\"name\":1}", "name", "a text" },
        { "{\"name\":\"\"}", "name", "a text" },
        { "{\"name\":\"a\\nb\"}", "name", "control characters" },
        { "{\"project\":\"a b\"}", "project", "name of a project" },
        { "{\"tags\":\"a\"}", "tags", "list" },
        { "{\"tags\":[1]}", "tags", "texts" },
        { "{\"models\":[]}", "models", "null to allow all" },
        { "{\"metadata\":[]}", "metadata", "an object" },
        { "{\"grants\":[\"all\"]}", "grants", "\"policy\", \"tier\", \"models\"" },
        { "{\"strict\":1}", "strict", "true or false" },
        { "{\"expires\":\"soon\"}", "expires", "2027-01-01T00:00:00Z" },
        { "{\"rpm\":0}", "rpm", "from 1 to 1000000000" },
        { "{\"rpm\":1.5}", "rpm", "whole number" },
        { "{\"rpm\":\"1\"}", "rpm", "whole number" },
        { "{\"daily_usd\":-1}", "daily_usd", "dollars" },
        { "{\"daily_usd\":0.00000000001}", "daily_usd", "whole nano-dollars" },
        { "{\"daily_usd\":\"5\"}", "daily_usd", "dollars" },
        { "{\"daily_usd\":1,\"zone\":\"Berlin\"}", "zone", "+02:00" },
        { "{\"daily_usd\":1,\"zone\":\"+24:00\"}", "zone", "+02:00" },
        { "{\"total_usd\":1,\"zone\":\"UTC\"}", "zone", "no daily or monthly cap" },
        { "{\"alerts\":[50]}", "alerts", "no cap" },
        { "{\"total_usd\":1,\"alerts\":[1,2,3,4,5]}", "alerts", "at most 4" },
        { "{\"total_usd\":1,\"alerts\":[101]}", "alerts", "1 to 100" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct asker_wrong wrong;
        struct key key = asker_new_key();
        if (read_key(&key, cases[i].body, &wrong) || strcmp(wrong.param, cases[i].param) != 0 ||
            !strstr(wrong.message, cases[i].part))
            fail_msg("%s: %s: %s", cases[i].body, wrong.param, wrong.message);
    }
}

static void projects_have_their_own(void **state) {
    struct asker_wrong wrong;
    struct project p = { .name = SPAN("shop"), .source = KEYS_STORED };
    struct buf out = { 0 };
    assert_true(asker_read_project(
        parser,
        SPAN("{\"free_requests\":1000,\"markup\":0.2,\"bodies\":{\"redact\":false},"
             "\"monthly_usd\":500,\"tags\":[\"a\"]}"),
        &arena, &p, &wrong));
    assert_int_equal(p.free_requests, 1000);
    assert_int_equal(p.markup_ppm, 200000);
    assert_int_equal(p.bodies.max_bytes, 16384);
    assert_int_equal(p.bodies.retention_days, 7);
    assert_false(p.bodies.redact);
    assert_int_equal(p.caps[0].scope, BUDGET_PROJECT);
    asker_write_project(&p, &out);
    assert_span(
        buf_span(&out),
        "\"name\":\"shop\",\"tier\":null,\"policy\":null,\"tags\":[\"a\"],"
        "\"free_requests\":1000,\"markup\":0.200000,\"bodies\":{\"max_bytes\":16384,"
        "\"retention_days\":7,\"redact\":false},\"rpm\":null,\"tpm\":null,"
        "\"concurrent\":null,\"daily_usd\":null,\"monthly_usd\":500.000000000,"
        "\"total_usd\":null,\"zone\":\"UTC\",\"alerts\":[80,100],\"managed_by_file\":false");
    assert_false(asker_read_project(parser, SPAN("{\"markup\":0.0000001}"), &arena, &p, &wrong));
    assert_string_equal(wrong.param, "markup");
    assert_false(asker_read_project(parser, SPAN("{\"bodies\":{\"size\":1}}"), &arena, &p, &wrong));
    assert_string_equal(wrong.param, "bodies");
    assert_false(asker_read_project(parser, SPAN("{\"strict\":true}"), &arena, &p, &wrong));
    assert_true(asker_is_id(SPAN("a-b_c.9")));
    assert_false(asker_is_id(SPAN("")));
    assert_false(asker_is_id(SPAN("a/b")));
    buf_deinit(&out);
}

static void caps_show_how_they_stand(void **state) {
    struct budget *budget = budget_new(NULL, NULL);
    const struct budget_cap caps[] = {
        { .scope = BUDGET_REQUEST, .period = PERIOD_TOTAL, .nano = 1 },
        { BUDGET_ACCOUNT, SPAN_NONE, PERIOD_MONTH, 90, 5000000000, { 50 } },
        { BUDGET_ROUTE, SPAN("/v1/messages"), PERIOD_TOTAL, 0, 7, { 0 } },
    };
    struct buf out = { 0 };
    assert_true(budget_load(budget, &caps[1], 5000000001, 1797000000));
    buf_add_char(&out, '[');
    asker_write_caps(budget, caps, 3, 1797000000, &out);
    assert_span(buf_span(&out),
                "[{\"scope\":\"account\",\"name\":null,\"period\":\"month\",\"zone\":\"+01:30\","
                "\"cap_usd\":5.000000000,\"cap_nano\":5000000000,"
                "\"spent_usd\":5.000000001,\"spent_nano\":5000000001,"
                "\"held_usd\":0.000000000,\"held_nano\":0,\"left_usd\":0.000000000,\"left_nano\":0,"
                "\"resets\":\"2026-12-31T22:30:00.000Z\",\"alerts\":[50]},"
                "{\"scope\":\"route\",\"name\":\"/v1/messages\",\"period\":\"total\",\"zone\":null,"
                "\"cap_usd\":0.000000007,\"cap_nano\":7,\"spent_usd\":0.000000000,\"spent_nano\":0,"
                "\"held_usd\":0.000000000,\"held_nano\":0,\"left_usd\":0.000000007,\"left_nano\":7,"
                "\"resets\":null,\"alerts\":[]}");
    buf_deinit(&out);
    budget_free(budget);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(money_is_read_digit_by_digit),
        cmocka_unit_test(what_is_read_is_written),
        cmocka_unit_test(nothing_of_a_written_secret_is_shown),
        cmocka_unit_test(what_is_not_named_stays),
        cmocka_unit_test(a_cap_warns_at_four_fifths_and_all),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(projects_have_their_own),
        cmocka_unit_test(caps_show_how_they_stand),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
