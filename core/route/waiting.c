#include "route/waiting.h"

#include "route/client.h"
#include "route/live.h"

enum {
    COMMENT_EVERY_MS = 10000, /* on a stream that waits for an attempt, */
    QUEUED_EVERY_MS = 2000,   /* or for its turn */
    NEWS_MS = 1000 /* a turn nobody refused for that long went well as far as others care */
};

/* --- comments ------------------------------------------------------------------------------- */

static bool is_queued(const struct request *r) {
    return r->turn.back != NULL;
}

static void comment(struct request *r) {
    const struct queue *q = &r->worker->queue;
    struct span text = SPAN(": waiting\n\n");
    if (is_queued(r))
        text = arena_printf(request_arena(r), ": queued %zu of %zu\n\n",
                            queue_position(q, &r->turn) + 1, q->n);
    client_comment(r, text);
}

static void on_hold(void *owner) {
    struct request *r = owner;
    if (!r->committed) {
        r->early = true;
        client_commit(r, NULL, NULL);
    }
    comment(r);
    worker_arm(r->worker, &r->hold,
               worker_now(r->worker) + (is_queued(r) ? QUEUED_EVERY_MS : COMMENT_EVERY_MS));
}

void waiting_begin(struct request *r) {
    const struct chain *chain = &r->decision.chain;
    uint64_t ms = chain->hold_ms >= 0 ? (uint64_t)chain->hold_ms : r->epoch->snap->config.hold_ms;
    r->hold.fire = on_hold;
    if (r->facts.stream && ms && !r->committed)
        worker_arm(r->worker, &r->hold, r->began_ms + ms);
}

void waiting_content(struct request *r) {
    wheel_disarm(&r->worker->wheel, &r->hold);
}

/* --- the queue ------------------------------------------------------------------------------ */

void waiting_went(struct request *r, bool well) {
    if (!r->let_go)
        return;
    r->let_go = false;
    wheel_disarm(&r->worker->wheel, &r->news);
    queue_went(&r->worker->queue, well);
    worker_queue_changed(r->worker);
}

static void on_no_news(void *owner) {
    waiting_went(owner, true);
}

static void on_turn(void *owner) {
    struct request *r = owner;
    r->queued_ms = worker_now(r->worker) - r->turn.since_ms;
    wheel_disarm(&r->worker->wheel, &r->wait);
    r->let_go = true;
    r->news.fire = on_no_news;
    worker_arm(r->worker, &r->news, worker_now(r->worker) + NEWS_MS);
    r->on_turn(r);
}

static void on_too_long(void *owner) {
    struct request *r = owner;
    r->queued_ms = worker_now(r->worker) - r->turn.since_ms;
    queue_leave(&r->worker->queue, &r->turn);
    r->on_too_long(r);
}

bool waiting_queue(struct request *r, uint32_t in_ms, bool doors, uint64_t patience_ms,
                   void (*turn)(void *r), void (*too_long)(void *r)) {
    struct worker *w = r->worker;
    uint64_t now = worker_now(w);
    waiting_went(r, false);
    r->turn.turn = on_turn;
    r->turn.owner = r;
    r->on_turn = turn;
    r->on_too_long = too_long;
    r->for_doors = doors;
    if (!queue_join(&w->queue, &r->turn, facts_lane(&r->facts), now + in_ms, now))
        return false;
    r->wait.fire = on_too_long;
    worker_arm(w, &r->wait, patience_ms);
    worker_queue_changed(w);
    /* A client that has a head hears at once what it waits for. */
    if (r->committed)
        worker_arm(w, &r->hold, now);
    return true;
}

void waiting_review(struct request *r) {
    const struct chain *chain = r->walk.chain;
    uint64_t now = worker_now(r->worker);
    if (!is_queued(r) || !r->for_doors)
        return;
    for (size_t i = 0; i < chain->n_steps; i++) {
        uint64_t at = now + live_reopens_in(r, chain->steps[i].target);
        if (at < r->turn.at_ms)
            r->turn.at_ms = at;
    }
}

void waiting_end(struct request *r) {
    struct worker *w = r->worker;
    wheel_disarm(&w->wheel, &r->hold);
    wheel_disarm(&w->wheel, &r->wait);
    if (is_queued(r)) {
        r->queued_ms = worker_now(w) - r->turn.since_ms;
        queue_leave(&w->queue, &r->turn);
        worker_queue_changed(w);
    }
    waiting_went(r, false);
}
