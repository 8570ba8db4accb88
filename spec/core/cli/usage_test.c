/* What `perilune help usage` says can be summed by is what can. */
#include "cli/cli.h"
#include "money/usage.h"

#include "support/unit.h"

static void help_names_all_that_is_summed_by(void **state) {
    const struct cli_option *by = usage_command.options;
    while (strcmp(by->name, "by") != 0)
        by++;
    struct span rest = span_of(by->value), word;
    for (int i = USAGE_BY_NOTHING + 1; i < USAGE_BYS; i++) {
        assert_true(cli_next_word(&rest, &word));
        assert_span(word, usage_by_name((enum usage_by)i));
    }
    assert_false(cli_next_word(&rest, &word));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_names_all_that_is_summed_by),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
