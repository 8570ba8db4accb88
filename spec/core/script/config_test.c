/* Reading the configuration, providers and policies from a folder made for it. */
#include "support/unit.h"

#include "script/config.h"
#include "script/sources.h"

#include <sys/stat.h>
#include <unistd.h>

struct world {
    char dir[64];
    char before[4096];
    struct config_findings findings;
    struct snapshot *snap, *last;
};

static const char *const variables[] = { "OPENAI_API_KEY", "OPENAI_BASE_URL", "PERILUNE_API_KEY",
                                         "SPEC_KEY" };

static int open_world(void **state) {
    struct world *w = calloc(1, sizeof *w);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    strcpy(w->dir, "/tmp/perilune-config-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    assert_non_null(getcwd(w->before, sizeof w->before));
    assert_int_equal(chdir(w->dir), 0);
    config_findings_init(&w->findings);
    *state = w;
    return 0;
}

static int close_world(void **state) {
    struct world *w = *state;
    char command[100];
    snapshot_unref(w->snap);
    snapshot_unref(w->last);
    config_findings_deinit(&w->findings);
    assert_int_equal(chdir(w->before), 0);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Reads anew; what was in force before is what `last` is from then on. */
static struct snapshot *load(struct world *w, const char *path, const char *mock_url) {
    struct config_options options = { .path = path, .mock_url = mock_url };
    config_findings_deinit(&w->findings);
    config_findings_init(&w->findings);
    if (w->snap) {
        snapshot_unref(w->last);
        w->last = w->snap;
    }
    const struct config_history history = { .last = w->last };
    w->snap = config_load(&options, &history, &w->findings);
    return w->snap;
}

static void print_findings(const struct world *w) {
    for (size_t i = 0; i < w->findings.n; i++) {
        const struct config_finding *f = &w->findings.list[i];
        print_message("%.*s:%u: %.*s: %.*s (%.*s)\n", SPAN_ARGS(f->path), f->line,
                      SPAN_ARGS(f->setting), SPAN_ARGS(f->message), SPAN_ARGS(f->hint));
    }
}

static void assert_loaded(struct world *w) {
    if (!w->snap)
        print_findings(w);
    assert_non_null(w->snap);
}

static bool has_text(struct span where, const char *what) {
    return where.at && memmem(where.at, where.len, what, strlen(what)) != NULL;
}

/* The one finding whose message holds `what`. */
static const struct config_finding *finding(const struct world *w, const char *what) {
    for (size_t i = 0; i < w->findings.n; i++)
        if (has_text(w->findings.list[i].message, what))
            return &w->findings.list[i];
    print_findings(w);
    fail_msg("no finding says: %s", what);
    return NULL;
}

/* ---- the configuration ---- */

static void without_anything_the_mock_answers(void **state) {
    struct world *w = *state;
    load(w, NULL, "http://127.0.0.1:9/v1");
    assert_loaded(w);
    assert_true(config_is_mock_only(w->snap));
    assert_int_equal(w->snap->n_providers, 1);
    assert_span(w->snap->providers[0].name, "mock");
    assert_span(w->snap->providers[0].base_url, "http://127.0.0.1:9/v1");
    assert_true(w->snap->n_targets > 0);
    assert_null(w->snap->config.path.at);
    assert_int_equal(w->snap->generation, 1);
    assert_null(load(w, NULL, NULL));
}

static void a_variable_switches_a_provider_on(void **state) {
    struct world *w = *state;
    setenv("OPENAI_API_KEY", "sk-from-the-environment", 1);
    load(w, NULL, "http://127.0.0.1:9/v1");
    assert_loaded(w);
    assert_false(config_is_mock_only(w->snap));
    const struct provider *p = snapshot_provider(w->snap, SPAN("openai"));
    assert_non_null(p);
    assert_int_equal(p->auth, AUTH_BEARER);
    assert_int_equal(p->dialect, DIALECT_OPENAI_CHAT);
    assert_int_equal(p->n_keys, 1);
    assert_span(p->keys[0].secret, "sk-from-the-environment");
    assert_true(p->n_rules > 10);
    const struct target *t = snapshot_target(w->snap, SPAN("openai/gpt-4o"));
    assert_non_null(t);
    assert_int_equal(t->price.input, 2500000000);
    assert_int_equal(t->price.output, 10000000000);
    assert_int_equal(t->context, 128000);
    assert_ptr_equal(t->provider, p);
    assert_ptr_equal(&w->snap->targets[t->index], t);
}

static void settings_and_defaults(void **state) {
    struct world *w = *state;
    setenv("SPEC_KEY", "sk-spec", 1);
    write_file("secret", "pl-client\n");
    write_file("perilune.lua",
               "return {\n"
               "  listen = '127.0.0.1:4200', workers = 3, client_keys = { file 'secret' },\n"
               "  providers = {\n"
               "    near = { like = 'openai_compatible', base_url = 'http://127.0.0.1:8000/v1', "
               "models = { 'small' },\n"
               "             api_keys = { env 'SPEC_KEY' }, tags = { 'eu' } },\n"
               "  },\n"
               "  chains = { small = { 'near/small', 'near/other' } },\n"
               "  policies = { default = 'tier', fallback = { 'near/small' }, tiers = { free = "
               "'cheapest' },\n"
               "               routes = { ['/v1/messages'] = 'quality' }, params = { cheapest = { "
               "steps = 2 } },\n"
               "               deadline_ms = 7, memory_mb = 8 },\n"
               "  timeouts = { hold_ms = 0 },\n"
               "}\n");
    load(w, NULL, NULL);
    assert_loaded(w);
    const struct config *c = &w->snap->config;
    assert_span(c->path, "perilune.lua");
    assert_span(c->listen, "127.0.0.1:4200");
    assert_span(c->admin, "127.0.0.1:4101");
    assert_int_equal(c->workers, 3);
    assert_int_equal(c->n_assignments, 3);
    assert_span(snapshot_assignment(w->snap, ASSIGNED_ACCOUNT, SPAN_NONE)->policy, "tier");
    assert_int_equal(c->n_fallback, 1);
    assert_span(c->fallback[0], "near/small");
    assert_span(snapshot_assignment(w->snap, ASSIGNED_TIER, SPAN("free"))->policy, "cheapest");
    assert_true(snapshot_assignment(w->snap, ASSIGNED_ENDPOINT, SPAN("/v1/messages"))->managed);
    assert_span(c->policy_params[0].value, "{\"steps\":2}");
    assert_int_equal(c->n_keys, 1);
    assert_span(c->keys[0].secret, "pl-client");
    assert_span(c->keys[0].key.id, "key_1");
    assert_int_equal(c->policy_deadline_ms, 7);
    assert_int_equal(c->policy_memory, 8 << 20);
    assert_int_equal(c->max_body, 32 << 20);
    assert_int_equal(c->hold_ms, 0);
    assert_true(span_starts(c->policies_dir, SPAN("/tmp/perilune-config-")));
    assert_true(span_ends(c->policies_dir, SPAN("/policies")));
    const struct target *t = snapshot_target(w->snap, SPAN("near/small"));
    assert_non_null(t);
    assert_int_equal(t->n_tags, 1);
    assert_span(t->tags[0], "eu");
    assert_int_equal(t->price.input, PRICE_UNKNOWN);
    assert_non_null(snapshot_chain(w->snap, SPAN("small")));
    assert_non_null(snapshot_policy(w->snap, SPAN("tier")));
}

static void a_provider_file_of_the_user(void **state) {
    struct world *w = *state;
    mkdir("more", 0777);
    write_file("more/own.lua", "return { like = 'openai_compatible', base_url = "
                               "'http://127.0.0.1:7/v1', models = { { name = 'm' } } }");
    write_file("perilune.lua", "return { providers_dir = 'more', providers = { own = {} } }");
    load(w, NULL, NULL);
    assert_loaded(w);
    assert_non_null(snapshot_target(w->snap, SPAN("own/m")));
}

/* ---- what is wrong with it ---- */

static void a_named_file_must_be_there(void **state) {
    struct world *w = *state;
    assert_null(load(w, "no/such.lua", "http://127.0.0.1:9/v1"));
    assert_span(finding(w, "No such file")->path, "no/such.lua");
}

static void wrong_settings_are_named(void **state) {
    struct world *w = *state;
    write_file("perilune.lua", "return {\n  lisen = '127.0.0.1:1',\n  workers = 'many',\n  "
                               "policies = { default = 'cheapst' },\n}\n");
    assert_null(load(w, NULL, NULL));
    assert_true(w->findings.n >= 3);
    bool found = false;
    for (size_t i = 0; i < w->findings.n; i++) {
        const struct config_finding *f = &w->findings.list[i];
        assert_span(f->path, "perilune.lua");
        found |= span_eq(f->setting, SPAN("workers")) && f->line == 3;
    }
    assert_true(found);
    assert_true(has_text(finding(w, "no policy \"cheapst\"")->hint, "cheapest"));
}

static void missing_variables_and_syntax(void **state) {
    struct world *w = *state;
    write_file("perilune.lua",
               "return {\n  providers = { openai = { api_keys = { env 'SPEC_KEY' } } },\n}\n");
    assert_null(load(w, NULL, NULL));
    assert_int_equal(finding(w, "SPEC_KEY is not set")->line, 2);
    write_file("perilune.lua", "return {\n  listen = ,\n}\n");
    assert_null(load(w, NULL, NULL));
    assert_int_equal(w->findings.list[0].line, 2);
}

static void an_endless_configuration_ends(void **state) {
    struct world *w = *state;
    write_file("perilune.lua", "while true do pcall(function() while true do end end) end");
    assert_null(load(w, NULL, NULL));
    finding(w, "ran for too long");
}

static void it_reaches_nothing_but_env_and_file(void **state) {
    static const char *const ways[] = { "io.open('/etc/passwd')",
                                        "os.execute('true')",
                                        "require 'perilune.config'",
                                        "load('x')",
                                        "print('x')",
                                        "debug.getinfo(1)",
                                        "string.dump(print)" };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char text[200];
        snprintf(text, sizeof text, "local x = %s return {}", ways[i]);
        write_file("perilune.lua", text);
        setenv("OPENAI_API_KEY", "sk-spec", 1);
        if (load(w, NULL, NULL))
            fail_msg("the configuration may do this: %s", ways[i]);
    }
}

/* ---- policies ---- */

static void use_a_provider(void) {
    setenv("OPENAI_API_KEY", "sk-spec", 1);
}

static void shipped_policies_under_the_users(void **state) {
    struct world *w = *state;
    use_a_provider();
    mkdir("policies", 0777);
    mkdir("policies/lib", 0777);
    write_file("policies/cheapest.lua",
               "return function(req, fleet) return fleet:take(1), 'mine' end");
    write_file(
        "policies/own.lua",
        "local lib = require 'shared' return function(req, fleet) return fleet:take(lib.n) end");
    write_file("policies/own_spec.lua", "error('a spec is no policy')");
    write_file("policies/.hidden.lua", "error('nor is a hidden file')");
    write_file("policies/lib/shared.lua", "return { n = 2 }");
    load(w, NULL, NULL);
    assert_loaded(w);
    assert_int_equal(w->findings.n, 0);
    const struct policy_source *mine = snapshot_policy(w->snap, SPAN("cheapest"));
    assert_span(mine->path, "policies/cheapest.lua");
    assert_true(has_text(mine->text, "'mine'"));
    const struct policy_source *shipped = snapshot_policy(w->snap, SPAN("tier"));
    assert_span(shipped->path, "(shipped) policies/tier.lua");
    const struct policy_source *own = snapshot_policy(w->snap, SPAN("own"));
    assert_int_equal(own->n_libs, 1);
    assert_span(own->libs[0].name, "shared");
    assert_null(snapshot_policy(w->snap, SPAN("own_spec")));
    assert_null(snapshot_policy(w->snap, SPAN("lib/shared")));
    assert_true(span_starts(own->version, SPAN("own@")));
    assert_int_equal(own->version.len, strlen("own@") + 8);
}

static void a_version_is_of_all_it_requires(void **state) {
    struct world *w = *state;
    char first[64];
    use_a_provider();
    mkdir("policies", 0777);
    mkdir("policies/lib", 0777);
    write_file(
        "policies/own.lua",
        "local lib = require 'shared' return function(req, fleet) return fleet:take(lib.n) end");
    write_file("policies/lib/shared.lua", "return { n = 2 }");
    load(w, NULL, NULL);
    assert_loaded(w);
    snprintf(first, sizeof first, "%.*s",
             SPAN_ARGS(snapshot_policy(w->snap, SPAN("own"))->version));
    load(w, NULL, NULL);
    assert_loaded(w);
    assert_span(snapshot_policy(w->snap, SPAN("own"))->version, first);
    assert_int_equal(w->snap->generation, 2);
    write_file("policies/lib/shared.lua", "return { n = 3 }");
    load(w, NULL, NULL);
    assert_loaded(w);
    assert_false(span_eq(snapshot_policy(w->snap, SPAN("own"))->version, span_of(first)));
}

static void the_last_good_version_serves_on(void **state) {
    static const char *const broken[] = { "return function(", "error('no')", "while true do end",
                                          "return 7", "local x = require 'gone' return x" };
    struct world *w = *state;
    char good[64];
    use_a_provider();
    mkdir("policies", 0777);
    write_file("policies/own.lua", "return function(req, fleet) return fleet:take(1) end");
    load(w, NULL, NULL);
    assert_loaded(w);
    snprintf(good, sizeof good, "%.*s", SPAN_ARGS(snapshot_policy(w->snap, SPAN("own"))->version));
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        write_file("policies/own.lua", broken[i]);
        load(w, NULL, NULL);
        assert_loaded(w);
        assert_span(w->findings.list[0].effect, "the version before it keeps deciding");
        assert_int_equal(w->findings.n, 1);
        assert_span(w->findings.list[0].path, "policies/own.lua");
        assert_false(w->findings.list[0].warning);
        assert_span(snapshot_policy(w->snap, SPAN("own"))->version, good);
    }
    write_file("policies/own.lua", "return function(req, fleet) return fleet:take(2) end");
    load(w, NULL, NULL);
    assert_int_equal(w->findings.n, 0);
    assert_false(span_eq(snapshot_policy(w->snap, SPAN("own"))->version, span_of(good)));
}

