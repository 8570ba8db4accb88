/* Server-sent events: wherever they are cut, the same ones come out; written again, they read the
 * same. */
#include "fuzz/fuzz.h"

#include "net/sse.h"

struct reading {
    struct sse sse;
    struct buf seen;
    unsigned left; /* events until the callback says stop */
    bool over;
};

static bool same_again(void *owner, const struct sse_event *event) {
    const struct sse_event *wanted = owner;
    fuzz_expect(span_eq(event->data, wanted->data));
    fuzz_expect(!wanted->name.len || span_eq(event->name, wanted->name));
    return true;
}

static void write_again(const struct sse_event *event) {
    struct sse sse;
    struct buf text = { 0 };
    sse_write(&text, event->name, event->data);
    sse_init(&sse, SIZE_MAX);
    fuzz_expect(sse_feed(&sse, text.at, text.len, same_again, (void *)event));
    fuzz_expect(!sse.pending.len);
    sse_deinit(&sse);
    buf_deinit(&text);
}

static bool on_event(void *owner, const struct sse_event *event) {
    struct reading *r = owner;
    fuzz_expect(event->raw.len >= event->data.len);
    buf_printf(&r->seen, "[%.*s|%d%.*s|%.*s]\n", SPAN_ARGS(event->name), event->data.at != NULL,
               SPAN_ARGS(event->data), SPAN_ARGS(event->raw));
    if (event->data.at)
        write_again(event);
    return --r->left > 0;
}

static void feed(void *owner, const char *bytes, size_t len) {
    struct reading *r = owner;
    if (!r->over)
        r->over = !sse_feed(&r->sse, bytes, len, on_event, r);
}

static void read_in(struct span text, uint32_t seed, const uint8_t *tail, struct buf *seen) {
    struct reading r = { .left = tail[4] ? tail[4] : 1000000 };
    sse_init(&r.sse, tail[5] & 1 ? 64 : 1 << 20);
    fuzz_in_parts(text, seed, feed, &r);
    if (!r.over)
        r.over = !sse_end(&r.sse, on_event, &r);
    buf_printf(&r.seen, "over %d", r.over);
    sse_deinit(&r.sse);
    *seen = r.seen;
}

static void one(struct span text, const uint8_t *tail) {
    struct buf whole, parts;
    read_in(text, 0, tail, &whole);
    read_in(text, fuzz_u32(tail) | 1, tail, &parts);
    if (!span_eq(buf_span(&whole), buf_span(&parts)))
        fuzz_fail("whole:\n%.*s\nin parts:\n%.*s", SPAN_ARGS(buf_span(&whole)),
                  SPAN_ARGS(buf_span(&parts)));
    buf_deinit(&whole);
    buf_deinit(&parts);
}

static const struct fuzz_folder folders[] = {
    { "fixtures/openai_chat", ".sse", 0 },
    { "fixtures/anthropic_messages", ".sse", 0 },
    { "fuzz/texts/sse", ".sse", 0 },
    { 0 },
};
const struct fuzz_target fuzz_target = {
    .name = "sse", .folders = folders, .tail = 6, .iterations = 50000, .one = one
};
