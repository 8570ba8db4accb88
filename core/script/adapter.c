#include "script/adapter.h"

#include "base/ability.h"
#include "base/log.h"
#include "base/utf8.h"
#include "script/echo.h"
#include "script/loader.h"
#include "script/luaspan.h"
#include "script/vm.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

/* Beside some bodies of the largest size, so that no honest request runs into the cap: what is within
 * what is cut out one by one, and put together again the other way round. */
enum { MEMORY = 64 << 20, BODIES = 16 };
/* So much more than after the last look, and garbage is collected at once instead of when Lua
 * comes to it. */
enum { GARBAGE_MAX = 8 << 20 };
enum { TEXTS_KEEP = 4096, WORDS_KEEP = 1024 };
/* Of processor time, in one call: the largest request, in messages of a kilobyte, took half. */
enum { CALL_US = 3 * 1000 * 1000 };

/* Where the functions of perilune.adapter lie in the registry. */
struct refs {
    int open, feed, catch_up, finish, answer, close, echo;
};

/* A stream whose events may be alike. */
struct echoing {
    int handle;
    struct echo echo;
    UT_hash_handle hh;
};

struct adapter {
    struct vm *vm;
    struct vm_guard *guard; /* may be NULL */
    struct refs refs;
    int targets; /* in the registry: the snapshot's own, as Lua sees them, by target_key() */
    struct echoing *echoing;                /* by handle */
    bool plain;                             /* all events are translated */
    struct echo_names names[DIALECT_COUNT]; /* of the dialects that were spoken, */
    bool named[DIALECT_COUNT];
    struct arena words; /* and their texts */
    size_t settled;     /* bytes the state had after garbage was last collected here */
    struct arena texts; /* what `seen` of the last call points into */
    struct buf failed;  /* what `why` of the last call points to */
};

