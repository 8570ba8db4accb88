/* sources.h - policy and provider files: those the binary carries, under those of the user.
 *
 * Owns          nothing; what it reads lies in the arena given.
 * Fed by        embed and the user's folders.
 * Feeds         config.
 * Must not know Lua, nor what the files say.
 *
 *   n = sources_read(SOURCES_POLICIES, "policies", &arena, &files);
 */
#ifndef PERILUNE_SCRIPT_SOURCES_H
#define PERILUNE_SCRIPT_SOURCES_H

#include "base/arena.h"
#include "base/snapshot.h"

enum sources_kind {
    SOURCES_POLICIES, /* policies/NAME.lua, and "lib/NAME" for policies/lib/NAME.lua; no
                       * NAME_spec.lua, no other sub-folder; policies/routes.lua is none */
    SOURCES_PROVIDERS /* providers/NAME.lua */
};

struct source_file {
    struct span name; /* "tier", "lib/prices" */
    struct span path; /* "policies/tier.lua" of the user, "(shipped) policies/tier.lua" of ours */
    struct span text;
    int error; /* negative errno: it is there but can not be read; `text` is empty */
};

/* All files of a kind, in the order of their names. One in `dir` (NULL: no such folder) stands for
 * the shipped one of its name. */
size_t sources_read(enum sources_kind kind, const char *dir, struct arena *arena,
                    struct source_file **files);

/* "tier@3f9c2a1b": the policy's name and a fingerprint of its text and of all it requires, wherever
 * the files lie. */
struct span sources_version(const struct policy_source *source, struct arena *arena);

#endif
