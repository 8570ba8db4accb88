/* pump.h - curl driven by the loop of one worker.
 *
 * Owns          several curl multi handles with their connections, poll handles kept registered, one timer, shared DNS and TLS sessions,
 *               one store of CA certificates, a pool of easy handles.
 * Fed by        transfer.
 * Feeds         transfer's callbacks, on the loop's thread.
 * Must not know what is transferred.
 *
 *   pump_global_init();                        once a process, before threads
 *   p = pump_new(loop, &options);
 *   ... transfer_start(p, ...) ...
 *   pump_close(p, on_closed, owner);           cancels what is left; frees itself on the loop, then on_closed
 */
#ifndef PERILUNE_UPSTREAM_PUMP_H
#define PERILUNE_UPSTREAM_PUMP_H

#include "base/span.h"

#include <uv.h>

struct pump;

struct pump_options {
    const char *ca_file; /* PEM bundle; NULL: SSL_CERT_FILE of the environment, else the system's */
    const char *user_agent; /* "perilune/0.1.0" */
};

/* Everything curl and TLS need once, the CA store included (loaded on first use of TLS or here: one load a process). 0, or negative with the
 * reason logged. */
int pump_global_init(const struct pump_options *options);
void pump_global_deinit(void);

struct pump *pump_new(uv_loop_t *loop, const struct pump_options *options);
void pump_close(struct pump *p, void (*on_closed)(void *owner), void *owner);

/* Figures: transfers under way, connections open, and callbacks of poll handles so far (a spec watches for spinning). */
struct pump_figures {
    size_t active, connections, multis;
    uint64_t polls;
};
struct pump_figures pump_figures(const struct pump *p);

#endif
