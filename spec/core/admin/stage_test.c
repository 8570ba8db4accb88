/* A folder like the user's, with one policy that might be. */
#include "support/unit.h"

#include "admin/save.h"
#include "admin/stage.h"
#include "script/files.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char home[64];
static struct stage stage;

static char *in_home(const char *name) {
    static char path[4][160];
    static unsigned turn;
    char *out = path[turn++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", home, name);
    return out;
}

static int set_up(void **state) {
    snprintf(home, sizeof home, "/tmp/perilune-stage-XXXXXX");
    assert_non_null(mkdtemp(home));
    assert_int_equal(mkdir(in_home("state"), 0700), 0);
    assert_int_equal(save_file(in_home("perilune.lua"), SPAN("config"), 0600), 0);
    assert_int_equal(save_file(in_home("policies/tier.lua"), SPAN("old"), 0600), 0);
    assert_int_equal(save_file(in_home("policies/other.lua"), SPAN("other"), 0600), 0);
    assert_int_equal(save_file(in_home("spec/tier_spec.lua"), SPAN("spec"), 0600), 0);
    stage = (struct stage){ 0 };
    return 0;
}

static int tear_down(void **state) {
    const char *const files[] = { "perilune.lua", "policies/tier.lua", "policies/other.lua",
                                  "spec/tier_spec.lua" };
    const char *const folders[] = { "policies", "spec", "state", "" };
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(unlink(in_home(files[i])), 0); /* each is still there */
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(rmdir(in_home(folders[i])), 0); /* and nothing else is */
    return 0;
}

static struct stage_plan plan(void) {
    return (struct stage_plan){ .state = span_of(in_home("state")),
                                .folder = home,
                                .policies = span_of(in_home("policies")),
                                .name = SPAN("tier"),
                                .source = SPAN("new") };
}

static void assert_staged(const char *name, const char *text) {
    char path[1400];
    struct buf held = { 0 };
    snprintf(path, sizeof path, "%s/%s", stage.dir, name);
    assert_int_equal(files_read(path, 1000, &held), 0);
    assert_span(buf_span(&held), text);
    buf_deinit(&held);
}

static void all_is_there_and_one_policy_is_another(void **state) {
    struct stage_plan p = plan();
    assert_int_equal(stage_open(&stage, &p), 0);
    assert_staged("policies/tier.lua", "new");
    assert_staged("policies/other.lua", "other");
    assert_staged("spec/tier_spec.lua", "spec");
    assert_staged("perilune.lua", "config");
    assert_true(stage_has(&stage, "spec/tier_spec.lua"));
    assert_false(stage_has(&stage, "spec/other_spec.lua"));
    stage_close(&stage);
    stage_close(&stage);
}

static void a_new_policy_needs_no_folder(void **state) {
    struct stage_plan p = plan();
    p.policies = span_of(in_home("elsewhere"));
    assert_int_equal(stage_open(&stage, &p), 0);
    assert_staged("elsewhere/tier.lua", "new");
    stage_close(&stage);
}

static void a_folder_further_down_is_there_too(void **state) {
    struct stage_plan p = plan();
    assert_int_equal(mkdir(in_home("conf"), 0700), 0);
    assert_int_equal(save_file(in_home("conf/beside"), SPAN("beside"), 0600), 0);
    assert_int_equal(save_file(in_home("conf/rules/tier.lua"), SPAN("old"), 0600), 0);
    p.policies = span_of(in_home("./conf//rules"));
    assert_int_equal(stage_open(&stage, &p), 0);
    assert_staged("conf/rules/tier.lua", "new");
    assert_staged("conf/beside", "beside");
    assert_staged("perilune.lua", "config");
    stage_close(&stage);
    assert_int_equal(unlink(in_home("conf/beside")), 0);
    assert_int_equal(unlink(in_home("conf/rules/tier.lua")), 0);
    assert_int_equal(rmdir(in_home("conf/rules")), 0);
    assert_int_equal(rmdir(in_home("conf")), 0);
}

static void the_folder_may_be_the_same(void **state) {
    struct stage_plan p = plan();
    p.policies = span_of(home);
    p.name = SPAN("perilune");
    assert_int_equal(stage_open(&stage, &p), 0);
    assert_staged("perilune.lua", "new");
    assert_staged("policies/tier.lua", "old");
    stage_close(&stage);
}

static void without_a_place_nothing_is_left(void **state) {
    struct stage_plan p = plan();
    p.state = SPAN("/proc/nowhere");
    assert_int_equal(stage_open(&stage, &p), -ENOENT);
    assert_string_equal(stage.dir, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_is_there_and_one_policy_is_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_policy_needs_no_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_further_down_is_there_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_folder_may_be_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_place_nothing_is_left, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
