/* unpack.h - files the binary carries, written to disk.
 *
 * Owns          nothing.
 * Fed by        test, which runs the library outside of the binary; init, which begins a folder.
 * Feeds         the disk.
 * Must not know what the files are for.
 *
 *   struct buf root = { 0 };
 *   if (unpack_library(&root)) ... root.at holds lua/, policies/ and providers/ ...
 */
#ifndef PERILUNE_CLI_UNPACK_H
#define PERILUNE_CLI_UNPACK_H

#include "base/buf.h"

enum unpacked {
    UNPACK_WRITTEN,
    UNPACK_THERE, /* there is a file already: it is left alone */
    UNPACK_FAILED /* errno says why */
};

/* Writes a new file, and the folders it lies in. */
enum unpacked unpack_file(const char *path, struct span text);

/* The folder of the whole library, named by its hash, below $XDG_CACHE_HOME or ~/.cache: written when
 * it is not there yet. NUL-terminated. On false the complaint has been printed. */
bool unpack_library(struct buf *root);

#endif
