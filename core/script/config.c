#include "script/config.h"

#include "script/files.h"
#include "script/loader.h"
#include "script/luaspan.h"
#include "script/normal.h"
#include "script/policy.h"
#include "script/sources.h"

#include <assert.h>
#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONFIG_MAX = 4 << 20, SECRET_MAX = 1 << 20, LUA_MEMORY = 64 << 20, FAULTS_MAX = 256 };

/* ---- findings ---- */

void config_findings_init(struct config_findings *f) {
    *f = (struct config_findings){ 0 };
    arena_init(&f->arena, 4096);
}

void config_findings_deinit(struct config_findings *f) {
    free(f->list);
    arena_deinit(&f->arena);
    *f = (struct config_findings){ 0 };
}

void config_findings_add(struct config_findings *f, struct config_finding finding) {
    if (f->n == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 16;
        f->list = realloc(f->list, f->cap * sizeof *f->list);
        if (!f->list)
            abort();
    }
    f->list[f->n++] = (struct config_finding){
        .path = arena_copy(&f->arena, finding.path),
        .line = finding.line,
        .setting = arena_copy(&f->arena, finding.setting),
        .message = arena_copy(&f->arena, finding.message),
        .hint = arena_copy(&f->arena, finding.hint),
        .excerpt = arena_copy(&f->arena, finding.excerpt),
        .effect = arena_copy(&f->arena, finding.effect),
        .warning = finding.warning,
    };
}

/* ---- what reading needs ---- */

struct reading {
    const struct config_options *options;
    const struct config_history *history;
    struct config_findings *findings;
    struct arena arena; /* of what is needed only while reading */
    struct snapshot *snap;
    struct span path; /* of the file; SPAN_NONE: there is none */
    struct span text;
    struct source_file *policies; /* read when the configuration has said where they lie */
    size_t n_policies;
    struct span only; /* of the policies, this one is wanted; SPAN_NONE: all */
    bool ok;
};

static void add_error(struct reading *r, struct span path, struct span message) {
    config_findings_add(r->findings, (struct config_finding){ .path = path, .message = message });
}

/* The file named, or ./perilune.lua when it is there. False when a file that was named can not
 * be read. */
static bool read_file(struct reading *r) {
    const char *path = r->options->path ? r->options->path : "perilune.lua";
    struct buf text = { 0 };
    int error = files_read(path, CONFIG_MAX, &text);
    if (error == 0) {
        r->path = span_of(path);
        r->text = arena_copy(&r->arena, text.at ? buf_span(&text) : SPAN(""));
    } else if (r->options->path || error != -ENOENT) {
        add_error(r, span_of(path),
                  arena_printf(&r->arena, "it can not be read: %s", strerror(-error)));
    }
    buf_deinit(&text);
    return error == 0 || (!r->options->path && error == -ENOENT);
}

/* The folder `name` beside the file. */
static struct span beside(struct reading *r, const char *name) {
    const char *slash = r->path.at ? strrchr(r->path.at, '/') : NULL;
    if (!slash)
        return arena_copy(&r->arena, span_of(name));
    return arena_printf(&r->arena, "%.*s/%s", (int)(slash - r->path.at), r->path.at, name);
}

/* ---- what the configuration script may ask for ---- */

static struct reading *reading_of(lua_State *L) {
    return lua_touserdata(L, lua_upvalueindex(1));
}

static int host_env(lua_State *L) {
    lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
    return 1;
}

static int host_file(lua_State *L) {
    struct reading *r = reading_of(L);
    struct buf bytes = { 0 };
    int error = files_read(luaL_checkstring(L, 1), SECRET_MAX, &bytes);
    struct span text = arena_copy(&r->arena, bytes.at ? buf_span(&bytes) : SPAN(""));
    buf_deinit(&bytes);
    if (error) {
        lua_pushnil(L);
        lua_pushstring(L, strerror(-error));
        return 2;
    }
    lua_pushlstring(L, text.at, text.len);
    return 1;
}

static void set_text(lua_State *L, const char *name, struct span text) {
    if (!text.at)
        return;
    lua_pushlstring(L, text.at, text.len);
    lua_setfield(L, -2, name);
}

/* Files that can not be read are findings, and left out. */
static size_t read_sources(struct reading *r, enum sources_kind kind, const char *dir,
                           struct source_file **files) {
    size_t n = sources_read(kind, dir, &r->arena, files), kept = 0;
    for (size_t i = 0; i < n; i++) {
        struct source_file *f = &(*files)[i];
        if (f->error)
            add_error(r, f->path,
                      arena_printf(&r->arena, "it can not be read: %s", strerror(-f->error)));
        else
            (*files)[kept++] = *f;
    }
    return kept;
}

