#include "route/charge.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/price.h"
#include "money/money.h"
#include "route/bill.h"
#include "route/bound.h"
#include "route/engine.h"
#include "route/request_state.h"

enum {
    PENDING_MS = 1000, /* until what is under way may have settled */
    SLACK_TOKENS = 64  /* and half as much again: before an estimate counts as beyond the bound */
};

static struct money *money_of(const struct request *r) {
    return r->worker->engine->money;
}

static int64_t now_s(void) {
    return (int64_t)(clock_wall_ms() / 1000);
}

/* --- limits --- */

static bool is_limited(struct limits_rule rule) {
    return rule.rpm || rule.tpm || rule.concurrent;
}

static const struct model_limits *find_model(const struct config *c, struct span model) {
    for (size_t i = 0; i < c->n_model_limits; i++)
        if (span_eq(c->model_limits[i].model, model))
            return &c->model_limits[i];
    return NULL;
}

/* Of "gpt-4o" also for who names it at a provider: nobody gets round them by that. */
static const struct model_limits *limits_of_model(const struct request *r) {
    const struct snapshot *snap = r->epoch->snap;
    struct span model = r->facts.model;
    const struct model_limits *own = find_model(&snap->config, model);
    size_t slash = span_find(model, '/');
    if (own || !snapshot_provider(snap, span_sub(model, 0, slash)))
        return own;
    return find_model(&snap->config, span_sub(model, slash + 1, model.len));
}

/* Those that hold for the request. */
static size_t limits_on(const struct request *r, struct limits_on on[LIMITS_MAX]) {
    const struct model_limits *model = limits_of_model(r);
    const struct key *key = r->facts.key;
    const struct project *project = r->facts.project;
    size_t n = 0;
    if (key && is_limited(key->limits))
        on[n++] = (struct limits_on){ LIMITS_KEY, key->id, key->limits };
    if (is_limited(project->limits))
        on[n++] = (struct limits_on){ LIMITS_PROJECT, project->name, project->limits };
    if (model)
        on[n++] = (struct limits_on){ LIMITS_MODEL, model->model, model->limits };
    return n;
}

static const char *const kinds[LIMITS_KINDS] = { "requests a minute", "tokens a minute",
                                                 "requests at once" };
static const char *const scopes[LIMITS_SCOPES] = { "this key", "project", "model" };

/* "60 requests a minute for project 'shop'" */
static struct span name_limit(struct request *r) {
    const struct charge *c = &r->charge;
    const struct limits_figure *f = &c->standing.figures[c->standing.worst];
    struct span name = f->scope == LIMITS_PROJECT ? r->facts.project->name : r->facts.model;
    if (f->scope == LIMITS_KEY)
        return arena_printf(request_arena(r), "%llu %s for this key", (unsigned long long)f->limit,
                            kinds[c->standing.worst]);
    return arena_printf(request_arena(r), "%llu %s for %s '%.*s'", (unsigned long long)f->limit,
                        kinds[c->standing.worst], scopes[f->scope], SPAN_ARGS(name));
}

static bool over_limit(struct request *r, struct api_error *error) {
    *error = api_error(
        ERROR_RATE_LIMIT_EXCEEDED,
        arena_printf(request_arena(r), "Over the limit of %.*s. Try again in %llu ms.",
                     SPAN_ARGS(name_limit(r)), (unsigned long long)r->charge.standing.retry_ms));
    error->retry_after_ms = (int64_t)r->charge.standing.retry_ms;
    return false;
}

static bool enter_limits(struct request *r, struct api_error *error) {
    struct charge *c = &r->charge;
    struct limits_on on[LIMITS_MAX];
    size_t n = limits_on(r, on);
    if (!n)
        return true;
    c->limited = true;
    return limits_enter(money_of(r)->limits, on, n, r->facts.input_tokens + r->facts.output_tokens,
                        clock_us(), &c->limits, &c->standing) ||
           over_limit(r, error);
}

/* --- caps --- */

static void add_caps(struct charge *c, const struct budget_cap *caps, size_t n) {
    for (size_t i = 0; i < n && c->n_caps + 1 < BUDGET_CAPS; i++)
        c->caps[c->n_caps++] = caps[i];
}

static bool holds_for(const struct request *r, const struct budget_cap *cap) {
    return cap->scope == BUDGET_ACCOUNT ||
           (cap->scope == BUDGET_ROUTE && span_eq(cap->name, r->facts.endpoint));
}

