#include "money/limits.h"

#include "base/gcra.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

/* A minute's allowance may go at once. */
#define BURST_US GCRA_MINUTE_US

/* Below that many nobody looks for idle ones. */
#define SWEEP_MIN 1024

/* What is counted for one name. Times are microseconds of the callers' clock. */
struct limits_entry {
    UT_hash_handle hh;
    uint64_t requests_us, tokens_us; /* when the schedule is empty again */
    uint64_t given_us;               /* of the schedule of tokens, given back, ever */
    uint32_t in_flight;              /* passes that hold it: it is not forgotten */
    unsigned id_len;
    char id[]; /* scope and name */
};

struct limits {
    pthread_mutex_t lock;
    struct limits_entry *entries;
    unsigned sweep_at; /* how many there must be before the next look */
};

struct limits *limits_new(void) {
    struct limits *l = calloc(1, sizeof *l);
    if (!l)
        abort();
    pthread_mutex_init(&l->lock, NULL);
    l->sweep_at = SWEEP_MIN;
    return l;
}

static void forget(struct limits *l, struct limits_entry *e) {
    HASH_DEL(l->entries, e);
    free(e);
}

void limits_free(struct limits *l) {
    struct limits_entry *e = NULL, *next = NULL;
    HASH_ITER(hh, l->entries, e, next) {
        forget(l, e);
    }
    pthread_mutex_destroy(&l->lock);
    free(l);
}

size_t limits_count(struct limits *l) {
    pthread_mutex_lock(&l->lock);
    size_t n = HASH_COUNT(l->entries);
    pthread_mutex_unlock(&l->lock);
    return n;
}

/* --- entries --- */

/* An entry that holds nothing is as good as a new one. Each look over all of them is paid for by as
 * many that came new. */
static void sweep(struct limits *l, uint64_t now_us) {
    struct limits_entry *e = NULL, *next = NULL;
    if (HASH_COUNT(l->entries) < l->sweep_at)
        return;
    HASH_ITER(hh, l->entries, e, next) {
        if (!e->in_flight && e->requests_us <= now_us && e->tokens_us <= now_us)
            forget(l, e);
    }
    unsigned twice = 2 * HASH_COUNT(l->entries);
    l->sweep_at = twice > SWEEP_MIN ? twice : SWEEP_MIN;
}

static struct limits_entry *entry_of(struct limits *l, const struct limits_on *on) {
    size_t len = 1 + on->name.len;
    char id[256], *at = len <= sizeof id ? id : malloc(len);
    struct limits_entry *e;
    if (!at)
        abort();
    at[0] = (char)('0' + on->scope);
    if (on->name.len)
        memcpy(at + 1, on->name.at, on->name.len);
    HASH_FIND(hh, l->entries, at, len, e);
    if (!e) {
        e = calloc(1, sizeof *e + len);
        if (!e)
            abort();
        memcpy(e->id, at, len);
        e->id_len = (unsigned)len;
        HASH_ADD_KEYPTR(hh, l->entries, e->id, e->id_len, e);
    }
    if (at != id)
        free(at);
    return e;
}

/* --- figures --- */

static uint64_t to_ms(uint64_t us) {
    return (us + 999) / 1000;
}

/* What is left of a minute's allowance. */
static struct limits_figure of_minute(uint64_t empty_us, uint32_t a_minute, uint64_t now_us) {
    uint64_t ahead = gcra_ahead_us(empty_us, now_us),
             left = ahead < BURST_US ? BURST_US - ahead : 0;
    return (struct limits_figure){ .is_set = true,
                                   .limit = a_minute,
                                   .remaining = left * a_minute / GCRA_MINUTE_US,
                                   .reset_ms = to_ms(ahead) };
}

static struct limits_figure at_once(uint32_t in_flight, uint32_t concurrent) {
    uint32_t left = in_flight < concurrent ? concurrent - in_flight : 0;
    return (struct limits_figure){ .is_set = true, .limit = concurrent, .remaining = left };
}

/* The figure that leaves less; of two that leave the same, the one it takes longer to get back. */
static void tighten(struct limits_figure *to, enum limits_scope scope, struct limits_figure f) {
    f.scope = scope;
    if (!to->is_set || f.remaining < to->remaining ||
        (f.remaining == to->remaining && f.reset_ms > to->reset_ms))
        *to = f;
}

