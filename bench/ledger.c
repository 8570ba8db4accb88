/* ledger.c - how fast a month of requests is folded, and what is asked of it then.
 *
 *   bench_ledger [RECORDS] [FOLDER]       ten million, below /tmp; about 6 GB, removed at the end
 *
 * Prints what an append and a folded record cost in processor time, and the slowest page of each
 * search. */
#include "money/ledger.h"
#include "base/clock.h"
#include "money/journal.h"
#include "money/search.h"
#include "money/usage.h"
#include "support/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define AT UINT64_C(1788220800000000) /* 2026-09-01 */
#define MONTH_US (UINT64_C(30) * 86400 * 1000000)
enum { PART = 50000 }; /* appended, then folded: journals stay small */

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fill(struct ledger *l, uint64_t n) {
    struct journal_error error;
    struct records records;
    double appending = 0, folding = 0;
    uint64_t began = clock_us();
    struct journal *j =
        journal_open(&(struct journal_settings){ .folder = ledger_journals(l) }, &error);
    records_init(&records, 1);
    for (uint64_t i = 0; j && i < n;) {
        for (uint64_t end = i + PART; i < n && i < end; i++) {
            struct entry e;
            records_make(&records, i, AT + MONTH_US / n * i, &e);
            double before = cpu_s();
            journal_ended(j, &e);
            appending += cpu_s() - before;
        }
        double before = cpu_s();
        while (ledger_turn(l, AT)) {
        }
        folding += cpu_s() - before;
    }
    journal_close(j);
    printf("appended: %.2f us a record; folded: %.0f records a second of processor time; %.0f s in "
           "all\n",
           appending / (double)n * 1e6, (double)n / folding, (double)(clock_us() - began) / 1e6);
}

static void ask(struct search *s, const char *what, struct search_query q) {
    uint64_t slowest = 0;
    size_t found = 0;
    unsigned pages = 0;
    do {
        struct arena arena;
        struct search_page page;
        arena_init(&arena, 65536);
        uint64_t began = clock_us();
        search_requests(s, &q, &arena, &page);
        uint64_t took = clock_us() - began;
        slowest = took > slowest ? took : slowest;
        found += page.n;
        q.before = page.next;
        arena_deinit(&arena);
    } while (++pages < 20 && q.before);
    printf("%-34s %8.1f ms the slowest of %2u pages, %zu found\n", what, (double)slowest / 1e3,
           pages, found);
}

static void ask_all(const char *path) {
    struct store_error error;
    struct search *s = search_open(path, &error);
    uint64_t middle = AT + MONTH_US / 2;
    if (!s)
        return;
    ask(s, "newest", (struct search_query){ 0 });
    ask(s, "by time", (struct search_query){ .to_us = middle });
    ask(s, "by key", (struct search_query){ .key = SPAN("key-17"), .to_us = middle });
    ask(s, "by project", (struct search_query){ .project = SPAN("lab"), .to_us = middle });
    ask(s, "by target", (struct search_query){ .target = SPAN("azure/gpt-4o"), .to_us = middle });
    ask(s, "by status", (struct search_query){ .status = 429, .to_us = middle });
    ask(s, "by class", (struct search_query){ .failure = FAILURE_RATE_LIMITED });
    ask(s, "by cost", (struct search_query){ .min_cost = 21000000 });
    ask(s, "by tag text", (struct search_query){ .tag = SPAN("eam-1"), .to_us = middle });
    ask(s, "by session", (struct search_query){ .session = SPAN("session-1000") });
    ask(s, "by arm", (struct search_query){ .arm = SPAN("prices/gpt-4o") });
    ask(s, "key, class and target together",
        (struct search_query){ .key = SPAN("key-3"),
                               .failure = FAILURE_RATE_LIMITED,
                               .target = SPAN("vllm/llama-3.3-70b") });
    ask(s, "project and a status nobody had",
        (struct search_query){ .project = SPAN("lab"), .status = 201 });
    search_close(s);
}

static void sum(const char *path, enum usage_by by) {
    struct store_error error;
    struct arena arena;
    struct usage_lines lines;
    struct usage *u = usage_open(path, &error);
    if (!u)
        return;
    arena_init(&arena, 65536);
    uint64_t began = clock_us();
    struct usage_query q = { .by = by, .by_day = true, .to_day = UINT32_MAX };
    usage_read(u, &q, &arena, &lines);
    printf("usage by %-8s and day           %8.1f ms, %zu lines\n", usage_by_name(by),
           (double)(clock_us() - began) / 1e3, lines.n);
    arena_deinit(&arena);
    usage_close(u);
}

int main(int argc, char **argv) {
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
    char made[] = "/tmp/bench_ledger.XXXXXX", remove[600];
    const char *folder = argc > 2 ? argv[2] : mkdtemp(made);
    struct store_error error;
    struct stat st;
    if (!n || !folder)
        return 2;
    struct ledger *l = ledger_open(&(struct ledger_settings){ .folder = span_of(folder) }, &error);
    if (!l) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    fill(l, n);
    ask_all(ledger_path(l));
    for (enum usage_by by = USAGE_BY_PROJECT; by < USAGE_BYS; by++)
        sum(ledger_path(l), by);
    if (stat(ledger_path(l), &st) == 0)
        printf("%.0f bytes a record\n", (double)st.st_size / (double)n);
    ledger_close(l);
    if (argc > 2)
        return 0;
    snprintf(remove, sizeof remove, "rm -rf '%s'", made);
    return system(remove) != 0;
}
