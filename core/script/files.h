/* files.h - reading small files and folders whole.
 *
 * Owns          nothing.
 * Fed by        loader, sources and config, with paths.
 * Feeds         them, with bytes and names.
 * Must not know what the files are for.
 */
#ifndef PERILUNE_SCRIPT_FILES_H
#define PERILUNE_SCRIPT_FILES_H

#include "base/arena.h"
#include "base/buf.h"

/* "dir/name" into `out`; false when it does not fit. */
bool files_join(char *out, size_t size, const char *dir, const char *name);

/* Appends the file's bytes to `out`. 0, or a negative errno: -EFBIG when it is larger than `max`
 * bytes, -EISDIR for a folder, -EINVAL for what is no file either. */
int files_read(const char *path, size_t max, struct buf *out);

/* The names in a folder that end in `suffix` and begin with a letter or digit (so no hidden files),
 * in the order of their bytes. A folder that does not exist has none. At most `max`; returns how
 * many there are in `*names`, which lie in `arena`. */
size_t files_list(const char *dir, struct span suffix, struct arena *arena, struct span **names,
                  size_t max);

#endif
