/* head.h - the head of an upstream's answer, line by line.
 *
 * Owns          a copy of the lines of the head being read, names in lower case.
 * Fed by        transfer, with the lines curl cuts.
 * Feeds         transfer's on_head.
 * Must not know curl. It is stricter than curl is: what two parsers could read differently is
 *               refused.
 *
 *   head_begin(&h, 65536);
 *   switch (head_line(&h, line, len))      // HEAD_DONE: h.status, h.pairs, h.n; HEAD_BAD: h.why
 */
#ifndef PERILUNE_UPSTREAM_HEAD_H
#define PERILUNE_UPSTREAM_HEAD_H

#include "base/buf.h"

enum { HEAD_BYTES_DEFAULT = 64 << 10, HEAD_LINES_MAX = 256 };

enum head_verdict {
    HEAD_MORE, /* go on */
    HEAD_DONE, /* the final head is complete; what comes behind it are trailers */
    HEAD_BAD   /* `why` says what is wrong */
};

/* All zeros is an unused one. */
struct head {
    int status;
    const struct pair *pairs; /* once done; they live until the next head_begin() */
    size_t n;
    const char *why; /* a constant */

    /* kept by head */
    struct buf text;
    struct head_mark *marks; /* where the fields lie in `text`, which moves while it grows */
    struct pair *room;
    size_t cap;
    size_t bytes, bytes_max; /* of all heads and trailers of the exchange, interim ones included */
    bool started, done, old; /* `old`: HTTP/1.0 */
    bool has_length, has_encoding;
};

/* Forgets the last one; `bytes_max` 0 means HEAD_BYTES_DEFAULT. */
void head_begin(struct head *h, size_t bytes_max);
void head_deinit(struct head *h);

/* One line with its end (CR LF or LF). Interim heads (1xx) are read, counted and forgotten. Lines
 * after HEAD_DONE are trailers: counted and ignored. */
enum head_verdict head_line(struct head *h, const char *at, size_t len);

#endif
