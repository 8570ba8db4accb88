/* usage.c - `perilune usage`: what was used and what it cost, out of the ledger. */
#include "base/clock.h"
#include "cli/book.h"
#include "cli/dollars.h"
#include "cli/table.h"
#include "money/export.h"

#include <stdio.h>

enum { USUAL_DAYS = 30 };
#define DAY_US UINT64_C(86400000000)

enum format { TABLE, CSV, JSONL, JSON };

static enum format format_of(const struct cli_call *call) {
    return cli_option(call, "csv")     ? CSV
           : cli_option(call, "jsonl") ? JSONL
           : cli_option(call, "json")  ? JSON
                                       : TABLE;
}

static void print(struct buf *out) {
    if (out->len)
        fwrite(out->at, 1, out->len, stdout);
    buf_deinit(out);
}

/* ---- as a table ---- */

enum { COUNTED = 2 }; /* the column of what is counted: requests, or attempts */

static const struct table_column columns[] = {
    { "DAY", false },   { "NAME", false },   { "REQUESTS", true },  { "ANSWERED", true },
    { "FAILED", true }, { "REFUSED", true }, { "CANCELLED", true }, { "ORPHANED", true },
    { "FREE", true },   { "INPUT", true },   { "CACHED", true },    { "OUTPUT", true },
    { "COST", true },   { "BILLED", true },  { "UNPRICED", true },  { "AT MOST", true },
    { "P50 MS", true }, { "P95 MS", true },  { "SCORES", true },    { "SCORE", true },
    { "95%", false },
};

enum { COLUMNS = sizeof columns / sizeof *columns };

/* Nothing for none, so that a column in which all are none is left out. */
static void count_cell(struct table *t, uint64_t n) {
    if (n)
        table_cell(t, "%llu", (unsigned long long)n);
    else
        table_cell(t, "%s", "");
}

static void money_cell(struct table *t, nanousd amount) {
    char text[DOLLARS_SIZE];
    table_cell(t, "%s", dollars_show(amount, text));
}

static void ms_cell(struct table *t, double ms) {
    if (ms >= 0)
        table_cell(t, "%.0f", ms);
    else
        table_cell(t, "%s", "");
}

/* What clients said of the answers: how many, the mean, and where that lies with 95% likelihood. */
static void score_cells(struct table *t, const struct usage_line *line) {
    uint64_t n = line->figures.scores;
    count_cell(t, n);
    if (n)
        table_cell(t, "%.3f", line->score_mean);
    else
        table_cell(t, "%s", "");
    if (n > 1)
        table_cell(t, "%.3f to %.3f", line->score_low, line->score_high);
    else
        table_cell(t, "%s", "");
}

static void add_line(struct table *t, const struct usage_line *line, struct span name) {
    const struct usage_figures *f = &line->figures;
    char day[16] = "";
    if (line->day)
        usage_day_write(line->day, day);
    table_cell(t, "%s", day);
    table_cell(t, "%.*s", SPAN_ARGS(name));
    table_cell(t, "%llu", (unsigned long long)f->requests);
    const uint64_t counts[] = { f->answered, f->failed, f->refused, f->cancelled, f->orphaned,
                                f->free,     f->input,  f->cached,  f->output };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        count_cell(t, counts[i]);
    money_cell(t, f->cost);
    money_cell(t, f->billed);
    count_cell(t, f->unpriced);
    money_cell(t, f->most > 0 ? entry_add(f->cost, f->most) : -1);
    ms_cell(t, line->p50_ms);
    ms_cell(t, line->p95_ms);
    score_cells(t, line);
}

static void add_lines(struct table *t, const struct usage_lines *lines, bool named) {
    for (size_t i = 0; i < lines->n; i++) {
        struct span name = lines->at[i].name;
        add_line(t, &lines->at[i], named && !name.len ? SPAN("(none)") : name);
    }
}

/* Of these it is attempts that are counted. */
static bool counts_attempts(enum usage_by by) {
    return by == USAGE_BY_TARGET || by == USAGE_BY_MODEL || by == USAGE_BY_PROVIDER;
}