static const struct config_draft *draft_of(const struct reading *r, const char *name) {
    const struct config_draft *draft = r->options->draft;
    return draft && span_eq(draft->name, span_of(name)) ? draft : NULL;
}

static int by_name(const void *a, const void *b) {
    const struct source_file *one = a, *other = b;
    return strcmp(one->name.at, other->name.at);
}

/* Puts the policy that might be in the place of the one there is. */
static void put_draft(struct reading *r, const char *dir) {
    const struct config_draft *draft = r->options->draft;
    size_t i = 0;
    if (!draft || draft_of(r, "routes"))
        return;
    while (i < r->n_policies && !span_eq(r->policies[i].name, draft->name))
        i++;
    struct source_file *all = arena_new_array(&r->arena, struct source_file, r->n_policies + 1);
    memcpy(all, r->policies, r->n_policies * sizeof *all);
    r->policies = all;
    r->n_policies += i == r->n_policies;
    all[i] = (struct source_file){
        .name = draft->name,
        .path = arena_printf(&r->arena, "%s/%.*s.lua", dir, SPAN_ARGS(draft->name)),
        .text = draft->text,
    };
    qsort(all, r->n_policies, sizeof *all, by_name);
}

/* provider_files(dir) */
static int host_provider_files(lua_State *L) {
    struct source_file *files;
    size_t n = read_sources(reading_of(L), SOURCES_PROVIDERS, luaL_checkstring(L, 1), &files);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_createtable(L, 0, 3);
        set_text(L, "name", files[i].name);
        set_text(L, "path", files[i].path);
        set_text(L, "text", files[i].text);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static bool is_library(const struct source_file *file) {
    return span_starts(file->name, SPAN("lib/"));
}

/* policies(dir): the names there are. */
static int host_policies(lua_State *L) {
    struct reading *r = reading_of(L);
    int n = 0;
    r->n_policies = read_sources(r, SOURCES_POLICIES, luaL_checkstring(L, 1), &r->policies);
    put_draft(r, lua_tostring(L, 1));
    lua_createtable(L, (int)r->n_policies, 0);
    for (size_t i = 0; i < r->n_policies; i++) {
        if (is_library(&r->policies[i]))
            continue;
        lua_pushlstring(L, r->policies[i].name.at, r->policies[i].name.len);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

/* Pushes { path =, text = }, or nil when there is no such file. */
static void push_file(lua_State *L, struct span path, struct span text) {
    if (!text.at) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 0, 2);
    set_text(L, "path", path);
    set_text(L, "text", text);
}

/* The text of policies/routes.lua; SPAN_NONE when there is none. 0, or negative when it can not be
 * read. */
static int read_routes(struct span path, struct arena *arena, struct span *text) {
    struct buf bytes = { 0 };
    int error = files_read(path.at, CONFIG_MAX, &bytes);
    *text = error ? SPAN_NONE : arena_copy(arena, bytes.at ? buf_span(&bytes) : SPAN(""));
    buf_deinit(&bytes);
    return error == -ENOENT || error == -ENOTDIR ? 0 : error;
}

/* routes(dir): the file of assignments. */
static int host_routes(lua_State *L) {
    struct reading *r = reading_of(L);
    const struct config_draft *draft = draft_of(r, "routes");
    struct span text, path = arena_printf(&r->arena, "%s/routes.lua", luaL_checkstring(L, 1));
    int error = read_routes(path, &r->arena, &text);
    if (error && !draft)
        add_error(r, path, arena_printf(&r->arena, "it can not be read: %s", strerror(-error)));
    push_file(L, path, draft ? draft->text : text);
    return 1;
}

static void push_host(lua_State *L, struct reading *r) {
    static const struct luaL_Reg functions[] = {
        { "env", host_env },
        { "file", host_file },
        { "provider_files", host_provider_files },
        { "policies", host_policies },
        { "routes", host_routes },
    };
    lua_newtable(L);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushlightuserdata(L, r);
        lua_pushcclosure(L, functions[i].func, 1);
        lua_setfield(L, -2, functions[i].name);
    }
    set_text(L, "mock_url", span_of(r->options->mock_url));
    lua_pushboolean(L, r->history->last && r->history->last->config.mock_only);
    lua_setfield(L, -2, "mock_known");
}

/* ---- running it ---- */

/* The finding on top of the stack. */
static void take_finding(lua_State *L, struct config_findings *findings) {
    struct arena *arena = &findings->arena;
    struct config_finding finding = {
        .path = luaspan_field(L, "path", arena),
        .setting = luaspan_field(L, "setting", arena),
        .message = luaspan_field(L, "message", arena),
        .hint = luaspan_field(L, "hint", arena),
    };
    lua_getfield(L, -1, "line");
    lua_getfield(L, -2, "warning");
    finding.line = (unsigned)lua_tointeger(L, -2);
    finding.warning = lua_toboolean(L, -1);
    lua_pop(L, 2);
    config_findings_add(findings, finding);
}

/* The list of them on top of the stack. */
static void take_findings(lua_State *L, struct config_findings *findings) {
    for (size_t i = 1; i <= lua_objlen(L, -1); i++) {
        lua_rawgeti(L, -1, (int)i);
        take_finding(L, findings);
        lua_pop(L, 1);
    }
}

static void push_module(lua_State *L, const char *module, const char *function) {
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    lua_call(L, 1, 1);
    lua_getfield(L, -1, function);
    lua_remove(L, -2);
}

static enum vm_result run_read(lua_State *L, void *arg) {
    struct reading *r = arg;
    push_module(L, "perilune.config", "read");
    luaspan_push(L, r->text);
    luaspan_push(L, r->path);
    push_host(L, r);
    lua_call(L, 3, 2); /* stack: normalised or nil, findings */
    take_findings(L, r->findings);
    lua_pop(L, 1);
    r->ok = lua_istable(L, -1);
    if (r->ok)
        normal_read(L, r->snap);
    return VM_OK;
}

/* ---- policies ---- */

static struct policy_source copy_source(const struct policy_source *from, struct arena *arena) {
    struct policy_source *libs = arena_new_array(arena, struct policy_source, from->n_libs + 1);
    for (size_t i = 0; i < from->n_libs; i++)
        libs[i] = copy_source(&from->libs[i], arena);
    return (struct policy_source){
        .name = arena_copy(arena, from->name),
        .version = arena_copy(arena, from->version),
        .path = arena_copy(arena, from->path),
        .text = arena_copy(arena, from->text),
        .libs = libs,
        .n_libs = from->n_libs,
    };
}

/* The source in the table on top of the stack, without its libraries. */
static struct policy_source take_source(lua_State *L, struct arena *arena) {
    return (struct policy_source){
        .name = luaspan_field(L, "name", arena),
        .path = luaspan_field(L, "path", arena),
        .text = luaspan_field(L, "text", arena),
    };
}

static struct policy_source take_bundle(lua_State *L, struct arena *arena) {
    struct policy_source source = take_source(L, arena);
    lua_getfield(L, -1, "libs");
    source.n_libs = lua_objlen(L, -1);
    struct policy_source *libs = arena_new_array(arena, struct policy_source, source.n_libs + 1);
    for (size_t i = 0; i < source.n_libs; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        libs[i] = take_source(L, arena);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    source.libs = libs;
    source.version = sources_version(&source, arena);
    return source;
}

static void push_files(lua_State *L, const struct reading *r) {
    lua_createtable(L, 0, (int)r->n_policies);
    for (size_t i = 0; i < r->n_policies; i++) {
        luaspan_push(L, r->policies[i].name);
        push_file(L, r->policies[i].path, r->policies[i].text);
        lua_rawset(L, -3);
    }
}

static bool is_banned(const struct reading *r, struct span version) {
    const struct config_history *h = r->history;
    return h->is_banned && h->is_banned(h->owner, version);
}

/* The last good version of a policy that is not good any more, or NULL. */
static const struct policy_source *last_good(const struct reading *r, struct span name) {
    const struct snapshot *before[] = { r->history->last, r->history->older };
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        const struct policy_source *good = before[i] ? snapshot_policy(before[i], name) : NULL;
        if (good && !is_banned(r, good->version))
            return good;
    }
    return NULL;
}

/* Puts it in its place; false when there is none. */
static bool put_last(struct reading *r, struct span name, struct policy_source *at) {
    const struct policy_source *good = last_good(r, name);
    if (good)
        *at = copy_source(good, &r->snap->arena);
    return good != NULL;
}

/* What becomes of the requests of a policy that does not load. */
static struct span effect_of(const struct reading *r, struct span name) {
    return last_good(r, name) ? SPAN("the version before it keeps deciding")
                              : SPAN("the fallback chain answers in its place");
}

static bool is_wanted(const struct reading *r, struct span policy) {
    return !r->only.at || span_eq(policy, r->only);
}

/* Gathers each policy with what it requires. */
static enum vm_result run_collect(lua_State *L, void *arg) {
    struct reading *r = arg;
    struct snapshot *snap = r->snap;
    struct policy_source *policies =
        arena_new_array(&snap->arena, struct policy_source, r->n_policies + 1);
    push_files(L, r);
    for (size_t i = 0; i < r->n_policies; i++) {
        if (is_library(&r->policies[i]) || !is_wanted(r, r->policies[i].name))
            continue;
        push_module(L, "perilune.bundle", "collect");
        luaspan_push(L, r->policies[i].name);
        lua_pushvalue(L, -3);
        lua_call(L, 2, 2); /* stack: files, source or nil, finding */
        if (lua_isnil(L, -2)) {
            take_finding(L, r->findings);
            r->findings->list[r->findings->n - 1].effect = effect_of(r, r->policies[i].name);
            snap->n_policies += put_last(r, r->policies[i].name, &policies[snap->n_policies]);
        } else {
            lua_pop(L, 1);
            policies[snap->n_policies++] = take_bundle(L, &snap->arena);
        }
        lua_settop(L, 1);
    }
    snap->policies = policies;
    return VM_OK;
}

/* Once here, instead of in every state made from the snapshot. */
static enum vm_result run_compile(lua_State *L, void *arg) {
    struct snapshot *snap = ((struct reading *)arg)->snap;
    snap->n_library = loader_compile(L, snap->config.lua_dir.at, &snap->arena, &snap->library);
    return VM_OK;
}

static const struct policy_fault *fault_of(const struct policy_fault *faults, size_t n,
                                           struct span policy) {
    for (size_t i = 0; i < n; i++)
        if (!faults[i].warning && span_eq(faults[i].policy, policy))
            return &faults[i];
    return NULL;
}

/* Loads all policies once, so that what does not load stays out and its last good version stays
 * in. */
static void check_policies(struct reading *r, struct vm_guard *guard) {
    struct snapshot *snap = r->snap;
    struct policy_fault *faults = arena_new_array(&r->arena, struct policy_fault, FAULTS_MAX);
    size_t n = 0, kept = 0;
    policy_state_free(policy_state_new(snap, guard, &r->arena, faults, &n, FAULTS_MAX));
    for (size_t i = 0; i < n; i++)
        config_findings_add(
            r->findings,
            (struct config_finding){
                .path = faults[i].path,
                .line = faults[i].line,
                .message = faults[i].message,
                .hint = faults[i].hint,
                .excerpt = faults[i].excerpt,
                .effect = faults[i].warning ? SPAN_NONE : effect_of(r, faults[i].policy),
                .warning = faults[i].warning,
            });
    struct policy_source *good =
        arena_new_array(&snap->arena, struct policy_source, snap->n_policies + 1);
    for (size_t i = 0; i < snap->n_policies; i++) {
        const struct policy_source *p = &snap->policies[i];
        bool loads = !fault_of(faults, n, p->name);
        if (loads && !is_banned(r, p->version))
            good[kept++] = *p;
        else if (put_last(r, p->name, &good[kept]))
            kept++;
        else if (loads) /* banned, and nothing to put in its place: its name stays known */
            good[kept++] = *p;
    }
    snap->policies = good;
    snap->n_policies = kept;
}

/* ---- all of it ---- */

/* Runs `body` in the configuration's own state; what it raises is a finding. */
static bool run(struct reading *r, struct vm *vm, enum vm_result (*body)(lua_State *L, void *arg)) {
    if (vm_call(vm, NULL, 0, body, r) == VM_OK)
        return true;
    add_error(r, r->path.at ? r->path : SPAN("perilune.lua"), span_of(vm_error(vm)));
    return false;
}

static bool read_all(struct reading *r) {
    if (!read_file(r))
        return false;
    struct vm_library library = { .dir = beside(r, "lua").at };
    struct vm *vm = vm_new(VM_TRUSTED, LUA_MEMORY, &library);
    bool read = run(r, vm, run_read) && r->ok;
    if (read && r->only.at) { /* what is wrong with the rest is not asked for */
        config_findings_deinit(r->findings);
        config_findings_init(r->findings);
    }
    read = read && run(r, vm, run_collect) && run(r, vm, run_compile);
    vm_free(vm);
    return read;
}

/* A policy that never ends while it loads is stopped, so reading takes a watchdog of its own. */
static bool check_all(struct reading *r) {
    struct vm_watchdog *watchdog = vm_watchdog_new();
    if (!watchdog) {
        add_error(r, SPAN_NONE, SPAN("the watchdog of policies does not start; the log says why"));
        return false;
    }
    struct vm_guard *guard = vm_guard_open(watchdog);
    check_policies(r, guard);
    vm_guard_close(guard);
    vm_watchdog_free(watchdog);
    return true;
}

static struct snapshot *load(struct reading r) {
    r.snap = snapshot_new();
    arena_init(&r.arena, 65536);
    if (read_all(&r) && check_all(&r)) {
        r.snap->generation = r.history->last ? r.history->last->generation + 1 : 1;
        snapshot_seal(r.snap);
    } else {
        snapshot_unref(r.snap);
        r.snap = NULL;
    }
    arena_deinit(&r.arena);
    return r.snap;
}

static const struct config_history no_history = { 0 };

struct snapshot *config_load(const struct config_options *options,
                             const struct config_history *history,
                             struct config_findings *findings) {
    return load((struct reading){
        .options = options, .history = history ? history : &no_history, .findings = findings });
}

struct snapshot *config_check(const struct config_options *options, struct span policy,
                              struct config_findings *findings) {
    return load((struct reading){
        .options = options, .history = &no_history, .findings = findings, .only = policy });
}

/* ---- the state folder alone ---- */

static enum vm_result run_place(lua_State *L, void *arg) {
    struct reading *r = arg;
    push_module(L, "perilune.config", "place");
    luaspan_push(L, r->text);
    luaspan_push(L, r->path);
    push_host(L, r);
    lua_call(L, 3, 2); /* stack: place, known */
    r->ok = lua_toboolean(L, -1) && r->ok;
    lua_pop(L, 1);
    normal_read_place(L, r->snap);
    return VM_OK;
}

struct snapshot *config_place(const struct config_options *options, bool *known) {
    struct config_findings unasked;
    struct reading r = { .options = options, .history = &no_history, .findings = &unasked };
    config_findings_init(&unasked);
    arena_init(&r.arena, 65536);
    r.snap = snapshot_new();
    r.ok = read_file(&r);
    struct vm *vm = vm_new(VM_TRUSTED, LUA_MEMORY, NULL);
    run(&r, vm, run_place);
    vm_free(vm);
    *known = r.ok;
    arena_deinit(&r.arena);
    config_findings_deinit(&unasked);
    return r.snap;
}

/* ---- assignments ---- */

struct editing {
    struct span path, text;
    const struct config_assigning *change;
    struct buf *out;
    struct config_findings *findings;
    bool changed;
};

static enum vm_result run_edit(lua_State *L, void *arg) {
    struct editing *e = arg;
    push_module(L, "perilune.config", "edit_routes");
    push_file(L, e->path, e->text);
    luaspan_push(L, span_of(snapshot_scope_name(e->change->scope)));
    luaspan_push(L, e->change->name);
    luaspan_push(L, e->change->value);
    lua_call(L, 4, 2); /* stack: text or nil, findings */
    take_findings(L, e->findings);
    struct span text = luaspan_at(L, -2);
    e->changed = text.at != NULL;
    buf_add(e->out, text);
    return VM_OK;
}

bool config_edit_routes(const struct snapshot *snap, const struct config_assigning *change,
                        struct buf *out, struct config_findings *findings) {
    struct editing e = { .change = change, .out = out, .findings = findings };
    struct vm_library library = loader_library(snap);
    struct config_finding wrong = { .message = SPAN("the file of assignments can not be read") };
    e.path =
        arena_printf(&findings->arena, "%.*s/routes.lua", SPAN_ARGS(snap->config.policies_dir));
    wrong.path = e.path;
    int error = read_routes(e.path, &findings->arena, &e.text);
    if (error == 0) {
        struct vm *vm = vm_new(VM_TRUSTED, LUA_MEMORY, &library);
        if (vm_call(vm, NULL, 0, run_edit, &e) == VM_OK) {
            vm_free(vm);
            return e.changed;
        }
        wrong.message = arena_copy(&findings->arena, span_of(vm_error(vm)));
        vm_free(vm);
    }
    config_findings_add(findings, wrong);
    return false;
}

bool config_is_mock_only(const struct snapshot *snap) {
    return snap->config.mock_only;
}
