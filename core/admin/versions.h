/* versions.h - what policies said before: the text of each version that was live, in the state
 * folder.
 *
 * Owns          data_dir/policies/NAME/HASH.lua, and HASH.note beside it where somebody said why. The
 *               time of a file is when its version went live last.
 * Fed by        admin, after each reading; put, with notes.
 * Feeds         calls that list versions and go back to one.
 * Must not know what is in a policy, nor whether one is live now.
 */
#ifndef PERILUNE_ADMIN_VERSIONS_H
#define PERILUNE_ADMIN_VERSIONS_H

#include "base/arena.h"
#include "base/snapshot.h"

enum { VERSIONS_MAX = 50 }; /* of a policy: the oldest goes */

struct version {
    struct span hash; /* "3f9c2a1b" of "tier@3f9c2a1b" */
    uint64_t at_ms;   /* wall clock */
    struct span note; /* SPAN_NONE: nobody said anything */
};

/* The policy is live. A version that is not the newest already is written down, or is the newest
 * again. 0, or a negative errno. */
int versions_keep(struct span data_dir, const struct policy_source *policy, uint64_t now_ms);

/* Says why the newest version is there. */
int versions_note(struct span data_dir, const struct policy_source *policy, struct span note);

/* The versions of a policy, the newest first. */
size_t versions_list(struct span data_dir, struct span policy, struct arena *arena,
                     struct version out[VERSIONS_MAX]);

/* The text of one; `version` is a hash, with "tier@" in front or without. SPAN_NONE when there is none. */
struct span versions_text(struct span data_dir, struct span policy, struct span version,
                          struct arena *arena);

/* "3f9c2a1b" of "tier@3f9c2a1b". */
struct span versions_hash(struct span version);

#endif
