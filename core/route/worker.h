/* worker.h - one thread that answers clients.
 *
 * Owns          a loop and everything on it: listener, connections, pump, timers, a JSON parser,
 *               the adapter state, the policy states of the snapshots it serves.
 * Fed by        engine, with snapshots and policy states built elsewhere.
 * Feeds         request, with what it needs; engine, with what it wants.
 * Must not know other workers.
 */
#ifndef PERILUNE_ROUTE_WORKER_H
#define PERILUNE_ROUTE_WORKER_H

#include "base/ident.h"
#include "base/json.h"
#include "money/journal.h"
#include "net/listener.h"
#include "route/attempt.h"
#include "route/health.h"
#include "route/lag.h"
#include "route/metrics.h"
#include "route/queue.h"
#include "route/request.h"
#include "route/wheel.h"
#include "script/adapter.h"
#include "script/policy.h"
#include "upstream/pump.h"

#include <pthread.h>

struct engine;
struct feedback;

enum { EPOCH_TOLD = 8 }; /* targets whose figures a policy state hears of before one decision */

/* What a worker serves between two swaps: a snapshot, and what belongs to it here. Requests count
 * on it; the last one frees it once it is not the newest. */
struct epoch {
    struct snapshot *snap;
    struct policy_state *policy; /* NULL after a kill, until the spare's successor comes */
    struct policy_state *spare;
    bool spare_told;                /* it knows what the other one knows: shadows decide in it */
    struct health_figure **figures; /* by target index */
    struct keyring_keys **keys;     /* by provider index */
    struct adapter *adapter;
    uint64_t *told; /* by target index: the health_changes() the policy state knows; 0: none */
    unsigned learnt[EPOCH_TOLD]; /* targets that were heard of here since the last decision */
    size_t n_learnt;
    bool news;          /* of one of those it was more than an answer like others */
    uint64_t told_ms;   /* when the policies heard of them last */
    uint64_t looked_ms; /* when all targets were looked at, for what other workers heard, */
    size_t look_at;     /* and how far that has come */
    unsigned requests;
    bool retired;
};

/* Counted by one thread, read by any. */
struct worker_figures {
    atomic_ullong requests, answered, failed, cancelled, policy_failures, kills;
    atomic_uint in_flight, queued;
};

struct worker {
    struct engine *engine;
    unsigned index;
    uv_loop_t loop;
    pthread_t thread;
    struct vm_guard *guard;
    struct conn_server server;
    struct listener *listener;
    unsigned upstreams; /* requests there are descriptors for: clients can not take those, too */
    struct pump *pump;
    struct json_parser *parser;
    struct random random;
    struct ident ids;
    struct journal *journal;   /* of what is spent here; NULL: no ledger is kept */
    struct feedback *feedback; /* what is said of answers; NULL likewise */
    struct wheel wheel;
    struct queue queue;             /* requests that wait for a target to come back */
    struct wheel_timer queue_timer; /* until it wants to be looked at */
    struct attempt_tools tools;
    uv_timer_t turner; /* turns the wheel while a timer is armed */
    struct lag lag;    /* of that */
    uv_async_t wake;   /* somebody put something into the mailbox */
    struct epoch *epoch;
    struct request *requests;   /* all under way */
    struct request *awaiting;   /* those that need a policy state */
    struct repeat *repeats;     /* those that wait for the answer of another */
    struct wheel_timer drained; /* the end of patience when shutting down */
    bool stopping;
    uint64_t stopped_ms; /* when that began */
    struct worker_figures figures;
    struct metrics *metrics; /* of requests that are over */

    pthread_mutex_t lock; /* the mailbox: written by engine, emptied on the loop */
    struct snapshot *next_snap;
    struct policy_state *next_policy, *next_spare;
    struct policy_state *refill[2]; /* as many as an epoch can lack */
    bool next_stop;
    bool deaf;              /* it can not be woken any more */
    atomic_uint generation; /* of the snapshot served */
    atomic_uint wants;      /* policy states missing here; engine builds them */
};

/* Makes a worker that will serve `snap`, with two policy states of it, and starts its thread. 0 or
 * a negative UV_E number. */
int worker_start(struct worker *w, struct engine *engine, unsigned index,
                 const struct sockaddr_storage *address, struct snapshot *snap,
                 struct policy_state *policy, struct policy_state *spare);

/* From any thread: another snapshot (a reference is taken) with its two states, which become the
 * worker's. */
void worker_adopt(struct worker *w, struct snapshot *snap, struct policy_state *policy,
                  struct policy_state *spare);

/* From any thread: one more state of the snapshot it was last given. */
void worker_refill(struct worker *w, struct policy_state *state);

/* From any thread: no new connections, requests under way may end, for the configuration's
 * drain_ms; then the thread ends. */
void worker_stop(struct worker *w);

/* From any thread: what its requests wait for may have come. Nothing once it has ended. */
void worker_wake(struct worker *w);

/* Waits for the thread's end. Other workers may wake it still. */
void worker_join(struct worker *w);

/* Lets go of the rest, once every worker's thread has ended. */
void worker_deinit(struct worker *w);

/* For request. */
uint64_t worker_now(const struct worker *w); /* ms of the loop's clock */
void worker_arm(struct worker *w, struct wheel_timer *t, uint64_t due_ms);

/* The state to decide with, or NULL: the caller waits in `awaiting`. */
struct policy_state *worker_policy(struct worker *w, struct epoch *e);

/* An attempt at the target has ended here: the policies hear of it soon, of `news` (a failure, a
 * recovery, a first answer) before they decide next. */
void worker_learnt(struct worker *w, struct epoch *e, const struct target *target, bool news);

/* Somebody joined the queue or left it, or said how it went. */
void worker_queue_changed(struct worker *w);

/* The state died while it decided: it is thrown away, the spare takes over, another is asked
 * for. */
void worker_policy_died(struct worker *w, struct epoch *e);

/* The spare, told what the state that decides knows, for who decides in its shadow; NULL when
 * there is none. And when it died of that: another is asked for. */
struct policy_state *worker_spare(struct worker *w, struct epoch *e);
void worker_spare_died(struct worker *w, struct epoch *e);

/* What became of a request, or of what was refused before it was one: counted, and told to whoever
 * follows. Once, just before its last bytes. */
void worker_over(struct worker *w, const struct snapshot *snap, const struct entry *e);

/* A reply of our own, in JSON; and an error in the dialect of whoever sent the message. The message
 * stays the caller's. */
void worker_answer(struct worker *w, struct conn *c, struct http_message *m, int status,
                   struct span json);
void worker_refuse(struct worker *w, struct conn *c, struct http_message *m,
                   const struct api_error *why);

/* Whether what is spent here could be recorded; what could not be is tried again. */
bool worker_may_spend(struct worker *w);

/* A request ends: it does not count on its epoch any more. */
void worker_release(struct worker *w, struct epoch *e);

#endif