/* With a line for the total where there is one. */
static void write_table(enum usage_by by, const struct usage_lines *lines,
                        const struct usage_line *total, struct buf *out) {
    struct table_column named[COLUMNS];
    struct table t;
    memcpy(named, columns, sizeof named);
    named[COUNTED].title = counts_attempts(by) ? "ATTEMPTS" : "REQUESTS";
    table_init(&t, named, COLUMNS);
    add_lines(&t, lines, by != USAGE_BY_NOTHING);
    if (total)
        add_line(&t, total, total->name);
    table_write(&t, out);
    table_deinit(&t);
}

/* ---- as data ---- */

static void write_lines(const struct cli_call *call, const struct usage_query *q,
                        const struct usage_lines *lines, struct buf *out) {
    enum format format = format_of(call);
    if (format == CSV)
        export_usage_head(out);
    if (format == TABLE)
        write_table(q->by, lines, NULL, out);
    if (format == JSON) {
        export_usage(out, q, lines);
        buf_add_char(out, '\n');
    }
    for (size_t i = 0; i < lines->n && (format == CSV || format == JSONL); i++)
        (format == CSV ? export_usage_csv : export_usage_json)(out, &lines->at[i]);
}

/* ---- the question ---- */

static bool read_by(const struct cli_call *call, enum usage_by *by) {
    const char *name = cli_option(call, "by");
    *by = name ? usage_by_of(span_of(name)) : USAGE_BY_NOTHING;
    if (*by != USAGE_BYS)
        return true;
    struct buf message = { 0 };
    buf_add(&message, SPAN("--by wants "));
    for (int i = USAGE_BY_NOTHING + 1; i < USAGE_BYS; i++)
        buf_printf(&message, "%s%s",
                   i == USAGE_BY_NOTHING + 1 ? ""
                   : i < USAGE_BYS - 1       ? ", "
                                             : " or ",
                   usage_by_name((enum usage_by)i));
    buf_printf(&message, ", not '%s'", name);
    buf_add_char(&message, '\0');
    cli_complain(call->command, message.at);
    buf_deinit(&message);
    return false;
}

/* The days that the moments lie in; 30 up to the last one unless it is said. */
static bool read_days(const struct cli_call *call, struct usage_query *q) {
    uint64_t from_us, to_us;
    if (!book_moment(call, true, clock_wall_ms() * 1000, &to_us))
        return false;
    q->to_day = usage_day(to_us ? to_us - 1 : 0);
    uint64_t days = q->to_day < USUAL_DAYS ? q->to_day : USUAL_DAYS - 1;
    if (!book_moment(call, false, (q->to_day - days) * DAY_US, &from_us))
        return false;
    q->from_day = usage_day(from_us);
    if (q->from_day > q->to_day)
        cli_complain(call->command, "--from is behind --to");
    return q->from_day <= q->to_day;
}

static int ask(const struct cli_call *call, const struct usage_query *q) {
    struct usage *u = book_usage(call);
    struct usage_lines lines;
    struct buf out = { 0 };
    struct arena arena;
    if (!u)
        return CLI_UNREACHABLE;
    arena_init(&arena, 65536);
    int result = usage_read(u, q, &arena, &lines);
    if (result == 0) {
        write_lines(call, q, &lines, &out);
        print(&out);
    }
    if (result == 0 && !lines.n && format_of(call) == TABLE)
        fprintf(stderr, "perilune usage: nothing was used in these days\n");
    arena_deinit(&arena);
    usage_close(u);
    return result == 0 ? CLI_OK : book_failed(call, result);
}

/* ---- statements ---- */

static bool read_month(struct span text, unsigned *year, unsigned *month) {
    uint64_t y, m;
    if (text.len != 7 || text.at[4] != '-' || !span_uint(span_sub(text, 0, 4), &y) ||
        !span_uint(span_sub(text, 5, 2), &m) || y < 1970 || m < 1 || m > 12)
        return false;
    *year = (unsigned)y;
    *month = (unsigned)m;
    return true;
}

/* What stands below the lines is what they sum to: attempts, and not the requests they were for. */
static struct usage_line total_of(const struct usage_statement *s) {
    struct usage_line total = { .name = SPAN("total"), .p50_ms = -1, .p95_ms = -1 };
    total.figures = s->total.figures;
    total.figures.requests = s->total.figures.attempts;
    total.figures.answered = total.figures.failed = total.figures.cancelled = 0;
    total.figures.refused = total.figures.orphaned = 0;
    for (size_t i = 0; i < s->lines.n; i++) {
        const struct usage_figures *f = &s->lines.at[i].figures;
        total.figures.answered += f->answered;
        total.figures.failed += f->failed;
        total.figures.cancelled += f->cancelled;
        total.figures.orphaned += f->orphaned;
    }
    return total;
}

