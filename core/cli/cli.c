/* cli.c - the table of commands and the reading of arguments by it. */
#include "cli/cli.h"

#include "base/log.h"
#include "base/utf8.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

const struct cli_command *const cli_commands[] = {
    &run_command,      &init_command,       &check_command,   &test_command,   &mock_command,
    &models_command,   &explain_command,    &replay_command,  &policy_command, &keys_command,
    &projects_command, &usage_command,      &logs_command,    &trace_command,  &status_command,
    &reload_command,   &completion_command, &version_command, &help_command,
};
const size_t cli_n_commands = sizeof cli_commands / sizeof *cli_commands;

/* A name further off than this is not what was meant. */
#define NEAR_ENOUGH 2

const struct cli_command *cli_find(const char *name) {
    for (size_t i = 0; i < cli_n_commands; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}

static size_t count_options(const struct cli_command *command) {
    size_t n = 0;
    while (n < CLI_MAX_OPTIONS && command->options[n].name)
        n++;
    return n;
}

/* Appends ", did you mean X?" when one of the names is near. */
static void add_near(struct buf *out, const char *prefix, const char *best, unsigned distance) {
    if (best && distance <= NEAR_ENOUGH)
        buf_printf(out, ", did you mean %s%s?", prefix, best);
}

static void add_near_option(const struct cli_command *command, struct span name, struct buf *out) {
    const char *best = NULL;
    unsigned least = NEAR_ENOUGH + 1;
    for (size_t i = 0; i < count_options(command); i++) {
        unsigned d = span_distance(name, span_of(command->options[i].name));
        if (d < least)
            least = d, best = command->options[i].name;
    }
    add_near(out, "--", best, least);
}

static void add_near_command(const char *name, struct buf *out) {
    const char *best = NULL;
    unsigned least = NEAR_ENOUGH + 1;
    for (size_t i = 0; i < cli_n_commands; i++) {
        unsigned d = span_distance(span_of(name), span_of(cli_commands[i]->name));
        if (d < least)
            least = d, best = cli_commands[i]->name;
    }
    add_near(out, "", best, least);
}

/* The index of an option by its long name, or CLI_MAX_OPTIONS. */
static size_t find_option(const struct cli_command *command, struct span name) {
    for (size_t i = 0; i < count_options(command); i++)
        if (span_eq(span_of(command->options[i].name), name))
            return i;
    return CLI_MAX_OPTIONS;
}

static size_t find_letter(const struct cli_command *command, char letter) {
    for (size_t i = 0; i < count_options(command); i++)
        if (command->options[i].letter == letter)
            return i;
    return CLI_MAX_OPTIONS;
}

/* What is still to be read of argv. */
struct words {
    char **argv;
    int argc, at;
};

/* Gives option `i` its value: `given` (behind '=' or behind the letter) or the next word. */
static bool take_value(struct cli_call *call, size_t i, const char *given, struct words *words,
                       struct buf *error) {
    const struct cli_option *option = &call->command->options[i];
    if (!option->value) {
        if (given)
            buf_printf(error, "--%s takes no value", option->name);
        call->values[i] = "";
        return !given;
    }
    if (!given && words->at < words->argc)
        given = words->argv[words->at++];
    if (!given)
        buf_printf(error, "--%s needs a value: %s", option->name, option->value);
    call->values[i] = given;
    call->given[call->n_given++] = (struct cli_given){ i, given };
    return given != NULL;
}

static bool parse_long(struct cli_call *call, const char *word, struct words *words,
                       struct buf *error) {
    struct span name = span_of(word + 2);
    name.len = span_find(name, '=');
    const char *given = name.at[name.len] == '=' ? name.at + name.len + 1 : NULL;
    if (span_eq(name, SPAN("help"))) {
        call->help = true;
        return true;
    }
    size_t i = find_option(call->command, name);
    if (i < CLI_MAX_OPTIONS)
        return take_value(call, i, given, words, error);
    buf_printf(error, "unknown option --%.*s", SPAN_ARGS(name));
    add_near_option(call->command, name, error);
    return false;
}

/* "-c FILE" or "-cFILE"; flags are not bundled. */
static bool parse_letter(struct cli_call *call, const char *word, struct words *words,
                         struct buf *error) {
    size_t i = find_letter(call->command, word[1]);
    if (i < CLI_MAX_OPTIONS)
        return take_value(call, i, word[2] ? word + 2 : NULL, words, error);
    if (word[1] == 'h' && !word[2]) {
        call->help = true;
        return true;
    }
    buf_printf(error, "unknown option -%c", word[1]);
    return false;
}

bool cli_parse(const struct cli_command *command, int argc, char **argv, struct cli_call *call,
               struct buf *error) {
    *call = (struct cli_call){ .command = command };
    call->args = calloc((size_t)argc + 1, sizeof *call->args);
    call->given = calloc((size_t)argc + 1, sizeof *call->given);
    if (!call->args || !call->given)
        abort();
    struct words words = { argv, argc, 0 };
    bool only_args = false;
    while (words.at < words.argc) {
        const char *word = argv[words.at++];
        bool option = !only_args && word[0] == '-' && word[1];
        if (option && strcmp(word, "--") == 0)
            only_args = true;
        else if (option && word[1] == '-') {
            if (!parse_long(call, word, &words, error))
                return false;
        } else if (option) {
            if (!parse_letter(call, word, &words, error))
                return false;
        } else
            call->args[call->n_args++] = word;
    }
    if (call->n_args > command->max_args && !call->help) {
        buf_printf(error, "unexpected argument '%s'", call->args[command->max_args]);
        return false;
    }
    return true;
}

void cli_call_deinit(struct cli_call *call) {
    free(call->args);
    free(call->given);
}

const char *cli_option(const struct cli_call *call, const char *name) {
    size_t i = find_option(call->command, span_of(name));
    return i < CLI_MAX_OPTIONS ? call->values[i] : NULL;
}

size_t cli_option_values(const struct cli_call *call, const char *name, const char **values) {
    size_t option = find_option(call->command, span_of(name)), n = 0;
    for (size_t i = 0; i < call->n_given; i++)
        if (call->given[i].option == option)
            values[n++] = call->given[i].value;
    return n;
}

bool cli_number(const struct cli_call *call, const char *name, uint64_t fallback, uint64_t max,
                uint64_t *value) {
    const char *text = cli_option(call, name);
    *value = fallback;
    if (!text || (span_uint(span_of(text), value) && *value <= max))
        return true;
    struct buf message = { 0 };
    buf_printf(&message, "--%s wants a whole number up to %llu, not '%s'", name,
               (unsigned long long)max, text);
    buf_add_char(&message, '\0');
    cli_complain(call->command, message.at);
    buf_deinit(&message);
    return false;
}

void cli_print(FILE *to, struct span text) {
    struct buf plain = { 0 };
    if (!text.len)
        return;
    buf_add(&plain, text);
    utf8_defuse(plain.at, plain.len, "\n\t");
    fwrite(plain.at, 1, plain.len, to);
    buf_deinit(&plain);
}

int cli_complain(const struct cli_command *command, const char *message) {
    const char *name = command ? command->name : "";
    fprintf(stderr, "perilune%s%s: %s\n", *name ? " " : "", name, message);
    fprintf(stderr, "See `perilune help%s%s`.\n", *name ? " " : "", name);
    return CLI_USAGE;
}

static int complain_unknown(const char *name) {
    struct buf message = { 0 };
    buf_printf(&message, "unknown command '%s'", name);
    add_near_command(name, &message);
    buf_add_char(&message, '\0');
    int code = cli_complain(NULL, message.at);
    buf_deinit(&message);
    return code;
}

static int print_help(const struct cli_command *command) {
    struct buf text = { 0 };
    if (command)
        cli_help_command(command, &text);
    else
        cli_help_overview(&text);
    fwrite(text.at, 1, text.len, stdout);
    buf_deinit(&text);
    return CLI_OK;
}

static int call_command(const struct cli_command *command, int argc, char **argv) {
    struct cli_call call;
    struct buf error = { 0 };
    int code;
    if (!cli_parse(command, argc, argv, &call, &error)) {
        buf_add_char(&error, '\0');
        code = cli_complain(command, error.at);
    } else
        code = call.help ? print_help(command) : command->main(&call);
    cli_call_deinit(&call);
    buf_deinit(&error);
    return code;
}

int cli_run(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "--help";
    signal(SIGPIPE, SIG_IGN); /* a reader that leaves is an error of one write, not our end */
    log_init(LOG_INFO);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return print_help(NULL);
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    const struct cli_command *command = cli_find(name);
    if (!command)
        return complain_unknown(name);
    return call_command(command, argc - 2, argv + 2);
}
