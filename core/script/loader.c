#include "script/loader.h"

#include "base/buf.h"
#include "script/embed.h"
#include "script/files.h"

#include <lauxlib.h>

/* The upvalues of require(). */
enum { UP_LOADED = 1, UP_LIBRARY };

enum { NAME_MAX_LEN = 100, MODULE_MAX = 4 << 20 };

/* "perilune" and names below it; nothing that could climb out of a folder. */
static bool is_library_name(struct span name) {
    if (name.len > NAME_MAX_LEN ||
        !(span_eq(name, SPAN("perilune")) || span_starts(name, SPAN("perilune."))))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
              (c == '.' && name.at[i - 1] != '.')))
            return false;
    }
    return name.at[name.len - 1] != '.';
}

/* "lua/perilune/host.lua"; the part behind "lua/" is the path in a folder. */
static struct span module_path(struct span name, char path[NAME_MAX_LEN + 16]) {
    memcpy(path, "lua/", 4);
    for (size_t i = 0; i < name.len; i++)
        path[4 + i] = name.at[i] == '.' ? '/' : name.at[i];
    memcpy(path + 4 + name.len, ".lua", 5);
    return (struct span){ path, 4 + name.len + 4 };
}

/* Pushes the compiled chunk, or an error message and returns false. */
static bool compile(lua_State *L, struct span text, const char *path) {
    char chunk[NAME_MAX_LEN + 24] = "@";
    strcat(chunk, path);
    return luaL_loadbufferx(L, text.at, text.len, chunk, "t") == 0;
}

static bool compile_from_dir(lua_State *L, const char *dir, struct span path, bool *found) {
    struct buf text = { 0 };
    char full[4096];
    *found =
        files_join(full, sizeof full, dir, path.at + 4) && files_read(full, MODULE_MAX, &text) == 0;
    bool compiled = *found && compile(L, buf_span(&text), path.at);
    buf_deinit(&text);
    return compiled;
}

/* From the folder when it is there, else from what the binary carries. */
static bool compile_module(lua_State *L, const char *dir, struct span name) {
    char path_text[NAME_MAX_LEN + 16];
    struct span path = module_path(name, path_text);
    bool found = false;
    if (dir) {
        bool compiled = compile_from_dir(L, dir, path, &found);
        if (found)
            return compiled;
    }
    const struct embedded_file *file = embedded_find(path);
    if (file)
        return compile(L, file->text, path.at);
    lua_pushfstring(L, "module '%s' is not part of the library", name.at);
    return false;
}

static bool load_module(lua_State *L, const struct vm_library *library, struct span name) {
    for (size_t i = 0; i < library->n_compiled; i++) {
        struct span bytes = library->compiled[i].value;
        if (span_eq(library->compiled[i].name, name))
            return luaL_loadbufferx(L, bytes.at, bytes.len, name.at, "b") == 0;
    }
    return compile_module(L, library->dir, name);
}

/* require(name). While a module loads, `false` stands in its place. */
static int require(lua_State *L) {
    struct span name;
    name.at = luaL_checklstring(L, 1, &name.len);
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    lua_rawget(L, lua_upvalueindex(UP_LOADED)); /* stack: name, module */
    if (lua_toboolean(L, 2))
        return 1;
    if (!lua_isnil(L, 2))
        return luaL_error(L, "module '%s' requires itself", name.at);
    if (!is_library_name(name))
        return luaL_error(L, "module '%s' can not be loaded here", name.at);
    lua_pushvalue(L, 1);
    lua_pushboolean(L, false);
    lua_rawset(L, lua_upvalueindex(UP_LOADED));
    if (!load_module(L, lua_touserdata(L, lua_upvalueindex(UP_LIBRARY)), name))
        return lua_error(L);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1); /* stack: name, nil, module */
    if (!lua_toboolean(L, 3)) {
        lua_pushboolean(L, true);
        lua_replace(L, 3);
    }
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 3);
    lua_rawset(L, lua_upvalueindex(UP_LOADED));
    return 1;
}

/* What the standard libraries offer by require alone, table.new and table.clear, is loaded at once
 * when it is there. */
static void load_offered(lua_State *L, const char *name) {
    lua_getfield(L, LUA_REGISTRYINDEX, "_PRELOAD"); /* stack: loaded, offers */
    if (lua_istable(L, -1)) {
        lua_getfield(L, -1, name);
        if (lua_isfunction(L, -1)) {
            lua_pushstring(L, name);
            lua_call(L, 1, 1);
            lua_setfield(L, -3, name);
        } else {
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

void loader_open(lua_State *L, const struct vm_library *library) {
    static const char *const globals[] = { "string", "table",           "math", "bit", "coroutine",
                                           "cjson",  "perilune.rawjson" };
    lua_newtable(L); /* stack: loaded */
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++) {
        lua_getglobal(L, globals[i]);
        lua_setfield(L, -2, globals[i]);
    }
    load_offered(L, "table.new");
    load_offered(L, "table.clear");
    lua_pushlightuserdata(L, (void *)library);
    lua_pushcclosure(L, require, 2);
    lua_setglobal(L, "require");
}

/* ---- compiling ahead ---- */

static int write_bytes(lua_State *L, const void *bytes, size_t len, void *out) {
    buf_append(out, bytes, len);
    return 0;
}

/* "lua/perilune/dialects/openai_chat.lua" is "perilune.dialects.openai_chat". */
static struct span module_name(struct span path, struct arena *arena) {
    size_t len = path.len - strlen("lua/") - strlen(".lua");
    char *name = arena_alloc(arena, len + 1);
    for (size_t i = 0; i < len; i++)
        name[i] = path.at[4 + i] == '/' ? '.' : path.at[4 + i];
    name[len] = '\0';
    return (struct span){ name, len };
}

static bool compile_ahead(lua_State *L, const char *dir, struct arena *arena, struct pair *module) {
    struct buf bytes = { 0 };
    bool compiled = compile_module(L, dir, module->name) && lua_dump(L, write_bytes, &bytes) == 0;
    if (compiled)
        module->value = arena_copy(arena, buf_span(&bytes));
    buf_deinit(&bytes);
    lua_pop(L, 1);
    return compiled;
}

size_t loader_compile(lua_State *L, const char *dir, struct arena *arena,
                      const struct pair **modules) {
    struct pair *list = arena_new_array(arena, struct pair, embedded_count + 1);
    size_t n = 0;
    for (size_t i = 0; i < embedded_count; i++) {
        struct span path = embedded_files[i].path;
        /* The spec kit is for `perilune test`, which runs outside of the binary. */
        if (!span_starts(path, SPAN("lua/perilune/")) ||
            span_starts(path, SPAN("lua/perilune/spec")))
            continue;
        list[n].name = module_name(path, arena);
        n += compile_ahead(L, dir, arena, &list[n]);
    }
    *modules = list;
    return n;
}

struct vm_library loader_library(const struct snapshot *snap) {
    return (struct vm_library){ snap->library, snap->n_library, snap->config.lua_dir.at };
}
