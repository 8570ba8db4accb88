#include "script/rawjson.h"

#include "base/span.h"
#include "script/rawscan.h"

#include <lauxlib.h>
#include <stdio.h>

/* ---- Lua values ---- */

static struct rawscan text_at(lua_State *L, int index) {
    struct rawscan t = { 0 };
    t.at = luaL_checklstring(L, index, &t.len);
    return t;
}

/* nil and what is wrong. */
static int push_wrong(lua_State *L, const struct rawscan *t) {
    char message[80];
    snprintf(message, sizeof message, "%s at byte %zu", t->wrong, t->wrong_at + 1);
    lua_pushnil(L);
    lua_pushstring(L, message);
    return 2;
}

static unsigned hex4(const char *at) {
    unsigned code = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)at[i];
        code = code * 16 + (c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return code;
}

static void add_utf8(luaL_Buffer *b, unsigned code) {
    if (code < 0x80) {
        luaL_addchar(b, (char)code);
        return;
    }
    if (code < 0x800) {
        luaL_addchar(b, (char)(0xc0 | code >> 6));
    } else {
        if (code < 0x10000) {
            luaL_addchar(b, (char)(0xe0 | code >> 12));
        } else {
            luaL_addchar(b, (char)(0xf0 | code >> 18));
            luaL_addchar(b, (char)(0x80 | (code >> 12 & 0x3f)));
        }
        luaL_addchar(b, (char)(0x80 | (code >> 6 & 0x3f)));
    }
    luaL_addchar(b, (char)(0x80 | (code & 0x3f)));
}

/* The character of a checked \uXXXX at `at`, with a second one that belongs to it; returns what
 * follows. Half of a pair means nothing. */
static const char *add_unicode(luaL_Buffer *b, const char *at, const char *end) {
    unsigned code = hex4(at + 2);
    at += 6;
    if (code >= 0xd800 && code < 0xdc00) {
        unsigned low = end - at >= 6 && at[0] == '\\' && at[1] == 'u' ? hex4(at + 2) : 0;
        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            at += 6;
        } else {
            code = 0xfffd;
        }
    } else if (code >= 0xdc00 && code < 0xe000) {
        code = 0xfffd;
    }
    add_utf8(b, code);
    return at;
}

static void push_unescaped(lua_State *L, const char *at, const char *end) {
    static const char names[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    while (at < end) {
        const char *slash = memchr(at, '\\', (size_t)(end - at));
        luaL_addlstring(&b, at, (size_t)((slash ? slash : end) - at));
        if (!slash)
            break;
        if (slash[1] == 'u') {
            at = add_unicode(&b, slash, end);
        } else {
            luaL_addchar(&b, means[strchr(names, slash[1]) - names]);
            at = slash + 2;
        }
    }
    luaL_pushresult(&b);
}

/* The text of a checked string with its quotes. */
static void push_string(lua_State *L, const struct rawscan *t, size_t from, size_t to) {
    const char *at = t->at + from + 1, *end = t->at + to - 1;
    if (memchr(at, '\\', (size_t)(end - at)))
        push_unescaped(L, at, end);
    else
        lua_pushlstring(L, at, (size_t)(end - at));
}

static void push_slice(lua_State *L, const struct rawscan *t, size_t from, size_t to) {
    lua_pushlstring(L, t->at + from, to - from);
}

static void set_position(lua_State *L, const char *name, size_t at) {
    lua_pushnumber(L, (lua_Number)(at + 1));
    lua_setfield(L, -2, name);
}

static void push_member(lua_State *L, const struct rawscan *t, const struct rawscan_element *e) {
    lua_createtable(L, 0, 5);
    push_string(L, t, e->key, e->key_end);
    lua_setfield(L, -2, "key");
    push_slice(L, t, e->value, e->end);
    lua_setfield(L, -2, "raw");
    set_position(L, "from", e->key);
    set_position(L, "value_from", e->value);
    set_position(L, "to", e->end);
}

/* Most objects have few members, most arrays one item; growing a table costs more than filling it. */
enum { MEMBERS_EXPECTED = 4, ITEMS_EXPECTED = 1 };

/* ---- slices ---- */

static int members(lua_State *L) {
    struct rawscan t = text_at(L, 1);
    struct rawscan_walk w = rawscan_walk(&t, '{', '}');
    struct rawscan_element e;
    lua_newtable(L);
    for (int n = 1; rawscan_next(&w, &e); n++) {
        push_member(L, &t, &e);
        lua_rawseti(L, -2, n);
    }
    return t.wrong ? push_wrong(L, &t) : 1;
}

static int fields(lua_State *L) {
    struct rawscan t = text_at(L, 1);
    struct rawscan_walk w = rawscan_walk(&t, '{', '}');
    struct rawscan_element e;
    lua_createtable(L, 0, MEMBERS_EXPECTED);
    while (rawscan_next(&w, &e)) {
        push_string(L, &t, e.key, e.key_end);
        push_slice(L, &t, e.value, e.end);
        lua_rawset(L, -3);
    }
    return t.wrong ? push_wrong(L, &t) : 1;
}

/* Fields, and their keys in order. */
static int ordered(lua_State *L) {
    struct rawscan t = text_at(L, 1);
    struct rawscan_walk w = rawscan_walk(&t, '{', '}');
    struct rawscan_element e;
    lua_createtable(L, 0, 2 * MEMBERS_EXPECTED);
    lua_createtable(L, 2 * MEMBERS_EXPECTED, 0);
    for (int n = 1; rawscan_next(&w, &e); n++) {
        push_string(L, &t, e.key, e.key_end);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, n); /* stack: text, fields, keys, key */
        push_slice(L, &t, e.value, e.end);
        lua_rawset(L, 2);
    }
    return t.wrong ? push_wrong(L, &t) : 2;
}

