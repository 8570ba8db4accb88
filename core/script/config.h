/* config.h - the configuration, read into a snapshot.
 *
 * Owns          nothing that lasts: a Lua state while it reads.
 * Fed by        perilune.lua, the environment, providers/ and policies/ (embedded and the user's).
 * Feeds         cli and admin, with a sealed snapshot or a list of findings.
 * Must not know what the settings do.
 */
#ifndef PERILUNE_SCRIPT_CONFIG_H
#define PERILUNE_SCRIPT_CONFIG_H

#include "base/snapshot.h"

struct config_finding {
    struct span path;    /* file */
    unsigned line;       /* 0: unknown */
    struct span setting; /* "policies.tiers.free"; SPAN_NONE when it is not about one */
    struct span message; /* what is wrong, what was expected */
    struct span hint;    /* nearest known name, or what to do */
    bool warning;
};

struct config_findings {
    struct arena arena;
    struct config_finding *list;
    size_t n, cap;
};

void config_findings_init(struct config_findings *f);
void config_findings_deinit(struct config_findings *f);
void config_findings_add(struct config_findings *f,
                         struct config_finding finding); /* texts are copied */

struct config_options {
    const char *path;     /* of the file; NULL: ./perilune.lua when it exists, else none */
    const char *mock_url; /* base URL of the built-in mock, used when there is no file and no
                             provider key; NULL: no mock */
};

/* What was served before, so that a policy which is no good any more keeps its last good version.
 * Either may be NULL. */
struct config_history {
    const struct snapshot *last;  /* now in force */
    const struct snapshot *older; /* in force before it */
    /* Whether that version must not serve, although it loads (quarantine). NULL: all may. */
    bool (*is_banned)(void *owner, struct span version);
    void *owner;
};

/* Reads everything: configuration, providers, policies. A policy that does not load, or is banned,
 * is taken from `history` (NULL: there is none). Returns a sealed snapshot with one reference; NULL
 * when the configuration itself is wrong (findings say what). */
struct snapshot *config_load(const struct config_options *options,
                             const struct config_history *history,
                             struct config_findings *findings);

/* True when no provider key and no file were found, so that only the mock can answer. */
bool config_is_mock_only(const struct snapshot *snap);

#endif
