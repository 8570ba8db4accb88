#include "route/trace.h"

#include "base/clock.h"
#include "base/price.h"

#include <assert.h>

void trace_init(struct trace *t, struct span id, uint64_t began_us) {
    *t = (struct trace){ .id = id, .began_us = began_us };
    t->end = &t->attempts;
}

void trace_decided(struct trace *t, struct arena *arena, const struct decision *d) {
    const struct chain *chain = &d->chain;
    size_t kept = chain->n_steps < TRACE_CHAIN_MAX ? chain->n_steps : TRACE_CHAIN_MAX;
    const struct target **targets = arena_new_array(arena, const struct target *, kept + 1);
    for (size_t i = 0; i < kept; i++)
        targets[i] = chain->steps[i].target;
    t->chain = targets;
    t->n_chain = kept;
    t->n_steps = chain->n_steps;
    t->refused = d->kind != DECISION_REFUSED ? 0 : d->status ? d->status : 403;
    t->read_text = d->read_text;
    t->read_headers = d->read_headers;
    t->reason = chain->reason;
    t->cuts = d->cuts;
    t->n_cuts = d->n_cuts;
    t->notes = d->notes;
    t->n_notes = d->n_notes;
    t->findings = d->findings;
    t->n_findings = d->n_findings;
}

struct trace_attempt *trace_add(struct trace *t, struct arena *arena, const struct target *target) {
    struct trace_attempt *a = arena_new(arena, struct trace_attempt);
    a->target = target;
    a->input_tokens = a->output_tokens = a->cached_tokens = a->reasoning_tokens = -1;
    a->written_tokens = a->connect_us = -1;
    a->cost = a->most = -1;
    *t->end = a;
    t->end = &a->next;
    return a;
}

/* `tokens` of a part that has a price, at most those that are left of the whole. */
static int64_t priced_part(int64_t tokens, int64_t price, int64_t *left) {
    if (tokens < 0 || price == PRICE_UNKNOWN)
        return 0;
    if (tokens > *left)
        tokens = *left;
    *left -= tokens;
    return tokens;
}

nanousd trace_cost(const struct target *target, struct trace_tokens tokens, uint64_t now_s) {
    struct price p = price_at(target, tokens.input, now_s);
    if (tokens.input < 0 || tokens.output < 0 || p.input == PRICE_UNKNOWN ||
        p.output == PRICE_UNKNOWN)
        return -1;
    int64_t plain = tokens.input;
    int64_t cached = priced_part(tokens.cached, p.cached, &plain);
    int64_t written = priced_part(tokens.written, p.cache_write, &plain);
    __int128 sum = (__int128)plain * p.input + (__int128)tokens.output * p.output +
                   (__int128)cached * p.cached + (__int128)written * p.cache_write;
    sum = (sum + 999999) / 1000000;
    return sum < INT64_MAX ? (nanousd)sum : INT64_MAX;
}

nanousd trace_attempt_cost(const struct trace_attempt *a) {
    struct trace_tokens tokens = { a->input_tokens, a->output_tokens, a->cached_tokens,
                                   a->written_tokens };
    return trace_cost(a->target, tokens, clock_wall_ms() / 1000);
}