static int keep_function(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    if (!lua_isfunction(L, -1))
        luaL_error(L, "perilune.adapter has no function '%s'", name);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static enum vm_result run_setup(lua_State *L, void *arg) {
    struct adapter *a = arg;
    lua_getglobal(L, "require");
    lua_pushliteral(L, "perilune.adapter");
    lua_call(L, 1, 1);
    a->refs.open = keep_function(L, "open");
    a->refs.feed = keep_function(L, "feed");
    a->refs.catch_up = keep_function(L, "catch_up");
    a->refs.finish = keep_function(L, "finish");
    a->refs.answer = keep_function(L, "answer");
    a->refs.close = keep_function(L, "close");
    a->refs.echo = keep_function(L, "echo");
    lua_newtable(L);
    a->targets = luaL_ref(L, LUA_REGISTRYINDEX);
    return VM_OK;
}

static enum vm_result enter(struct adapter *a, enum vm_result (*body)(lua_State *L, void *arg),
                            void *arg) {
    return vm_call(a->vm, a->guard, CALL_US, body, arg);
}

struct adapter *adapter_new(const struct snapshot *snap) {
    struct adapter *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    struct vm_library library = loader_library(snap);
    arena_init(&a->texts, TEXTS_KEEP);
    arena_init(&a->words, WORDS_KEEP);
    a->vm = vm_new(VM_TRUSTED, MEMORY + BODIES * snap->config.max_body, &library);
    if (enter(a, run_setup, a) != VM_OK) {
        log_error("the adapters do not load: %s", vm_error(a->vm));
        adapter_free(a);
        return NULL;
    }
    a->settled = vm_memory(a->vm);
    return a;
}

void adapter_watch(struct adapter *a, struct vm_guard *guard) {
    a->guard = guard;
}

static void free_echoing(struct adapter *a, struct echoing *s) {
    HASH_DEL(a->echoing, s);
    echo_deinit(&s->echo);
    free(s);
}

void adapter_free(struct adapter *a) {
    if (!a)
        return;
    while (a->echoing)
        free_echoing(a, a->echoing);
    vm_free(a->vm);
    arena_deinit(&a->texts);
    arena_deinit(&a->words);
    buf_deinit(&a->failed);
    free(a);
}

/* ---- calls ---- */

struct call {
    struct adapter *a;
    int function;
    int handle;
    struct span event, data;
    size_t n;   /* events that `data` stands for */
    bool plain; /* out: the event was one text */
    struct adapter_setup *setup;
    struct buf *out;
    size_t out_before; /* its length, to go back to when the call fails */
    struct adapter_seen *seen;
    bool broke; /* out: the call did not say no, it failed */
};

/* Takes the message on top of the stack, to be `why`. */
static enum vm_result refuse(lua_State *L) {
    if (lua_type(L, -1) != LUA_TSTRING)
        lua_pushliteral(L, "the adapter said nothing");
    return VM_BAD_RESULT;
}

/* Runs one call; 0, or -1 with `*why`. What it wrote before it failed is taken back. What a dialect
 * says of its input may reach the client; what Lua says of the dialect is for the log alone. */
static int run(struct call *c, enum vm_result (*body)(lua_State *L, void *arg), const char **why) {
    struct adapter *a = c->a;
    c->out_before = c->out ? c->out->len : 0;
    arena_reset(&a->texts, TEXTS_KEEP);
    enum vm_result result = enter(a, body, c);
    if (result == VM_OK)
        return 0;
    if (c->out)
        c->out->len = c->out_before;
    const char *said = vm_error(a->vm);
    c->broke = result != VM_BAD_RESULT;
    if (c->broke) {
        log_error("an adapter failed (%s): %s", vm_result_name(result), said);
        said = "The message could not be translated.";
    }
    buf_clear(&a->failed);
    buf_append(&a->failed, said, strlen(said) + 1);
    *why = a->failed.at;
    return -1;
}

/* ---- requests ---- */

static void set_text(lua_State *L, const char *name, struct span text) {
    luaspan_push(L, text);
    lua_setfield(L, -2, name);
}

static void set_count(lua_State *L, const char *name, double n) {
    lua_pushnumber(L, n);
    lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, bool flag) {
    lua_pushboolean(L, flag);
    lua_setfield(L, -2, name);
}

/* perilune.AimedAt, with `quirks` still as text. */
static void make_target(lua_State *L, const struct adapter_setup *s) {
    const struct target *t = s->target;
    lua_createtable(L, 0, 10);
    set_text(L, "id", t->id);
    set_text(L, "model", t->model);
    set_text(L, "upstream", t->upstream);
    set_text(L, "provider", t->provider->name);
    set_text(L, "dialect", span_of(dialect_name(s->spoken)));
    set_text(L, "quirks", t->quirks);
    set_flag(L, "native", t->provider->native);
    if (t->context)
        set_count(L, "context", t->context);
    if (t->max_output)
        set_count(L, "max_output", t->max_output);
    lua_createtable(L, 0, ABILITY_COUNT);
    for (unsigned i = 0; i < ABILITY_COUNT; i++)
        if (t->abilities & (UINT32_C(1) << i))
            set_flag(L, ability_name(i), true);
    lua_setfield(L, -2, "abilities");
}

static int target_key(const struct adapter_setup *s) {
    return (int)(s->target->index * DIALECT_COUNT + s->spoken);
}

/* A target of the snapshot stays what it is, and is made once. */
static void push_target(lua_State *L, struct adapter *a, const struct adapter_setup *s) {
    if (s->target->index == TARGET_AD_HOC) {
        make_target(L, s);
        return;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, a->targets);
    lua_rawgeti(L, -1, target_key(s));
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        make_target(L, s);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, target_key(s)); /* stack: targets, target */
    }
    lua_remove(L, -2);
}

/* recall(call_id) */
static int lua_recall(lua_State *L) {
    const struct adapter_setup *s = lua_touserdata(L, lua_upvalueindex(1));
    luaspan_push(L, s->recall(s->owner, luaspan_at(L, 1)));
    return 1;
}

/* perilune.AdapterSetup */
static void push_setup(lua_State *L, struct adapter *a, struct adapter_setup *s) {
    lua_createtable(L, 0, 12);
    set_text(L, "client", span_of(dialect_name(s->client)));
    set_text(L, "spoken", span_of(dialect_name(s->spoken)));
    push_target(L, a, s);
    lua_setfield(L, -2, "target");
    set_text(L, "body", s->body);
    set_flag(L, "stream", s->stream);
    set_flag(L, "keep_usage", s->keep_usage);
    set_flag(L, "refuse", s->refuse);
    luaspan_push_pairs(L, s->params, s->n_params);
    lua_setfield(L, -2, "params");
    set_text(L, "id", s->id);
    set_count(L, "created", (double)s->created_s);
    set_count(L, "input_tokens", (double)s->input_tokens);
    if (s->recall) {
        lua_pushlightuserdata(L, s);
        lua_pushcclosure(L, lua_recall, 1);
        lua_setfield(L, -2, "recall");
    }
}

