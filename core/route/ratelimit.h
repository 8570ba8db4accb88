/* ratelimit.h - how much of a provider's rate limit is left, as its answers tell.
 *
 * Owns          the spelling of the headers.
 * Fed by        attempt, with the head of an answer.
 * Feeds         it, with a share.
 * Must not know providers: a pair "...ratelimit...remaining..." and "...ratelimit...limit..." is
 *               understood whoever sends it.
 *
 *   double left = ratelimit_left(head->headers, head->n_headers);
 *
 * Spellings met: x-ratelimit-remaining-requests, -tokens (OpenAI, Groq, Fireworks, Azure),
 * anthropic-ratelimit-input-tokens-remaining, x-ratelimitbysize-remaining-minute (Mistral),
 * x-ratelimit-remaining (OpenRouter), ratelimit-remaining (draft-ietf-httpapi-ratelimit-headers-06).
 */
#ifndef PERILUNE_ROUTE_RATELIMIT_H
#define PERILUNE_ROUTE_RATELIMIT_H

#include "base/span.h"

/* The smallest share that is left of any limit the headers speak of, 0 to 1; -1 when they speak of
 * none. Names are in lower case. */
double ratelimit_left(const struct pair *headers, size_t n);

#endif
