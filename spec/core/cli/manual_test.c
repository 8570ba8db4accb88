/* The manual page is the commands' own table, and nothing in it is taken for a macro that is none. */
#include "cli/cli.h"

#include "support/unit.h"

static struct buf page;

static int write_page(void **state) {
    cli_manual(&page);
    buf_add_char(&page, '\0');
    return 0;
}

static int free_page(void **state) {
    buf_deinit(&page);
    return 0;
}

static void names_every_command_and_option(void **state) {
    char wanted[128];
    const char *at = page.at;
    for (size_t i = 0; i < cli_n_commands; i++) {
        snprintf(wanted, sizeof wanted, "\n.SS %s\n", cli_commands[i]->name);
        at = strstr(at, wanted);
        assert_non_null(at);
        for (const struct cli_option *o = cli_commands[i]->options; o->name; o++) {
            size_t n = (size_t)snprintf(wanted, sizeof wanted, "\\-\\-");
            for (const char *c = o->name; *c; c++)
                n += (size_t)snprintf(wanted + n, sizeof wanted - n, *c == '-' ? "\\-" : "%c", *c);
            const char *option = strstr(at, wanted), *next = strstr(at + 1, "\n.SS ");
            if (!option || (next && option > next))
                fail_msg("%s --%s is not in the manual", cli_commands[i]->name, o->name);
        }
    }
}

static void only_macros_begin_with_a_dot(void **state) {
    static const char *const macros[] = { ".TH ",  ".SH ", ".SS ",  ".TP\n",
                                          ".PP\n", ".B ",  ".nf\n", ".fi\n" };
    size_t n_filled = 0, n_unfilled = 0;
    for (const char *line = page.at; *line; line = strchr(line, '\n') + 1) {
        bool known = *line != '.';
        for (size_t i = 0; i < sizeof macros / sizeof *macros; i++)
            known = known || strncmp(line, macros[i], strlen(macros[i])) == 0;
        if (!known || *line == '\'')
            fail_msg("no macro: %.*s", (int)(strchr(line, '\n') - line), line);
        n_unfilled += strncmp(line, ".nf\n", 4) == 0;
        n_filled += strncmp(line, ".fi\n", 4) == 0;
    }
    assert_true(n_filled > 0);
    assert_int_equal(n_filled, n_unfilled);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_every_command_and_option),
        cmocka_unit_test(only_macros_begin_with_a_dot),
    };
    return cmocka_run_group_tests(tests, write_page, free_page);
}
