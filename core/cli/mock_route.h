/* mock_route.h - which path is which dialect, and the lists of models.
 *
 * Owns          the table of paths.
 * Fed by        mock_serve, with a path behind its fault.
 * Feeds         mock_serve.
 * Must not know faults, connections.
 */
#ifndef PERILUNE_CLI_MOCK_ROUTE_H
#define PERILUNE_CLI_MOCK_ROUTE_H

#include "cli/mock_answer.h"

/* The dialect that is spoken by POST there; NULL: none. */
const struct mock_dialect *mock_route_find(struct span path);

/* Whether a path's first segment belongs to an API, and is no provider's name in front of one. */
bool mock_route_is_api(struct span segment);

/* The body of GET .../models: Anthropic's to who sends a version, Gemini's below v1beta, else
 * OpenAI's. */
void mock_route_models(struct span path, struct span version, struct buf *out);

#endif
