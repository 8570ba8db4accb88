/* chain_walks_test.c - many walks along chains made by chance, written down: what is written is in
 * spec/fixtures/chain/walks.txt, where the walk of the spec kit (lua/perilune/spec/chain.lua) is held
 * to the same. Where chain.c is meant to decide otherwise, `route_chain_walks_test write` writes the
 * file anew, and the kit follows. */
#include "base/buf.h"
#include "route/chain.h"

#include "support/unit.h"

#include <string.h>

enum { CASES = 400, STEPS = 5, TARGETS = 3, FAILURES = 12 };

struct bench {
    struct random dice, jitter;
    struct provider provider;
    struct target targets[TARGETS];
    struct step steps[2 * STEPS];
    nanousd bounds[TARGETS];
    uint32_t predicted[TARGETS];
    enum failure open[TARGETS]; /* what opened its breaker; FAILURE_NONE: it is closed */
    uint32_t reopens[TARGETS];
    bool found[TARGETS]; /* another has the only probe */
    struct chain chain;
    struct chain_walk walk;
    struct chain_view view;
    struct arena arena;
    struct buf *out;
};

static unsigned roll(struct bench *b, unsigned sides) {
    return (unsigned)random_below(&b->dice, sides);
}

static size_t target_of(const struct bench *b, const struct step *step) {
    return (size_t)(step->target - b->targets);
}

static nanousd bound(void *owner, const struct step *step) {
    struct bench *b = owner;
    return b->bounds[target_of(b, step)];
}

static uint32_t latency(void *owner, const struct step *step) {
    struct bench *b = owner;
    return b->predicted[target_of(b, step)];
}

static void on_skip(void *owner, const struct step *step, enum failure why) {
    struct bench *b = owner;
    buf_printf(b->out, "skip target=%zu class=%s\n", target_of(b, step), failure_name(why));
}

static enum breaker_permit admit(void *owner, const struct step *step, bool insist,
                                 enum failure *why) {
    struct bench *b = owner;
    size_t target = target_of(b, step);
    if (!b->open[target])
        return BREAKER_CLOSED;
    *why = b->open[target];
    return insist && !b->found[target] ? BREAKER_PROBE : BREAKER_REFUSED;
}

static uint64_t reopens_in(void *owner, const struct step *step) {
    struct bench *b = owner;
    return b->open[target_of(b, step)] ? b->reopens[target_of(b, step)] : 0;
}

static void on_open(void *owner, const struct step *step, enum failure why) {
    struct bench *b = owner;
    buf_printf(b->out, "open target=%zu class=%s\n", target_of(b, step), failure_name(why));
}

static nanousd ceiling(struct bench *b) {
    return roll(b, 4) ? NANOUSD_NONE : (nanousd)(500 * (1 + roll(b, 6)));
}

static long long written(nanousd n) {
    return n == NANOUSD_NONE ? -1 : (long long)n;
}

static void make_targets(struct bench *b) {
    for (size_t i = 0; i < TARGETS; i++) {
        b->targets[i] = (struct target){ .provider = &b->provider };
        b->targets[i].context = roll(b, 3) * 8000;
        b->bounds[i] = roll(b, 5) ? (nanousd)500 * roll(b, 5) : NANOUSD_UNKNOWN;
        b->predicted[i] = roll(b, 4) * 700;
        b->open[i] = roll(b, 3) ? FAILURE_NONE : (enum failure)(1 + roll(b, FAILURE_COUNT - 2));
        b->reopens[i] = roll(b, 8000);
        b->found[i] = roll(b, 4) == 0;
        buf_printf(b->out,
                   "target context=%u bound=%lld predicted=%u open=%s reopens=%u found=%d\n",
                   b->targets[i].context, (long long)b->bounds[i], b->predicted[i],
                   failure_name(b->open[i]), b->reopens[i], b->found[i]);
    }
}

static void make_steps(struct bench *b, struct step *steps, size_t n) {
    for (size_t i = 0; i < n; i++) {
        size_t target = roll(b, TARGETS);
        uint32_t classes = (1U << FAILURE_COUNT) - 2;
        steps[i] = (struct step){ .target = &b->targets[target],
                                  .retries = (int)roll(b, 4) - 1,
                                  .max_cost = ceiling(b),
                                  .max_latency_ms = roll(b, 4) ? 0 : 350 * (1 + roll(b, 5)),
                                  .when = roll(b, 3) ? 0 : roll(b, classes) & classes };
        buf_printf(b->out, "step target=%zu retries=%d max_cost=%lld max_latency=%u when=%u\n",
                   target, steps[i].retries, written(steps[i].max_cost), steps[i].max_latency_ms,
                   steps[i].when);
    }
}

