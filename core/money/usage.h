/* usage.h - sums: what was used and what it cost, by whom and day; and statements of a month.
 *
 * Owns          its statements, on a connection of its own.
 * Fed by        the sums fold keeps.
 * Feeds         the command line, the admin side, budgets at their start.
 * Must not know journals, prices.
 *
 *   struct usage *u = usage_open(path, &error);
 *   usage_read(u, &query, &arena, &lines);
 *   usage_close(u);
 *
 * Days are of UTC and numbered from 1970-01-01. A connection belongs to one thread at a time.
 */
#ifndef PERILUNE_MONEY_USAGE_H
#define PERILUNE_MONEY_USAGE_H

#include "base/histogram.h"
#include "money/entry.h"
#include "money/store.h"

struct usage;

enum usage_by {
    USAGE_BY_NOTHING,
    USAGE_BY_PROJECT,
    USAGE_BY_KEY,
    USAGE_BY_POLICY,
    USAGE_BY_ARM,
    USAGE_BY_ENDPOINT,
    USAGE_BY_TAG, /* a request with two counts under both: lines sum to more than the whole */
    USAGE_BY_TARGET,
    USAGE_BY_MODEL,
    USAGE_BY_PROVIDER,
    USAGE_BYS
};

/* "project"; and back, USAGE_BYS for what is none. */
const char *usage_by_name(enum usage_by by);
enum usage_by usage_by_of(struct span name);

/* Of targets, models and providers everything is about attempts: `requests` counts attempts, and
 * times are theirs. Of all else it is about requests. */
struct usage_figures {
    uint64_t requests, answered, failed, cancelled, refused, orphaned, free;
    uint64_t attempts;
    uint64_t unpriced;  /* attempts that may have cost something nobody knows */
    uint64_t estimated; /* attempts whose tokens are estimates */
    uint64_t input, cached, written, output, reasoning; /* tokens */
    nanousd cost, billed;
    nanousd most;       /* what attempts without a cost can have cost at most, over `cost` */
    nanousd free_spent; /* of both, what free requests took */
    uint64_t scores;    /* by arm: requests clients gave feedback on; by all else 0 */
    double score_sum, score_squares;
};

struct usage_query {
    enum usage_by by;
    bool by_day;
    struct span project; /* only its; SPAN_NONE: all */
    struct span name;    /* only the line of that name; SPAN_NONE: all. Not with USAGE_BY_NOTHING */
    uint32_t from_day, to_day; /* both are counted in */
};

struct usage_line {
    uint32_t day;     /* 0 unless by day */
    struct span name; /* of what it is by; empty where the requests had none */
    struct usage_figures figures;
    double p50_ms, p95_ms; /* total time of what was answered; -1: nothing was */
    /* Of the scores: their mean; with two or more also how they vary (over n - 1), and where the mean
     * lies with 95% likelihood: 1.96 standard errors to both sides. */
    double score_mean, score_variance, score_low, score_high;
};

struct usage_lines {
    struct usage_line *at; /* by day, then by what costs most */
    size_t n;
};

/* NULL with the error filled. */
struct usage *usage_open(const char *path, struct store_error *error);
void usage_close(struct usage *u);

/* Lines lie in `arena`. 0, or a negative SQLite result. */
int usage_read(struct usage *u, const struct usage_query *q, struct arena *arena,
               struct usage_lines *lines);

struct usage_spent {
    nanousd cost, billed;
    nanousd most;       /* what attempts without a cost can have cost at most, over `cost` */
    nanousd free_spent; /* of both, what free requests took */
    uint64_t free_requests;
};

/* What was spent from one moment to before another, exact at both: by all (USAGE_BY_NOTHING), by a
 * project, a key or at an endpoint. A day begun or left in its middle is summed by its requests. 0,
 * or a negative SQLite result. */
int usage_spent_between(struct usage *u, enum usage_by by, struct span name, uint64_t from_us,
                        uint64_t to_us, struct usage_spent *spent);

/* One project's month over all providers. */
struct usage_statement {
    struct span project;
    unsigned year, month;
    struct usage_line total;
    struct usage_lines lines; /* by target */
};

/* The total's cost and billed are the sums of the lines', to the nano-dollar: both are of the same
 * attempts. The month is of UTC, from 1. 0, or a negative SQLite result. */
int usage_read_statement(struct usage *u, struct span project, unsigned year, unsigned month,
                         struct arena *arena, struct usage_statement *statement);

/* The day of a Unix time; of a date (month and day from 1). */
uint32_t usage_day(uint64_t us);
uint32_t usage_day_of(unsigned year, unsigned month, unsigned day);

/* "2026-11-22", NUL-terminated. */
void usage_day_write(uint32_t day, char out[16]);

/* How times are spread, as rows keep it: pairs of class and count, each as base 128. `pack`
 * appends. `unpack`
 * adds to what is there; false when these are no such bytes. */
void usage_pack_times(struct buf *out, const struct histogram *h);
bool usage_unpack_times(struct span bytes, struct histogram *h);

#endif
