#include "lua_unit.h"

#include "script/luaspan.h"

static enum vm_result both_ways(lua_State *L, void *arg) {
    struct arena *arena = arg;
    luaspan_push(L, (struct span){ "a\0b", 3 });
    assert_int_equal(luaspan_at(L, -1).len, 3);
    luaspan_push(L, SPAN_NONE);
    assert_true(lua_isnil(L, -1));
    luaspan_push(L, SPAN(""));
    assert_true(lua_isstring(L, -1));
    assert_non_null(luaspan_at(L, -1).at);
    lua_pushnumber(L, 12);
    assert_null(luaspan_at(L, -1).at);

    lua_value(L, "{ name = 'x', number = 3 }");
    int top = lua_gettop(L);
    assert_span(luaspan_field(L, "name", arena), "x");
    assert_null(luaspan_field(L, "number", arena).at);
    assert_null(luaspan_field(L, "none", arena).at);
    assert_int_equal(lua_gettop(L), top);

    struct pair pairs[] = { { SPAN("a"), SPAN("1") }, { SPAN("b"), SPAN_NONE } };
    luaspan_push_pairs(L, pairs, 2);
    assert_true(lua_holds(
        L, "#v == 2 and v[1][1] == 'a' and v[1][2] == '1' and v[2][1] == 'b' and v[2][2] == nil"));
    return VM_OK;
}

static void texts_cross_both_ways(void **state) {
    struct arena arena;
    arena_init(&arena, 1024);
    assert_int_equal(lua_run(both_ways, &arena), VM_OK);
    arena_deinit(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(texts_cross_both_ways) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
