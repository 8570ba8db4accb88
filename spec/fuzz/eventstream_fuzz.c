/* Amazon's event frames: any bytes, cut anywhere; and whole frames of which one byte is damaged,
 * which never gets as far as a payload. */
#include "fuzz/fuzz.h"

#include "net/eventstream.h"

struct reading {
    struct eventstream framer;
    struct buf seen;
    bool over;
};

static void note(struct buf *seen, struct span type, struct span payload) {
    buf_printf(seen, "%.*s %.*s\n", SPAN_ARGS(type), SPAN_ARGS(payload));
}

static bool on_frame(void *owner, const struct eventstream_frame *frame) {
    struct reading *r = owner;
    note(&r->seen, frame->event_type.at ? frame->event_type : frame->exception_type,
         frame->payload);
    return true;
}

static void feed(void *owner, const char *bytes, size_t len) {
    struct reading *r = owner;
    if (!r->over)
        r->over = !eventstream_feed(&r->framer, bytes, len, on_frame, r);
}

/* What is read, and whether the last frame was whole. */
static bool read_in(struct span bytes, uint32_t seed, struct buf *seen) {
    struct reading r = { 0 };
    eventstream_init(&r.framer, 65536);
    fuzz_in_parts(bytes, seed, feed, &r);
    bool fine = !r.over && eventstream_whole(&r.framer);
    eventstream_deinit(&r.framer);
    *seen = r.seen;
    return fine;
}

/* Lines of "type payload" as frames, and what reading them should see. */
static void write_frames(struct span text, struct buf *frames, struct buf *wanted) {
    struct span line, type;
    while (span_split(&text, '\n', &line)) {
        struct span rest = line;
        if (!span_split(&rest, ' ', &type) || !type.len || type.len > 255)
            continue;
        bool exception = span_ends(type, SPAN("Exception"));
        eventstream_write(frames, exception ? SPAN("exception") : SPAN("event"), type, rest);
        note(wanted, type, rest);
    }
}

static void check_frames(struct span text, const uint8_t *tail) {
    struct buf frames = { 0 }, wanted = { 0 }, seen;
    write_frames(text, &frames, &wanted);
    bool damaged = frames.len && tail[5];
    if (damaged)
        frames.at[fuzz_u32(tail) % frames.len] ^= (char)tail[5];
    bool fine = read_in(buf_span(&frames), fuzz_u32(tail), &seen);
    fuzz_expect(fine == !damaged);
    fuzz_expect(damaged ? seen.len < wanted.len && span_starts(buf_span(&wanted), buf_span(&seen))
                        : span_eq(buf_span(&seen), buf_span(&wanted)));
    buf_deinit(&frames);
    buf_deinit(&wanted);
    buf_deinit(&seen);
}

static void check_bytes(struct span text, uint32_t seed) {
    struct buf whole, parts;
    bool fine = read_in(text, 0, &whole);
    fuzz_expect(read_in(text, seed | 1, &parts) == fine);
    fuzz_expect(span_eq(buf_span(&whole), buf_span(&parts)));
    buf_deinit(&whole);
    buf_deinit(&parts);
}

static void one(struct span text, const uint8_t *tail) {
    check_bytes(text, fuzz_u32(tail));
    check_frames(text, tail);
}

static const struct fuzz_folder folders[] = { { "fixtures/bedrock_converse", ".events", 0 },
                                              { 0 } };
const struct fuzz_target fuzz_target = {
    .name = "eventstream", .folders = folders, .tail = 6, .iterations = 60000, .one = one
};
