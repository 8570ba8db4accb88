/* breaker_model_test.c - the breaker against its rules said a second time, over random sequences.
 *
 * The second time they are said without any state that is carried along: there is a list of what has
 * happened, and each question is answered by looking through it. With "N [seed]" as arguments it runs N
 * sequences and prints what it did (the target breaker_model runs a million).
 */
#include "route/breaker.h"

#include "base/random.h"
#include "support/unit.h"

#include <inttypes.h>

enum { STEPS = 80, EVENTS = 4 * STEPS };

enum happening { ASKED, CAME_BACK, TOLD, OPENED, CLOSED };

/* One thing that happened. */
struct event {
    enum happening what;
    uint64_t at;
    enum breaker_permit permit; /* ASKED: given; CAME_BACK: brought */
    enum failure class;         /* CAME_BACK: with what; OPENED: why */
    uint64_t until;             /* TOLD: the provider's moment; OPENED: its own, 0 without one */
};

struct history {
    struct event events[EVENTS];
    size_t n;
};

static void note(struct history *h, struct event e) {
    assert_true(h->n < EVENTS);
    h->events[h->n++] = e;
}

/* --- the rules, by looking through what happened --- */

static bool is_neutral(enum failure class) {
    switch (class) {
    case FAILURE_CANCELLED:
    case FAILURE_BAD_REQUEST:
    case FAILURE_CONTENT_FILTER:
    case FAILURE_CONTEXT_LENGTH:
    case FAILURE_COST:
    case FAILURE_LATENCY:
        return true;
    default:
        return false;
    }
}

/* The place behind the last time it closed: what was before counts no more. */
static size_t era(const struct history *h) {
    size_t begin = 0;
    for (size_t i = 0; i < h->n; i++)
        if (h->events[i].what == CLOSED)
            begin = i + 1;
    return begin;
}

static bool is_open(const struct history *h) {
    for (size_t i = era(h); i < h->n; i++)
        if (h->events[i].what == OPENED)
            return true;
    return false;
}

/* The latest moment anybody named in this era. */
static uint64_t moment(const struct history *h, bool only_told) {
    uint64_t latest = 0;
    for (size_t i = era(h); i < h->n; i++) {
        const struct event *e = &h->events[i];
        bool named = e->what == TOLD || (!only_told && e->what == OPENED);
        if (named && e->until > latest)
            latest = e->until;
    }
    return latest;
}

/* A probe is out when the last one given has not come back, nobody else's has since, and it is not yet
 * too long ago. */
static bool probe_is_out(const struct history *h, uint64_t now) {
    for (size_t i = h->n; i-- > era(h);) {
        const struct event *e = &h->events[i];
        if (e->permit == BREAKER_PROBE && e->what == CAME_BACK)
            return false;
        if (e->permit == BREAKER_PROBE && e->what == ASKED)
            return now - e->at < 60000;
    }
    return false;
}

/* The same, however long ago: whether one that comes back is still the one that decides. */
static bool probe_is_due(const struct history *h) {
    for (size_t i = h->n; i-- > era(h);) {
        const struct event *e = &h->events[i];
        if (e->permit == BREAKER_PROBE && (e->what == CAME_BACK || e->what == ASKED))
            return e->what == ASKED;
    }
    return false;
}

static bool counts(const struct event *e) {
    return e->what == CAME_BACK && !is_neutral(e->class);
}

static bool five_in_a_row(const struct history *h) {
    unsigned row = 0;
    for (size_t i = h->n; i-- > era(h);)
        if (counts(&h->events[i])) {
            if (h->events[i].class == FAILURE_NONE)
                break;
            row++;
        }
    return row >= 5;
}

static bool half_of_twenty(const struct history *h, uint64_t now) {
    unsigned tried = 0, failed = 0;
    for (size_t i = era(h); i < h->n; i++) {
        const struct event *e = &h->events[i];
        if (!counts(e) || e->at / 15000 + 1 < now / 15000)
            continue;
        tried++;
        failed += e->class != FAILURE_NONE;
    }
    return tried >= 20 && 2 * failed >= tried;
}

