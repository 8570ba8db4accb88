/* ident.h - ids of requests: 26 characters that sort by time (a ULID: 48 bits of milliseconds, 80
 * random ones).
 *
 * Owns          the last id of its thread, so that the next one is greater.
 * Fed by        the wall clock's milliseconds.
 * Feeds         x-request-id, the log, the ledger, the trace.
 * Must not know requests.
 *
 *   struct ident ids;
 *   char id[IDENT_SIZE];
 *   ident_init(&ids);
 *   ident_make(&ids, clock_wall_ms(), id);
 */
#ifndef PERILUNE_BASE_IDENT_H
#define PERILUNE_BASE_IDENT_H

#include "base/random.h"

#define IDENT_LEN 26
#define IDENT_SIZE (IDENT_LEN + 1)

/* One a thread. */
struct ident {
    struct random random;
    uint64_t ms;   /* time of the last id */
    uint16_t high; /* its random bits: the upper 16 */
    uint64_t low;  /* and the lower 64 */
};

/* With a seed of the kernel's: two threads or processes do not meet. */
void ident_init(struct ident *ids);

/* The next id, NUL-terminated: greater than the last one of `ids`, also when the clock stood still
 * or went back. */
void ident_make(struct ident *ids, uint64_t wall_ms, char out[IDENT_SIZE]);

#endif
