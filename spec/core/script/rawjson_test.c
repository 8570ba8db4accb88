/* Slices out of JSON texts, in C against the same in Lua. */
#include "lua_unit.h"

#include "script/embed.h"

#include <time.h>

/* What the tests below share. `plain` is perilune.json without this module, `native` with it. */
static const char KIT[] =
    "local source = ...\n"
    "local chunk = assert(loadstring(source, '@json.lua'))\n"
    "setfenv(chunk, setmetatable({ require = function(name)\n"
    "  if name == 'perilune.rawjson' then error 'not here' end\n"
    "  return require(name)\n"
    "end }, { __index = _G }))\n"
    "plain, native, raw = chunk(), require 'perilune.json', require 'perilune.rawjson'\n"
    "for name, f in pairs(raw) do\n"
    "  assert(native[name] == f and plain[name] ~= f and type(plain[name]) == 'function', name)\n"
    "end\n"
    "function same(a, b)\n"
    "  if type(a) ~= 'table' or type(b) ~= 'table' then return a == b end\n"
    "  for k, v in pairs(a) do if not same(v, b[k]) then return false end end\n"
    "  for k in pairs(b) do if a[k] == nil then return false end end\n"
    "  return true\n"
    "end\n"
    "function both(name, ...)\n"
    "  local a, why_a = plain[name](...)\n"
    "  local b, why_b = native[name](...)\n"
    "  if not same(a, b) or not same(why_a, why_b) then\n"
    "    error(('%s of %q: %s (%s) in Lua and %s (%s) in C'):format(name, (...), tostring(a),\n"
    "      tostring(why_a), tostring(b), tostring(why_b)), 0)\n"
    "  end\n"
    "  return b, why_b\n"
    "end\n"
    "EDITS = {\n"
    "  {}, { { key = 'a' } }, { { key = 'b', raw = '[ ]' } }, { { key = 'new\\n\"\\1\\127', raw = "
    "'1' } },\n"
    "  { { key = 'a' }, { key = 'b' }, { key = 'c' }, { key = 'z' } },\n"
    "  { { key = 'c', raw = '2' }, { key = 'c' }, { key = 'd', raw = '{}' }, { key = 'd', raw = "
    "'x' } },\n"
    "  { { key = 'e', raw = '1,\"f\":2' }, { key = 'f' } },\n"
    "}\n"
    "function all(text)\n"
    "  for _, name in ipairs { 'members', 'fields', 'ordered', 'items', 'kind', 'text', 'valid', "
    "'read', 'quote', 'characters' } do both(name, text) end\n"
    "  for _, edits in ipairs(EDITS) do both('splice', text, edits) end\n"
    "end\n";

static const char TEXTS[] =
    "TEXTS = {\n"
    "  '', ' ', '{', '[]', '\"x\"', '{}x', '{\"a\":}', '{\"a\" 1}', '{a:1}', '{\"a\":1,}', "
    "'{\"a\":tru}',\n"
    "  '{\"a\":01}', '{\"a\":1.}', '{\"a\":+1}', '{\"a\":-}', '{\"a\":1e}', '{\"a\":1e+}', "
    "'{\"a\":-0.5E-10}',\n"
    "  '{\"a\":\"\\1\"}', '{\"a\":\"\\127\"}', '{\"a\":\"\\\\x\"}', '{\"a\":\"\\\\u12g4\"}', "
    "'{\"a\":\"\\\\u12',\n"
    "  '{\"a\":\"', '{\"a\":\"\\\\', '{\"a\":[1,]}', '{\"a\":[1 2]}', '{\"a\":{\"b\"}}', "
    "'{\"a\":nan}', '{\"a\":[}',\n"
    "  '\\0', '{\"a\\0b\":1}', '[1\\0]', '{\"a\":\"12345678\\0\"}', '{}\\0', 'true', ' false ', "
    "'nullx', '-', '-0',\n"
    "  '[1,\"x\"', '[1]]', '[]{}', '{\"a\":1 ', '{\"a\":1}}', '[,]', '{,}', '{\"a\":1 \"b\":2}',\n"
    "  ' { \"a\" : 1 , \"b\\\\u0064\": [ ],\"c\":{\"z\":1,\"a\":12345678901234567890} } ',\n"
    "  '{\"a\":1,\"b\":2,\"c\":3}', '{\"c\":1,\"c\":2,\"a\":[[[{}]]],\"c\":3}', "
    "'{\"\\\\u0061\":1,\"b\\\\/\":2}',\n"
    "  '[1, {\"a\":[]}, \"x,]\" ,null]', ' [ ] ', ' { } ', "
    "'\"a\\\\\"\\\\\\\\\\\\/\\\\b\\\\f\\\\n\\\\r\\\\t\"',\n"
    "  '\"\\\\u00e9\\\\u20AC\\\\ud83d\\\\ude00\\\\ud83dx\\\\ude00\\\\ud83d\\\\u0041\\\\u0000\"', "
    "'\"\\\\ud83d\"', '\"abc\"rest',\n"
    "  '\"12345678\\\\n1234567890123456\\\\\"x\"', '\"\\195\\188\\240\\159\\152\\128 long enough "
    "for eight\"',\n"
    "  ('['):rep(256) .. (']'):rep(256), ('['):rep(257) .. (']'):rep(257),\n"
    "  '{\"a\":' .. ('['):rep(256) .. (']'):rep(256) .. '}', '{\"a\":' .. ('{\"x\":'):rep(257) .. "
    "'1' .. ('}'):rep(257) .. '}',\n"
    "}\n";