static void write_statement(const struct cli_call *call, const struct usage_statement *s,
                            struct buf *out) {
    enum format format = format_of(call);
    if (format == CSV)
        export_statement_csv(out, s);
    if (format == JSON)
        export_statement_json(out, s);
    for (size_t i = 0; i < s->lines.n && format == JSONL; i++)
        export_usage_json(out, &s->lines.at[i]);
    if (format == TABLE) {
        struct usage_line total = total_of(s);
        write_table(USAGE_BY_TARGET, &s->lines, &total, out);
    }
}

/* A month, a project and its targets are what a statement is of. */
static bool is_narrowed(const struct cli_call *call) {
    static const char *const options[] = { "by", "by-day", "project", "from", "to" };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (cli_option(call, options[i]))
            return true;
    return false;
}

static int statement(const struct cli_call *call) {
    unsigned year, month;
    if (is_narrowed(call))
        return cli_complain(call->command, "a statement goes with -c, --csv, --jsonl and --json");
    if (call->n_args != 3 || !read_month(span_of(call->args[2]), &year, &month))
        return cli_complain(call->command, "expected statement PROJECT YYYY-MM");
    struct usage *u = book_usage(call);
    struct usage_statement s;
    struct buf out = { 0 };
    struct arena arena;
    if (!u)
        return CLI_UNREACHABLE;
    arena_init(&arena, 65536);
    int result = usage_read_statement(u, span_of(call->args[1]), year, month, &arena, &s);
    if (result == 0) {
        write_statement(call, &s, &out);
        print(&out);
    }
    arena_deinit(&arena);
    usage_close(u);
    return result == 0 ? CLI_OK : book_failed(call, result);
}

static int usage_main(const struct cli_call *call) {
    struct usage_query q = { .by_day = cli_option(call, "by-day") != NULL,
                             .project = span_of(cli_option(call, "project")) };
    if (call->n_args && strcmp(call->args[0], "statement") == 0)
        return statement(call);
    if (call->n_args)
        return cli_complain(call->command, "expected nothing, or statement PROJECT YYYY-MM");
    if (!read_by(call, &q.by) || !read_days(call, &q))
        return CLI_USAGE;
    return ask(call, &q);
}

const struct cli_command usage_command = {
    .name = "usage",
    .summary = "show what was used and what it cost, and statements of a month",
    .arguments = "[statement PROJECT YYYY-MM]",
    .max_args = 3,
    .options = { CLI_OPTION_CONFIG,
                 { "by", 0, "project|key|policy|arm|endpoint|tag|target|model|provider",
                   "a line for each" },
                 { "by-day", 0, NULL, "a line for each day" },
                 { "project", 0, "NAME", "only of this one" },
                 { "from", 0, "TIME", "from that day on; 30 days unless it is said" },
                 { "to", 0, "TIME", "to the end of that day; today unless it is said" },
                 CLI_OPTION_JSON,
                 { "csv", 0, NULL, "print CSV" },
                 { "jsonl", 0, NULL, "print JSON, a line each" } },
    .notes =
        "Days are of UTC and counted whole; TIME is a day, a time of RFC 3339, or so long ago: "
        "24h,\n"
        "7d. By target, model and provider it is attempts that are counted. A request with two "
        "tags\n"
        "counts under both. UNPRICED attempts may have cost something nobody knows, all together "
        "no\n"
        "more than AT MOST. SCORE is the mean of what clients said of answers, by arm, and 95% "
        "where\n"
        "it lies with that likelihood. Amounts are rounded to a millionth; CSV and JSON have them\n"
        "exactly. Reads the ledger in the state folder, whether a gateway runs or not.\n",
    .examples = "perilune usage --by model\n"
                "perilune usage --by-day --project shop --from 7d\n"
                "perilune usage --by key --from 2026-11-01 --to 2026-11-30 --csv\n"
                "perilune usage statement shop 2026-11\n",
    .main = usage_main,
};
