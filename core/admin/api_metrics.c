/* api_metrics.c - GET /metrics: everything that is counted and measured, for Prometheus. */
#include "admin/exposition.h"
#include "admin/inside.h"
#include "base/clock.h"
#include "route/feed.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* What one scrape is made of. */
struct scrape {
    struct exposition x;
    struct admin *a;
    struct metrics *all; /* of all workers */
    uint64_t now_ms;
};

static void family(struct scrape *s, const char *name, const char *kind, const char *help) {
    exposition_family(&s->x, name, kind, help);
}

/* A family of one sample. */
static void count(struct scrape *s, const char *name, const char *help, uint64_t value) {
    family(s, name, "counter", help);
    exposition_count(&s->x, value);
}

static void gauge(struct scrape *s, const char *name, const char *help, double value) {
    family(s, name, "gauge", help);
    exposition_number(&s->x, value);
}

/* --- rows of a tally -------------------------------------------------------------------------- */

/* The parts of its name as labels, in their order. */
static void label_row(struct scrape *s, const struct tally_row *row, const char *const *labels,
                      size_t n) {
    struct span name = row->name;
    for (size_t i = 0; i < n; i++)
        exposition_label(&s->x, labels[i], metrics_part(&name));
}

/* A target, and whose it is, so that one can sum by that. */
static void label_target(struct scrape *s, struct span target) {
    exposition_label(&s->x, "target", target);
    exposition_label(&s->x, "provider", span_sub(target, 0, span_find(target, '/')));
}

static void rows(struct scrape *s, const struct tally *t, const char *const *labels, size_t n,
                 size_t at) {
    for (size_t i = 0; i < tally_rows(t); i++) {
        label_row(s, tally_at(t, i), labels, n);
        exposition_count(&s->x, tally_read(tally_at(t, i), at));
    }
}

static void histogram(struct scrape *s, const struct tally_row *row, size_t at,
                      const struct metrics_bounds *b) {
    uint64_t counts[METRICS_DURATIONS + 2];
    for (size_t i = 0; i <= b->n; i++)
        counts[i] = tally_read(row, at + i);
    exposition_histogram(&s->x, b->at, b->n, counts,
                         (double)tally_read(row, at + b->n + 1) * b->unit);
}

/* Whether anything has been spread there. */
static bool is_empty(const struct tally_row *row, size_t at, const struct metrics_bounds *b) {
    uint64_t any = 0;
    for (size_t i = 0; i <= b->n; i++)
        any |= tally_read(row, at + i);
    return any == 0;
}

/* --- requests --------------------------------------------------------------------------------- */

static void write_requests(struct scrape *s) {
    static const char *const labels[] = { "endpoint", "project", "outcome", "status",
                                          "error_type" };
    family(s, "perilune_requests_total", "counter",
           "Requests that are over, and those refused at their head.");
    rows(s, s->all->requests, labels, 5, 0);
}

static void write_times(struct scrape *s) {
    static const struct {
        const char *name, *help;
        size_t at;
        const struct metrics_bounds *bounds;
    } times[] = {
        { "perilune_request_duration_seconds", "From a request's first byte to its end.",
          METRICS_TOTAL, &metrics_durations },
        { "perilune_time_to_first_token_seconds",
          "From a request's first byte to the first content.", METRICS_FIRST, &metrics_durations },
        { "perilune_queue_wait_seconds", "What requests waited in the queue, of those that did.",
          METRICS_QUEUE, &metrics_durations },
        { "perilune_policy_eval_seconds", "What policies took to decide.", METRICS_POLICY,
          &metrics_overheads },
        { "perilune_overhead_seconds",
          "What a request took beside its attempts and its wait in the queue.", METRICS_OVERHEAD,
          &metrics_overheads },
    };
    static const char *const labels[] = { "endpoint", "stream" };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        family(s, times[i].name, "histogram", times[i].help);
        for (size_t j = 0; j < tally_rows(s->all->endpoints); j++) {
            const struct tally_row *row = tally_at(s->all->endpoints, j);
            if (is_empty(row, times[i].at, times[i].bounds))
                continue;
            label_row(s, row, labels, 2);
            histogram(s, row, times[i].at, times[i].bounds);
        }
    }
}

