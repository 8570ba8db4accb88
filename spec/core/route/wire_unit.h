/* wire_unit.h - one event or answer after another, for the tests of each dialect's readers.
 *
 * Owns          a parser, an arena, the readers under test.
 * Fed by        wire_<dialect>_test.c, which says by unit_dialect() whose readers they are.
 * Feeds         its assertions.
 * Must not know dialects.
 */
#ifndef PERILUNE_SPEC_WIRE_UNIT_H
#define PERILUNE_SPEC_WIRE_UNIT_H

#include "route/wire.h"
#include "support/unit.h"

static struct json_parser *parser;
static struct arena arena;
static const struct wire *wire;

static enum dialect unit_dialect(void);

static inline int set_up(void **state) {
    parser = json_parser_new();
    arena_init(&arena, 4096);
    wire = wire_of(unit_dialect());
    return 0;
}

static inline int tear_down(void **state) {
    json_parser_free(parser);
    arena_deinit(&arena);
    return 0;
}

static inline struct wire_seen event(const char *data) {
    struct wire_seen seen;
    wire->read_event(parser, SPAN_NONE, span_of(data), &arena, &seen);
    return seen;
}

static inline struct wire_seen answer(const char *body) {
    struct wire_seen seen;
    wire->read_answer(parser, span_of(body), &arena, &seen);
    return seen;
}

#endif
