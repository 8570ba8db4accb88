#include "route/tokens.h"

#include <math.h>

enum {
    BYTES_A_TOKEN = 4,     /* of English text, in most tokenizers */
    PICTURE_TOKENS = 1000, /* of a picture of unknown size: between what low and high detail cost */
    PICTURE_LOW = 85,      /* of one looked at coarsely */
    PICTURE_LEAST = 64,    /* of the smallest */
    PICTURE_MOST = 1600,   /* larger ones are scaled down before they are read */
    PIXELS_A_TOKEN = 750,
    JPEG_SEGMENTS = 64 /* before the one with the size: more are not looked at */
};

uint64_t tokens_text(uint64_t bytes) {
    return (bytes + BYTES_A_TOKEN - 1) / BYTES_A_TOKEN;
}

/* --- pictures --- */

static int digit64(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* One byte of what base64 stands for, without decoding what lies before it; -1 behind the end. */
static int byte_of(struct span base64, size_t at) {
    size_t first = at / 3 * 4 + at % 3;
    if (first + 1 >= base64.len)
        return -1;
    int a = digit64(base64.at[first]), b = digit64(base64.at[first + 1]);
    if (a < 0 || b < 0)
        return -1;
    unsigned shift = 2 * (unsigned)(at % 3) + 2;
    return (int)(((unsigned)a << shift | (unsigned)b >> (6 - shift)) & 0xff);
}

/* Two bytes, the high one first; -1 behind the end. */
static int pair_of(struct span base64, size_t at) {
    int high = byte_of(base64, at), low = byte_of(base64, at + 1);
    return high < 0 || low < 0 ? -1 : high << 8 | low;
}

struct size {
    int width, height; /* 0 or less: not known */
};

/* A JPEG is a row of segments, each with its length; the frame header among them has the size. */
static struct size size_of_jpeg(struct span base64) {
    size_t at = 2;
    for (int i = 0; i < JPEG_SEGMENTS && byte_of(base64, at) == 0xff; i++) {
        int marker = byte_of(base64, at + 1), len = pair_of(base64, at + 2);
        bool frame =
            marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
        if (frame)
            return (struct size){ pair_of(base64, at + 7), pair_of(base64, at + 5) };
        if (len < 2)
            break;
        at += 2 + (size_t)len;
    }
    return (struct size){ 0, 0 };
}

static struct size size_of_picture(struct span base64) {
    if (span_starts(base64, SPAN("iVBORw0KGgo"))) /* PNG: no side of one needs more than 16 bits */
        return (struct size){ pair_of(base64, 18), pair_of(base64, 22) };
    if (span_starts(base64, SPAN("R0lGOD")) && byte_of(base64, 9) >= 0) /* GIF: low bytes first */
        return (struct size){ byte_of(base64, 6) | byte_of(base64, 7) << 8,
                              byte_of(base64, 8) | byte_of(base64, 9) << 8 };
    if (span_starts(base64, SPAN("/9j/")))
        return size_of_jpeg(base64);
    return (struct size){ 0, 0 };
}

uint64_t tokens_picture(struct span source, bool low) {
    if (low)
        return PICTURE_LOW;
    if (span_starts(source, SPAN("data:")))
        source = span_sub(source, span_find(source, ',') + 1, source.len);
    struct size size = size_of_picture(source);
    if (size.width <= 0 || size.height <= 0)
        return PICTURE_TOKENS;
    uint64_t tokens = (uint64_t)size.width * (uint64_t)size.height / PIXELS_A_TOKEN;
    return tokens < PICTURE_LEAST ? PICTURE_LEAST : tokens > PICTURE_MOST ? PICTURE_MOST : tokens;
}

/* --- requests --- */

uint64_t tokens_estimate(const struct facts *facts, const struct target *target) {
    uint64_t others = facts->input_tokens - tokens_text(facts->input_bytes);
    return others + (uint64_t)ceil((double)facts->input_bytes / target->bytes_a_token);
}

uint64_t tokens_input(const struct facts *facts, const struct target *target,
                      const struct health_figure *figure) {
    uint64_t estimate = tokens_estimate(facts, target);
    return figure ? (uint64_t)ceil((double)estimate * health_token_factor(figure)) : estimate;
}

double tokens_a_byte(const struct target *target, const struct health_figure *figure) {
    return (figure ? health_output_factor(figure) : 1) / target->bytes_a_token;
}

/* The first target of a name, which may be a configured chain's; NULL without one. */
static const struct target *first_target(const struct snapshot *snap, struct span name,
                                         struct arena *arena) {
    const struct target *target = NULL;
    const struct named_chain *chain = snapshot_chain(snap, name);
    size_t n = snapshot_resolve(snap, name, arena, &target, 1);
    for (size_t i = 0; !n && chain && i < chain->n_targets; i++)
        n = snapshot_resolve(snap, chain->targets[i], arena, &target, 1);
    return n ? target : NULL;
}

uint64_t tokens_count(const struct facts *facts, const struct snapshot *snap,
                      struct health_figure *const *figures, struct arena *arena) {
    struct span name = facts->n_models ? facts->models[0] : facts->model;
    const struct target *target = first_target(snap, name, arena);
    uint64_t n = facts->input_tokens;
    if (target)
        n = tokens_input(facts, target,
                         figures && target->index != TARGET_AD_HOC ? figures[target->index] : NULL);
    return n ? n : 1;
}
