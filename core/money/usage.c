#include "money/usage.h"

#include "money/fold.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

enum { DAY_S = 86400 };
#define DAY_US (UINT64_C(1000000) * DAY_S)

enum statement {
    SUMS,
    DAYS_ALL,
    DAYS_NAMED,
    SPENT_ALL,
    SPENT_PROJECT,
    SPENT_KEY,
    SPENT_ENDPOINT,
    STATEMENTS
};

/* Of requests, or of sums: what add_spent() reads. The planner does not see by itself how much
 * rarer a name is than a day. */
#define SPENT_COLUMNS "cost, billed, most, free"
#define FROM_REQUESTS                                                                              \
    "SELECT " SPENT_COLUMNS ", iif(free, coalesce(cost, 0) + coalesce(most, 0), 0) FROM requests"
#define FROM_USAGE "SELECT " SPENT_COLUMNS ", free_spent FROM usage"
#define AT_BETWEEN " WHERE at >= ?1 AND at < ?2"
#define DAY_BETWEEN " WHERE kind = ?3 AND day >= ?1 AND day < ?2"
#define IS_NAMED(column) " AND " column " = (SELECT id FROM names WHERE tag = 0 AND text = ?4)"

static const char *const texts[STATEMENTS] = {
    [SUMS] =
        "SELECT u.day, coalesce(n.text, ''), u.requests, u.answered, u.failed, u.cancelled,"
        " u.refused, u.orphaned, u.free, u.attempts, u.unpriced, u.estimated, u.input, u.cached,"
        " u.written, u.output, u.reasoning, u.cost, u.billed, u.most, u.times, u.scores,"
        " u.score_sum, u.score_squares"
        " FROM usage u LEFT JOIN names n ON n.id = u.name"
        " WHERE u.kind = ?1 AND u.day BETWEEN ?2 AND ?3 AND (?4 IS NULL OR u.project ="
        " (SELECT id FROM names WHERE tag = 0 AND text = ?4))",
    [DAYS_ALL] = FROM_USAGE DAY_BETWEEN,
    [DAYS_NAMED] = FROM_USAGE " INDEXED BY usage_by_name" DAY_BETWEEN IS_NAMED("name"),
    [SPENT_ALL] = FROM_REQUESTS AT_BETWEEN,
    [SPENT_PROJECT] =
        FROM_REQUESTS " INDEXED BY requests_by_project" AT_BETWEEN IS_NAMED("project"),
    [SPENT_KEY] = FROM_REQUESTS " INDEXED BY requests_by_key" AT_BETWEEN IS_NAMED("key"),
    [SPENT_ENDPOINT] = FROM_REQUESTS AT_BETWEEN IS_NAMED("endpoint"),
};

struct usage {
    struct sqlite3 *db;
    struct sqlite3_stmt *statements[STATEMENTS];
};

static const char *const names[USAGE_BYS] = {
    [USAGE_BY_NOTHING] = "nothing", [USAGE_BY_PROJECT] = "project",
    [USAGE_BY_KEY] = "key",         [USAGE_BY_POLICY] = "policy",
    [USAGE_BY_ARM] = "arm",         [USAGE_BY_ENDPOINT] = "endpoint",
    [USAGE_BY_TAG] = "tag",         [USAGE_BY_TARGET] = "target",
    [USAGE_BY_MODEL] = "model",     [USAGE_BY_PROVIDER] = "provider",
};

static const enum fold_kind kinds[USAGE_BYS] = {
    [USAGE_BY_NOTHING] = FOLD_PROJECT, [USAGE_BY_PROJECT] = FOLD_PROJECT,
    [USAGE_BY_KEY] = FOLD_KEY,         [USAGE_BY_POLICY] = FOLD_POLICY,
    [USAGE_BY_ARM] = FOLD_ARM,         [USAGE_BY_ENDPOINT] = FOLD_ENDPOINT,
    [USAGE_BY_TAG] = FOLD_TAG,         [USAGE_BY_TARGET] = FOLD_TARGET,
    [USAGE_BY_MODEL] = FOLD_TARGET,    [USAGE_BY_PROVIDER] = FOLD_TARGET,
};

const char *usage_by_name(enum usage_by by) {
    return (unsigned)by < USAGE_BYS ? names[by] : "";
}

