/* day.c - a day of five providers whose prices, speeds and failures change, gone through by each
 * shipped mode in simulated time.
 *
 *   bench_day [--json] [--short]
 *
 * The policies, the walk along the chain, the breakers, the live figures and the prices are the
 * gateway's own; the network and the clock are not there. Beside each mode stands the clairvoyant, who
 * knows at each moment which providers live and how dear and how fast they are: "cheapest" is held to
 * his cost, "fastest" to his median. Both draw the same luck for the same request.
 */
#include "base/clock.h"
#include "base/log.h"
#include "route/chain.h"
#include "route/figures.h"
#include "route/health.h"
#include "route/retries.h"
#include "route/trace.h"
#include "script/config.h"
#include "script/policy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PROVIDERS = 5,
    DAY_MS = 24 * 3600 * 1000,
    MEAN_GAP_MS = 500, /* between two requests */
    TELL_MS = 250,     /* figures of others' making, as workers hear of them */
    RETRY_AFTER_MS = 20000,
    STEP_TIMEOUT_MS = 10000
};

/* A Monday, 00:00 UTC. */
#define MIDNIGHT_S UINT64_C(1795392000)

static const char config_text[] =
    "local function provider(models)\n"
    "  return { like = 'openai_compatible', base_url = 'http://127.0.0.1:1/v1', api_keys = { 'k' "
    "},\n"
    "           models = { models } }\n"
    "end\n"
    "return {\n"
    "  providers = {\n"
    "    alpha = provider { name = 'm', quality = 40, context = 128000, price = { input = 2.5, "
    "output = 10 } },\n"
    "    beta = provider { name = 'm', quality = 25, context = 128000, price = { input = 0.5, "
    "output = 1.5,\n"
    "      rules = { { hours = { '22:00', '06:00' }, input = 0.2, output = 0.7 } } } },\n"
    "    gamma = provider { name = 'm', quality = 20, context = 128000, price = { input = 0.3, "
    "output = 1.2 } },\n"
    "    delta = provider { name = 'm', quality = 30, context = 128000, price = { input = 1, "
    "output = 3 } },\n"
    "    omega = provider { name = 'm', quality = 60, context = 128000, price = { input = 5, "
    "output = 15,\n"
    "      rules = { { hours = { '12:00', '14:00' }, input = 0.2, output = 0.8 } } } },\n"
    "  },\n"
    "  policies = { params = { split = { arms = { { 'alpha/m', 90 }, { 'omega/m', 10 } } },\n"
    "                          tier = { quality = 20 } } },\n"
    "}\n";

/* How a provider is from one hour to another; the first entry that holds counts. */
struct spell {
    double from_h, to_h;
    double first_ms, tokens_per_s;
    double fails; /* share of attempts */
    enum failure how;
};

struct provider_day {
    const char *target;
    struct spell spells[4];
};

static const struct provider_day days[PROVIDERS] = {
    { "alpha/m",
      { { 9, 9.35, 250, 90, 1, FAILURE_SERVER_ERROR },
        { 14, 18, 1500, 30, 0.02, FAILURE_OVERLOADED },
        { 0, 24, 250, 90, 0.002, FAILURE_SERVER_ERROR } } },
    { "beta/m",
      { { 11, 12, 600, 50, 0.3, FAILURE_SERVER_ERROR },
        { 0, 24, 600, 50, 0.005, FAILURE_SERVER_ERROR } } },
    { "gamma/m",
      { { 15, 16, 900, 35, 1, FAILURE_CONNECT },
        { 19, 20, 900, 35, 0.8, FAILURE_RATE_LIMITED },
        { 0, 24, 900, 35, 0.005, FAILURE_SERVER_ERROR } } },
    { "delta/m",
      { { 3, 3.5, 700, 45, 1, FAILURE_TIMEOUT },
        { 18, 24, 180, 120, 0.002, FAILURE_SERVER_ERROR },
        { 0, 24, 700, 45, 0.002, FAILURE_SERVER_ERROR } } },
    { "omega/m", { { 0, 24, 400, 70, 0.01, FAILURE_OVERLOADED } } },
};

