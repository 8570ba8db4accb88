#include "route/engine.h"

#include "base/clock.h"
#include "base/log.h"
#include "route/feed.h"
#include "route/record.h"
#include "route/shadow.h"

enum {
    QUARANTINE_WINDOW_MS = 60000,
    LOGGED_A_SECOND = 5,
    KEPT_MAX = 64 << 20,                 /* bytes of what models want back */
    KEPT_MS = 3600 * 1000,               /* longer than a turn of an agent takes */
    REPEATED_MAX = 64 << 20,             /* bytes of answers to be given again, */
    REPEATED_MS = 10 * 60 * 1000,        /* for as long as clients retry; */
    REPEATED_NAMES = 100000,             /* requests that are known to have been answered, */
    REPEATED_NAMES_MS = 24 * 3600 * 1000 /* for as long as a job may be resumed */
};

int engine_init(struct engine *e, const struct pump_options *pump, struct money *money,
                void (*on_want)(void *owner), void *owner) {
    *e = (struct engine){
        .pump_options = *pump, .money = money, .on_want = on_want, .owner = owner
    };
    pthread_mutex_init(&e->lock, NULL);
    e->watchdog = vm_watchdog_new();
    if (!e->watchdog) {
        log_error("the watchdog thread could not be started");
        return -1;
    }
    e->health = health_new();
    e->keyring = keyring_new();
    e->kept = kept_new(KEPT_MAX, KEPT_MS);
    e->sessions = sessions_new();
    e->idempotency = idempotency_new(&(struct idempotency_limits){ .max_bytes = REPEATED_MAX,
                                                                   .answer_ms = REPEATED_MS,
                                                                   .name_ms = REPEATED_NAMES_MS,
                                                                   .max_names = REPEATED_NAMES });
    retries_init(&e->retries);
    e->record = record_new();
    e->feed = feed_new();
    e->shadow = shadow_new();
    e->guard = vm_guard_open(e->watchdog);
    return 0;
}

static struct policy_state *build_state(struct engine *e, struct snapshot *snap) {
    /* What is wrong with a policy was found and reported when the snapshot was made. */
    struct arena arena;
    struct policy_fault faults[1];
    size_t n = 0;
    arena_init(&arena, 1024);
    struct policy_state *state = policy_state_new(snap, e->guard, &arena, faults, &n, 1);
    arena_deinit(&arena);
    return state;
}

static void open_files(struct engine *e, const struct config *c) {
    record_open(e->record, c->record, c->record_max_bytes);
    feed_open(e->feed, c->access_log);
}

int engine_start(struct engine *e, struct snapshot *snap, const struct sockaddr_storage *address) {
    unsigned wanted = snap->config.workers < WORKERS_MAX ? snap->config.workers : WORKERS_MAX;
    e->snap = snap;
    e->address = *address;
    open_files(e, &snap->config);
    for (unsigned i = 0; i < wanted; i++) {
        int error = worker_start(&e->workers[i], e, i, address, snap, build_state(e, snap),
                                 build_state(e, snap));
        if (error < 0) {
            log_error("worker %u could not start: %s", i, uv_strerror(error));
            engine_stop(e);
            return error;
        }
        e->n_workers++;
    }
    return 0;
}

void engine_adopt(struct engine *e, struct snapshot *snap) {
    struct snapshot *old = e->snap;
    e->snap = snap;
    open_files(e, &snap->config);
    for (unsigned i = 0; i < e->n_workers; i++)
        worker_adopt(&e->workers[i], snap, build_state(e, snap), build_state(e, snap));
    snapshot_unref(old);
}

bool engine_adopted(const struct engine *e) {
    for (unsigned i = 0; i < e->n_workers; i++)
        if (atomic_load(&e->workers[i].generation) != e->snap->generation)
            return false;
    return true;
}

void engine_refill(struct engine *e) {
    for (unsigned i = 0; i < e->n_workers; i++)
        while (atomic_load(&e->workers[i].wants) > 0) {
            atomic_fetch_sub(&e->workers[i].wants, 1);
            worker_refill(&e->workers[i], build_state(e, e->snap));
        }
}

void engine_stop(struct engine *e) {
    for (unsigned i = 0; i < e->n_workers; i++)
        worker_stop(&e->workers[i]);
    for (unsigned i = 0; i < e->n_workers; i++)
        worker_join(&e->workers[i]);
    for (unsigned i = 0; i < e->n_workers; i++)
        worker_deinit(&e->workers[i]);
    e->n_workers = 0;
}

void engine_deinit(struct engine *e) {
    if (e->snap)
        snapshot_unref(e->snap);
    if (e->guard)
        vm_guard_close(e->guard);
    if (e->watchdog)
        vm_watchdog_free(e->watchdog);
    if (e->health)
        health_free(e->health);
    if (e->keyring)
        keyring_free(e->keyring);
    if (e->kept)
        kept_free(e->kept);
    if (e->sessions)
        sessions_free(e->sessions);
    if (e->idempotency)
        idempotency_free(e->idempotency);
    if (e->record)
        record_free(e->record);
    feed_free(e->feed);
    if (e->shadow)
        shadow_free(e->shadow);
    pthread_mutex_destroy(&e->lock);
}

