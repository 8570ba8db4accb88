/* dollars.h - amounts as people write and read them.
 *
 * Owns          nothing.
 * Fed by        options; the ledger.
 * Feeds         usage, logs, trace, keys, projects.
 * Must not know what is paid for.
 */
#ifndef PERILUNE_CLI_DOLLARS_H
#define PERILUNE_CLI_DOLLARS_H

#include "base/decision.h"

/* "5", "0.25", "$0.25": at most nine places, exactly. False for anything else. */
bool dollars_read(struct span text, nanousd *amount);

enum { DOLLARS_SIZE = 40 };

/* "$1.234568", rounded to a millionth; less than a millionth has all its nine places. "" when
 * negative: nobody knows. Returns `out`. */
const char *dollars_show(nanousd amount, char out[DOLLARS_SIZE]);

/* The same without zeros at its end: "$5", "$0.25", "$1.50". */
const char *dollars_brief(nanousd amount, char out[DOLLARS_SIZE]);

#endif
