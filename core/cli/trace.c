/* trace.c - `perilune trace`: one request that was recorded, and what each of its attempts took. */
#include "base/clock.h"
#include "base/utf8.h"
#include "cli/book.h"
#include "cli/dollars.h"
#include "cli/table.h"
#include "money/export.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH = 80, WIDTH_MIN = 60, WIDTH_MAX = 160, BAR_MIN = 20, LABEL = 7 };

/* What is drawn on: its bars take `bar` columns and stand for `span_us`. */
struct sheet {
    struct buf out;
    size_t width, bar;
    uint64_t span_us;
    bool colors;
};

/* ---- the terminal ---- */

static size_t terminal_width(void) {
    struct winsize size;
    uint64_t width = WIDTH;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        width = size.ws_col;
    else if (!span_uint(span_of(getenv("COLUMNS")), &width))
        width = WIDTH;
    return width < WIDTH_MIN ? WIDTH_MIN : width > WIDTH_MAX ? WIDTH_MAX : (size_t)width;
}

/* https://no-color.org: set, and to something. */
static bool wants_colors(void) {
    const char *never = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(never && *never) && terminal && strcmp(terminal, "dumb") != 0;
}

enum color { PLAIN = 0, DIM = 2, RED = 31, GREEN = 32 };

static void paint(struct sheet *s, enum color color) {
    if (s->colors)
        buf_printf(&s->out, "\x1b[%dm", color);
}

/* ---- words ---- */

/* What a client or a provider wrote, in one line. */
static void add_plain(struct sheet *s, struct span text) {
    char line[ENTRY_CHAIN_MAX];
    buf_append(&s->out, line, utf8_line(text, line, sizeof line));
}

/* "  key ci", nothing for what was not said. */
static void add_named(struct sheet *s, const char *name, struct span text) {
    if (!text.len)
        return;
    buf_printf(&s->out, "%s%s ", s->out.at[s->out.len - 1] == '\n' ? "" : "  ", name);
    add_plain(s, text);
}

/* Less than ten milliseconds with what is behind the point. */
static void add_ms(struct sheet *s, int64_t us) {
    buf_printf(&s->out, "%.*f ms", us < 10000 ? 3 : 1, (double)us / 1000);
}

static void add_tokens(struct sheet *s, const struct entry_tokens *t, bool estimated) {
    if (t->input < 0 && t->output < 0)
        return;
    buf_printf(&s->out, "  %lld + %lld tokens", (long long)(t->input > 0 ? t->input : 0),
               (long long)(t->output > 0 ? t->output : 0));
    if (t->cached > 0)
        buf_printf(&s->out, ", %lld cached", (long long)t->cached);
    if (t->reasoning > 0)
        buf_printf(&s->out, ", %lld reasoning", (long long)t->reasoning);
    if (estimated)
        buf_add(&s->out, SPAN(" (estimated)"));
}

static void add_cost(struct sheet *s, nanousd cost, nanousd most) {
    char text[DOLLARS_SIZE];
    if (cost >= 0)
        buf_printf(&s->out, "  %s", dollars_show(cost, text));
    else if (most > 0)
        buf_printf(&s->out, "  at most %s", dollars_show(most, text));
}

static void add_tags(struct sheet *s, const struct entry *e) {
    for (size_t i = 0; i < e->n_tags; i++)
        add_named(s, "tag", e->tags[i]);
}

/* What the client said of it. */
static void add_score(struct sheet *s, const struct search_row *row) {
    if (!row->scored)
        return;
    buf_printf(&s->out, "  score %g", row->score);
    add_named(s, "label", row->label);
}

static void end_line(struct sheet *s) {
    if (s->out.at[s->out.len - 1] != '\n')
        buf_add_char(&s->out, '\n');
}

/* ---- the request ---- */

static void add_head(struct sheet *s, const struct search_row *row) {
    const struct entry *e = &row->entry;
    char time[25];
    clock_rfc3339(e->at_us / 1000, time);
    add_plain(s, e->id);
    buf_printf(&s->out, "  %s\n", time);
    add_named(s, "asked", e->endpoint);
    add_named(s, "model", e->model);
    buf_add(&s->out, e->stream ? SPAN("  streamed") : SPAN(""));
    end_line(s);
    add_named(s, "project", e->project);
    add_named(s, "key", e->key);
    add_named(s, "tier", e->tier);
    add_named(s, "session", e->session);
    add_named(s, "user", e->user);
    add_tags(s, e);
    end_line(s);
    add_named(s, "policy", e->policy);
    add_named(s, "by", e->assignment);
    add_named(s, "arm", e->arm);
    end_line(s);
    add_named(s, "chain", e->chain);
    end_line(s);
}