static void find_caps(struct request *r) {
    const struct config *config = &r->epoch->snap->config;
    const struct key *key = r->facts.key;
    struct charge *c = &r->charge;
    size_t most = (key ? key->n_caps : 0) + r->facts.project->n_caps + config->n_caps + 1;
    c->caps = arena_new_array(request_arena(r), struct budget_cap, most);
    if (key)
        add_caps(c, key->caps, key->n_caps);
    add_caps(c, r->facts.project->caps, r->facts.project->n_caps);
    for (size_t i = 0; i < config->n_caps; i++)
        if (holds_for(r, &config->caps[i]))
            add_caps(c, &config->caps[i], 1);
}

/* The cap that leaves least, with how it stands; NULL: none holds. */
static const struct budget_cap *tightest(const struct request *r, struct budget_figure *figure) {
    const struct charge *c = &r->charge;
    return budget_tightest(money_of(r)->budget, c->caps, c->n_caps, c->gift, now_s(), figure);
}

/* What policies are told of it. */
static void tell_facts(struct request *r) {
    struct money *m = money_of(r);
    struct facts *f = &r->facts;
    f->budget_left = BUDGET_UNLIMITED;
    struct budget_figure t;
    const struct budget_cap *cap = tightest(r, &t);
    if (cap) {
        f->budget_left = t.left > 0 ? t.left : 0;
        f->budget_used = cap->nano > 0 ? 1 - (double)f->budget_left / (double)cap->nano : 1;
    }
    if (f->project->free_requests)
        f->free_left = budget_free_left(m->budget, f->project->name, f->project->free_requests);
}

static bool recordable(struct request *r, struct api_error *error) {
    if (worker_may_spend(r->worker))
        return true;
    *error =
        api_error(ERROR_LEDGER_UNAVAILABLE,
                  SPAN("What this request costs could not be recorded: the ledger's disk takes "
                       "no more. Nothing is spent until it does."));
    error->retry_after_ms = PENDING_MS;
    return false;
}

bool charge_enter(struct request *r, struct api_error *error) {
    const struct project *project = r->facts.project;
    if (!recordable(r, error) || !enter_limits(r, error))
        return false;
    r->charge.gift = project->free_requests &&
                     budget_free_begin(money_of(r)->budget, project->name, project->free_requests);
    find_caps(r);
    tell_facts(r);
    return true;
}

/* --- attempts --- */

/* A byte of text is a token at most; what is no text is estimated, and may be double. Behind it stands
 * what a dialect's own marks add to each message. */
static int64_t input_bound(const struct facts *f) {
    enum { FRAME = 64, TURN = 16 };
    uint64_t text = f->input_bytes, all = f->input_tokens, said = (text + 3) / 4;
    uint64_t other = all > said ? all - said : 0;
    return (int64_t)(text + 2 * other + FRAME + TURN * f->turns);
}

/* False: nobody knows what it costs. */
static bool ask_for(const struct request *r, const struct step *step, struct bound bound,
                    struct budget_ask *ask) {
    const struct config *config = &r->epoch->snap->config;
    int64_t input = input_bound(&r->facts);
    struct price most = price_highest(step->target, input);
    if (most.input == PRICE_UNKNOWN || most.output == PRICE_UNKNOWN)
        return false;
    if (most.cache_write > most.input)
        most.input = most.cache_write;
    const struct budget_ask prompt = { .per_million = most.input };
    *ask = (struct budget_ask){ .fixed = budget_bound(&prompt, (uint64_t)input),
                                .per_million = most.output,
                                .tokens = bound_tokens(bound),
                                .is_free = r->charge.gift };
    struct bound least = { config->clamp_least, bound.answers };
    ask->least = config->clamp ? bound_tokens(least) : UINT64_MAX;
    return true;
}

/* What this request alone may still cost, beside what its attempts have cost and hold. */
static nanousd own_room(const struct request *r, const struct step *step) {
    nanousd room = r->walk.chain->max_cost;
    if (room != NANOUSD_NONE) {
        room -= r->walk.spent < room ? r->walk.spent : room;
        for (size_t i = 0; i < r->n_live; i++) {
            nanousd held = r->live[i].hold.budget.nano;
            room -= held < room ? held : room;
        }
    }
    return step->max_cost < room ? step->max_cost : room;
}

/* The step with a bound for its answer, under the name that the target's service has for it. */
static const struct step *clamped(struct request *r, const struct step *step, uint64_t each) {
    struct step *s = arena_new(request_arena(r), struct step);
    struct pair *params = arena_new_array(request_arena(r), struct pair, step->n_params + 1);
    *s = *step;
    s->params = params;
    s->n_params = 0;
    for (size_t i = 0; i < step->n_params; i++)
        if (!bound_is_name(step->params[i].name))
            params[s->n_params++] = step->params[i];
    params[s->n_params++] =
        (struct pair){ step->target->provider->native ? SPAN("max_completion_tokens")
                                                      : SPAN("max_tokens"),
                       arena_printf(request_arena(r), "%llu", (unsigned long long)each) };
    return s;
}

