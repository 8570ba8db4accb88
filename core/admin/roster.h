/* roster.h - what calls about keys and projects have in common.
 *
 * Owns          nothing.
 * Fed by        api_keys, api_projects, each with a call.
 * Feeds         the call, with an answer where something went wrong.
 * Must not know what is asked of a key or a project.
 *
 *   if (roster_knows_policy(call, key.policy) &&
 *       roster_changed(call, keys_revoke(keys, id, &why), "key", id, &why)) ...
 */
#ifndef PERILUNE_ADMIN_ROSTER_H
#define PERILUNE_ADMIN_ROSTER_H

#include "admin/asker.h"
#include "admin/inside.h"

/* Refuses with what asker found. */
void roster_refuse(struct api_call *call, const struct asker_wrong *wrong);

/* Whether a change was made. False when it was not, which has been answered. */
bool roster_changed(struct api_call *call, enum keys_change change, const char *what,
                    struct span name, struct buf *why);

/* Whether there is such a policy (SPAN_NONE: none is asked for), are such policies, such models.
 * False when there are not, which has been answered. */
bool roster_knows_policy(struct api_call *call, struct span policy);
bool roster_knows_policies(struct api_call *call, const struct span *policies, size_t n);
bool roster_knows_models(struct api_call *call, const struct span *models, size_t n);

/* How caps stand, as a member of an object: ,"caps":[...]. */
void roster_write_caps(struct api_call *call, const struct budget_cap *caps, size_t n,
                       struct buf *out);

#endif
