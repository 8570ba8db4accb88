#include "base/utf8.h"

/* Unicode 15, table 3-7. */
size_t utf8_length(struct span text) {
    const unsigned char *s = (const unsigned char *)text.at;
    if (text.len == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    if (n == 0 || text.len < n)
        return 0;
    /* Overlong forms, surrogates and what lies beyond U+10FFFF show in the second byte. */
    unsigned char low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

struct span utf8_cut(struct span s, size_t max) {
    if (s.len <= max)
        return s;
    while (max > 0 && ((unsigned char)s.at[max] & 0xc0) == 0x80)
        max--;
    return span_sub(s, 0, max);
}

/* Whether the character of `n` bytes at the front of `s` separates words rather than being part of
 * one. */
static bool is_blank(struct span s, size_t n) {
    const unsigned char *c = (const unsigned char *)s.at;
    if (n == 1)
        return c[0] <= 0x20 || c[0] == 0x7f;
    if (n == 2)
        return c[0] == 0xc2 && c[1] < 0xa0;
    return n == 3 && c[0] == 0xe2 && c[1] == 0x80 && (c[2] & 0xfe) == 0xa8;
}

size_t utf8_line(struct span s, char *out, size_t max) {
    static const struct span replacement = { "\xef\xbf\xbd", 3 };
    size_t len = 0;
    bool gap = false; /* a space is due before the next character */
    while (s.len) {
        size_t n = utf8_length(s);
        struct span c = n ? span_sub(s, 0, n) : replacement;
        bool blank = n && is_blank(s, n);
        s = span_sub(s, n ? n : 1, s.len);
        if (blank) {
            gap = len > 0;
            continue;
        }
        if (len + gap + c.len > max)
            break;
        if (gap)
            out[len++] = ' ';
        memcpy(out + len, c.at, c.len);
        len += c.len;
        gap = false;
    }
    return len;
}

/* Whether the character of `n` bytes at the front of `s` is for a terminal, not for its reader. */
static bool is_control(struct span s, size_t n) {
    const unsigned char *c = (const unsigned char *)s.at;
    return n == 1 ? c[0] < 0x20 || c[0] == 0x7f : n == 2 && c[0] == 0xc2 && c[1] < 0xa0;
}

void utf8_defuse(char *text, size_t len, const char *kept) {
    for (size_t i = 0, n; i < len; i += n ? n : 1) {
        struct span left = { text + i, len - i };
        n = utf8_length(left);
        bool stays = text[i] && strchr(kept, text[i]);
        if (!n || (is_control(left, n) && !stays))
            memset(text + i, '?', n ? n : 1);
    }
}
