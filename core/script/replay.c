#include "script/replay.h"

#include "base/json.h"
#include "base/log.h"
#include "script/loader.h"
#include "script/luaspan.h"
#include "script/recorded.h"

#include <lauxlib.h>
#include <stdlib.h>

enum {
    MEMORY = 1 << 30,
    KILLS_MAX = 100,
    FIGURES_MAX = 256, /* told at a time */
    FINISH_AT_A_TIME = 1000,
    ARENA_KEEP = 64 * 1024
};

struct side {
    struct replay_side of;
    struct policy_state *state;
    unsigned kills;
};

struct replay {
    struct replay_options options;
    struct side policy, against;
    struct vm_guard *guard;
    struct vm *vm;
    int object; /* perilune.replay's, in the registry */
    struct json_parser *parser;
    struct json_value line; /* under way */
    struct arena arena;     /* what one decision takes */
};

/* ---- a policy is asked ----------------------------------------------------------------------- */

static struct policy_state *new_state(struct replay *r, const struct side *side) {
    /* What is wrong with it was found when the snapshot was made. */
    struct policy_fault faults[1];
    size_t n = 0;
    return policy_state_new(side->of.snap, r->guard, &r->arena, faults, &n, 1);
}

static double figure(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    double value = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
    lua_pop(L, 1);
    return value;
}

static void percentiles(lua_State *L, const char *name, double out[3]) {
    lua_getfield(L, -1, name);
    bool known = lua_istable(L, -1);
    out[0] = known ? figure(L, "p50") : -1;
    out[1] = known ? figure(L, "p95") : -1;
    out[2] = known ? figure(L, "p99") : -1;
    lua_pop(L, 1);
}

static const char *state_name(lua_State *L) {
    static const char *const names[] = { "open", "half_open", "closed" };
    struct span given;
    size_t i = 0;
    lua_getfield(L, -1, "state");
    given = luaspan_at(L, -1);
    while (i < 2 && !span_eq(given, span_of(names[i])))
        i++;
    lua_pop(L, 1);
    return names[i];
}

/* The line of figures on top of the stack. False when that target is not there today. */
static bool take_figure(lua_State *L, const struct snapshot *snap, struct policy_figure *out) {
    lua_getfield(L, -1, "target");
    const struct target *target = snapshot_target(snap, luaspan_at(L, -1));
    lua_pop(L, 1);
    if (!target)
        return false;
    *out = (struct policy_figure){ .target = target->index, .state = state_name(L) };
    out->error_rate = figure(L, "error_rate");
    out->in_flight = figure(L, "in_flight");
    out->headroom = figure(L, "headroom");
    out->tokens_per_s = figure(L, "tokens_per_s");
    percentiles(L, "ttft_ms", out->ttft_ms);
    percentiles(L, "total_ms", out->total_ms);
    return true;
}

/* The list of changed figures at `index`, or nothing. */
static void tell(lua_State *L, int index, const struct side *side) {
    struct policy_figure figures[FIGURES_MAX];
    size_t n = 0, all = lua_istable(L, index) ? lua_objlen(L, index) : 0;
    for (size_t i = 1; i <= all; i++) {
        lua_rawgeti(L, index, (int)i);
        n += take_figure(L, side->of.snap, &figures[n]);
        lua_pop(L, 1);
        if (n == FIGURES_MAX || (n && i == all)) {
            policy_update(side->state, figures, n);
            n = 0;
        }
    }
}

static void push_decided(lua_State *L, const struct decision *d, unsigned chain_max) {
    const struct chain *chain = &d->chain;
    size_t kept = chain->n_steps < chain_max ? chain->n_steps : chain_max;
    lua_createtable(L, 0, 5);
    lua_createtable(L, (int)kept, 0);
    for (size_t i = 0; i < kept; i++) {
        luaspan_push(L, chain->steps[i].target->id);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "chain");
    if (chain->n_steps > kept) {
        lua_pushnumber(L, (double)chain->n_steps);
        lua_setfield(L, -2, "steps");
    }
    if (d->kind == DECISION_REFUSED) {
        lua_pushnumber(L, d->status ? d->status : 403);
        lua_setfield(L, -2, "refused");
    }
    lua_pushboolean(L, d->read_text);
    lua_setfield(L, -2, "read_text");
    lua_pushboolean(L, d->read_headers);
    lua_setfield(L, -2, "read_headers");
}

