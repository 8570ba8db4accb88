#include "net/eventstream.h"

enum {
    PRELUDE = 12, /* two lengths and their sum */
    SUM = 4,
    FRAME_MIN = PRELUDE + SUM,
    VALUE_STRING = 7 /* the type of a header whose value is text */
};

/* --- numbers: the high byte first --- */

static uint32_t read_number(const char *at, size_t bytes) {
    uint32_t n = 0;
    for (size_t i = 0; i < bytes; i++)
        n = n << 8 | (unsigned char)at[i];
    return n;
}

static void write_number(struct buf *out, uint32_t n, unsigned bytes) {
    while (bytes-- > 0)
        buf_add_char(out, (char)(n >> (8 * bytes)));
}

/* CRC-32 (ISO 3309, as in Ethernet), four bits at a time. */
static uint32_t sum_of(const char *at, size_t len) {
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t sum = 0xffffffff;
    for (size_t i = 0; i < len; i++) {
        sum ^= (unsigned char)at[i];
        sum = sum >> 4 ^ table[sum & 15];
        sum = sum >> 4 ^ table[sum & 15];
    }
    return ~sum;
}

/* --- headers --- */

/* Where the header of that name is kept; NULL: it is not. */
static struct span *place_of(struct eventstream_frame *frame, struct span name) {
    const struct {
        struct span name, *place;
    } known[] = {
        { SPAN(":message-type"), &frame->message_type },
        { SPAN(":event-type"), &frame->event_type },
        { SPAN(":exception-type"), &frame->exception_type },
        { SPAN(":error-code"), &frame->error_code },
        { SPAN(":error-message"), &frame->error_message },
        { SPAN(":content-type"), &frame->content_type },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (span_eq(name, known[i].name))
            return known[i].place;
    return NULL;
}

/* Cuts `len` bytes off the front of *rest. */
static bool take(struct span *rest, size_t len, struct span *part) {
    if (len > rest->len)
        return false;
    *part = (struct span){ rest->at, len };
    *rest = (struct span){ rest->at + len, rest->len - len };
    return true;
}

/* The same for what stands behind its own length of `bytes` bytes. */
static bool take_counted(struct span *rest, size_t bytes, struct span *part) {
    struct span count;
    return take(rest, bytes, &count) && take(rest, read_number(count.at, bytes), part);
}

/* A value of any type: true and false have no bytes, numbers, times and ids a fixed count of them,
 * blobs and texts their own. */
static bool take_value(struct span *rest, unsigned type, struct span *value) {
    static const unsigned char sizes[] = { 0, 0, 1, 2, 4, 8, 0, 0, 8, 16 };
    if (type >= sizeof sizes)
        return false;
    if (type == VALUE_STRING || type == VALUE_STRING - 1)
        return take_counted(rest, 2, value);
    return take(rest, sizes[type], value);
}

static bool read_headers(struct span rest, struct eventstream_frame *frame) {
    while (rest.len) {
        struct span name, type, value;
        if (!take_counted(&rest, 1, &name) || !take(&rest, 1, &type) ||
            !take_value(&rest, (unsigned char)*type.at, &value))
            return false;
        struct span *place = place_of(frame, name);
        if (place && *type.at == VALUE_STRING)
            *place = value;
    }
    return true;
}

/* --- frames --- */

void eventstream_init(struct eventstream *s, size_t max_frame) {
    *s = (struct eventstream){ .max_frame = max_frame };
}

void eventstream_deinit(struct eventstream *s) {
    buf_deinit(&s->pending);
}

bool eventstream_whole(const struct eventstream *s) {
    return s->pending.len == 0;
}

/* The length of the frame that begins `bytes`: 0 when that is not known yet; false when there is no
 * such frame. Looked at as soon as it can be, so that no wrong length is waited for. */
static bool measure(const struct eventstream *s, struct span bytes, size_t *len) {
    *len = 0;
    if (bytes.len < PRELUDE)
        return true;
    uint32_t total = read_number(bytes.at, 4), headers = read_number(bytes.at + 4, 4);
    if (read_number(bytes.at + 8, 4) != sum_of(bytes.at, 8))
        return false;
    if (total < FRAME_MIN || total > s->max_frame || headers > total - FRAME_MIN)
        return false;
    *len = total;
    return true;
}

static bool deliver(struct span bytes, eventstream_on_frame on_frame, void *owner) {
    struct eventstream_frame frame = { 0 };
    size_t headers = read_number(bytes.at + 4, 4);
    if (read_number(bytes.at + bytes.len - SUM, SUM) != sum_of(bytes.at, bytes.len - SUM) ||
        !read_headers((struct span){ bytes.at + PRELUDE, headers }, &frame))
        return false;
    frame.payload = (struct span){ bytes.at + PRELUDE + headers, bytes.len - FRAME_MIN - headers };
    return on_frame(owner, &frame);
}

bool eventstream_feed(struct eventstream *s, const char *bytes, size_t len,
                      eventstream_on_frame on_frame, void *owner) {
    buf_append(&s->pending, bytes, len);
    struct span rest = buf_span(&s->pending);
    size_t frame;
    for (;;) {
        if (!measure(s, rest, &frame))
            return false;
        if (!frame || frame > rest.len)
            break;
        if (!deliver((struct span){ rest.at, frame }, on_frame, owner))
            return false;
        rest = (struct span){ rest.at + frame, rest.len - frame };
    }
    buf_consume(&s->pending, s->pending.len - rest.len);
    return true;
}

/* --- writing --- */

static void write_header(struct buf *out, struct span name, struct span value) {
    write_number(out, (uint32_t)name.len, 1);
    buf_add(out, name);
    write_number(out, VALUE_STRING, 1);
    write_number(out, (uint32_t)value.len, 2);
    buf_add(out, value);
}

void eventstream_write(struct buf *out, struct span message_type, struct span type,
                       struct span payload) {
    struct buf headers = { 0 }, frame = { 0 };
    bool exception = span_eq(message_type, SPAN("exception"));
    write_header(&headers, SPAN(":message-type"), message_type);
    write_header(&headers, exception ? SPAN(":exception-type") : SPAN(":event-type"), type);
    write_header(&headers, SPAN(":content-type"), SPAN("application/json"));
    write_number(&frame, (uint32_t)(FRAME_MIN + headers.len + payload.len), 4);
    write_number(&frame, (uint32_t)headers.len, 4);
    write_number(&frame, sum_of(frame.at, frame.len), 4);
    buf_add(&frame, buf_span(&headers));
    buf_add(&frame, payload);
    write_number(&frame, sum_of(frame.at, frame.len), 4);
    buf_add(out, buf_span(&frame));
    buf_deinit(&headers);
    buf_deinit(&frame);
}
