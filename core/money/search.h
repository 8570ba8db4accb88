/* search.h - requests that were recorded, found again.
 *
 * Owns          its statements, on a connection of its own.
 * Fed by        the tables fold writes.
 * Feeds         the command line, the admin side, export.
 * Must not know journals, how rows came about.
 *
 *   struct search *s = search_open(path, &error);
 *   search_requests(s, &query, &arena, &page);       page.next goes into the next query's `before`
 *   search_request(s, id, &arena, &found);
 *   search_close(s);
 *
 * A page costs a bounded time, whatever is asked: it looks through the index of the rarest thing the
 * query names, newest first, at most at SEARCH_LOOKS requests and for SEARCH_US. A page may so be
 * short, or empty, and still have a next one.
 */
#ifndef PERILUNE_MONEY_SEARCH_H
#define PERILUNE_MONEY_SEARCH_H

#include "money/entry.h"
#include "money/store.h"

struct search;

enum { SEARCH_LOOKS = 20000, SEARCH_US = 100000, SEARCH_PAGE_MAX = 1000 };

/* What is left at zero or SPAN_NONE does not matter; so all zeros finds everything. */
struct search_query {
    uint64_t from_us, to_us; /* when it began: from, and before */
    uint64_t before;         /* a page's `next`; 0: the first page */
    unsigned limit;          /* 0: 50 */
    struct span key, project, arm, session;
    struct span target; /* some attempt's */
    struct span tag;    /* a part of some tag's text */
    int status;         /* 429; or 4 for all from 400 to 499 */
    enum failure failure;
    nanousd min_cost; /* at least; of a known cost */
};

/* One request. Found on a page its entry has no attempts. */
struct search_row {
    struct entry entry;
    struct entry_sums sums;
    size_t n_attempts;
    bool scored; /* the client has said something of it: */
    double score;
    struct span label; /* SPAN_NONE: none */
};

struct search_page {
    struct search_row *rows; /* newest first */
    size_t n;
    uint64_t next; /* 0: this is the last page */
};

/* NULL with the error filled. A connection belongs to one thread at a time. */
struct search *search_open(const char *path, struct store_error *error);
void search_close(struct search *s);

/* Rows lie in `arena`. 0, or a negative SQLite result. */
int search_requests(struct search *s, const struct search_query *q, struct arena *arena,
                    struct search_page *page);

/* One request with its attempts. 1: there is none. */
int search_request(struct search *s, struct span id, struct arena *arena, struct search_row *row);

/* Whose it was; SPAN_NONE where it had none. 1: there is no such request. */
struct search_who {
    struct span key, project;
};
int search_owner(struct search *s, struct span id, struct arena *arena, struct search_who *who);

/* Its prompt and its answer by enum entry_part; SPAN_NONE: it is not kept. */
struct search_body {
    struct span bytes;
    bool cut; /* there was more */
};
int search_bodies(struct search *s, struct span id, struct arena *arena,
                  struct search_body bodies[ENTRY_PARTS]);

#endif
