/* sse.h - server-sent events cut out of a stream of bytes (WHATWG HTML, section 9.2).
 *
 * Owns          the bytes of the event that is not complete yet.
 * Fed by        transfer's body bytes, cut anywhere.
 * Feeds         whoever asked, with one event at a time, at once: none is held for a later one.
 * Must not know what an event says.
 *
 *   sse_init(&s, 1 << 20);
 *   sse_feed(&s, bytes, len, on_event, owner);   // returns false: an event is too large
 *   sse_end(&s, on_event, owner);                // what stood without a blank line at the end
 */
#ifndef PERILUNE_NET_SSE_H
#define PERILUNE_NET_SSE_H

#include "base/buf.h"

/* One event, borrowed until the callback returns. */
struct sse_event {
    struct span name; /* `event:`; SPAN_NONE without one */
    struct span data; /* `data:` lines joined by LF; SPAN_NONE when the event has none (comments,
                       * retry, id only) */
    /* All of it as it came, the ending blank line included (added when it was missing at the end of
     * the stream). An event that a CR ends is shown before it is known whether LF follows: the LF
     * that would belong to it is there if the line before ended in CR LF, and else is not. */
    struct span raw;
};

/* Returns false to stop: the rest of the bytes is not looked at. */
typedef bool (*sse_on_event)(void *owner, const struct sse_event *event);

struct sse {
    struct buf pending; /* bytes of the incomplete event */
    struct buf data;    /* joined data lines */
    size_t line;        /* where the last line of `pending` begins */
    size_t scanned;     /* bytes of `pending` known to hold no end of that line */
    size_t max_event;
    unsigned bom; /* bytes of a byte order mark seen at the start; beyond 3: that is behind us */
    bool skip_lf; /* the last byte was a CR that ended an event: LF belongs to it */
};

void sse_init(struct sse *s, size_t max_event);
void sse_deinit(struct sse *s);

/* LF, CR and CRLF end a line, also mixed; a BOM at the start is dropped. Blank lines that end no
 * event are dropped. False when an event grew over max_event or the callback said stop. */
bool sse_feed(struct sse *s, const char *bytes, size_t len, sse_on_event on_event, void *owner);

/* The stream ended. An unterminated last event that has data is still delivered. */
bool sse_end(struct sse *s, sse_on_event on_event, void *owner);

/* `text` as one event, "data: ...\n\n", each line of it behind its own "data: ". `event` (none:
 * SPAN_NONE) must be free of line ends; it is cut at the first. */
void sse_write(struct buf *out, struct span event, struct span text);

#endif