static void run(lua_State *L, const char *lua) {
    if (luaL_loadstring(L, lua) != 0)
        lua_error(L);
    lua_call(L, 0, 0);
}

/* Leaves the kit's globals behind. */
static void open_kit(lua_State *L) {
    const struct embedded_file *json = embedded_find(SPAN("lua/perilune/json.lua"));
    if (luaL_loadstring(L, KIT) != 0)
        lua_error(L);
    lua_pushlstring(L, json->text.at, json->text.len);
    lua_call(L, 1, 0);
    run(L, TEXTS);
}

static enum vm_result all_texts(lua_State *L, void *arg) {
    open_kit(L);
    run(L, "for _, text in ipairs(TEXTS) do all(text) end");
    return VM_OK;
}

static void agrees_with_lua(void **state) {
    assert_int_equal(lua_run(all_texts, NULL), VM_OK);
}

/* Texts are changed in some bytes, taken from those that mean something. */
static enum vm_result changed_texts(lua_State *L, void *arg) {
    open_kit(L);
    lua_pushinteger(L, *(int *)arg);
    lua_setglobal(L, "seed");
    run(L, "math.randomseed(seed)\n"
           "local bytes = '{}[]\",:\\\\ \\n\\0u0d8eE+-.19tfnabc\\31\\127\\195'\n"
           "for i = 1, 250 do\n"
           "  local text = TEXTS[math.random(#TEXTS)]\n"
           "  if #text > 0 and #text < 200 then\n"
           "    for n = 1, math.random(3) do\n"
           "      local at, with = math.random(#text), math.random(#bytes)\n"
           "      text = text:sub(1, at - math.random(0, 1)) .. bytes:sub(with, with) .. "
           "text:sub(at + 1)\n"
           "    end\n"
           "    all(text)\n"
           "    all('{\"a\":' .. text .. '}')\n"
           "  end\n"
           "end");
    return VM_OK;
}

static void agrees_on_changed_texts(void **state) {
    for (int seed = 1; seed <= 8; seed++)
        assert_int_equal(lua_run(changed_texts, &seed), VM_OK);
}

