/* What the configuration's Lua hands over; whole configurations are read in config_test. */
#include "lua_unit.h"

#include "script/normal.h"

#include <math.h>

#define AMOUNT "offset_min = 90, nano = 5000000001, alerts = { 80, 100 }"
#define KEY_CAP "{ scope = 'key', name = 'ci', period = 'day', " AMOUNT " }"
#define ACCOUNT_CAP "{ scope = 'account', period = 'month', " AMOUNT " }"
#define KEYS                                                                                       \
    "keys = { { id = 'ci', name = 'CI', secret = 'sk', project = 'shop', tier = 'paid', policy = " \
    "'tier', metadata = '{}', tags = { 'a' }, models = { 'm' }, policies = { 'x', 'y' }, "         \
    "grants = 5, strict = true, expires_s = 1798761600, rpm = 60, caps = { " KEY_CAP " } }, "      \
    "{ id = 'key_2', name = 'key_2', secret = 's2', project = 'default', tags = {}, models = {}, " \
    "policies = {}, grants = 0, strict = false, caps = {} } }, "
#define PROJECTS                                                                                   \
    "projects = { { name = 'shop', tags = {}, tpm = 7, concurrent = 3, caps = {}, free_requests "  \
    "= 1000, markup_ppm = 200000, bodies_max_bytes = 16384, bodies_retention_days = 7, "           \
    "bodies_redact = true } }, "
#define RECORD                                                                                     \
    "caps = { " ACCOUNT_CAP " }, model_limits = { { model = 'm', rpm = 5, tpm = 6, concurrent = "  \
    "7 } }, clamp = true, clamp_least = 16, ledger = true, ledger_power = true, ledger_spill = "   \
    "'spill', ledger_retention_days = 90, access_log = 'stdout', alert_webhook = 'http://h', "     \
    "alert_secret = 'as', "
#define SETTINGS                                                                                   \
    "config = { workers = 2, listen = 'a:1', fallback = { 'x' }, assignments = { { scope = "       \
    "'tier', name = 'r', policy = 'p', params = '{}', max_latency_ms = 5, managed = true }, { "    \
    "scope = 'account', policy = 'q', max_cost_usd = 0.5 } }, "                                    \
    "policy_params = {}, unsupported = 'refuse', reroute_retired = true, " KEYS PROJECTS RECORD    \
    "cors_origins = {}, lua_dir = 'lua', data_dir = '/data', max_body = 5e9, record = '/data/r', " \
    "record_max_bytes = 7e9, record_headers = { 'x-team' }, "                                      \
    "shadows = { { live = 'a', candidate = 'b', share = 0.5 } } }"
#define PROVIDER                                                                                   \
    "{ name = 'p', base_url = 'http://x/v1', dialect = 'openai_chat', auth = 'aws-sigv4', "        \
    "speaks = { 'openai_chat', 'openai_embeddings' }, region = 'eu-west-1', quirks = '{}', "       \
    "pace_wait_ms = 9, keys = { { secret = 's', weight = 3, rpm = 60, tpm = 7 } }, headers = { "   \
    "'a: b' }, connect_ms = 7, "                                                                   \
    "rules = { { status_from = 400, status_to = 499, text = 't', class = 'quota' } } }"
#define TARGET(n)                                                                                  \
    "{ id = 'p/m', model = 'm', upstream = 'u', provider = " #n                                    \
    ", price = { input = 15 }, abilities = 3, tags = {}, dialect = 'gemini', speaks = { 'gemini' " \
    "}, quirks = '{\"max_n\":1}', path = '/x', bytes_a_token = 3.5, rules = { { above = 200, "     \
    "until_s "                                                                                     \
    "= 1798761600, from_min = 990, to_min = 30, days = 96, input = 20, cached = 0 } } }"
#define REST                                                                                       \
    "chains = { { name = 'c', targets = { 'm' } } }, aliases = {}, retired = { { model = "         \
    "'old', instead = 'm' } }, mock_only = true"

struct call {
    const char *expression;
    struct snapshot *snap;
};

static enum vm_result read(lua_State *L, void *arg) {
    struct call *c = arg;
    lua_value(L, c->expression);
    normal_read(L, c->snap);
    assert_true(lua_istable(L, -1));
    return VM_OK;
}

