#include "net/sse.h"

static const char bom[3] = { '\xef', '\xbb', '\xbf' };

enum {
    BOM_OVER = 4,
    SCAN_STEP = 256 /* looked through for one kind of line end, then for the other */
};

void sse_init(struct sse *s, size_t max_event) {
    *s = (struct sse){ .max_event = max_event };
}

void sse_deinit(struct sse *s) {
    buf_deinit(&s->pending);
    buf_deinit(&s->data);
}

/* The place of the next CR or LF from `at` on, or `len`. By steps, so that a stream that uses only
 * one of them is not searched to its end for the other again and again. */
static size_t find_line_end(const char *bytes, size_t at, size_t len) {
    while (at < len) {
        size_t step = len - at < SCAN_STEP ? len - at : SCAN_STEP;
        const char *lf = memchr(bytes + at, '\n', step);
        size_t reach = lf ? (size_t)(lf - bytes) - at : step;
        const char *cr = memchr(bytes + at, '\r', reach);
        if (cr)
            return (size_t)(cr - bytes);
        at += reach;
        if (lf)
            break;
    }
    return at;
}

/* ---- one event ---- */

static void read_field(struct sse *s, struct sse_event *e, struct span line) {
    size_t colon = span_find(line, ':');
    struct span name = span_sub(line, 0, colon);
    struct span value = { line.at + line.len, 0 };
    if (colon < line.len)
        value = (struct span){ line.at + colon + 1, line.len - colon - 1 };
    if (value.len && value.at[0] == ' ')
        value = (struct span){ value.at + 1, value.len - 1 };
    if (span_eq(name, SPAN("event"))) {
        e->name = value;
    } else if (span_eq(name, SPAN("data"))) {
        if (!e->data.at) {
            e->data = value; /* one line is the rule: no copy */
            return;
        }
        if (s->data.len == 0)
            buf_add(&s->data, e->data);
        buf_add_char(&s->data, '\n');
        buf_add(&s->data, value);
        e->data = buf_span(&s->data);
    }
}

static struct sse_event read_event(struct sse *s, struct span raw) {
    struct sse_event e = { .raw = raw };
    buf_clear(&s->data);
    for (size_t at = 0; at < raw.len;) {
        size_t end = find_line_end(raw.at, at, raw.len);
        if (end > at)
            read_field(s, &e, (struct span){ raw.at + at, end - at });
        at = end + 1;
    }
    return e;
}

/* Hands out the event whose bytes are `raw`. */
static bool deliver(struct sse *s, struct span raw, sse_on_event on_event, void *owner) {
    if (raw.len > s->max_event)
        return false;
    struct sse_event e = read_event(s, raw);
    return on_event(owner, &e);
}

/* ---- the stream ---- */

/* Where the search stands in some bytes that begin with an event. */
struct cursor {
    const char *bytes;
    size_t len;
    size_t start;   /* of the event */
    size_t line;    /* of its last line */
    size_t scanned; /* no line end before it */
};

/* Hands out the event that the blank line at `end` ends. Whether LF follows a CR may not be known
 * yet, and must make no difference: behind lines that end in CR LF the LF is there, else it is not.
 */
static bool end_event(struct sse *s, const struct cursor *c, size_t end, sse_on_event on_event,
                      void *owner) {
    const char *last = c->bytes + c->line - 1;
    bool crlf = last > c->bytes + c->start && last[-1] == '\r' && last[0] == '\n';
    bool cr = c->bytes[end] == '\r';
    bool has_lf = cr && end + 1 < c->len && c->bytes[end + 1] == '\n';
    struct span raw = { c->bytes + c->start, end + 1 - c->start };
    if (!cr || !crlf)
        return deliver(s, raw, on_event, owner);
    raw.len += has_lf;
    if (has_lf)
        return deliver(s, raw, on_event, owner);
    struct buf whole = { 0 };
    buf_add(&whole, raw);
    buf_add_char(&whole, '\n');
    bool more = deliver(s, buf_span(&whole), on_event, owner);
    buf_deinit(&whole);
    return more;
}

