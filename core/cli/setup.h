/* setup.h - reading the configuration for a command.
 *
 * Owns          nothing.
 * Fed by        run, check, models, reload, status, policy, explain.
 * Feeds         them, with a snapshot, or prints why there is none.
 * Must not know what the command does with it.
 */
#ifndef PERILUNE_CLI_SETUP_H
#define PERILUNE_CLI_SETUP_H

#include "cli/cli.h"
#include "script/config.h"

/* Reads what --config names (or what is found without it). Errors are printed, warnings too. NULL
 * when it is wrong: exit with CLI_BAD_CONFIG. */
struct snapshot *setup_read(const struct cli_call *call, const char *mock_url);

/* The same once more, after something has been added to it: what was printed is not repeated. */
struct snapshot *setup_read_again(const struct cli_call *call, const char *mock_url);

/* The same with `draft` in the place of a policy's file, for the first time or `again`. NULL also when
 * that policy is no good. */
struct snapshot *setup_read_with(const struct cli_call *call, const char *mock_url,
                                 const struct config_draft *draft, bool again);

/* The policy that a file is: "dir/tier.lua" is "tier". */
struct span setup_policy_name(const char *path);

/* Of what --config names only where the state folder is, for commands that talk to who runs with
 * it: config.data_dir is set, nothing else. It is never NULL; when the file does not say, that is
 * told, and the folder is the usual one. */
struct snapshot *setup_place(const struct cli_call *call);

/* The options it reads with. */
struct config_options setup_options(const struct cli_call *call, const char *mock_url);

#endif