static void add_ending(struct sheet *s, const struct search_row *row) {
    const struct entry *e = &row->entry;
    char text[DOLLARS_SIZE];
    paint(s, e->outcome == ENTRY_ANSWERED ? GREEN : RED);
    buf_printf(&s->out, "%s", entry_outcome_name(e->outcome));
    paint(s, PLAIN);
    if (e->status)
        buf_printf(&s->out, "  status %d", e->status);
    add_named(s, "error", e->error);
    if (e->failure != FAILURE_NONE)
        add_named(s, "class", span_of(failure_name(e->failure)));
    add_tokens(s, &row->sums.tokens, row->sums.estimated);
    add_cost(s, row->sums.cost, row->sums.most);
    if (row->sums.billed >= 0 && row->sums.billed != row->sums.cost)
        buf_printf(&s->out, "  billed %s", dollars_show(row->sums.billed, text));
    buf_add(&s->out, e->free ? SPAN("  one of the free ones") : SPAN(""));
    add_score(s, row);
    end_line(s);
}

/* ---- the waterfall ---- */

/* Where a moment of the request stands in its bar. */
static size_t place(const struct sheet *s, int64_t us) {
    if (us <= 0)
        return 0;
    uint64_t at = (uint64_t)us * s->bar / s->span_us;
    return at < s->bar ? (size_t)at : s->bar;
}

/* A run of a bar, at least one column of it. */
static void fill(char *bar, size_t width, size_t from, size_t to, char c) {
    if (from >= width)
        from = width - 1;
    memset(bar + from, c, to > from ? to - from : 1);
}

/* "  |   ---...====     |  210.4 ms" */
static void add_bar(struct sheet *s, const char *bar, enum color color, int64_t total_us) {
    buf_add(&s->out, SPAN("  |"));
    paint(s, color);
    buf_append(&s->out, bar, s->bar);
    paint(s, PLAIN);
    buf_add(&s->out, SPAN("|  "));
    if (total_us >= 0)
        add_ms(s, total_us);
    buf_add_char(&s->out, '\n');
}

static void add_phase(struct sheet *s, const char *name, int64_t from_us, int64_t took_us, char c) {
    char bar[WIDTH_MAX];
    if (took_us < 0)
        return;
    memset(bar, ' ', s->bar);
    fill(bar, s->bar, place(s, from_us), place(s, from_us + took_us), c);
    buf_printf(&s->out, "%-*s", LABEL, name);
    add_bar(s, bar, DIM, took_us);
}

/* What an attempt came to, in words of its own line. */
static void add_attempt_head(struct sheet *s, const struct entry_attempt *a) {
    buf_printf(&s->out, "\n%u  ", a->number);
    add_plain(s, a->target);
    if (a->upstream.len && !span_ends(a->target, a->upstream))
        add_named(s, "as", a->upstream);
    buf_add(&s->out, a->hedge ? SPAN("  hedge") : SPAN(""));
    if (a->status)
        buf_printf(&s->out, "  status %d", a->status);
    if (a->failure != FAILURE_NONE) {
        paint(s, RED);
        buf_printf(&s->out, "  %s", failure_name(a->failure));
        paint(s, PLAIN);
    }
    if (a->won) {
        paint(s, GREEN);
        buf_add(&s->out, SPAN("  answered"));
        paint(s, PLAIN);
    }
    add_tokens(s, &a->tokens, a->estimated);
    add_cost(s, a->cost, a->most);
    buf_add_char(&s->out, '\n');
}

static void add_attempt_times(struct sheet *s, const struct entry_attempt *a) {
    if (a->connect_us < 0 && a->first_us < 0 && !a->upstream_id.len)
        return;
    buf_printf(&s->out, "%-*s", LABEL, "");
    if (a->connect_us >= 0) {
        buf_add(&s->out, SPAN("  connected in "));
        add_ms(s, a->connect_us);
    }
    if (a->first_us >= 0) {
        buf_add(&s->out, SPAN("  first token at "));
        add_ms(s, a->first_us);
    }
    add_named(s, "id", a->upstream_id);
    end_line(s);
}

