/* mock_gemini.h - Google's Gemini API at the mock, in two files.
 *
 * Owns          nothing.
 * Fed by        mock_answer's table of a dialect.
 * Feeds         it.
 * Must not know the other dialects.
 */
#ifndef PERILUNE_CLI_MOCK_GEMINI_H
#define PERILUNE_CLI_MOCK_GEMINI_H

#include "cli/mock_answer.h"

bool mock_gemini_check(const struct mock_post *post, struct arena *arena, struct mock_wrong *wrong);

/* A member in either of its spellings: "toolConfig" or "tool_config". */
struct json_value mock_gemini_get(struct json_value object, const char *camel, const char *snake);

#endif
