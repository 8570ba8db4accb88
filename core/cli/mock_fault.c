/* mock_fault.c - what the mock is asked to do, read from text. */
#include "cli/mock_fault.h"

#include <stddef.h>

enum kind {
    FLAG,
    NUMBER,
    TEXT,     /* needs a value */
    TEXT_OR_1 /* "1" without a value */
};

#define SHAPE(kind, field)                                                                         \
    { #field, kind, offsetof(struct mock_fault, shape.field) }
#define HARM(kind, field)                                                                          \
    { #field, kind, offsetof(struct mock_fault, harm.field) }

static const struct word {
    const char *name;
    enum kind kind;
    size_t offset;
} words[] = {
    SHAPE(TEXT, content),
    SHAPE(FLAG, reasoning),
    SHAPE(FLAG, tool),
    SHAPE(TEXT, model),
    SHAPE(NUMBER, events),
    SHAPE(NUMBER, bytes),
    SHAPE(NUMBER, tokens),
    SHAPE(NUMBER, big),
    SHAPE(NUMBER, gap_ms),
    SHAPE(NUMBER, ping_ms),
    SHAPE(FLAG, comment),
    SHAPE(FLAG, crlf),
    SHAPE(FLAG, bytewise),
    SHAPE(FLAG, extra),
    SHAPE(NUMBER, headers),
    SHAPE(FLAG, early_hints),
    HARM(NUMBER, status),
    HARM(TEXT, code),
    HARM(TEXT, type),
    HARM(TEXT, message),
    HARM(TEXT, retry_after),
    HARM(FLAG, html),
    HARM(FLAG, garbage),
    HARM(FLAG, reset),
    HARM(FLAG, hang),
    HARM(TEXT_OR_1, half_headers),
    HARM(NUMBER, slow),
    HARM(NUMBER, first_ms),
    HARM(NUMBER, cut_event),
    HARM(NUMBER, cut_after),
    HARM(NUMBER, error_after),
    HARM(TEXT, cut),
    HARM(FLAG, wrong_length),
    HARM(FLAG, no_usage),
    HARM(FLAG, no_finish),
    HARM(FLAG, no_done),
    HARM(FLAG, no_content),
    HARM(FLAG, gzip),
    HARM(TEXT, redirect),
    { "name", TEXT, offsetof(struct mock_fault, name) },
    { "fail_first", NUMBER, offsetof(struct mock_fault, fail_first) },
    { "every", NUMBER, offsetof(struct mock_fault, every) },
};

/* No number means more than this: neither milliseconds nor bytes. */
#define NUMBER_MAX 1000000000

static void harmless(struct mock_harm *harm) {
    *harm = (struct mock_harm){ .cut_event = -1, .cut_after = -1, .error_after = -1 };
}

void mock_fault_init(struct mock_fault *f) {
    *f = (struct mock_fault){ .fail_first = -1, .every = -1 };
    f->shape = (struct mock_shape){ .events = -1, .bytes = -1, .tokens = -1, .big = -1 };
    harmless(&f->harm);
}

void mock_fault_heal(struct mock_fault *f) {
    harmless(&f->harm);
}

static bool complain(struct buf *error, const char *what, struct span word, struct span value) {
    buf_printf(error, "%s: ", what);
    buf_add(error, word);
    if (value.at)
        buf_add_char(error, '=');
    buf_add(error, value);
    return false;
}

bool mock_fault_set(struct mock_fault *f, struct span word, struct span value, struct buf *error) {
    const struct word *w = NULL;
    uint64_t number = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (span_eq(word, span_of(words[i].name)))
            w = &words[i];
    if (!w)
        return complain(error, "the mock knows no such word", word, SPAN_NONE);
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

/* "%3B" to ";". What is no such triple stays. */
static struct span decode(struct arena *arena, struct span s) {
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
            value = decode(arena, span_trim(span_sub(part, equals + 1, SIZE_MAX)));
        if (!mock_fault_set(f, word, value, error))
            return false;
    }
    return true;
}
