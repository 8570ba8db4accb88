/* version.c - `perilune version`: which build this is, and what it stands on. */
#include "cli/cli.h"

#include <stdio.h>

static int version_main(const struct cli_call *call) {
    if (cli_option(call, "json"))
        printf("{\"name\":\"perilune\",\"version\":\"%s\",\"build\":\"%s\"}\n", PERILUNE_VERSION,
               PERILUNE_BUILD);
    else
        printf("perilune %s (%s)\n", PERILUNE_VERSION, PERILUNE_BUILD);
    return CLI_OK;
}

const struct cli_command version_command = {
    .name = "version",
    .summary = "print the version",
    .options = { CLI_OPTION_JSON },
    .examples = "perilune version\n",
    .main = version_main,
};