static void write_lag(struct scrape *s) {
    uint64_t now_ms = uv_hrtime() / 1000000; /* as loops count it */
    family(s, "perilune_loop_lag_seconds", "gauge",
           "How late a worker came to things in the last seconds.");
    for (unsigned i = 0; i < s->a->engine.n_workers; i++) {
        char worker[16];
        snprintf(worker, sizeof worker, "%u", i);
        exposition_label(&s->x, "worker", span_of(worker));
        exposition_number(&s->x, lag_us(&s->a->engine.workers[i].lag, now_ms) * 1e-6);
    }
}

static void write_workers(struct scrape *s) {
    uint64_t in_flight = 0, queued = 0, failures = 0, kills = 0;
    for (unsigned i = 0; i < s->a->engine.n_workers; i++) {
        const struct worker_figures *f = &s->a->engine.workers[i].figures;
        in_flight += atomic_load(&f->in_flight);
        queued += atomic_load(&f->queued);
        failures += atomic_load(&f->policy_failures);
        kills += atomic_load(&f->kills);
    }
    gauge(s, "perilune_inflight_requests", "Requests under way.", (double)in_flight);
    gauge(s, "perilune_queued_requests", "Those of them that wait for a target.", (double)queued);
    write_lag(s);
    count(s, "perilune_policy_errors_total", "Policies that did not come to a decision.", failures);
    count(s, "perilune_policy_kills_total", "Those of them that had to be stopped.", kills);
    gauge(s, "perilune_policies_quarantined", "Versions of policies that may not run any more.",
          atomic_load(&s->a->engine.n_closed));
}

/* --- attempts --------------------------------------------------------------------------------- */

static void write_outcomes(struct scrape *s) {
    const struct tally *t = s->all->targets;
    family(s, "perilune_attempts_total", "counter",
           "Attempts at targets: answered, or the class of the failure.");
    for (size_t i = 0; i < tally_rows(t); i++)
        for (int class = 0; class < FAILURE_COUNT; class ++) {
            const struct tally_row *row = tally_at(t, i);
            uint64_t n = tally_read(row, METRICS_BY_CLASS + (size_t) class);
            if (!n)
                continue;
            label_target(s, row->name);
            exposition_label(
                &s->x, "outcome",
                span_of(class == FAILURE_NONE ? "answered" : failure_name((enum failure) class)));
            exposition_count(&s->x, n);
        }
}

static void write_tokens(struct scrape *s) {
    static const char *const types[METRICS_TOKENS] = { "input", "cached", "written", "output",
                                                       "reasoning" };
    const struct tally *t = s->all->targets;
    family(s, "perilune_tokens_total", "counter",
           "Tokens; cached and written ones are parts of the input, reasoning is one of the "
           "output.");
    for (size_t i = 0; i < tally_rows(t); i++)
        for (size_t type = 0; type < METRICS_TOKENS; type++) {
            label_target(s, tally_at(t, i)->name);
            exposition_label(&s->x, "type", span_of(types[type]));
            exposition_count(&s->x, tally_read(tally_at(t, i), METRICS_BY_TOKENS + type));
        }
}

static void by_target(struct scrape *s, const char *name, const char *help, size_t at) {
    const struct tally *t = s->all->targets;
    family(s, name, "counter", help);
    for (size_t i = 0; i < tally_rows(t); i++) {
        label_target(s, tally_at(t, i)->name);
        exposition_count(&s->x, tally_read(tally_at(t, i), at));
    }
}

static void write_cost(struct scrape *s) {
    const struct tally *t = s->all->targets;
    family(s, "perilune_cost_usd_total", "counter", "What providers take, where it is known.");
    for (size_t i = 0; i < tally_rows(t); i++) {
        label_target(s, tally_at(t, i)->name);
        exposition_nano(&s->x, tally_read(tally_at(t, i), METRICS_COST));
    }
}

