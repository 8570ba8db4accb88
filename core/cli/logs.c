/* logs.c - `perilune logs`: requests that were recorded, and those that end now. */
#include "base/json.h"
#include "base/utf8.h"
#include "cli/ask.h"
#include "cli/book.h"
#include "cli/dollars.h"
#include "cli/setup.h"
#include "cli/table.h"
#include "money/export.h"
#include "net/sse.h"

#include <stdio.h>

enum { SHOWN = 20, SHOWN_MAX = 100000, EVENT_MAX = 1 << 20 };

/* What is shown, and how. */
struct logs {
    const struct cli_call *call;
    struct search_query query;
    size_t wanted;
    struct arena arena;       /* of the rows of the ledger */
    struct search_row **rows; /* newest first */
    size_t n_rows;
    struct json_parser *parser;
    struct sse sse;
    bool broken; /* nobody reads any more, or what came is no stream of events */
};

/* ---- showing: a line of JSON, of the ledger or of the one that runs, as a line of text ---- */

/* `text` in one line and `width` columns, or more where it is longer. */
static void add_field(struct buf *out, struct span text, size_t width, bool right) {
    char line[ENTRY_TEXT_MAX];
    struct span shown = { line, utf8_line(text, line, sizeof line) };
    size_t taken = table_width(shown), space = taken < width ? width - taken : 0;
    buf_printf(out, "%*s%.*s%*s  ", right ? (int)space : 0, "", SPAN_ARGS(shown),
               right ? 0 : (int)space, "");
}

static void add_text(struct buf *out, struct json_value row, const char *name, size_t width) {
    add_field(out, json_text(json_get(row, name)), width, false);
}

static void add_ms(struct buf *out, struct json_value row) {
    char text[32] = "";
    double ms = json_number(json_get(row, "total_ms"), -1);
    if (ms >= 0)
        snprintf(text, sizeof text, "%.1f", ms);
    add_field(out, span_of(text), 9, true);
}

static void add_status(struct buf *out, struct json_value row) {
    char text[32] = "";
    int64_t status;
    if (json_int(json_get(row, "status"), &status) && status)
        snprintf(text, sizeof text, "%lld", (long long)status);
    add_field(out, span_of(text), 6, true);
}

static void add_cost(struct buf *out, struct json_value row) {
    char text[DOLLARS_SIZE];
    int64_t nano;
    bool known = json_int(json_get(row, "cost_nano"), &nano);
    add_field(out, span_of(dollars_show(known ? nano : -1, text)), 12, true);
}

/* How it ended, where that was not with an answer: "failed: rate_limit_exceeded". */
static void add_ending(struct buf *out, struct json_value row) {
    struct span outcome = json_text(json_get(row, "outcome")),
                error = json_text(json_get(row, "error"));
    struct span why = error.len ? error : json_text(json_get(row, "class"));
    struct buf text = { 0 };
    if (!span_eq(outcome, SPAN("answered")) || why.len) {
        buf_add(&text, outcome);
        buf_printf(&text, "%s%.*s", why.len ? ": " : "", SPAN_ARGS(why));
    }
    add_field(out, buf_span(&text), 0, false);
    buf_deinit(&text);
}

static void trim_line(struct buf *out) {
    while (out->len && out->at[out->len - 1] == ' ')
        out->len--;
    buf_add_char(out, '\n');
}

enum { KEY_WIDTH = 30 }; /* of an id that was made here */

static void add_head(struct buf *out) {
    add_field(out, SPAN("TIME"), 24, false);
    add_field(out, SPAN("STATUS"), 6, true);
    add_field(out, SPAN("MS"), 9, true);
    add_field(out, SPAN("COST"), 12, true);
    add_field(out, SPAN("ID"), 26, false);
    add_field(out, SPAN("PROJECT"), 10, false);
    add_field(out, SPAN("KEY"), KEY_WIDTH, false);
    add_field(out, SPAN("MODEL"), 24, false);
    trim_line(out);
}

static void add_row(struct buf *out, struct json_value row) {
    add_text(out, row, "time", 24);
    add_status(out, row);
    add_ms(out, row);
    add_cost(out, row);
    add_text(out, row, "id", 26);
    add_text(out, row, "project", 10);
    add_text(out, row, "key", KEY_WIDTH);
    add_text(out, row, "model", 24);
    add_ending(out, row);
    trim_line(out);
}

/* Prints, and lets go of what was printed. False when nobody reads it. */
static bool print(struct buf *out) {
    if (out->len)
        fwrite(out->at, 1, out->len, stdout);
    buf_clear(out);
    return fflush(stdout) == 0;
}

/* A line of JSON, as the command was asked to show it. */
static void show(struct logs *l, struct span json, struct buf *out) {
    struct json_value row;
    if (cli_option(l->call, "json")) {
        buf_add(out, json);
        if (!span_ends(json, SPAN("\n")))
            buf_add_char(out, '\n');
    } else if (json_parse(l->parser, json, &row) == JSON_OK)
        add_row(out, row);
}

/* ---- from the ledger ---- */

