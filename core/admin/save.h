/* save.h - writing a file so that there is always a whole one: the old one, or the new one.
 *
 * Owns          nothing that lasts.
 * Fed by        versions, and calls that change files.
 * Feeds         the disk.
 * Must not know what the files are.
 */
#ifndef PERILUNE_ADMIN_SAVE_H
#define PERILUNE_ADMIN_SAVE_H

#include "base/span.h"

/* Writes `text` beside `path` and puts it in its place once it is on the disk; `mode` counts where
 * there is no file yet. The folder is made when it is not there, not those above it. 0, or a negative
 * errno: then the old file is as it was, and nothing else is left. */
int save_file(const char *path, struct span text, unsigned mode);

#endif
