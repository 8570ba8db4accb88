/* replay.h - a record read again, with a policy deciding each request once more.
 *
 * Owns          a trusted Lua state with lua/perilune/replay.lua, which compares; one policy state a
 *               side, which decides as it does for clients: same sandbox, time and memory.
 * Fed by        cli/replay, with lines.
 * Feeds         cli/replay, with a report.
 * Must not know files, HTTP, how costs come about.
 *
 *   struct replay *r = replay_new(&options, guard);
 *   while (more) if (!replay_feed(r, line)) complain(replay_error(r));
 *   replay_report(r, limits, json, &out, &passed);
 *   replay_free(r);
 *
 * A policy that is stopped for taking too long gets a new state and is asked once more; after a
 * hundred kills it is not asked any more, and every further request is an error.
 */
#ifndef PERILUNE_SCRIPT_REPLAY_H
#define PERILUNE_SCRIPT_REPLAY_H

#include "base/buf.h"
#include "script/policy.h"

struct replay;

struct replay_side {
    const struct snapshot *snap; /* NULL: there is none; outlives the replay */
    struct span policy;          /* its name */
};

struct replay_options {
    struct replay_side policy;
    struct replay_side against; /* none: what was recorded */
    /* Nano-dollars of so many tokens (-1: not said) at that Unix time; negative: not known. */
    nanousd (*cost)(const struct target *target, int64_t input, int64_t output, int64_t cached,
                    int64_t written, uint64_t now_s);
    unsigned chain_max; /* steps of a chain that records keep */
    double since, upto; /* Unix time; negative: no bound */
    struct span only;   /* requests which the policy of that name decided; SPAN_NONE: all */
    unsigned show;      /* changed decisions to name */
};

/* What stops: shares (0.05 is five in a hundred) and a number of errors; negative: nothing does. */
struct replay_limits {
    double cost_increase, latency_increase, changed, errors;
};

/* NULL, with the reason logged, when the library itself does not load. */
struct replay *replay_new(const struct replay_options *options, struct vm_guard *guard);
void replay_free(struct replay *r);

/* The next line, without its line feed. What is wrong with it is counted. False when the library
 * failed, for want of memory: replay_error() tells, nothing more can be done. */
bool replay_feed(struct replay *r, struct span line);

/* After the last line: appends the report, for people or as JSON. `*passed`: limits that were. */
bool replay_report(struct replay *r, const struct replay_limits *limits, bool json, struct buf *out,
                   size_t *passed);

const char *replay_error(const struct replay *r);

#endif
