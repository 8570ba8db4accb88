#include "route/record.h"

#include "base/ability.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BATCH = 64 * 1024,
    WAIT_S = 1,
    WAITING_MAX = 8 << 20, /* bytes; what comes while a disk hangs is left out */
    PATH_SIZE = 4096
};

struct record {
    atomic_bool on;
    uint64_t epoch_us; /* Unix time when clock_us() was 0: times of all lines are of one clock */
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t wake;
    struct buf waiting;
    unsigned left_out; /* lines there was no room for */
    bool stopping;

    pthread_mutex_t file; /* over what follows; taken before `lock` */
    char path[PATH_SIZE];
    int fd;
    size_t size, max;
    bool torn;   /* the last write ended within a line */
    bool failed; /* that has been logged */
    struct buf batch;
};

/* --- lines ------------------------------------------------------------------------------------ */

static void write_name(struct buf *out, const char *name) {
    buf_printf(out, "%s\"%s\":", out->at[out->len - 1] == '{' ? "" : ",", name);
}

static void write_text(struct buf *out, const char *name, struct span text) {
    if (!text.at)
        return;
    write_name(out, name);
    buf_add_json(out, text);
}

static void write_whole(struct buf *out, const char *name, int64_t n) {
    if (n < 0)
        return;
    write_name(out, name);
    buf_printf(out, "%lld", (long long)n);
}

static void write_positive(struct buf *out, const char *name, uint64_t n) {
    if (n)
        write_whole(out, name, (int64_t)n);
}

static void write_flag(struct buf *out, const char *name, bool value) {
    write_name(out, name);
    buf_add(out, value ? SPAN("true") : SPAN("false"));
}

static void write_usd(struct buf *out, const char *name, nanousd cost) {
    if (cost < 0)
        return;
    write_name(out, name);
    trace_write_usd(out, cost);
}

static void write_texts(struct buf *out, const char *name, const struct span *list, size_t n) {
    if (!n)
        return;
    write_name(out, name);
    for (size_t i = 0; i < n; i++) {
        buf_add_char(out, i ? ',' : '[');
        buf_add_json(out, list[i]);
    }
    buf_add_char(out, ']');
}

/* {"eu":true}: a set, as policies read it. */
static void write_set(struct buf *out, const char *name, const struct span *list, size_t n) {
    if (!n)
        return;
    write_name(out, name);
    for (size_t i = 0; i < n; i++) {
        buf_add_char(out, i ? ',' : '{');
        buf_add_json(out, list[i]);
        buf_add(out, SPAN(":true"));
    }
    buf_add_char(out, '}');
}

static void write_uses(struct buf *out, uint32_t uses) {
    struct span names[ABILITY_COUNT];
    size_t n = 0;
    for (unsigned i = 0; i < ABILITY_COUNT; i++)
        if (uses & ~(uint32_t)ABILITY_CHAT & (UINT32_C(1) << i))
            names[n++] = span_of(ability_name(i));
    write_set(out, "uses", names, n);
    write_flag(out, "chat", uses & ABILITY_CHAT);
}

/* Of the headers those that are there for routing; the others are nobody's business. */
static void write_headers(struct buf *out, const struct snapshot *snap, const struct facts *facts) {
    bool any = false;
    for (size_t i = 0; i < facts->n_headers; i++) {
        struct pair h = facts->headers[i];
        if (!snapshot_records(snap, h.name))
            continue;
        if (!any)
            write_name(out, "headers");
        buf_add_char(out, any ? ',' : '{');
        buf_add_json(out, h.name);
        buf_add_char(out, ':');
        buf_add_json(out, h.value);
        any = true;
    }
    if (any)
        buf_add_char(out, '}');
}

static void write_limits(struct buf *out, const struct facts *facts) {
    bool costs = isfinite(facts->max_cost_usd);
    if (!costs && !facts->max_latency_ms && !facts->deadline_ms)
        return;
    write_name(out, "limits");
    buf_add_char(out, '{');
    if (costs)
        buf_printf(out, "\"max_cost_usd\":%.17g", facts->max_cost_usd);
    write_positive(out, "max_latency_ms", facts->max_latency_ms);
    write_positive(out, "deadline_ms", facts->deadline_ms);
    buf_add_char(out, '}');
}

static void write_last(struct buf *out, const struct facts *facts) {
    if (!facts->last_role.at)
        return;
    write_name(out, "last");
    buf_add_char(out, '{');
    write_text(out, "role", facts->last_role);
    write_whole(out, "tool_results", facts->tool_results);
    buf_add_char(out, '}');
}

