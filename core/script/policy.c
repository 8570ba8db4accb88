#include "script/policy.h"

#include "base/log.h"

#include "script/answer.h"
#include "script/loader.h"
#include "script/luaspan.h"
#include "script/push.h"

#include <assert.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* What a policy file may use while it loads and prepares. Nobody waits for it, but a file that
 * never ends must not stop a reload. */
enum { LOAD_US = 200 * 1000, ERROR_MAX = 1024 };

/* Where the functions of perilune.host lie in the registry, and what else is kept there. */
struct refs {
    int load, prepare, info, request, decide, on_failure, update, params;
    int figures; /* the list host.update() is given, with the tables of earlier calls */
};

struct entry {
    bool failed; /* is left out */
    bool refuses_on_error, has_on_failure, has_prepare;
};

struct policy_state {
    const struct snapshot *snap;
    struct vm *vm;
    struct refs refs;
    struct entry *entries; /* one a policy of the snapshot */
    /* The call under way. */
    const struct facts *facts;
    bool read_text, read_headers;
    char error[ERROR_MAX]; /* when it is ours and not the vm's */
};

/* ---- building ---- */

static int keep_field(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    if (!lua_isfunction(L, -1))
        luaL_error(L, "perilune.host has no function '%s'", name);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* field(name): what the request under way holds; nil between requests. */
static int request_field(lua_State *L) {
    struct policy_state *p = lua_touserdata(L, lua_upvalueindex(1));
    struct span name = luaspan_at(L, 1);
    if (!p->facts || !name.at)
        return 0;
    push_request_field(L, p->snap, p->facts, name, &p->read_text);
    return 1;
}

/* header_read(name): the policy asks for a header of the request under way; nil: for all of them. */
static int header_read(lua_State *L) {
    struct policy_state *p = lua_touserdata(L, lua_upvalueindex(1));
    if (!snapshot_records(p->snap, luaspan_at(L, 1)))
        p->read_headers = true;
    return 0;
}

static enum vm_result run_setup(lua_State *L, void *arg) {
    struct policy_state *p = arg;
    lua_getglobal(L, "require");
    lua_pushliteral(L, "perilune.host");
    lua_call(L, 1, 1); /* stack: host */
    p->refs.load = keep_field(L, "load");
    p->refs.prepare = keep_field(L, "prepare");
    p->refs.info = keep_field(L, "info");
    p->refs.request = keep_field(L, "request");
    p->refs.decide = keep_field(L, "decide");
    p->refs.on_failure = keep_field(L, "on_failure");
    p->refs.update = keep_field(L, "update");
    p->refs.params = keep_field(L, "params");
    lua_newtable(L);
    p->refs.figures = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_getfield(L, -1, "setup");
    push_setup(L, p->snap);
    lua_pushlightuserdata(L, p);
    lua_pushcclosure(L, request_field, 1);
    lua_setfield(L, -2, "field");
    lua_pushlightuserdata(L, p);
    lua_pushcclosure(L, header_read, 1);
    lua_setfield(L, -2, "header_read");
    lua_call(L, 1, 0);
    return VM_OK;
}

/* What building tells the caller. */
struct report {
    struct arena *arena;
    struct policy_fault *faults;
    size_t *n;
    size_t max;
};

static void report_add(struct report *report, struct policy_fault fault) {
    if (*report->n < report->max)
        report->faults[(*report->n)++] = fault;
}

/* "policies/tier.lua:12: text" taken apart, when the file is the policy's or one it requires. */
static void locate(struct policy_fault *fault, const struct policy_source *source,
                   struct arena *arena) {
    for (size_t i = 0; i <= source->n_libs; i++) {
        struct span path = i ? source->libs[i - 1].path : source->path;
        struct span message = fault->message;
        if (!span_starts(message, path) || message.len <= path.len || message.at[path.len] != ':')
            continue;
        struct span rest = span_sub(message, path.len + 1, message.len);
        size_t colon = span_find(rest, ':');
        uint64_t line;
        if (!span_uint(span_sub(rest, 0, colon), &line) || line > UINT32_MAX)
            continue;
        fault->path = arena_copy(arena, path);
        fault->line = (unsigned)line;
        fault->message = arena_copy(arena, span_trim(span_sub(rest, colon + 1, rest.len)));
        return;
    }
}

static struct policy_fault fault_of(const struct policy_source *source, const char *message,
                                    struct arena *arena) {
    struct policy_fault fault = {
        .policy = arena_copy(arena, source->name),
        .path = arena_copy(arena, source->path),
        .message = arena_copy(arena, span_of(message)),
    };
    locate(&fault, source, arena);
    return fault;
}

/* The line a message names of a file; 0: none. */
static size_t line_named(struct span message, struct span path) {
    uint64_t line;
    const char *at = memmem(message.at, message.len, path.at, path.len);
    if (!at)
        return 0;
    struct span rest = span_sub(message, (size_t)(at - message.at) + path.len, message.len);
    if (!rest.len || rest.at[0] != ':')
        return 0;
    rest = span_sub(rest, 1, rest.len);
    return span_uint(span_sub(rest, 0, span_find(rest, ':')), &line) ? (size_t)line : 0;
}

static void write_lines(struct span text, size_t wanted, struct buf *out) {
    for (size_t line = 1; text.len && line <= wanted + 1; line++) {
        struct span here = span_sub(text, 0, span_find(text, '\n'));
        if (line + 1 >= wanted)
            buf_printf(out, "%s %4zu | %.*s\n", line == wanted ? ">" : " ", line, SPAN_ARGS(here));
        text = span_sub(text, here.len + 1, text.len);
    }
}

void policy_write_excerpt(const struct policy_source *source, struct span message,
                          struct buf *out) {
    for (size_t i = 0; i <= source->n_libs; i++) {
        const struct policy_source *file = i ? &source->libs[i - 1] : source;
        size_t line = line_named(message, file->path);
        if (line) {
            write_lines(file->text, line, out);
            return;
        }
    }
}

struct loading {
    struct policy_state *p;
    const struct policy_source *source;
    struct entry *entry;
    struct report *report;
    bool refused; /* the library said what is wrong */
};

/* The finding on top of the stack, as host.load() gives it. */
static void report_finding(lua_State *L, struct loading *l) {
    struct arena *arena = l->report->arena;
    struct span message = lua_istable(L, -1) ? luaspan_field(L, "message", arena) : SPAN_NONE;
    struct policy_fault fault =
        fault_of(l->source, message.at ? message.at : "it does not load", arena);
    if (lua_istable(L, -1)) {
        struct span path = luaspan_field(L, "path", arena);
        fault.hint = luaspan_field(L, "hint", arena);
        fault.excerpt = luaspan_field(L, "excerpt", arena);
        lua_getfield(L, -1, "line");
        if (lua_type(L, -1) == LUA_TNUMBER)
            fault.line = (unsigned)lua_tonumber(L, -1);
        lua_pop(L, 1);
        if (path.at)
            fault.path = path;
    }
    report_add(l->report, fault);
}

static bool info_flag(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    bool flag = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return flag;
}

static enum vm_result run_load(lua_State *L, void *arg) {
    struct loading *l = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, l->p->refs.load);
    push_source(L, l->source);
    lua_call(L, 1, 2); /* stack: true or nil, finding */
    if (!lua_toboolean(L, -2)) {
        l->refused = true;
        report_finding(L, l);
        return VM_OK;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, l->p->refs.info);
    luaspan_push(L, l->source->name);
    lua_call(L, 1, 1);
    l->entry->refuses_on_error = info_flag(L, "refuses_on_error");
    l->entry->has_on_failure = info_flag(L, "has_on_failure");
    l->entry->has_prepare = info_flag(L, "has_prepare");
    return VM_OK;
}

