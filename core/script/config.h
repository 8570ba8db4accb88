/* config.h - the configuration, read into a snapshot.
 *
 * Owns          nothing that lasts: a Lua state while it reads.
 * Fed by        perilune.lua, the environment, providers/ and policies/ (embedded and the user's).
 * Feeds         cli and admin, with a sealed snapshot or a list of findings.
 * Must not know what the settings do.
 */
#ifndef PERILUNE_SCRIPT_CONFIG_H
#define PERILUNE_SCRIPT_CONFIG_H

#include "base/buf.h"
#include "base/snapshot.h"

struct config_finding {
    struct span path;    /* file */
    unsigned line;       /* 0: unknown */
    struct span setting; /* "policies.tiers.free"; SPAN_NONE when it is not about one */
    struct span message; /* what is wrong, what was expected */
    struct span hint;    /* nearest known name, or what to do */
    struct span excerpt; /* the source lines around it; SPAN_NONE: not shown */
    struct span effect;  /* what becomes of requests meanwhile; SPAN_NONE: nothing special */
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

/* A file of the policies folder as it might be: "tier" is policies/tier.lua, "routes" is
 * policies/routes.lua. */
struct config_draft {
    struct span name, text; /* the name NUL-terminated */
};

struct config_options {
    const char *path;     /* of the file; NULL: ./perilune.lua when it exists, else none */
    const char *mock_url; /* base URL of the built-in mock, used when there is no file and no
                             provider key; NULL: no mock */
    const struct config_draft *draft; /* read in the place of that file; NULL: all is as it is */
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

/* Whether one policy would do, among the files as they are: the snapshot then holds it and no other
 * policy. Without it in there, findings say why; NULL, with findings, when the configuration itself
 * is wrong. */
struct snapshot *config_check(const struct config_options *options, struct span policy,
                              struct config_findings *findings);

/* Where the state folder is, for those who only talk to who runs with it: a snapshot in which
 * nothing but config.data_dir is set. What is wrong with other settings, or not set in the
 * environment, does not matter. `*known` is false when the file does not say: the folder is then
 * the one that is taken without a file. */
struct snapshot *config_place(const struct config_options *options, bool *known);

/* An assignment to be written: of whom, and JSON {policy, params, limits}; SPAN_NONE: it is to be
 * taken out. */
struct config_assigning {
    enum assignment_scope scope;
    struct span name, value;
};

/* What policies/routes.lua of a snapshot's folder says with that one changed, appended to `out`.
 * False when nothing changes: findings without a path are about the value, those with one about the
 * file, which can not be used; there are none when there is no such assignment to take out. */
bool config_edit_routes(const struct snapshot *snap, const struct config_assigning *change,
                        struct buf *out, struct config_findings *findings);

/* True when no provider key and no file were found, so that only the mock can answer. */
bool config_is_mock_only(const struct snapshot *snap);

#endif
