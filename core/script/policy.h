/* policy.h - the policies of one snapshot, compiled and ready to decide.
 *
 * Owns          a policy state: one Lua state with the library, the catalogue and every policy.
 * Fed by        a snapshot, on the thread that builds; struct facts, on the worker's.
 * Feeds         route/request, with a struct decision in the request's arena.
 * Must not know how a chain is walked.
 *
 *   p = policy_state_new(snap, guard, &report);                       off the loop
 *   r = policy_decide(p, guard, SPAN("tier"), &facts, &arena, &decision);
 *   if (policy_state_dead(p)) policy_state_free(p), take the spare;
 */
#ifndef PERILUNE_SCRIPT_POLICY_H
#define PERILUNE_SCRIPT_POLICY_H

#include "base/buf.h"
#include "base/decision.h"
#include "script/vm.h"

struct policy_state;

/* One thing wrong with a policy file, for the log, `check` and the admin side. In the arena given.
 */
struct policy_fault {
    struct span policy;
    struct span path;
    unsigned line;       /* 0: unknown */
    struct span message; /* what is wrong */
    struct span hint;    /* what to do about it; SPAN_NONE without one */
    struct span excerpt; /* the source lines around it */
    bool warning;        /* it works, but */
};

/* Compiles every policy of `snap` and runs what they do when they load, and prepare(). A policy
 * that fails is left out and named in `faults` (appended, at most `max`); the state is made all the
 * same. The snapshot must live as long as the state. */
struct policy_state *policy_state_new(const struct snapshot *snap, struct vm_guard *guard,
                                      struct arena *arena, struct policy_fault *faults,
                                      size_t *n_faults, size_t max);
void policy_state_free(struct policy_state *p);
bool policy_state_dead(const struct policy_state *p);
const struct snapshot *policy_state_snapshot(const struct policy_state *p);

/* What a target has been doing lately: all that is known, so that what was known before and is
 * negative here is unknown again. */
struct policy_figure {
    unsigned target;    /* its index */
    const char *state;  /* "closed", "open", "half_open" */
    double error_rate;  /* 0 to 1 */
    double in_flight;   /* attempts */
    double headroom;    /* 0 to 1 */
    double ttft_ms[3];  /* p50, p95, p99 */
    double total_ms[3]; /* the same */
    double tokens_per_s;
};

/* Tells the policies; trusted code alone runs. Later figures of a target take the place of earlier
 * ones. */
void policy_update(struct policy_state *p, const struct policy_figure *figures, size_t n);

/* Asks one policy. On VM_OK `*out` is filled, in `arena`. Otherwise policy_error() says what
 * happened, with file and line where known. */
enum vm_result policy_decide(struct policy_state *p, struct vm_guard *guard, struct span policy,
                             const struct facts *facts, struct arena *arena, struct decision *out);

/* The same question with nothing left unsaid (lua/perilune/explain.lua): a report as JSON and as a
 * page for a terminal, each appended. What is assumed stays so in this state: take one made for it.
 * VM_BAD_RESULT: an assumption is wrong. */
enum vm_result policy_explain(struct policy_state *p, struct vm_guard *guard, struct span policy,
                              const struct facts *facts, const struct span *assume, size_t n_assume,
                              struct buf *json, struct buf *text);

/* What went wrong with an attempt, for on_failure. */
struct policy_failure {
    enum failure class;
    const struct target *target;
    int status;
    int64_t retry_after_ms; /* -1: none given */
    struct span message;
    unsigned attempt; /* from 1 */
    uint32_t elapsed_ms, left_ms;
    double spent_usd;
};

enum policy_next {
    POLICY_GO_ON,   /* as planned */
    POLICY_STAY,    /* the same step again, in *retry_in_ms */
    POLICY_REPLACED /* `out->chain.steps` is the rest */
};

/* Calls the policy's on_failure, when it has one (POLICY_GO_ON otherwise). `rest` are the steps not
 * tried yet. */
enum vm_result policy_on_failure(struct policy_state *p, struct vm_guard *guard, struct span policy,
                                 const struct facts *facts, const struct policy_failure *failure,
                                 const struct step *rest, size_t n_rest, struct arena *arena,
                                 enum policy_next *next, uint32_t *retry_in_ms,
                                 struct decision *out);

/* Appends what the policy declares as its params: a JSON object by name, of type, default, min, max,
 * choices, doc and value. */
void policy_params(struct policy_state *p, struct span policy, struct buf *out);

/* Whether the policy says on_error = "refuse"; and whether it has on_failure. */
bool policy_refuses_on_error(const struct policy_state *p, struct span policy);
bool policy_has_on_failure(const struct policy_state *p, struct span policy);

const char *policy_error(const struct policy_state *p);

/* The source lines around the place that `message` names ("... policies/tier.lua:12: ..."), that line
 * marked, a line feed behind each; nothing when it names no line of the policy or its libraries. */
void policy_write_excerpt(const struct policy_source *source, struct span message, struct buf *out);

#endif
