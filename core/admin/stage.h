/* stage.h - a folder like the user's, but for one policy in it: where specs meet what is not live yet.
 *
 * Owns          a folder in the state folder: links to all that is in the user's, and one file.
 * Fed by        put, with the policy that might be.
 * Feeds         processes that run there.
 * Must not know what they do.
 *
 *   stage_open(&s, &plan); ... run things in s.dir ... stage_close(&s);
 */
#ifndef PERILUNE_ADMIN_STAGE_H
#define PERILUNE_ADMIN_STAGE_H

#include "base/span.h"

struct stage_plan {
    struct span state;    /* the state folder, absolute */
    const char *folder;   /* where the configuration lies: specs are beside it; absolute */
    struct span policies; /* the user's folder of policies, absolute */
    struct span name, source;
};

/* All zeros is one that is not open. */
struct stage {
    char dir[1024];     /* "" when it is not open */
    char policies[256]; /* the folder of policies, from there; "" when it is the same */
    char file[1400];    /* the policy */
};

/* 0, or a negative errno; then it is not open. */
int stage_open(struct stage *s, const struct stage_plan *plan);
void stage_close(struct stage *s);

/* The policy's file. */
const char *stage_policy(const struct stage *s);

/* Whether there is such a file in it. */
bool stage_has(const struct stage *s, const char *path);

#endif