/* Pages may be short: asks until there are enough. 0, or a SQLite result. */
static int find_rows(struct logs *l, struct search *s) {
    struct search_page page = { .next = 1 };
    l->rows = arena_new_array(&l->arena, struct search_row *, l->wanted + 1);
    while (page.next && l->n_rows < l->wanted) {
        size_t left = l->wanted - l->n_rows;
        l->query.limit = left < SEARCH_PAGE_MAX ? (unsigned)left : SEARCH_PAGE_MAX;
        int result = search_requests(s, &l->query, &l->arena, &page);
        if (result != 0)
            return result;
        for (size_t i = 0; i < page.n; i++)
            l->rows[l->n_rows++] = &page.rows[i];
        l->query.before = page.next;
    }
    return 0;
}

/* The newest comes last, where the eye is, and where those that follow go on. */
static bool show_rows(struct logs *l) {
    struct buf out = { 0 }, json = { 0 };
    bool csv = cli_option(l->call, "csv") != NULL;
    if (csv)
        export_requests_head(&out);
    else if (!cli_option(l->call, "json"))
        add_head(&out);
    for (size_t i = l->n_rows; i-- > 0;) {
        if (csv)
            export_request_csv(&out, l->rows[i]);
        else {
            buf_clear(&json);
            export_request_json(&json, l->rows[i]);
            show(l, buf_span(&json), &out);
        }
    }
    bool read = print(&out);
    buf_deinit(&out);
    buf_deinit(&json);
    return read;
}

static int show_recorded(struct logs *l) {
    struct search *s = book_search(l->call);
    if (!s)
        return CLI_UNREACHABLE;
    int result = find_rows(l, s);
    search_close(s);
    if (result != 0)
        return book_failed(l->call, result);
    l->broken = !show_rows(l);
    return CLI_OK;
}

/* ---- as they end ---- */

/* What the one that runs does not sift for us. */
static bool tags_fit(const struct logs *l, struct json_value row) {
    struct span part = l->query.tag;
    bool fits = !part.at;
    for (struct json_iter it = json_iter(json_get(row, "tags")); !fits && json_next(&it);) {
        struct span tag = json_text(it.value);
        fits = tag.len && memmem(tag.at, tag.len, part.at, part.len);
    }
    return fits;
}

static bool text_fits(struct json_value row, const char *name, struct span wanted) {
    return !wanted.at || span_eq(json_text(json_get(row, name)), wanted);
}

static bool fits(const struct logs *l, struct json_value row) {
    const struct search_query *q = &l->query;
    int64_t cost = -1;
    json_int(json_get(row, "cost_nano"), &cost);
    return text_fits(row, "arm", q->arm) && text_fits(row, "session", q->session) &&
           text_fits(row, "class", q->failure ? span_of(failure_name(q->failure)) : SPAN_NONE) &&
           (!q->min_cost || cost >= q->min_cost) && tags_fit(l, row);
}

/* It may have ended while the ledger was read. */
static bool was_shown(const struct logs *l, struct span id) {
    for (size_t i = 0; i < l->n_rows; i++)
        if (span_eq(l->rows[i]->entry.id, id))
            return true;
    return false;
}

static bool on_event(void *owner, const struct sse_event *event) {
    struct logs *l = owner;
    struct buf out = { 0 };
    struct json_value row;
    if (json_parse(l->parser, event->data, &row) != JSON_OK)
        return true;
    if (span_eq(event->name, SPAN("dropped")))
        fprintf(stderr,
                "perilune logs: %.0f are missing here: they came faster than they were read\n",
                json_number(json_get(row, "count"), 0));
    else if (fits(l, row) && !was_shown(l, json_text(json_get(row, "id"))))
        show(l, event->data, &out);
    l->broken = !print(&out);
    buf_deinit(&out);
    return !l->broken;
}

/* At its beginning all that was before is shown: from here on nothing is missed. Without a ledger
 * there is nothing of that. */
static bool on_bytes(void *owner, struct span bytes) {
    struct logs *l = owner;
    if (bytes.len)
        return sse_feed(&l->sse, bytes.at, bytes.len, on_event, l);
    if (show_recorded(l) != CLI_OK)
        l->broken = !show_rows(l);
    return !l->broken;
}

static void add_parameter(struct buf *path, const char *name, const char *value) {
    if (!value)
        return;
    buf_printf(path, "%c%s=", memchr(path->at, '?', path->len) ? '&' : '?', name);
    ask_escape(path, value);
}

