/* exposition.h - figures as Prometheus reads them: text 0.0.4, or OpenMetrics 1.0.
 *
 * Owns          nothing: it writes to a buffer of the caller's.
 * Fed by        api_metrics.
 * Feeds         a scrape.
 * Must not know what the figures are of.
 *
 *   struct exposition x = { .out = &body, .open_metrics = false };
 *   exposition_family(&x, "perilune_tokens_total", "counter", "Tokens, as providers count them.");
 *   exposition_label(&x, "type", SPAN("input"));
 *   exposition_count(&x, 42);                  ends the sample: its labels are gone
 *   exposition_end(&x);
 *
 * Families come one after another, each with all of its samples.
 */
#ifndef PERILUNE_ADMIN_EXPOSITION_H
#define PERILUNE_ADMIN_EXPOSITION_H

#include "base/buf.h"

struct exposition {
    struct buf *out;
    bool open_metrics; /* counters are named there without the _total of their samples, and the text
                        * has an end */
    const char *family;
    struct buf labels; /* of the next sample: `a="1",b="2"` */
};

/* `kind`: "counter" (the name ends in _total), "gauge", "histogram". */
void exposition_family(struct exposition *x, const char *name, const char *kind, const char *help);

/* One label more of the next sample. A value of "" is left out: it means the same. */
void exposition_label(struct exposition *x, const char *name, struct span value);

/* Each writes a sample of the family. */
void exposition_count(struct exposition *x, uint64_t value);
void exposition_number(struct exposition *x, double value);
void exposition_nano(struct exposition *x, uint64_t nano); /* billionths, exact: of dollars */

/* A whole histogram: counts[i] of `n` bounds are up to bounds[i] and over the one before, counts[n]
 * are larger; `sum` is of all values. */
void exposition_histogram(struct exposition *x, const double *bounds, size_t n,
                          const uint64_t *counts, double sum);

/* The end of it all. */
void exposition_end(struct exposition *x);

/* What the Content-Type says. */
const char *exposition_type(const struct exposition *x);

/* Whether an Accept header asks for OpenMetrics. */
bool exposition_wants_open_metrics(struct span accept);

#endif
