/* Texts that may tell of people: what is kept of them is theirs, piece by piece and in order. */
#include "fuzz/fuzz.h"

#include "money/redact.h"

/* The mark at the front; 0: there is none. */
static size_t mark_at(struct span text) {
    static const char *const marks[] = { "[email]", "[card]", "[phone]", "[key]" };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (span_starts(text, span_of(marks[i])))
            return strlen(marks[i]);
    return 0;
}

static size_t piece_len(struct span text) {
    size_t len = 0;
    while (len < text.len && !mark_at(span_sub(text, len, SIZE_MAX)))
        len++;
    return len;
}

static void one(struct span text, const uint8_t *tail) {
    struct buf out = { 0 };
    redact(&out, text);
    for (struct span rest = buf_span(&out); rest.len;) {
        size_t len = piece_len(rest);
        const char *found = len ? memmem(text.at, text.len, rest.at, len) : text.at;
        fuzz_expect(found);
        text = span_sub(text, (size_t)(found - text.at) + len, SIZE_MAX);
        rest = span_sub(rest, len, SIZE_MAX);
        rest = span_sub(rest, mark_at(rest), SIZE_MAX);
    }
    buf_deinit(&out);
}

static const struct fuzz_folder folders[] = {
    { "fuzz/texts/redact", ".txt", 0 },
    { "fixtures/openai_chat", ".json", 0 },
    { 0 },
};
const struct fuzz_target fuzz_target = {
    .name = "redact", .folders = folders, .tail = 1, .iterations = 20000, .one = one
};
