/* ledger_kit.h - a folder of a spec's own, with a ledger in it. */
#ifndef PERILUNE_SPEC_LEDGER_KIT_H
#define PERILUNE_SPEC_LEDGER_KIT_H

#include "base/span.h"

#include <stdint.h>

struct sqlite3;

/* A new folder below /tmp; its path. */
const char *ledger_kit_folder(char path[64]);

/* Deletes it with all it holds. */
void ledger_kit_remove(const char *path);

/* The number an SQL query gives; fails the test where it gives none. */
int64_t ledger_kit_number(struct sqlite3 *db, const char *sql);

/* Connections that are opened from now on are watched. */
void ledger_kit_watch(void);

/* Fails the test where a statement of such a connection, still open, reads a whole table; returns
 * how many
 * there were. */
unsigned ledger_kit_plans(void);

#endif
