#include "base/buf.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CAP_MIN = 256 };

char *buf_grow(struct buf *b, size_t more) {
    if (more > SIZE_MAX / 4 || b->len > SIZE_MAX / 4)
        abort();
    size_t cap = b->cap < CAP_MIN ? CAP_MIN : b->cap * 2;
    if (cap < b->len + more)
        cap = b->len + more;
    char *at = realloc(b->at, cap);
    if (!at)
        abort();
    b->at = at;
    b->cap = cap;
    return b->at + b->len;
}

void buf_append(struct buf *b, const void *bytes, size_t len) {
    if (len == 0)
        return;
    memcpy(buf_reserve(b, len), bytes, len);
    b->len += len;
}

void buf_add(struct buf *b, struct span s) {
    buf_append(b, s.at, s.len);
}

void buf_add_char(struct buf *b, char c) {
    *buf_reserve(b, 1) = c;
    b->len++;
}

void buf_add_number(struct buf *b, uint64_t n, unsigned least) {
    char digits[20];
    size_t len = 0;
    assert(least <= sizeof digits);
    do {
        len++;
        digits[sizeof digits - len] = (char)('0' + n % 10);
        n /= 10;
    } while (n || len < least);
    buf_append(b, digits + sizeof digits - len, len);
}

void buf_printf(struct buf *b, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    /* Most texts are short: the first try usually fits. */
    char *at = buf_reserve(b, 128);
    int len = vsnprintf(at, b->cap - b->len, format, args);
    assert(len >= 0);
    if ((size_t)len >= b->cap - b->len) {
        at = buf_reserve(b, (size_t)len + 1);
        vsnprintf(at, (size_t)len + 1, format, again);
    }
    b->len += (size_t)len;
    va_end(again);
    va_end(args);
}

/* Whether the byte can stand in a JSON string as it is and starts nothing that must be looked at.
 */
static bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '<';
}

static void add_escape(struct buf *b, unsigned char c) {
    static const char shorts[] = "\bb\tt\nn\ff\rr\"\"\\\\";
    for (const char *s = shorts; *s; s += 2) {
        if ((unsigned char)*s == c) {
            buf_add_char(b, '\\');
            buf_add_char(b, s[1]);
            return;
        }
    }
    buf_printf(b, "\\u%04x", c);
}

/* Adds the character at the front of `s`, which is not plain; returns how many bytes it took. */
static size_t add_special(struct buf *b, const unsigned char *s, size_t len) {
    size_t n = utf8_length((struct span){ (const char *)s, len });
    if (n == 0) {
        buf_append(b, "\xef\xbf\xbd", 3);
        return 1;
    }
    if (n == 1)
        add_escape(b, s[0]);
    else if (n == 3 && s[0] == 0xe2 && s[1] == 0x80 && (s[2] & 0xfe) == 0xa8)
        buf_printf(b, "\\u20%02x", s[2] - 0x80);
    else
        buf_append(b, s, n);
    return n;
}

void buf_add_json(struct buf *b, struct span s) {
    const unsigned char *at = (const unsigned char *)s.at, *end = at + s.len;
    buf_reserve(b, s.len + 2);
    buf_add_char(b, '"');
    while (at < end) {
        const unsigned char *run = at;
        while (at < end && is_plain(*at))
            at++;
        buf_append(b, run, (size_t)(at - run));
        if (at < end)
            at += add_special(b, at, (size_t)(end - at));
    }
    buf_add_char(b, '"');
}

void buf_consume(struct buf *b, size_t len) {
    assert(len <= b->len);
    b->len -= len;
    if (b->len)
        memmove(b->at, b->at + len, b->len);
}

void buf_clear(struct buf *b) {
    b->len = 0;
}

void buf_deinit(struct buf *b) {
    free(b->at);
    *b = (struct buf){ 0 };
}
