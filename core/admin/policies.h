/* policies.h - what calls about policies ask of a snapshot and of the user's folder.
 *
 * Owns          nothing.
 * Fed by        snapshots, the folder of policies.
 * Feeds         admin, api_policies, put.
 * Must not know how a policy decides.
 */
#ifndef PERILUNE_ADMIN_POLICIES_H
#define PERILUNE_ADMIN_POLICIES_H

#include "admin/inside.h"

enum { POLICIES_SOURCE_MAX = 1 << 20 };

/* Whether it comes with the binary. */
bool policies_shipped(const struct policy_source *policy);

/* Where a policy of the user's lies, or would: "/etc/perilune/policies/tier.lua". */
struct span policies_file(const struct snapshot *snap, struct span name, struct arena *arena);

/* What that file says; SPAN_NONE when there is none. */
struct span policies_text(const struct snapshot *snap, struct span name, struct arena *arena);

/* Looks at a policy as it might be; `source` is its text. What config_check() returns. */
struct snapshot *policies_check(struct admin *a, struct span name, struct span source,
                                struct config_findings *findings);

/* The name in a call's path, if one can be written by that name: a-z, 0-9, _ and -, at most 64,
 * none that means something else. SPAN_NONE when it has been answered. */
struct span policies_name(struct api_call *call);

/* Whether a source is of a size that is read. False when it has been answered. */
bool policies_size_ok(struct api_call *call, struct span source);

/* "the tier free": who is assigned a policy, or what else names it; SPAN_NONE: nobody. */
struct span policies_user(const struct snapshot *snap, struct span name, struct arena *arena);

#endif
