#include "money/budget.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

/* Periods of an account that are remembered while nobody holds any of their money. One is enough
 * for
 * a clock that goes on; a clock that jumps comes back to one of these. */
#define SPANS_KEPT 8

/* A million tokens are what prices are for. */
#define MILLION 1000000

struct account;

/* What was spent of one account in one period. */
struct budget_span {
    struct account *account;
    struct budget_span *next; /* used before this one */
    struct period when;
    int64_t spent, held;
    unsigned holds; /* reservations in it: it is not forgotten */
    unsigned told;  /* percent: alerts up to there were raised */
    bool known;     /* it was loaded, or something was reserved */
};

/* A scope, a name, a kind of period in a zone. The cap may change; what was spent under it stays.
 * */
struct account {
    UT_hash_handle hh;
    struct budget_span *spans; /* used last first */
    struct budget_cap cap;     /* as it was last given; its name is in `id` */
    unsigned id_len;
    char id[];
};

/* Free requests of a project. */
struct gift {
    UT_hash_handle hh;
    uint64_t used, held;
    char name[];
};

struct budget {
    pthread_mutex_t lock;
    struct account *accounts;
    struct gift *gifts;
    struct budget_events events;
    void *owner;
};

const char *budget_scope_name(enum budget_scope scope) {
    static const char *const names[BUDGET_SCOPES] = { "request", "key", "project", "route",
                                                      "account" };
    return names[scope];
}

struct budget *budget_new(const struct budget_events *events, void *owner) {
    struct budget *b = calloc(1, sizeof *b);
    if (!b)
        abort();
    pthread_mutex_init(&b->lock, NULL);
    if (events)
        b->events = *events;
    b->owner = owner;
    return b;
}

static void free_account(struct account *a) {
    while (a->spans) {
        struct budget_span *s = a->spans;
        a->spans = s->next;
        free(s);
    }
    free(a);
}

void budget_free(struct budget *b) {
    struct account *a, *next;
    struct gift *g, *following;
    HASH_ITER(hh, b->accounts, a, next) {
        HASH_DEL(b->accounts, a);
        free_account(a);
    }
    HASH_ITER(hh, b->gifts, g, following) {
        HASH_DEL(b->gifts, g);
        free(g);
    }
    pthread_mutex_destroy(&b->lock);
    free(b);
}

/* --- accounts and their periods --- */

/* Where the name begins in an account's id. */
#define ID_NAME 4

/* Caps of keys and projects have names of people's making, so that they can be long. */
static struct account *find_account(struct budget *b, const struct budget_cap *cap, bool make) {
    size_t len = ID_NAME + cap->name.len;
    char id[256], *at = len <= sizeof id ? id : malloc(len);
    struct account *a;
    if (!at)
        abort();
    at[0] = (char)cap->scope;
    at[1] = (char)cap->period;
    at[2] = (char)(cap->offset_min & 0xff);
    at[3] = (char)(cap->offset_min >> 8);
    if (cap->name.len)
        memcpy(at + ID_NAME, cap->name.at, cap->name.len);
    HASH_FIND(hh, b->accounts, at, len, a);
    if (!a && make) {
        a = calloc(1, sizeof *a + len);
        if (!a)
            abort();
        memcpy(a->id, at, len);
        a->id_len = (unsigned)len;
        a->cap = *cap;
        a->cap.name = (struct span){ a->id + ID_NAME, cap->name.len };
        HASH_ADD_KEYPTR(hh, b->accounts, a->id, a->id_len, a);
    }
    if (at != id)
        free(at);
    return a;
}

/* Forgets the periods nobody has asked for since SPANS_KEPT others were. */
static void forget_old(struct account *a) {
    unsigned n = 0;
    for (struct budget_span **at = &a->spans; *at; n++) {
        struct budget_span *s = *at;
        if (n < SPANS_KEPT || s->holds) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        free(s);
    }
}

static struct budget_span *take_out(struct account *a, struct period when) {
    for (struct budget_span **at = &a->spans; *at; at = &(*at)->next) {
        struct budget_span *s = *at;
        if (s->when.from_s != when.from_s)
            continue;
        *at = s->next;
        return s;
    }
    return NULL;
}

