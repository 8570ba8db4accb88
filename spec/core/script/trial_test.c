/* trial_test.c - what a few plain requests find out about policies. */
#include "support/unit.h"

#include "script/trial.h"

#include <unistd.h>

struct world {
    char dir[64];
    char before[4096];
    struct config_findings findings;
};

static int open_world(void **state) {
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->dir, "/tmp/perilune-trial-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    assert_non_null(getcwd(w->before, sizeof w->before));
    assert_int_equal(chdir(w->dir), 0);
    setenv("OPENAI_API_KEY", "sk-spec", 1);
    config_findings_init(&w->findings);
    *state = w;
    return 0;
}

static int close_world(void **state) {
    struct world *w = *state;
    char command[100];
    config_findings_deinit(&w->findings);
    assert_int_equal(chdir(w->before), 0);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
    unsetenv("OPENAI_API_KEY");
    free(w);
    return 0;
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* What is found about a policy that loads, and the shipped ones. */
static void try(struct world *w, const char *policy) {
    struct config_options options = { 0 };
    assert_int_equal(system("mkdir -p policies/lib"), 0);
    write_file("policies/own.lua", policy);
    config_findings_deinit(&w->findings);
    config_findings_init(&w->findings);
    struct snapshot *snap = config_load(&options, NULL, &w->findings);
    assert_non_null(snap);
    assert_int_equal(w->findings.n, 0);
    trial_run(snap, &w->findings);
    snapshot_unref(snap);
}

static void what_answers_is_fine(void **state) {
    static const char *const fine[] = {
        "return function(req, fleet) return fleet:able():cheapest() end",
        "return function(req, fleet) return fleet:able():sticky():take(1) end",
        "return function(req, fleet) return fleet:tagged('nowhere') end",
        "return function(req) return nil, { status = 403 } end",
        "return { on_error = 'refuse', decide = function(req) return {} end }",
    };
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        try(*state, fine[i]);
        assert_int_equal(((struct world *)*state)->findings.n, 0);
    }
}

static const struct config_finding *only(const struct world *w) {
    assert_int_equal(w->findings.n, 1);
    assert_true(w->findings.list[0].warning);
    return w->findings.list;
}

static void what_raises_is_found_where_it_is(void **state) {
    static const struct {
        const char *policy;
        unsigned line;
        const char *message, *effect;
    } cases[] = {
        { "return function(req, fleet)\nreturn fleet, req.teir end", 2, "did you mean \"tier\"",
          "a request for auto: the fallback chain answers it" },
        { "return function(req, fleet)\nlocal now = os.time() return fleet end", 2, "os",
          "a request for auto: the fallback chain answers it" },
        { "return function(req, fleet)\n\ncount = 1 return fleet end", 3, "global \"count\"",
          "a request for auto: the fallback chain answers it" },
        { "return function(req, fleet) fleet:able() end", 0, "got nil",
          "a request for auto: the fallback chain answers it" },
        { "return function(req, fleet) if req.uses.tools then error('no') end return fleet end", 1,
          "no", "a request with tools: the fallback chain answers it" },
        { "return { on_error = 'refuse', decide = function(req, fleet)\n"
          "if req.tier == 'paid' then fleet:cheapst() end return fleet end }",
          2, "did you mean \"cheapest\"", "a request with x-route-tier: paid: it is refused" },
        { "return function(req, fleet)\nif req.budget.used > 0.9 then return fleet:cheapst() end "
          "return fleet end",
          2, "did you mean \"cheapest\"",
          "a request whose cap is nearly reached: the fallback chain answers it" },
        { "return function() while true do end end", 0, "5 ms",
          "a request for auto: the fallback chain answers it" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        try(*state, cases[i].policy);
        const struct config_finding *f = only(*state);
        assert_span(f->path, "policies/own.lua");
        if (f->line != cases[i].line || span_starts(f->message, f->path) ||
            !memmem(f->message.at, f->message.len, cases[i].message, strlen(cases[i].message)))
            fail_msg("%u: %.*s", f->line, SPAN_ARGS(f->message));
        assert_span(f->effect, cases[i].effect);
        assert_int_equal(f->excerpt.len > 0, f->line > 0);
    }
}

static void a_line_of_a_library_is_named_as_such(void **state) {
    assert_int_equal(system("mkdir -p policies/lib"), 0);
    write_file("policies/lib/shared.lua", "\nreturn function() error('in here') end");
    try(*state, "local f = require 'shared' return function(req, fleet) f() end");
    const struct config_finding *f = only(*state);
    assert_span(f->path, "policies/lib/shared.lua");
    assert_int_equal(f->line, 2);
    assert_span(f->message, "in here");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_answers_is_fine, open_world, close_world),
        cmocka_unit_test_setup_teardown(what_raises_is_found_where_it_is, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_line_of_a_library_is_named_as_such, open_world,
                                        close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