static void all_of_it_is_copied(void **state) {
    struct call c = { "{ " SETTINGS ", providers = { " PROVIDER
                      " }, targets = { " TARGET(1) " }, " REST " }",
                      snapshot_new() };
    assert_int_equal(lua_run(read, &c), VM_OK);
    const struct config *config = &c.snap->config;
    assert_int_equal(config->workers, 2);
    assert_span(config->listen, "a:1");
    assert_null(config->path.at);
    assert_span(config->fallback[0], "x");
    assert_int_equal(config->n_assignments, 2);
    snapshot_seal(c.snap);
    const struct assignment *tier = snapshot_assignment(c.snap, ASSIGNED_TIER, SPAN("r"));
    assert_span(tier->policy, "p");
    assert_span(tier->params, "{}");
    assert_true(isinf(tier->max_cost_usd) && tier->max_latency_ms == 5 && tier->managed);
    const struct assignment *all = snapshot_assignment(c.snap, ASSIGNED_ACCOUNT, SPAN_NONE);
    assert_true(all->max_cost_usd == 0.5 && !all->deadline_ms && !all->managed && !all->params.at);
    assert_null(snapshot_assignment(c.snap, ASSIGNED_ENDPOINT, SPAN("r")));
    assert_span(config->data_dir, "/data");
    assert_true(config->lua_dir.at[0] == '/' && span_ends(config->lua_dir, SPAN("/lua")));
    assert_true(config->max_body == 5000000000u);
    assert_span(config->record, "/data/r");
    assert_true(config->record_max_bytes == 7000000000u);
    assert_int_equal(config->n_record_headers, 1);
    assert_span(config->record_headers[0], "x-team");
    assert_int_equal(config->n_shadows, 1);
    assert_span(config->shadows[0].live, "a");
    assert_span(config->shadows[0].candidate, "b");
    assert_true(config->shadows[0].share == 0.5);
    assert_true(config->mock_only);
    assert_int_equal(config->unsupported, UNSUPPORTED_REFUSE);
    assert_true(config->reroute_retired);
    const struct provider *p = &c.snap->providers[0];
    assert_int_equal(p->dialect, DIALECT_OPENAI_CHAT);
    assert_int_equal(p->auth, AUTH_AWS_SIGV4);
    assert_int_equal(p->speaks,
                     DIALECT_BIT(DIALECT_OPENAI_CHAT) | DIALECT_BIT(DIALECT_OPENAI_EMBEDDINGS));
    assert_span(p->region, "eu-west-1");
    assert_span(p->quirks, "{}");
    assert_int_equal(p->pace_wait_ms, 9);
    assert_int_equal(p->keys[0].rpm, 60);
    assert_int_equal(p->keys[0].tpm, 7);
    assert_span(p->keys[0].secret, "s");
    assert_int_equal(p->keys[0].weight, 3);
    assert_span(p->headers[0], "a: b");
    assert_int_equal(p->rules[0].class, FAILURE_QUOTA);
    assert_int_equal(p->rules[0].status_to, 499);
    assert_null(p->rules[0].code.at);
    assert_int_equal(p->connect_ms, 7);
    const struct target *t = &c.snap->targets[0];
    assert_ptr_equal(t->provider, p);
    assert_int_equal(t->index, 0);
    assert_int_equal(t->price.input, 15);
    assert_int_equal(t->price.output, PRICE_UNKNOWN);
    assert_int_equal(t->dialect, DIALECT_GEMINI);
    assert_int_equal(t->speaks, DIALECT_BIT(DIALECT_GEMINI));
    assert_span(t->quirks, "{\"max_n\":1}");
    assert_span(t->path, "/x");
    assert_true(t->bytes_a_token == 3.5);
    assert_int_equal(t->n_rules, 1);
    assert_int_equal(t->rules[0].above_input, 200);
    assert_int_equal(t->rules[0].until_s, 1798761600);
    assert_int_equal(t->rules[0].from_min, 990);
    assert_int_equal(t->rules[0].to_min, 30);
    assert_int_equal(t->rules[0].days, 96);
    assert_int_equal(t->rules[0].price.input, 20);
    assert_int_equal(t->rules[0].price.cached, 0);
    assert_int_equal(t->rules[0].price.output, PRICE_UNKNOWN);
    assert_int_equal(c.snap->n_retired, 1);
    assert_span(c.snap->retired[0].instead, "m");
    assert_null(c.snap->retired[0].since.at);
    assert_true(isnan(t->quality));
    assert_true(t->weight == 1);
    assert_span(c.snap->chains[0].targets[0], "m");
    snapshot_unref(c.snap);
}

