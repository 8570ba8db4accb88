#include "route/bill.h"

#include "base/clock.h"
#include "base/price.h"
#include "money/keys.h"
#include "route/request_state.h"

static int64_t us_between(uint64_t from_us, uint64_t to_us) {
    return to_us >= from_us && to_us ? (int64_t)(to_us - from_us) : -1;
}

/* Unix time of a moment of clock_us(). */
static uint64_t wall_us(const struct request *r, uint64_t at_us) {
    return r->facts.now_ms * 1000 + (at_us - r->trace.began_us);
}

/* Which arm of the first experiment there is: "prices/gpt-4o". */
static struct span arm_of(const struct request *r) {
    const struct span mark = SPAN("split:");
    for (size_t i = 0; i < r->trace.n_notes; i++) {
        struct pair note = r->trace.notes[i];
        if (span_starts(note.name, mark))
            return arena_join(&r->message->arena,
                              (struct span[]){ span_sub(note.name, mark.len, note.name.len),
                                               SPAN("/"), note.value },
                              3);
    }
    return SPAN_NONE;
}

static struct span chain_of(const struct request *r) {
    struct arena *arena = &r->message->arena;
    size_t n = r->trace.n_chain;
    if (!n)
        return SPAN_NONE;
    struct span *parts = arena_new_array(arena, struct span, 2 * n);
    for (size_t i = 0; i < n; i++) {
        parts[2 * i] = r->trace.chain[i]->id;
        parts[2 * i + 1] = SPAN(" ");
    }
    return arena_join(arena, parts, 2 * n - 1);
}

/* What the project is billed: nothing of a free request, else the cost with its markup. */
static nanousd billed(const struct request *r, nanousd cost) {
    if (cost < 0)
        return -1;
    return r->charge.gift ? 0 : keys_billed(r->facts.project, cost);
}

static struct entry_attempt attempt_of(const struct request *r, const struct trace_attempt *a,
                                       unsigned number) {
    return (struct entry_attempt){
        .number = number,
        .target = a->target->id,
        .upstream = a->target->upstream,
        .upstream_id = a->upstream_id,
        .began_us = wall_us(r, a->began_us),
        .status = a->status,
        .failure = a->failure,
        .connect_us = a->connect_us,
        .first_us = us_between(a->began_us, a->first_us),
        .total_us = us_between(a->began_us, a->ended_us),
        .tokens = { .input = a->input_tokens,
                    .cached = a->cached_tokens,
                    .written = a->written_tokens,
                    .output = a->output_tokens,
                    .reasoning = a->reasoning_tokens },
        .estimated = a->estimated,
        .hedge = a->hedge,
        .won = a->failure == FAILURE_NONE,
        .price = price_at(a->target, a->input_tokens, clock_wall_ms() / 1000),
        .cost = a->cost,
        .billed = billed(r, a->cost),
        .most = a->most,
    };
}

static enum entry_outcome outcome_of(enum request_outcome outcome) {
    static const enum entry_outcome outcomes[] = { [REQUEST_ANSWERED] = ENTRY_ANSWERED,
                                                   [REQUEST_REFUSED] = ENTRY_REFUSED,
                                                   [REQUEST_FAILED] = ENTRY_FAILED,
                                                   [REQUEST_CANCELLED] = ENTRY_CANCELLED };
    return outcomes[outcome];
}

static enum failure last_failure(const struct request *r) {
    enum failure last = FAILURE_NONE;
    for (const struct trace_attempt *a = r->trace.attempts; a; a = a->next)
        if (a->tried)
            last = a->failure;
    return last;
}

static void add_attempts(struct request *r, struct entry *e) {
    struct entry_attempt *list =
        arena_new_array(request_arena(r), struct entry_attempt, r->trace.tried);
    e->attempts = list;
    for (const struct trace_attempt *a = r->trace.attempts; a; a = a->next) {
        if (!a->tried)
            continue;
        list[e->n_attempts] = attempt_of(r, a, (unsigned)e->n_attempts + 1);
        e->n_attempts++;
        if (a->failure == FAILURE_NONE)
            e->first_us = us_between(r->trace.began_us, a->first_us);
    }
}

struct entry bill_of(struct request *r, enum request_outcome outcome, int status,
                     struct span code) {
    const struct facts *f = &r->facts;
    struct entry e = {
        .id = r->trace.id,
        .at_us = wall_us(r, r->trace.began_us),
        .key = f->key ? f->key->id : SPAN_NONE,
        .project = f->project->name,
        .tier = f->tier,
        .endpoint = f->endpoint,
        .model = f->model,
        .policy = r->trace.policy,
        .assignment = f->chosen_by,
        .arm = arm_of(r),
        .chain = chain_of(r),
        .session = f->session,
        .user = f->user,
        .tags = f->tags,
        .n_tags = f->n_tags,
        .outcome = outcome_of(outcome),
        .status = status,
        .failure = outcome == REQUEST_ANSWERED ? FAILURE_NONE : last_failure(r),
        .error = code,
        .stream = f->stream,
        .queue_us = r->queued_ms ? (int64_t)r->queued_ms * 1000 : -1,
        .policy_us = r->trace.decided_us ? (int64_t)r->trace.policy_us : -1,
        .first_us = -1,
        .total_us = us_between(r->trace.began_us, clock_us()),
    };
    add_attempts(r, &e);
    return e;
}

struct entry_begun bill_begun(const struct request *r, const struct trace_attempt *attempt) {
    return (struct entry_begun){
        .request = r->trace.id,
        .number = r->trace.tried + 1,
        .at_us = wall_us(r, r->trace.began_us),
        .began_us = wall_us(r, attempt->began_us),
        .key = r->facts.key ? r->facts.key->id : SPAN_NONE,
        .project = r->facts.project->name,
        .endpoint = r->facts.endpoint,
        .policy = r->trace.policy,
        .arm = arm_of(r),
        .target = attempt->target->id,
        .bound = -1,
    };
}
