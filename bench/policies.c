/* policies.c - what a policy call costs, from facts to decision: the request's table, the shipped
 * policies over small and large catalogues, the answer read.
 *
 *   bench_policies [--json]
 *   bench_policies POLICY-TIER|POLICY-changing|POLICY-capped TARGETS TIMES   one thing alone, to
 *                                                                         count instructions
 *
 * Every target has figures, as under load. "changing": one of them is told anew before each call,
 * which counts. "capped": a cap holds that leaves enough for every target. The quickest of some rounds, so that a neighbour's noise is left out.
 */
#include "base/ability.h"
#include "base/random.h"
#include "script/embed.h"
#include "script/loader.h"
#include "script/policy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 6, CALLS = 4000, PROVIDERS = 10 };

struct asked {
    const char *name, *text; /* text NULL: the shipped one of that name */
    const char *tier;
    enum { ALONE, CHANGING, CAPPED } beside; /* figures that change; a cap that is far away */
};

static const char *const besides[] = { "", "changing", "capped" };

static const struct asked all_asked[] = {
    { "auto", NULL, "paid", ALONE },
    { "cheapest", NULL, "paid", ALONE },
    { "cheapest", NULL, "paid", CAPPED },
    { "fastest", NULL, "paid", ALONE },
    { "fastest", NULL, "paid", CHANGING },
    { "quality", NULL, "paid", ALONE },
    { "split", NULL, "paid", ALONE },
    { "tier", NULL, "paid", ALONE },
    { "tier", NULL, "free", ALONE },
    /* These look at every target. */
    { "where",
      "return function(req, fleet) local good = fleet:able():where(function(t) return t.quality > "
      "20 end) return good:cheapest():take(3), tostring(good:count()) end",
      "paid", ALONE },
    { "where-by",
      "return function(req, fleet) return fleet:able():where(function(t) return t.quality > 20 end)"
      ":by(function(t) return t.price.input end):take(3) end",
      "paid", ALONE },
    { "bounds-by",
      "return function(req, fleet) return fleet:able():at_least { quality = 20 }:at_most { latency "
      "= 10000 }:by(function(t) return t.weight end):take(3) end",
      "paid", ALONE },
};
enum { ASKED = sizeof all_asked / sizeof *all_asked };

struct bench {
    struct vm_watchdog *watchdog;
    struct vm_guard *guard;
    struct arena arena;
    struct snapshot *snap;
    struct policy_source policies[ASKED];
    struct policy_state *state;
    struct policy_figure *figures;
    unsigned calls; /* made so far */
};

static void give_up(const char *why) {
    fprintf(stderr, "bench_policies: %s\n", why);
    exit(1);
}

/* ---- a snapshot ---- */

static void fill_providers(struct snapshot *snap) {
    struct provider *providers = arena_new_array(&snap->arena, struct provider, PROVIDERS);
    for (unsigned i = 0; i < PROVIDERS; i++)
        providers[i].name = arena_printf(&snap->arena, "provider%u", i);
    snap->providers = providers;
    snap->n_providers = PROVIDERS;
}

/* Prices spread over two decades, output a few times input, as catalogues have them. */
static void fill_target(struct snapshot *snap, struct target *t, unsigned index, struct random *r) {
    double input = 1e9 * pow(10, 2 * random_unit(r) - 1);
    t->index = index;
    t->provider = &snap->providers[index % PROVIDERS];
    t->model = arena_printf(&snap->arena, "model-%u", index);
    t->upstream = t->model;
    t->id = arena_printf(&snap->arena, "%.*s/model-%u", SPAN_ARGS(t->provider->name), index);
    t->price = (struct price){ (int64_t)input, (int64_t)(input * (2 + 6 * random_unit(r))),
                               PRICE_UNKNOWN, PRICE_UNKNOWN };
    t->context = 128000;
    t->max_output = 16384;
    t->abilities = ABILITY_CHAT | ABILITY_JSON_SCHEMA;
    t->abilities |= random_unit(r) < 0.9 ? ABILITY_TOOLS : 0;
    t->abilities |= random_unit(r) < 0.5 ? ABILITY_IMAGES : 0;
    t->quality = 60 * random_unit(r);
    t->weight = 1;
}

