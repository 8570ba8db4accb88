/* child.h - this program once more, with other arguments, as a process of its own beside the loop.
 *
 * Owns          the process and all it starts, its pipes, the time it may take.
 * Fed by        put, with arguments.
 * Feeds         one callback, with how it ended and what it said.
 * Must not know what it is asked to do.
 *
 *   child_start(loop, &options, on_end, owner);     on_end comes once, from the loop
 */
#ifndef PERILUNE_ADMIN_CHILD_H
#define PERILUNE_ADMIN_CHILD_H

#include "base/buf.h"

#include <uv.h>

enum { CHILD_OUTPUT_MAX = 64 * 1024 };

struct child;

struct child_options {
    const char *const *args; /* behind the program's name; ends with NULL */
    const char *dir;         /* where it runs; NULL: here */
    uint32_t limit_ms;       /* then it is killed */
};

struct child_end {
    int code; /* -1: it was killed, or never started */
    bool too_late;
    struct span
        output; /* of both kinds, the first CHILD_OUTPUT_MAX bytes; gone when on_end returns */
};

/* Never NULL; what does not start ends at once with a message in its output. */
struct child *child_start(uv_loop_t *loop, const struct child_options *options,
                          void (*on_end)(void *owner, const struct child_end *end), void *owner);

/* Kills it; on_end still comes. */
void child_kill(struct child *c);

#endif
