/* help.c - `perilune help [COMMAND]`: what there is, from the commands' own table. */
#include "cli/cli.h"

#include <stdio.h>

void cli_help_overview(struct buf *out) {
    buf_add(out, SPAN("Perilune routes LLM requests by a Lua file you can test, replay and "
                      "reload.\n\nUsage: perilune COMMAND [OPTION]...\n\nCommands:\n"));
    for (size_t i = 0; i < cli_n_commands; i++)
        buf_printf(out, "  %-10s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    buf_add(out, SPAN("\n`perilune help COMMAND` tells more about one.\n"
                      "Exit codes: 0 fine, 1 findings, 2 usage, 3 can not reach, 4 bad "
                      "configuration.\n"));
}

/* "  -c, --config FILE   read this ..." */
static void add_option(struct buf *out, const struct cli_option *option) {
    struct buf left = { 0 };
    if (option->letter)
        buf_printf(&left, "-%c, ", option->letter);
    else
        buf_add(&left, SPAN("    "));
    buf_printf(&left, "--%s%s%s", option->name, option->value ? " " : "",
               option->value ? option->value : "");
    buf_add_char(&left, '\0');
    buf_printf(out, "  %-26s %s\n", left.at, option->help);
    buf_deinit(&left);
}

void cli_help_command(const struct cli_command *command, struct buf *out) {
    static const struct cli_option help = { "help", 'h', NULL, "print this" };
    const struct cli_option *options = command->options;
    buf_printf(out, "perilune %s: %s\n\nUsage: perilune %s [OPTION]...%s%s\n\nOptions:\n",
               command->name, command->summary, command->name, command->arguments ? " " : "",
               command->arguments ? command->arguments : "");
    for (size_t i = 0; i < CLI_MAX_OPTIONS && options[i].name; i++)
        add_option(out, &options[i]);
    add_option(out, &help);
    if (command->notes)
        buf_printf(out, "\n%s", command->notes);
    buf_add(out, SPAN("\nExamples:\n"));
    struct span rest = span_of(command->examples), line;
    while (span_split(&rest, '\n', &line))
        if (line.len)
            buf_printf(out, "  %.*s\n", SPAN_ARGS(line));
}

bool cli_next_word(struct span *rest, struct span *word) {
    struct span words = span_sub(*rest, 0, span_find(*rest, ' '));
    bool lower = false;
    while (!lower && words.len) {
        span_split(&words, '|', word);
        while (word->len && strchr("[]", word->at[0]))
            *word = span_sub(*word, 1, word->len);
        while (word->len && strchr("[].", word->at[word->len - 1]))
            word->len--;
        lower = word->len > 0;
        for (size_t i = 0; i < word->len; i++)
            lower = lower && word->at[i] >= 'a' && word->at[i] <= 'z';
    }
    *rest = words;
    return lower;
}

static int help_main(const struct cli_call *call) {
    struct buf text = { 0 };
    if (cli_option(call, "man"))
        cli_manual(&text);
    else if (call->n_args == 0)
        cli_help_overview(&text);
    else if (cli_find(call->args[0]))
        cli_help_command(cli_find(call->args[0]), &text);
    else {
        buf_printf(&text, "there is no command '%s'", call->args[0]);
        buf_add_char(&text, '\0');
        int code = cli_complain(NULL, text.at);
        buf_deinit(&text);
        return code;
    }
    fwrite(text.at, 1, text.len, stdout);
    buf_deinit(&text);
    return CLI_OK;
}

const struct cli_command help_command = {
    .name = "help",
    .summary = "tell what there is, or more about one command",
    .arguments = "[COMMAND]",
    .max_args = 1,
    .options = { { "man", 0, NULL, "print all of it as a manual page" } },
    .examples = "perilune help usage\n"
                "perilune help --man\n",
    .main = help_main,
};