static const struct step *set_aside(struct request *r, const struct step *step,
                                    struct charge_hold *hold) {
    struct charge *c = &r->charge;
    struct budget_ask ask;
    struct budget_answer answer;
    size_t n = c->n_caps;
    nanousd room = own_room(r, step);
    struct bound bound = bound_of(&r->facts, step);
    bool priced = ask_for(r, step, bound, &ask);
    hold->bound = priced ? budget_bound(&ask, ask.tokens) : -1;
    if (room != NANOUSD_NONE)
        c->caps[n++] =
            (struct budget_cap){ .scope = BUDGET_REQUEST, .period = PERIOD_TOTAL, .nano = room };
    if (!n)
        return step;
    if (!priced) {
        c->unpriced = true;
        return NULL;
    }
    if (!budget_reserve(money_of(r)->budget, c->caps, n, &ask, now_s(), &hold->budget, &answer)) {
        c->refused = true;
        c->refusal = answer;
        c->refusing = *answer.cap;
        c->needed = budget_bound(&ask, ask.least < ask.tokens ? ask.least : ask.tokens);
        return NULL;
    }
    hold->tokens = answer.tokens;
    hold->bound = hold->budget.nano;
    return answer.clamped ? clamped(r, step, answer.tokens / bound.answers) : step;
}

const struct step *charge_reserve(struct request *r, const struct step *step,
                                  struct trace_attempt *record, struct charge_hold *hold) {
    *hold = (struct charge_hold){ 0 };
    const struct step *run = set_aside(r, step, hold);
    if (!run) {
        record->failure = FAILURE_COST;
        return NULL;
    }
    if (run != step)
        record->clamped = hold->tokens;
    if (r->worker->journal) {
        struct entry_begun begun = bill_begun(r, record);
        begun.bound = hold->bound;
        journal_begun(r->worker->journal, &begun);
    }
    return run;
}

bool charge_emptied(struct request *r) {
    struct charge *c = &r->charge;
    struct budget_figure figure;
    const struct budget_cap *cap = tightest(r, &figure);
    bool cut = false;
    for (size_t i = 0; i < r->decision.n_cuts; i++)
        cut |= span_eq(r->decision.cuts[i].why, SPAN("price over budget"));
    if (!cap || !cut)
        return false;
    c->refused = true;
    c->refusing = *cap;
    c->needed = -1;
    c->refusal = (struct budget_answer){ .left = r->facts.budget_left,
                                         .pending = figure.held > 0,
                                         .resets_s = figure.resets_s };
    return true;
}

bool charge_flows(struct request *r, const struct charge_hold *hold, uint64_t tokens) {
    struct charge *c = &r->charge;
    if (hold->tokens && tokens > hold->tokens + hold->tokens / 2 + SLACK_TOKENS)
        c->cut = ERROR_COST_CAP_REACHED;
    else if (c->limits.n && !limits_grow(money_of(r)->limits, &c->limits,
                                         r->facts.input_tokens + tokens, clock_us(), &c->standing))
        c->cut = ERROR_RATE_LIMIT_EXCEEDED;
    return c->cut == ERROR_COUNT;
}

void charge_settle(struct request *r, struct charge_hold *hold,
                   const struct trace_attempt *record) {
    nanousd cost = record->cost >= 0 ? record->cost : record->most >= 0 ? record->most : 0;
    if (budget_settle(money_of(r)->budget, &hold->budget, cost))
        log_warn("%.*s cost %lld nano-dollars at %.*s, more than the bound it was given",
                 SPAN_ARGS(r->trace.id), (long long)cost, SPAN_ARGS(record->target->id));
}

void charge_close(struct request *r, enum request_outcome outcome, int status, struct span code) {
    struct charge *c = &r->charge;
    struct money *m = money_of(r);
    struct entry e = bill_of(r, outcome, status, code);
    /* Who leaves in the middle of a free answer has had it. */
    e.free = c->gift && (outcome == REQUEST_ANSWERED || (outcome == REQUEST_CANCELLED && r->owner));
    if (c->gift)
        budget_free_end(m->budget, r->facts.project->name, e.free);
    if (c->limits.n) {
        struct entry_sums sums = entry_sum(&e);
        limits_leave(m->limits, &c->limits,
                     (uint64_t)((sums.tokens.input > 0 ? sums.tokens.input : 0) +
                                (sums.tokens.output > 0 ? sums.tokens.output : 0)),
                     clock_us());
    }
    if (r->worker->journal)
        journal_ended(r->worker->journal, &e);
    worker_over(r->worker, r->epoch->snap, &e);
}

