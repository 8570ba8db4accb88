#include "money/entry.h"

#include "base/utf8.h"

#include <limits.h>
#include <math.h>

static const char *const names[ENTRY_OUTCOMES] = {
    [ENTRY_ANSWERED] = "answered",   [ENTRY_REFUSED] = "refused",   [ENTRY_FAILED] = "failed",
    [ENTRY_CANCELLED] = "cancelled", [ENTRY_ORPHANED] = "orphaned",
};

const char *entry_outcome_name(enum entry_outcome outcome) {
    return (unsigned)outcome < ENTRY_OUTCOMES ? names[outcome] : "";
}

enum entry_outcome entry_outcome_of(struct span name) {
    unsigned i = 0;
    while (i < ENTRY_OUTCOMES && !span_eq(name, span_of(names[i])))
        i++;
    return (enum entry_outcome)i;
}

/* --- writing ----------------------------------------------------------------------------------
 *
 * Numbers are base 128, the lower seven bits first, the sign in the lowest bit, so that -1 and
 * small
 * numbers are one byte. A text is its length and one, then its bytes; 0 is SPAN_NONE. */

static void put_bits(struct buf *out, uint64_t n) {
    char *at = buf_reserve(out, 10);
    size_t len = 0;
    for (; n >= 128; n >>= 7)
        at[len++] = (char)(n | 128);
    at[len++] = (char)n;
    out->len += len;
}

static void put(struct buf *out, int64_t n) {
    put_bits(out, n < 0 ? ~((uint64_t)n << 1) : (uint64_t)n << 1);
}

static void put_text_of(struct buf *out, struct span s, size_t max) {
    s = utf8_cut(s, max);
    put_bits(out, s.at ? s.len + 1 : 0);
    buf_add(out, s);
}

static void put_text(struct buf *out, struct span s) {
    put_text_of(out, s, ENTRY_TEXT_MAX);
}

/* By name: what number a class has is no promise. */
static void put_class(struct buf *out, enum failure failure) {
    put_text(out, failure == FAILURE_NONE ? SPAN_NONE : span_of(failure_name(failure)));
}

static void put_tag(struct buf *out, struct span tag) {
    put_text(out, tag);
    struct span kept = utf8_cut(tag, ENTRY_TEXT_MAX);
    for (char *c = out->at + out->len - kept.len; c < out->at + out->len; c++)
        if (*c == '\n')
            *c = ' ';
}

static void put_tokens(struct buf *out, const struct entry_tokens *t) {
    put(out, t->input);
    put(out, t->cached);
    put(out, t->written);
    put(out, t->output);
    put(out, t->reasoning);
}

static void put_attempt(struct buf *out, const struct entry_attempt *a) {
    put_bits(out, a->number);
    put_text(out, a->target);
    put_text(out, a->upstream);
    put_text(out, a->upstream_id);
    put_bits(out, a->began_us);
    put(out, a->status);
    put_class(out, a->failure);
    put(out, a->connect_us);
    put(out, a->first_us);
    put(out, a->total_us);
    put_tokens(out, &a->tokens);
    put_bits(out, (a->estimated ? 1 : 0) | (a->hedge ? 2 : 0) | (a->won ? 4 : 0));
    put(out, a->price.input);
    put(out, a->price.output);
    put(out, a->price.cached);
    put(out, a->price.cache_write);
    put(out, a->cost);
    put(out, a->billed);
    put(out, a->most);
}

static size_t at_most(size_t n, size_t max) {
    return n < max ? n : max;
}

void entry_write(struct buf *out, const struct entry *e) {
    put_text(out, e->id);
    put_bits(out, e->at_us);
    put_text(out, e->key);
    put_text(out, e->project);
    put_text(out, e->tier);
    put_text(out, e->endpoint);
    put_text(out, e->model);
    put_text(out, e->policy);
    put_text(out, e->assignment);
    put_text(out, e->arm);
    put_text_of(out, e->chain, ENTRY_CHAIN_MAX);
    put_text(out, e->session);
    put_text(out, e->user);
    size_t tags = at_most(e->n_tags, ENTRY_TAGS_MAX);
    put_bits(out, tags);
    for (size_t i = 0; i < tags; i++)
        put_tag(out, e->tags[i]);
    put_bits(out, e->outcome);
    put(out, e->status);
    put_class(out, e->failure);
    put_text(out, e->error);
    put_bits(out, (e->stream ? 1 : 0) | (e->free ? 2 : 0));
    put(out, e->queue_us);
    put(out, e->policy_us);
    put(out, e->first_us);
    put(out, e->total_us);
    size_t attempts = at_most(e->n_attempts, ENTRY_ATTEMPTS_MAX);
    put_bits(out, attempts);
    for (size_t i = 0; i < attempts; i++)
        put_attempt(out, &e->attempts[i]);
}