/* How long it is open of its own: doubled for each time it was since it last was well, which is five
 * answers one behind the other, the probe's own among them. */
static uint64_t cool_down(const struct history *h) {
    uint64_t cool = 1000;
    unsigned good = 0;
    bool open = false;
    for (size_t i = 0; i < h->n; i++) {
        const struct event *e = &h->events[i];
        if (e->what == OPENED) {
            open = true;
            if (e->until)
                cool = cool < 30000 ? 2 * cool : 60000;
        } else if (e->what == CLOSED) {
            open = false;
            good = 1;
        } else if (counts(e) && !open) {
            good = e->class == FAILURE_NONE ? good + 1 : 0;
            if (good >= 5)
                cool = 1000;
        }
    }
    return cool;
}

static enum breaker_permit model_ask(struct history *h, uint64_t now, bool insist) {
    enum breaker_permit permit = BREAKER_CLOSED;
    if (is_open(h))
        permit = now < moment(h, insist) || probe_is_out(h, now) ? BREAKER_REFUSED : BREAKER_PROBE;
    note(h, (struct event){ .what = ASKED, .at = now, .permit = permit });
    return permit;
}

static void model_opens(struct history *h, enum failure class, int64_t told, uint64_t now) {
    bool own = told <= 0 || is_open(h);
    uint64_t until = own ? now + cool_down(h) : 0;
    note(h, (struct event){ .what = OPENED, .at = now, .class = class, .until = until });
}

static void model_came_back(struct history *h, enum breaker_permit permit, enum failure class,
                            int64_t told, uint64_t now) {
    bool open = is_open(h), decides = open && permit == BREAKER_PROBE && probe_is_due(h);
    bool failed = class != FAILURE_NONE && !is_neutral(class);
    struct event told_event = { .what = TOLD, .at = now };
    note(h, (struct event){ .what = CAME_BACK, .at = now, .permit = permit, .class = class });
    if (is_neutral(class))
        return;
    if (told > 0)
        told_event.until = now + (uint64_t)(told < 300000 ? told : 300000);
    bool bad = told > 0 || class == FAILURE_AUTH || class == FAILURE_QUOTA || five_in_a_row(h) ||
               half_of_twenty(h, now);
    if (!failed) {
        if (decides)
            note(h, (struct event){ .what = CLOSED, .at = now });
        return;
    }
    if (decides || (!open && bad))
        model_opens(h, class, told, now);
    if (is_open(h) && told_event.until)
        note(h, told_event);
}

static uint64_t model_reopens_in(const struct history *h, enum failure *why, uint64_t now) {
    uint64_t at = moment(h, false);
    *why = FAILURE_NONE;
    for (size_t i = era(h); i < h->n; i++)
        if (h->events[i].what == OPENED)
            *why = h->events[i].class;
    return is_open(h) && at > now ? at - now : 0;
}

/* --- both, step by step --- */

struct run {
    struct breaker breaker;
    struct history history;
    struct random random;
    uint64_t now;
    enum breaker_permit out[STEPS]; /* permits that have not come back */
    size_t n_out;
    unsigned fails; /* of ten attempts, in this sequence */
    bool agrees;
};

static bool same_permit(struct run *r, bool insist) {
    enum breaker_permit got =
        insist ? breaker_insist(&r->breaker, r->now) : breaker_ask(&r->breaker, r->now);
    if (got != BREAKER_REFUSED)
        r->out[r->n_out++] = got;
    return got == model_ask(&r->history, r->now, insist);
}

static enum failure some_class(struct run *r) {
    if (random_below(&r->random, 10) >= r->fails)
        return FAILURE_NONE;
    return (enum failure)(1 + random_below(&r->random, FAILURE_COUNT - 1));
}

