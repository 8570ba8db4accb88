/* completion.c - `perilune completion`: what a shell needs to complete commands, options and their
 * words, from the commands' own table. */
#include "cli/cli.h"

#include <stdio.h>

/* The words of a text of help, a space in front of each. */
static void add_words(struct buf *out, const char *text) {
    struct span rest = span_of(text), word;
    while (cli_next_word(&rest, &word))
        buf_printf(out, " %.*s", SPAN_ARGS(word));
}

static bool has_words(const char *text) {
    struct span rest = span_of(text), word;
    return cli_next_word(&rest, &word);
}

static bool is_help(const struct cli_command *command) {
    return command->main == help_command.main;
}

static void add_commands(struct buf *out) {
    for (size_t i = 0; i < cli_n_commands; i++)
        buf_printf(out, " %s", cli_commands[i]->name);
}

/* What may stand behind the command; behind `help` a command does. */
static void add_arguments(struct buf *out, const struct cli_command *command) {
    if (is_help(command))
        add_commands(out);
    else
        add_words(out, command->arguments);
}

/* As a text in single quotes has it, with what means something in there escaped. */
static void add_quoted(struct buf *out, const char *text, const char *escaped) {
    for (const char *c = text; *c; c++)
        if (*c == '\'')
            buf_add(out, SPAN("'\\''"));
        else
            buf_printf(out, "%s%c", strchr(escaped, *c) ? "\\" : "", *c);
}

/* ---- bash: where no word fits, it completes names of files ---- */

/* A line for each option behind which a word of its own is chosen, or none of ours. */
static void add_bash_values(struct buf *out, const struct cli_command *command) {
    for (const struct cli_option *o = command->options; o->name; o++) {
        if (!o->value)
            continue;
        buf_printf(out, "    '%s --%s'", command->name, o->name);
        if (o->letter)
            buf_printf(out, " | '%s -%c'", command->name, o->letter);
        buf_add(out, SPAN(") words='"));
        add_words(out, o->value);
        buf_add(out, SPAN("' ;;\n"));
    }
}

static void add_bash_command(struct buf *out, const struct cli_command *command) {
    buf_printf(out, "    '%s '*) words='", command->name);
    add_arguments(out, command);
    for (const struct cli_option *o = command->options; o->name; o++)
        buf_printf(out, " --%s", o->name);
    buf_add(out, SPAN(" --help' ;;\n"));
}

static void add_bash(struct buf *out) {
    buf_add(out, SPAN("# source <(perilune completion bash)\n"
                      "_perilune() {\n"
                      "  local words\n"
                      "  case \"${COMP_WORDS[1]} ${COMP_WORDS[COMP_CWORD-1]}\" in\n"));
    for (size_t i = 0; i < cli_n_commands; i++)
        add_bash_values(out, cli_commands[i]);
    for (size_t i = 0; i < cli_n_commands; i++)
        add_bash_command(out, cli_commands[i]);
    buf_add(out, SPAN("  esac\n"
                      "  [ \"$COMP_CWORD\" -gt 1 ] || words='"));
    add_commands(out);
    buf_add(out, SPAN(" --help --version'\n"
                      "  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
                      "}\n"
                      "complete -o default -F _perilune perilune\n"));
}

/* ---- zsh ---- */

static void add_zsh_action(struct buf *out, const char *text) {
    buf_add(out, SPAN(":"));
    add_quoted(out, text, ":[]");
    if (has_words(text)) {
        buf_add(out, SPAN(":("));
        add_words(out, text);
        buf_add(out, SPAN(" )"));
    } else
        buf_add(out, SPAN(":_files"));
}

static void add_zsh_option(struct buf *out, const char *dashes, const struct cli_option *o,
                           const char *name, size_t len) {
    buf_printf(out, " \\\n        '*%s%.*s[", dashes, (int)len, name);
    add_quoted(out, o->help, ":[]");
    buf_add_char(out, ']');
    if (o->value)
        add_zsh_action(out, o->value);
    buf_add_char(out, '\'');
}