nanousd trace_sum(nanousd a, nanousd b) {
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

nanousd trace_total_cost(const struct trace *t) {
    nanousd sum = 0;
    for (const struct trace_attempt *a = t->attempts; a; a = a->next) {
        if (a->cost >= 0)
            sum = trace_sum(sum, a->cost);
        else if (a->tried && a->failure == FAILURE_NONE)
            return -1;
    }
    return sum;
}

void trace_write_usd(struct buf *out, nanousd cost) {
    assert(cost >= 0);
    size_t start = out->len;
    buf_add_number(out, (uint64_t)cost / 1000000000, 1);
    buf_add_char(out, '.');
    buf_add_number(out, (uint64_t)cost % 1000000000, 9);
    while (out->len > start + 2 && out->at[out->len - 1] == '0' && out->at[out->len - 2] != '.')
        out->len--;
}

static void write_member(struct buf *out, const char *name, struct span text) {
    if (!text.at)
        return;
    buf_printf(out, ",\"%s\":", name);
    buf_add_json(out, text);
}

static unsigned spent_ms(const struct trace_attempt *a) {
    return a->ended_us > a->began_us ? (unsigned)((a->ended_us - a->began_us) / 1000) : 0;
}

static void write_attempt(const struct trace_attempt *a, struct buf *out, bool whole) {
    buf_add(out, SPAN("{\"target\":"));
    buf_add_json(out, a->target->id);
    buf_add(out, SPAN(",\"failure\":"));
    if (a->failure == FAILURE_NONE)
        buf_add(out, SPAN("null"));
    else
        buf_printf(out, "\"%s\"", failure_name(a->failure));
    if (a->status)
        buf_printf(out, ",\"status\":%d", a->status);
    else
        buf_add(out, SPAN(",\"status\":null"));
    buf_printf(out, ",\"ms\":%u", spent_ms(a));
    if (!a->tried)
        buf_add(out, SPAN(",\"skipped\":true"));
    if (a->over_threshold)
        buf_add(out, SPAN(",\"over_threshold\":true"));
    if (a->open)
        buf_add(out, SPAN(",\"open\":true"));
    if (a->last_resort)
        buf_add(out, SPAN(",\"last_resort\":true"));
    if (a->hedge)
        buf_add(out, SPAN(",\"hedge\":true"));
    if (a->maybe_accepted)
        buf_add(out, SPAN(",\"maybe_accepted\":true"));
    if (whole) {
        if (a->first_us)
            buf_printf(out, ",\"first_token_ms\":%.1f", (double)(a->first_us - a->began_us) / 1000);
        if (a->input_tokens >= 0)
            buf_printf(out, ",\"input_tokens\":%lld", (long long)a->input_tokens);
        if (a->output_tokens >= 0)
            buf_printf(out, ",\"output_tokens\":%lld", (long long)a->output_tokens);
        if (a->estimated)
            buf_add(out, SPAN(",\"estimated\":true"));
        if (a->cost >= 0) {
            buf_add(out, SPAN(",\"cost_usd\":"));
            trace_write_usd(out, a->cost);
        }
        if (a->most >= 0) {
            buf_add(out, SPAN(",\"cost_usd_most\":"));
            trace_write_usd(out, a->most);
        }
        write_member(out, "upstream_request_id", a->upstream_id);
        write_member(out, "message", a->message);
    }
    buf_add_char(out, '}');
}

static void write_attempts(const struct trace *t, struct buf *out, bool whole) {
    buf_add_char(out, '[');
    for (const struct trace_attempt *a = t->attempts; a; a = a->next) {
        if (a != t->attempts)
            buf_add_char(out, ',');
        write_attempt(a, out, whole);
    }
    buf_add_char(out, ']');
}

void trace_write_attempts(const struct trace *t, struct buf *out) {
    write_attempts(t, out, false);
}

static void write_cuts(const struct trace *t, struct buf *out) {
    buf_add(out, SPAN(",\"cut\":["));
    for (size_t i = 0; i < t->n_cuts; i++) {
        const struct cut *c = &t->cuts[i];
        buf_printf(out, "%s{\"word\":", i ? "," : "");
        buf_add_json(out, c->word);
        write_member(out, "target", c->target);
        write_member(out, "why", c->why);
        buf_printf(out, ",\"count\":%u}", c->count);
    }
    buf_add_char(out, ']');
}

static void write_notes(const struct trace *t, struct buf *out) {
    buf_add(out, SPAN(",\"notes\":{"));
    for (size_t i = 0; i < t->n_notes; i++) {
        if (i)
            buf_add_char(out, ',');
        buf_add_json(out, t->notes[i].name);
        buf_add_char(out, ':');
        buf_add_json(out, t->notes[i].value);
    }
    buf_add_char(out, '}');
}

static void write_findings(const struct trace *t, struct buf *out) {
    buf_add(out, SPAN(",\"findings\":["));
    for (size_t i = 0; i < t->n_findings; i++) {
        if (i)
            buf_add_char(out, ',');
        buf_add_json(out, t->findings[i]);
    }
    buf_add_char(out, ']');
}

void trace_write(const struct trace *t, struct buf *out) {
    buf_add(out, SPAN("{\"id\":"));
    buf_add_json(out, t->id);
    write_member(out, "policy", t->policy);
    write_member(out, "policy_error", t->policy_error);
    write_member(out, "reason", t->reason);
    buf_printf(out, ",\"policy_us\":%u,\"attempts\":", t->policy_us);
    write_attempts(t, out, true);
    nanousd cost = trace_total_cost(t);
    buf_add(out, SPAN(",\"cost_usd\":"));
    if (cost >= 0)
        trace_write_usd(out, cost);
    else
        buf_add(out, SPAN("null"));
    if (t->n_cuts)
        write_cuts(t, out);
    if (t->n_notes)
        write_notes(t, out);
    if (t->n_findings)
        write_findings(t, out);
    buf_add_char(out, '}');
}