static void look(const struct limits_pass *pass, uint64_t now_us, struct limits_state *state) {
    *state = (struct limits_state){ 0 };
    for (size_t i = 0; i < pass->n; i++) {
        const struct limits_charge *c = &pass->charges[i];
        const struct limits_entry *e = c->entry;
        struct limits_figure *f = state->figures;
        if (c->rule.rpm)
            tighten(&f[LIMITS_REQUESTS], pass->scopes[i],
                    of_minute(e->requests_us, c->rule.rpm, now_us));
        if (c->rule.tpm)
            tighten(&f[LIMITS_TOKENS], pass->scopes[i],
                    of_minute(e->tokens_us, c->rule.tpm, now_us));
        if (c->rule.concurrent)
            tighten(&f[LIMITS_CONCURRENT], pass->scopes[i],
                    at_once(e->in_flight, c->rule.concurrent));
    }
}

/* --- whether there is room --- */

/* How long until `cost_us` fits; 0: it does. */
static uint64_t wait_us(uint64_t empty_us, uint64_t cost_us, uint64_t now_us) {
    uint64_t ahead = gcra_ahead_us(empty_us, now_us);
    return ahead + cost_us > BURST_US ? ahead + cost_us - BURST_US : 0;
}

/* What refuses: the limit that is to be waited for longest. */
struct wall {
    bool there;
    enum limits_scope scope;
    enum limits_kind kind;
    uint64_t wait_us;
    struct limits_figure figure;
};

static void meet(struct wall *w, enum limits_scope scope, enum limits_kind kind, uint64_t wait,
                 struct limits_figure figure) {
    if (w->there && wait <= w->wait_us)
        return;
    figure.scope = scope;
    *w = (struct wall){ true, scope, kind, wait, figure };
}

static void tell_wall(const struct wall *w, struct limits_state *state) {
    state->worst = w->kind;
    state->figures[w->kind] = w->figure;
    state->retry_ms = to_ms(w->wait_us);
    /* Nobody knows when one that is under way ends. */
    if (w->kind == LIMITS_CONCURRENT)
        state->retry_ms = 1000;
}

static struct wall wall_of(const struct limits_pass *pass, uint64_t tokens, uint64_t now_us) {
    struct wall w = { 0 };
    for (size_t i = 0; i < pass->n; i++) {
        const struct limits_charge *c = &pass->charges[i];
        const struct limits_rule *r = &c->rule;
        const struct limits_entry *e = c->entry;
        uint64_t wait;
        if (r->concurrent && e->in_flight >= r->concurrent)
            meet(&w, pass->scopes[i], LIMITS_CONCURRENT, 0, at_once(e->in_flight, r->concurrent));
        if (r->rpm && (wait = wait_us(e->requests_us, gcra_cost_us(1, r->rpm), now_us)))
            meet(&w, pass->scopes[i], LIMITS_REQUESTS, wait,
                 of_minute(e->requests_us, r->rpm, now_us));
        if (r->tpm && (wait = wait_us(e->tokens_us, gcra_cost_us(tokens, r->tpm), now_us)))
            meet(&w, pass->scopes[i], LIMITS_TOKENS, wait, of_minute(e->tokens_us, r->tpm, now_us));
    }
    return w;
}

/* --- a request --- */

/* What tokens cost, however many: one that runs is held to the truth. */
static uint64_t true_us(uint64_t tokens, uint32_t tpm) {
    const uint64_t most = UINT64_C(1) << 36; /* or it would overflow */
    return (tokens < most ? tokens : most) * GCRA_MINUTE_US / tpm;
}

/* Charged for so far, in tokens of the limit that has least of them. */
static void cover(struct limits_pass *pass, uint64_t tokens) {
    pass->covered = UINT64_MAX;
    for (size_t i = 0; i < pass->n; i++) {
        uint32_t tpm = pass->charges[i].rule.tpm;
        uint64_t some = tokens < tpm ? tokens : tpm;
        if (tpm && some < pass->covered)
            pass->covered = some;
    }
}

static void charge_tokens(struct limits_charge *c, uint64_t cost_us, uint64_t now_us) {
    c->entry->tokens_us = gcra_charged(c->entry->tokens_us, cost_us, now_us);
    c->cost_us += cost_us;
}

static void charge(struct limits_pass *pass, uint64_t tokens, uint64_t now_us) {
    for (size_t i = 0; i < pass->n; i++) {
        struct limits_charge *c = &pass->charges[i];
        struct limits_entry *e = c->entry;
        e->in_flight++;
        if (c->rule.rpm)
            e->requests_us = gcra_charged(e->requests_us, gcra_cost_us(1, c->rule.rpm), now_us);
        if (c->rule.tpm)
            charge_tokens(c, gcra_cost_us(tokens, c->rule.tpm), now_us);
        c->end_us = e->tokens_us;
        c->given_us = e->given_us;
    }
    cover(pass, tokens);
}

