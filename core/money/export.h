/* export.h - requests and usage as lines of CSV and JSON.
 *
 * Owns          the names of columns.
 * Fed by        search, usage.
 * Feeds         files, HTTP answers, terminals.
 * Must not know where lines go.
 *
 *   export_requests_head(&out);
 *   export_request_csv(&out, &row); ...
 *
 * CSV is RFC 4180's, with a head line. A text that a spreadsheet would take for a formula (it
 * begins with = + - @ or a tab) gets
 * a ' in front. Money is in dollars with nine places, exact; in JSON whole nano-dollars stand
 * beside. What is
 * not known is empty, or left out.
 */
#ifndef PERILUNE_MONEY_EXPORT_H
#define PERILUNE_MONEY_EXPORT_H

#include "money/search.h"
#include "money/usage.h"

void export_requests_head(struct buf *out);
void export_request_csv(struct buf *out, const struct search_row *row);

/* One line. With the attempts, where the row has them. */
void export_request_json(struct buf *out, const struct search_row *row);

void export_usage_head(struct buf *out);
void export_usage_csv(struct buf *out, const struct usage_line *line);
void export_usage_json(struct buf *out, const struct usage_line *line);

/* All of an answer as one JSON object, with what was asked: GET /api/usage, `perilune usage --json`.
 * No line feed. */
void export_usage(struct buf *out, const struct usage_query *q, const struct usage_lines *lines);

/* Lines by target, then one with the name "total". */
void export_statement_csv(struct buf *out, const struct usage_statement *s);
void export_statement_json(struct buf *out, const struct usage_statement *s);

/* "1.234567890"; "" when negative. */
void export_usd(struct buf *out, nanousd amount);

#endif
