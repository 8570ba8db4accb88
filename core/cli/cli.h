/* cli.h - the command line: which subcommands there are, and how one is called.
 *
 * Owns          the table of commands (cli.c), reading arguments by it, help made from it, the exit
 *               codes.
 * Fed by        main, with argc and argv.
 * Feeds         one command's `main`, with its options already read and checked against its own
 *               list.
 * Must not know what a command does.
 *
 * A command is one file, core/cli/NAME.c, that defines one `struct cli_command` with everything
 * help, completion and the manual print about it; cli.c lists it in its table:
 *
 *   static int mock_main(const struct cli_call *call) { ... cli_option(call, "listen") ... }
 *   const struct cli_command mock_command = { .name = "mock", .main = mock_main, ... };
 */
#ifndef PERILUNE_CLI_CLI_H
#define PERILUNE_CLI_CLI_H

#include "base/buf.h"

#include <stdio.h>

/* What a command returns and the process exits with. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FINDINGS = 1,    /* it worked, and there is something to mend */
    CLI_USAGE = 2,       /* the command line is wrong */
    CLI_UNREACHABLE = 3, /* a server, an address or a file can not be reached */
    CLI_BAD_CONFIG = 4   /* the configuration is wrong */
};

#define CLI_MAX_OPTIONS 32

struct cli_option {
    const char *name;  /* long, without dashes: "config" */
    char letter;       /* short, or 0: 'c' */
    const char *value; /* what follows it, for help: "FILE"; NULL for a flag */
    const char *help;  /* one line, no full stop */
};

/* Options that mean the same wherever they are. */
#define CLI_OPTION_CONFIG                                                                          \
    { "config", 'c', "FILE", "read this configuration instead of ./perilune.lua" }
#define CLI_OPTION_JSON                                                                            \
    { "json", 0, NULL, "print JSON" }

struct cli_call;

/* Everything about a command. Constant, never freed. */
struct cli_command {
    const char *name;
    const char *summary; /* one line, no full stop: the list of `perilune help` */
    /* Behind the options, for help: "[COMMAND]"; NULL without any. Words to be chosen from are in
     * lower case, | between them; those behind an option likewise. */
    const char *arguments;
    unsigned max_args;                          /* how many of them there may be */
    struct cli_option options[CLI_MAX_OPTIONS]; /* ends at the first without a name */
    const char *notes;    /* further paragraphs of its help, or NULL; ends with a line feed */
    const char *examples; /* calls of it, a line each */
    /* Does it; returns an enum cli_exit. */
    int (*main)(const struct cli_call *call);
};

/* One call of a command. Points into argv. */
struct cli_call {
    const struct cli_command *command;
    const char
        *values[CLI_MAX_OPTIONS]; /* as in command->options; NULL: not given, "": a flag given */
    struct cli_given {
        size_t option;
        const char *value;
    } * given; /* each time an option was given, in order */
    size_t n_given;
    const char **args; /* what is no option, in order */
    size_t n_args;
    bool help; /* --help was there: nothing else counts */
};

/* The table, in the order help shows it, and how many there are. */
extern const struct cli_command *const cli_commands[];
extern const size_t cli_n_commands;

/* What main() does: finds the command, reads its arguments, runs it. Returns the exit code. */
int cli_run(int argc, char **argv);

/* The command of that name, or NULL. */
const struct cli_command *cli_find(const char *name);

/* Reads a command's arguments (argv without the program's and the command's name). On false `error`
 * holds one line for the user and nothing else is valid. Either way: cli_call_deinit(). */
bool cli_parse(const struct cli_command *command, int argc, char **argv, struct cli_call *call,
               struct buf *error);

void cli_call_deinit(struct cli_call *call);

/* The value of an option, by its long name: NULL when it was not given, "" for a flag that was. The
 * last one counts. */
const char *cli_option(const struct cli_call *call, const char *name);

/* All values of an option that may be given again and again, in order; how many there are. `values`
 * has room for call->n_given. */
size_t cli_option_values(const struct cli_call *call, const char *name, const char **values);

/* The same as a whole number of at most `max`; `fallback` when it was not given. On false the
 * complaint has been printed: return CLI_USAGE. */
bool cli_number(const struct cli_call *call, const char *name, uint64_t fallback, uint64_t max,
                uint64_t *value);

/* Appends what `perilune help` and `perilune COMMAND --help` print. */
void cli_help_overview(struct buf *out);
void cli_help_command(const struct cli_command *command, struct buf *out);

/* Appends the script that completes commands, options and their words for "bash", "zsh" or "fish";
 * false for any other shell. */
bool cli_completion(const char *shell, struct buf *out);

/* Appends all of the help as a manual page, in the man macros of roff. */
void cli_manual(struct buf *out);

/* Takes the next word that can be chosen off the front of what help says of an argument or a value:
 * of "list|show [ID]" these are list and show, of "NAME|FILE" there are none. */
bool cli_next_word(struct span *rest, struct span *word);

/* Prints a complaint about the command line with where to read more; returns CLI_USAGE. */
int cli_complain(const struct cli_command *command, const char *message);

/* Prints what others wrote: its lines as they are, but nothing that would steer the terminal. */
void cli_print(FILE *to, struct span text);

/* The commands, one file each. */
extern const struct cli_command run_command, init_command, check_command, test_command,
    mock_command, models_command, explain_command, policy_command, status_command, replay_command,
    keys_command, projects_command, usage_command, logs_command, trace_command, reload_command,
    completion_command, version_command, help_command;

#endif
