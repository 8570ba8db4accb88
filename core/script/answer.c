#include "script/answer.h"

#include <lauxlib.h>
#include <math.h>

enum {
    STEPS_MAX = 1000,
    PARAMS_MAX = 100,
    CUTS_MAX = 10000,
    NOTES_MAX = 100,
    FINDINGS_MAX = 100,
    MS_MAX = 24 * 3600 * 1000
};

struct reader {
    lua_State *L;
    const struct snapshot *snap;
    struct arena *arena;
    const char *wrong; /* the first thing that was; nothing after it matters */
};

static void fail(struct reader *r, const char *what) {
    if (!r->wrong)
        r->wrong = what;
}

/* The readers below look at a field of the table on top of the stack and leave the stack as it
 * was. */

static double number_field(struct reader *r, const char *name, double low, double high,
                           double absent) {
    double value = absent;
    lua_getfield(r->L, -1, name);
    if (lua_type(r->L, -1) == LUA_TNUMBER) {
        value = lua_tonumber(r->L, -1);
        if (!(value >= low && value <= high)) {
            fail(r, name);
            value = absent;
        }
    } else if (!lua_isnil(r->L, -1)) {
        fail(r, name);
    }
    lua_pop(r->L, 1);
    return value;
}

static bool flag_field(struct reader *r, const char *name) {
    lua_getfield(r->L, -1, name);
    bool flag = lua_toboolean(r->L, -1);
    lua_pop(r->L, 1);
    return flag;
}

static uint32_t ms_field(struct reader *r, const char *name) {
    return (uint32_t)number_field(r, name, 0, MS_MAX, 0);
}

static nanousd usd_field(struct reader *r, const char *name) {
    double usd = number_field(r, name, 0, HUGE_VAL, HUGE_VAL);
    /* Nine thousand million dollars are no ceiling. */
    return usd < 9e9 ? (nanousd)llround(usd * 1e9) : NANOUSD_NONE;
}

/* Copies the text on top of the stack. */
static struct span text_here(struct reader *r, const char *name) {
    struct span s = SPAN_NONE;
    if (lua_type(r->L, -1) == LUA_TSTRING) {
        s.at = lua_tolstring(r->L, -1, &s.len);
        return arena_copy(r->arena, s);
    }
    if (!lua_isnil(r->L, -1))
        fail(r, name);
    return s;
}

static struct span text_field(struct reader *r, const char *name) {
    lua_getfield(r->L, -1, name);
    struct span s = text_here(r, name);
    lua_pop(r->L, 1);
    return s;
}

/* Pushes a field that is a list and returns its length; nothing is pushed for 0. */
static size_t open_list(struct reader *r, const char *name, size_t max) {
    lua_getfield(r->L, -1, name);
    if (lua_istable(r->L, -1)) {
        size_t n = lua_objlen(r->L, -1);
        if (n > max)
            fail(r, name);
        else if (n > 0)
            return n;
    } else if (!lua_isnil(r->L, -1)) {
        fail(r, name);
    }
    lua_pop(r->L, 1);
    return 0;
}

/* A list of { name, value }. */
static struct pair *pairs_field(struct reader *r, const char *name, size_t max, size_t *count) {
    size_t n = open_list(r, name, max);
    *count = n;
    if (n == 0)
        return NULL;
    struct pair *pairs = arena_new_array(r->arena, struct pair, n);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(r->L, -1, (int)i + 1);
        if (lua_istable(r->L, -1)) {
            lua_rawgeti(r->L, -1, 1);
            pairs[i].name = text_here(r, name);
            lua_rawgeti(r->L, -2, 2);
            pairs[i].value = text_here(r, name);
            lua_pop(r->L, 2);
        }
        if (!pairs[i].name.at)
            fail(r, name);
        lua_pop(r->L, 1);
    }
    lua_pop(r->L, 1);
    return pairs;
}

/* ---- steps ---- */

static const struct target *target_at(struct reader *r, double index) {
    if (!(index >= 1 && index <= (double)r->snap->n_targets)) {
        fail(r, "a step's index");
        return NULL;
    }
    return &r->snap->targets[(size_t)index - 1];
}

static const struct target *target_named(struct reader *r) {
    const struct target *target = NULL;
    struct span id = text_field(r, "id");
    if (!id.at || snapshot_resolve(r->snap, id, r->arena, &target, 1) == 0)
        fail(r, "a step's id");
    return target;
}

static void step_fields(struct reader *r, struct step *step) {
    double index = number_field(r, "index", 1, UINT32_MAX, 0);
    step->target = index > 0 ? target_at(r, index) : target_named(r);
    step->timeout_ms = ms_field(r, "timeout_ms");
    step->first_token_ms = ms_field(r, "first_token_ms");
    step->idle_ms = ms_field(r, "idle_ms");
    step->retries = (int)number_field(r, "retries", 0, 10, -1);
    step->when = (uint32_t)number_field(r, "when", 0, (double)(FAILURE_BIT(FAILURE_COUNT) - 1), 0);
    step->max_cost = usd_field(r, "max_cost_usd");
    step->max_latency_ms = ms_field(r, "max_latency_ms");
    step->params = pairs_field(r, "params", PARAMS_MAX, &step->n_params);
}

