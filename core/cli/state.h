/* state.h - the state folder: where `run` leaves what the other commands need to reach it.
 *
 * Owns          admin.token, viewer.token, client.key (all 0600), admin.address in data_dir.
 * Fed by        run.
 * Feeds         reload, status.
 * Must not know what is asked.
 */
#ifndef PERILUNE_CLI_STATE_H
#define PERILUNE_CLI_STATE_H

#include "base/buf.h"
#include "base/snapshot.h"

/* Makes the folder (0700) when it is not there. False with the reason printed. */
bool state_open(const struct config *config);

/* Reads `name` of the folder into `out`, without the line feed at its end. False when it is not
 * there. */
bool state_read(const struct config *config, const char *name, struct buf *out);

/* Writes it whole: a new file takes the old one's place. False with the reason printed. */
bool state_write(const struct config *config, const char *name, struct span text);

/* The secret in `name`; made of 192 random bits behind `prefix` when there is none. `*made`
 * tells. */
bool state_secret(const struct config *config, const char *name, const char *prefix,
                  struct buf *out, bool *made);

#endif
