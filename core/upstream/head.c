#include "upstream/head.h"

#include <assert.h>
#include <stdlib.h>

struct head_mark {
    uint32_t name, name_len, value, value_len;
};

void head_begin(struct head *h, size_t bytes_max) {
    buf_clear(&h->text);
    h->status = 0;
    h->pairs = NULL;
    h->n = 0;
    h->why = NULL;
    h->bytes = 0;
    h->bytes_max = bytes_max ? bytes_max : HEAD_BYTES_DEFAULT;
    h->started = h->done = h->old = h->has_length = h->has_encoding = false;
}

void head_deinit(struct head *h) {
    buf_deinit(&h->text);
    free(h->marks);
    free(h->room);
    *h = (struct head){ 0 };
}

static enum head_verdict bad(struct head *h, const char *why) {
    h->why = why;
    return HEAD_BAD;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* RFC 9110, section 5.6.2. */
static bool is_token(unsigned char c) {
    return c > ' ' && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

/* RFC 9110, section 5.5: visible characters, blanks, and bytes beyond ASCII. */
static bool is_value(unsigned char c) {
    return c == '\t' || (c >= ' ' && c != 0x7f);
}

/* "HTTP/1.1 200 OK", RFC 9112, section 4. A new head begins: what an interim one said is void. */
static enum head_verdict status_line(struct head *h, struct span line) {
    bool new = span_starts(line, SPAN("HTTP/1.1 "));
    if (!new && !span_starts(line, SPAN("HTTP/1.0 ")))
        return bad(h, "the upstream answered with something else than HTTP/1");
    const char *code = line.at + 9;
    size_t left = line.len - 9;
    if (left < 3 || !is_digit(code[0]) || !is_digit(code[1]) || !is_digit(code[2]) ||
        (left > 3 && code[3] != ' ') || code[0] == '0')
        return bad(h, "the upstream's status line is malformed");
    h->status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
    if (h->status == 101)
        return bad(h, "the upstream switched protocols without being asked");
    h->old = !new;
    h->started = true;
    h->has_length = h->has_encoding = false;
    h->n = 0;
    buf_clear(&h->text);
    return HEAD_MORE;
}

static void make_room(struct head *h) {
    if (h->n < h->cap)
        return;
    h->cap = h->cap ? h->cap * 2 : 32;
    h->marks = realloc(h->marks, h->cap * sizeof *h->marks);
    h->room = realloc(h->room, h->cap * sizeof *h->room);
    if (!h->marks || !h->room)
        abort();
}

static void keep(struct head *h, struct span name, struct span value) {
    make_room(h);
    struct head_mark *m = &h->marks[h->n++];
    m->name = (uint32_t)h->text.len;
    m->name_len = (uint32_t)name.len;
    char *at = buf_reserve(&h->text, name.len + value.len);
    for (size_t i = 0; i < name.len; i++)
        at[i] = name.at[i] >= 'A' && name.at[i] <= 'Z' ? (char)(name.at[i] | 0x20) : name.at[i];
    h->text.len += name.len;
    m->value = (uint32_t)h->text.len;
    m->value_len = (uint32_t)value.len;
    buf_add(&h->text, value);
}

/* What says how long the body is must say it once, in one way, in the plainest form: this is where
 * a hostile upstream would make one answer look like two. */
static enum head_verdict framing(struct head *h, struct span name, struct span value) {
    if (span_eq_nocase(name, SPAN("content-length"))) {
        uint64_t length;
        if (h->has_length || !span_uint(value, &length) || length > INT64_MAX)
            return bad(h, "the upstream's Content-Length is malformed or repeated");
        h->has_length = true;
    } else if (span_eq_nocase(name, SPAN("transfer-encoding"))) {
        if (h->has_encoding || h->old || !span_eq_nocase(value, SPAN("chunked")))
            return bad(h, "the upstream's Transfer-Encoding is not plainly chunked");
        h->has_encoding = true;
    }
    if (h->has_length && h->has_encoding)
        return bad(h, "the upstream sent both Content-Length and Transfer-Encoding");
    return HEAD_MORE;
}

static enum head_verdict field(struct head *h, struct span line) {
    if (h->n == HEAD_LINES_MAX)
        return bad(h, "the upstream's answer has too many headers");
    size_t colon = span_find(line, ':');
    struct span name = span_sub(line, 0, colon);
    if (colon == line.len || colon == 0)
        return bad(h, "a header line of the upstream is malformed");
    for (size_t i = 0; i < name.len; i++)
        if (!is_token((unsigned char)name.at[i]))
            return bad(h, "a header name of the upstream is malformed");
    struct span value = span_trim(span_sub(line, colon + 1, line.len));
    for (size_t i = 0; i < value.len; i++)
        if (!is_value((unsigned char)value.at[i]))
            return bad(h, "a header value of the upstream holds control characters");
    if (framing(h, name, value) == HEAD_BAD)
        return HEAD_BAD;
    keep(h, name, value);
    return HEAD_MORE;
}

static enum head_verdict finish(struct head *h) {
    if (!h->started)
        return bad(h, "the upstream's answer has no status line");
    if (h->status < 200) {
        h->started = false; /* the next line is a status line again */
        return HEAD_MORE;
    }
    for (size_t i = 0; i < h->n; i++) {
        const struct head_mark *m = &h->marks[i];
        h->room[i].name = (struct span){ h->text.at + m->name, m->name_len };
        h->room[i].value = (struct span){ h->text.at + m->value, m->value_len };
    }
    h->pairs = h->room;
    h->done = true;
    return HEAD_DONE;
}

enum head_verdict head_line(struct head *h, const char *at, size_t len) {
    assert(h->bytes_max);
    h->bytes += len;
    if (h->bytes > h->bytes_max)
        return bad(h, "the head of the upstream's answer is too large");
    if (h->done)
        return HEAD_MORE;
    if (len && at[len - 1] == '\n')
        len--;
    if (len && at[len - 1] == '\r')
        len--;
    struct span line = { at, len };
    if (len == 0)
        return finish(h);
    return h->started ? field(h, line) : status_line(h, line);
}