/* Every way there is to say each: so that agreeing is not both being wrong. */
static enum vm_result some_results(lua_State *L, void *arg) {
    open_kit(L);
    lua_value(L, "{ raw.members '{ \"a\\\\u0062\" : [1, 2] }' }");
    assert_true(lua_holds(L, "#v == 1 and same(v[1], { { key = 'ab', raw = '[1, 2]', from = 3, "
                             "value_from = 15, to = 21 } })"));
    lua_value(L, "raw.fields '{\"a\":1,\"b\":{},\"a\":2}'");
    assert_true(lua_holds(L, "same(v, { a = '2', b = '{}' })"));
    lua_value(L, "raw.items '[1, \"x\"]'");
    assert_true(lua_holds(L, "same(v, { '1', '\"x\"' })"));
    lua_value(L, "{ raw.ordered '{\"b\":1,\"a\":{},\"b\":2}' }");
    assert_true(lua_holds(L, "same(v, { { a = '{}', b = '2' }, { 'b', 'a', 'b' } })"));
    lua_value(L, "raw.read ' {\"a\":[1,-2.5e3,true,false,{\"b\":\"\\\\n\"},[]]} '");
    assert_true(lua_holds(L, "same(v, { a = { 1, -2500, true, false, { b = '\\n' }, {} } })"));
    lua_value(L, "{ raw.read 'null', raw.read '[1,]' }");
    assert_true(lua_holds(L, "v[1] == require('cjson').null and v[2] == nil and v[3] == "
                             "'unexpected character at byte 4'"));
    lua_value(L, "raw.quote 'a\"\\\\\\n\\1\\127\\0'");
    assert_true(lua_holds(L, "v == '\"a\\\\\"\\\\\\\\\\\\n\\\\u0001\\127\\\\u0000\"'"));
    lua_value(L, "raw.characters 'a\\195\\188\\240\\159\\152\\128'");
    assert_true(lua_holds(L, "v == 3"));
    lua_value(L, "{ raw.items '[1' }");
    assert_true(lua_holds(L, "v[1] == nil and v[2] == 'expected a comma or the end at byte 3'"));
    lua_value(L, "{ raw.valid '[1' }");
    assert_true(lua_holds(L, "v[1] == false and v[2] == 'expected a comma or the end at byte 3'"));
    lua_value(L, "raw.splice('{\"a\": 1, \"b\":2}', { { key = 'a', raw = '3' }, { key = 'b' }, { "
                 "key = 'c', raw = '4' } })");
    assert_true(lua_holds(L, "v == '{\"a\": 3,\"c\":4}'"));
    lua_value(L, "{ raw.kind(nil), raw.text(nil), raw.text '1', raw.kind ' {}' }");
    assert_true(lua_holds(L, "v[1] == nil and v[2] == nil and v[3] == nil and v[4] == 'object'"));
    lua_value(L, "{ pcall(raw.fields, nil) }");
    assert_true(lua_holds(L, "v[1] == false"));
    return VM_OK;
}

static void results_are_right(void **state) {
    assert_int_equal(lua_run(some_results, NULL), VM_OK);
}

/* A policy's state is left by a jump at any time and has the Lua functions. */
static enum vm_result is_not_there(lua_State *L, void *arg) {
    lua_value(L, "{ pcall(require, 'perilune.rawjson') }");
    assert_true(lua_holds(L, "v[1] == false"));
    lua_value(L, "require('perilune.json').fields '{\"a\":1}'.a");
    assert_true(lua_holds(L, "v == '1'"));
    return VM_OK;
}

static void policies_have_none(void **state) {
    struct vm *vm = vm_new(VM_POLICY, 64 << 20, NULL);
    assert_int_equal(vm_call(vm, NULL, 0, is_not_there, NULL), VM_OK);
    vm_free(vm);
}

/* ---- `script_rawjson_test figures`: a request of 400 KB and a hundred messages ---- */

static const char REQUEST[] =
    "local text = ('The quick brown fox says: \\\\\"hello\\\\\"\\\\n'):rep(100)\n"
    "local list = {}\n"
    "for i = 1, 100 do list[i] = '{\"role\":\"user\",\"content\":\"' .. text .. '\"}' end\n"
    "request = '{\"model\":\"m\",\"messages\":[' .. table.concat(list, ',') .. ']}'\n"
    "function cut(json)\n"
    "  local items = json.items(json.fields(request).messages)\n"
    "  for _, item in ipairs(items) do json.fields(item) end\n"
    "end\n"
    "function edit(json) json.splice(request, { { key = 'model', raw = '\"x\"' }, { key = 'models' "
    "} }) end\n";

static double milliseconds(lua_State *L, const char *lua, int rounds) {
    clock_t from = clock();
    for (int i = 0; i < rounds; i++)
        run(L, lua);
    return (double)(clock() - from) * 1000 / CLOCKS_PER_SEC / rounds;
}

static enum vm_result measure(lua_State *L, void *arg) {
    open_kit(L);
    run(L, REQUEST);
    print_message("cut up: %.2f ms in Lua, %.2f ms in C; edited: %.2f ms in Lua, %.2f ms in C\n",
                  milliseconds(L, "cut(plain)", 5), milliseconds(L, "cut(native)", 50),
                  milliseconds(L, "edit(plain)", 5), milliseconds(L, "edit(native)", 50));
    return VM_OK;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "figures") == 0)
        return lua_run(measure, NULL) != VM_OK;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_lua),
        cmocka_unit_test(agrees_on_changed_texts),
        cmocka_unit_test(results_are_right),
        cmocka_unit_test(policies_have_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
