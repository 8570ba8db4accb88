/* renewal_test.c - from JSON to files of models; what they hold is in models_file_spec.lua. */
#include "script/renewal.h"

#include "support/unit.h"

static void a_catalogue_makes_files(void **state) {
    struct renewal r;
    assert_true(renewal_of_catalogue(
        &r, "/nowhere",
        SPAN("{\"models\":[{\"id\":\"openai/gpt-99\",\"context_window\":7},"
             "{\"id\":\"openai/gpt-4o\",\"context_window\":7},{\"id\":\"nobody/x\"}]}")));
    assert_int_equal(r.n_files, 1);
    assert_span(r.files[0].provider, "openai");
    assert_int_equal(r.files[0].n_added, 1);
    assert_int_equal(r.files[0].n_changed, 1);
    assert_true(span_starts(r.files[0].text, SPAN("--- Models over those of openai.lua")));
    assert_int_equal(r.n_skipped, 1);
    assert_span(r.skipped[0], "nobody");
    assert_null(r.why.at);
    renewal_deinit(&r);
}

static void what_providers_list_makes_files(void **state) {
    struct renewal r;
    struct pair answers[] = { { SPAN("openai"), SPAN("{\"data\":[{\"id\":\"gpt-99\"}]}") } };
    assert_true(renewal_of_lists(&r, NULL, answers, 1));
    assert_int_equal(r.n_files, 1);
    assert_int_equal(r.files[0].n_added, 1);
    renewal_deinit(&r);
}

static void what_is_no_catalogue_is_said(void **state) {
    struct renewal r;
    assert_false(renewal_of_catalogue(&r, NULL, SPAN("{}")));
    assert_span(r.why, "expected { \"models\": [ ... ] }");
    assert_int_equal(r.n_files, 0);
    renewal_deinit(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_catalogue_makes_files),
        cmocka_unit_test(what_providers_list_makes_files),
        cmocka_unit_test(what_is_no_catalogue_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
