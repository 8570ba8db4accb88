/* mock_count.h - what one worker of the mock served, and what of all of them is shown.
 *
 * Owns          the counts, the names they stand under, the last requests as they came.
 * Fed by        mock_serve and mock_call, on the worker's thread alone: there is nothing to lock.
 * Feeds         the JSON of /_mock/...
 * Must not know threads: a report is a copy, to be handed over.
 *
 *   struct mock_received *r = mock_count_received(&count, m);     // ... mock_received_release(r)
 *   mock_report_take(&reports[i], &count, open);                  // on each worker's thread
 *   mock_report_stats(reports, n, &out);                          // on any
 */
#ifndef PERILUNE_CLI_MOCK_COUNT_H
#define PERILUNE_CLI_MOCK_COUNT_H

#include "net/http1.h"

enum {
    MOCK_KEPT = 100, /* requests */
    MOCK_NAMES = 512 /* places in a tally; a power of two */
};

/* Counts under names; beyond three quarters of its places, under "(others)". */
struct mock_tally {
    struct mock_tally_place {
        char *name; /* NULL: free */
        size_t len;
        uint64_t count;
    } places[MOCK_NAMES];
    size_t used;
    struct mock_tally_place *last; /* found; the next name is often the same */
};

/* A request, kept by who answers it and by the list of the last ones. */
struct mock_received {
    struct http_message *message;
    unsigned holders;
};

struct mock_numbers {
    uint64_t requests, streams, cancelled, prompt_tokens;
    uint64_t completion_tokens; /* of a stream: what it had said, counted when it is over */
    uint64_t connections;       /* that ended; with the open ones: all */
};

struct mock_count {
    struct mock_numbers numbers;
    size_t under_way; /* requests that are being answered; a reset leaves it */
    struct mock_tally by_path, by_model, by_name;
    struct mock_received *kept[MOCK_KEPT]; /* a ring */
    size_t next;                           /* place in it */
};

/* All zeros is a beginning. */
void mock_count_reset(struct mock_count *c);

/* Returns how often the name was added by now. */
uint64_t mock_tally_add(struct mock_tally *t, struct span name);
void mock_tally_clear(struct mock_tally *t);

/* Takes over the message, which lives until both holders have released it. */
struct mock_received *mock_count_received(struct mock_count *c, struct http_message *m);
void mock_received_release(struct mock_received *r);

/* A copy of it all, for another thread. */
struct mock_report {
    struct mock_numbers numbers;
    size_t open, under_way;
    struct mock_tally by_path, by_model, by_name;
    struct mock_report_request {
        uint64_t at; /* when it began */
        struct buf json;
    } requests[MOCK_KEPT];
    size_t n_requests;
};

void mock_report_take(struct mock_report *r, const struct mock_count *c, size_t open);
void mock_report_deinit(struct mock_report *r);

/* {"requests": ..., ...}, summed up. */
void mock_report_stats(const struct mock_report *reports, size_t n, struct buf *out);

/* A list of the last requests, oldest first, or the last one alone (null without any). */
void mock_report_requests(const struct mock_report *reports, size_t n, bool last_only,
                          struct buf *out);

#endif