static int push_failure_of(lua_State *L, const char *class, const char *message, bool fresh) {
    lua_pushnil(L);
    lua_pushstring(L, class);
    lua_pushstring(L, message);
    lua_pushboolean(L, fresh);
    return 4;
}

/* A state that was killed is thrown away, and another one made while there is patience left. */
static int failed(lua_State *L, struct replay *r, struct side *side, enum vm_result result) {
    bool dead = policy_state_dead(side->state);
    int n = push_failure_of(L, vm_result_name(result), policy_error(side->state), dead);
    if (dead) {
        policy_state_free(side->state);
        side->state = ++side->kills < KILLS_MAX ? new_state(r, side) : NULL;
    }
    return n;
}

/* decide(which, req, changes) */
static int decide(lua_State *L) {
    struct replay *r = lua_touserdata(L, lua_upvalueindex(1));
    struct side *side = span_eq(luaspan_at(L, 1), SPAN("against")) ? &r->against : &r->policy;
    struct facts facts;
    struct decision decision;
    if (!side->state)
        return push_failure_of(L, "not_asked", "it was stopped too often to be asked again", false);
    tell(L, 3, side);
    arena_reset(&r->arena, ARENA_KEEP);
    recorded_facts(r->line, side->of.snap, &r->arena, &facts);
    enum vm_result result =
        policy_decide(side->state, r->guard, side->of.policy, &facts, &r->arena, &decision);
    if (result != VM_OK)
        return failed(L, r, side, result);
    push_decided(L, &decision, r->options.chain_max);
    return 1;
}

/* cost(target, tokens, at) */
static int cost(lua_State *L) {
    struct replay *r = lua_touserdata(L, lua_upvalueindex(1));
    const struct target *target = snapshot_target(r->policy.of.snap, luaspan_at(L, 1));
    if (!target)
        return 0;
    lua_settop(L, 3);
    lua_pushvalue(L, 2); /* stack: target, tokens, at, tokens */
    nanousd sum = r->options.cost(target, (int64_t)figure(L, "input"), (int64_t)figure(L, "output"),
                                  (int64_t)figure(L, "cached"), (int64_t)figure(L, "written"),
                                  (uint64_t)lua_tonumber(L, 3));
    if (sum < 0)
        return 0;
    lua_pushnumber(L, (double)sum);
    return 1;
}

/* ---- what compares --------------------------------------------------------------------------- */

static void set_function(lua_State *L, struct replay *r, const char *name, lua_CFunction f) {
    lua_pushlightuserdata(L, r);
    lua_pushcclosure(L, f, 1);
    lua_setfield(L, -2, name);
}

static void set_text(lua_State *L, const char *name, struct span text) {
    luaspan_push(L, text);
    lua_setfield(L, -2, name);
}

static void set_known(lua_State *L, const char *name, double value) {
    if (value < 0)
        return;
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

static struct span version_of(const struct side *side) {
    return side->of.snap ? snapshot_policy(side->of.snap, side->of.policy)->version : SPAN_NONE;
}

static void push_module(lua_State *L, const char *function) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "perilune.replay");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, function);
    lua_remove(L, -2);
}

static enum vm_result run_new(lua_State *L, void *arg) {
    struct replay *r = arg;
    push_module(L, "new");
    lua_createtable(L, 0, 8);
    set_function(L, r, "decide", decide);
    set_function(L, r, "cost", cost);
    set_text(L, "policy", version_of(&r->policy));
    set_text(L, "against", version_of(&r->against));
    set_text(L, "only", r->options.only);
    set_known(L, "since", r->options.since);
    set_known(L, "upto", r->options.upto);
    set_known(L, "show", r->options.show);
    lua_call(L, 1, 1);
    r->object = luaL_ref(L, LUA_REGISTRYINDEX);
    return VM_OK;
}

