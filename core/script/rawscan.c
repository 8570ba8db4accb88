#include "script/rawscan.h"

#include <endian.h>
#include <string.h>

size_t rawscan_malformed(struct rawscan *t, size_t at, const char *what) {
    t->wrong = what;
    t->wrong_at = at;
    return RAWSCAN_NOWHERE;
}

int rawscan_peek(const struct rawscan *t, size_t at) {
    return at < t->len ? (unsigned char)t->at[at] : -1;
}

size_t rawscan_skip(const struct rawscan *t, size_t at) {
    for (;; at++) {
        int c = rawscan_peek(t, at);
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

/* How many of eight bytes stand before the first that ends a string, escapes or is a control
 * character: 8 when none does. A byte above the first may be taken for such a one, never below it. */
static size_t plain_of8(const char *bytes) {
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    uint64_t w, quotes, slashes, special;
    memcpy(&w, bytes, sizeof w);
    w = le64toh(w);
    quotes = w ^ (ones * '"');
    slashes = w ^ (ones * '\\');
    special =
        (((w - ones * ' ') & ~w) | ((quotes - ones) & ~quotes) | ((slashes - ones) & ~slashes)) &
        highs;
    return special ? (size_t)__builtin_ctzll(special) / 8 : 8;
}

size_t rawscan_plain(const char *bytes, size_t len) {
    size_t n = 0;
    while (len - n >= 8) {
        size_t plain = plain_of8(bytes + n);
        n += plain;
        if (plain < 8)
            return n;
    }
    while (n < len && (unsigned char)bytes[n] >= ' ' && bytes[n] != '"' && bytes[n] != '\\')
        n++;
    return n;
}

/* The end of an escape; `at` is its backslash. */
static size_t escape_end(struct rawscan *t, size_t at) {
    int c = rawscan_peek(t, at + 1);
    if (c == 'u') {
        for (size_t i = 2; i < 6; i++)
            if (!is_hex(rawscan_peek(t, at + i)))
                return rawscan_malformed(t, at, "bad escape");
        return at + 6;
    }
    if (c <= 0 || !strchr("\"\\/bfnrt", c))
        return rawscan_malformed(t, at, "bad escape");
    return at + 2;
}

size_t rawscan_string(struct rawscan *t, size_t from) {
    size_t at = from + 1;
    while (at != RAWSCAN_NOWHERE) {
        at += rawscan_plain(t->at + at, t->len - at);
        int c = rawscan_peek(t, at);
        if (c < 0)
            return rawscan_malformed(t, from, "unfinished string");
        if (c == '"')
            return at + 1;
        if (c != '\\')
            return rawscan_malformed(t, at, "control character in a string");
        at = escape_end(t, at);
    }
    return RAWSCAN_NOWHERE;
}

static size_t digits_end(const struct rawscan *t, size_t at) {
    while (is_digit(rawscan_peek(t, at)))
        at++;
    return at;
}

/* RAWSCAN_NOWHERE when none begins at `at`; nothing is wrong with the text then. */
static size_t number_end(const struct rawscan *t, size_t at) {
    at += rawscan_peek(t, at) == '-';
    if (!is_digit(rawscan_peek(t, at)))
        return RAWSCAN_NOWHERE;
    at = rawscan_peek(t, at) == '0' ? at + 1 : digits_end(t, at);
    if (rawscan_peek(t, at) == '.' && is_digit(rawscan_peek(t, at + 1)))
        at = digits_end(t, at + 1);
    if (rawscan_peek(t, at) != 'e' && rawscan_peek(t, at) != 'E')
        return at;
    size_t digits = at + 1;
    digits += rawscan_peek(t, digits) == '+' || rawscan_peek(t, digits) == '-';
    return is_digit(rawscan_peek(t, digits)) ? digits_end(t, digits) : at;
}

size_t rawscan_scalar(struct rawscan *t, size_t at) {
    static const char *const words[] = { "true", "false", "null" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i]);
        if (at < t->len && t->len - at >= len && memcmp(t->at + at, words[i], len) == 0)
            return at + len;
    }
    size_t end = number_end(t, at);
    if (end != RAWSCAN_NOWHERE)
        return end;
    return rawscan_malformed(t, at, at >= t->len ? "unexpected end" : "unexpected character");
}