/* Those of the limits that limit anything. */
static void find(struct limits *l, const struct limits_on *on, size_t n, struct limits_pass *pass) {
    *pass = (struct limits_pass){ 0 };
    for (size_t i = 0; i < n; i++) {
        if (!on[i].rule.rpm && !on[i].rule.tpm && !on[i].rule.concurrent)
            continue;
        pass->scopes[pass->n] = on[i].scope;
        pass->charges[pass->n++] =
            (struct limits_charge){ .entry = entry_of(l, &on[i]), .rule = on[i].rule };
    }
}

bool limits_enter(struct limits *l, const struct limits_on *on, size_t n, uint64_t tokens,
                  uint64_t now_us, struct limits_pass *pass, struct limits_state *state) {
    assert(n <= LIMITS_MAX);
    pthread_mutex_lock(&l->lock);
    sweep(l, now_us);
    find(l, on, n, pass);
    struct wall wall = wall_of(pass, tokens, now_us);
    if (!wall.there)
        charge(pass, tokens, now_us);
    look(pass, now_us, state);
    pthread_mutex_unlock(&l->lock);
    if (wall.there) {
        tell_wall(&wall, state);
        *pass = (struct limits_pass){ 0 };
    }
    return !wall.there;
}

/* What the tokens so far cost beyond what is charged. */
static uint64_t missing_us(const struct limits_charge *c, uint64_t tokens) {
    uint64_t cost = c->rule.tpm ? true_us(tokens, c->rule.tpm) : 0;
    return cost > c->cost_us ? cost - c->cost_us : 0;
}

static struct wall wall_to_more(const struct limits_pass *pass, uint64_t tokens, uint64_t now_us) {
    struct wall w = { 0 };
    for (size_t i = 0; i < pass->n; i++) {
        const struct limits_charge *c = &pass->charges[i];
        uint64_t more = missing_us(c, tokens);
        uint64_t wait = more ? wait_us(c->entry->tokens_us, more, now_us) : 0;
        if (wait)
            meet(&w, pass->scopes[i], LIMITS_TOKENS, wait,
                 of_minute(c->entry->tokens_us, c->rule.tpm, now_us));
    }
    return w;
}

bool limits_grow(struct limits *l, struct limits_pass *pass, uint64_t tokens, uint64_t now_us,
                 struct limits_state *state) {
    if (!pass->n || tokens <= pass->covered)
        return true;
    pthread_mutex_lock(&l->lock);
    struct wall wall = wall_to_more(pass, tokens, now_us);
    for (size_t i = 0; !wall.there && i < pass->n; i++)
        charge_tokens(&pass->charges[i], missing_us(&pass->charges[i], tokens), now_us);
    look(pass, now_us, state);
    pthread_mutex_unlock(&l->lock);
    if (wall.there)
        tell_wall(&wall, state);
    else
        pass->covered = tokens;
    return !wall.there;
}

/* Gives back what was not used, as far as it has not flowed off.
 *
 * On the schedule a charge lies between where it ended before and where it ends since; what lies
 * before now has flowed off. What others were given back meanwhile has moved it nearer, as if all
 * of
 * that had lain before it. So the schedule is afterwards the one there would be had less been
 * charged
 * in the beginning, and nobody's charge behind it is forgiven. */
static void give_back(struct limits_charge *c, uint64_t unused_us, uint64_t now_us) {
    struct limits_entry *e = c->entry;
    uint64_t moved = e->given_us - c->given_us;
    uint64_t left = gcra_ahead_us(c->end_us, now_us);
    left = left > moved ? left - moved : 0;
    uint64_t given = unused_us < left ? unused_us : left;
    e->tokens_us -= given;
    e->given_us += given;
}

/* What it used in the end. Beyond a minute's allowance nothing is charged that was not before: one
 * request is not to lock its key out for hours. */
static void correct(struct limits_charge *c, uint64_t tokens, uint64_t now_us) {
    uint64_t cost = true_us(tokens, c->rule.tpm);
    uint64_t most = cost < GCRA_MINUTE_US ? cost : GCRA_MINUTE_US;
    if (cost < c->cost_us)
        give_back(c, c->cost_us - cost, now_us);
    else if (most > c->cost_us)
        charge_tokens(c, most - c->cost_us, now_us);
}

void limits_leave(struct limits *l, struct limits_pass *pass, uint64_t tokens, uint64_t now_us) {
    if (!pass->n)
        return;
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < pass->n; i++) {
        struct limits_charge *c = &pass->charges[i];
        if (c->rule.tpm)
            correct(c, tokens, now_us);
        c->entry->in_flight--;
    }
    pthread_mutex_unlock(&l->lock);
    *pass = (struct limits_pass){ 0 };
}
