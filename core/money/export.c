#include "money/export.h"

#include "base/clock.h"

#include <stdio.h>

#define NANO INT64_C(1000000000)

void export_usd(struct buf *out, nanousd amount) {
    if (amount < 0)
        return;
    buf_add_number(out, (uint64_t)(amount / NANO), 1);
    buf_add_char(out, '.');
    buf_add_number(out, (uint64_t)(amount % NANO), 9);
}

/* --- CSV -------------------------------------------------------------------------------------- */

static void next_cell(struct buf *out) {
    if (out->len && out->at[out->len - 1] != '\n')
        buf_add_char(out, ',');
}

static bool wants_quotes(struct span text) {
    for (size_t i = 0; i < text.len; i++)
        if (strchr(",\"\r\n", text.at[i]) && text.at[i])
            return true;
    return false;
}

static bool looks_like_formula(struct span text) {
    return text.len && text.at[0] && strchr("=+-@\t\r", text.at[0]);
}

static void cell(struct buf *out, struct span text) {
    bool quotes = wants_quotes(text);
    if (quotes)
        buf_add_char(out, '"');
    if (looks_like_formula(text))
        buf_add_char(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '"')
            buf_add_char(out, '"');
        buf_add_char(out, text.at[i]);
    }
    if (quotes)
        buf_add_char(out, '"');
}

static void text_cell(struct buf *out, struct span text) {
    next_cell(out);
    cell(out, text);
}

static void number_cell(struct buf *out, int64_t n) {
    next_cell(out);
    if (n >= 0)
        buf_add_number(out, (uint64_t)n, 1);
}

static void add_ms(struct buf *out, int64_t us) {
    if (us < 0)
        return;
    buf_add_number(out, (uint64_t)(us / 1000), 1);
    buf_add_char(out, '.');
    buf_add_number(out, (uint64_t)(us % 1000), 3);
}

static void ms_cell(struct buf *out, int64_t us) {
    next_cell(out);
    add_ms(out, us);
}

static void usd_cell(struct buf *out, nanousd amount) {
    next_cell(out);
    export_usd(out, amount);
}

/* 15 digits come back as they were written. */
static void add_score(struct buf *out, double score) {
    buf_printf(out, "%.15g", score);
}

static void score_cell(struct buf *out, bool known, double score) {
    next_cell(out);
    if (known)
        add_score(out, score);
}

static void tags_cell(struct buf *out, const struct entry *e) {
    struct buf joined = { 0 };
    for (size_t i = 0; i < e->n_tags; i++) {
        if (i)
            buf_add_char(&joined, ' ');
        buf_add(&joined, e->tags[i]);
    }
    text_cell(out, buf_span(&joined));
    buf_deinit(&joined);
}

static void tokens_cells(struct buf *out, const struct entry_tokens *t) {
    number_cell(out, t->input);
    number_cell(out, t->cached);
    number_cell(out, t->written);
    number_cell(out, t->output);
    number_cell(out, t->reasoning);
}

static struct span time_of(uint64_t us, char out[25]) {
    clock_rfc3339(us / 1000, out);
    return span_of(out);
}

void export_requests_head(struct buf *out) {
    buf_add(out,
            SPAN("time,id,project,key,tier,endpoint,model,policy,assignment,arm,chain,session,"
                 "user,tags,outcome,status,class,error,stream,free,queue_ms,policy_ms,first_ms,"
                 "total_ms,attempts,unpriced,estimated,input,cached,written,output,reasoning,"
                 "cost_usd,billed_usd,most_usd,score,label\n"));
}

static struct span class_of(enum failure failure) {
    return failure == FAILURE_NONE ? SPAN_NONE : span_of(failure_name(failure));
}