static int items(lua_State *L) {
    struct rawscan t = text_at(L, 1);
    struct rawscan_walk w = rawscan_walk(&t, '[', ']');
    struct rawscan_element e;
    lua_newtable(L);
    for (int n = 1; rawscan_next(&w, &e); n++) {
        push_slice(L, &t, e.value, e.end);
        lua_rawseti(L, -2, n);
    }
    return t.wrong ? push_wrong(L, &t) : 1;
}

static const char *kind_of(const struct rawscan *t) {
    switch (rawscan_peek(t, rawscan_skip(t, 0))) {
    case -1:
        return NULL;
    case '{':
        return "object";
    case '[':
        return "array";
    case '"':
        return "string";
    case 't':
    case 'f':
        return "boolean";
    case 'n':
        return "null";
    default:
        return "number";
    }
}

static int kind(lua_State *L) {
    if (!lua_toboolean(L, 1))
        return 0;
    struct rawscan t = text_at(L, 1);
    lua_pushstring(L, kind_of(&t)); /* nil of NULL */
    return 1;
}

static int text(lua_State *L) {
    if (!lua_toboolean(L, 1))
        return 0;
    struct rawscan t = text_at(L, 1);
    size_t from = rawscan_skip(&t, 0);
    size_t to = rawscan_peek(&t, from) == '"' ? rawscan_string(&t, from) : RAWSCAN_NOWHERE;
    if (to == RAWSCAN_NOWHERE)
        return 0;
    push_string(L, &t, from, to);
    return 1;
}

static int valid(lua_State *L) {
    struct rawscan t = text_at(L, 1);
    size_t end = rawscan_value(&t, rawscan_skip(&t, 0));
    if (end != RAWSCAN_NOWHERE && rawscan_skip(&t, end) < t.len)
        end = rawscan_malformed(&t, end, "something follows the value");
    lua_pushboolean(L, end != RAWSCAN_NOWHERE);
    if (end != RAWSCAN_NOWHERE)
        return 1;
    push_wrong(L, &t);
    lua_remove(L, -2);
    return 2;
}

/* ---- whole values ---- */

/* A checked number. */
static void push_number(lua_State *L, const char *at, size_t len) {
    enum { EXACT = 15 }; /* digits */
    int64_t n = 0;
    size_t i = 0;
    while (i < len && i < EXACT && at[i] >= '0' && at[i] <= '9')
        n = n * 10 + (at[i++] - '0');
    if (i == len) {
        lua_pushnumber(L, (lua_Number)n);
        return;
    }
    lua_pushlstring(L, at, len);
    lua_Number any = lua_tonumber(L, -1);
    lua_pop(L, 1);
    lua_pushnumber(L, any);
}

static size_t push_scalar(lua_State *L, struct rawscan *t, size_t at) {
    size_t end = rawscan_scalar(t, at);
    if (end == RAWSCAN_NOWHERE)
        return end;
    switch (t->at[at]) {
    case 't':
    case 'f':
        lua_pushboolean(L, t->at[at] == 't');
        break;
    case 'n':
        lua_pushlightuserdata(L, NULL); /* as cjson has it */
        break;
    default:
        push_number(L, t->at + at, end - at);
    }
    return end;
}