static enum vm_result run_prepare(lua_State *L, void *arg) {
    struct loading *l = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, l->p->refs.prepare);
    luaspan_push(L, l->source->name);
    lua_call(L, 1, 0);
    return VM_OK;
}

/* Runs one step of loading; a policy that fails it is out. */
static void try_step(struct loading *l, struct vm_guard *guard,
                     enum vm_result (*step)(lua_State *L, void *arg)) {
    struct vm *vm = l->p->vm;
    enum vm_result result = vm_call(vm, guard, LOAD_US, step, l);
    if (result != VM_OK)
        report_add(l->report, fault_of(l->source, vm_error(vm), l->report->arena));
    l->entry->failed = result != VM_OK || l->refused;
}

/* Loads all that have not failed. False when one of them took the state down with it. */
static bool load_policies(struct policy_state *p, struct vm_guard *guard, struct report *report) {
    for (int preparing = 0; preparing <= 1; preparing++) {
        for (size_t i = 0; i < p->snap->n_policies; i++) {
            struct entry *entry = &p->entries[i];
            if (entry->failed || (preparing && !entry->has_prepare))
                continue;
            struct loading l = {
                .p = p, .source = &p->snap->policies[i], .entry = entry, .report = report
            };
            try_step(&l, guard, preparing ? run_prepare : run_load);
            if (vm_dead(p->vm))
                return false;
        }
    }
    return true;
}

