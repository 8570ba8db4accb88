/* spoken.h - the adapter with everything it asks for: who asks, who is asked, in what.
 *
 * Owns          one adapter state for all inputs.
 * Fed by        targets that fuzz translation.
 * Feeds         them, with handles and bodies.
 * Must not know what is read with them.
 */
#ifndef PERILUNE_SPEC_FUZZ_SPOKEN_H
#define PERILUNE_SPEC_FUZZ_SPOKEN_H

#include "fuzz/fuzz.h"

#include "script/adapter.h"

enum { SPOKEN_CLIENTS = 4, SPOKEN_TARGETS = 5 };
extern const enum dialect spoken_clients[SPOKEN_CLIENTS];
extern const enum dialect spoken_targets[SPOKEN_TARGETS];

struct adapter *spoken_adapter(void);

/* Fails when an adapter broke instead of refusing: `why` says so. */
void spoken_check(const char *why);

/* Opens one; 0 when it was refused. `ways`: bits that choose quirks, abilities, what is kept.
 * `body` SPAN_NONE: a request of ours with tools; `upstream` gets the upstream body, which is
 * JSON. */
int spoken_open(enum dialect client, enum dialect spoken, struct span body, bool stream,
                uint16_t ways, struct buf *upstream);

#endif
