/* A file is the old one or the new one, whatever goes wrong between. */
#include "support/unit.h"

#include "admin/save.h"
#include "script/files.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/perilune-save-XXXXXX";
static char path[64], below[64];

static int set_up(void **state) {
    snprintf(dir, sizeof dir, "/tmp/perilune-save-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/tier.lua", dir);
    snprintf(below, sizeof below, "%s/policies/tier.lua", dir);
    return 0;
}

static int tear_down(void **state) {
    char folder[64];
    snprintf(folder, sizeof folder, "%s/policies", dir);
    unlink(path), unlink(below), rmdir(folder);
    assert_int_equal(rmdir(dir), 0); /* nothing else was left */
    return 0;
}

#define assert_holds(file, text)                                                                   \
    do {                                                                                           \
        struct buf held = { 0 };                                                                   \
        assert_int_equal(files_read(file, 1 << 20, &held), 0);                                     \
        assert_span(buf_span(&held), text);                                                        \
        buf_deinit(&held);                                                                         \
    } while (0)

static void a_file_is_made_and_replaced(void **state) {
    struct stat about;
    assert_int_equal(save_file(path, SPAN("one"), 0640), 0);
    assert_holds(path, "one");
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0640);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(save_file(path, SPAN("two, and more"), 0640), 0);
    assert_holds(path, "two, and more");
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
}

static void its_folder_is_made_and_none_above(void **state) {
    char deep[96];
    assert_int_equal(save_file(below, SPAN("x"), 0600), 0);
    assert_holds(below, "x");
    snprintf(deep, sizeof deep, "%s/a/b/tier.lua", dir);
    assert_int_equal(save_file(deep, SPAN("x"), 0600), -ENOENT);
    snprintf(deep, sizeof deep, "%s/tier.lua/x", below);
    assert_int_equal(save_file(deep, SPAN("x"), 0600), -ENOTDIR);
}

static void without_room_the_old_one_stays(void **state) {
    static char large[20000];
    struct rlimit before, small = { 0 };
    assert_int_equal(save_file(path, SPAN("old"), 0600), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 4096;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int error = save_file(path, (struct span){ large, sizeof large }, 0600);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(error, -EFBIG);
    assert_holds(path, "old");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_made_and_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(its_folder_is_made_and_none_above, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_room_the_old_one_stays, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
