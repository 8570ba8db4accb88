/* admin.h - the admin side: what runs the engine, and what one can ask of it.
 *
 * Owns          the main thread's loop: signals, the file watch, the admin listener; making
 *               snapshots and policy states.
 * Fed by        cli/run, with a configuration that has been read once; files, signals, calls.
 * Feeds         engine; api, with messages.
 * Must not know how requests are answered.
 *
 *   admin_run(&options, snap)      returns when a signal ended it and every handle is closed
 *
 * What can be asked over HTTP, on the admin address, is the table in api.c.
 */
#ifndef PERILUNE_ADMIN_ADMIN_H
#define PERILUNE_ADMIN_ADMIN_H

#include "route/engine.h"
#include "script/config.h"

struct admin_options {
    struct config_options config; /* to read it again */
    struct pump_options pump;
    struct sockaddr_storage data_address, admin_address; /* with real ports */
    bool beyond_loopback;            /* clients come from elsewhere: never without client keys */
    struct span token, viewer_token; /* of the admin side */
    /* Called once everything answers, on the main thread. */
    void (*on_ready)(void *owner, const struct snapshot *snap);
    void *owner;
};

/* Takes the caller's reference to `snap`. 0, or negative with the reason logged. */
int admin_run(const struct admin_options *options, struct snapshot *snap);

/* A findings list as JSON: [{"path","line","setting","message","hint","excerpt","warning"},...]. */
void admin_write_findings(const struct config_findings *findings, struct buf *out);

/* The same as lines for people: "policies/tier.lua:3: message" and "  hint: ...". What a policy says
 * in there steers no terminal. */
void admin_print_findings(const struct config_findings *findings, struct buf *out);

#endif