void entry_write_begun(struct buf *out, const struct entry_begun *b) {
    put_text(out, b->request);
    put_bits(out, b->number);
    put_bits(out, b->at_us);
    put_bits(out, b->began_us);
    put_text(out, b->key);
    put_text(out, b->project);
    put_text(out, b->endpoint);
    put_text(out, b->policy);
    put_text(out, b->arm);
    put_text(out, b->target);
    put(out, b->bound);
}

void entry_write_feedback(struct buf *out, const struct entry_feedback *f) {
    uint64_t score;
    memcpy(&score, &f->score, sizeof score);
    put_text(out, f->request);
    put_bits(out, f->at_us);
    put_bits(out, score);
    put_text_of(out, f->label, ENTRY_LABEL_MAX);
}

void entry_write_body(struct buf *out, const struct entry_body *b) {
    put_text(out, b->request);
    put_bits(out, b->part);
    put_bits(out, b->until_us);
    put_bits(out, b->cut || b->bytes.len > ENTRY_BODY_MAX);
    put_text_of(out, b->bytes, ENTRY_BODY_MAX);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* What is left of the bytes; `wrong` once they were not what was expected, and everything read from
 * then on is nothing. */
struct reading {
    struct span rest;
    bool wrong;
};

static void give_up(struct reading *r) {
    r->wrong = true;
    r->rest.len = 0;
}

static uint64_t get_bits(struct reading *r) {
    uint64_t n = 0;
    for (unsigned shift = 0; shift < 64 && r->rest.len; shift += 7) {
        unsigned char c = (unsigned char)*r->rest.at;
        r->rest = span_sub(r->rest, 1, SIZE_MAX);
        if (shift == 63 && c > 1)
            break;
        n |= (uint64_t)(c & 127) << shift;
        if (c < 128)
            return n;
    }
    give_up(r);
    return 0;
}

/* A number that has to be below `bound`. */
static uint64_t get_below(struct reading *r, uint64_t bound) {
    uint64_t n = get_bits(r);
    if (n < bound)
        return n;
    give_up(r);
    return 0;
}

static int64_t get(struct reading *r) {
    uint64_t n = get_bits(r);
    return (int64_t)(n >> 1 ^ (0 - (n & 1)));
}

static int get_int(struct reading *r) {
    int64_t n = get(r);
    if (n >= INT_MIN && n <= INT_MAX)
        return (int)n;
    give_up(r);
    return 0;
}

static struct span get_text(struct reading *r) {
    uint64_t n = get_bits(r);
    if (!n)
        return SPAN_NONE;
    if (n - 1 > r->rest.len) {
        give_up(r);
        return SPAN_NONE;
    }
    struct span s = span_sub(r->rest, 0, n - 1);
    r->rest = span_sub(r->rest, n - 1, SIZE_MAX);
    return s;
}

static struct entry_tokens get_tokens(struct reading *r) {
    struct entry_tokens t;
    t.input = get(r);
    t.cached = get(r);
    t.written = get(r);
    t.output = get(r);
    t.reasoning = get(r);
    return t;
}

static void get_attempt(struct reading *r, struct entry_attempt *a) {
    a->number = (unsigned)get_below(r, UINT_MAX);
    a->target = get_text(r);
    a->upstream = get_text(r);
    a->upstream_id = get_text(r);
    a->began_us = get_bits(r);
    a->status = get_int(r);
    a->failure = failure_of(get_text(r));
    a->connect_us = get(r);
    a->first_us = get(r);
    a->total_us = get(r);
    a->tokens = get_tokens(r);
    uint64_t flags = get_below(r, 8);
    a->estimated = flags & 1;
    a->hedge = flags & 2;
    a->won = flags & 4;
    a->price.input = get(r);
    a->price.output = get(r);
    a->price.cached = get(r);
    a->price.cache_write = get(r);
    a->cost = get(r);
    a->billed = get(r);
    a->most = get(r);
}

static void get_tags(struct reading *r, struct arena *arena, struct entry *e) {
    e->n_tags = get_below(r, ENTRY_TAGS_MAX + 1);
    struct span *tags = arena_new_array(arena, struct span, e->n_tags);
    for (size_t i = 0; i < e->n_tags; i++)
        tags[i] = get_text(r);
    e->tags = tags;
}

static void get_attempts(struct reading *r, struct arena *arena, struct entry *e) {
    e->n_attempts = get_below(r, ENTRY_ATTEMPTS_MAX + 1);
    struct entry_attempt *attempts = arena_new_array(arena, struct entry_attempt, e->n_attempts);
    for (size_t i = 0; i < e->n_attempts; i++)
        get_attempt(r, &attempts[i]);
    e->attempts = attempts;
}

bool entry_read(struct span bytes, struct arena *arena, struct entry *e) {
    struct reading r = { .rest = bytes };
    *e = (struct entry){ 0 };
    e->id = get_text(&r);
    e->at_us = get_bits(&r);
    e->key = get_text(&r);
    e->project = get_text(&r);
    e->tier = get_text(&r);
    e->endpoint = get_text(&r);
    e->model = get_text(&r);
    e->policy = get_text(&r);
    e->assignment = get_text(&r);
    e->arm = get_text(&r);
    e->chain = get_text(&r);
    e->session = get_text(&r);
    e->user = get_text(&r);
    get_tags(&r, arena, e);
    e->outcome = (enum entry_outcome)get_below(&r, ENTRY_OUTCOMES);
    e->status = get_int(&r);
    e->failure = failure_of(get_text(&r));
    e->error = get_text(&r);
    uint64_t flags = get_below(&r, 4);
    e->stream = flags & 1;
    e->free = flags & 2;
    e->queue_us = get(&r);
    e->policy_us = get(&r);
    e->first_us = get(&r);
    e->total_us = get(&r);
    get_attempts(&r, arena, e);
    return !r.wrong && !r.rest.len;
}

bool entry_read_begun(struct span bytes, struct entry_begun *b) {
    struct reading r = { .rest = bytes };
    b->request = get_text(&r);
    b->number = (unsigned)get_below(&r, UINT_MAX);
    b->at_us = get_bits(&r);
    b->began_us = get_bits(&r);
    b->key = get_text(&r);
    b->project = get_text(&r);
    b->endpoint = get_text(&r);
    b->policy = get_text(&r);
    b->arm = get_text(&r);
    b->target = get_text(&r);
    b->bound = get(&r);
    return !r.wrong && !r.rest.len;
}

bool entry_read_feedback(struct span bytes, struct entry_feedback *f) {
    struct reading r = { .rest = bytes };
    f->request = get_text(&r);
    f->at_us = get_bits(&r);
    uint64_t score = get_bits(&r);
    memcpy(&f->score, &score, sizeof score);
    f->label = get_text(&r);
    return !r.wrong && !r.rest.len && fabs(f->score) <= ENTRY_SCORE_MAX;
}

bool entry_read_body(struct span bytes, struct entry_body *b) {
    struct reading r = { .rest = bytes };
    b->request = get_text(&r);
    b->part = (enum entry_part)get_below(&r, ENTRY_PARTS);
    b->until_us = get_bits(&r);
    b->cut = get_below(&r, 2);
    b->bytes = get_text(&r);
    return !r.wrong && !r.rest.len;
}

/* --- sums ------------------------------------------------------------------------------------- */

int64_t entry_add(int64_t a, int64_t b) {
    if (a < 0)
        return b < 0 ? -1 : b;
    if (b < 0)
        return a;
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

struct entry_sums entry_sum(const struct entry *e) {
    struct entry_sums s = {
        .tokens = { -1, -1, -1, -1, -1 }, .cost = -1, .billed = -1, .most = -1
    };
    for (size_t i = 0; i < e->n_attempts; i++) {
        const struct entry_attempt *a = &e->attempts[i];
        s.tokens.input = entry_add(s.tokens.input, a->tokens.input);
        s.tokens.cached = entry_add(s.tokens.cached, a->tokens.cached);
        s.tokens.written = entry_add(s.tokens.written, a->tokens.written);
        s.tokens.output = entry_add(s.tokens.output, a->tokens.output);
        s.tokens.reasoning = entry_add(s.tokens.reasoning, a->tokens.reasoning);
        s.cost = entry_add(s.cost, a->cost);
        s.billed = entry_add(s.billed, a->billed);
        if (a->cost < 0) {
            s.most = entry_add(s.most, a->most);
            s.unpriced++;
        }
        s.estimated |= a->estimated;
    }
    return s;
}