static size_t push_value(lua_State *L, struct rawscan *t, size_t at, unsigned depth);

/* Behind a value: at the next one, or behind the closing byte with `*over`. */
static size_t next_value(struct rawscan *t, size_t at, char closing, bool *over) {
    at = rawscan_skip(t, at);
    int c = rawscan_peek(t, at);
    *over = c == closing;
    if (*over)
        return at + 1;
    return c == ',' ? rawscan_skip(t, at + 1)
                    : rawscan_malformed(t, at, "expected a comma or the end");
}

static size_t push_object(lua_State *L, struct rawscan *t, size_t at, unsigned depth) {
    bool over = rawscan_peek(t, at) == '}';
    lua_createtable(L, 0, over ? 0 : MEMBERS_EXPECTED);
    at += over;
    while (!over) {
        size_t key = at, key_end;
        at = rawscan_member(t, at, &key_end);
        if (at == RAWSCAN_NOWHERE)
            return at;
        push_string(L, t, key, key_end);
        at = push_value(L, t, at, depth);
        if (at == RAWSCAN_NOWHERE)
            return at;
        lua_rawset(L, -3);
        at = next_value(t, at, '}', &over);
        if (at == RAWSCAN_NOWHERE)
            return at;
    }
    return at;
}

static size_t push_array(lua_State *L, struct rawscan *t, size_t at, unsigned depth) {
    bool over = rawscan_peek(t, at) == ']';
    lua_createtable(L, over ? 0 : ITEMS_EXPECTED, 0);
    at += over;
    for (int n = 1; !over; n++) {
        at = push_value(L, t, at, depth);
        if (at == RAWSCAN_NOWHERE)
            return at;
        lua_rawseti(L, -2, n);
        at = next_value(t, at, ']', &over);
        if (at == RAWSCAN_NOWHERE)
            return at;
    }
    return at;
}

/* Builds the value at `at`, within so many others, and returns its end. When it is malformed, what
 * was built of it is left on the stack. */
static size_t push_value(lua_State *L, struct rawscan *t, size_t at, unsigned depth) {
    int c = rawscan_peek(t, at);
    if (c == '"') {
        size_t end = rawscan_string(t, at);
        if (end != RAWSCAN_NOWHERE)
            push_string(L, t, at, end);
        return end;
    }
    if (c != '{' && c != '[')
        return push_scalar(L, t, at);
    if (depth == RAWSCAN_DEPTH)
        return rawscan_malformed(t, at, "nested too deeply");
    luaL_checkstack(L, 4, "JSON");
    at = rawscan_skip(t, at + 1);
    return (c == '{' ? push_object : push_array)(L, t, at, depth + 1);
}

static int read(lua_State *L) {
    struct rawscan t = text_at(L, 1);
    size_t end = push_value(L, &t, rawscan_skip(&t, 0), 0);
    if (end != RAWSCAN_NOWHERE && rawscan_skip(&t, end) < t.len)
        (void)rawscan_malformed(&t, end, "something follows the value");
    return t.wrong ? push_wrong(L, &t) : 1;
}

/* ---- texts ---- */

static void add_escaped(luaL_Buffer *b, unsigned char c) {
    static const char names[] = "\b\f\n\r\t\"\\", writes[] = "bfnrt\"\\";
    const char *named = c ? strchr(names, c) : NULL;
    char code[8];
    if (named) {
        luaL_addchar(b, '\\');
        luaL_addchar(b, writes[named - names]);
    } else {
        snprintf(code, sizeof code, "\\u%04x", c);
        luaL_addstring(b, code);
    }
}

/* A text as a JSON string. */
static void push_quoted(lua_State *L, struct span s) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addchar(&b, '"');
    while (s.len) {
        size_t plain = rawscan_plain(s.at, s.len);
        luaL_addlstring(&b, s.at, plain);
        s = span_sub(s, plain, s.len);
        if (s.len) {
            add_escaped(&b, (unsigned char)s.at[0]);
            s = span_sub(s, 1, s.len);
        }
    }
    luaL_addchar(&b, '"');
    luaL_pushresult(&b);
}

static int quote(lua_State *L) {
    struct rawscan t = text_at(L, 1);
    push_quoted(L, (struct span){ t.at, t.len });
    return 1;
}

