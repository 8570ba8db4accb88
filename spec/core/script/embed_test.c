#include "support/unit.h"

#include "script/embed.h"

static void paths_are_in_order_and_found(void **state) {
    assert_true(embedded_count > 20);
    for (size_t i = 0; i < embedded_count; i++) {
        const struct embedded_file *file = &embedded_files[i];
        assert_ptr_equal(embedded_find(file->path), file);
        assert_int_equal(file->path.len, strlen(file->path.at));
        if (i)
            assert_true(strcmp(embedded_files[i - 1].path.at, file->path.at) < 0);
    }
}

static void texts_are_whole(void **state) {
    const struct embedded_file *file = embedded_find(SPAN("lua/perilune/host.lua"));
    assert_non_null(file);
    assert_int_equal(file->text.len, strlen(file->text.at));
    assert_true(span_ends(file->text, SPAN("return M\n")));
}

static void only_what_is_meant_is_carried(void **state) {
    assert_null(embedded_find(SPAN("lua/perilune/host")));
    assert_null(embedded_find(SPAN("")));
    assert_null(embedded_find(SPAN("zzz")));
    for (size_t i = 0; i < embedded_count; i++)
        assert_false(span_ends(embedded_files[i].path, SPAN("_spec.lua")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_in_order_and_found),
        cmocka_unit_test(texts_are_whole),
        cmocka_unit_test(only_what_is_meant_is_carried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
