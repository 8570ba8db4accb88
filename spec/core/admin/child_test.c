/* A process of our own: this very test, called with words. */
#include "support/unit.h"

#include "admin/child.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct child_end ended;
static struct buf said;
static unsigned ends;

static void on_end(void *owner, const struct child_end *end) {
    ended = *end;
    buf_clear(&said);
    buf_add(&said, end->output);
    ends++;
}

static void run(const char *word, uint32_t limit_ms, const char *dir) {
    uv_loop_t loop;
    const char *const args[] = { word, NULL };
    const struct child_options options = { args, dir, limit_ms };
    uv_loop_init(&loop);
    ends = 0;
    child_start(&loop, &options, on_end, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(ends, 1);
}

static void what_it_says_and_how_it_ends_is_told(void **state) {
    run("speak", 60000, NULL);
    assert_int_equal(ended.code, 7);
    assert_false(ended.too_late);
    assert_span(buf_span(&said), "word");
}

static void it_runs_where_it_is_told_to(void **state) {
    run("where", 60000, "/usr");
    assert_span(buf_span(&said), "/usr");
}

static void one_that_does_not_end_is_ended_with_all_it_started(void **state) {
    run("sleep", 50, NULL);
    assert_int_equal(ended.code, -1);
    assert_true(ended.too_late);
}

static void what_it_leaves_behind_ends_with_it(void **state) {
    run("leave", 60000, NULL);
    assert_int_equal(ended.code, 0);
}

static void output_is_kept_up_to_a_limit(void **state) {
    run("flood", 60000, NULL);
    assert_int_equal(ended.code, 0);
    assert_int_equal(said.len, CHILD_OUTPUT_MAX);
}

static void one_that_can_not_start_says_so(void **state) {
    run("speak", 60000, "/nowhere/at/all");
    assert_int_equal(ended.code, -1);
    assert_true(span_starts(buf_span(&said), SPAN("it does not start: ")));
}

static int be_the_child(const char *word) {
    char text[1024];
    if (strcmp(word, "speak") == 0)
        return printf("word") == 4 ? 7 : 1;
    if (strcmp(word, "where") == 0)
        return printf("%s", getcwd(text, sizeof text)) < 0;
    if (strcmp(word, "flood") == 0) {
        memset(text, 'x', sizeof text);
        for (int i = 0; i < 200; i++)
            fwrite(text, 1, sizeof text, stdout);
        return 0;
    }
    /* A grandchild, which holds the pipes open. */
    if (fork() == 0 || strcmp(word, "sleep") == 0)
        for (;;)
            pause();
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1)
        return be_the_child(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_says_and_how_it_ends_is_told),
        cmocka_unit_test(it_runs_where_it_is_told_to),
        cmocka_unit_test(one_that_does_not_end_is_ended_with_all_it_started),
        cmocka_unit_test(what_it_leaves_behind_ends_with_it),
        cmocka_unit_test(output_is_kept_up_to_a_limit),
        cmocka_unit_test(one_that_can_not_start_says_so),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&said);
    return failed;
}
