/* What the command line makes of its words. */
#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int nothing(const struct cli_call *call) {
    return CLI_OK;
}

static const struct cli_command command = {
    .name = "try",
    .summary = "try things",
    .arguments = "[THING]",
    .max_args = 1,
    .options = { CLI_OPTION_CONFIG, CLI_OPTION_JSON, { "rate", 'r', "N", "how often" } },
    .notes = "More about it.\n",
    .examples = "perilune try --rate 5\n",
    .main = nothing,
};

#define PARSE(call, error, ...)                                                                    \
    cli_parse(&command, sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *),                        \
              (char *[]){ __VA_ARGS__ }, (call), (error))

static void assert_text(const struct buf *b, const char *text) {
    assert_int_equal(b->len, strlen(text));
    assert_memory_equal(b->at, text, b->len);
}

static void reads_every_form_of_an_option(void **state) {
    char *forms[][2] = { { "-c", "x.lua" }, { "--config", "x.lua" } };
    struct buf error = { 0 };
    struct cli_call call;
    for (size_t i = 0; i < 2; i++) {
        assert_true(PARSE(&call, &error, forms[i][0], forms[i][1], "--json", "thing"));
        assert_string_equal(cli_option(&call, "config"), "x.lua");
        assert_string_equal(cli_option(&call, "json"), "");
        assert_null(cli_option(&call, "rate"));
        assert_int_equal(call.n_args, 1);
        assert_string_equal(call.args[0], "thing");
        cli_call_deinit(&call);
    }
    assert_true(PARSE(&call, &error, "-cx.lua", "--rate=5"));
    assert_string_equal(cli_option(&call, "config"), "x.lua");
    assert_string_equal(cli_option(&call, "rate"), "5");
    cli_call_deinit(&call);
    buf_deinit(&error);
}

static void an_option_may_come_again(void **state) {
    struct buf error = { 0 };
    struct cli_call call;
    const char *values[4];
    assert_true(PARSE(&call, &error, "--rate=1", "-c", "x.lua", "-r2", "--rate", "3"));
    assert_string_equal(cli_option(&call, "rate"), "3");
    assert_int_equal(cli_option_values(&call, "rate", values), 3);
    assert_string_equal(values[0], "1");
    assert_string_equal(values[1], "2");
    assert_string_equal(values[2], "3");
    assert_int_equal(cli_option_values(&call, "config", values), 1);
    assert_int_equal(cli_option_values(&call, "json", values), 0);
    cli_call_deinit(&call);
    buf_deinit(&error);
}

static void takes_dashes_as_arguments_where_they_are(void **state) {
    struct buf error = { 0 };
    struct cli_call call;
    assert_true(PARSE(&call, &error, "-"));
    assert_string_equal(call.args[0], "-");
    cli_call_deinit(&call);
    assert_true(PARSE(&call, &error, "--", "--json"));
    assert_null(cli_option(&call, "json"));
    assert_string_equal(call.args[0], "--json");
    cli_call_deinit(&call);
    buf_deinit(&error);
}

