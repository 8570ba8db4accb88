/* Rows for people. */
#include "cli/table.h"

#include "support/unit.h"

static const struct table_column columns[] = {
    { "NAME", false }, { "TIER", false }, { "COST", true }, { "NOTE", false }
};

static void write_rows(const char *const (*rows)[4], size_t n, const char *wanted) {
    struct table t;
    struct buf out = { 0 };
    table_init(&t, columns, 4);
    for (size_t i = 0; i < n * 4; i++)
        table_cell(&t, "%s", rows[i / 4][i % 4]);
    table_write(&t, &out);
    assert_span(out.at ? buf_span(&out) : SPAN(""), wanted);
    buf_deinit(&out);
    table_deinit(&t);
}

static void columns_stand_below_each_other(void **state) {
    static const char *const rows[][4] = { { "shop", "paid", "1.5", "x" },
                                           { "a longer one", "", "100", "" } };
    write_rows(rows, 2,
               "NAME          TIER  COST  NOTE\n"
               "shop          paid   1.5  x\n"
               "a longer one         100\n");
}

static void a_column_without_anything_is_left_out(void **state) {
    static const char *const rows[][4] = { { "shop", "", "1", "" } };
    write_rows(rows, 1, "NAME  COST\nshop     1\n");
}

static void nothing_is_nothing(void **state) {
    write_rows(NULL, 0, "");
}

static void characters_count_and_not_bytes(void **state) {
    static const char *const rows[][4] = { { "Käse", "ü", "1", "" },
                                           { "abcde", "abcd", "22", "" } };
    write_rows(rows, 2,
               "NAME   TIER  COST\n"
               "Käse   ü        1\n"
               "abcde  abcd    22\n");
}

static void what_others_wrote_steers_no_terminal(void **state) {
    static const char *const rows[][4] = { { "a\nb", "\x1b[2Jc", "1", "\xff" } };
    write_rows(rows, 1, "NAME  TIER  COST  NOTE\na b   [2Jc     1  \xef\xbf\xbd\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_stand_below_each_other),
        cmocka_unit_test(a_column_without_anything_is_left_out),
        cmocka_unit_test(nothing_is_nothing),
        cmocka_unit_test(characters_count_and_not_bytes),
        cmocka_unit_test(what_others_wrote_steers_no_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