static const char *const modes[] = { "auto", "cheapest", "fastest", "quality", "split", "tier" };

/* ---- one request ---- */

struct day;

struct pending {
    struct day *day;
    unsigned number;
    struct facts facts;
    struct arena arena;
    struct decision decision;
    struct chain_walk walk;
    uint64_t began_ms;
    double cost_usd;
    /* of the attempt under way */
    const struct step *step;
    struct health_end end;
};

struct event {
    uint64_t at_ms, order;
    struct pending *request;
};

struct day {
    const struct snapshot *snap;
    struct policy_state *state;
    struct vm_guard *guard;
    struct health *health;
    struct health_figure *figures[PROVIDERS];
    uint64_t told[PROVIDERS]; /* what health_changes() said when the policies were told */
    uint64_t told_ms;
    struct retries retries;
    struct random random;
    struct span policy;
    uint64_t now_ms;
    struct event *heap;
    size_t n, cap;
    uint64_t order;
    /* what came of it */
    unsigned requests, failed, attempts, n_times;
    double cost, clairvoyant_cost, quality;
    double *times, *clairvoyant_times;
};

/* Luck is the request's and the provider's, whoever asks: the same for the mode and the clairvoyant. */
static struct random luck_of(unsigned request, size_t provider) {
    struct random r;
    random_seed(&r, (uint64_t)request * PROVIDERS + provider + 1);
    return r;
}

/* A factor around 1: a quarter of a logarithm is one deviation (Box and Muller). */
static double spread(struct random *r) {
    double u = 1 - random_unit(r), v = random_unit(r);
    return exp(0.25 * sqrt(-2 * log(u)) * cos(2 * 3.141592653589793 * v));
}

static const struct spell *spell_at(size_t provider, uint64_t now_ms) {
    double hour = (double)(now_ms % DAY_MS) / 3600000;
    const struct spell *s = days[provider].spells;
    while (hour < s->from_h || hour >= s->to_h)
        s++;
    return s;
}

static double expected_ms(const struct spell *s, uint64_t tokens) {
    return s->first_ms + (double)tokens * 1000 / s->tokens_per_s;
}

static nanousd cost_of(const struct target *t, const struct facts *facts) {
    struct trace_tokens tokens = { (int64_t)facts->input_tokens, (int64_t)facts->output_tokens, -1,
                                   -1 };
    return trace_cost(t, tokens, facts->now_ms / 1000);
}

static const struct target *target_of(const struct day *d, size_t provider) {
    return snapshot_target(d->snap, span_of(days[provider].target));
}

static size_t provider_of(const struct day *d, const struct target *t) {
    size_t i = 0;
    while (target_of(d, i) != t)
        i++;
    return i;
}

/* ---- the simulated clock ---- */

static bool before(struct event a, struct event b) {
    return a.at_ms < b.at_ms || (a.at_ms == b.at_ms && a.order < b.order);
}

static void push(struct day *d, uint64_t at_ms, struct pending *request) {
    if (d->n == d->cap) {
        d->cap = d->cap ? 2 * d->cap : 1024;
        d->heap = realloc(d->heap, d->cap * sizeof *d->heap);
        if (!d->heap)
            abort();
    }
    struct event e = { at_ms, d->order++, request };
    size_t i = d->n++;
    for (; i && before(e, d->heap[(i - 1) / 2]); i = (i - 1) / 2)
        d->heap[i] = d->heap[(i - 1) / 2];
    d->heap[i] = e;
}

static struct event pop(struct day *d) {
    struct event first = d->heap[0], last = d->heap[--d->n];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < d->n; i = child) {
        if (child + 1 < d->n && before(d->heap[child + 1], d->heap[child]))
            child++;
        if (!before(d->heap[child], last))
            break;
        d->heap[i] = d->heap[child];
    }
    d->heap[i] = last;
    return first;
}

/* ---- what the walk asks ---- */

static struct health_figure *figure_of(const struct day *d, const struct step *step) {
    return d->figures[provider_of(d, step->target)];
}

static nanousd bound(void *owner, const struct step *step) {
    struct pending *p = owner;
    return cost_of(step->target, &p->facts);
}