/* Header lines go to curl as they are. stack: http */
static const struct span *take_headers(lua_State *L, struct adapter_setup *s) {
    lua_getfield(L, -1, "headers");
    size_t n = lua_istable(L, -1) ? lua_objlen(L, -1) : 0;
    struct span *lines = arena_new_array(s->arena, struct span, n + 1);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        struct span line = luaspan_at(L, -1);
        if (line.len && span_find(line, '\r') == line.len && span_find(line, '\n') == line.len &&
            span_find(line, '\0') == line.len)
            lines[s->n_headers++] = arena_copy(s->arena, line);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return lines;
}

static enum vm_result run_open(lua_State *L, void *arg) {
    struct call *c = arg;
    struct adapter_setup *s = c->setup;
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->function);
    push_setup(L, c->a, s);
    lua_call(L, 1, 3); /* stack: handle or nil, http or why, param of a refusal */
    if (!lua_isnumber(L, 1) || !lua_istable(L, 2)) {
        s->param = arena_copy(s->arena, luaspan_at(L, 3));
        lua_settop(L, 2);
        return refuse(L);
    }
    c->handle = (int)lua_tointeger(L, 1);
    lua_settop(L, 2);
    lua_getfield(L, 2, "body");
    buf_add(s->out, luaspan_at(L, -1));
    lua_pop(L, 1);
    lua_getfield(L, 2, "passes");
    s->passes = lua_toboolean(L, -1);
    lua_pop(L, 1);
    s->path = luaspan_field(L, "path", s->arena);
    s->dropped = luaspan_field(L, "dropped", s->arena);
    s->headers = take_headers(L, s);
    return VM_OK;
}

static enum vm_result run_settle(lua_State *L, void *arg) {
    struct adapter *a = arg;
    lua_gc(L, LUA_GCCOLLECT, 0);
    a->settled = vm_memory(a->vm);
    return VM_OK;
}

/* What a large message left behind is gone before it is in anybody's way. */
static void settle(struct adapter *a) {
    if (vm_memory(a->vm) > a->settled + GARBAGE_MAX)
        (void)enter(a, run_settle, a);
}

struct dialect_call {
    struct adapter *a;
    enum dialect dialect;
};

static enum vm_result run_echo(lua_State *L, void *arg) {
    const struct dialect_call *c = arg;
    struct echo_names *names = &c->a->names[c->dialect];
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->a->refs.echo);
    lua_pushstring(L, dialect_name(c->dialect));
    lua_call(L, 1, 1);
    names->texts = luaspan_field(L, "texts", &c->a->words);
    names->loose = luaspan_field(L, "loose", &c->a->words);
    names->counter = luaspan_field(L, "counter", &c->a->words);
    return VM_OK;
}

static const struct echo_names *names_of(struct adapter *a, enum dialect dialect) {
    struct dialect_call c = { a, dialect };
    if (!a->named[dialect] && enter(a, run_echo, &c) != VM_OK)
        log_error("an adapter does not know its own dialect: %s", vm_error(a->vm));
    a->named[dialect] = true;
    return &a->names[dialect];
}

static void open_echo(struct adapter *a, const struct adapter_setup *setup, int handle) {
    if (a->plain || !setup->stream || setup->passes || !names_of(a, setup->spoken)->texts.at)
        return;
    struct echoing *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->handle = handle;
    s->echo.names = *names_of(a, setup->spoken);
    s->echo.names.counter = names_of(a, setup->client)->counter;
    HASH_ADD_INT(a->echoing, handle, s);
}

int adapter_open(struct adapter *a, struct adapter_setup *setup, const char **why) {
    struct call c = { .a = a, .function = a->refs.open, .setup = setup, .out = setup->out };
    int error = run(&c, run_open, why);
    setup->broke = c.broke;
    if (error == 0)
        open_echo(a, setup, c.handle);
    settle(a);
    return error == 0 ? c.handle : 0;
}

void adapter_echoes(struct adapter *a, bool on) {
    a->plain = !on;
}

/* ---- answers ---- */

static bool seen_flag(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    bool flag = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return flag;
}

static int64_t seen_count(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    double n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
    lua_pop(L, 1);
    return n >= 0 && n < 9e15 ? (int64_t)n : -1;
}

