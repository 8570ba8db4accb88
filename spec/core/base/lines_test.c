/* lines_test.c - lines come to where they go whole and in order; what can not is counted, and
 * nobody waits for it for long. That files are rotated and begun anew is in record_test.c. */
#include "base/lines.h"
#include "support/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[96];
static struct buf out;

static int begin(void **state) {
    strcpy(folder, "/tmp/lines_test.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/lines", folder);
    return 0;
}

static int end(void **state) {
    unlink(path);
    rmdir(folder);
    buf_deinit(&out);
    return 0;
}

/* Into `out`; what a pipe holds where `fd` is one. */
static struct span read_all(int fd) {
    char bytes[4096];
    ssize_t n;
    buf_clear(&out);
    while ((n = read(fd, bytes, sizeof bytes)) > 0)
        buf_append(&out, bytes, (size_t)n);
    return buf_span(&out);
}

static struct span read_file(void) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct span all = read_all(fd);
    close(fd);
    return all;
}

static void assert_text(struct span got, const char *want) {
    if (!span_eq(got, span_of(want)))
        fail_msg("got '%.*s', not '%s'", SPAN_ARGS(got), want);
}

static const struct lines_way plain = { .effect = "nothing is kept", .wait_ms = 10 };

static void what_nobody_wants_is_not_asked_for(void **state) {
    struct lines *l = lines_new(&plain);
    assert_false(lines_wanted(l));
    lines_open(l, span_of(path), 0);
    assert_true(lines_wanted(l));
    lines_open(l, SPAN_NONE, 0);
    assert_false(lines_wanted(l));
    lines_free(l);
}

/* "<abc>" of "abc"; remembers whether there was a file. */
struct seen {
    unsigned calls, without_file;
};

static void wrap(void *owner, struct span added, struct buf *lines) {
    struct seen *seen = owner;
    seen->calls++;
    if (lines)
        buf_printf(lines, "<%.*s>\n", SPAN_ARGS(added));
    else
        seen->without_file++;
}

static void what_is_added_is_rendered_by_who_writes(void **state) {
    struct seen seen = { 0 };
    const struct lines_way way = {
        .effect = "nothing", .wait_ms = 60000, .render = wrap, .owner = &seen
    };
    struct lines *l = lines_new(&way);
    lines_open(l, span_of(path), 0);
    lines_add(l, SPAN("a"));
    lines_add(l, SPAN("b"));
    lines_flush(l);
    assert_text(read_file(), "<ab>\n");
    lines_open(l, SPAN_NONE, 0);
    assert_int_equal(seen.calls, 1);
    lines_want(l, true);
    assert_true(lines_wanted(l));
    lines_add(l, SPAN("c"));
    lines_free(l);
    assert_int_equal(seen.calls, 2);
    assert_int_equal(seen.without_file, 1);
    assert_text(read_file(), "<ab>\n");
}

static void what_the_thread_writes_needs_no_flush(void **state) {
    struct lines *l = lines_new(&plain);
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    lines_open(l, span_of(path), 0);
    assert_int_equal(fcntl(reader, F_SETFL, 0), 0);
    lines_add(l, SPAN("one\n"));
    char bytes[16];
    assert_int_equal(read(reader, bytes, sizeof bytes), 4);
    assert_memory_equal(bytes, "one\n", 4);
    lines_free(l);
    close(reader);
}

/* A file system that is full: each write fails. */
static void what_can_not_be_written_is_counted(void **state) {
    struct lines *l = lines_new(&plain);
    lines_open(l, SPAN("/dev/full"), 0);
    lines_add(l, SPAN("one\ntwo\n"));
    lines_flush(l);
    assert_int_equal(lines_left_out(l), 2);
    lines_open(l, SPAN("/nowhere/at/all"), 0);
    lines_add(l, SPAN("three\n"));
    lines_flush(l);
    assert_int_equal(lines_left_out(l), 3);
    lines_free(l);
}

static void a_pipe_without_a_reader_is_no_wait(void **state) {
    struct lines *l = lines_new(&plain);
    assert_int_equal(mkfifo(path, 0600), 0);
    lines_open(l, span_of(path), 0);
    lines_add(l, SPAN("one\n"));
    lines_flush(l);
    assert_int_equal(lines_left_out(l), 1);
    lines_free(l);
}

/* It takes what it has room for, in whole lines and a torn one, which the next begin behind. */
static void a_pipe_that_is_full_is_given_up(void **state) {
    static char big[256 * 1024];
    struct lines *l = lines_new(&plain);
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    lines_open(l, span_of(path), 0);
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = i % 100 == 99 ? '\n' : 'x';
    lines_add(l, (struct span){ big, sizeof big });
    lines_flush(l);
    struct span got = read_all(reader);
    size_t lines = 0;
    for (size_t i = 0; i < got.len; i++)
        lines += got.at[i] == '\n';
    assert_true(lines > 0);
    assert_int_equal(lines + lines_left_out(l), sizeof big / 100);
    bool torn = got.at[got.len - 1] != '\n';
    lines_add(l, SPAN("next\n"));
    lines_flush(l);
    assert_text(read_all(reader), torn ? "\nnext\n" : "next\n");
    lines_free(l);
    close(reader);
}

static void what_finds_no_room_is_left_out(void **state) {
    static char big[1 << 20];
    const struct lines_way slow = { .effect = "nothing", .wait_ms = 60000 };
    struct lines *l = lines_new(&slow);
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = '\n';
    for (int i = 0; i < 9; i++)
        lines_add(l, (struct span){ big, sizeof big });
    assert_int_equal(lines_left_out(l), 1);
    lines_free(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_nobody_wants_is_not_asked_for, begin, end),
        cmocka_unit_test_setup_teardown(what_is_added_is_rendered_by_who_writes, begin, end),
        cmocka_unit_test_setup_teardown(what_the_thread_writes_needs_no_flush, begin, end),
        cmocka_unit_test(what_can_not_be_written_is_counted),
        cmocka_unit_test_setup_teardown(a_pipe_without_a_reader_is_no_wait, begin, end),
        cmocka_unit_test_setup_teardown(a_pipe_that_is_full_is_given_up, begin, end),
        cmocka_unit_test(what_finds_no_room_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
