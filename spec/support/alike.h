/* alike.h - whether two streams of events say the same, however their JSON is written.
 *
 * Owns          nothing.
 * Fed by        specs that make the same stream in two ways.
 * Feeds         them, with a form in which equal streams are equal bytes.
 * Must not know dialects.
 *
 *   alike_events(parser, buf_span(&one), &a);
 *   alike_events(parser, buf_span(&other), &b);
 *   assert_true(span_eq(buf_span(&a), buf_span(&b)));
 */
#ifndef PERILUNE_SPEC_ALIKE_H
#define PERILUNE_SPEC_ALIKE_H

#include "base/json.h"

/* Each event on a line of its own: its name, and its data with all escapes undone where a text holds
 * them for no need. What is no JSON stays as it is. */
void alike_events(struct json_parser *parser, struct span events, struct buf *out);

#endif
