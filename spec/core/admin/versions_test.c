/* What was live stays readable: newest first, at most so many, each with its note. */
#include "support/unit.h"

#include "admin/versions.h"

#include <stdlib.h>
#include <unistd.h>

static char dir[64];
static struct arena arena;
static struct version list[VERSIONS_MAX];

static int set_up(void **state) {
    snprintf(dir, sizeof dir, "/tmp/perilune-versions-XXXXXX");
    assert_non_null(mkdtemp(dir));
    arena_init(&arena, 4096);
    return 0;
}

static int tear_down(void **state) {
    size_t n = versions_list(span_of(dir), SPAN("tier"), &arena, list);
    const char *const endings[] = { "lua", "note" };
    for (size_t i = 0; i < 2 * n; i++)
        unlink(arena_printf(&arena, "%s/policies/tier/%.*s.%s", dir, SPAN_ARGS(list[i / 2].hash),
                            endings[i % 2])
                   .at);
    assert_int_equal(rmdir(arena_printf(&arena, "%s/policies/tier", dir).at), 0);
    assert_int_equal(rmdir(arena_printf(&arena, "%s/policies", dir).at), 0);
    assert_int_equal(rmdir(dir), 0);
    arena_deinit(&arena);
    return 0;
}

static struct policy_source version(unsigned number) {
    return (struct policy_source){ .name = SPAN("tier"),
                                   .version = arena_printf(&arena, "tier@%08x", number),
                                   .text = arena_printf(&arena, "-- %u", number) };
}

static void keep(unsigned number, uint64_t now_ms) {
    struct policy_source policy = version(number);
    assert_int_equal(versions_keep(span_of(dir), &policy, now_ms), 0);
}

static size_t listed(void) {
    return versions_list(span_of(dir), SPAN("tier"), &arena, list);
}

static void the_newest_comes_first(void **state) {
    keep(1, 1000);
    keep(2, 2000);
    keep(3, 2000);
    assert_int_equal(listed(), 3);
    assert_span(list[0].hash, "00000003");
    assert_span(list[1].hash, "00000002");
    assert_true(list[0].at_ms > list[1].at_ms && list[1].at_ms == 2000);
    assert_span(versions_text(span_of(dir), SPAN("tier"), SPAN("00000001"), &arena), "-- 1");
    assert_span(versions_text(span_of(dir), SPAN("tier"), SPAN("tier@00000002"), &arena), "-- 2");
}

static void one_that_is_live_again_is_the_newest_again(void **state) {
    keep(1, 1000);
    keep(2, 2000);
    keep(2, 3000); /* read again: it is since when it was */
    assert_int_equal(listed(), 2);
    assert_int_equal(list[0].at_ms, 2000);
    keep(1, 4000);
    assert_int_equal(listed(), 2);
    assert_span(list[0].hash, "00000001");
    assert_int_equal(list[0].at_ms, 4000);
}

static void a_note_is_of_one_time_it_was_live(void **state) {
    struct policy_source one = version(1);
    keep(1, 1000);
    assert_int_equal(versions_note(span_of(dir), &one, SPAN("first")), 0);
    listed();
    assert_span(list[0].note, "first");
    keep(2, 2000);
    keep(1, 3000);
    listed();
    assert_null(list[0].note.at);
}

static void the_oldest_goes(void **state) {
    for (unsigned i = 1; i <= VERSIONS_MAX + 2; i++)
        keep(i, 1000 * i);
    assert_int_equal(listed(), VERSIONS_MAX);
    assert_span(list[VERSIONS_MAX - 1].hash, "00000003");
    assert_null(versions_text(span_of(dir), SPAN("tier"), SPAN("00000002"), &arena).at);
}

static void a_version_that_is_no_hash_is_none(void **state) {
    keep(1, 1000);
    assert_null(versions_text(span_of(dir), SPAN("tier"), SPAN("../tier/00000001"), &arena).at);
    assert_null(versions_text(span_of(dir), SPAN("tier"), SPAN(""), &arena).at);
    assert_null(versions_text(span_of(dir), SPAN("tier"), SPAN("tier@"), &arena).at);
    assert_null(versions_text(span_of(dir), SPAN("other"), SPAN("00000001"), &arena).at);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_newest_comes_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_is_live_again_is_the_newest_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_note_is_of_one_time_it_was_live, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_oldest_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_version_that_is_no_hash_is_none, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