/* A line ends at `end`. Moves behind it, and hands out the event if the line is blank. *wait: it
 * can not be told yet how the line ends. */
static bool end_line(struct sse *s, struct cursor *c, size_t end, bool *wait, sse_on_event on_event,
                     void *owner) {
    bool cr = c->bytes[end] == '\r';
    bool at_edge = cr && end + 1 == c->len;
    size_t next = end + 1;
    if (cr && !at_edge && c->bytes[next] == '\n')
        next++;
    if (end > c->line) {
        *wait = at_edge;
        c->scanned = at_edge ? end : next;
        if (!at_edge)
            c->line = next;
        return true;
    }
    s->skip_lf = at_edge;
    bool more = c->line == c->start || end_event(s, c, end, on_event, owner);
    c->start = c->line = c->scanned = next;
    return more;
}

/* Hands out every whole event; `c` is left at the incomplete one. */
static bool walk(struct sse *s, struct cursor *c, sse_on_event on_event, void *owner) {
    bool wait = false;
    while (!wait) {
        size_t end = find_line_end(c->bytes, c->scanned, c->len);
        if (end == c->len) {
            c->scanned = end;
            break;
        }
        if (!end_line(s, c, end, &wait, on_event, owner))
            return false;
    }
    return c->len - c->start <= s->max_event;
}

/* Behind the byte order mark, if there is one. What only looked like one is kept as the stream's
 * first bytes. */
static void pass_bom(struct sse *s, const char **bytes, size_t *len) {
    while (*len && s->bom < sizeof bom) {
        if (**bytes != bom[s->bom]) {
            buf_append(&s->pending, bom, s->bom);
            s->bom = BOM_OVER;
            return;
        }
        s->bom++;
        ++*bytes;
        --*len;
    }
}

bool sse_feed(struct sse *s, const char *bytes, size_t len, sse_on_event on_event, void *owner) {
    if (s->bom < sizeof bom)
        pass_bom(s, &bytes, &len);
    if (len && s->skip_lf) {
        s->skip_lf = false;
        if (*bytes == '\n')
            bytes++, len--;
    }
    if (len == 0)
        return true;
    struct cursor c = { .bytes = bytes, .len = len };
    bool copied = s->pending.len > 0;
    if (copied) {
        buf_append(&s->pending, bytes, len);
        c = (struct cursor){ s->pending.at, s->pending.len, 0, s->line, s->scanned };
    }
    if (!walk(s, &c, on_event, owner))
        return false;
    if (copied)
        buf_consume(&s->pending, c.start);
    else
        buf_append(&s->pending, c.bytes + c.start, c.len - c.start);
    s->line = c.line - c.start;
    s->scanned = c.scanned - c.start;
    return true;
}

bool sse_end(struct sse *s, sse_on_event on_event, void *owner) {
    bool more = true;
    struct buf whole = s->pending;
    s->pending = (struct buf){ 0 };
    s->line = s->scanned = 0;
    if (whole.len) {
        char last = whole.at[whole.len - 1];
        if (last == '\r')
            buf_add_char(&whole, '\r');
        else
            buf_append(&whole, "\n\n", last == '\n' ? 1 : 2);
        struct sse_event e = read_event(s, buf_span(&whole));
        if (e.data.at)
            more = on_event(owner, &e);
    }
    buf_deinit(&whole);
    return more;
}

void sse_write(struct buf *out, struct span event, struct span text) {
    event = span_sub(event, 0, event.len ? find_line_end(event.at, 0, event.len) : 0);
    if (event.len) {
        buf_append(out, "event: ", 7);
        buf_add(out, event);
        buf_add_char(out, '\n');
    }
    for (size_t at = 0;;) {
        size_t end = text.len ? find_line_end(text.at, at, text.len) : 0;
        buf_append(out, "data: ", 6);
        buf_append(out, text.at + at, end - at);
        buf_add_char(out, '\n');
        if (end >= text.len)
            break;
        at = end + 1;
        if (text.at[end] == '\r' && at < text.len && text.at[at] == '\n')
            at++;
    }
    buf_add_char(out, '\n');
}
