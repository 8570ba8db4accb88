#include "lua_unit.h"

#include "script/embed.h"
#include "script/loader.h"

#include <sys/stat.h>

static enum vm_result compile_ahead(lua_State *L, void *arg) {
    struct snapshot *snap = arg;
    snap->n_library = loader_compile(L, snap->config.lua_dir.at, &snap->arena, &snap->library);
    return VM_OK;
}

static enum vm_result require_host(lua_State *L, void *arg) {
    lua_value(L, "require 'perilune.host'");
    return lua_holds(L, "type(v.decide) == 'function' and v == require 'perilune.host'")
               ? VM_OK
               : VM_BAD_RESULT;
}

static void a_compiled_library_is_the_same(void **state) {
    struct snapshot *snap = snapshot_new();
    assert_int_equal(lua_run(compile_ahead, snap), VM_OK);
    size_t modules = 0;
    for (size_t i = 0; i < embedded_count; i++)
        modules += span_starts(embedded_files[i].path, SPAN("lua/perilune/")) &&
                   !span_starts(embedded_files[i].path, SPAN("lua/perilune/spec"));
    assert_int_equal(snap->n_library, modules);
    snapshot_seal(snap);
    struct vm_library library = loader_library(snap);
    struct vm *vm = vm_new(VM_POLICY, 16 << 20, &library);
    assert_int_equal(vm_call(vm, NULL, 0, require_host, NULL), VM_OK);
    vm_free(vm);
    snapshot_unref(snap);
    assert_int_equal(lua_run(require_host, NULL), VM_OK);
}

static enum vm_result require_dialect(lua_State *L, void *arg) {
    lua_value(L, "require 'perilune.dialects.openai_chat'");
    return lua_holds(L, arg) ? VM_OK : VM_BAD_RESULT;
}

static void a_folder_goes_into_what_is_compiled(void **state) {
    char dir[] = "/tmp/perilune-loader-XXXXXX", path[200];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "mkdir -p %s/perilune/dialects", dir);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof path, "%s/perilune/dialects/openai_chat.lua", dir);
    FILE *f = fopen(path, "w");
    fputs("return { mine = true }", f);
    fclose(f);

    struct snapshot *snap = snapshot_new();
    snap->config.lua_dir = span_of(dir);
    assert_int_equal(lua_run(compile_ahead, snap), VM_OK);
    remove(path);
    struct vm_library library = { snap->library, snap->n_library, NULL };
    struct vm *vm = vm_new(VM_TRUSTED, 16 << 20, &library);
    assert_int_equal(vm_call(vm, NULL, 0, require_dialect, "v.mine == true"), VM_OK);
    vm_free(vm);
    snapshot_unref(snap);
    assert_int_equal(lua_run(require_dialect, "v.mine == nil"), VM_OK);
    snprintf(path, sizeof path, "rm -rf %s", dir);
    assert_int_equal(system(path), 0);
}

static enum vm_result require_none(lua_State *L, void *arg) {
    static const char *const names[] = { "perilune.",     "perilune..host",  ".perilune",
                                         "perilune/host", "perilune.Host",   "host",
                                         "ffi",           "perilune.nobody", "",
                                         "../perilune" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lua_getglobal(L, "pcall");
        lua_getglobal(L, "require");
        lua_pushstring(L, names[i]);
        lua_call(L, 2, 1);
        if (lua_toboolean(L, -1))
            return luaL_error(L, "'%s' was loaded", names[i]);
        lua_pop(L, 1);
    }
    return VM_OK;
}

static void nothing_else_is_found(void **state) {
    assert_int_equal(lua_run(require_none, NULL), VM_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_compiled_library_is_the_same),
        cmocka_unit_test(a_folder_goes_into_what_is_compiled),
        cmocka_unit_test(nothing_else_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
