/* unit.h - what C units share: cmocka in the order it wants, and spans compared as text. */
#ifndef PERILUNE_SPEC_UNIT_H
#define PERILUNE_SPEC_UNIT_H

#include "base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static inline void check_span(struct span got, const char *wanted, const char *file, int line) {
    if (wanted ? got.at && span_eq(got, span_of(wanted)) : !got.at)
        return;
    print_error("got \"%.*s\"%s, wanted \"%s\"\n", SPAN_ARGS(got), got.at ? "" : " (none)",
                wanted ? wanted : "(none)");
    _fail(file, line);
}

/* `wanted` is a string, or NULL for SPAN_NONE. */
#define assert_span(got, wanted) check_span((got), (wanted), __FILE__, __LINE__)

#endif
