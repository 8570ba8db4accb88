#include "support/unit.h"

#include "script/sources.h"

#include <sys/stat.h>
#include <unistd.h>

struct world {
    char dir[64];
    struct arena arena;
};

static int open_world(void **state) {
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->dir, "/tmp/perilune-sources-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    arena_init(&w->arena, 1024);
    *state = w;
    return 0;
}

static int close_world(void **state) {
    struct world *w = *state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
    arena_deinit(&w->arena);
    free(w);
    return 0;
}

static void make(struct world *w, const char *name, const char *text) {
    char path[200];
    snprintf(path, sizeof path, "%s/%s", w->dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static const struct source_file *named(const struct source_file *files, size_t n,
                                       const char *name) {
    for (size_t i = 0; i < n; i++)
        if (span_eq(files[i].name, span_of(name)))
            return &files[i];
    return NULL;
}

static void the_users_file_stands_for_the_shipped_one(void **state) {
    struct world *w = *state;
    struct source_file *files;
    char lib[100];
    snprintf(lib, sizeof lib, "%s/lib", w->dir);
    mkdir(lib, 0777);
    make(w, "cheapest.lua", "mine");
    make(w, "own.lua", "");
    make(w, "own_spec.lua", "a spec");
    make(w, "no name.lua", "");
    make(w, "routes.lua", "assignments");
    make(w, "lib/prices.lua", "a library");
    size_t n = sources_read(SOURCES_POLICIES, w->dir, &w->arena, &files);
    assert_span(named(files, n, "cheapest")->text, "mine");
    assert_true(span_starts(named(files, n, "cheapest")->path, span_of(w->dir)));
    assert_span(named(files, n, "tier")->path, "(shipped) policies/tier.lua");
    assert_int_equal(named(files, n, "own")->text.len, 0);
    assert_span(named(files, n, "lib/prices")->text, "a library");
    assert_null(named(files, n, "own_spec"));
    assert_null(named(files, n, "no name"));
    assert_null(named(files, n, "routes"));
    for (size_t i = 1; i < n; i++)
        assert_true(strcmp(files[i - 1].name.at, files[i].name.at) < 0);
}

static void providers_have_no_libraries(void **state) {
    struct world *w = *state;
    struct source_file *files;
    size_t n = sources_read(SOURCES_PROVIDERS, NULL, &w->arena, &files);
    assert_non_null(named(files, n, "openai"));
    assert_null(named(files, n, "tier"));
}

static void a_file_that_can_not_be_read_says_so(void **state) {
    struct world *w = *state;
    struct source_file *files;
    char path[100];
    snprintf(path, sizeof path, "%s/broken.lua", w->dir);
    assert_int_equal(mkdir(path, 0777), 0);
    size_t n = sources_read(SOURCES_POLICIES, w->dir, &w->arena, &files);
    assert_true(named(files, n, "broken")->error < 0);
    assert_int_equal(named(files, n, "broken")->text.len, 0);
}

static void versions_tell_contents_apart(void **state) {
    struct world *w = *state;
    struct policy_source lib = { .name = SPAN("l"), .path = SPAN("x"), .text = SPAN("bc") };
    struct policy_source one = {
        .name = SPAN("p"), .path = SPAN("here"), .text = SPAN("a"), .libs = &lib, .n_libs = 1
    };
    struct span first = sources_version(&one, &w->arena);
    assert_int_equal(first.len, 10);
    assert_true(span_starts(first, SPAN("p@")));
    /* The same bytes elsewhere are the same version; divided differently they are not. */
    one.path = SPAN("there");
    assert_span(sources_version(&one, &w->arena), first.at);
    one.text = SPAN("ab");
    lib.text = SPAN("c");
    assert_false(span_eq(sources_version(&one, &w->arena), first));
    one.text = SPAN("a");
    lib.text = SPAN("bc");
    lib.name = SPAN("m");
    assert_false(span_eq(sources_version(&one, &w->arena), first));
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        CASE(the_users_file_stands_for_the_shipped_one),
        CASE(providers_have_no_libraries),
        CASE(a_file_that_can_not_be_read_says_so),
        CASE(versions_tell_contents_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
