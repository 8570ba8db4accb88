/* lua_unit.h - C units that need a Lua state: run a function in one, and make values by a line
 * of Lua. */
#ifndef PERILUNE_SPEC_LUA_UNIT_H
#define PERILUNE_SPEC_LUA_UNIT_H

#include "support/unit.h"

#include "script/vm.h"

#include <lauxlib.h>

/* Leaves what the expression comes to on top of the stack. */
static inline void lua_value(lua_State *L, const char *expression) {
    lua_pushfstring(L, "return %s", expression);
    if (luaL_loadstring(L, lua_tostring(L, -1)) != 0)
        lua_error(L);
    lua_remove(L, -2);
    lua_call(L, 0, 1);
}

/* Whether `condition` holds, an expression over `v`, which is the value on top of the stack. */
static inline bool lua_holds(lua_State *L, const char *condition) {
    lua_pushvalue(L, -1);
    lua_setglobal(L, "v");
    lua_value(L, condition);
    bool holds = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (!holds)
        print_error("does not hold: %s\n", condition);
    return holds;
}

/* Runs `body` in a fresh state; returns how it ended. */
static inline enum vm_result lua_run(enum vm_result (*body)(lua_State *L, void *arg), void *arg) {
    struct vm *vm = vm_new(VM_TRUSTED, 64 << 20, NULL);
    enum vm_result result = vm_call(vm, NULL, 0, body, arg);
    if (result != VM_OK)
        print_message("%s\n", vm_error(vm));
    vm_free(vm);
    return result;
}

#endif
