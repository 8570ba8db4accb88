/* Slices out of JSON texts: in C as in lua/perilune/json.lua's own Lua, message for message. */
#include "fuzz/fuzz.h"

#include "script/embed.h"
#include "script/vm.h"

#include <lauxlib.h>

static struct vm *vm;
static int check; /* the function both(text, edits), in the registry */

/* Two of the module: without what is in C, and with it. */
static const char KIT[] =
    "local source = ...\n"
    "local chunk = assert(loadstring(source, '@json.lua'))\n"
    "setfenv(chunk, setmetatable({ require = function(name)\n"
    "  if name == 'perilune.rawjson' then error 'not here' end\n"
    "  return require(name)\n"
    "end }, { __index = _G }))\n"
    "local plain, native = chunk(), require 'perilune.json'\n"
    "assert(plain.valid ~= native.valid)\n"
    "local function same(a, b)\n"
    "  if type(a) ~= 'table' or type(b) ~= 'table' then return a == b end\n"
    "  for k, v in pairs(a) do if not same(v, b[k]) then return false end end\n"
    "  for k in pairs(b) do if a[k] == nil then return false end end\n"
    "  return true\n"
    "end\n"
    "local function compare(name, ...)\n"
    "  local a, why_a = plain[name](...)\n"
    "  local b, why_b = native[name](...)\n"
    "  if not same(a, b) or not same(why_a, why_b) then\n"
    "    error(('%s: %s (%s) in Lua, %s (%s) in C'):format(name, tostring(a), tostring(why_a),\n"
    "      tostring(b), tostring(why_b)), 0)\n"
    "  end\n"
    "end\n"
    "local names = { 'model', 'choices', 'id', 'new' }\n"
    "return function(text, which)\n"
    "  for _, name in ipairs { 'members', 'fields', 'ordered', 'items', 'kind', 'text', 'valid', "
    "'read', 'quote', 'characters' } do\n"
    "    compare(name, text)\n"
    "  end\n"
    "  local edits = {}\n"
    "  for i, name in ipairs(names) do\n"
    "    local how = bit.band(bit.rshift(which, 2 * i - 2), 3)\n"
    "    if how > 0 then edits[#edits + 1] = { key = name, raw = how > 1 and text or nil } end\n"
    "  end\n"
    "  compare('splice', text, edits)\n"
    "end\n";

static enum vm_result set_up(lua_State *L, void *arg) {
    struct span source = embedded_find(SPAN("lua/perilune/json.lua"))->text;
    if (luaL_loadstring(L, KIT) != 0)
        lua_error(L);
    lua_pushlstring(L, source.at, source.len);
    lua_call(L, 1, 1);
    check = luaL_ref(L, LUA_REGISTRYINDEX);
    return VM_OK;
}

struct input {
    struct span text;
    uint8_t which;
};

static enum vm_result compare(lua_State *L, void *arg) {
    const struct input *in = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, check);
    lua_pushlstring(L, in->text.at, in->text.len);
    lua_pushinteger(L, in->which);
    lua_call(L, 2, 0);
    return VM_OK;
}

static void one(struct span text, const uint8_t *tail) {
    struct input in = { text, tail[0] };
    if (!vm) {
        vm = vm_new(VM_TRUSTED, 256 << 20, NULL);
        if (vm_call(vm, NULL, 0, set_up, NULL) != VM_OK)
            fuzz_fail("%s", vm_error(vm));
    }
    if (vm_call(vm, NULL, 0, compare, &in) != VM_OK)
        fuzz_fail("%s\n%.*s", vm_error(vm), SPAN_ARGS(text));
}

static const struct fuzz_folder folders[] = {
    { "fixtures/openai_chat", ".json", 2 },
    { "fixtures/gemini", ".json", 8 },
    { "fuzz/texts/json", ".json", 9 },
    { 0 },
};
const struct fuzz_target fuzz_target = {
    .name = "rawjson", .folders = folders, .tail = 1, .iterations = 5000, .one = one
};