static void a_policy_that_never_loaded_stays_out(void **state) {
    struct world *w = *state;
    use_a_provider();
    mkdir("policies", 0777);
    write_file("policies/own.lua", "\n\nerror('no')");
    load(w, NULL, NULL);
    assert_loaded(w);
    assert_int_equal(w->findings.n, 1);
    assert_int_equal(w->findings.list[0].line, 3);
    assert_span(w->findings.list[0].message, "no");
    assert_null(snapshot_policy(w->snap, SPAN("own")));
    assert_non_null(snapshot_policy(w->snap, SPAN("cheapest")));
}

/* ---- as it might be ---- */

static const char LOCAL[] =
    "return { providers = { near = { like = 'openai_compatible', base_url = "
    "'http://127.0.0.1:8000/v1', models = { 'small' } } } }";

static void one_policy_is_looked_at_as_it_might_be(void **state) {
    struct world *w = *state;
    struct config_draft draft = { SPAN("own"), SPAN("return function() return {} end") };
    const struct config_options options = { .draft = &draft };
    write_file("perilune.lua", LOCAL);
    mkdir("policies", 0777);
    write_file("policies/own.lua", "nonsense");
    write_file("policies/broken.lua", "nonsense");
    w->snap = config_check(&options, draft.name, &w->findings);
    assert_int_equal(w->findings.n, 0); /* the other one is not looked at */
    assert_int_equal(w->snap->n_policies, 1);
    assert_span(w->snap->policies[0].text, "return function() return {} end");
    snapshot_unref(w->snap);
    draft.text = SPAN("return function(\n");
    w->snap = config_check(&options, draft.name, &w->findings);
    assert_null(snapshot_policy(w->snap, draft.name));
    assert_span(w->findings.list[0].path, "policies/own.lua");
    assert_non_null(w->findings.list[0].excerpt.at);
    assert_span(w->findings.list[0].effect, "the fallback chain answers in its place");
}

