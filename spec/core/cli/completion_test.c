/* What shells are told to complete is what there is. */
#include "cli/cli.h"

#include "support/unit.h"

/* Each command and option stands in the script, `option` being how that shell is told of one. */
static void check_all(const char *shell, const char *option) {
    struct buf script = { 0 };
    char wanted[128];
    assert_true(cli_completion(shell, &script));
    buf_add_char(&script, '\0');
    for (size_t i = 0; i < cli_n_commands; i++) {
        const struct cli_command *c = cli_commands[i];
        assert_non_null(strstr(script.at, c->name));
        for (const struct cli_option *o = c->options; o->name; o++) {
            snprintf(wanted, sizeof wanted, option, o->name);
            if (!strstr(script.at, wanted))
                fail_msg("%s is not told of %s --%s", shell, c->name, o->name);
        }
    }
    buf_deinit(&script);
}

static void bash_knows_all(void **state) {
    check_all("bash", " --%s");
}

static void zsh_knows_all(void **state) {
    check_all("zsh", "'*--%s[");
}

static void fish_knows_all(void **state) {
    check_all("fish", " -l %s ");
}

/* Quotes are closed: whatever help says, a shell that reads it line by line comes to its end. */
static void what_help_says_ends_no_quote(void **state) {
    static const char *const shells[] = { "bash", "zsh", "fish" };
    for (size_t i = 0; i < 3; i++) {
        struct buf script = { 0 };
        size_t quotes = 0;
        cli_completion(shells[i], &script);
        for (size_t at = 0; at < script.len; at++)
            if (script.at[at] == '\'' && (at == 0 || script.at[at - 1] != '\\'))
                quotes++;
            else if (script.at[at] == '\n')
                assert_int_equal(quotes % 2, 0);
        assert_true(quotes > 0);
        buf_deinit(&script);
    }
}

static void no_other_shell_is_known(void **state) {
    struct buf script = { 0 };
    assert_false(cli_completion("tcsh", &script));
    assert_int_equal(script.len, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bash_knows_all),          cmocka_unit_test(zsh_knows_all),
        cmocka_unit_test(fish_knows_all),          cmocka_unit_test(what_help_says_ends_no_quote),
        cmocka_unit_test(no_other_shell_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