static void add_zsh_command(struct buf *out, const struct cli_command *command) {
    buf_printf(out, "    %s)\n      _arguments '*--help[print this]'", command->name);
    for (const struct cli_option *o = command->options; o->name; o++) {
        add_zsh_option(out, "--", o, o->name, strlen(o->name));
        if (o->letter)
            add_zsh_option(out, "-", o, &o->letter, 1);
    }
    if (is_help(command)) {
        buf_add(out, SPAN(" \\\n        '1:COMMAND:("));
        add_commands(out);
        buf_add(out, SPAN(" )'"));
    } else if (command->arguments) {
        buf_add(out, SPAN(" \\\n        '1"));
        add_zsh_action(out, command->arguments);
        buf_add(out, SPAN("' \\\n        '*:FILE:_files'"));
    }
    buf_add(out, SPAN(" ;;\n"));
}

static void add_zsh(struct buf *out) {
    buf_add(out, SPAN("#compdef perilune\n"
                      "# source <(perilune completion zsh)\n"
                      "_perilune() {\n"
                      "  local -a commands\n"
                      "  commands=(\n"));
    for (size_t i = 0; i < cli_n_commands; i++) {
        buf_printf(out, "    '%s:", cli_commands[i]->name);
        add_quoted(out, cli_commands[i]->summary, ":");
        buf_add(out, SPAN("'\n"));
    }
    buf_add(out, SPAN("  )\n"
                      "  if (( CURRENT == 2 )); then\n"
                      "    _describe command commands\n"
                      "    return\n"
                      "  fi\n"
                      "  local command=$words[2]\n"
                      "  shift words\n"
                      "  (( CURRENT-- ))\n"
                      "  case $command in\n"));
    for (size_t i = 0; i < cli_n_commands; i++)
        add_zsh_command(out, cli_commands[i]);
    buf_add(out, SPAN("  esac\n"
                      "}\n"
                      "if [ \"$funcstack[1]\" = _perilune ]; then\n"
                      "  _perilune\n"
                      "else\n"
                      "  compdef _perilune perilune\n"
                      "fi\n"));
}

/* ---- fish ---- */

static void add_fish_option(struct buf *out, const char *command, const struct cli_option *o) {
    buf_printf(out, "complete -c perilune -n '__fish_seen_subcommand_from %s' -l %s", command,
               o->name);
    if (o->letter)
        buf_printf(out, " -s %c", o->letter);
    if (o->value && has_words(o->value)) {
        buf_add(out, SPAN(" -x -a '"));
        add_words(out, o->value);
        buf_add_char(out, '\'');
    } else if (o->value)
        buf_add(out, SPAN(" -r -F"));
    buf_add(out, SPAN(" -d '"));
    add_quoted(out, o->help, "\\");
    buf_add(out, SPAN("'\n"));
}

static void add_fish_command(struct buf *out, const struct cli_command *command) {
    buf_printf(out, "complete -c perilune -n __fish_use_subcommand -f -a %s -d '", command->name);
    add_quoted(out, command->summary, "\\");
    buf_add(out, SPAN("'\n"));
    if (is_help(command) || has_words(command->arguments)) {
        buf_printf(out, "complete -c perilune -n '__fish_seen_subcommand_from %s' -f -a '",
                   command->name);
        add_arguments(out, command);
        buf_add(out, SPAN("'\n"));
    }
    for (const struct cli_option *o = command->options; o->name; o++)
        add_fish_option(out, command->name, o);
}

static void add_fish(struct buf *out) {
    buf_add(out, SPAN("# perilune completion fish | source\n"));
    for (size_t i = 0; i < cli_n_commands; i++)
        add_fish_command(out, cli_commands[i]);
}

/* ---- the command ---- */

bool cli_completion(const char *shell, struct buf *out) {
    static const struct {
        const char *name;
        void (*add)(struct buf *out);
    } shells[] = { { "bash", add_bash }, { "zsh", add_zsh }, { "fish", add_fish } };
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(shell, shells[i].name) == 0) {
            shells[i].add(out);
            return true;
        }
    return false;
}

static int completion_main(const struct cli_call *call) {
    struct buf text = { 0 };
    if (!call->n_args || !cli_completion(call->args[0], &text))
        return cli_complain(call->command, "expected bash, zsh or fish");
    fwrite(text.at, 1, text.len, stdout);
    buf_deinit(&text);
    return CLI_OK;
}

const struct cli_command completion_command = {
    .name = "completion",
    .summary = "print what a shell needs to complete commands and options",
    .arguments = "bash|zsh|fish",
    .max_args = 1,
    .notes =
        "The first line of what it prints says how to switch it on, for this shell; in its own\n"
        "start-up file it is on for all.\n",
    .examples = "perilune completion bash\n",
    .main = completion_main,
};
