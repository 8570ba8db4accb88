/* engine.h - what all workers share, and the workers.
 *
 * Owns          health, sessions, answers that may be asked for again, the retry budget, the
 *               watchdog, the workers, the newest snapshot, the record, the feed, the shadows'
 *               counts, which policy versions are in quarantine.
 * Fed by        admin (or a spec), with snapshots, on one thread: the builder's, which may block.
 * Feeds         workers, with snapshots and policy states; admin, with what is wanted.
 * Must not know files, configuration, HTTP.
 *
 *   engine_init(&e, &options); engine_start(&e, snap, &address);
 *   engine_adopt(&e, snap);      workers swap; engine_adopted() turns true when all serve it
 *   engine_refill(&e);           builds the policy states workers want, once `on_want` was called
 *   engine_stop(&e); engine_deinit(&e);
 */
#ifndef PERILUNE_ROUTE_ENGINE_H
#define PERILUNE_ROUTE_ENGINE_H

#include "route/idempotency.h"
#include "route/retries.h"
#include "route/sessions.h"
#include "route/worker.h"

enum { WORKERS_MAX = 64, QUARANTINE_MAX = 64, QUARANTINE_KILLS = 64 };

/* A policy version that was killed too often, or is on its way there. */
struct quarantine {
    char version[96];
    struct {
        uint64_t ms;           /* clock_ms(); 0: there was none */
        unsigned key;          /* whose request it was */
    } kills[QUARANTINE_KILLS]; /* the last ones, newest first */
    bool closed;               /* in quarantine */
};

struct engine {
    struct worker workers[WORKERS_MAX];
    unsigned n_workers;
    struct snapshot *snap;
    struct health *health;
    struct keyring *keyring;
    struct kept *kept;
    struct sessions *sessions;
    struct idempotency *idempotency;
    struct retries retries;
    struct record *record;
    struct feed *feed;
    struct shadow *shadow;
    struct vm_watchdog *watchdog;
    struct vm_guard *guard; /* the builder's own */
    struct money *money;    /* the admin side's */
    struct pump_options pump_options;
    struct sockaddr_storage address; /* where clients come in */

    /* From any thread: engine_refill() is wanted, or a worker has swapped. May be called from
     * inside a request. */
    void (*on_want)(void *owner);
    void *owner;

    pthread_mutex_t lock; /* over what follows */
    struct quarantine quarantine[QUARANTINE_MAX];
    atomic_uint n_closed; /* versions in quarantine; read without the lock */
    uint64_t logged_ms;   /* policy failures are logged a few times a second at most */
    unsigned logged, unlogged;
};

/* `on_want` as above; `money` outlives it. Starts nothing but the watchdog. 0, or negative with the
 * reason logged. */
int engine_init(struct engine *e, const struct pump_options *pump, struct money *money,
                void (*on_want)(void *owner), void *owner);

/* Starts the workers on `address`. The engine takes the caller's reference to `snap`. 0, or
 * negative with the reason logged. */
int engine_start(struct engine *e, struct snapshot *snap, const struct sockaddr_storage *address);

/* Gives every worker the snapshot, with policy states made for it. The engine takes the caller's
 * reference. */
void engine_adopt(struct engine *e, struct snapshot *snap);

/* Whether every worker serves the newest snapshot. */
bool engine_adopted(const struct engine *e);

void engine_refill(struct engine *e);

/* Drains and ends the workers. */
void engine_stop(struct engine *e);
void engine_deinit(struct engine *e);

/* From any worker: a policy did not decide. Logged with measure, with the lines of the file it is
 * about and what follows from it (`effect`); kills count towards quarantine. */
void engine_policy_failed(struct engine *e, const struct snapshot *snap, const struct facts *facts,
                          struct span policy, enum vm_result result, struct span why,
                          const char *effect);

/* A policy decided, and some of its answer could not be used: the decision's findings. Logged with
 * measure. */
void engine_policy_findings(struct engine *e, const struct decision *d);

/* Whether that version ("tier@3f9c2a1b") may not run any more. */
bool engine_quarantined(struct engine *e, struct span version);

/* For the workers: engine->on_want. */
void engine_want(struct engine *e);

#endif
