/* manual.c - the manual page, made of the commands' own table. */
#include "cli/cli.h"

/* Text as roff takes it for text: dashes that are typed, no escapes, and no line that begins like a
 * macro. `line` tells whether it begins one. */
static void add_text(struct buf *out, struct span text, bool line) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (line && (c == '.' || c == '\''))
            buf_add(out, SPAN("\\&"));
        if (c == '\\')
            buf_add(out, SPAN("\\e"));
        else if (c == '-')
            buf_add(out, SPAN("\\-"));
        else if (c == '\'')
            buf_add(out, SPAN("\\(aq"));
        else
            buf_add_char(out, c);
        line = c == '\n';
    }
}

static void add_line(struct buf *out, const char *text) {
    add_text(out, span_of(text), true);
    buf_add_char(out, '\n');
}

/* As it stands, line by line. */
static void add_verbatim(struct buf *out, const char *text) {
    buf_add(out, SPAN(".PP\n.nf\n"));
    add_text(out, span_of(text), true);
    buf_add(out, SPAN(".fi\n"));
}

static void add_option(struct buf *out, const struct cli_option *o) {
    buf_add(out, SPAN(".TP\n.B "));
    if (o->letter)
        buf_printf(out, "\\-%c, ", o->letter);
    buf_add(out, SPAN("\\-\\-"));
    add_text(out, span_of(o->name), false);
    buf_add(out, o->value ? SPAN(" \\fI") : SPAN(""));
    add_text(out, span_of(o->value), false);
    buf_add(out, o->value ? SPAN("\\fP\n") : SPAN("\n"));
    add_line(out, o->help);
}

static void add_command(struct buf *out, const struct cli_command *command) {
    buf_printf(out, ".SS %s\n", command->name);
    add_line(out, command->summary);
    buf_printf(out, ".PP\n.B perilune %s\n[OPTION]...\n", command->name);
    if (command->arguments)
        add_line(out, command->arguments);
    for (const struct cli_option *o = command->options; o->name; o++)
        add_option(out, o);
    if (command->notes)
        add_verbatim(out, command->notes);
    add_verbatim(out, command->examples);
}

/* A word and what it means. */
static void add_meaning(struct buf *out, const char *word, const char *meaning) {
    buf_printf(out, ".TP\n.B %s\n", word);
    add_line(out, meaning);
}

void cli_manual(struct buf *out) {
    buf_printf(out, ".TH PERILUNE 1 \"\" \"perilune %s\"\n", PERILUNE_VERSION);
    buf_add(out, SPAN(".SH NAME\nperilune \\- a routing engine for language models, programmed in "
                      "Lua\n"
                      ".SH SYNOPSIS\n.B perilune\n\\fICOMMAND\\fP [\\fIOPTION\\fP]...\n"
                      ".SH COMMANDS\n"));
    for (size_t i = 0; i < cli_n_commands; i++)
        add_command(out, cli_commands[i]);
    buf_add(out, SPAN(".SH EXIT STATUS\n"));
    add_meaning(out, "0", "fine");
    add_meaning(out, "1", "there is something to mend, or it was refused");
    add_meaning(out, "2", "the command line is wrong");
    add_meaning(out, "3", "a server, an address or a file can not be reached");
    add_meaning(out, "4", "the configuration is wrong");
    buf_add(out, SPAN(".SH ENVIRONMENT\n"));
    add_meaning(out, "PERILUNE_ADMIN_TOKEN",
                "the admin side's token, instead of the one in admin.token");
    add_meaning(out, "XDG_STATE_HOME", "where the state folder is, unless data_dir says it");
    add_meaning(out, "NO_COLOR, COLUMNS", "no colors; how wide, where there is no terminal");
    buf_add(out, SPAN(".SH FILES\n"));
    add_meaning(out, "perilune.lua", "the configuration");
    add_meaning(out, "DATA_DIR/ledger.db", "what usage, logs and trace read");
    add_meaning(out, "DATA_DIR/admin.token, DATA_DIR/admin.address",
                "how commands reach the gateway that runs");
}