/* Pushes a method and its object. */
static void push_method(lua_State *L, const struct replay *r, const char *name) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->object);
    lua_getfield(L, -1, name);
    lua_insert(L, -2);
}

struct feeding {
    struct replay *r;
    struct span line;
    const char *wrong; /* with the line; NULL: nothing */
};

static enum vm_result run_feed(lua_State *L, void *arg) {
    struct feeding *f = arg;
    push_method(L, f->r, "feed");
    lua_pushlstring(L, f->line.at, f->line.len);
    lua_pushstring(L, f->wrong);
    lua_call(L, 3, 0);
    return VM_OK;
}

struct finishing {
    struct replay *r;
    const struct replay_limits *limits;
    bool json, done;
    struct buf *out;
    size_t passed;
};

static enum vm_result run_finish(lua_State *L, void *arg) {
    struct finishing *f = arg;
    push_method(L, f->r, "finish");
    lua_pushinteger(L, FINISH_AT_A_TIME);
    lua_call(L, 2, 1);
    f->done = lua_toboolean(L, -1);
    return VM_OK;
}

static enum vm_result run_report(lua_State *L, void *arg) {
    struct finishing *f = arg;
    push_module(L, f->json ? "json" : "text");
    push_method(L, f->r, "report");
    lua_createtable(L, 0, 4);
    set_known(L, "max_cost_increase", f->limits->cost_increase);
    set_known(L, "max_latency_increase", f->limits->latency_increase);
    set_known(L, "max_changed", f->limits->changed);
    set_known(L, "max_errors", f->limits->errors);
    lua_call(L, 2, 1); /* stack: text or json, report */
    lua_getfield(L, -1, "passed");
    f->passed = lua_objlen(L, -1);
    lua_pop(L, 1);
    lua_call(L, 1, 1);
    buf_add(f->out, luaspan_at(L, -1));
    return VM_OK;
}

/* ---- from outside ---------------------------------------------------------------------------- */

static void open_side(struct replay *r, struct side *side, struct replay_side of) {
    side->of = of;
    if (of.snap)
        side->state = new_state(r, side);
}

struct replay *replay_new(const struct replay_options *options, struct vm_guard *guard) {
    struct replay *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    struct vm_library library = loader_library(options->policy.snap);
    r->options = *options;
    r->guard = guard;
    arena_init(&r->arena, 4096);
    r->parser = json_parser_new();
    r->vm = vm_new(VM_TRUSTED, MEMORY, &library);
    open_side(r, &r->policy, options->policy);
    open_side(r, &r->against, options->against);
    if (vm_call(r->vm, NULL, 0, run_new, r) == VM_OK)
        return r;
    log_error("replay: %s", vm_error(r->vm));
    replay_free(r);
    return NULL;
}

void replay_free(struct replay *r) {
    policy_state_free(r->policy.state);
    policy_state_free(r->against.state);
    vm_free(r->vm);
    json_parser_free(r->parser);
    arena_deinit(&r->arena);
    free(r);
}

bool replay_feed(struct replay *r, struct span line) {
    int error = json_parse(r->parser, line, &r->line);
    struct feeding f = { r, line, error ? "not JSON in UTF-8" : NULL };
    return vm_call(r->vm, NULL, 0, run_feed, &f) == VM_OK;
}

bool replay_report(struct replay *r, const struct replay_limits *limits, bool json, struct buf *out,
                   size_t *passed) {
    struct finishing f = { .r = r, .limits = limits, .json = json, .out = out };
    bool ok = true;
    while (ok && !f.done)
        ok = vm_call(r->vm, NULL, 0, run_finish, &f) == VM_OK;
    ok = ok && vm_call(r->vm, NULL, 0, run_report, &f) == VM_OK;
    *passed = f.passed;
    return ok;
}

const char *replay_error(const struct replay *r) {
    return vm_error(r->vm);
}