static void write_path(const struct logs *l, struct buf *path) {
    static const char *const names[] = { "project", "key", "target" };
    int status = l->query.status;
    char text[16];
    snprintf(text, sizeof text, status < 10 ? "%dxx" : "%d", status);
    buf_add(path, SPAN("/api/tail"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        add_parameter(path, names[i], cli_option(l->call, names[i]));
    add_parameter(path, "status", status ? text : NULL);
    buf_add_char(path, '\0');
}

static void complain(struct logs *l, struct span answer) {
    struct json_value root;
    if (json_parse(l->parser, answer, &root) == JSON_OK)
        answer = json_text(json_get(json_get(root, "error"), "message"));
    fprintf(stderr, "perilune logs: ");
    cli_print(stderr, answer);
    fprintf(stderr, "\n");
}

static int follow(struct logs *l) {
    struct snapshot *place = setup_place(l->call);
    struct buf path = { 0 }, body = { 0 };
    write_path(l, &path);
    sse_init(&l->sse, EVENT_MAX);
    int status = ask_follow(&place->config, path.at, on_bytes, l, &body);
    if (status == 200 && !l->broken)
        fprintf(stderr, "perilune logs: the gateway has ended\n");
    else if (status && status != 200)
        complain(l, buf_span(&body));
    sse_deinit(&l->sse);
    buf_deinit(&path);
    buf_deinit(&body);
    snapshot_unref(place);
    return l->broken ? CLI_OK : CLI_UNREACHABLE;
}

/* ---- the question ---- */

/* "429", "4xx", "4". */
static bool read_status(const struct cli_call *call, int *status) {
    struct span text = span_of(cli_option(call, "status"));
    uint64_t n;
    if (!text.at)
        return true;
    if (text.len == 3 && span_eq_nocase(span_sub(text, 1, 2), SPAN("xx")))
        text.len = 1;
    if (!span_uint(text, &n) || !((n >= 1 && n <= 5) || (n >= 100 && n <= 599))) {
        cli_complain(call->command, "--status wants one like 429, or 4xx for all from 400 to 499");
        return false;
    }
    *status = (int)n;
    return true;
}

static bool read_class(const struct cli_call *call, enum failure *failure) {
    const char *name = cli_option(call, "class");
    *failure = failure_of(span_of(name));
    if (!name || *failure)
        return true;
    cli_complain(call->command, "--class wants a failure class, like rate_limited or timeout");
    return false;
}

static bool read_cost(const struct cli_call *call, nanousd *cost) {
    const char *text = cli_option(call, "min-cost");
    if (!text || dollars_read(span_of(text), cost))
        return true;
    cli_complain(call->command, "--min-cost wants dollars, like 0.02");
    return false;
}

static bool read_query(const struct cli_call *call, struct search_query *q, size_t *wanted) {
    uint64_t n;
    q->key = span_of(cli_option(call, "key"));
    q->project = span_of(cli_option(call, "project"));
    q->target = span_of(cli_option(call, "target"));
    q->tag = span_of(cli_option(call, "tag"));
    q->session = span_of(cli_option(call, "session"));
    q->arm = span_of(cli_option(call, "arm"));
    bool good = book_moment(call, false, 0, &q->from_us) && book_moment(call, true, 0, &q->to_us) &&
                read_status(call, &q->status) && read_class(call, &q->failure) &&
                read_cost(call, &q->min_cost) && cli_number(call, "number", SHOWN, SHOWN_MAX, &n);
    *wanted = good ? (size_t)n : 0;
    return good;
}

static int logs_main(const struct cli_call *call) {
    struct logs l = { .call = call };
    bool goes_on = cli_option(call, "follow") != NULL;
    if (!read_query(call, &l.query, &l.wanted))
        return CLI_USAGE;
    if (goes_on && (cli_option(call, "to") || cli_option(call, "csv")))
        return cli_complain(call->command, "--follow goes neither with --to nor with --csv");
    l.parser = json_parser_new();
    arena_init(&l.arena, 65536);
    int code = goes_on ? follow(&l) : show_recorded(&l);
    arena_deinit(&l.arena);
    json_parser_free(l.parser);
    return code;
}

const struct cli_command logs_command = {
    .name = "logs",
    .summary = "show the requests that were recorded, and those that end now",
    .options = { CLI_OPTION_CONFIG,
                 { "number", 'n', "N", "that many, the newest; 20 unless it is said" },
                 { "follow", 'f', NULL, "and then each one as it ends, until it is stopped" },
                 { "from", 0, "TIME", "that began then or later" },
                 { "to", 0, "TIME", "that began before, or within that day" },
                 { "project", 0, "NAME", "of this project" },
                 { "key", 0, "ID", "of this key" },
                 { "target", 0, "TARGET", "that tried this target" },
                 { "status", 0, "STATUS", "that got this status: 429, or 4xx for all of them" },
                 { "class", 0, "CLASS", "that failed so: rate_limited, timeout, ..." },
                 { "min-cost", 0, "DOLLARS", "that cost at least so much" },
                 { "tag", 0, "TEXT", "with this in one of their tags" },
                 { "session", 0, "ID", "of this session" },
                 { "arm", 0, "NAME", "of this arm of an experiment" },
                 CLI_OPTION_JSON,
                 { "csv", 0, NULL, "print CSV" } },
    .notes =
        "TIME is a day of UTC, a time of RFC 3339, or so long ago: 90m, 24h, 7d. The newest comes\n"
        "last. JSON is a line each. Reads the ledger in the state folder, whether a gateway runs "
        "or\n"
        "not; --follow asks the one that runs.\n",
    .examples = "perilune logs -n 50 --status 5xx --from 24h\n"
                "perilune logs --project shop --class rate_limited --json\n"
                "perilune logs -f --min-cost 0.10\n",
    .main = logs_main,
};
