/* buf.h - a growing string of bytes.
 *
 * Owns          one heap block.
 * Fed by        whoever builds text or collects input.
 * Feeds         sockets, curl, logs.
 * Must not know what the bytes mean.
 *
 *   struct buf b = { 0 };
 *   buf_printf(&b, "%d", 42);
 *   buf_deinit(&b);
 */
#ifndef PERILUNE_BASE_BUF_H
#define PERILUNE_BASE_BUF_H

#include "base/span.h"

/* All zeros is an empty buffer. */
struct buf {
    char *at;
    size_t len;
    size_t cap;
};

char *buf_grow(struct buf *b, size_t more); /* buf_reserve()'s */

/* Room for `more` bytes behind the end; returns where they go. The caller adds what it used to
 * `len`. Aborts without memory. Mostly there is room, which is found out here, without a call. */
static inline char *buf_reserve(struct buf *b, size_t more) {
    return more <= b->cap - b->len ? b->at + b->len : buf_grow(b, more);
}

void buf_append(struct buf *b, const void *bytes, size_t len);
void buf_add(struct buf *b, struct span s);
void buf_add_char(struct buf *b, char c);

/* `n` in decimal, with zeros in front up to `least` digits: a tenth of the time of buf_printf(). */
void buf_add_number(struct buf *b, uint64_t n, unsigned least);

void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* `s` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, control characters
 * are escaped, and so are U+2028, U+2029 and '<', so that the text is safe inside SSE and HTML as
 * well (RFC 8259, section 7). */
void buf_add_json(struct buf *b, struct span s);

/* Drops the first `len` bytes. */
void buf_consume(struct buf *b, size_t len);

/* Keeps the memory, forgets the bytes. */
void buf_clear(struct buf *b);

/* Gives the memory back. The buffer is empty and usable again. */
void buf_deinit(struct buf *b);

static inline struct span buf_span(const struct buf *b) {
    struct span s = { b->at, b->len };
    return s;
}

#endif