static uint32_t latency(void *owner, const struct step *step) {
    struct pending *p = owner;
    return health_latency(figure_of(p->day, step), p->facts.output_tokens, p->day->now_ms);
}

static enum breaker_permit admit(void *owner, const struct step *step, bool insist,
                                 enum failure *why) {
    struct pending *p = owner;
    struct breaker *b = &figure_of(p->day, step)->breaker;
    enum breaker_permit permit =
        insist ? breaker_insist(b, p->day->now_ms) : breaker_ask(b, p->day->now_ms);
    if (permit == BREAKER_REFUSED)
        breaker_reopens_in(b, why, p->day->now_ms);
    return permit;
}

static uint64_t reopens_in(void *owner, const struct step *step) {
    struct pending *p = owner;
    return breaker_reopens_in(&figure_of(p->day, step)->breaker, NULL, p->day->now_ms);
}

static bool afford(void *owner) {
    struct pending *p = owner;
    return retries_take(&p->day->retries);
}

static struct chain_view view_of(struct pending *p) {
    return (struct chain_view){ .bound = bound,
                                .latency = latency,
                                .admit = admit,
                                .reopens_in = reopens_in,
                                .afford = afford,
                                .owner = p,
                                .random = &p->day->random };
}

/* ---- its way ---- */

static void act(struct pending *p, struct chain_move move);

static void over(struct pending *p) {
    arena_deinit(&p->arena);
    free(p);
}

/* What the attempt will come to, and when. */
static uint64_t run_attempt(struct pending *p, struct chain_move move) {
    struct day *d = p->day;
    size_t provider = provider_of(d, move.step->target);
    const struct spell *s = spell_at(provider, d->now_ms);
    struct random luck = luck_of(p->number, provider);
    double factor = spread(&luck);
    uint64_t took = (uint64_t)(factor * expected_ms(s, p->facts.output_tokens));
    p->step = move.step;
    p->end = (struct health_end){ .permit = move.permit,
                                  .retry_after_ms = -1,
                                  .first_ms = (uint32_t)(factor * s->first_ms),
                                  .output_tokens = (int64_t)p->facts.output_tokens };
    if (random_unit(&luck) < s->fails) {
        p->end.class = s->how;
        p->end.first_ms = 0;
        p->end.output_tokens = -1;
        took = s->how == FAILURE_CONNECT ? 2 : s->how == FAILURE_TIMEOUT ? STEP_TIMEOUT_MS : 200;
        if (s->how == FAILURE_RATE_LIMITED)
            p->end.retry_after_ms = RETRY_AFTER_MS;
    }
    p->end.total_ms = (uint32_t)took;
    return took;
}

static void ended(struct pending *p) {
    struct day *d = p->day;
    struct health_figure *f = figure_of(d, p->step);
    health_ended(f, &p->end, d->now_ms);
    if (p->end.class == FAILURE_NONE) {
        d->cost += (double)cost_of(p->step->target, &p->facts) / 1e9;
        d->quality += p->step->target->quality;
        d->times[d->n_times++] = (double)(d->now_ms - p->began_ms);
        over(p);
        return;
    }
    struct chain_failure failed = { p->end.class, p->end.retry_after_ms };
    struct chain_view view = view_of(p);
    p->step = NULL;
    act(p, chain_next(&p->walk, &view, &failed, d->now_ms));
}

static void act(struct pending *p, struct chain_move move) {
    struct day *d = p->day;
    if (move.verdict == CHAIN_TRY) {
        d->attempts++;
        health_began(figure_of(d, move.step));
        push(d, d->now_ms + run_attempt(p, move), p);
    } else if (move.verdict == CHAIN_WAIT) {
        push(d, d->now_ms + move.wait_ms, p);
    } else {
        d->failed++;
        over(p);
    }
}

