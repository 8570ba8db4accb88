/* body_unit.h - one body after another, for the tests of each dialect.
 *
 * Owns          a parser, an arena, the facts and the error of the last reading.
 * Fed by        body_<dialect>_test.c, which says by unit_dialect() what it speaks.
 * Feeds         its assertions.
 * Must not know dialects.
 */
#ifndef PERILUNE_SPEC_BODY_UNIT_H
#define PERILUNE_SPEC_BODY_UNIT_H

#include "base/ability.h"
#include "route/body.h"
#include "support/unit.h"

static struct json_parser *parser;
static struct arena arena;
static struct facts facts;
static struct body body;
static struct api_error error;

static enum dialect unit_dialect(void);

static inline int unit_set_up(void **state) {
    parser = json_parser_new();
    arena_init(&arena, 4096);
    return 0;
}

static inline int unit_tear_down(void **state) {
    json_parser_free(parser);
    arena_deinit(&arena);
    return 0;
}

static inline bool unit_read(struct span text) {
    facts = (struct facts){ .dialect = unit_dialect() };
    return body_read(parser, text, &facts, &arena, &body, &error);
}

static inline void unit_reads(const char *text) {
    if (!unit_read(span_of(text)))
        fail_msg("refused: %.*s: %s", SPAN_ARGS(error.message), text);
}

/* A 400 whose message names the parameter, and ends like a sentence. */
static inline void unit_refuses(const char *text, const char *param) {
    if (unit_read(span_of(text)))
        fail_msg("accepted: %s", text);
    assert_int_equal(error.code, ERROR_INVALID_REQUEST);
    assert_int_equal(error_status(&error), 400);
    assert_span(error.param, param);
    assert_true(error.message.len > 0 && error.message.at[error.message.len - 1] == '.');
    if (param)
        assert_non_null(memmem(error.message.at, error.message.len, param, strlen(param)));
}

static inline void unit_builds(const char *text, struct span model, const struct pair *params,
                               size_t n, bool ask_usage, const char *wanted) {
    struct buf out = { 0 };
    unit_reads(text);
    assert_int_equal(body_build(parser, &body, model, params, n, ask_usage, &out), 0);
    assert_span(buf_span(&out), wanted);
    buf_deinit(&out);
}

/* No beginning of a body is one. */
static inline void unit_refuses_every_cut(const char *text) {
    for (size_t len = 0; len < strlen(text); len++)
        assert_false(unit_read((struct span){ text, len }));
    unit_reads(text);
}

#endif