static void write_targets(struct scrape *s) {
    static const char *const moves[] = { "from", "to", "reason" };
    write_outcomes(s);
    by_target(s, "perilune_retries_total", "Attempts at the target that had just failed.",
              METRICS_RETRIES);
    by_target(s, "perilune_hedges_total", "Attempts begun beside one that took long.",
              METRICS_HEDGES);
    family(s, "perilune_fallbacks_total", "counter",
           "Attempts at another target, after one that failed by that class.");
    rows(s, s->all->fallbacks, moves, 3, 0);
    write_tokens(s);
    write_cost(s);
    by_target(s, "perilune_attempts_unpriced_total",
              "Attempts that may have cost something nobody knows.", METRICS_UNPRICED);
    by_target(s, "perilune_attempts_estimated_total",
              "Attempts whose tokens the provider did not report.", METRICS_ESTIMATED);
}

/* Names and bounds are OpenTelemetry's, for boards that know them. */
static void genai(struct scrape *s, const char *name, const char *help,
                  const struct metrics_bounds *bounds, size_t at, const char *type, bool first) {
    const struct tally *t = s->all->genai;
    if (first)
        family(s, name, "histogram", help);
    for (size_t i = 0; i < tally_rows(t); i++) {
        struct span rest = tally_at(t, i)->name, target = metrics_part(&rest);
        size_t slash = span_find(target, '/');
        if (is_empty(tally_at(t, i), at, bounds))
            continue;
        exposition_label(&s->x, "gen_ai_operation_name", rest);
        exposition_label(&s->x, "gen_ai_provider_name", span_sub(target, 0, slash));
        exposition_label(&s->x, "gen_ai_request_model", span_sub(target, slash + 1, target.len));
        exposition_label(&s->x, "gen_ai_token_type", span_of(type));
        histogram(s, tally_at(t, i), at, bounds);
    }
}

static void write_genai(struct scrape *s) {
    const char *usage = "gen_ai_client_token_usage", *help = "Tokens of an attempt.";
    genai(s, "gen_ai_client_operation_duration_seconds", "How long attempts took.",
          &metrics_operations, METRICS_OPERATION, "", true);
    genai(s, usage, help, &metrics_sizes, METRICS_SIZE_INPUT, "input", true);
    genai(s, usage, help, &metrics_sizes, METRICS_SIZE_OUTPUT, "output", false);
}

/* --- targets as they are ---------------------------------------------------------------------- */

/* Of a target that is in the catalogue: others may be named by anybody. */
static bool label_known(struct scrape *s, struct span target) {
    if (!snapshot_target(s->a->engine.snap, target))
        return false;
    label_target(s, target);
    return true;
}

static void write_state(void *owner, struct span target, struct health_figure *f) {
    static const int states[] = {
        [BREAKER_IS_CLOSED] = 0, [BREAKER_IS_HALF_OPEN] = 1, [BREAKER_IS_OPEN] = 2
    };
    struct scrape *s = owner;
    struct health_view view;
    if (!label_known(s, target))
        return;
    health_read(f, &view, s->now_ms);
    exposition_number(&s->x, states[view.state]);
}

static void write_busy(void *owner, struct span target, struct health_figure *f) {
    struct scrape *s = owner;
    if (label_known(s, target))
        exposition_number(&s->x, atomic_load(&f->in_flight));
}

static void write_health(struct scrape *s) {
    family(s, "perilune_breaker_state", "gauge",
           "Of a target that was ever asked: 0 closed, 1 half open, 2 open.");
    health_each(s->a->engine.health, write_state, s);
    family(s, "perilune_target_inflight_attempts", "gauge", "Attempts under way.");
    health_each(s->a->engine.health, write_busy, s);
}

/* --- money ------------------------------------------------------------------------------------ */

static void by_project(struct scrape *s, const char *name, const char *help, size_t at) {
    const struct tally *t = s->all->projects;
    family(s, name, "counter", help);
    for (size_t i = 0; i < tally_rows(t); i++) {
        exposition_label(&s->x, "project", tally_at(t, i)->name);
        exposition_nano(&s->x, tally_read(tally_at(t, i), at));
    }
}