/* The policies hear of what has changed, a few times a second. */
static void tell(struct day *d) {
    if (d->now_ms < d->told_ms + TELL_MS)
        return;
    d->told_ms = d->now_ms;
    for (size_t i = 0; i < PROVIDERS; i++) {
        uint64_t changes = health_changes(d->figures[i], d->now_ms);
        if (changes == d->told[i])
            continue;
        d->told[i] = changes;
        struct policy_figure figure = figures_of(d->figures[i], target_of(d, i)->index, d->now_ms);
        policy_update(d->state, &figure, 1);
    }
}

/* What somebody would have chosen who knows who lives. */
static void ask_clairvoyant(struct day *d, const struct pending *p) {
    double cheapest = HUGE_VAL, fastest = HUGE_VAL, time = 0;
    for (size_t i = 0; i < PROVIDERS; i++) {
        const struct spell *s = spell_at(i, d->now_ms);
        struct random luck = luck_of(p->number, i);
        double factor = spread(&luck), ms = expected_ms(s, p->facts.output_tokens);
        if (random_unit(&luck) < s->fails)
            continue;
        cheapest = fmin(cheapest, (double)cost_of(target_of(d, i), &p->facts) / 1e9);
        if (ms < fastest) {
            fastest = ms;
            time = factor * ms;
        }
    }
    d->clairvoyant_cost += cheapest;
    d->clairvoyant_times[d->requests] = time;
}

static void arrive(struct day *d) {
    struct pending *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    struct random luck = luck_of(d->requests, PROVIDERS);
    p->day = d;
    p->number = d->requests;
    p->began_ms = d->now_ms;
    arena_init(&p->arena, 1024);
    p->facts = (struct facts){
        .id = SPAN("day"),
        .endpoint = SPAN("/v1/chat/completions"),
        .dialect = DIALECT_OPENAI_CHAT,
        .model = SPAN("auto"),
        .stream = true,
        .tier = random_below(&luck, 4) ? SPAN("free") : SPAN("paid"),
        .user = arena_printf(&p->arena, "user %u", (unsigned)random_below(&luck, 5000)),
        .input_tokens = 200 + random_below(&luck, 4000),
        .output_tokens = 50 + random_below(&luck, 500),
        .turns = 1,
        .max_cost_usd = HUGE_VAL,
        .budget_left = INT64_MAX,
        .now_ms = MIDNIGHT_S * 1000 + d->now_ms % DAY_MS,
        .seed = random_next(&luck),
    };
    ask_clairvoyant(d, p);
    d->requests++;
    retries_earn(&d->retries);
    tell(d);
    if (policy_decide(d->state, d->guard, d->policy, &p->facts, &p->arena, &p->decision) != VM_OK) {
        fprintf(stderr, "bench_day: %s\n", policy_error(d->state));
        exit(1);
    }
    chain_begin(&p->walk, &p->decision.chain, d->now_ms, 0);
    struct chain_view view = view_of(p);
    act(p, chain_next(&p->walk, &view, NULL, d->now_ms));
}

static void resume(struct pending *p) {
    struct chain_view view = view_of(p);
    act(p, chain_resume(&p->walk, &view, p->day->now_ms));
}

/* From midnight to midnight. The clock of breakers and figures begins a day late, so that no moment
 * is 0. */
static void go(struct day *d, unsigned gap_ms) {
    struct random gaps;
    random_seed(&gaps, 7);
    uint64_t next = DAY_MS, end = 2 * (uint64_t)DAY_MS;
    while (next < end || d->n) {
        if (next < end && (!d->n || next <= d->heap[0].at_ms)) {
            d->now_ms = next;
            arrive(d);
            next += 1 + (uint64_t)(-log(1 - random_unit(&gaps)) * gap_ms);
            continue;
        }
        struct event e = pop(d);
        d->now_ms = e.at_ms;
        if (e.request->step)
            ended(e.request);
        else
            resume(e.request);
    }
}

/* ---- what is printed ---- */

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(double *list, unsigned n, double share) {
    if (!n)
        return 0;
    qsort(list, n, sizeof *list, by_size);
    return list[(unsigned)((n - 1) * share)];
}

