/* mock_check.c - names, members, and calls that are to have results. */
#include "cli/mock_check.h"

bool mock_wrongf(struct mock_wrong *wrong, struct arena *arena, const char *param,
                 const char *format, ...) {
    va_list args;
    va_start(args, format);
    *wrong = (struct mock_wrong){ .param = param ? arena_copy(arena, span_of(param)) : SPAN_NONE,
                                  .message = arena_vprintf(arena, format, args) };
    va_end(args);
    return false;
}

struct span mock_unknown_member(struct json_value object, const char *const *names) {
    for (struct json_iter it = json_iter(object); json_next(&it);) {
        const char *const *name = names;
        while (*name && !span_eq(it.key, span_of(*name)))
            name++;
        if (!*name)
            return it.key;
    }
    return SPAN_NONE;
}

bool mock_name_ok(struct span name, size_t max) {
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i], letter = (char)(c | 0x20);
        if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-')
            return false;
    }
    return name.len >= 1 && name.len <= max;
}

void mock_pairs_open(struct mock_pairs *p, struct span id, struct arena *arena) {
    if (p->n == p->room) {
        size_t room = p->room ? p->room * 2 : 8;
        struct span *ids = arena_new_array(arena, struct span, room);
        for (size_t i = 0; i < p->n; i++)
            ids[i] = p->ids[i];
        p->ids = ids;
        p->room = room;
    }
    p->ids[p->n++] = id;
}

bool mock_pairs_close(struct mock_pairs *p, struct span id) {
    for (size_t i = 0; i < p->n; i++) {
        if (!span_eq(p->ids[i], id))
            continue;
        p->ids[i] = p->ids[--p->n];
        return true;
    }
    return false;
}
