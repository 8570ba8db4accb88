/* played.h - a stream from its first byte to its end, and what became of it.
 *
 * Owns          the parser all of them use.
 * Fed by        targets that fuzz streams.
 * Feeds         them, with what a client would have got.
 * Must not know adapters' handles: they come in the setup.
 */
#ifndef PERILUNE_SPEC_FUZZ_PLAYED_H
#define PERILUNE_SPEC_FUZZ_PLAYED_H

#include "fuzz/fuzz.h"

#include "route/stream.h"

struct played {
    struct buf
        out; /* what was for the client, if it flowed: what is held goes nowhere on failure */
    bool flowed;
    struct buf told;    /* all else, in words: how it ended, usage, the error */
    struct buf message; /* why it failed, with a NUL; empty when it did not */
    enum stream_state state;
    struct span route; /* what the last chunk carries; SPAN_NONE: nothing */
};

struct json_parser *played_parser(void);

/* `setup` lacks only target, parser, arena and callbacks. `routes`: somebody wants the route. */
void played_run(struct played *p, const struct stream_setup *setup, struct span text, uint32_t seed,
                bool routes);
void played_deinit(struct played *p);

/* Fails unless both went alike. */
void played_same(const struct played *a, const struct played *b);

/* Fails when the client got half an event. */
void played_events_whole(const struct played *p);

#endif