/* Which targets answered the session before, newest first, and what they are expected to know. */
static void write_session(struct buf *out, const struct facts *facts) {
    if (!facts->n_last_targets)
        return;
    write_name(out, "last_targets");
    for (size_t i = 0; i < facts->n_last_targets; i++) {
        buf_add(out, i ? SPAN(",{") : SPAN("[{"));
        write_text(out, "id", facts->last_targets[i].id);
        write_positive(out, "cached_tokens", facts->last_targets[i].cached_tokens);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

/* `req`, as policies read it, but for what somebody wrote. */
static void write_req(struct buf *out, const struct snapshot *snap, const struct facts *facts) {
    write_name(out, "req");
    buf_add_char(out, '{');
    write_text(out, "model", facts->model);
    write_texts(out, "models", facts->models, facts->n_models);
    write_text(out, "endpoint", facts->endpoint);
    write_text(out, "dialect", span_of(dialect_name(facts->dialect)));
    write_flag(out, "stream", facts->stream);
    write_flag(out, "strict", facts->strict);
    write_headers(out, snap, facts);
    write_text(out, "tier", facts->tier);
    write_text(out, "user", facts->user);
    write_text(out, "session", facts->session);
    write_session(out, facts);
    write_set(out, "tags", facts->tags, facts->n_tags);
    buf_printf(out, ",\"tokens\":{\"input\":%llu,\"output\":%llu}",
               (unsigned long long)facts->input_tokens, (unsigned long long)facts->output_tokens);
    write_positive(out, "max_tokens", facts->max_tokens);
    write_uses(out, facts->uses);
    write_texts(out, "tool_names", facts->tool_names, facts->n_tool_names);
    write_text(out, "tool_choice", facts->tool_choice);
    write_last(out, facts);
    write_whole(out, "turns", facts->turns);
    write_limits(out, facts);
    /* A text, because a number of JSON does not hold 64 bits everywhere. */
    buf_printf(out, ",\"seed\":\"%llu\",\"now\":%llu.%03u}", (unsigned long long)facts->seed,
               (unsigned long long)(facts->now_ms / 1000), (unsigned)(facts->now_ms % 1000));
}

static void write_chain(struct buf *out, const struct trace *trace) {
    write_name(out, "chain");
    buf_add_char(out, '[');
    for (size_t i = 0; i < trace->n_chain; i++) {
        if (i)
            buf_add_char(out, ',');
        buf_add_json(out, trace->chain[i]->id);
    }
    buf_add_char(out, ']');
    if (trace->n_steps > trace->n_chain)
        write_whole(out, "steps", (int64_t)trace->n_steps);
    write_positive(out, "refused", (uint64_t)trace->refused);
}

/* Whose assignment chose the policy, by name: numbers change when the configuration does. */
static void write_assignment(struct buf *out, const struct snapshot *snap,
                             const struct facts *facts) {
    if (!facts->assignment)
        return;
    const struct assignment *a = &snap->config.assignments[facts->assignment - 1];
    write_name(out, "assignment");
    buf_add_char(out, '{');
    write_text(out, "scope", span_of(snapshot_scope_name(a->scope)));
    write_text(out, "name", a->name);
    buf_add_char(out, '}');
}

static int64_t ms_between(uint64_t from_us, uint64_t to_us) {
    return to_us > from_us ? (int64_t)((to_us - from_us) / 1000) : 0;
}

static void write_attempt(struct buf *out, const struct trace_attempt *a) {
    buf_add_char(out, '{');
    write_text(out, "target", a->target->id);
    if (a->failure != FAILURE_NONE)
        write_text(out, "failure", span_of(failure_name(a->failure)));
    if (!a->tried) {
        buf_add(out, SPAN(",\"skipped\":true}"));
        return;
    }
    write_positive(out, "status", (uint64_t)a->status);
    write_whole(out, "ms", ms_between(a->began_us, a->ended_us));
    if (a->first_us)
        write_whole(out, "first_ms", ms_between(a->began_us, a->first_us));
    write_whole(out, "input_tokens", a->input_tokens);
    write_whole(out, "output_tokens", a->output_tokens);
    write_whole(out, "cached_tokens", a->cached_tokens);
    write_whole(out, "written_tokens", a->written_tokens);
    write_usd(out, "cost_usd", a->cost);
    if (a->maybe_accepted)
        buf_add(out, SPAN(",\"maybe_accepted\":true"));
    write_usd(out, "cost_usd_most", a->most);
    buf_add_char(out, '}');
}

static void write_attempts(struct buf *out, const struct trace *trace) {
    const struct trace_attempt *answered = NULL;
    write_name(out, "attempts");
    buf_add_char(out, '[');
    for (const struct trace_attempt *a = trace->attempts; a; a = a->next) {
        if (a != trace->attempts)
            buf_add_char(out, ',');
        write_attempt(out, a);
        if (a->tried && a->failure == FAILURE_NONE)
            answered = a;
    }
    buf_add_char(out, ']');
    if (answered)
        write_text(out, "target", answered->target->id);
}

static void begin_line(struct buf *out, const char *kind, uint64_t at_us, unsigned worker) {
    buf_printf(out, "{\"kind\":\"%s\",\"at\":%llu.%06u,\"worker\":%u", kind,
               (unsigned long long)(at_us / 1000000), (unsigned)(at_us % 1000000), worker);
}

void record_write_request(struct buf *out, uint64_t at_us, unsigned worker,
                          const struct snapshot *snap, const struct facts *facts,
                          const struct trace *trace, enum request_outcome outcome, int status) {
    static const char *const outcomes[] = { "answered", "refused", "failed", "cancelled" };
    begin_line(out, "request", at_us, worker);
    write_text(out, "id", facts->id);
    write_text(out, "policy", trace->policy);
    write_assignment(out, snap, facts);
    write_req(out, snap, facts);
    write_flag(out, "read_text", trace->read_text);
    write_flag(out, "read_headers", trace->read_headers);
    write_chain(out, trace);
    write_attempts(out, trace);
    write_text(out, "outcome", span_of(outcomes[outcome]));
    write_whole(out, "status", status);
    write_whole(out, "ms", ms_between(trace->began_us, clock_us()));
    write_usd(out, "cost_usd", trace_total_cost(trace));
    buf_add(out, SPAN("}\n"));
}

static void write_figure(struct buf *out, const char *name, double value) {
    if (value < 0)
        return;
    write_name(out, name);
    buf_printf(out, "%.6g", value);
}

static void write_percentiles(struct buf *out, const char *name, const double values[3]) {
    if (values[0] < 0)
        return;
    write_name(out, name);
    buf_add_char(out, '{');
    write_figure(out, "p50", values[0]);
    write_figure(out, "p95", values[1]);
    write_figure(out, "p99", values[2]);
    buf_add_char(out, '}');
}

void record_write_figure(struct buf *out, uint64_t at_us, unsigned worker, struct span target,
                         const struct policy_figure *figure) {
    begin_line(out, "figures", at_us, worker);
    write_text(out, "target", target);
    write_text(out, "state", span_of(figure->state));
    write_figure(out, "error_rate", figure->error_rate);
    write_figure(out, "in_flight", figure->in_flight);
    write_figure(out, "headroom", figure->headroom);
    write_percentiles(out, "ttft_ms", figure->ttft_ms);
    write_percentiles(out, "total_ms", figure->total_ms);
    write_figure(out, "tokens_per_s", figure->tokens_per_s);
    buf_add(out, SPAN("}\n"));
}

/* --- the file --------------------------------------------------------------------------------- */

/* Logged once, until a line gets through again. */
static void complain(struct record *rec, const char *what) {
    if (!rec->failed)
        log_error("%s can not be %s: %s; requests are not recorded", rec->path, what,
                  strerror(errno));
    rec->failed = true;
}

static void close_file(struct record *rec) {
    if (rec->fd >= 0)
        close(rec->fd);
    rec->fd = -1;
    rec->size = 0;
    rec->torn = false;
}

/* Whether somebody renamed or removed the file that is open. */
static bool is_elsewhere(const struct record *rec) {
    struct stat named, ours;
    if (stat(rec->path, &named) < 0)
        return errno == ENOENT;
    return fstat(rec->fd, &ours) == 0 &&
           (named.st_dev != ours.st_dev || named.st_ino != ours.st_ino);
}

/* What the path names is written to, whoever moved what was there. 0600: who asked, and in which
 * session, is in it. */
static void open_file(struct record *rec) {
    struct stat there;
    if (rec->fd >= 0 && is_elsewhere(rec))
        close_file(rec);
    if (rec->fd >= 0 || !rec->path[0])
        return;
    rec->fd = open(rec->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (rec->fd < 0 || fstat(rec->fd, &there) < 0)
        complain(rec, "opened");
    else
        rec->size = (size_t)there.st_size;
}

static void rotate(struct record *rec) {
    char old[PATH_SIZE + 2];
    snprintf(old, sizeof old, "%s.1", rec->path);
    close_file(rec);
    if (rename(rec->path, old) < 0)
        complain(rec, "renamed");
    open_file(rec);
}

static void write_out(struct record *rec, struct span lines) {
    while (lines.len) {
        ssize_t n = write(rec->fd, lines.at, lines.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            complain(rec, "written");
            rec->torn = lines.len > 0;
            return;
        }
        rec->size += (size_t)n;
        lines = span_sub(lines, (size_t)n, lines.len);
    }
    rec->failed = rec->torn = false;
}

void record_flush(struct record *rec) {
    pthread_mutex_lock(&rec->file);
    pthread_mutex_lock(&rec->lock);
    struct buf batch = rec->waiting;
    unsigned left_out = rec->left_out;
    rec->waiting = rec->batch;
    rec->left_out = 0;
    pthread_mutex_unlock(&rec->lock);
    rec->batch = batch;
    if (left_out)
        log_warn("%u lines were not recorded: the disk is too slow", left_out);
    open_file(rec);
    if (batch.len && rec->size && rec->size + batch.len > rec->max)
        rotate(rec);
    if (rec->fd >= 0 && rec->torn)
        write_out(rec, SPAN("\n"));
    if (rec->fd >= 0 && batch.len)
        write_out(rec, buf_span(&batch));
    buf_clear(&rec->batch);
    pthread_mutex_unlock(&rec->file);
}

/* Whoever is quicker writes; what comes in while this one does waits for the next time. */
static void *run(void *arg) {
    struct record *rec = arg;
    pthread_mutex_lock(&rec->lock);
    while (!rec->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += WAIT_S;
        while (!rec->stopping && rec->waiting.len < BATCH)
            if (pthread_cond_timedwait(&rec->wake, &rec->lock, &until) == ETIMEDOUT)
                break;
        bool any = rec->waiting.len > 0;
        pthread_mutex_unlock(&rec->lock);
        if (any)
            record_flush(rec);
        pthread_mutex_lock(&rec->lock);
    }
    pthread_mutex_unlock(&rec->lock);
    return NULL;
}

struct record *record_new(void) {
    struct record *rec = calloc(1, sizeof *rec);
    pthread_condattr_t monotonic;
    if (!rec)
        abort();
    rec->fd = -1;
    rec->epoch_us = clock_wall_ms() * 1000 - clock_us();
    pthread_mutex_init(&rec->lock, NULL);
    pthread_mutex_init(&rec->file, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&rec->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return rec;
}

void record_open(struct record *rec, struct span path, size_t max_bytes) {
    record_flush(rec);
    pthread_mutex_lock(&rec->file);
    if (!span_eq(path, span_of(rec->path)) && path.len < PATH_SIZE) {
        close_file(rec);
        span_copy(path, rec->path, sizeof rec->path);
        rec->failed = false;
        open_file(rec);
    }
    rec->max = max_bytes;
    bool on = rec->path[0] != '\0';
    pthread_mutex_unlock(&rec->file);
    if (on && !rec->has_thread)
        rec->has_thread = pthread_create(&rec->thread, NULL, run, rec) == 0;
    if (on && !rec->has_thread)
        log_error("requests are not recorded: the thread that writes could not be started");
    atomic_store(&rec->on, on && rec->has_thread);
}

void record_free(struct record *rec) {
    pthread_mutex_lock(&rec->lock);
    rec->stopping = true;
    pthread_cond_signal(&rec->wake);
    pthread_mutex_unlock(&rec->lock);
    if (rec->has_thread)
        pthread_join(rec->thread, NULL);
    record_flush(rec);
    close_file(rec);
    pthread_cond_destroy(&rec->wake);
    pthread_mutex_destroy(&rec->lock);
    pthread_mutex_destroy(&rec->file);
    buf_deinit(&rec->waiting);
    buf_deinit(&rec->batch);
    free(rec);
}

static void add(struct record *rec, struct span lines) {
    pthread_mutex_lock(&rec->lock);
    if (rec->waiting.len + lines.len > WAITING_MAX)
        rec->left_out++;
    else
        buf_add(&rec->waiting, lines);
    if (rec->waiting.len >= BATCH)
        pthread_cond_signal(&rec->wake);
    pthread_mutex_unlock(&rec->lock);
}

static bool is_on(struct record *rec) {
    return atomic_load_explicit(&rec->on, memory_order_relaxed);
}

void record_request(struct record *rec, unsigned worker, const struct snapshot *snap,
                    const struct facts *facts, const struct trace *trace,
                    enum request_outcome outcome, int status) {
    struct buf line = { 0 };
    /* What never came to a decision can not be decided again. */
    if (!is_on(rec) || !trace->decided_us)
        return;
    record_write_request(&line, rec->epoch_us + trace->decided_us, worker, snap, facts, trace,
                         outcome, status);
    add(rec, buf_span(&line));
    buf_deinit(&line);
}

void record_figures(struct record *rec, unsigned worker, const struct snapshot *snap,
                    const struct policy_figure *figures, size_t n) {
    struct buf lines = { 0 };
    uint64_t now = rec->epoch_us + clock_us();
    if (!n || !is_on(rec))
        return;
    for (size_t i = 0; i < n; i++)
        record_write_figure(&lines, now, worker, snap->targets[figures[i].target].id, &figures[i]);
    add(rec, buf_span(&lines));
    buf_deinit(&lines);
}