/* The account's figures of the period `now_s` lies in, first of the list afterwards. NULL: there
 * are
 * none, and none are to be made. */
static struct budget_span *find_span(struct account *a, int64_t now_s, bool make) {
    struct budget_span *s = a->spans;
    if (s && s->when.from_s <= now_s && now_s < s->when.to_s)
        return s;
    struct period when = period_at(a->cap.period, a->cap.offset_min, now_s);
    s = take_out(a, when);
    if (!s && !make)
        return NULL;
    if (!s) {
        s = calloc(1, sizeof *s);
        if (!s)
            abort();
        s->account = a;
        s->when = when;
    }
    s->next = a->spans;
    a->spans = s;
    forget_old(a);
    return s;
}

/* --- shares --- */

/* Whole percent of the cap that are spent; 0 of a cap of nothing. */
static unsigned share(const struct budget_span *s) {
    int64_t nano = s->account->cap.nano;
    __int128 percent = nano ? (__int128)s->spent * 100 / nano : 0;
    return percent < 100 ? (unsigned)percent : 100;
}

/* The cap as it is now. Where it was raised, shares that are not reached any more are told again.
 * */
static void renew(struct account *a, const struct budget_cap *cap) {
    bool same = a->cap.nano == cap->nano;
    a->cap.nano = cap->nano;
    memcpy(a->cap.alerts, cap->alerts, sizeof a->cap.alerts);
    for (struct budget_span *s = a->spans; !same && s; s = s->next)
        s->told = share(s) < s->told ? share(s) : s->told;
}

/* Alerts that are to be raised once the lock is released: accounts stay, their names with them. */
struct raised {
    struct budget_alert alerts[BUDGET_CAPS * BUDGET_ALERTS];
    size_t n;
};

static void raise_alerts(struct budget_span *s, struct raised *r) {
    const struct budget_cap *cap = &s->account->cap;
    unsigned now = share(s);
    for (int i = 0; i < BUDGET_ALERTS && cap->alerts[i]; i++)
        if (cap->alerts[i] <= now && cap->alerts[i] > s->told)
            r->alerts[r->n++] =
                (struct budget_alert){ cap->scope,     cap->name, cap->period, s->when,
                                       cap->alerts[i], s->spent,  cap->nano };
    s->told = now > s->told ? now : s->told;
}

/* --- bounds --- */

int64_t budget_bound(const struct budget_ask *ask, uint64_t tokens) {
    unsigned __int128 output = (unsigned __int128)ask->per_million * tokens;
    unsigned __int128 bound = (output + MILLION - 1) / MILLION + (unsigned __int128)ask->fixed;
    return bound < BUDGET_UNLIMITED ? (int64_t)bound : BUDGET_UNLIMITED;
}

/* How many tokens `left` pays for; exactly as budget_bound() rounds. */
static uint64_t affordable(const struct budget_ask *ask, int64_t left) {
    if (left < ask->fixed)
        return 0;
    if (ask->per_million == 0)
        return ask->tokens;
    __int128 n = (__int128)(left - ask->fixed) * MILLION / ask->per_million;
    return n < (__int128)ask->tokens ? (uint64_t)n : ask->tokens;
}

/* --- reserving --- */

static bool holds_for(const struct budget_cap *cap, bool is_free) {
    return !is_free || (cap->scope != BUDGET_KEY && cap->scope != BUDGET_PROJECT);
}

static int64_t saturated(__int128 nano) {
    return nano < INT64_MIN ? INT64_MIN : nano > INT64_MAX ? INT64_MAX : (int64_t)nano;
}

/* A cap as it stands, and what it would leave if all that is under way cost nothing. */
struct stand {
    const struct budget_cap *cap;
    int64_t left, settled, resets_s;
};

static struct stand stand_of(const struct budget_cap *cap, const struct budget_span *s) {
    struct stand st = { cap, cap->nano, cap->nano, PERIOD_FOR_EVER };
    if (s) {
        st.settled = saturated((__int128)cap->nano - s->spent);
        st.left = saturated((__int128)cap->nano - s->spent - s->held);
        st.resets_s = s->when.to_s;
    }
    return st;
}

/* Over all caps that hold: the one that leaves least, and the one that will have least at best. */
struct tightest {
    struct stand now, at_best;
};

