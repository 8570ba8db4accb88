#include "route/record.h"

#include "base/ability.h"
#include "base/clock.h"
#include "base/lines.h"

#include <math.h>
#include <stdlib.h>

struct record {
    struct lines *lines;
    uint64_t epoch_us; /* Unix time when clock_us() was 0: times of all lines are of one clock */
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

/* Who asked: names, and nothing anybody could ask with. Metadata stays the text it is. */
static void write_key(struct buf *out, const struct facts *facts) {
    const struct key *key = facts->key;
    if (!key && !facts->project)
        return;
    write_name(out, "key");
    buf_add_char(out, '{');
    if (key) {
        write_text(out, "id", key->id);
        write_text(out, "name", key->name);
        write_set(out, "tags", key->tags, key->n_tags);
        write_text(out, "metadata", key->metadata);
    }
    if (facts->project)
        write_text(out, "project", facts->project->name);
    buf_add_char(out, '}');
}

/* Whose state the history holds: what req.bound_to comes of. */
static void write_signed(struct buf *out, const struct facts *facts) {
    if (facts->signed_by == DIALECT_NONE)
        return;
    write_name(out, "signed");
    buf_add_char(out, '{');
    write_text(out, "dialect", span_of(dialect_name(facts->signed_by)));
    write_text(out, "model", facts->signed_model);
    buf_add_char(out, '}');
}

/* What caps left, where one held. */
static void write_budget(struct buf *out, const struct facts *facts) {
    bool capped = facts->budget_left != INT64_MAX;
    if (!capped && !facts->free_left)
        return;
    write_name(out, "budget");
    buf_add_char(out, '{');
    if (capped) {
        write_usd(out, "left_usd", facts->budget_left);
        buf_printf(out, ",\"used\":%.17g", facts->budget_used);
    }
    write_positive(out, "free_left", facts->free_left);
    buf_add_char(out, '}');
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
    write_key(out, facts);
    write_text(out, "tier", facts->tier);
    write_text(out, "user", facts->user);
    write_text(out, "session", facts->session);
    write_session(out, facts);
    write_signed(out, facts);
    write_set(out, "tags", facts->tags, facts->n_tags);
    buf_printf(out, ",\"tokens\":{\"input\":%llu,\"output\":%llu}",
               (unsigned long long)facts->input_tokens, (unsigned long long)facts->output_tokens);
    write_positive(out, "input_bytes", facts->input_bytes);
    write_positive(out, "max_tokens", facts->max_tokens);
    write_positive(out, "answers", facts->answers > 1 ? facts->answers : 0);
    write_uses(out, facts->uses);
    write_texts(out, "tool_names", facts->tool_names, facts->n_tool_names);
    write_text(out, "tool_choice", facts->tool_choice);
    write_last(out, facts);
    write_whole(out, "turns", facts->turns);
    write_limits(out, facts);
    write_budget(out, facts);
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

struct record *record_new(void) {
    static const struct lines_way way = { .effect = "requests are not recorded", .wait_ms = 1000 };
    struct record *rec = calloc(1, sizeof *rec);
    if (!rec)
        abort();
    rec->lines = lines_new(&way);
    rec->epoch_us = clock_wall_ms() * 1000 - clock_us();
    return rec;
}

void record_open(struct record *rec, struct span path, size_t max_bytes) {
    lines_open(rec->lines, path, max_bytes);
}

void record_flush(struct record *rec) {
    lines_flush(rec->lines);
}

void record_free(struct record *rec) {
    lines_free(rec->lines);
    free(rec);
}

void record_request(struct record *rec, unsigned worker, const struct snapshot *snap,
                    const struct facts *facts, const struct trace *trace,
                    enum request_outcome outcome, int status) {
    struct buf line = { 0 };
    /* What never came to a decision can not be decided again. */
    if (!lines_wanted(rec->lines) || !trace->decided_us)
        return;
    record_write_request(&line, rec->epoch_us + trace->decided_us, worker, snap, facts, trace,
                         outcome, status);
    lines_add(rec->lines, buf_span(&line));
    buf_deinit(&line);
}

void record_figures(struct record *rec, unsigned worker, const struct snapshot *snap,
                    const struct policy_figure *figures, size_t n) {
    struct buf lines = { 0 };
    uint64_t now = rec->epoch_us + clock_us();
    if (!n || !lines_wanted(rec->lines))
        return;
    for (size_t i = 0; i < n; i++)
        record_write_figure(&lines, now, worker, snap->targets[figures[i].target].id, &figures[i]);
    lines_add(rec->lines, buf_span(&lines));
    buf_deinit(&lines);
}