static void add_attempt(struct sheet *s, const struct entry *e, const struct entry_attempt *a) {
    char bar[WIDTH_MAX];
    int64_t began = (int64_t)(a->began_us - e->at_us);
    int64_t total = a->total_us;
    int64_t first = a->first_us >= 0 ? a->first_us : total;
    int64_t connect = a->connect_us >= 0 ? a->connect_us : a->first_us >= 0 ? 0 : first;
    add_attempt_head(s, a);
    if (a->total_us < 0)
        return;
    memset(bar, ' ', s->bar);
    fill(bar, s->bar, place(s, began), place(s, began + connect), '-');
    if (first > connect)
        fill(bar, s->bar, place(s, began + connect), place(s, began + first), '.');
    if (a->first_us >= 0)
        fill(bar, s->bar, place(s, began + first), place(s, began + total), '=');
    buf_printf(&s->out, "%-*s", LABEL, "");
    add_bar(s, bar, a->won ? GREEN : a->failure != FAILURE_NONE ? RED : PLAIN, a->total_us);
    add_attempt_times(s, a);
}

/* As long as the request, or an attempt that outlived it: a loser of a hedge. */
static uint64_t longest(const struct entry *e) {
    int64_t most = e->total_us > 0 ? e->total_us : 1;
    for (size_t i = 0; i < e->n_attempts; i++) {
        const struct entry_attempt *a = &e->attempts[i];
        int64_t end = (int64_t)(a->began_us - e->at_us) + (a->total_us > 0 ? a->total_us : 0);
        most = end > most ? end : most;
    }
    return (uint64_t)most;
}

/* When the chain began to wait for its turn is not written down: it is drawn at the end of what
 * lies before the first attempt, where there is any. */
static int64_t queued_from(const struct entry *e) {
    int64_t began = e->n_attempts ? (int64_t)(e->attempts[0].began_us - e->at_us) : e->total_us;
    return began > e->queue_us ? began - e->queue_us : 0;
}

/* Of a request whose process died no times are known: there is nothing to draw. */
static void draw(struct sheet *s, const struct search_row *row) {
    const struct entry *e = &row->entry;
    bool timed = e->total_us >= 0;
    s->span_us = longest(e);
    s->bar = s->width - LABEL - 20;
    add_head(s, row);
    add_ending(s, row);
    buf_add(&s->out, timed ? SPAN("\n") : SPAN(""));
    add_phase(s, "request", 0, e->total_us, '#');
    add_phase(s, "policy", 0, e->policy_us, '#');
    if (e->queue_us > 0)
        add_phase(s, "queue", queued_from(e), e->queue_us, '#');
    for (size_t i = 0; i < e->n_attempts; i++)
        add_attempt(s, e, &e->attempts[i]);
    if (e->n_attempts && timed)
        buf_add(&s->out, SPAN("\n- connecting  . waiting for the first token  = answering\n"));
}

/* ---- the command ---- */

static void show(const struct cli_call *call, const struct search_row *row) {
    struct sheet s = { .width = terminal_width(), .colors = wants_colors() };
    if (cli_option(call, "json"))
        export_request_json(&s.out, row);
    else
        draw(&s, row);
    fwrite(s.out.at, 1, s.out.len, stdout);
    buf_deinit(&s.out);
}

static int trace_main(const struct cli_call *call) {
    if (call->n_args != 1)
        return cli_complain(call->command, "expected the id of a request: x-request-id has it");
    struct search *s = book_search(call);
    struct search_row row;
    struct arena arena;
    if (!s)
        return CLI_UNREACHABLE;
    arena_init(&arena, 16384);
    int result = search_request(s, span_of(call->args[0]), &arena, &row);
    int code = result < 0 ? book_failed(call, result) : result ? CLI_FINDINGS : CLI_OK;
    if (result == 0)
        show(call, &row);
    else if (result > 0)
        fprintf(stderr, "perilune trace: no request of that id is recorded\n");
    arena_deinit(&arena);
    search_close(s);
    return code;
}

const struct cli_command trace_command = {
    .name = "trace",
    .summary = "show one request that was recorded, and what each attempt took",
    .arguments = "ID",
    .max_args = 1,
    .options = { CLI_OPTION_CONFIG, CLI_OPTION_JSON },
    .notes =
        "ID is what the answer's x-request-id says. Why it went where it did is told by `perilune\n"
        "explain ID`, where requests are recorded for that. Is as wide as the terminal, or as "
        "COLUMNS\n"
        "says; NO_COLOR leaves colors out. Exits with 1 when there is no such request.\n",
    .examples = "perilune trace 01M82SXECG7RD23GN1WEGVTVNM\n",
    .main = trace_main,
};