static void compare(struct tightest *t, struct stand st) {
    if (!t->now.cap || st.left < t->now.left)
        t->now = st;
    if (!t->at_best.cap || st.settled < t->at_best.settled)
        t->at_best = st;
}

/* Two caps may be of one account: it is charged once. */
static void add_span(struct budget_hold *hold, struct budget_span *s) {
    for (size_t i = 0; i < hold->n; i++)
        if (hold->spans[i] == s)
            return;
    hold->spans[hold->n++] = s;
}

/* Finds what holds for the request; its spans go into the hold, which is not live yet. */
static struct tightest survey(struct budget *b, const struct budget_cap *caps, size_t n,
                              const struct budget_ask *ask, int64_t now_s,
                              struct budget_hold *hold) {
    struct tightest t = { 0 };
    for (size_t i = 0; i < n; i++) {
        struct budget_span *s = NULL;
        if (!holds_for(&caps[i], ask->is_free))
            continue;
        if (caps[i].scope != BUDGET_REQUEST) {
            struct account *a = find_account(b, &caps[i], true);
            s = find_span(a, now_s, true);
            renew(a, &caps[i]);
            add_span(hold, s);
        }
        compare(&t, stand_of(&caps[i], s));
    }
    return t;
}

/* How many tokens are allowed; false: not even the least that is of use. */
static bool allow(const struct budget_ask *ask, const struct tightest *t, uint64_t *tokens) {
    *tokens = ask->tokens;
    if (!t->now.cap || budget_bound(ask, ask->tokens) <= t->now.left)
        return true;
    *tokens = affordable(ask, t->now.left);
    bool of_use = *tokens > 0 && *tokens >= ask->least && ask->least < ask->tokens;
    if (!of_use)
        *tokens = 0;
    return of_use;
}

static void keep(struct budget_hold *hold, int64_t nano) {
    hold->nano = nano;
    hold->live = true;
    for (size_t i = 0; i < hold->n; i++) {
        hold->spans[i]->held += nano;
        hold->spans[i]->holds++;
        hold->spans[i]->known = true;
    }
}

static void tell(const struct budget_ask *ask, const struct tightest *t, bool allowed,
                 uint64_t tokens, struct budget_answer *answer) {
    uint64_t least = ask->least < ask->tokens ? ask->least + !ask->least : ask->tokens;
    bool pending = !allowed && budget_bound(ask, least) <= t->at_best.settled;
    const struct stand *st = allowed || pending ? &t->now : &t->at_best;
    *answer = (struct budget_answer){ .tokens = tokens,
                                      .clamped = allowed && tokens < ask->tokens,
                                      .cap = st->cap,
                                      .left = st->cap ? st->left : BUDGET_UNLIMITED,
                                      .pending = pending,
                                      .resets_s = st->cap ? st->resets_s : PERIOD_FOR_EVER };
}

bool budget_reserve(struct budget *b, const struct budget_cap *caps, size_t n,
                    const struct budget_ask *ask, int64_t now_s, struct budget_hold *hold,
                    struct budget_answer *answer) {
    uint64_t tokens;
    assert(n <= BUDGET_CAPS && ask->fixed >= 0 && ask->per_million >= 0);
    *hold = (struct budget_hold){ 0 };
    pthread_mutex_lock(&b->lock);
    struct tightest t = survey(b, caps, n, ask, now_s, hold);
    bool allowed = allow(ask, &t, &tokens);
    if (allowed)
        keep(hold, budget_bound(ask, tokens));
    pthread_mutex_unlock(&b->lock);
    tell(ask, &t, allowed, tokens, answer);
    if (!allowed)
        *hold = (struct budget_hold){ 0 };
    return allowed;
}

bool budget_settle(struct budget *b, struct budget_hold *hold, int64_t cost) {
    struct raised raised;
    assert(cost >= 0);
    raised.n = 0;
    if (!hold->live)
        return false;
    bool more = cost > hold->nano;
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < hold->n; i++) {
        struct budget_span *s = hold->spans[i];
        s->held -= hold->nano;
        s->holds--;
        s->spent = saturated((__int128)s->spent + cost);
        raise_alerts(s, &raised);
    }
    pthread_mutex_unlock(&b->lock);
    for (size_t i = 0; b->events.on_alert && i < raised.n; i++)
        b->events.on_alert(b->owner, &raised.alerts[i]);
    *hold = (struct budget_hold){ 0 };
    return more;
}

