/* update.h - `perilune models update`: new models and prices into the user's providers folder.
 *
 * Owns          nothing.
 * Fed by        models.
 * Feeds         NAME.models.lua beside the user's provider files, and a line each on stdout.
 * Must not know what the files hold.
 */
#ifndef PERILUNE_CLI_UPDATE_H
#define PERILUNE_CLI_UPDATE_H

#include "cli/cli.h"

/* `perilune models update FILE`, or with --from-providers. Returns an enum cli_exit. */
int update_models(const struct cli_call *call);

#endif