static void write_projects(struct scrape *s) {
    static const char *const label[] = { "project" };
    static const char *const types[] = { "input", "output" };
    const struct tally *t = s->all->projects;
    by_project(s, "perilune_project_cost_usd_total", "What providers take for the project.",
               METRICS_PROJECT_COST);
    by_project(s, "perilune_project_billed_usd_total", "What the project is billed.",
               METRICS_PROJECT_BILLED);
    family(s, "perilune_project_free_requests_total", "counter", "Free requests it has used.");
    rows(s, t, label, 1, METRICS_PROJECT_FREE);
    family(s, "perilune_project_tokens_total", "counter", "Tokens of the project's requests.");
    for (size_t i = 0; i < tally_rows(t); i++)
        for (size_t type = 0; type < 2; type++) {
            exposition_label(&s->x, "project", tally_at(t, i)->name);
            exposition_label(&s->x, "type", span_of(types[type]));
            exposition_count(&s->x, tally_read(tally_at(t, i), METRICS_PROJECT_INPUT + type));
        }
}

/* How a cap stands, but for those of keys: there may be very many. */
static void write_cap(struct scrape *s, const struct budget_cap *cap, bool ratio) {
    if (cap->scope == BUDGET_REQUEST || cap->scope == BUDGET_KEY)
        return;
    struct budget_figure f =
        budget_figure(s->a->money.budget, cap, (int64_t)(clock_wall_ms() / 1000));
    exposition_label(&s->x, "scope", span_of(budget_scope_name(cap->scope)));
    exposition_label(&s->x, "name", cap->name);
    exposition_label(&s->x, "period", span_of(period_name(cap->period)));
    double used = (double)f.spent + (double)f.held;
    exposition_number(&s->x, !ratio      ? (double)cap->nano * 1e-9
                             : cap->nano ? used / (double)cap->nano
                                         : 1);
}

static void write_caps(struct scrape *s, const char *name, const char *help, bool ratio) {
    const struct config *c = &s->a->engine.snap->config;
    struct keys_pass pass = keys_anybody(s->a->money.keys);
    family(s, name, "gauge", help);
    for (size_t i = 0; i < c->n_caps; i++)
        write_cap(s, &c->caps[i], ratio);
    for (size_t i = 0; i < keys_project_count(&pass); i++) {
        const struct project *p = keys_nth_project(&pass, i);
        for (size_t j = 0; j < p->n_caps; j++)
            write_cap(s, &p->caps[j], ratio);
    }
    keys_pass_end(&pass);
}

static void write_ledger(struct scrape *s) {
    struct ledger_status l;
    if (!s->a->money.ledger)
        return;
    ledger_status(s->a->money.ledger, &l);
    gauge(s, "perilune_ledger_ok", "1 while what is spent can be recorded.",
          l.health == LEDGER_WELL);
    gauge(s, "perilune_ledger_unfolded_bytes", "Journals that are not in the database yet.",
          (double)l.unfolded);
    count(s, "perilune_ledger_folded_total", "Requests that came to the database.", l.folded);
    count(s, "perilune_ledger_orphans_total",
          "Requests of a process that died, closed at their bound.", l.orphans);
    count(s, "perilune_ledger_broken_journals_total", "Journals with damaged frames.", l.broken);
    family(s, "perilune_ledger_busy_seconds_total", "counter", "Processor time of folding.");
    exposition_number(&s->x, (double)l.busy_us * 1e-6);
}

static void write_alerts(struct scrape *s) {
    const struct alerts *a = &s->a->alerts;
    family(s, "perilune_budget_alerts_total", "counter", "Shares of caps that were reached.");
    for (int i = 0; i < BUDGET_SCOPES; i++) {
        exposition_label(&s->x, "scope", span_of(budget_scope_name((enum budget_scope)i)));
        exposition_count(&s->x, a->counts[i]);
    }
    family(s, "perilune_alert_messages_total", "counter", "Messages to the alerts' webhook.");
    exposition_label(&s->x, "outcome", SPAN("sent"));
    exposition_count(&s->x, a->sent);
    exposition_label(&s->x, "outcome", SPAN("failed"));
    exposition_count(&s->x, a->failed);
}

