/* pump.h - curl driven by the loop of one worker.
 *
 * Owns          several curl multi handles with their connections, the watched sockets, one timer,
 *               shared DNS and TLS sessions, a pool of easy handles.
 * Fed by        transfer.
 * Feeds         transfer's callbacks, on the loop's thread.
 * Must not know what is transferred.
 *
 *   pump_global_init();                        once a process, before threads
 *   p = pump_new(loop, &options);
 *   ... transfer_start(p, ...) ...
 *   pump_close(p, on_closed, owner);           cancels what is left; frees itself on the loop,
 *                                              then on_closed
 */
#ifndef PERILUNE_UPSTREAM_PUMP_H
#define PERILUNE_UPSTREAM_PUMP_H

#include "base/span.h"
#include "upstream/ca.h"

#include <uv.h>

struct pump;

struct pump_options {
    struct ca *ca;          /* outlives the pump; shared by all of them */
    const char *user_agent; /* "perilune/0.1.0"; copied */
    uint32_t idle_ms;       /* after a peak: how long spare connections are kept; 0: 30 s */
};

/* What curl needs once a process: 0, or negative with the reason logged (also when this curl would
 * resolve names on the loop). The process must ignore SIGPIPE by itself. */
int pump_global_init(void);
void pump_global_deinit(void);

/* Never NULL. HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY of the environment are obeyed, never
 * for loopback. */
struct pump *pump_new(uv_loop_t *loop, const struct pump_options *options);

/* Any time, inside an event of a transfer too. No event follows; each transfer is still its owner's
 * to free, now or later. */
void pump_close(struct pump *p, void (*on_closed)(void *owner), void *owner);

struct pump_figures {
    size_t active;      /* transfers under way */
    size_t connections; /* open, idle ones included */
    size_t multis;      /* curl multi handles in use or kept warm */
    uint64_t polls;     /* times a socket's handle fired so far (a spec watches for spinning) */
};
struct pump_figures pump_figures(const struct pump *p);

#endif