void export_request_csv(struct buf *out, const struct search_row *row) {
    const struct entry *e = &row->entry;
    char time[25];
    const struct span texts[] = { time_of(e->at_us, time),
                                  e->id,
                                  e->project,
                                  e->key,
                                  e->tier,
                                  e->endpoint,
                                  e->model,
                                  e->policy,
                                  e->assignment,
                                  e->arm,
                                  e->chain,
                                  e->session,
                                  e->user };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        text_cell(out, texts[i]);
    tags_cell(out, e);
    text_cell(out, span_of(entry_outcome_name(e->outcome)));
    number_cell(out, e->status);
    text_cell(out, class_of(e->failure));
    text_cell(out, e->error);
    number_cell(out, e->stream);
    number_cell(out, e->free);
    ms_cell(out, e->queue_us);
    ms_cell(out, e->policy_us);
    ms_cell(out, e->first_us);
    ms_cell(out, e->total_us);
    number_cell(out, (int64_t)row->n_attempts);
    number_cell(out, row->sums.unpriced);
    number_cell(out, row->sums.estimated);
    tokens_cells(out, &row->sums.tokens);
    usd_cell(out, row->sums.cost);
    usd_cell(out, row->sums.billed);
    usd_cell(out, row->sums.most);
    score_cell(out, row->scored, row->score);
    text_cell(out, row->label);
    buf_add_char(out, '\n');
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* "cost_usd": of "cost" and "_usd". */
static void name_value_as(struct buf *out, const char *name, const char *suffix) {
    size_t name_len = strlen(name), suffix_len = strlen(suffix);
    char last = out->at[out->len - 1], *at = buf_reserve(out, name_len + suffix_len + 4), *to = at;
    if (last != '{')
        *to++ = ',';
    *to++ = '"';
    to = mempcpy(to, name, name_len);
    to = mempcpy(to, suffix, suffix_len);
    *to++ = '"';
    *to++ = ':';
    out->len += (size_t)(to - at);
}

static void name_value(struct buf *out, const char *name) {
    name_value_as(out, name, "");
}

static void json_string(struct buf *out, const char *name, struct span text) {
    if (!text.at)
        return;
    name_value(out, name);
    buf_add_json(out, text);
}

static void json_number(struct buf *out, const char *name, int64_t n) {
    if (n < 0)
        return;
    name_value(out, name);
    buf_add_number(out, (uint64_t)n, 1);
}

static void json_flag(struct buf *out, const char *name, bool value) {
    name_value(out, name);
    buf_add(out, value ? SPAN("true") : SPAN("false"));
}

static void json_ms(struct buf *out, const char *name, int64_t us) {
    if (us < 0)
        return;
    name_value(out, name);
    add_ms(out, us);
}

static void json_score(struct buf *out, const char *name, bool known, double score) {
    if (!known)
        return;
    name_value(out, name);
    add_score(out, score);
}

/* {"cost_usd":1.500000000,"cost_nano":1500000000} */
static void json_money(struct buf *out, const char *name, nanousd amount) {
    if (amount < 0)
        return;
    name_value_as(out, name, "_usd");
    export_usd(out, amount);
    name_value_as(out, name, "_nano");
    buf_add_number(out, (uint64_t)amount, 1);
}

static void json_tokens(struct buf *out, const struct entry_tokens *t) {
    json_number(out, "input", t->input);
    json_number(out, "cached", t->cached);
    json_number(out, "written", t->written);
    json_number(out, "output", t->output);
    json_number(out, "reasoning", t->reasoning);
}

static void json_tags(struct buf *out, const struct entry *e) {
    if (!e->n_tags)
        return;
    name_value(out, "tags");
    for (size_t i = 0; i < e->n_tags; i++) {
        buf_add_char(out, i ? ',' : '[');
        buf_add_json(out, e->tags[i]);
    }
    buf_add_char(out, ']');
}

static void json_price(struct buf *out, const struct price *p) {
    if (p->input < 0 && p->output < 0)
        return;
    name_value(out, "price_nano_per_million");
    buf_add_char(out, '{');
    json_number(out, "input", p->input);
    json_number(out, "output", p->output);
    json_number(out, "cached", p->cached);
    json_number(out, "written", p->cache_write);
    buf_add_char(out, '}');
}

static void json_attempt(struct buf *out, const struct entry_attempt *a) {
    char time[25];
    buf_add_char(out, '{');
    json_number(out, "number", a->number);
    json_string(out, "target", a->target);
    json_string(out, "upstream", a->upstream);
    json_string(out, "upstream_id", a->upstream_id);
    json_string(out, "began", time_of(a->began_us, time));
    json_number(out, "status", a->status);
    json_string(out, "class", class_of(a->failure));
    json_ms(out, "connect_ms", a->connect_us);
    json_ms(out, "first_ms", a->first_us);
    json_ms(out, "total_ms", a->total_us);
    json_tokens(out, &a->tokens);
    json_flag(out, "estimated", a->estimated);
    json_flag(out, "hedge", a->hedge);
    json_flag(out, "won", a->won);
    json_price(out, &a->price);
    json_money(out, "cost", a->cost);
    json_money(out, "billed", a->billed);
    json_money(out, "most", a->most);
    buf_add_char(out, '}');
}

static void json_attempts(struct buf *out, const struct entry *e) {
    if (!e->n_attempts)
        return;
    name_value(out, "tries");
    for (size_t i = 0; i < e->n_attempts; i++) {
        buf_add_char(out, i ? ',' : '[');
        json_attempt(out, &e->attempts[i]);
    }
    buf_add_char(out, ']');
}

void export_request_json(struct buf *out, const struct search_row *row) {
    const struct entry *e = &row->entry;
    char time[25];
    buf_add_char(out, '{');
    json_string(out, "time", time_of(e->at_us, time));
    json_string(out, "id", e->id);
    json_string(out, "project", e->project);
    json_string(out, "key", e->key);
    json_string(out, "tier", e->tier);
    json_string(out, "endpoint", e->endpoint);
    json_string(out, "model", e->model);
    json_string(out, "policy", e->policy);
    json_string(out, "assignment", e->assignment);
    json_string(out, "arm", e->arm);
    json_string(out, "chain", e->chain);
    json_string(out, "session", e->session);
    json_string(out, "user", e->user);
    json_tags(out, e);
    json_string(out, "outcome", span_of(entry_outcome_name(e->outcome)));
    json_number(out, "status", e->status);
    json_string(out, "class", class_of(e->failure));
    json_string(out, "error", e->error);
    json_flag(out, "stream", e->stream);
    json_flag(out, "free", e->free);
    json_ms(out, "queue_ms", e->queue_us);
    json_ms(out, "policy_ms", e->policy_us);
    json_ms(out, "first_ms", e->first_us);
    json_ms(out, "total_ms", e->total_us);
    json_number(out, "attempts", (int64_t)row->n_attempts);
    json_number(out, "unpriced", row->sums.unpriced);
    json_flag(out, "estimated", row->sums.estimated);
    json_tokens(out, &row->sums.tokens);
    json_money(out, "cost", row->sums.cost);
    json_money(out, "billed", row->sums.billed);
    json_money(out, "most", row->sums.most);
    json_score(out, "score", row->scored, row->score);
    json_string(out, "label", row->label);
    json_attempts(out, e);
    buf_add(out, SPAN("}\n"));
}

/* --- usage ------------------------------------------------------------------------------------ */

/* The figures in the order of their columns. */
static const char *const figure_names[] = {
    "requests", "answered",  "failed", "cancelled", "refused", "orphaned", "free",      "attempts",
    "unpriced", "estimated", "input",  "cached",    "written", "output",   "reasoning",
};
enum { FIGURES = sizeof figure_names / sizeof *figure_names };

static void read_figures(const struct usage_figures *f, int64_t out[FIGURES]) {
    const uint64_t values[FIGURES] = {
        f->requests, f->answered, f->failed,   f->cancelled, f->refused,
        f->orphaned, f->free,     f->attempts, f->unpriced,  f->estimated,
        f->input,    f->cached,   f->written,  f->output,    f->reasoning,
    };
    for (int i = 0; i < FIGURES; i++)
        out[i] = (int64_t)values[i];
}

/* -1 stays. */
static int64_t rounded(double ms) {
    return ms < 0 ? -1 : (int64_t)(ms + 0.5);
}

void export_usage_head(struct buf *out) {
    buf_add(out, SPAN("day,name"));
    for (int i = 0; i < FIGURES; i++)
        text_cell(out, span_of(figure_names[i]));
    buf_add(out, SPAN(",cost_usd,billed_usd,most_usd,p50_ms,p95_ms,score_n,score_mean,"
                      "score_variance,score_low,score_high\n"));
}

void export_usage_csv(struct buf *out, const struct usage_line *line) {
    uint64_t scores = line->figures.scores;
    int64_t figures[FIGURES];
    char day[16];
    usage_day_write(line->day, day);
    read_figures(&line->figures, figures);
    /* An empty first cell: next_cell() does not see that it has been. */
    buf_add(out, line->day ? span_of(day) : SPAN(""));
    buf_add_char(out, ',');
    cell(out, line->name);
    for (int i = 0; i < FIGURES; i++)
        number_cell(out, figures[i]);
    usd_cell(out, line->figures.cost);
    usd_cell(out, line->figures.billed);
    usd_cell(out, line->figures.most);
    number_cell(out, rounded(line->p50_ms));
    number_cell(out, rounded(line->p95_ms));
    number_cell(out, scores ? (int64_t)scores : -1);
    score_cell(out, scores > 0, line->score_mean);
    score_cell(out, scores > 1, line->score_variance);
    score_cell(out, scores > 1, line->score_low);
    score_cell(out, scores > 1, line->score_high);
    buf_add_char(out, '\n');
}

static void usage_object(struct buf *out, const struct usage_line *line) {
    uint64_t scores = line->figures.scores;
    int64_t figures[FIGURES];
    char day[16];
    usage_day_write(line->day, day);
    read_figures(&line->figures, figures);
    buf_add_char(out, '{');
    json_string(out, "day", line->day ? span_of(day) : SPAN_NONE);
    json_string(out, "name", line->name);
    for (int i = 0; i < FIGURES; i++)
        json_number(out, figure_names[i], figures[i]);
    json_money(out, "cost", line->figures.cost);
    json_money(out, "billed", line->figures.billed);
    json_money(out, "most", line->figures.most);
    json_number(out, "p50_ms", rounded(line->p50_ms));
    json_number(out, "p95_ms", rounded(line->p95_ms));
    json_number(out, "score_n", scores ? (int64_t)scores : -1);
    json_score(out, "score_mean", scores > 0, line->score_mean);
    json_score(out, "score_variance", scores > 1, line->score_variance);
    json_score(out, "score_low", scores > 1, line->score_low);
    json_score(out, "score_high", scores > 1, line->score_high);
    buf_add_char(out, '}');
}

void export_usage_json(struct buf *out, const struct usage_line *line) {
    usage_object(out, line);
    buf_add_char(out, '\n');
}

static void usage_list(struct buf *out, const struct usage_lines *lines) {
    buf_add_char(out, '[');
    for (size_t i = 0; i < lines->n; i++) {
        if (i)
            buf_add_char(out, ',');
        usage_object(out, &lines->at[i]);
    }
    buf_add_char(out, ']');
}

void export_usage(struct buf *out, const struct usage_query *q, const struct usage_lines *lines) {
    char from[16], to[16];
    usage_day_write(q->from_day, from);
    usage_day_write(q->to_day, to);
    buf_printf(out, "{\"by\":\"%s\",\"by_day\":%s,\"from\":\"%s\",\"to\":\"%s\",\"project\":",
               usage_by_name(q->by), q->by_day ? "true" : "false", from, to);
    if (q->project.at)
        buf_add_json(out, q->project);
    else
        buf_add(out, SPAN("null"));
    buf_add(out, SPAN(",\"lines\":"));
    usage_list(out, lines);
    buf_add_char(out, '}');
}

void export_statement_csv(struct buf *out, const struct usage_statement *s) {
    struct usage_line total = s->total;
    export_usage_head(out);
    for (size_t i = 0; i < s->lines.n; i++)
        export_usage_csv(out, &s->lines.at[i]);
    total.name = SPAN("total");
    export_usage_csv(out, &total);
}

void export_statement_json(struct buf *out, const struct usage_statement *s) {
    char month[16];
    snprintf(month, sizeof month, "%04u-%02u", s->year, s->month);
    buf_add_char(out, '{');
    json_string(out, "project", s->project);
    json_string(out, "month", span_of(month));
    name_value(out, "total");
    usage_object(out, &s->total);
    name_value(out, "lines");
    usage_list(out, &s->lines);
    buf_add(out, SPAN("}\n"));
}
