#include "script/luaspan.h"

void luaspan_push(lua_State *L, struct span s) {
    if (s.at)
        lua_pushlstring(L, s.at, s.len);
    else
        lua_pushnil(L);
}

struct span luaspan_at(lua_State *L, int index) {
    struct span s = SPAN_NONE;
    if (lua_type(L, index) == LUA_TSTRING)
        s.at = lua_tolstring(L, index, &s.len);
    return s;
}

struct span luaspan_field(lua_State *L, const char *name, struct arena *arena) {
    lua_getfield(L, -1, name);
    struct span s = arena_copy(arena, luaspan_at(L, -1));
    lua_pop(L, 1);
    return s;
}

void luaspan_push_pairs(lua_State *L, const struct pair *pairs, size_t n) {
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_createtable(L, 2, 0);
        luaspan_push(L, pairs[i].name);
        lua_rawseti(L, -2, 1);
        luaspan_push(L, pairs[i].value);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (int)i + 1);
    }
}