/* The value on top: an index, or a table with more to say. */
static void read_step(struct reader *r, struct step *step) {
    *step = (struct step){ .retries = -1, .max_cost = NANOUSD_NONE };
    if (lua_type(r->L, -1) == LUA_TNUMBER)
        step->target = target_at(r, lua_tonumber(r->L, -1));
    else if (lua_istable(r->L, -1))
        step_fields(r, step);
    else
        fail(r, "a step");
}

static void read_steps(struct reader *r, struct chain *chain) {
    size_t n = lua_objlen(r->L, -1);
    if (n > STEPS_MAX) {
        fail(r, "too many steps");
        return;
    }
    chain->steps = arena_new_array(r->arena, struct step, n + 1);
    chain->n_steps = n;
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(r->L, -1, (int)i + 1);
        read_step(r, &chain->steps[i]);
        lua_pop(r->L, 1);
    }
}

/* ---- the chain ---- */

static void read_chain(struct reader *r, struct chain *chain) {
    *chain = (struct chain){ 0 };
    read_steps(r, chain);
    chain->reason = text_field(r, "reason");
    chain->max_cost = NANOUSD_NONE;
    chain->hold_ms = -1;
    chain->on_exhausted = EXHAUSTED_FAIL;
}

/* What is said of the chain beside its steps and their reason. */
static void read_said(struct reader *r, struct chain *chain) {
    chain->deadline_ms = ms_field(r, "deadline_ms");
    chain->max_cost = usd_field(r, "max_cost_usd");
    chain->max_latency_ms = ms_field(r, "max_latency_ms");
    chain->max_attempts = (uint32_t)number_field(r, "max_attempts", 1, 100, 0);
    chain->hedge_after_ms = ms_field(r, "hedge_after_ms");
    chain->retry_window_ms = ms_field(r, "retry_window_ms");
    chain->hold_ms = (int64_t)number_field(r, "hold_ms", 0, MS_MAX, -1);
    struct span exhausted = text_field(r, "on_exhausted");
    if (exhausted.at && !span_eq(exhausted, SPAN("fail")) && !span_eq(exhausted, SPAN("queue")))
        fail(r, "on_exhausted");
    chain->on_exhausted = span_eq(exhausted, SPAN("queue")) ? EXHAUSTED_QUEUE : EXHAUSTED_FAIL;
}

static void read_cuts(struct reader *r, struct decision *out, bool plain) {
    size_t n = open_list(r, "cuts", CUTS_MAX);
    if (n == 0)
        return;
    struct cut *cuts = arena_new_array(r->arena, struct cut, n);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(r->L, -1, (int)i + 1);
        if (lua_istable(r->L, -1)) {
            cuts[i].target = plain ? SPAN_NONE : text_field(r, "target");
            cuts[i].word = text_field(r, "word");
            cuts[i].why = text_field(r, "why");
            cuts[i].count = (unsigned)number_field(r, "count", 0, UINT32_MAX, 1);
        } else {
            fail(r, "cuts");
        }
        lua_pop(r->L, 1);
    }
    lua_pop(r->L, 1);
    out->cuts = cuts;
    out->n_cuts = n;
}

static void read_findings(struct reader *r, struct decision *out) {
    size_t n = open_list(r, "findings", FINDINGS_MAX);
    if (n == 0)
        return;
    struct span *findings = arena_new_array(r->arena, struct span, n);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(r->L, -1, (int)i + 1);
        findings[i] = text_here(r, "findings");
        if (!findings[i].at)
            fail(r, "findings");
        lua_pop(r->L, 1);
    }
    lua_pop(r->L, 1);
    out->findings = findings;
    out->n_findings = n;
}

/* Reads { status =, code =, message = } when there is one. */
static bool read_refusal(struct reader *r, struct decision *out) {
    lua_getfield(r->L, -1, "refused");
    bool refused = lua_istable(r->L, -1);
    if (refused) {
        out->kind = DECISION_REFUSED;
        out->status = (int)number_field(r, "status", 400, 599, 0);
        out->code = text_field(r, "code");
        out->message = text_field(r, "message");
    } else if (!lua_isnil(r->L, -1)) {
        fail(r, "refused");
    }
    lua_pop(r->L, 1);
    return refused;
}

const char *answer_read(lua_State *L, const struct snapshot *snap, struct arena *arena,
                        struct decision *out) {
    struct reader r = { .L = L, .snap = snap, .arena = arena };
    if (!lua_istable(L, -1))
        return "the answer is no table";
    luaL_checkstack(L, 10, "answer");
    out->kind = DECISION_CHAIN;
    /* Looking for a field that is not there costs as much as reading one, and most answers have few. */
    bool plain = flag_field(&r, "plain");
    if (plain || !read_refusal(&r, out))
        read_chain(&r, &out->chain);
    read_cuts(&r, out, plain);
    if (plain)
        return r.wrong;
    if (out->kind == DECISION_CHAIN)
        read_said(&r, &out->chain);
    read_findings(&r, out);
    out->notes = pairs_field(&r, "notes", NOTES_MAX, &out->n_notes);
    return r.wrong;
}

bool answer_is_retry(lua_State *L, uint32_t *ms) {
    lua_getfield(L, -1, "retry_in_ms");
    double value = lua_tonumber(L, -1);
    bool found = lua_type(L, -1) == LUA_TNUMBER && value >= 0 && value <= MS_MAX;
    if (found)
        *ms = (uint32_t)value;
    lua_pop(L, 1);
    return found;
}
