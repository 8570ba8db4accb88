/* tokens.h - how many tokens a prompt or an answer is worth that nobody has counted.
 *
 * Owns          the rules of thumb: bytes a token, the size of a picture.
 * Fed by        body, with what it read; request, with a target and its figures.
 * Feeds         facts, cost bounds, answers to count_tokens.
 * Must not know JSON, dialects, tokenizers.
 *
 *   uint64_t n = tokens_input(&facts, target, figure);
 *   ... an answer reports 1234 ... health_tokens(figure, tokens_estimate(&facts, target), 1234);
 *   ... and 56 for 200 bytes of text ... health_output(figure, 200 / target->bytes_a_token, 56);
 */
#ifndef PERILUNE_ROUTE_TOKENS_H
#define PERILUNE_ROUTE_TOKENS_H

#include "base/facts.h"
#include "base/snapshot.h"
#include "route/health.h"

/* Of so many bytes of text, whoever reads it: four bytes a token, rounded up. */
uint64_t tokens_text(uint64_t bytes);

/* Of a picture: by its width and height where they stand in the first bytes of `source` (base64 of
 * a PNG, JPEG or GIF, bare or as a data URL), else a usual one. `low`: looked at coarsely. */
uint64_t tokens_picture(struct span source, bool low);

/* Of a request's input at a target, by how dense the target's tokens are. */
uint64_t tokens_estimate(const struct facts *facts, const struct target *target);

/* The same, corrected by what the target has reported so far. `figure` NULL: nothing is known of
 * it. */
uint64_t tokens_input(const struct facts *facts, const struct target *target,
                      const struct health_figure *figure);

/* Output tokens a byte of an answer's text is worth at a target, corrected likewise. */
double tokens_a_byte(const struct target *target, const struct health_figure *figure);

/* The answer to count_tokens: what the first target the request names is expected to count; where
 * it names none ("auto"), a general estimate. At least 1. `figures`: by target index; NULL: none.
 * What a name means may be made in `arena`. */
uint64_t tokens_count(const struct facts *facts, const struct snapshot *snap,
                      struct health_figure *const *figures, struct arena *arena);

#endif
