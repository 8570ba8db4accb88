#include "script/rawjson.h"

#include "base/span.h"

#include <lauxlib.h>
#include <stdio.h>

enum { DEPTH_MAX = 256 };

/* Where a scan failed returns this for a position; why is in the text then. */
#define NOWHERE SIZE_MAX

/* A text being scanned. Positions count from 0 here and from 1 in Lua. */
struct text {
    const char *at;
    size_t len;
    const char *wrong; /* what is malformed, at `wrong_at` */
    size_t wrong_at;
};

static size_t malformed(struct text *t, size_t at, const char *what) {
    t->wrong = what;
    t->wrong_at = at;
    return NOWHERE;
}

/* The byte at a position, -1 behind the end. */
static int peek(const struct text *t, size_t at) {
    return at < t->len ? (unsigned char)t->at[at] : -1;
}

static size_t skip(const struct text *t, size_t at) {
    for (;; at++) {
        int c = peek(t, at);
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return at;
    }
}

/* ---- values ---- */

static bool is_hex(int c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_digit(int c) {
    return c >= '0' && c <= '9';
}

/* Whether none of eight bytes ends a string, escapes or is a control character. */
static bool is_plain8(const char *bytes) {
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    uint64_t w, quotes, slashes;
    memcpy(&w, bytes, sizeof w);
    quotes = w ^ (ones * '"');
    slashes = w ^ (ones * '\\');
    return !(
        (((w - ones * ' ') & ~w) | ((quotes - ones) & ~quotes) | ((slashes - ones) & ~slashes)) &
        highs);
}

/* The end of an escape; `at` is its backslash. */
static size_t escape_end(struct text *t, size_t at) {
    int c = peek(t, at + 1);
    if (c == 'u') {
        for (size_t i = 2; i < 6; i++)
            if (!is_hex(peek(t, at + i)))
                return malformed(t, at, "bad escape");
        return at + 6;
    }
    if (c <= 0 || !strchr("\"\\/bfnrt", c))
        return malformed(t, at, "bad escape");
    return at + 2;
}

/* `from` is the opening quote. */
static size_t string_end(struct text *t, size_t from) {
    size_t at = from + 1;
    while (at != NOWHERE) {
        while (at + 8 <= t->len && is_plain8(t->at + at))
            at += 8;
        int c = peek(t, at);
        if (c < 0)
            return malformed(t, from, "unfinished string");
        if (c == '"')
            return at + 1;
        if (c == '\\')
            at = escape_end(t, at);
        else if (c < ' ')
            return malformed(t, at, "control character in a string");
        else
            at++;
    }
    return NOWHERE;
}

static size_t digits_end(const struct text *t, size_t at) {
    while (is_digit(peek(t, at)))
        at++;
    return at;
}

/* NOWHERE when none begins at `at`; nothing is wrong with the text then. */
static size_t number_end(const struct text *t, size_t at) {
    at += peek(t, at) == '-';
    if (!is_digit(peek(t, at)))
        return NOWHERE;
    at = peek(t, at) == '0' ? at + 1 : digits_end(t, at);
    if (peek(t, at) == '.' && is_digit(peek(t, at + 1)))
        at = digits_end(t, at + 1);
    if (peek(t, at) != 'e' && peek(t, at) != 'E')
        return at;
    size_t digits = at + 1;
    digits += peek(t, digits) == '+' || peek(t, digits) == '-';
    return is_digit(peek(t, digits)) ? digits_end(t, digits) : at;
}

static size_t scalar_end(struct text *t, size_t at) {
    static const char *const words[] = { "true", "false", "null" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i]);
        if (at < t->len && t->len - at >= len && memcmp(t->at + at, words[i], len) == 0)
            return at + len;
    }
    size_t end = number_end(t, at);
    if (end != NOWHERE)
        return end;
    return malformed(t, at, at >= t->len ? "unexpected end" : "unexpected character");
}

/* Where the value of a member begins; `at` is where its key must. The key's end goes to
 * `*key_end`. */
static size_t value_start(struct text *t, size_t at, size_t *key_end) {
    if (peek(t, at) != '"')
        return malformed(t, at, "expected a key");
    *key_end = string_end(t, at);
    if (*key_end == NOWHERE)
        return NOWHERE;
    at = skip(t, *key_end);
    if (peek(t, at) != ':')
        return malformed(t, at, "expected a colon");
    return skip(t, at + 1);
}

/* What is open around a value: the closing byte of each container. */
struct nest {
    char closing[DEPTH_MAX];
    size_t depth;
};

/* From behind a value, out of all that ends with it: to the next value, or with nothing open to the
 * end. */