size_t rawscan_member(struct rawscan *t, size_t at, size_t *key_end) {
    if (rawscan_peek(t, at) != '"')
        return rawscan_malformed(t, at, "expected a key");
    *key_end = rawscan_string(t, at);
    if (*key_end == RAWSCAN_NOWHERE)
        return RAWSCAN_NOWHERE;
    at = rawscan_skip(t, *key_end);
    if (rawscan_peek(t, at) != ':')
        return rawscan_malformed(t, at, "expected a colon");
    return rawscan_skip(t, at + 1);
}

/* What is open around a value: the closing byte of each container. */
struct nest {
    char closing[RAWSCAN_DEPTH];
    size_t depth;
};

/* From behind a value, out of all that ends with it: to the next value, or with nothing open to the
 * end. */
static size_t go_on(struct rawscan *t, struct nest *nest, size_t at) {
    size_t key_end;
    while (nest->depth > 0) {
        char closing = nest->closing[nest->depth - 1];
        at = rawscan_skip(t, at);
        int c = rawscan_peek(t, at);
        if (c != closing && c != ',')
            return rawscan_malformed(t, at, "expected a comma or the end");
        if (c == ',') {
            at = rawscan_skip(t, at + 1);
            return closing == '}' ? rawscan_member(t, at, &key_end) : at;
        }
        nest->depth--;
        at++;
    }
    return at;
}

/* Into the container at `at`: to its first value, or out of an empty one. */
static size_t go_in(struct rawscan *t, struct nest *nest, size_t at, char closing) {
    size_t key_end;
    if (nest->depth == RAWSCAN_DEPTH)
        return rawscan_malformed(t, at, "nested too deeply");
    nest->closing[nest->depth++] = closing;
    at = rawscan_skip(t, at + 1);
    if (rawscan_peek(t, at) != closing)
        return closing == '}' ? rawscan_member(t, at, &key_end) : at;
    nest->depth--;
    return go_on(t, nest, at + 1);
}

size_t rawscan_value(struct rawscan *t, size_t at) {
    struct nest nest;
    nest.depth = 0;
    do {
        int c = rawscan_peek(t, at);
        if (c == '{' || c == '[') {
            at = go_in(t, &nest, at, c == '{' ? '}' : ']');
        } else {
            at = c == '"' ? rawscan_string(t, at) : rawscan_scalar(t, at);
            at = at == RAWSCAN_NOWHERE ? at : go_on(t, &nest, at);
        }
    } while (at != RAWSCAN_NOWHERE && nest.depth > 0);
    return at;
}

/* ---- walking one container, which is all of the text ---- */

/* Behind an element or the opening byte. */
static void walk_on(struct rawscan_walk *w, bool first) {
    struct rawscan *t = w->text;
    w->at = rawscan_skip(t, w->at);
    int c = rawscan_peek(t, w->at);
    w->over = c == w->closing;
    if (w->over)
        w->at++;
    else if (!first && c == ',')
        w->at = rawscan_skip(t, w->at + 1);
    else if (!first)
        w->at = rawscan_malformed(t, w->at, "expected a comma or the end");
    if (w->over && rawscan_skip(t, w->at) < t->len)
        w->at = rawscan_malformed(t, w->at,
                                  w->closing == '}' ? "something follows the object"
                                                    : "something follows the array");
}

struct rawscan_walk rawscan_walk(struct rawscan *t, char opening, char closing) {
    struct rawscan_walk w = { t, closing, false, rawscan_skip(t, 0) };
    if (rawscan_peek(t, w.at) != opening) {
        w.at =
            rawscan_malformed(t, w.at, opening == '{' ? "expected an object" : "expected an array");
    } else {
        w.at++;
        walk_on(&w, true);
    }
    return w;
}

bool rawscan_next(struct rawscan_walk *w, struct rawscan_element *e) {
    if (w->over || w->at == RAWSCAN_NOWHERE)
        return false;
    e->key = w->at;
    e->value = w->closing == '}' ? rawscan_member(w->text, w->at, &e->key_end) : w->at;
    e->end = e->value == RAWSCAN_NOWHERE ? RAWSCAN_NOWHERE : rawscan_value(w->text, e->value);
    w->at = e->end;
    if (w->at == RAWSCAN_NOWHERE)
        return false;
    walk_on(w, false);
    return true;
}
