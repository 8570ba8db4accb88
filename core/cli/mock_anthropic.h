/* mock_anthropic.h - Anthropic's Messages at the mock, in two files.
 *
 * Owns          nothing.
 * Fed by        mock_answer's table of a dialect.
 * Feeds         it.
 * Must not know the other dialects.
 */
#ifndef PERILUNE_CLI_MOCK_ANTHROPIC_H
#define PERILUNE_CLI_MOCK_ANTHROPIC_H

#include "cli/mock_answer.h"

/* On Vertex AI the model stands in the path and the version in the body. */
bool mock_anthropic_on_vertex(const struct mock_post *post);

bool mock_anthropic_check(const struct mock_post *post, struct arena *arena,
                          struct mock_wrong *wrong);

/* Of count_tokens, which takes no max_tokens. */
bool mock_anthropic_check_count(const struct mock_post *post, struct arena *arena,
                                struct mock_wrong *wrong);

#endif