/* stack: seen */
static void take_keeps(lua_State *L, struct arena *texts, struct adapter_seen *seen) {
    lua_getfield(L, -1, "keeps");
    size_t n = lua_istable(L, -1) ? lua_objlen(L, -1) : 0;
    for (size_t i = 0; i < n && i < ADAPTER_KEEPS; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        seen->keeps[seen->n_keeps++] = (struct pair){ arena_copy(texts, luaspan_at(L, -2)),
                                                      arena_copy(texts, luaspan_at(L, -1)) };
        lua_pop(L, 3);
    }
    lua_pop(L, 1);
}

static void take_seen(lua_State *L, struct adapter *a, struct adapter_seen *seen) {
    seen->content = seen_flag(L, "content");
    seen->finished = seen_flag(L, "finished");
    seen->excused = seen_flag(L, "excused");
    seen->ended = seen_flag(L, "ended");
    seen->error = seen_flag(L, "error");
    seen->input_tokens = seen_count(L, "input_tokens");
    seen->output_tokens = seen_count(L, "output_tokens");
    seen->cached_tokens = seen_count(L, "cached_tokens");
    seen->cache_write_tokens = seen_count(L, "cache_write_tokens");
    seen->reasoning_tokens = seen_count(L, "reasoning_tokens");
    seen->message = luaspan_field(L, "message", &a->texts);
    seen->code = luaspan_field(L, "code", &a->texts);
    seen->type = luaspan_field(L, "type", &a->texts);
    seen->model = luaspan_field(L, "model", &a->texts);
    seen->text = (uint64_t)seen_count(L, "text");
    take_keeps(L, &a->texts, seen);
}

/* Relay:flags() in lua/perilune/relay.lua. */
enum {
    FLAG_CONTENT = 1,
    FLAG_FINISHED = 2,
    FLAG_EXCUSED = 4,
    FLAG_ENDED = 8,
    FLAG_ERROR = 16,
    FLAG_NEWS = 32,  /* there is more to read */
    FLAG_PLAIN = 64, /* the event said one text and nothing else */
    FLAG_TEXT = 128  /* times the bytes of its texts */
};

/* What most events are, in one number: reading a dozen members would cost more than they say. */
static bool take_flags(lua_State *L, struct call *c) {
    struct adapter_seen *seen = c->seen;
    lua_Integer flags = lua_tointeger(L, -1);
    c->plain = (flags % FLAG_TEXT & ~FLAG_NEWS) == (FLAG_CONTENT | FLAG_PLAIN);
    seen->text = (uint64_t)(flags / FLAG_TEXT);
    seen->content = flags & FLAG_CONTENT;
    seen->finished = flags & FLAG_FINISHED;
    seen->excused = flags & FLAG_EXCUSED;
    seen->ended = flags & FLAG_ENDED;
    seen->error = flags & FLAG_ERROR;
    return flags & FLAG_NEWS;
}

/* stack: out or nil, seen or why */
static enum vm_result take_answer(lua_State *L, struct call *c) {
    if (!lua_istable(L, -1))
        return refuse(L);
    buf_add(c->out, luaspan_at(L, -2));
    take_seen(L, c->a, c->seen);
    return VM_OK;
}

static enum vm_result run_feed(lua_State *L, void *arg) {
    struct call *c = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->function);
    lua_pushinteger(L, c->handle);
    luaspan_push(L, c->event);
    luaspan_push(L, c->data);
    lua_call(L, 3, 3); /* stack: out or nil, seen or why, flags */
    bool news = !lua_isnumber(L, -1) || take_flags(L, c);
    if (!news)
        buf_add(c->out, luaspan_at(L, -3));
    lua_settop(L, -2);
    return news ? take_answer(L, c) : VM_OK;
}

static enum vm_result run_finish(lua_State *L, void *arg) {
    struct call *c = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->function);
    lua_pushinteger(L, c->handle);
    lua_call(L, 1, 2);
    return take_answer(L, c);
}

static enum vm_result run_answer(lua_State *L, void *arg) {
    struct call *c = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->function);
    lua_pushinteger(L, c->handle);
    luaspan_push(L, c->data);
    lua_call(L, 2, 2);
    return take_answer(L, c);
}

static const struct adapter_seen nothing_seen = {
    .input_tokens = -1,
    .output_tokens = -1,
    .cached_tokens = -1,
    .cache_write_tokens = -1,
    .reasoning_tokens = -1,
};

/* The readers in Lua do not look at encodings. */
static bool is_utf8(struct span s) {
    for (size_t n; s.len; s = span_sub(s, n, s.len)) {
        uint64_t eight;
        if (s.len >= sizeof eight) {
            memcpy(&eight, s.at, sizeof eight);
            n = sizeof eight;
            if (!(eight & UINT64_C(0x8080808080808080)))
                continue; /* plain ASCII, as most */
        }
        if (!(n = utf8_length(s)))
            return false;
    }
    return true;
}

