/* api_usage.c - sums of what was used and what it cost, and a project's statement of a month. */
#include "admin/reading.h"
#include "base/clock.h"
#include "money/export.h"
#include "money/usage.h"

enum { USUAL_DAYS = 30, DAY_MS = 86400000 };

enum format { FORMAT_JSON, FORMAT_CSV, FORMAT_LINES };

static const char CSV_TYPE[] = "text/csv; charset=utf-8", LINES_TYPE[] = "application/x-ndjson";

struct question {
    enum format format;
    struct usage_query usage;
    struct usage_statement statement; /* project, year and month */
};

/* ---- in what shape ---- */

/* The first of those we have that an Accept header names. */
static enum format accepted(struct api_call *call) {
    struct span rest = http_header(call->message, SPAN("accept")), part;
    while (span_split(&rest, ',', &part)) {
        struct span type = span_trim(span_sub(part, 0, span_find(part, ';')));
        if (span_eq_nocase(type, SPAN("text/csv")))
            return FORMAT_CSV;
        if (span_eq_nocase(type, span_of(LINES_TYPE)))
            return FORMAT_LINES;
        if (span_eq_nocase(type, SPAN("application/json")))
            return FORMAT_JSON;
    }
    return FORMAT_JSON;
}

/* `format` says it, else the Accept header. */
static bool read_format(struct api_call *call, enum format *format) {
    struct span name = api_query(call, "format");
    *format = accepted(call);
    if (!name.at)
        return true;
    if (span_eq(name, SPAN("json")))
        *format = FORMAT_JSON;
    else if (span_eq(name, SPAN("csv")))
        *format = FORMAT_CSV;
    else if (span_eq(name, SPAN("jsonl")))
        *format = FORMAT_LINES;
    else {
        api_fail(call, API_INVALID_REQUEST, "format", "Expected json, csv or jsonl.");
        return false;
    }
    return true;
}

/* ---- GET /api/usage ---- */

static bool read_day(struct api_call *call, const char *name, uint32_t *day) {
    struct span text = api_query(call, name);
    uint64_t ms;
    if (!text.at)
        return true;
    if (text.len != 10 || !clock_parse(text, &ms)) {
        api_fail(call, API_INVALID_REQUEST, name, "Expected a day like 2026-11-22.");
        return false;
    }
    *day = (uint32_t)(ms / DAY_MS);
    return true;
}

static bool read_by(struct api_call *call, struct usage_query *q) {
    struct span by = api_query(call, "by"), by_day = api_query(call, "by_day");
    q->by = by.at ? usage_by_of(by) : USAGE_BY_NOTHING;
    q->by_day = span_eq(by_day, SPAN("true"));
    if (q->by == USAGE_BYS) {
        struct buf known = { 0 };
        for (int i = USAGE_BY_NOTHING + 1; i < USAGE_BYS; i++)
            buf_printf(&known, "%s%s", known.len ? ", " : "", usage_by_name((enum usage_by)i));
        api_fail(call, API_INVALID_REQUEST, "by", "Usage is summed by: %.*s.",
                 SPAN_ARGS(buf_span(&known)));
        buf_deinit(&known);
        return false;
    }
    if (by_day.at && !q->by_day && !span_eq(by_day, SPAN("false"))) {
        api_fail(call, API_INVALID_REQUEST, "by_day", "Expected true or false.");
        return false;
    }
    return true;
}

/* The last thirty days unless it says otherwise; up to a day, the thirty before it. */
static bool read_query(struct api_call *call, struct usage_query *q) {
    q->project = api_query(call, "project");
    q->name = api_query(call, "name");
    q->to_day = usage_day(clock_wall_ms() * 1000);
    if (!read_by(call, q) || !read_day(call, "to", &q->to_day))
        return false;
    q->from_day = q->to_day >= USUAL_DAYS ? q->to_day - (USUAL_DAYS - 1) : 0;
    if (!read_day(call, "from", &q->from_day))
        return false;
    if (q->name.at && q->by == USAGE_BY_NOTHING) {
        api_fail(call, API_INVALID_REQUEST, "name", "A name of what? `by` is missing.");
        return false;
    }
    if (q->from_day > q->to_day) {
        api_fail(call, API_INVALID_REQUEST, "from", "It is behind `to`.");
        return false;
    }
    return true;
}

static struct usage *open_usage(struct reading *r) {
    struct store_error error;
    struct usage *u = usage_open(r->path, &error);
    if (!u)
        reading_refuse(r, API_INTERNAL, NULL, "%s", error.text);
    return u;
}

static void write_as(enum format format, const struct usage_query *q,
                     const struct usage_lines *lines, struct reading *r) {
    if (format == FORMAT_CSV) {
        r->type = CSV_TYPE;
        export_usage_head(&r->answer);
        for (size_t i = 0; i < lines->n; i++)
            export_usage_csv(&r->answer, &lines->at[i]);
    } else if (format == FORMAT_LINES) {
        r->type = LINES_TYPE;
        for (size_t i = 0; i < lines->n; i++)
            export_usage_json(&r->answer, &lines->at[i]);
    } else {
        export_usage(&r->answer, q, lines);
    }
}

static void sum_up(struct reading *r) {
    const struct question *q = r->question;
    struct usage_lines lines;
    struct usage *u = open_usage(r);
    if (!u)
        return;
    if (reading_worked(r, usage_read(u, &q->usage, r->call->arena, &lines)))
        write_as(q->format, &q->usage, &lines, r);
    usage_close(u);
}

void api_usage(struct api_call *call) {
    struct question *q = arena_new(call->arena, struct question);
    if (read_format(call, &q->format) && read_query(call, &q->usage))
        reading_ask(call, sum_up, q);
}

/* ---- GET /api/statements/{project}/{month} ---- */

/* "2026-11". */
static bool read_month(struct span text, unsigned *year, unsigned *month) {
    uint64_t y, m;
    if (text.len != 7 || text.at[4] != '-' || !span_uint(span_sub(text, 0, 4), &y) ||
        !span_uint(span_sub(text, 5, 2), &m) || y < 1970 || m < 1 || m > 12)
        return false;
    *year = (unsigned)y;
    *month = (unsigned)m;
    return true;
}

static void make_statement(struct reading *r) {
    const struct question *q = r->question;
    const struct usage_statement *asked = &q->statement;
    struct usage_statement made;
    struct usage *u = open_usage(r);
    if (!u)
        return;
    bool worked = reading_worked(r, usage_read_statement(u, asked->project, asked->year,
                                                         asked->month, r->call->arena, &made));
    if (worked && q->format == FORMAT_CSV) {
        r->type = CSV_TYPE;
        export_statement_csv(&r->answer, &made);
    } else if (worked) {
        export_statement_json(&r->answer, &made);
    }
    usage_close(u);
}

/* Of a project that is gone or was never there it is empty, or of what it had been. */
void api_statement(struct api_call *call) {
    struct question *q = arena_new(call->arena, struct question);
    struct usage_statement *s = &q->statement;
    s->project = call->parts[0];
    if (!read_month(call->parts[1], &s->year, &s->month))
        api_fail(call, API_INVALID_REQUEST, "month", "Expected a month like 2026-11.");
    else if (span_eq(api_query(call, "format"), SPAN("jsonl")))
        api_fail(call, API_INVALID_REQUEST, "format", "A statement is json or csv.");
    else if (read_format(call, &q->format))
        reading_ask(call, make_statement, q);
}