/* All but the bytes that go on with a character. */
static int characters(lua_State *L) {
    struct rawscan t = text_at(L, 1);
    size_t n = 0;
    for (size_t i = 0; i < t.len; i++)
        n += ((unsigned char)t.at[i] & 0xc0) != 0x80;
    lua_pushnumber(L, (lua_Number)n);
    return 1;
}

/* ---- splice ---- */

/* Where an edit cuts, and what it leaves out of the text. */
struct cut {
    size_t from, to;
    bool add;   /* nothing is there yet: a member is added before the closing byte */
    bool comma; /* behind another */
};

static bool has_key(lua_State *L, const struct rawscan *t, const struct rawscan_element *e,
                    struct span key) {
    if (!memchr(t->at + e->key, '\\', e->key_end - e->key))
        return span_eq((struct span){ t->at + e->key + 1, e->key_end - e->key - 2 }, key);
    struct span unescaped;
    push_string(L, t, e->key, e->key_end);
    unescaped.at = lua_tolstring(L, -1, &unescaped.len);
    bool same = span_eq(unescaped, key);
    lua_pop(L, 1);
    return same;
}

/* Of a repeated key the last one is meant. A member that is taken out goes with the comma that
 * belongs to it. False when the text is malformed. */
static bool find_cut(lua_State *L, struct rawscan *t, struct span key, bool remove,
                     struct cut *cut) {
    struct rawscan_walk w = rawscan_walk(t, '{', '}');
    struct rawscan_element e;
    size_t before = RAWSCAN_NOWHERE; /* the end of the member before */
    bool behind = false;             /* the one before is what is cut */
    cut->add = true;
    while (rawscan_next(&w, &e)) {
        if (behind && remove)
            cut->to = e.key;
        behind = has_key(L, t, &e, key);
        if (behind) {
            cut->add = false;
            cut->from = remove ? e.key : e.value;
            cut->to = e.end;
            if (remove && w.over && before != RAWSCAN_NOWHERE)
                cut->from = before;
        }
        before = e.end;
    }
    if (cut->add)
        cut->from = cut->to = w.at - 1;
    cut->comma = before != RAWSCAN_NOWHERE;
    return !t->wrong;
}

/* stack: text, edits, edit, key, raw. Leaves the changed text in the place of the first. */
static void apply(lua_State *L, const struct rawscan *t, const struct cut *cut, struct span key,
                  bool remove) {
    int top = lua_gettop(L);
    push_slice(L, t, 0, cut->from);
    if (cut->add) {
        lua_pushstring(L, cut->comma ? "," : "");
        push_quoted(L, key);
        lua_pushstring(L, ":");
    }
    if (!remove)
        lua_pushvalue(L, 5);
    push_slice(L, t, cut->to, t->len);
    lua_concat(L, lua_gettop(L) - top);
    lua_replace(L, 1);
}

/* One edit, which is on top of the stack. False when the text is malformed. */
static bool edit(lua_State *L, struct rawscan *t) {
    struct cut cut = { 0 };
    struct span key;
    lua_getfield(L, 3, "key");
    lua_getfield(L, 3, "raw");
    key.at = luaL_checklstring(L, 4, &key.len);
    bool remove = !lua_toboolean(L, 5);
    if (!remove)
        luaL_checkstring(L, 5);
    if (!find_cut(L, t, key, remove, &cut))
        return false;
    if (!cut.add || !remove) {
        apply(L, t, &cut, key, remove);
        *t = text_at(L, 1);
    }
    return true;
}

static int splice(lua_State *L) {
    struct rawscan t = text_at(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    for (int i = 1;; i++) {
        lua_rawgeti(L, 2, i); /* stack: text, edits, edit */
        if (lua_isnil(L, 3))
            break;
        if (!edit(L, &t))
            return push_wrong(L, &t);
        lua_settop(L, 2);
    }
    struct rawscan_walk w = rawscan_walk(&t, '{', '}');
    struct rawscan_element e;
    while (rawscan_next(&w, &e))
        continue; /* what was put in is checked like the rest */
    if (t.wrong)
        return push_wrong(L, &t);
    lua_pushvalue(L, 1);
    return 1;
}

int rawjson_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        { "members", members },       { "fields", fields }, { "ordered", ordered },
        { "items", items },           { "kind", kind },     { "text", text },
        { "valid", valid },           { "read", read },     { "quote", quote },
        { "characters", characters }, { "splice", splice }, { NULL, NULL },
    };
    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    return 1;
}
