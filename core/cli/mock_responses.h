/* mock_responses.h - OpenAI's Responses at the mock, in two files.
 *
 * Owns          nothing.
 * Fed by        mock_answer's table of a dialect.
 * Feeds         it.
 * Must not know the other dialects.
 */
#ifndef PERILUNE_CLI_MOCK_RESPONSES_H
#define PERILUNE_CLI_MOCK_RESPONSES_H

#include "cli/mock_answer.h"

bool mock_responses_check(const struct mock_post *post, struct arena *arena,
                          struct mock_wrong *wrong);

#endif
