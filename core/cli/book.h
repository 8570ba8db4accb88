/* book.h - the ledger of a state folder, opened by a command that reads it.
 *
 * Owns          nothing: what is opened is the caller's to close.
 * Fed by        usage, logs, trace, with what --config names.
 * Feeds         them with a connection, or says why there is none.
 * Must not know what is read. A gateway that runs meanwhile is not disturbed; what it wrote within
 *               the last tenths of a second may not be there yet.
 */
#ifndef PERILUNE_CLI_BOOK_H
#define PERILUNE_CLI_BOOK_H

#include "cli/cli.h"
#include "money/search.h"
#include "money/usage.h"

/* NULL with the reason printed: exit with CLI_UNREACHABLE. */
struct search *book_search(const struct cli_call *call);
struct usage *book_usage(const struct cli_call *call);

/* What a read that gave a SQLite result other than 0 comes to: the reason is printed. */
int book_failed(const struct cli_call *call, int result);

/* What --from (`to` false) or --to say, in microseconds since 1970-01-01; `fallback` when nothing.
 * On false the complaint has been printed: return CLI_USAGE. */
bool book_moment(const struct cli_call *call, bool to, uint64_t fallback, uint64_t *us);

#endif