static void another_shape_is_an_error(void **state) {
    static const char *const shapes[] = {
        "{}",
        "{ " SETTINGS ", providers = { " PROVIDER " }, targets = { " TARGET(2) " }, " REST " }",
        "{ " SETTINGS ", providers = { " PROVIDER " }, targets = { " TARGET(0) " }, " REST " }",
        "{ " SETTINGS ", providers = 'none', targets = {}, " REST " }",
        "{ " SETTINGS
        ", providers = { { name = 5, keys = {}, headers = {}, rules = {} } }, targets = {}, " REST
        " }",
        "{ " SETTINGS ", providers = { { name = 'p', dialect = 'gemini', speaks = {}, auth = 'x', "
        "keys = {}, headers = {}, rules = {} } }, targets = {}, " REST " }",
        "{ " SETTINGS ", providers = {}, targets = {}, chains = { {} }, aliases = {} }",
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct call c = { shapes[i], snapshot_new() };
        if (lua_run(read, &c) != VM_RAISED)
            fail_msg("this was taken: %s", shapes[i]);
        snapshot_unref(c.snap);
    }
}

static struct snapshot *read_settings(void) {
    struct call c = { "{ " SETTINGS ", providers = {}, targets = {}, " REST " }", snapshot_new() };
    assert_int_equal(lua_run(read, &c), VM_OK);
    return c.snap;
}

static void assert_cap(const struct budget_cap *cap, enum budget_scope scope, const char *name,
                       enum period_kind period) {
    assert_int_equal(cap->scope, scope);
    assert_true(span_eq(cap->name, span_of(name)));
    assert_int_equal(cap->period, period);
    assert_int_equal(cap->offset_min, 90);
    assert_true(cap->nano == 5000000001);
    assert_int_equal(cap->alerts[0], 80);
    assert_int_equal(cap->alerts[1], 100);
    assert_int_equal(cap->alerts[2], 0);
}

static void keys_are_read_with_all_they_have(void **state) {
    struct snapshot *snap = read_settings();
    const struct config *c = &snap->config;
    assert_int_equal(c->n_keys, 2);
    const struct key *k = &c->keys[0].key;
    assert_span(c->keys[0].secret, "sk");
    assert_span(k->id, "ci");
    assert_span(k->name, "CI");
    assert_span(k->project, "shop");
    assert_span(k->tier, "paid");
    assert_span(k->policy, "tier");
    assert_span(k->metadata, "{}");
    assert_true(k->n_tags == 1 && k->n_models == 1 && k->n_policies == 2);
    assert_span(k->policies[1], "y");
    assert_int_equal(k->grants, KEYS_GRANT_POLICY | KEYS_GRANT_MODELS);
    assert_true(k->strict && !k->revoked);
    assert_true(k->expires_s == 1798761600);
    assert_true(k->limits.rpm == 60 && !k->limits.tpm && !k->limits.concurrent);
    assert_int_equal(k->n_caps, 1);
    assert_cap(k->caps, BUDGET_KEY, "ci", PERIOD_DAY);
    assert_int_equal(k->source, KEYS_MANAGED);
    const struct key *plain = &c->keys[1].key;
    assert_true(plain->expires_s == PERIOD_FOR_EVER && !plain->tier.at && !plain->metadata.at);
    assert_true(!plain->grants && !plain->strict && !plain->n_caps);
    snapshot_unref(snap);
}

static void and_so_are_projects_caps_and_the_record(void **state) {
    struct snapshot *snap = read_settings();
    const struct config *c = &snap->config;
    assert_int_equal(c->n_projects, 1);
    const struct project *p = c->projects;
    assert_span(p->name, "shop");
    assert_true(p->limits.tpm == 7 && p->limits.concurrent == 3 && !p->limits.rpm);
    assert_true(p->free_requests == 1000 && p->markup_ppm == 200000);
    assert_true(p->bodies.max_bytes == 16384 && p->bodies.retention_days == 7 && p->bodies.redact);
    assert_int_equal(p->source, KEYS_MANAGED);
    assert_int_equal(c->n_caps, 1);
    assert_cap(c->caps, BUDGET_ACCOUNT, NULL, PERIOD_MONTH);
    assert_int_equal(c->n_model_limits, 1);
    assert_span(c->model_limits->model, "m");
    assert_true(c->model_limits->limits.rpm == 5 && c->model_limits->limits.concurrent == 7);
    assert_true(c->clamp && c->clamp_least == 16 && c->ledger && c->ledger_power);
    assert_true(c->ledger_spill.at[0] == '/' && span_ends(c->ledger_spill, SPAN("/spill")));
    assert_int_equal(c->ledger_retention_days, 90);
    assert_span(c->access_log, "stdout");
    assert_span(c->alert_webhook, "http://h");
    assert_span(c->alert_secret, "as");
    snapshot_unref(snap);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_is_copied),
        cmocka_unit_test(another_shape_is_an_error),
        cmocka_unit_test(keys_are_read_with_all_they_have),
        cmocka_unit_test(and_so_are_projects_caps_and_the_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
