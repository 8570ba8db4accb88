/* request_state.h - a request while it is under way, as the modules that drive it share it.
 *
 * Owns          the struct, and the one way out.
 * Fed by        request, which makes it; pursuit, waiting, live and client, which carry it on.
 * Feeds         the same.
 * Must not know anything that is not named in request.h.
 *
 * request begins and ends it and has it decided; pursuit walks the chain; waiting is for when there
 * is nothing to walk to; live runs the attempts and keeps their accounts; client writes what its
 * client gets.
 */
#ifndef PERILUNE_ROUTE_REQUEST_STATE_H
#define PERILUNE_ROUTE_REQUEST_STATE_H

#include "route/access.h"
#include "route/attempt.h"
#include "route/chain.h"
#include "route/charge.h"
#include "route/error.h"
#include "route/queue.h"
#include "route/request.h"
#include "route/worker.h"

enum { LIVE_MAX = 2 }; /* attempts at a time: a hedge is two */

/* An attempt that is under way, and what was set aside for it. */
struct live {
    struct attempt *attempt;
    struct trace_attempt *record;
    struct charge_hold hold;
    enum breaker_permit permit; /* of its target, to be given back */
};

struct bodies;
struct repeat;

struct request {
    struct request *next, **back; /* in worker.requests */
    struct request *next_awaiting;
    struct worker *worker;
    struct conn *conn;            /* NULL once the client is gone */
    struct http_message *message; /* its arena holds this struct too */
    struct epoch *epoch;
    const struct endpoint *endpoint;
    struct facts facts;
    struct access_wishes wishes;
    struct body body;
    struct span policy; /* the name of the one that decides */
    struct decision decision;
    struct chain_walk walk;
    struct trace trace;
    struct bodies *bodies; /* what its project keeps of it; NULL: nothing */
    struct repeat *repeat; /* it has an Idempotency-Key; NULL: none */
    struct charge charge;
    uint64_t queued_ms; /* it waited in the queue for that long */
    struct live live[LIVE_MAX];
    size_t n_live;
    struct attempt *owner; /* whose content the client gets; NULL before the first content */
    struct attempt_failure failed; /* how the last attempt ended; texts in the arena */
    struct error_place place;      /* where the client's stream stands, once it is broken */
    uint64_t began_ms, deadline_ms;
    struct wheel_timer deadline; /* hard, over everything */
    struct wheel_timer wait;     /* for a policy state, a retry, a turn in the queue */
    struct wheel_timer hedge;    /* until another attempt is begun beside the one under way */
    struct wheel_timer news;  /* after its turn, until that counts as well although nothing came */
    struct queue_place turn;  /* its place in the worker's queue */
    void (*on_turn)(void *r); /* what then, */
    void (*on_too_long)(void *r); /* and what if it does not come in time */
    struct wheel_timer hold;      /* until a waiting stream commits, then between comments */
    unsigned turns;               /* times on_failure gave a move or a chain of its own */
    bool awaiting;                /* in worker.awaiting */
    bool for_doors;               /* it waits for a target that may not be asked before */
    bool let_go;                  /* it had its turn, and has not said how that went */
    bool decided;                 /* by a policy, whose on_failure may be asked */
    bool held;                    /* its memory is needed although it may be over, */
    bool over;                    /* which it is: it is freed when it is not held any more */
    bool committed;               /* the client has a head */
    bool early;                   /* it got that before there was content */
};

static inline struct arena *request_arena(struct request *r) {
    return &r->message->arena;
}

/* Who asks, for what is kept apart by that; SPAN_NONE where no keys are wanted. */
static inline struct span request_key(const struct request *r) {
    return r->facts.key ? r->facts.key->id : SPAN_NONE;
}

/* It is to be answered by asking somebody: it is charged, decided, tried. */
void request_run(struct request *r);

/* The tail gate. Everything that ends a request comes through here, once, just before its last
 * bytes go out. `code`: of the error they tell; SPAN_NONE: none. */
void request_gate(struct request *r, enum request_outcome outcome, int status, struct span code);

/* After the gate and the last bytes: the request and its memory are gone. */
void request_dismiss(struct request *r);

/* Ends the request with an error: as a reply, or inside the stream when that has begun. */
void request_fail(struct request *r, const struct api_error *why);

/* Its time is over. */
void request_too_late(struct request *r);

#endif
