/* turns.h - how long the turns of a loop are.
 *
 * Owns          a handle that sees each turn end.
 * Fed by        the loop.
 * Feeds         the spec's assertions.
 * Must not know what the loop does. A turn's length leaves out the time the loop slept. A turn in
 * which the scheduler took the processor away says nothing about the code and is not counted,
 * because specs run on shared machines; a turn that blocks is.
 *
 *   turns_watch(&t, loop);  ...  assert(t.worst_us < 5000);  turns_stop(&t);
 */
#ifndef PERILUNE_SPEC_TURNS_H
#define PERILUNE_SPEC_TURNS_H

#include <stdint.h>
#include <uv.h>

struct turns {
    uint64_t worst_us, count;
    /* kept by turns */
    uv_prepare_t prepare;
    uint64_t at_ns, idle_ns;
    long preempted;
};

/* Before the loop's first turn: it asks the loop to measure its sleep. */
void turns_watch(struct turns *t, uv_loop_t *loop);
void turns_reset(struct turns *t);
void turns_stop(struct turns *t);

#endif