static void print(struct day *d, bool json) {
    double p50 = percentile(d->times, d->n_times, 0.5),
           p95 = percentile(d->times, d->n_times, 0.95);
    double best = percentile(d->clairvoyant_times, d->requests, 0.5);
    double answered = d->n_times ? d->n_times : 1;
    if (json)
        printf("{\"mode\":\"%.*s\",\"requests\":%u,\"failed\":%u,\"attempts\":%u,\"cost_usd\":%.4f,"
               "\"clairvoyant_cost_usd\":%.4f,\"p50_ms\":%.0f,\"p95_ms\":%.0f,"
               "\"clairvoyant_p50_ms\":%.0f,\"quality\":%.2f}\n",
               SPAN_ARGS(d->policy), d->requests, d->failed, d->attempts, d->cost,
               d->clairvoyant_cost, p50, p95, best, d->quality / answered);
    else
        printf("%-10.*s %8u %7u %9.4f %9.2f %7.2f %8.0f %8.0f %7.2f %8.1f\n", SPAN_ARGS(d->policy),
               d->requests, d->failed, (double)d->attempts / d->requests, d->cost,
               d->cost / d->clairvoyant_cost, p50, p95, p50 / best, d->quality / answered);
}

static void run_mode(const struct snapshot *snap, struct vm_guard *guard, const char *mode,
                     unsigned gap_ms, bool json) {
    struct arena faults;
    size_t n_faults = 0;
    struct day d = { .snap = snap, .guard = guard, .policy = span_of(mode) };
    size_t most = 2 * (size_t)DAY_MS / gap_ms;
    arena_init(&faults, 1024);
    d.state = policy_state_new(snap, guard, &faults, NULL, &n_faults, 0);
    d.health = health_new();
    for (size_t i = 0; i < PROVIDERS; i++)
        d.figures[i] = health_figure(d.health, span_of(days[i].target));
    retries_init(&d.retries);
    random_seed(&d.random, 1);
    d.times = calloc(most, sizeof *d.times);
    d.clairvoyant_times = calloc(most, sizeof *d.clairvoyant_times);
    if (!d.times || !d.clairvoyant_times)
        abort();
    go(&d, gap_ms);
    print(&d, json);
    policy_state_free(d.state);
    health_free(d.health);
    arena_deinit(&faults);
    free(d.heap);
    free(d.times);
    free(d.clairvoyant_times);
}

/* The configuration, by way of a file that is gone afterwards. */
static struct snapshot *read_config(void) {
    char path[] = "/tmp/perilune-day-XXXXXX";
    int fd = mkstemp(path);
    struct config_options options = { .path = path };
    struct config_findings findings;
    struct snapshot *snap = NULL;
    config_findings_init(&findings);
    if (fd >= 0 && write(fd, config_text, sizeof config_text - 1) == sizeof config_text - 1)
        snap = config_load(&options, NULL, &findings);
    for (size_t i = 0; i < findings.n; i++)
        fprintf(stderr, "bench_day: %.*s: %.*s\n", SPAN_ARGS(findings.list[i].setting),
                SPAN_ARGS(findings.list[i].message));
    config_findings_deinit(&findings);
    if (fd >= 0)
        close(fd);
    unlink(path);
    return snap;
}

int main(int argc, char **argv) {
    bool json = false;
    unsigned gap_ms = MEAN_GAP_MS;
    for (int i = 1; i < argc; i++) {
        json |= strcmp(argv[i], "--json") == 0;
        gap_ms = strcmp(argv[i], "--short") == 0 ? 4 * MEAN_GAP_MS : gap_ms;
    }
    log_init(LOG_WARN);
    struct snapshot *snap = read_config();
    struct vm_watchdog *watchdog = vm_watchdog_new();
    struct vm_guard *guard = watchdog ? vm_guard_open(watchdog) : NULL;
    if (!snap || !guard)
        return 1;
    if (!json)
        printf("%-10s %8s %7s %9s %9s %7s %8s %8s %7s %8s\n", "mode", "requests", "failed",
               "attempts", "cost", "x best", "p50 ms", "p95 ms", "x best", "quality");
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        run_mode(snap, guard, modes[i], gap_ms, json);
    vm_guard_close(guard);
    vm_watchdog_free(watchdog);
    snapshot_unref(snap);
    return 0;
}
