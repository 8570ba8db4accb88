/* mock_check.h - what the dialects check requests with.
 *
 * Owns          the calls that wait for a result, in the arena given.
 * Fed by        the checks of the dialects (mock_anthropic_check.c, ...).
 * Feeds         struct mock_wrong.
 * Must not know which dialect asks.
 */
#ifndef PERILUNE_CLI_MOCK_CHECK_H
#define PERILUNE_CLI_MOCK_CHECK_H

#include "cli/mock_answer.h"

/* False always: what is wrong, with 400. */
bool mock_wrongf(struct mock_wrong *wrong, struct arena *arena, const char *param,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The first member of the object that is not among the names (NULL behind the last one), or
 * SPAN_NONE. */
struct span mock_unknown_member(struct json_value object, const char *const *names);

/* 1 to `max` of the letters, digits, '_' and '-' that names and ids of calls are made of. */
bool mock_name_ok(struct span name, size_t max);

/* Calls without a result yet. All zeros: none. */
struct mock_pairs {
    struct span *ids;
    size_t n, room;
};

void mock_pairs_open(struct mock_pairs *p, struct span id, struct arena *arena);

/* Whether a call of that id waited; it does not any more. */
bool mock_pairs_close(struct mock_pairs *p, struct span id);

#endif