/* --- what the client is told --- */

/* "1s", "6m0s", "120ms", as OpenAI writes such times. */
static struct span duration(struct arena *arena, uint64_t ms) {
    uint64_t s = (ms + 999) / 1000;
    struct span small = arena_number(arena, ms < 1000 ? ms : s % 60, 1);
    struct span parts[] = { SPAN_NONE, SPAN_NONE, small, ms < 1000 ? SPAN("ms") : SPAN("s") };
    if (s >= 60) {
        parts[0] = arena_number(arena, s / 60, 1);
        parts[1] = SPAN("m");
    }
    return arena_join(arena, parts, 4);
}

static void put_figure(struct reply *reply, const struct limits_figure *f, struct span limit,
                       struct span remaining, struct span reset) {
    if (!f->is_set)
        return;
    reply_add(reply, limit, arena_number(reply->arena, f->limit, 1));
    reply_add(reply, remaining, arena_number(reply->arena, f->remaining, 1));
    reply_add(reply, reset, duration(reply->arena, f->reset_ms));
}

void charge_headers(const struct request *r, struct reply *reply) {
    const struct limits_figure *f = r->charge.standing.figures;
    if (!r->charge.limited)
        return;
    put_figure(reply, &f[LIMITS_REQUESTS], SPAN("x-ratelimit-limit-requests"),
               SPAN("x-ratelimit-remaining-requests"), SPAN("x-ratelimit-reset-requests"));
    put_figure(reply, &f[LIMITS_TOKENS], SPAN("x-ratelimit-limit-tokens"),
               SPAN("x-ratelimit-remaining-tokens"), SPAN("x-ratelimit-reset-tokens"));
}

/* "The daily cap of project 'shop'" */
static struct span name_cap(struct request *r, const struct budget_cap *cap) {
    static const char *const periods[PERIOD_KINDS] = { "daily ", "monthly ", "" };
    const char *period = cap->scope == BUDGET_REQUEST ? "" : periods[cap->period];
    if (cap->scope == BUDGET_PROJECT || cap->scope == BUDGET_ROUTE)
        return arena_printf(request_arena(r), "The %scap of %s '%.*s'", period,
                            budget_scope_name(cap->scope), SPAN_ARGS(cap->name));
    return arena_printf(request_arena(r), "The %scap of this %s", period,
                        budget_scope_name(cap->scope));
}

static struct span when_again(struct request *r, const struct budget_answer *a) {
    char at[25];
    if (a->pending)
        return SPAN(" Requests under way hold the rest: it may be enough when they have ended.");
    if (a->resets_s == PERIOD_FOR_EVER)
        return SPAN("");
    clock_rfc3339((uint64_t)a->resets_s * 1000, at);
    return arena_printf(request_arena(r), " It resets at %.19sZ.", at);
}

struct api_error charge_refusal(struct request *r) {
    const struct charge *c = &r->charge;
    struct buf left = { 0 }, cap = { 0 }, needed = { 0 };
    if (c->needed >= 0) {
        buf_add(&needed, SPAN(", and this request may cost $"));
        trace_write_usd(&needed, c->needed);
    } else /* the policy left no target to ask about */
        buf_add(&needed, SPAN(", less than this request may cost"));
    trace_write_usd(&left, c->refusal.left > 0 ? c->refusal.left : 0);
    trace_write_usd(&cap, c->refusing.nano);
    struct api_error error =
        api_error(ERROR_COST_CAP_REACHED,
                  arena_printf(request_arena(r), "%.*s has $%.*s left of $%.*s%.*s.%.*s",
                               SPAN_ARGS(name_cap(r, &c->refusing)), SPAN_ARGS(buf_span(&left)),
                               SPAN_ARGS(buf_span(&cap)), SPAN_ARGS(buf_span(&needed)),
                               SPAN_ARGS(when_again(r, &c->refusal))));
    if (c->refusal.pending)
        error.retry_after_ms = PENDING_MS;
    else if (c->refusal.resets_s != PERIOD_FOR_EVER)
        error.retry_after_ms = (c->refusal.resets_s - now_s()) * 1000;
    error.trace = &r->trace;
    buf_deinit(&left);
    buf_deinit(&cap);
    buf_deinit(&needed);
    return error;
}

struct api_error charge_cut(struct request *r) {
    struct api_error error;
    if (r->charge.cut == ERROR_RATE_LIMIT_EXCEEDED)
        over_limit(r, &error);
    else
        error = api_error(ERROR_COST_CAP_REACHED,
                          SPAN("The answer went on beyond the tokens that the cap pays for."));
    error.trace = &r->trace;
    return error;
}