enum usage_by usage_by_of(struct span name) {
    unsigned i = 0;
    while (i < USAGE_BYS && !span_eq(name, span_of(names[i])))
        i++;
    return (enum usage_by)i;
}

/* --- days ------------------------------------------------------------------------------------- */

uint32_t usage_day(uint64_t us) {
    return (uint32_t)(us / DAY_US);
}

static bool is_leap(unsigned year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_of_month(unsigned year, unsigned month) {
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    return days[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
}

uint32_t usage_day_of(unsigned year, unsigned month, unsigned day) {
    unsigned y = year - 1;
    uint32_t days = y * 365 + y / 4 - y / 100 + y / 400 - 719162; /* to 1970-01-01 */
    for (unsigned m = 1; m < month; m++)
        days += days_of_month(year, m);
    return days + day - 1;
}

void usage_day_write(uint32_t day, char out[16]) {
    unsigned year = 1970, month = 1;
    for (; day >= (is_leap(year) ? 366u : 365u); year++)
        day -= is_leap(year) ? 366 : 365;
    for (; day >= days_of_month(year, month); month++)
        day -= days_of_month(year, month);
    snprintf(out, 16, "%04u-%02u-%02u", year, month, day + 1);
}

/* --- times ------------------------------------------------------------------------------------ */

static void put(struct buf *out, unsigned n) {
    for (; n >= 128; n >>= 7)
        buf_add_char(out, (char)(n | 128));
    buf_add_char(out, (char)n);
}

static bool get(struct span *rest, unsigned *n) {
    *n = 0;
    for (unsigned shift = 0; shift < 32 && rest->len; shift += 7) {
        unsigned char c = (unsigned char)*rest->at;
        *rest = span_sub(*rest, 1, SIZE_MAX);
        *n |= (unsigned)(c & 127) << shift;
        if (c < 128)
            return true;
    }
    return false;
}

void usage_pack_times(struct buf *out, const struct histogram *h) {
    for (unsigned i = 0; i < HISTOGRAM_CLASSES; i++) {
        unsigned n = atomic_load_explicit(&h->counts[i], memory_order_relaxed);
        if (n) {
            put(out, i);
            put(out, n);
        }
    }
}

bool usage_unpack_times(struct span bytes, struct histogram *h) {
    while (bytes.len) {
        unsigned class, n;
        if (!get(&bytes, &class) || !get(&bytes, &n) || class >= HISTOGRAM_CLASSES)
            return false;
        atomic_fetch_add_explicit(&h->counts[class], n, memory_order_relaxed);
    }
    return true;
}

/* --- opening ---------------------------------------------------------------------------------- */

struct usage *usage_open(const char *path, struct store_error *error) {
    struct usage *u = calloc(1, sizeof *u);
    if (!u)
        abort();
    u->db = store_open_reader(path, &fold_schema, error);
    for (int i = 0; u->db && i < STATEMENTS; i++) {
        u->statements[i] = store_prepare(u->db, texts[i]);
        if (!u->statements[i]) {
            store_explain(error, fold_schema.what, path, sqlite3_errcode(u->db));
            usage_close(u);
            return NULL;
        }
    }
    if (u->db)
        return u;
    free(u);
    return NULL;
}

void usage_close(struct usage *u) {
    if (!u)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(u->statements[i]);
    sqlite3_close(u->db);
    free(u);
}

/* --- sums ------------------------------------------------------------------------------------- */

/* A line while it grows. Its key is the day, then the name. */
struct group {
    UT_hash_handle hh;
    struct usage_line line;
    struct histogram times;
    char key[sizeof(uint32_t) + ENTRY_TEXT_MAX];
};

/* What of a row's name a line is called by. */
static struct span group_name(enum usage_by by, struct span name) {
    size_t slash = span_find(name, '/');
    switch (by) {
    case USAGE_BY_NOTHING:
        return SPAN("");
    case USAGE_BY_PROVIDER:
        return span_sub(name, 0, slash);
    case USAGE_BY_MODEL:
        return slash < name.len ? span_sub(name, slash + 1, SIZE_MAX) : name;
    default:
        return name;
    }
}

static struct group *group_of(struct group **groups, struct arena *arena, uint32_t day,
                              struct span name) {
    char key[sizeof day + ENTRY_TEXT_MAX];
    name = span_sub(name, 0, ENTRY_TEXT_MAX);
    memcpy(key, &day, sizeof day);
    memcpy(key + sizeof day, name.at, name.len);
    struct group *g;
    HASH_FIND(hh, *groups, key, sizeof day + name.len, g);
    if (g)
        return g;
    g = arena_new(arena, struct group);
    memcpy(g->key, key, sizeof day + name.len);
    g->line.day = day;
    g->line.name = (struct span){ g->key + sizeof day, name.len };
    HASH_ADD(hh, *groups, key, sizeof day + name.len, g);
    return g;
}

static void count_up(uint64_t *to, struct sqlite3_stmt *s, int at) {
    *to = (uint64_t)entry_add((int64_t)*to, sqlite3_column_int64(s, at));
}

/* The figures of a row, whose first is at that column. */
static void add_row(struct usage_figures *f, struct sqlite3_stmt *s, int at) {
    uint64_t *const counts[] = {
        &f->requests, &f->answered, &f->failed,   &f->cancelled, &f->refused,
        &f->orphaned, &f->free,     &f->attempts, &f->unpriced,  &f->estimated,
        &f->input,    &f->cached,   &f->written,  &f->output,    &f->reasoning,
    };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        count_up(counts[i], s, at++);
    f->cost = entry_add(f->cost, sqlite3_column_int64(s, at++));
    f->billed = entry_add(f->billed, sqlite3_column_int64(s, at++));
    f->most = entry_add(f->most, sqlite3_column_int64(s, at++));
    at++; /* times */
    count_up(&f->scores, s, at++);
    f->score_sum += sqlite3_column_double(s, at++);
    f->score_squares += sqlite3_column_double(s, at);
}

static void add_to_groups(struct group **groups, struct arena *arena, const struct usage_query *q,
                          struct sqlite3_stmt *s) {
    struct span name = group_name(q->by, store_text(s, 1));
    if (q->name.at && !span_eq(name, q->name))
        return;
    uint32_t day = q->by_day ? (uint32_t)sqlite3_column_int64(s, 0) : 0;
    struct group *g = group_of(groups, arena, day, name);
    add_row(&g->line.figures, s, 2);
    struct span times = { sqlite3_column_blob(s, 20), (size_t)sqlite3_column_bytes(s, 20) };
    usage_unpack_times(times, &g->times); /* what is damaged adds nothing */
}

static int by_day_and_cost(const void *a, const void *b) {
    const struct usage_line *x = a, *y = b;
    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    if (x->figures.cost != y->figures.cost)
        return x->figures.cost > y->figures.cost ? -1 : 1;
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = memcmp(x->name.at, y->name.at, len);
    return order ? order : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

static void judge_scores(struct usage_line *line) {
    double n = (double)line->figures.scores, sum = line->figures.score_sum;
    if (n < 1)
        return;
    line->score_mean = sum / n;
    if (n < 2)
        return;
    /* Never below 0, whatever rounding leaves of scores that are all the same. */
    line->score_variance = fmax(0, (line->figures.score_squares - sum * sum / n) / (n - 1));
    double error = 1.96 * sqrt(line->score_variance / n);
    line->score_low = line->score_mean - error;
    line->score_high = line->score_mean + error;
}

static struct usage_lines finish_groups(struct group *groups, struct arena *arena) {
    struct usage_lines lines = { 0 };
    lines.at = arena_new_array(arena, struct usage_line, HASH_COUNT(groups));
    for (struct group *g = groups; g; g = g->hh.next) {
        const struct histogram *times = &g->times;
        double found[] = { -1, -1 };
        histogram_read(&times, 1, (double[]){ 0.5, 0.95 }, 2, found);
        g->line.p50_ms = found[0];
        g->line.p95_ms = found[1];
        judge_scores(&g->line);
        lines.at[lines.n++] = g->line;
    }
    qsort(lines.at, lines.n, sizeof *lines.at, by_day_and_cost);
    return lines;
}

int usage_read(struct usage *u, const struct usage_query *q, struct arena *arena,
               struct usage_lines *lines) {
    struct sqlite3_stmt *s = u->statements[SUMS];
    struct group *groups = NULL;
    sqlite3_bind_int(s, 1, kinds[q->by]);
    sqlite3_bind_int64(s, 2, q->from_day);
    sqlite3_bind_int64(s, 3, q->to_day);
    store_bind_text(s, 4, q->project);
    int result;
    while ((result = sqlite3_step(s)) == SQLITE_ROW)
        add_to_groups(&groups, arena, q, s);
    sqlite3_reset(s);
    *lines = finish_groups(groups, arena);
    HASH_CLEAR(hh, groups); /* its table; the groups are the arena's */
    return result == SQLITE_DONE ? 0 : -result;
}

/* --- what was spent --------------------------------------------------------------------------- */

static void add_spent(struct sqlite3_stmt *s, struct usage_spent *spent) {
    spent->cost = entry_add(spent->cost, store_known(s, 0));
    spent->billed = entry_add(spent->billed, store_known(s, 1));
    spent->most = entry_add(spent->most, store_known(s, 2));
    spent->free_requests += (uint64_t)sqlite3_column_int64(s, 3);
    spent->free_spent = entry_add(spent->free_spent, sqlite3_column_int64(s, 4));
}

/* Adds all rows from one moment or day to before another. `name` SPAN_NONE: the statement has
 * none. */
static int sum_spent(struct sqlite3_stmt *s, uint64_t from, uint64_t to, struct span name,
                     struct usage_spent *spent) {
    int result = SQLITE_DONE;
    sqlite3_bind_int64(s, 1, (int64_t)from);
    sqlite3_bind_int64(s, 2, (int64_t)to);
    store_bind_text(s, 4, name);
    while (from < to && (result = sqlite3_step(s)) == SQLITE_ROW)
        add_spent(s, spent);
    sqlite3_reset(s);
    return result == SQLITE_DONE ? 0 : -result;
}

/* Whole days, by their sums. */
static int spent_by_days(struct usage *u, enum usage_by by, struct span name, uint64_t from_day,
                         uint64_t to_day, struct usage_spent *spent) {
    struct sqlite3_stmt *s = u->statements[by == USAGE_BY_NOTHING ? DAYS_ALL : DAYS_NAMED];
    sqlite3_bind_int(s, 3, kinds[by]);
    return sum_spent(s, from_day, to_day, name, spent);
}

int usage_spent_between(struct usage *u, enum usage_by by, struct span name, uint64_t from_us,
                        uint64_t to_us, struct usage_spent *spent) {
    struct sqlite3_stmt *one_by_one = u->statements[by == USAGE_BY_PROJECT    ? SPENT_PROJECT
                                                    : by == USAGE_BY_KEY      ? SPENT_KEY
                                                    : by == USAGE_BY_ENDPOINT ? SPENT_ENDPOINT
                                                                              : SPENT_ALL];
    *spent = (struct usage_spent){ 0 };
    if (by == USAGE_BY_NOTHING)
        name = SPAN_NONE;
    if (to_us > INT64_MAX)
        to_us = INT64_MAX;
    uint64_t first = (from_us + DAY_US - 1) / DAY_US, end = to_us / DAY_US; /* whole days */
    if (first >= end)
        return sum_spent(one_by_one, from_us, to_us, name, spent);
    int result = sum_spent(one_by_one, from_us, first * DAY_US, name, spent);
    if (result == 0)
        result = spent_by_days(u, by, name, first, end, spent);
    if (result == 0)
        result = sum_spent(one_by_one, end * DAY_US, to_us, name, spent);
    return result;
}

/* --- statements ------------------------------------------------------------------------------- */

int usage_read_statement(struct usage *u, struct span project, unsigned year, unsigned month,
                         struct arena *arena, struct usage_statement *statement) {
    uint32_t first = usage_day_of(year, month, 1);
    struct usage_query q = { .by = USAGE_BY_TARGET,
                             .project = project,
                             .from_day = first,
                             .to_day = first + days_of_month(year, month) - 1 };
    *statement = (struct usage_statement){ .project = project, .year = year, .month = month };
    int result = usage_read(u, &q, arena, &statement->lines);
    struct usage_lines whole = { 0 };
    q.by = USAGE_BY_NOTHING;
    if (result == 0)
        result = usage_read(u, &q, arena, &whole);
    if (whole.n)
        statement->total = whole.at[0];
    return result;
}