static void an_assignment_is_put_into_the_file_and_taken_out(void **state) {
    struct world *w = *state;
    struct config_assigning change = { ASSIGNED_TIER, SPAN("free"), SPAN("{\"policy\":\"tier\"}") };
    struct buf text = { 0 };
    write_file("perilune.lua", LOCAL);
    mkdir("policies", 0777);
    load(w, NULL, NULL);
    assert_true(config_edit_routes(w->snap, &change, &text, &w->findings));
    buf_add_char(&text, '\0');
    write_file("policies/routes.lua", text.at);
    load(w, NULL, NULL);
    assert_loaded(w);
    assert_span(snapshot_assignment(w->snap, ASSIGNED_TIER, SPAN("free"))->policy, "tier");
    assert_false(w->snap->config.assignments[0].managed);
    buf_clear(&text);
    change.value = SPAN_NONE;
    assert_true(config_edit_routes(w->snap, &change, &text, &w->findings));
    assert_null(memmem(text.at, text.len, "free", 4));
    change.name = SPAN("nobody");
    assert_false(config_edit_routes(w->snap, &change, &text, &w->findings));
    assert_int_equal(w->findings.n, 0);
    buf_deinit(&text);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        CASE(without_anything_the_mock_answers),
        CASE(a_variable_switches_a_provider_on),
        CASE(settings_and_defaults),
        CASE(a_provider_file_of_the_user),
        CASE(a_named_file_must_be_there),
        CASE(wrong_settings_are_named),
        CASE(missing_variables_and_syntax),
        CASE(an_endless_configuration_ends),
        CASE(it_reaches_nothing_but_env_and_file),
        CASE(shipped_policies_under_the_users),
        CASE(a_version_is_of_all_it_requires),
        CASE(the_last_good_version_serves_on),
        CASE(a_policy_that_never_loaded_stays_out),
        CASE(one_policy_is_looked_at_as_it_might_be),
        CASE(an_assignment_is_put_into_the_file_and_taken_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