static size_t go_on(struct text *t, struct nest *nest, size_t at) {
    size_t key_end;
    while (nest->depth > 0) {
        char closing = nest->closing[nest->depth - 1];
        at = skip(t, at);
        int c = peek(t, at);
        if (c != closing && c != ',')
            return malformed(t, at, "expected a comma or the end");
        if (c == ',') {
            at = skip(t, at + 1);
            return closing == '}' ? value_start(t, at, &key_end) : at;
        }
        nest->depth--;
        at++;
    }
    return at;
}

/* Into the container at `at`: to its first value, or out of an empty one. */
static size_t go_in(struct text *t, struct nest *nest, size_t at, char closing) {
    size_t key_end;
    if (nest->depth == DEPTH_MAX)
        return malformed(t, at, "nested too deeply");
    nest->closing[nest->depth++] = closing;
    at = skip(t, at + 1);
    if (peek(t, at) != closing)
        return closing == '}' ? value_start(t, at, &key_end) : at;
    nest->depth--;
    return go_on(t, nest, at + 1);
}

/* The end of the value at `at`, with everything inside it checked. */
static size_t value_end(struct text *t, size_t at) {
    struct nest nest;
    nest.depth = 0;
    do {
        int c = peek(t, at);
        if (c == '{' || c == '[') {
            at = go_in(t, &nest, at, c == '{' ? '}' : ']');
        } else {
            at = c == '"' ? string_end(t, at) : scalar_end(t, at);
            at = at == NOWHERE ? at : go_on(t, &nest, at);
        }
    } while (at != NOWHERE && nest.depth > 0);
    return at;
}

/* ---- walking one container, which is all of the text ---- */

/* An element; of an array's, key and key_end are not set. */
struct element {
    size_t key, key_end; /* with the quotes */
    size_t value, end;
};

struct walk {
    struct text *text;
    char closing;
    size_t at; /* of the next element; behind the closing byte when over; NOWHERE when malformed */
    bool over;
};

/* Behind an element or the opening byte. */
static void walk_on(struct walk *w, bool first) {
    struct text *t = w->text;
    w->at = skip(t, w->at);
    int c = peek(t, w->at);
    w->over = c == w->closing;
    if (w->over)
        w->at++;
    else if (!first && c == ',')
        w->at = skip(t, w->at + 1);
    else if (!first)
        w->at = malformed(t, w->at, "expected a comma or the end");
    if (w->over && skip(t, w->at) < t->len)
        w->at = malformed(t, w->at,
                          w->closing == '}' ? "something follows the object"
                                            : "something follows the array");
}

static struct walk walk_of(struct text *t, char opening, char closing) {
    struct walk w = { t, closing, skip(t, 0), false };
    if (peek(t, w.at) != opening) {
        w.at = malformed(t, w.at, opening == '{' ? "expected an object" : "expected an array");
    } else {
        w.at++;
        walk_on(&w, true);
    }
    return w;
}

/* The next one; false behind the last. Only then, and when nothing is wrong with the text, all of it
 * is checked. */
static bool walk_next(struct walk *w, struct element *e) {
    if (w->over || w->at == NOWHERE)
        return false;
    e->key = w->at;
    e->value = w->closing == '}' ? value_start(w->text, w->at, &e->key_end) : w->at;
    e->end = e->value == NOWHERE ? NOWHERE : value_end(w->text, e->value);
    w->at = e->end;
    if (w->at == NOWHERE)
        return false;
    walk_on(w, false);
    return true;
}

/* ---- Lua values ---- */

static struct text text_at(lua_State *L, int index) {
    struct text t = { 0 };
    t.at = luaL_checklstring(L, index, &t.len);
    return t;
}

