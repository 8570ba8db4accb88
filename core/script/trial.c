#include "script/trial.h"

#include "base/ability.h"
#include "base/clock.h"
#include "script/policy.h"

#include <math.h>

enum { KILLS_MAX = 8 }; /* each costs a new state */

struct trial {
    const struct snapshot *snap;
    struct config_findings *findings;
    struct vm_guard *guard;
    struct arena arena;
    struct policy_state *state;
    unsigned kills;
};

/* A request most clients could send, and what it is called. */
struct question {
    const char *what;
    uint32_t uses;
    struct span tool, tier;
    bool capped;
};

static const struct question questions[] = {
    { .what = "a request for auto" },
    { .what = "a request with tools", .uses = ABILITY_TOOLS, .tool = SPAN("search") },
    { .what = "a request with x-route-tier: paid", .tier = SPAN("paid") },
    { .what = "a request whose cap is nearly reached", .capped = true },
};

static struct facts facts_of(const struct question *q) {
    return (struct facts){
        .id = SPAN("trial"),
        .endpoint = SPAN("/v1/chat/completions"),
        .dialect = DIALECT_OPENAI_CHAT,
        .model = SPAN("auto"),
        .tier = q->tier,
        .input_tokens = 100,
        .input_bytes = 400,
        .output_tokens = 300,
        .uses = ABILITY_CHAT | q->uses,
        .tool_names = &q->tool,
        .n_tool_names = q->tool.at ? 1 : 0,
        .last_role = SPAN("user"),
        .turns = 1,
        .text = SPAN("Hello"),
        .max_cost_usd = HUGE_VAL,
        .budget_left = q->capped ? 1000000000 : INT64_MAX, /* a dollar */
        .budget_used = q->capped ? 0.95 : 0,
        .now_ms = clock_wall_ms(),
        .seed = 1,
    };
}

/* "policies/tier.lua:12: text", or the same without a line, taken apart. False when it is about
 * another file. */
static bool take_place(struct config_finding *finding, struct span path) {
    struct span message = finding->message;
    uint64_t line;
    if (!span_starts(message, path) || message.len == path.len || message.at[path.len] != ':')
        return false;
    struct span rest = span_sub(message, path.len + 1, message.len);
    size_t colon = span_find(rest, ':');
    if (span_uint(span_sub(rest, 0, colon), &line) && line <= UINT32_MAX) {
        finding->line = (unsigned)line;
        rest = span_sub(rest, colon + 1, rest.len);
    }
    finding->path = path;
    finding->message = span_trim(rest);
    return true;
}

static void report(struct trial *t, const struct policy_source *p, const struct question *q) {
    struct span message = span_of(policy_error(t->state));
    struct buf excerpt = { 0 };
    struct config_finding finding = {
        .path = p->path,
        .message = message,
        .effect = arena_printf(&t->arena, "%s: %s", q->what,
                               policy_refuses_on_error(t->state, p->name)
                                   ? "it is refused"
                                   : "the fallback chain answers it"),
        .warning = true,
    };
    bool found = take_place(&finding, p->path);
    for (size_t i = 0; i < p->n_libs && !found; i++)
        found = take_place(&finding, p->libs[i].path);
    policy_write_excerpt(p, message, &excerpt);
    if (excerpt.len) /* without the last line feed */
        finding.excerpt = span_sub(buf_span(&excerpt), 0, excerpt.len - 1);
    config_findings_add(t->findings, finding);
    buf_deinit(&excerpt);
}

static void open_state(struct trial *t) {
    /* What does not load is not in the snapshot. */
    size_t n = 0;
    t->state = policy_state_new(t->snap, t->guard, &t->arena, NULL, &n, 0);
}

/* A state whose call was stopped is done with. */
static void renew(struct trial *t) {
    if (!policy_state_dead(t->state))
        return;
    policy_state_free(t->state);
    t->kills++;
    open_state(t);
}

static void try_policy(struct trial *t, const struct policy_source *p) {
    enum vm_result result = VM_OK;
    for (size_t i = 0; i < sizeof questions / sizeof *questions && result == VM_OK; i++) {
        struct facts facts = facts_of(&questions[i]);
        struct decision decision;
        result = policy_decide(t->state, t->guard, p->name, &facts, &t->arena, &decision);
        if (result != VM_OK)
            report(t, p, &questions[i]);
    }
    renew(t);
}

void trial_run(const struct snapshot *snap, struct config_findings *findings) {
    struct vm_watchdog *watchdog = vm_watchdog_new();
    if (!watchdog)
        return; /* the log says why; nothing was found out */
    struct trial t = { .snap = snap, .findings = findings, .guard = vm_guard_open(watchdog) };
    arena_init(&t.arena, 65536);
    open_state(&t);
    for (size_t i = 0; i < snap->n_policies && t.kills < KILLS_MAX; i++)
        try_policy(&t, &snap->policies[i]);
    policy_state_free(t.state);
    arena_deinit(&t.arena);
    vm_guard_close(t.guard);
    vm_watchdog_free(watchdog);
}