static void fill_catalogue(struct snapshot *snap, unsigned n) {
    struct random r;
    random_seed(&r, 42);
    fill_providers(snap);
    struct target *targets = arena_new_array(&snap->arena, struct target, n);
    for (unsigned i = 0; i < n; i++)
        fill_target(snap, &targets[i], i, &r);
    snap->targets = targets;
    snap->n_targets = n;
}

static struct span shipped(struct arena *arena, const char *name) {
    const struct embedded_file *file = embedded_find(arena_printf(arena, "policies/%s.lua", name));
    if (!file)
        give_up("no such policy");
    return file->text;
}

static void fill_policy(struct bench *b, const struct asked *asked) {
    struct arena *arena = &b->snap->arena;
    struct policy_source *p = &b->policies[b->snap->n_policies++];
    p->name = p->version = span_of(asked->name);
    p->path = arena_printf(arena, "policies/%s.lua", asked->name);
    p->text = asked->text ? span_of(asked->text) : shipped(arena, asked->name);
    /* What auto requires. */
    struct policy_source *lib = arena_new(arena, struct policy_source);
    lib->name = lib->version = SPAN("cheapest");
    lib->path = SPAN("policies/cheapest.lua");
    lib->text = shipped(arena, "cheapest");
    p->libs = lib;
    p->n_libs = 1;
}

static enum vm_result run_compile(lua_State *L, void *arg) {
    struct snapshot *snap = arg;
    snap->n_library = loader_compile(L, NULL, &snap->arena, &snap->library);
    return VM_OK;
}

static void fill_library(struct snapshot *snap) {
    struct vm *vm = vm_new(VM_TRUSTED, 64 << 20, NULL);
    if (vm_call(vm, NULL, 0, run_compile, snap) != VM_OK)
        give_up(vm_error(vm));
    vm_free(vm);
}

static void fill_figures(struct bench *b) {
    struct random r;
    random_seed(&r, 7);
    unsigned n = (unsigned)b->snap->n_targets;
    b->figures = arena_new_array(&b->snap->arena, struct policy_figure, n);
    for (unsigned i = 0; i < n; i++) {
        double first = 100 + 2000 * random_unit(&r);
        b->figures[i] = (struct policy_figure){
            .target = i,
            .state = "closed",
            .in_flight = 1,
            .headroom = -1,
            .ttft_ms = { first, 2 * first, 3 * first },
            .total_ms = { 4 * first, 8 * first, 12 * first },
            .tokens_per_s = 20 + 200 * random_unit(&r),
        };
    }
    policy_update(b->state, b->figures, n);
}

static void bench_open(struct bench *b, unsigned n_targets) {
    *b = (struct bench){ .watchdog = vm_watchdog_new(), .snap = snapshot_new() };
    b->guard = vm_guard_open(b->watchdog);
    arena_init(&b->arena, 8192);
    b->snap->config.policy_deadline_ms = 20;
    b->snap->config.policy_memory = 64 << 20;
    b->snap->config.auto_policy = SPAN("auto");
    b->snap->policies = b->policies;
    fill_library(b->snap);
    fill_catalogue(b->snap, n_targets);
    for (unsigned i = 0; i < ASKED; i++)
        if (i == 0 || strcmp(all_asked[i].name, all_asked[i - 1].name) != 0)
            fill_policy(b, &all_asked[i]);
    snapshot_seal(b->snap);
    struct policy_fault fault;
    size_t n_faults = 0;
    b->state = policy_state_new(b->snap, b->guard, &b->arena, &fault, &n_faults, 1);
    if (n_faults)
        give_up(fault.message.at);
    fill_figures(b);
}