static struct echo *echo_of(struct adapter *a, int handle) {
    struct echoing *s;
    HASH_FIND_INT(a->echoing, &handle, s);
    return s ? &s->echo : NULL;
}

static enum vm_result run_catch_up(lua_State *L, void *arg) {
    struct call *c = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->function);
    lua_pushinteger(L, c->handle);
    luaspan_push(L, c->event);
    luaspan_push(L, c->data);
    lua_pushinteger(L, (lua_Integer)c->n);
    lua_call(L, 4, 2); /* stack: seen or nil, why */
    if (!lua_istable(L, -2))
        return refuse(L);
    lua_settop(L, -2);
    take_seen(L, c->a, c->seen);
    return VM_OK;
}

/* Lua hears of all events that were answered without it. What that was, the next event or the end
 * tells as well. */
static int catch_up(struct adapter *a, int handle, struct echo *e, struct adapter_seen *seen,
                    const char **why) {
    struct buf data = { 0 };
    struct call c = { .a = a, .function = a->refs.catch_up, .handle = handle, .seen = seen };
    int error = 0;
    if (e && (c.n = echo_take(e, &c.event, &data)) > 0) {
        c.data = buf_span(&data);
        error = run(&c, run_catch_up, why);
    }
    buf_deinit(&data);
    return error;
}

/* An event that Lua answered, and what it made of it. */
static void note_echo(struct echo *e, const struct call *c) {
    if (c->plain)
        echo_learn(e, c->event, c->data,
                   span_sub(buf_span(c->out), c->out_before, c->out->len - c->out_before));
    else
        echo_forget(e);
}

int adapter_feed(struct adapter *a, int handle, struct span event, struct span data,
                 struct buf *out, struct adapter_seen *seen, const char **why) {
    struct echo *e = echo_of(a, handle);
    struct call c = { .a = a,
                      .function = a->refs.feed,
                      .handle = handle,
                      .event = event,
                      .data = data,
                      .out = out,
                      .seen = seen };
    *seen = nothing_seen;
    if (e && (seen->text = echo_answer(e, event, data, out)) > 0) {
        seen->content = true;
        return 0;
    }
    if (!is_utf8(data)) {
        *why = "An event is not UTF-8.";
        return -1;
    }
    if (catch_up(a, handle, e, seen, why) < 0)
        return -1;
    *seen = nothing_seen;
    int error = run(&c, run_feed, why);
    if (e)
        note_echo(e, &c);
    return error;
}

void adapter_settle(struct adapter *a, int handle, struct adapter_seen *seen) {
    const char *why;
    *seen = nothing_seen;
    if (catch_up(a, handle, echo_of(a, handle), seen, &why) < 0)
        *seen = nothing_seen;
    seen->text = 0; /* it was told when it came */
}

int adapter_finish(struct adapter *a, int handle, struct buf *out, struct adapter_seen *seen,
                   const char **why) {
    struct call c = {
        .a = a, .function = a->refs.finish, .handle = handle, .out = out, .seen = seen
    };
    *seen = nothing_seen;
    if (catch_up(a, handle, echo_of(a, handle), seen, why) < 0)
        return -1;
    *seen = nothing_seen;
    return run(&c, run_finish, why);
}

int adapter_answer(struct adapter *a, int handle, struct span body, struct buf *out,
                   struct adapter_seen *seen, const char **why) {
    struct call c = {
        .a = a, .function = a->refs.answer, .handle = handle, .data = body, .out = out, .seen = seen
    };
    *seen = nothing_seen;
    if (!is_utf8(body)) {
        *why = "The answer is not UTF-8.";
        return -1;
    }
    return run(&c, run_answer, why);
}

static enum vm_result run_close(lua_State *L, void *arg) {
    struct call *c = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->function);
    lua_pushinteger(L, c->handle);
    lua_call(L, 1, 0);
    return VM_OK;
}

void adapter_close(struct adapter *a, int handle) {
    struct call c = { .a = a, .function = a->refs.close, .handle = handle };
    const char *why;
    struct echoing *s;
    HASH_FIND_INT(a->echoing, &handle, s);
    if (s)
        free_echoing(a, s);
    if (run(&c, run_close, &why) < 0)
        log_warn("an adapter's stream could not be closed: %s", why);
    settle(a);
}
