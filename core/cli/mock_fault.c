/* mock_fault.c - what the mock is asked to do, read from text. */
#include "cli/mock_fault.h"

#include "cli/mock_words.h"

#include <stddef.h>

enum kind {
    FLAG,
    NUMBER,
    TEXT,     /* needs a value */
    TEXT_OR_1 /* "1" without a value */
};

#define SHAPE(kind, field, help) { #field, kind, offsetof(struct mock_fault, shape.field) },
#define HARM(kind, field, help) { #field, kind, offsetof(struct mock_fault, harm.field) },
#define TURN(kind, field, help) { #field, kind, offsetof(struct mock_fault, field) },

static const struct word {
    const char *name;
    enum kind kind;
    size_t offset;
} words[] = { MOCK_SHAPE_WORDS(SHAPE) MOCK_QUIRK_WORDS(SHAPE) MOCK_HARM_WORDS(HARM)
                  MOCK_TURN_WORDS(TURN) };

/* No number means more than this: neither milliseconds nor bytes. */
#define NUMBER_MAX 1000000000

/* A word further off than this is not what was meant. */
#define NEAR_ENOUGH 2

static void harmless(struct mock_harm *harm) {
    *harm = (struct mock_harm){ .cut_event = -1, .cut_after = -1, .error_after = -1 };
}

void mock_fault_init(struct mock_fault *f) {
    *f = (struct mock_fault){ .fail_first = -1, .every = -1 };
    f->shape =
        (struct mock_shape){ .events = -1, .bytes = -1, .tokens = -1, .big = -1, .tools = -1 };
    harmless(&f->harm);
}

void mock_fault_heal(struct mock_fault *f) {
    harmless(&f->harm);
}

bool mock_fault_is_status(int64_t status) {
    return status >= 200 && status <= 999;
}

bool mock_fault_is_error(const struct mock_harm *harm) {
    return mock_fault_is_status(harm->status) || harm->html || harm->redirect.at;
}

static bool complain(struct buf *error, const char *what, struct span word, struct span value) {
    buf_printf(error, "%s: ", what);
    buf_add(error, word);
    if (value.at)
        buf_add_char(error, '=');
    buf_add(error, value);
    return false;
}

/* Names the nearest word when one is near. */
static bool complain_unknown(struct buf *error, struct span given) {
    const char *best = NULL;
    unsigned least = NEAR_ENOUGH + 1;
    complain(error, "the mock knows no such word", given, SPAN_NONE);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        unsigned distance = span_distance(given, span_of(words[i].name));
        if (distance < least)
            least = distance, best = words[i].name;
    }
    if (best)
        buf_printf(error, ", did you mean %s?", best);
    return false;
}

bool mock_fault_set(struct mock_fault *f, struct span word, struct span value, struct buf *error) {
    const struct word *w = NULL;
    uint64_t number = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (span_eq(word, span_of(words[i].name)))
            w = &words[i];
    if (!w)
        return complain_unknown(error, word);
    void *field = (char *)f + w->offset;
    switch (w->kind) {
    case FLAG:
        if (value.at && !span_eq(value, SPAN("1")) && !span_eq(value, SPAN("true")))
            return complain(error, "the word takes no value", word, value);
        *(bool *)field = true;
        return true;
    case NUMBER:
        if (!span_uint(value, &number) || number > NUMBER_MAX)
            return complain(error, "the word needs a whole number", word, value);
        *(int64_t *)field = (int64_t)number;
        return true;
    case TEXT:
        if (!value.at)
            return complain(error, "the word needs a value", word, value);
        break;
    case TEXT_OR_1:
        value = value.at ? value : SPAN("1");
        break;
    }
    *(struct span *)field = value;
    return true;
}

static int hex(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct span mock_decode(struct arena *arena, struct span s) {
    char *out = arena_alloc(arena, s.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        bool triple =
            s.at[i] == '%' && i + 2 < s.len && hex(s.at[i + 1]) >= 0 && hex(s.at[i + 2]) >= 0;
        out[n++] = triple ? (char)(hex(s.at[i + 1]) * 16 + hex(s.at[i + 2])) : s.at[i];
        i += triple ? 2 : 0;
    }
    out[n] = '\0';
    return (struct span){ out, n };
}

bool mock_fault_parse(struct mock_fault *f, struct span text, struct arena *arena,
                      struct buf *error) {
    struct span part;
    while (span_split(&text, ';', &part)) {
        size_t equals = span_find(part, '=');
        struct span word = span_trim(span_sub(part, 0, equals)), value = SPAN_NONE;
        if (part.len == 0)
            continue;
        if (equals < part.len)
            value = mock_decode(arena, span_trim(span_sub(part, equals + 1, SIZE_MAX)));
        if (!mock_fault_set(f, word, value, error))
            return false;
    }
    return true;
}