static void bench_close(struct bench *b) {
    policy_state_free(b->state);
    snapshot_unref(b->snap);
    arena_deinit(&b->arena);
    vm_guard_close(b->guard);
    vm_watchdog_free(b->watchdog);
}

/* ---- calls ---- */

static void change_figure(struct bench *b) {
    struct policy_figure *f = &b->figures[b->calls % b->snap->n_targets];
    f->ttft_ms[0] += (int)(b->calls % 7) - 3;
    policy_update(b->state, f, 1);
}

static void call(struct bench *b, const struct asked *asked) {
    struct facts facts = {
        .id = SPAN("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        .endpoint = SPAN("/v1/chat/completions"),
        .dialect = DIALECT_OPENAI_CHAT,
        .model = SPAN("auto"),
        .stream = true,
        .tier = span_of(asked->tier),
        .uses = ABILITY_CHAT | ABILITY_TOOLS,
        .input_tokens = 500 + b->calls % 1000,
        .output_tokens = 300,
        .last_role = SPAN("user"),
        .turns = 1,
        .max_cost_usd = HUGE_VAL,
        .budget_left = asked->beside == CAPPED ? INT64_C(1000000000000) : INT64_MAX,
        .now_ms = 1790000000500,
        .seed = UINT64_C(0x9e3779b97f4a7c15) * ++b->calls,
    };
    struct decision decision;
    if (asked->beside == CHANGING)
        change_figure(b);
    if (policy_decide(b->state, b->guard, span_of(asked->name), &facts, &b->arena, &decision) !=
        VM_OK)
        give_up(policy_error(b->state));
    arena_deinit(&b->arena);
}

/* Of this thread, so that a busy machine does not show in them. */
static double processor_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double call_us(struct bench *b, const struct asked *asked, unsigned times) {
    double best = HUGE_VAL;
    for (int round = 0; round < ROUNDS; round++) {
        double from = processor_us();
        for (unsigned i = 0; i < times; i++)
            call(b, asked);
        best = fmin(best, (processor_us() - from) / times);
    }
    return best;
}

static void table(bool json) {
    static const unsigned sizes[] = { 10, 1000 };
    for (unsigned s = 0; s < 2; s++) {
        struct bench b;
        bench_open(&b, sizes[s]);
        for (unsigned i = 0; i < ASKED; i++) {
            const struct asked *a = &all_asked[i];
            printf(json ? "{\"policy\":\"%s\",\"tier\":\"%s\",\"beside\":\"%s\",\"scans\":%s,"
                          "\"targets\":%u,\"us\":%.2f}\n"
                        : "%-10s %s %-8s %-5s %5u targets %8.2f us\n",
                   a->name, a->tier, besides[a->beside],
                   json      ? a->text ? "true" : "false"
                   : a->text ? "scans"
                             : "",
                   sizes[s], call_us(&b, a, a->text ? CALLS / 10 : CALLS));
        }
        bench_close(&b);
    }
}

/* Untimed: the difference of two runs is what so many more cost, whatever starting does. */
static void only(const char *name, unsigned n_targets, unsigned times) {
    struct bench b;
    bench_open(&b, n_targets);
    for (unsigned i = 0; i < ASKED; i++) {
        char full[64];
        const struct asked *a = &all_asked[i];
        snprintf(full, sizeof full, "%s-%s", a->name, a->beside ? besides[a->beside] : a->tier);
        if (strcmp(name, full) == 0)
            for (unsigned k = 0; k < times; k++)
                call(&b, a);
    }
    if (b.calls < times)
        give_up("nothing is called that");
    bench_close(&b);
}

int main(int argc, char **argv) {
    if (argc == 4)
        only(argv[1], (unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]));
    else
        table(argc > 1 && strcmp(argv[1], "--json") == 0);
    return 0;
}