/* A fresh state with the library and the catalogue in it. The library is ours: if that fails,
 * nothing can be done. */
static bool open_state(struct policy_state *p, struct report *report) {
    const struct config *config = &p->snap->config;
    struct vm_library library = loader_library(p->snap);
    vm_free(p->vm);
    p->vm = vm_new(VM_POLICY, config->policy_memory, &library);
    if (vm_call(p->vm, NULL, 0, run_setup, p) == VM_OK)
        return true;
    struct policy_source host = { .name = SPAN("perilune"), .path = SPAN("lua/perilune/host.lua") };
    report_add(report, fault_of(&host, vm_error(p->vm), report->arena));
    for (size_t i = 0; i < p->snap->n_policies; i++)
        p->entries[i].failed = true;
    return false;
}

/* What loading left behind is cleared away here, where nobody waits, and not in the time of the first
 * requests. */
static enum vm_result run_collect(lua_State *L, void *arg) {
    lua_gc(L, LUA_GCCOLLECT, 0);
    return VM_OK;
}

struct policy_state *policy_state_new(const struct snapshot *snap, struct vm_guard *guard,
                                      struct arena *arena, struct policy_fault *faults,
                                      size_t *n_faults, size_t max) {
    struct report report = { arena, faults, n_faults, max };
    struct policy_state *p = calloc(1, sizeof *p);
    if (!p || !(p->entries = calloc(snap->n_policies + 1, sizeof *p->entries)))
        abort();
    p->snap = snap;
    /* Each turn but the last leaves out one policy more. */
    while (open_state(p, &report) && !load_policies(p, guard, &report))
        ;
    if (p->vm && !vm_dead(p->vm))
        vm_call(p->vm, NULL, 0, run_collect, NULL);
    return p;
}

void policy_state_free(struct policy_state *p) {
    if (!p)
        return;
    vm_free(p->vm);
    free(p->entries);
    free(p);
}

bool policy_state_dead(const struct policy_state *p) {
    return vm_dead(p->vm);
}

const struct snapshot *policy_state_snapshot(const struct policy_state *p) {
    return p->snap;
}

/* ---- asking ---- */

/* NULL when the policy did not load, or there is none of that name. */
static const struct entry *entry_of(const struct policy_state *p, struct span policy) {
    const struct policy_source *source = snapshot_policy(p->snap, policy);
    const struct entry *entry = source ? &p->entries[source - p->snap->policies] : NULL;
    return entry && !entry->failed ? entry : NULL;
}

bool policy_refuses_on_error(const struct policy_state *p, struct span policy) {
    const struct entry *entry = entry_of(p, policy);
    return entry && entry->refuses_on_error;
}

bool policy_has_on_failure(const struct policy_state *p, struct span policy) {
    const struct entry *entry = entry_of(p, policy);
    return entry && entry->has_on_failure;
}

const char *policy_error(const struct policy_state *p) {
    return p->error[0] ? p->error : vm_error(p->vm);
}