static void write_money(struct scrape *s) {
    write_projects(s);
    write_caps(s, "perilune_budget_cap_usd", "Caps of the account, of routes and projects.", false);
    write_caps(s, "perilune_budget_used_ratio", "What of a cap is spent or set aside, 1 is all.",
               true);
    write_alerts(s);
    write_ledger(s);
}

/* --- the process ------------------------------------------------------------------------------ */

static void write_reloads(struct scrape *s) {
    const struct admin *a = s->a;
    family(s, "perilune_reloads_total", "counter",
           "Readings of the configuration since the start.");
    for (int ok = 0; ok < 2; ok++) {
        exposition_label(&s->x, "outcome", ok ? SPAN("ok") : SPAN("failed"));
        exposition_count(&s->x, a->reloads[ok]);
    }
    gauge(s, "perilune_reload_ok", "1 when the last reading was served.", a->loaded_ok);
    gauge(s, "perilune_reload_timestamp_seconds", "When it was read last.",
          (double)a->loaded_ms * 1e-3);
    gauge(s, "perilune_generation", "Which reading is served, from 1.", a->engine.snap->generation);
}

static double resident_bytes(void) {
    unsigned long all, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%lu %lu", &all, &resident) != 2)
        resident = 0;
    fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* Without the two names every folder has, and the one that reads. */
static double open_descriptors(void) {
    DIR *dir = opendir("/proc/self/fd");
    double n = -3;
    if (!dir)
        return 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static double seconds(struct timeval t) {
    return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

static void write_process(struct scrape *s) {
    struct rusage used = { 0 };
    struct rlimit files = { 0 };
    getrusage(RUSAGE_SELF, &used);
    getrlimit(RLIMIT_NOFILE, &files);
    family(s, "process_cpu_seconds_total", "counter", "Processor time.");
    exposition_number(&s->x, seconds(used.ru_utime) + seconds(used.ru_stime));
    gauge(s, "process_resident_memory_bytes", "Memory in use.", resident_bytes());
    gauge(s, "process_open_fds", "Open file descriptors.", open_descriptors());
    gauge(s, "process_max_fds", "How many there may be.", (double)files.rlim_cur);
    gauge(s, "process_start_time_seconds", "When it began.", (double)s->a->began_ms * 1e-3);
    family(s, "perilune_build_info", "gauge", "Always 1.");
    exposition_label(&s->x, "version", SPAN(PERILUNE_VERSION));
    exposition_number(&s->x, 1);
}

static void write_logs(struct scrape *s) {
    family(s, "perilune_log_dropped_total", "counter",
           "Lines of the access log that could not be written.");
    exposition_label(&s->x, "log", SPAN("access"));
    exposition_count(&s->x, feed_left_out(s->a->engine.feed));
}

static void write_all(struct scrape *s) {
    static const char *const policy[] = { "policy" };
    write_requests(s);
    write_times(s);
    write_workers(s);
    family(s, "perilune_policy_decisions_total", "counter",
           "Requests by the policy that decided, or \"fallback\".");
    rows(s, s->all->policies, policy, 1, 0);
    write_targets(s);
    write_health(s);
    write_genai(s);
    write_money(s);
    write_logs(s);
    write_reloads(s);
    write_process(s);
}

void api_metrics(struct api_call *call) {
    struct buf body = { 0 };
    struct scrape s = {
        .x = { .out = &body,
               .open_metrics =
                   exposition_wants_open_metrics(http_header(call->message, SPAN("accept"))) },
        .a = call->admin,
        .all = metrics_new(),
        .now_ms = clock_ms(),
    };
    for (unsigned i = 0; i < s.a->engine.n_workers; i++)
        metrics_sum(s.all, s.a->engine.workers[i].metrics);
    write_all(&s);
    exposition_end(&s.x);
    api_reply_as(call, exposition_type(&s.x), buf_span(&body));
    metrics_free(s.all);
    buf_deinit(&body);
}
