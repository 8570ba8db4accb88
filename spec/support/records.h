/* records.h - requests as a ledger has them: of all kinds, by chance, and the same for each number.
 *
 *   struct records r;
 *   records_init(&r, seed);
 *   records_make(&r, i, at_us, &entry);        good until the next one
 */
#ifndef PERILUNE_SPEC_RECORDS_H
#define PERILUNE_SPEC_RECORDS_H

#include "base/random.h"
#include "money/entry.h"

struct records {
    struct random random;
    char id[40], session[40], tag[40], key[40];
    struct span tags[2];
    struct entry_attempt attempts[3];
};

enum { RECORDS_PROJECTS = 4, RECORDS_TARGETS = 6, RECORDS_KEYS = 50 };

void records_init(struct records *r, uint64_t seed);

/* One in twenty fails over, one in fifty fails; ids are "r-0000001". All lies in `r`. */
void records_make(struct records *r, uint64_t number, uint64_t at_us, struct entry *e);

#endif
