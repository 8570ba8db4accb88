#include "route/seal.h"

static int hex(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "gpt-4%2e1" is "gpt-4.1". */
static struct span unescape(struct span text, struct arena *arena) {
    char *out = arena_alloc(arena, text.len);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int high = text.at[i] == '%' && i + 2 < text.len ? hex(text.at[i + 1]) : -1;
        int low = high >= 0 ? hex(text.at[i + 2]) : -1;
        out[n++] = low >= 0 ? (char)(high << 4 | low) : text.at[i];
        if (low >= 0)
            i += 2;
    }
    return (struct span){ out, n };
}

enum dialect seal_read(struct span state, enum dialect native, struct arena *arena,
                       struct span *model) {
    struct span rest = state, mark, by, kind, name;
    *model = SPAN_NONE;
    if (!span_starts(state, SPAN("pl1.")))
        return native;
    span_split(&rest, '.', &mark);
    if (!span_split(&rest, '.', &by) || !span_split(&rest, '.', &kind) ||
        !span_split(&rest, '.', &name))
        return DIALECT_NONE;
    if (name.len)
        *model = unescape(name, arena);
    return dialect_of(by);
}