struct telling {
    struct policy_state *p;
    struct span policy;
    struct buf *out;
};

static enum vm_result run_params(lua_State *L, void *arg) {
    const struct telling *t = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->p->refs.params);
    luaspan_push(L, t->policy);
    lua_call(L, 1, 1);
    buf_add(t->out, luaspan_at(L, -1));
    return VM_OK;
}

void policy_params(struct policy_state *p, struct span policy, struct buf *out) {
    struct telling t = { p, policy, out };
    if (!entry_of(p, policy) || vm_call(p->vm, NULL, 0, run_params, &t) != VM_OK)
        buf_add(out, SPAN("{}"));
}

struct asking {
    struct policy_state *p;
    const struct policy_source *source;
    struct arena *arena;
    struct decision *out;
    /* of on_failure() alone */
    const struct policy_failure *failure;
    const struct step *rest;
    size_t n_rest;
    enum policy_next next;
    uint32_t retry_in_ms;
};

/* Pushes host's function, the policy's name and `req`. */
static void begin_question(lua_State *L, struct asking *a, int function) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, function);
    luaspan_push(L, a->source->name);
    lua_rawgeti(L, LUA_REGISTRYINDEX, a->p->refs.request);
    push_request(L, a->p->facts);
    lua_call(L, PUSH_REQUEST, 1);
}

/* The answer on top of the stack. */
static enum vm_result take_answer(lua_State *L, struct asking *a) {
    const char *wrong = answer_read(L, a->p->snap, a->arena, a->out);
    if (wrong) {
        lua_pushfstring(L, "the answer can not be used: %s", wrong);
        return VM_BAD_RESULT;
    }
    a->out->policy = a->source->version;
    return VM_OK;
}

static enum vm_result run_decide(lua_State *L, void *arg) {
    struct asking *a = arg;
    begin_question(L, a, a->p->refs.decide);
    lua_pushinteger(L, (lua_Integer)a->p->facts->assignment);
    lua_call(L, 3, 1);
    return take_answer(L, a);
}

static enum vm_result run_on_failure(lua_State *L, void *arg) {
    struct asking *a = arg;
    begin_question(L, a, a->p->refs.on_failure);
    push_failure(L, a->failure);
    push_rest(L, a->rest, a->n_rest);
    lua_pushinteger(L, (lua_Integer)a->p->facts->assignment);
    lua_call(L, 5, 1);
    if (lua_isnil(L, -1)) {
        a->next = POLICY_GO_ON;
        return VM_OK;
    }
    if (lua_istable(L, -1) && answer_is_retry(L, &a->retry_in_ms)) {
        a->next = POLICY_STAY;
        return VM_OK;
    }
    a->next = POLICY_REPLACED;
    return take_answer(L, a);
}

static enum vm_result ask(struct asking *a, struct vm_guard *guard, const struct facts *facts,
                          enum vm_result (*body)(lua_State *L, void *arg)) {
    struct policy_state *p = a->p;
    *a->out = (struct decision){ 0 };
    p->facts = facts;
    p->read_text = p->read_headers = false;
    p->error[0] = '\0';
    enum vm_result result =
        vm_call(p->vm, guard, p->snap->config.policy_deadline_ms * 1000, body, a);
    p->facts = NULL;
    a->out->read_text = p->read_text;
    a->out->read_headers = p->read_headers;
    return result;
}

static enum vm_result no_such_policy(struct policy_state *p, struct span policy) {
    snprintf(p->error, sizeof p->error, "policy %.*s did not load", SPAN_ARGS(policy));
    return VM_RAISED;
}

struct updating {
    struct policy_state *p;
    const struct policy_figure *figures;
    size_t n;
};

/* host.update(figures, n) */
static enum vm_result run_update(lua_State *L, void *arg) {
    const struct updating *u = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, u->p->refs.update);
    lua_rawgeti(L, LUA_REGISTRYINDEX, u->p->refs.figures);
    push_figures(L, u->figures, u->n);
    lua_pushnumber(L, (double)u->n);
    lua_call(L, 2, 0);
    return VM_OK;
}