static void says_what_is_wrong(void **state) {
    static const struct {
        char *words[2];
        int n;
        const char *message;
    } cases[] = {
        { { "--jsn" }, 1, "unknown option --jsn, did you mean --json?" },
        { { "--whatever" }, 1, "unknown option --whatever" },
        { { "-x" }, 1, "unknown option -x" },
        { { "--json=1" }, 1, "--json takes no value" },
        { { "--config" }, 1, "--config needs a value: FILE" },
        { { "-c" }, 1, "--config needs a value: FILE" },
        { { "one", "two" }, 2, "unexpected argument 'two'" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf error = { 0 };
        struct cli_call call;
        char *words[2] = { cases[i].words[0], cases[i].words[1] };
        assert_false(cli_parse(&command, cases[i].n, words, &call, &error));
        assert_text(&error, cases[i].message);
        cli_call_deinit(&call);
        buf_deinit(&error);
    }
}

static void help_is_asked_for_anywhere(void **state) {
    struct buf error = { 0 };
    struct cli_call call;
    assert_true(PARSE(&call, &error, "a", "b", "--help"));
    assert_true(call.help);
    cli_call_deinit(&call);
    assert_true(PARSE(&call, &error, "-h"));
    assert_true(call.help);
    cli_call_deinit(&call);
    buf_deinit(&error);
}

static void reads_numbers(void **state) {
    struct buf error = { 0 };
    struct cli_call call;
    uint64_t value;
    assert_true(PARSE(&call, &error, "--rate", "12"));
    assert_true(cli_number(&call, "rate", 3, 12, &value));
    assert_int_equal(value, 12);
    assert_false(cli_number(&call, "rate", 3, 11, &value));
    cli_call_deinit(&call);
    assert_true(PARSE(&call, &error, "--json"));
    assert_true(cli_number(&call, "rate", 3, 11, &value));
    assert_int_equal(value, 3);
    cli_call_deinit(&call);
    assert_true(PARSE(&call, &error, "--rate", "1x"));
    assert_false(cli_number(&call, "rate", 3, 11, &value));
    cli_call_deinit(&call);
    buf_deinit(&error);
}

static void help_comes_from_the_table(void **state) {
    struct buf text = { 0 };
    cli_help_command(&command, &text);
    assert_text(&text, "perilune try: try things\n\n"
                       "Usage: perilune try [OPTION]... [THING]\n\n"
                       "Options:\n"
                       "  -c, --config FILE          read this configuration instead of "
                       "./perilune.lua\n"
                       "      --json                 print JSON\n"
                       "  -r, --rate N               how often\n"
                       "  -h, --help                 print this\n\n"
                       "More about it.\n\n"
                       "Examples:\n"
                       "  perilune try --rate 5\n");
    buf_deinit(&text);
}

static void every_command_is_described(void **state) {
    for (size_t i = 0; i < cli_n_commands; i++) {
        const struct cli_command *c = cli_commands[i];
        assert_ptr_equal(cli_find(c->name), c);
        assert_non_null(c->main);
        assert_true(strlen(c->summary) > 0 && c->summary[strlen(c->summary) - 1] != '.');
        assert_true(c->max_args == 0 || c->arguments);
        for (size_t o = 0; o < CLI_MAX_OPTIONS && c->options[o].name; o++)
            assert_true(strlen(c->options[o].help) > 0);
    }
    assert_null(cli_find("nothing"));
}

/* Splits a line as a shell would, as far as examples go: words in double quotes are one. */
static int split(char *line, char **words) {
    int n = 0;
    for (char *c = line; *c;) {
        char end = *c == '"' ? '"' : ' ';
        words[n++] = *c == '"' ? ++c : c;
        while (*c && *c != end)
            c++;
        while (*c == end || *c == ' ')
            *c++ = '\0';
    }
    return n;
}

static void its_examples_can_be_typed(void **state) {
    for (size_t i = 0; i < cli_n_commands; i++) {
        struct span rest = span_of(cli_commands[i]->examples), line;
        assert_true(rest.len && rest.at[rest.len - 1] == '\n');
        while (span_split(&rest, '\n', &line) && line.len) {
            char text[256], *words[32];
            struct buf error = { 0 };
            struct cli_call call;
            span_copy(line, text, sizeof text);
            int n = split(text, words);
            assert_string_equal(words[0], "perilune");
            assert_ptr_equal(cli_find(words[1]), cli_commands[i]);
            if (!cli_parse(cli_commands[i], n - 2, words + 2, &call, &error))
                fail_msg("%.*s: %.*s", SPAN_ARGS(line), SPAN_ARGS(buf_span(&error)));
            cli_call_deinit(&call);
        }
    }
}

static void words_are_told_from_what_they_stand_for(void **state) {
    static const struct {
        const char *text, *words[4];
    } cases[] = {
        { "list|show|put [NAME] [now]", { "list", "show", "put" } },
        { "[update [FILE]]", { "update" } },
        { "[FILE|FOLDER]...", { NULL } },
        { "NAME|none", { "none" } },
        { "", { NULL } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct span rest = span_of(cases[i].text), word;
        size_t n = 0;
        while (cli_next_word(&rest, &word)) {
            assert_non_null(cases[i].words[n]);
            assert_true(span_eq(word, span_of(cases[i].words[n++])));
        }
        assert_null(cases[i].words[n]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_form_of_an_option),
        cmocka_unit_test(an_option_may_come_again),
        cmocka_unit_test(takes_dashes_as_arguments_where_they_are),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(help_is_asked_for_anywhere),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(help_comes_from_the_table),
        cmocka_unit_test(every_command_is_described),
        cmocka_unit_test(its_examples_can_be_typed),
        cmocka_unit_test(words_are_told_from_what_they_stand_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