/* nil and what is wrong. */
static int push_wrong(lua_State *L, const struct text *t) {
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
        code = code * 16 + (is_digit(c) ? c - '0' : (c | 32) - 'a' + 10);
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
static void push_string(lua_State *L, const struct text *t, size_t from, size_t to) {
    const char *at = t->at + from + 1, *end = t->at + to - 1;
    if (memchr(at, '\\', (size_t)(end - at)))
        push_unescaped(L, at, end);
    else
        lua_pushlstring(L, at, (size_t)(end - at));
}

static void push_slice(lua_State *L, const struct text *t, size_t from, size_t to) {
    lua_pushlstring(L, t->at + from, to - from);
}

static void set_position(lua_State *L, const char *name, size_t at) {
    lua_pushnumber(L, (lua_Number)(at + 1));
    lua_setfield(L, -2, name);
}

static void push_member(lua_State *L, const struct text *t, const struct element *e) {
    lua_createtable(L, 0, 5);
    push_string(L, t, e->key, e->key_end);
    lua_setfield(L, -2, "key");
    push_slice(L, t, e->value, e->end);
    lua_setfield(L, -2, "raw");
    set_position(L, "from", e->key);
    set_position(L, "value_from", e->value);
    set_position(L, "to", e->end);
}

/* ---- the functions ---- */

static int members(lua_State *L) {
    struct text t = text_at(L, 1);
    struct walk w = walk_of(&t, '{', '}');
    struct element e;
    lua_newtable(L);
    for (int n = 1; walk_next(&w, &e); n++) {
        push_member(L, &t, &e);
        lua_rawseti(L, -2, n);
    }
    return t.wrong ? push_wrong(L, &t) : 1;
}

static int fields(lua_State *L) {
    struct text t = text_at(L, 1);
    struct walk w = walk_of(&t, '{', '}');
    struct element e;
    lua_newtable(L);
    while (walk_next(&w, &e)) {
        push_string(L, &t, e.key, e.key_end);
        push_slice(L, &t, e.value, e.end);
        lua_rawset(L, -3);
    }
    return t.wrong ? push_wrong(L, &t) : 1;
}

static int items(lua_State *L) {
    struct text t = text_at(L, 1);
    struct walk w = walk_of(&t, '[', ']');
    struct element e;
    lua_newtable(L);
    for (int n = 1; walk_next(&w, &e); n++) {
        push_slice(L, &t, e.value, e.end);
        lua_rawseti(L, -2, n);
    }
    return t.wrong ? push_wrong(L, &t) : 1;
}

static const char *kind_of(const struct text *t) {
    switch (peek(t, skip(t, 0))) {
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
    struct text t = text_at(L, 1);
    lua_pushstring(L, kind_of(&t)); /* nil of NULL */
    return 1;
}

static int text(lua_State *L) {
    if (!lua_toboolean(L, 1))
        return 0;
    struct text t = text_at(L, 1);
    size_t from = skip(&t, 0);
    size_t to = peek(&t, from) == '"' ? string_end(&t, from) : NOWHERE;
    if (to == NOWHERE)
        return 0;
    push_string(L, &t, from, to);
    return 1;
}

static int valid(lua_State *L) {
    struct text t = text_at(L, 1);
    size_t end = value_end(&t, skip(&t, 0));
    if (end != NOWHERE && skip(&t, end) < t.len)
        end = malformed(&t, end, "something follows the value");
    lua_pushboolean(L, end != NOWHERE);
    if (end != NOWHERE)
        return 1;
    push_wrong(L, &t);
    lua_remove(L, -2);
    return 2;
}

/* ---- splice ---- */

/* Where an edit cuts, and what it leaves out of the text. */
struct cut {
    size_t from, to;
    bool add;   /* nothing is there yet: a member is added before the closing byte */
    bool comma; /* behind another */
};

static bool has_key(lua_State *L, const struct text *t, const struct element *e, struct span key) {
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
static bool find_cut(lua_State *L, struct text *t, struct span key, bool remove, struct cut *cut) {
    struct walk w = walk_of(t, '{', '}');
    struct element e;
    size_t before = NOWHERE; /* the end of the member before */
    bool behind = false;     /* the one before is what is cut */
    cut->add = true;
    while (walk_next(&w, &e)) {
        if (behind && remove)
            cut->to = e.key;
        behind = has_key(L, t, &e, key);
        if (behind) {
            cut->add = false;
            cut->from = remove ? e.key : e.value;
            cut->to = e.end;
            if (remove && w.over && before != NOWHERE)
                cut->from = before;
        }
        before = e.end;
    }
    if (cut->add)
        cut->from = cut->to = w.at - 1;
    cut->comma = before != NOWHERE;
    return !t->wrong;
}

/* A text as a JSON string, as perilune.json writes it. */
static void push_quoted(lua_State *L, struct span s) {
    static const char names[] = "\b\f\n\r\t\"\\", writes[] = "bfnrt\"\\";
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addchar(&b, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        const char *named = c ? strchr(names, c) : NULL;
        char code[8];
        if (named) {
            luaL_addchar(&b, '\\');
            luaL_addchar(&b, writes[named - names]);
        } else if (c < ' ') {
            snprintf(code, sizeof code, "\\u%04x", c);
            luaL_addstring(&b, code);
        } else {
            luaL_addchar(&b, (char)c);
        }
    }
    luaL_addchar(&b, '"');
    luaL_pushresult(&b);
}

/* stack: text, edits, edit, key, raw. Leaves the changed text in the place of the first. */
static void apply(lua_State *L, const struct text *t, const struct cut *cut, struct span key,
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
static bool edit(lua_State *L, struct text *t) {
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
    struct text t = text_at(L, 1);
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
    struct walk w = walk_of(&t, '{', '}');
    struct element e;
    while (walk_next(&w, &e))
        continue; /* what was put in is checked like the rest */
    if (t.wrong)
        return push_wrong(L, &t);
    lua_pushvalue(L, 1);
    return 1;
}

int rawjson_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        { "members", members }, { "fields", fields }, { "items", items },   { "kind", kind },
        { "text", text },       { "valid", valid },   { "splice", splice }, { NULL, NULL },
    };
    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    return 1;
}