void policy_update(struct policy_state *p, const struct policy_figure *figures, size_t n) {
    struct updating u = { p, figures, n };
    if (vm_call(p->vm, NULL, 0, run_update, &u) != VM_OK)
        log_warn("live figures did not reach the policies: %s", vm_error(p->vm));
}

enum vm_result policy_decide(struct policy_state *p, struct vm_guard *guard, struct span policy,
                             const struct facts *facts, struct arena *arena, struct decision *out) {
    if (!entry_of(p, policy))
        return no_such_policy(p, policy);
    struct asking a = {
        .p = p, .source = snapshot_policy(p->snap, policy), .arena = arena, .out = out
    };
    return ask(&a, guard, facts, run_decide);
}

enum vm_result policy_on_failure(struct policy_state *p, struct vm_guard *guard, struct span policy,
                                 const struct facts *facts, const struct policy_failure *failure,
                                 const struct step *rest, size_t n_rest, struct arena *arena,
                                 enum policy_next *next, uint32_t *retry_in_ms,
                                 struct decision *out) {
    *next = POLICY_GO_ON;
    if (!policy_has_on_failure(p, policy))
        return VM_OK;
    struct asking a = {
        .p = p,
        .source = snapshot_policy(p->snap, policy),
        .arena = arena,
        .out = out,
        .failure = failure,
        .rest = rest,
        .n_rest = n_rest,
    };
    enum vm_result result = ask(&a, guard, facts, run_on_failure);
    if (result == VM_OK) {
        *next = a.next;
        *retry_in_ms = a.retry_in_ms;
    }
    return result;
}

/* ---- explaining ---- */

enum { EXPLAIN_US = 200000 }; /* nobody waits for it but the one who asks */

struct explaining {
    struct asking asking;
    const struct span *assume;
    size_t n_assume;
    struct buf *json, *text;
};

/* Milliseconds of this thread's processor time, by which calls are limited. */
static int processor_ms(lua_State *L) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    lua_pushnumber(L, (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6);
    return 1;
}

/* explain.answer(policy, req, assumptions, version, assignment, limit_ms, now): the report twice, or
 * nil and what is wrong. */
static enum vm_result run_explain(lua_State *L, void *arg) {
    struct explaining *e = arg;
    lua_getglobal(L, "require");
    lua_pushliteral(L, "perilune.explain");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "answer");
    int function = luaL_ref(L, LUA_REGISTRYINDEX);
    begin_question(L, &e->asking, function);
    luaL_unref(L, LUA_REGISTRYINDEX, function);
    lua_createtable(L, (int)e->n_assume, 0);
    for (size_t i = 0; i < e->n_assume; i++) {
        luaspan_push(L, e->assume[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    luaspan_push(L, e->asking.source->version);
    lua_pushinteger(L, (lua_Integer)e->asking.p->facts->assignment);
    lua_pushnumber(L, e->asking.p->snap->config.policy_deadline_ms);
    lua_pushcfunction(L, processor_ms);
    lua_call(L, 7, 2); /* stack: json or nil, text or why */
    if (lua_isnil(L, -2))
        return VM_BAD_RESULT;
    buf_add(e->json, luaspan_at(L, -2));
    buf_add(e->text, luaspan_at(L, -1));
    return VM_OK;
}

enum vm_result policy_explain(struct policy_state *p, struct vm_guard *guard, struct span policy,
                              const struct facts *facts, const struct span *assume, size_t n_assume,
                              struct buf *json, struct buf *text) {
    if (!entry_of(p, policy))
        return no_such_policy(p, policy);
    struct explaining e = {
        .asking = { .p = p, .source = snapshot_policy(p->snap, policy) },
        .assume = assume,
        .n_assume = n_assume,
        .json = json,
        .text = text,
    };
    p->facts = facts;
    p->error[0] = '\0';
    enum vm_result result = vm_call(p->vm, guard, EXPLAIN_US, run_explain, &e);
    p->facts = NULL;
    return result;
}
