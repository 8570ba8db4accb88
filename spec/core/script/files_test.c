#include "support/unit.h"

#include "script/files.h"

#include <errno.h>
#include <sys/stat.h>

struct world {
    char dir[64], path[200];
    struct arena arena;
    struct buf bytes;
};

static int open_world(void **state) {
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->dir, "/tmp/perilune-files-XXXXXX");
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
    buf_deinit(&w->bytes);
    free(w);
    return 0;
}

static const char *make(struct world *w, const char *name, const char *text) {
    assert_true(files_join(w->path, sizeof w->path, w->dir, name));
    FILE *f = fopen(w->path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return w->path;
}

static void whole_files_are_read(void **state) {
    struct world *w = *state;
    buf_add(&w->bytes, SPAN("before "));
    assert_int_equal(files_read(make(w, "a", "text"), 4, &w->bytes), 0);
    assert_span(buf_span(&w->bytes), "before text");
    assert_int_equal(files_read(make(w, "empty", ""), 4, &w->bytes), 0);
    assert_span(buf_span(&w->bytes), "before text");
}

static void what_can_not_be_read_says_why(void **state) {
    struct world *w = *state;
    assert_int_equal(files_read(make(w, "a", "longer"), 5, &w->bytes), -EFBIG);
    assert_int_equal(files_read("/tmp/no/such/file", 5, &w->bytes), -ENOENT);
    assert_int_equal(files_read(w->dir, 5, &w->bytes), -EISDIR);
    assert_true(files_join(w->path, sizeof w->path, w->dir, "pipe"));
    assert_int_equal(mkfifo(w->path, 0600), 0);
    assert_int_equal(files_read(w->path, 5, &w->bytes), -EINVAL);
}

static void folders_are_listed_in_order(void **state) {
    struct world *w = *state;
    struct span *names;
    make(w, "b.lua", "");
    make(w, "a.lua", "");
    make(w, "c.txt", "");
    make(w, ".hidden.lua", "");
    make(w, ".lua", "");
    make(w, "#edited.lua#", "");
    assert_int_equal(files_list(w->dir, SPAN(".lua"), &w->arena, &names, 10), 2);
    assert_span(names[0], "a.lua");
    assert_span(names[1], "b.lua");
    assert_int_equal(files_list(w->dir, SPAN(".lua"), &w->arena, &names, 1), 1);
    assert_int_equal(files_list("/tmp/no/such/folder", SPAN(".lua"), &w->arena, &names, 10), 0);
}

static void paths_that_do_not_fit_are_refused(void **state) {
    char out[8];
    assert_true(files_join(out, sizeof out, "abc", "def"));
    assert_string_equal(out, "abc/def");
    assert_false(files_join(out, sizeof out, "abc", "defg"));
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        CASE(whole_files_are_read),
        CASE(what_can_not_be_read_says_why),
        CASE(folders_are_listed_in_order),
        CASE(paths_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