void engine_want(struct engine *e) {
    e->on_want(e->owner);
}

/* --- policies that misbehave ---------------------------------------------------------------- */

static struct quarantine *find_version(struct engine *e, struct span version) {
    for (size_t i = 0; i < QUARANTINE_MAX; i++)
        if (span_eq(span_of(e->quarantine[i].version), version))
            return &e->quarantine[i];
    return NULL;
}

/* The version's entry, or the one that has been quiet longest, made into it. */
static struct quarantine *entry_for(struct engine *e, struct span version) {
    struct quarantine *oldest = &e->quarantine[0], *q = find_version(e, version);
    if (q)
        return q;
    for (size_t i = 0; i < QUARANTINE_MAX; i++)
        if (e->quarantine[i].kills[0].ms < oldest->kills[0].ms)
            oldest = &e->quarantine[i];
    if (oldest->closed)
        atomic_fetch_sub(&e->n_closed, 1);
    *oldest = (struct quarantine){ 0 };
    span_copy(version, oldest->version, sizeof oldest->version);
    return oldest;
}

/* Too many kills within a minute: some by two keys or more, more by a single one. A limit of 0
 * switches that rule off. */
static bool over_limit(const struct quarantine *q, const struct config *c, uint64_t now) {
    unsigned kills = 0;
    bool two_keys = false;
    for (size_t i = 0; i < QUARANTINE_KILLS; i++) {
        if (!q->kills[i].ms || now - q->kills[i].ms > QUARANTINE_WINDOW_MS)
            break;
        kills++;
        two_keys |= q->kills[i].key != q->kills[0].key;
    }
    return (c->quarantine_kills && two_keys && kills >= c->quarantine_kills) ||
           (c->quarantine_kills_one && kills >= c->quarantine_kills_one);
}

static void count_kill(struct engine *e, const struct config *config, unsigned key,
                       struct span version) {
    struct quarantine *q = entry_for(e, version);
    uint64_t now = clock_ms();
    memmove(q->kills + 1, q->kills, sizeof q->kills - sizeof *q->kills);
    q->kills[0].ms = now;
    q->kills[0].key = key;
    if (q->closed || !over_limit(q, config, now))
        return;
    q->closed = true;
    atomic_fetch_add(&e->n_closed, 1);
    log_error("policy %.*s was stopped too often within a minute and is in quarantine: the last "
              "good version or the fallback chain decides until its file changes",
              SPAN_ARGS(version));
    engine_want(e);
}

bool engine_quarantined(struct engine *e, struct span version) {
    if (atomic_load_explicit(&e->n_closed, memory_order_relaxed) == 0)
        return false;
    pthread_mutex_lock(&e->lock);
    struct quarantine *q = find_version(e, version);
    bool closed = q && q->closed;
    pthread_mutex_unlock(&e->lock);
    return closed;
}

/* A policy that fails on every request must not fill the disk. */
static bool may_log(struct engine *e, unsigned *unlogged) {
    uint64_t now = clock_ms();
    if (now - e->logged_ms >= 1000) {
        e->logged_ms = now;
        e->logged = 0;
    }
    if (e->logged++ < LOGGED_A_SECOND) {
        *unlogged = e->unlogged;
        e->unlogged = 0;
        return true;
    }
    e->unlogged++;
    return false;
}

static void log_excerpt(const struct policy_source *source, struct span why) {
    struct buf excerpt = { 0 };
    policy_write_excerpt(source, why, &excerpt);
    for (struct span rest = buf_span(&excerpt); rest.len;) {
        size_t end = span_find(rest, '\n');
        log_warn("  %.*s", (int)end, rest.at);
        rest = span_sub(rest, end + 1, rest.len);
    }
    buf_deinit(&excerpt);
}

void engine_policy_failed(struct engine *e, const struct snapshot *snap, const struct facts *facts,
                          struct span policy, enum vm_result result, struct span why,
                          const char *effect) {
    const struct policy_source *source = snapshot_policy(snap, policy);
    unsigned unlogged = 0;
    pthread_mutex_lock(&e->lock);
    bool log = may_log(e, &unlogged);
    if (source && (result == VM_TIMEOUT || result == VM_NOMEM))
        count_kill(e, &snap->config, facts_lane(facts), source->version);
    pthread_mutex_unlock(&e->lock);
    if (!log)
        return;
    log_warn("policy %.*s failed (%u more not shown): %.*s",
             SPAN_ARGS(source ? source->version : policy), unlogged, SPAN_ARGS(why));
    if (source)
        log_excerpt(source, why);
    log_warn("  effect: %s", effect);
}

void engine_policy_findings(struct engine *e, const struct decision *d) {
    unsigned unlogged = 0;
    if (d->n_findings == 0)
        return;
    pthread_mutex_lock(&e->lock);
    bool log = may_log(e, &unlogged);
    pthread_mutex_unlock(&e->lock);
    if (log)
        log_warn("policy %.*s answered in part (%u more not shown): %.*s%s", SPAN_ARGS(d->policy),
                 unlogged, SPAN_ARGS(d->findings[0]), d->n_findings > 1 ? ", and more" : "");
}