bool budget_load(struct budget *b, const struct budget_cap *cap, int64_t spent, int64_t now_s) {
    assert(spent >= 0 && cap->scope != BUDGET_REQUEST);
    pthread_mutex_lock(&b->lock);
    struct account *a = find_account(b, cap, true);
    struct budget_span *s = find_span(a, now_s, true);
    bool is_new = !s->known;
    renew(a, cap);
    if (is_new) {
        s->known = true;
        s->spent = spent;
        s->told = share(s);
    }
    pthread_mutex_unlock(&b->lock);
    return is_new;
}

/* --- looking --- */

static struct budget_figure look(struct budget *b, const struct budget_cap *cap, int64_t now_s) {
    struct account *a = cap->scope == BUDGET_REQUEST ? NULL : find_account(b, cap, false);
    const struct budget_span *s = a ? find_span(a, now_s, false) : NULL;
    struct stand st = stand_of(cap, s);
    struct budget_figure f = { .left = st.left > 0 ? st.left : 0, .resets_s = st.resets_s };
    if (!s)
        f.resets_s = period_at(cap->period, cap->offset_min, now_s).to_s;
    else {
        f.spent = s->spent;
        f.held = s->held;
    }
    return f;
}

struct budget_figure budget_figure(struct budget *b, const struct budget_cap *cap, int64_t now_s) {
    pthread_mutex_lock(&b->lock);
    struct budget_figure f = look(b, cap, now_s);
    pthread_mutex_unlock(&b->lock);
    return f;
}

const struct budget_cap *budget_tightest(struct budget *b, const struct budget_cap *caps, size_t n,
                                         bool is_free, int64_t now_s,
                                         struct budget_figure *figure) {
    const struct budget_cap *least = NULL;
    *figure = (struct budget_figure){ .left = BUDGET_UNLIMITED, .resets_s = PERIOD_FOR_EVER };
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < n; i++) {
        if (!holds_for(&caps[i], is_free))
            continue;
        struct budget_figure f = look(b, &caps[i], now_s);
        if (least && f.left >= figure->left)
            continue;
        least = &caps[i];
        *figure = f;
    }
    pthread_mutex_unlock(&b->lock);
    return least;
}

/* --- free requests --- */

static struct gift *find_gift(struct budget *b, struct span project) {
    struct gift *g;
    HASH_FIND(hh, b->gifts, project.at, project.len, g);
    return g;
}

static struct gift *make_gift(struct budget *b, struct span project) {
    struct gift *g = calloc(1, sizeof *g + project.len);
    if (!g)
        abort();
    memcpy(g->name, project.at, project.len);
    HASH_ADD_KEYPTR(hh, b->gifts, g->name, (unsigned)project.len, g);
    return g;
}

bool budget_free_begin(struct budget *b, struct span project, uint64_t allowance) {
    if (!allowance)
        return false;
    pthread_mutex_lock(&b->lock);
    struct gift *g = find_gift(b, project);
    if (!g)
        g = make_gift(b, project);
    bool is_free = g->used + g->held < allowance;
    g->held += is_free;
    pthread_mutex_unlock(&b->lock);
    return is_free;
}

void budget_free_end(struct budget *b, struct span project, bool answered) {
    pthread_mutex_lock(&b->lock);
    struct gift *g = find_gift(b, project);
    assert(g && g->held);
    g->held--;
    g->used += answered;
    pthread_mutex_unlock(&b->lock);
}

bool budget_free_load(struct budget *b, struct span project, uint64_t used) {
    pthread_mutex_lock(&b->lock);
    bool is_new = !find_gift(b, project);
    if (is_new)
        make_gift(b, project)->used = used;
    pthread_mutex_unlock(&b->lock);
    return is_new;
}

uint64_t budget_free_left(struct budget *b, struct span project, uint64_t allowance) {
    pthread_mutex_lock(&b->lock);
    const struct gift *g = find_gift(b, project);
    uint64_t taken = g ? g->used + g->held : 0;
    pthread_mutex_unlock(&b->lock);
    return taken < allowance ? allowance - taken : 0;
}
