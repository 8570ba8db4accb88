#include "admin/tail.h"

#include "admin/inside.h"
#include "route/feed.h"

#include <stdlib.h>

enum { WAITING_MAX = 1 << 20, QUIET_MS = 15000 };

/* What is to be heard; SPAN_NONE: whatever it is. */
struct tail_filter {
    struct span project, key, target;
    int from_status, to_status;
};

struct tail_reader {
    struct tail_reader *next, **at;
    struct tail *tail;
    struct conn *conn;
    struct arena arena; /* texts of the filter */
    struct tail_filter filter;
    uint64_t lost; /* not told yet */
};

/* --- what is heard ---------------------------------------------------------------------------- */

static bool tried(const struct entry *e, struct span target) {
    for (size_t i = 0; i < e->n_attempts; i++)
        if (span_eq(e->attempts[i].target, target))
            return true;
    return false;
}

static bool is_wanted(const struct tail_filter *f, const struct entry *e) {
    return (!f->project.at || span_eq(f->project, e->project)) &&
           (!f->key.at || span_eq(f->key, e->key)) && (!f->target.at || tried(e, f->target)) &&
           e->status >= f->from_status && e->status <= f->to_status;
}

/* "429", or "4xx". */
static bool read_status(struct span text, struct tail_filter *f) {
    uint64_t status;
    f->from_status = 0;
    f->to_status = 999;
    if (!text.at)
        return true;
    bool class = text.len == 3 && span_ends(text, SPAN("xx"));
    if (!span_uint(class ? span_sub(text, 0, 1) : text, &status) || status > 599)
        return false;
    f->from_status = class ? (int)status * 100 : (int)status;
    f->to_status = class ? f->from_status + 99 : f->from_status;
    return true;
}

/* --- telling ---------------------------------------------------------------------------------- */

static void tell_lost(struct tail_reader *r) {
    struct buf event = { 0 };
    if (!r->lost)
        return;
    buf_printf(&event, "event: dropped\ndata: {\"count\":%llu}\n\n", (unsigned long long)r->lost);
    r->lost = 0;
    conn_write(r->conn, buf_span(&event));
    buf_deinit(&event);
}

static void tell(struct tail_reader *r, struct span event) {
    if (conn_queued(r->conn) > IO_HIGH_WATER) {
        r->lost++;
        return;
    }
    tell_lost(r);
    conn_write(r->conn, event);
}

/* Once for all readers. A line has its line feed. */
static struct span event_of(struct tail *t, const struct entry *e) {
    buf_clear(&t->line);
    buf_add(&t->line, SPAN("data: "));
    feed_write(&t->line, e);
    buf_add_char(&t->line, '\n');
    return buf_span(&t->line);
}

static void tell_all(struct tail *t, const struct entry *e) {
    struct span event = SPAN_NONE;
    for (struct tail_reader *r = t->readers; r; r = r->next) {
        if (!is_wanted(&r->filter, e))
            continue;
        if (!event.at)
            event = event_of(t, e);
        tell(r, event);
    }
}

static void on_wake(uv_async_t *async) {
    struct tail *t = async->data;
    struct entry e;
    pthread_mutex_lock(&t->lock);
    struct buf taken = t->waiting;
    uint64_t lost = t->lost;
    t->waiting = t->taken;
    t->lost = 0;
    pthread_mutex_unlock(&t->lock);
    t->taken = taken;
    for (struct tail_reader *r = t->readers; r; r = r->next)
        r->lost += lost;
    for (struct span rest = buf_span(&taken); feed_next(&rest, &t->arena, &e);) {
        tell_all(t, &e);
        arena_reset(&t->arena, 4096);
    }
    buf_clear(&t->taken);
}

/* On the feed's thread. */
static void on_entries(void *owner, struct span entries) {
    struct tail *t = owner;
    pthread_mutex_lock(&t->lock);
    if (t->waiting.len + entries.len > WAITING_MAX)
        t->lost += feed_count(entries);
    else
        buf_add(&t->waiting, entries);
    pthread_mutex_unlock(&t->lock);
    uv_async_send(&t->wake);
}

static void on_quiet(uv_timer_t *timer) {
    struct tail *t = timer->data;
    for (struct tail_reader *r = t->readers; r; r = r->next)
        if (conn_queued(r->conn) == 0)
            conn_write(r->conn, SPAN(":\n\n"));
}

/* --- who listens ------------------------------------------------------------------------------ */

static void forget(struct tail_reader *r) {
    struct tail *t = r->tail;
    *r->at = r->next;
    if (r->next)
        r->next->at = r->at;
    arena_deinit(&r->arena);
    free(r);
    if (--t->n_readers == 0) {
        feed_follow(t->feed, NULL, NULL);
        uv_timer_stop(&t->quiet);
    }
}

static void on_drain(void *user) {
    tell_lost(user);
}

static void on_gone(void *user) {
    forget(user);
}

static const struct conn_user reader_events = { .on_drain = on_drain, .on_gone = on_gone };

static struct tail_reader *reader_new(struct tail *t, struct api_call *call,
                                      const struct tail_filter *filter) {
    struct tail_reader *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    *r = (struct tail_reader){ .tail = t, .next = t->readers, .at = &t->readers };
    arena_init(&r->arena, 256);
    r->filter = *filter;
    r->filter.project = arena_copy(&r->arena, filter->project);
    r->filter.key = arena_copy(&r->arena, filter->key);
    r->filter.target = arena_copy(&r->arena, filter->target);
    if (r->next)
        r->next->at = &r->next;
    t->readers = r;
    if (t->n_readers++ == 0) {
        feed_follow(t->feed, on_entries, t);
        uv_timer_start(&t->quiet, on_quiet, QUIET_MS, QUIET_MS);
    }
    return r;
}

void api_tail(struct api_call *call) {
    struct tail *t = &call->admin->tail;
    struct tail_filter filter = { .project = api_query(call, "project"),
                                  .key = api_query(call, "key"),
                                  .target = api_query(call, "target") };
    if (!read_status(api_query(call, "status"), &filter)) {
        api_fail(call, API_INVALID_REQUEST, "status", "Expected a status, or a class as \"4xx\".");
        return;
    }
    if (t->n_readers == TAIL_READERS) {
        api_fail(call, API_OVERLOADED, NULL, "%d others listen.", TAIL_READERS);
        return;
    }
    struct tail_reader *r = reader_new(t, call, &filter);
    r->conn = api_stream(call, "text/event-stream", &reader_events, r);
    if (!r->conn)
        forget(r);
}

/* --- from beginning to end -------------------------------------------------------------------- */

void tail_init(struct tail *t, uv_loop_t *loop, struct feed *feed) {
    *t = (struct tail){ .feed = feed };
    arena_init(&t->arena, 4096);
    pthread_mutex_init(&t->lock, NULL);
    uv_async_init(loop, &t->wake, on_wake);
    uv_timer_init(loop, &t->quiet);
    t->wake.data = t->quiet.data = t;
}

void tail_close(struct tail *t) {
    if (!t->feed)
        return;
    while (t->readers) {
        conn_finish(t->readers->conn);
        forget(t->readers);
    }
    uv_close((uv_handle_t *)&t->wake, NULL);
    uv_close((uv_handle_t *)&t->quiet, NULL);
    arena_deinit(&t->arena);
    pthread_mutex_destroy(&t->lock);
    buf_deinit(&t->line);
    buf_deinit(&t->taken);
    buf_deinit(&t->waiting);
    t->feed = NULL;
}