static void make_chain(struct bench *b, uint64_t now, uint64_t deadline) {
    b->chain = (struct chain){ .steps = b->steps,
                               .n_steps = 1 + roll(b, STEPS),
                               .max_cost = ceiling(b),
                               .max_latency_ms = roll(b, 4) ? 0 : 350 * (1 + roll(b, 5)),
                               .max_attempts = roll(b, 3) ? 0 : 1 + roll(b, 5),
                               .on_exhausted = roll(b, 2) ? EXHAUSTED_FAIL : EXHAUSTED_QUEUE,
                               .retry_window_ms = roll(b, 3) ? 0 : 500 + roll(b, 12000) };
    buf_printf(b->out,
               "chain now=%llu deadline=%llu max_cost=%lld max_latency=%u max_attempts=%u queue=%d "
               "window=%u\n",
               (unsigned long long)now, (unsigned long long)deadline, written(b->chain.max_cost),
               b->chain.max_latency_ms, b->chain.max_attempts,
               b->chain.on_exhausted == EXHAUSTED_QUEUE, b->chain.retry_window_ms);
    make_steps(b, b->steps, b->chain.n_steps);
}

static void write_move(struct bench *b, struct chain_move move) {
    if (move.verdict == CHAIN_TRY)
        buf_printf(b->out, "try at=%zu attempts=%u over=%d\n", b->walk.at + 1, b->walk.attempts,
                   move.over_threshold);
    else if (move.verdict == CHAIN_WAIT)
        buf_printf(b->out, "wait ms=%u queue=%d\n", move.wait_ms, move.queue);
    else
        buf_add(b->out, SPAN("end\n"));
}

/* What became of the attempt; at times on_failure has a word in it. */
static struct chain_move after_failure(struct bench *b, uint64_t *now) {
    static const int64_t told[] = { 0, 300, 4000, 10000, 10001 }; /* about what is waited for */
    struct chain_failure failed = {
        .class = (enum failure)(1 + roll(b, FAILURE_COUNT - 1)),
        .retry_after_ms = roll(b, 3) ? -1 : told[roll(b, 5)],
    };
    unsigned took = roll(b, 900), cost = roll(b, 3) ? 0 : roll(b, 900), word = roll(b, 12);
    *now += took;
    b->walk.spent += cost;
    buf_printf(b->out, "fail class=%s after=%lld took=%u cost=%u\n", failure_name(failed.class),
               (long long)failed.retry_after_ms, took, cost);
    if (word == 0) {
        unsigned wait = roll(b, 2000);
        buf_printf(b->out, "stay ms=%u\n", wait);
        struct chain_move move = chain_stay(&b->walk, wait, *now);
        if (move.verdict == CHAIN_WAIT)
            return move;
    } else if (word == 1) {
        struct step rest[2];
        size_t n = roll(b, 3);
        buf_printf(b->out, "replace n=%zu\n", n);
        make_steps(b, rest, n);
        chain_replace(&b->walk, &b->chain, &b->arena, rest, n);
    }
    return chain_next(&b->walk, &b->view, &failed, *now);
}

static void walk(struct bench *b) {
    uint64_t now = 1000, deadline = roll(b, 3) ? 0 : now + 500 + roll(b, 20000);
    make_targets(b);
    make_chain(b, now, deadline);
    buf_add(b->out, SPAN("walk\n"));
    chain_begin(&b->walk, &b->chain, now, deadline);
    struct chain_move move = chain_next(&b->walk, &b->view, NULL, now);
    for (size_t i = 0; i < FAILURES; i++) {
        write_move(b, move);
        if (move.verdict == CHAIN_WAIT) {
            now += move.wait_ms;
            move = chain_resume(&b->walk, &b->view, now);
        } else if (move.verdict == CHAIN_TRY)
            move = after_failure(b, &now);
        else
            return;
    }
}

static void write_all(struct buf *out) {
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    b->out = out;
    b->view = (struct chain_view){ .bound = bound,
                                   .latency = latency,
                                   .admit = admit,
                                   .reopens_in = reopens_in,
                                   .on_skip = on_skip,
                                   .on_open = on_open,
                                   .owner = b,
                                   .random = &b->jitter };
    random_seed(&b->dice, 20);
    random_seed(&b->jitter, 26);
    arena_init(&b->arena, 4096);
    for (unsigned i = 0; i < CASES; i++) {
        buf_printf(out, "case %u\n", i + 1);
        walk(b);
        arena_reset(&b->arena, 4096);
    }
    arena_deinit(&b->arena);
    free(b);
}

static void the_walks_are_those_written_down(void **state) {
    const char here[] = __FILE__, own[] = "/core/route/chain_walks_test.c";
    char path[1024];
    snprintf(path, sizeof path, "%.*s/fixtures/chain/walks.txt", (int)(sizeof here - sizeof own),
             here);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct buf walks = { 0 };
    write_all(&walks);
    char *there = malloc(walks.len + 1);
    assert_non_null(there);
    size_t n = fread(there, 1, walks.len + 1, file);
    fclose(file);
    assert_int_equal(n, walks.len);
    assert_memory_equal(there, walks.at, n);
    free(there);
    buf_deinit(&walks);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "write") == 0) {
        struct buf walks = { 0 };
        write_all(&walks);
        bool ok = fwrite(walks.at, 1, walks.len, stdout) == walks.len;
        buf_deinit(&walks);
        return ok ? 0 : 1;
    }
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_walks_are_those_written_down) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