static int64_t some_moment(struct run *r) {
    static const int64_t moments[] = { 0, 1, 20, 999, 1000, 7000, 60000, 299999, INT64_MAX };
    size_t n = sizeof moments / sizeof *moments;
    return random_below(&r->random, 8) ? -1 : moments[random_below(&r->random, n)];
}

static void comes_back(struct run *r) {
    size_t i = random_below(&r->random, r->n_out);
    enum breaker_permit permit = r->out[i];
    enum failure class = some_class(r);
    int64_t told = class == FAILURE_NONE ? -1 : some_moment(r);
    r->out[i] = r->out[--r->n_out];
    if (class != FAILURE_CANCELLED)
        breaker_ended(&r->breaker, permit, class, told, r->now);
    else
        breaker_return(&r->breaker, permit);
    model_came_back(&r->history, permit, class, told, r->now);
}

/* Mostly a little, sometimes to just where something is to happen, sometimes far beyond. */
static void time_passes(struct run *r) {
    enum failure why;
    uint64_t in = model_reopens_in(&r->history, &why, r->now);
    switch (random_below(&r->random, 5)) {
    case 0:
        r->now += in;
        break;
    case 1:
        r->now += in ? in - 1 : 0;
        break;
    case 2:
        r->now += random_below(&r->random, 100000);
        break;
    default:
        r->now += random_below(&r->random, 3000);
    }
}

static bool says_the_same(struct run *r) {
    enum failure why, model_why;
    uint64_t in = breaker_reopens_in(&r->breaker, &why, r->now);
    uint64_t model_in = model_reopens_in(&r->history, &model_why, r->now);
    enum breaker_state state = !is_open(&r->history) ? BREAKER_IS_CLOSED
                               : model_in            ? BREAKER_IS_OPEN
                                                     : BREAKER_IS_HALF_OPEN;
    return in == model_in && why == model_why && breaker_state(&r->breaker, r->now) == state;
}

/* More comes back than is asked by itself, or few attempts would be there for their share to count. */
static bool step(struct run *r) {
    uint64_t what = random_below(&r->random, 16);
    bool same = true;
    if (what < 2)
        time_passes(r);
    else if (what < 10)
        same = same_permit(r, what == 9);
    if (what >= 6 && r->n_out)
        comes_back(r);
    return same;
}

/* One sequence; false: they came to differ. `opened` counts how often one opened. */
static bool sequence(uint64_t seed, uint64_t *opened) {
    struct run *r = calloc(1, sizeof *r);
    assert_non_null(r);
    breaker_init(&r->breaker);
    random_seed(&r->random, seed);
    r->now = 1 + random_below(&r->random, 100000);
    r->fails = (unsigned)random_below(&r->random, 11);
    bool same = true;
    for (int i = 0; i < STEPS && same; i++)
        same = step(r) && says_the_same(r);
    for (size_t i = 0; i < r->history.n; i++)
        *opened += r->history.events[i].what == OPENED;
    breaker_deinit(&r->breaker);
    free(r);
    return same;
}

/* How many of so many sequences diverge; the first one's seed is printed. */
static uint64_t sequences(uint64_t n, uint64_t seed, uint64_t *opened) {
    uint64_t diverged = 0;
    for (uint64_t i = 0; i < n; i++)
        if (!sequence(seed + i, opened) && !diverged++)
            print_error("diverges: seed %" PRIu64 "\n", seed + i);
    return diverged;
}

static void no_sequence_diverges(void **state) {
    uint64_t opened = 0;
    assert_int_equal(sequences(20000, 1, &opened), 0);
    assert_true(opened > 20000); /* or it would show little */
}

int main(int argc, char **argv) {
    if (argc > 1) {
        uint64_t n = strtoull(argv[1], NULL, 10), seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
        uint64_t opened = 0, diverged = sequences(n, seed, &opened);
        printf("%" PRIu64 " sequences from seed %" PRIu64 ", opened %" PRIu64 " times: %" PRIu64
               " diverged\n",
               n, seed, opened, diverged);
        return diverged != 0;
    }
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_sequence_diverges) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
