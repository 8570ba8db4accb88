#include "route/outcome.h"

/* What a provider may mean when it speaks of the size of a prompt. */
enum { TOKENS_MIN = 256, TOKENS_MAX = 1000000000 };

enum { PROBED_MS = 1000 }; /* until it is known how the probe that is under way goes */

static int status_of_class(enum failure class) {
    switch (class) {
    case FAILURE_RATE_LIMITED:
    case FAILURE_QUOTA:
        return 429;
    case FAILURE_TIMEOUT:
    case FAILURE_FIRST_TOKEN:
    case FAILURE_IDLE:
        return 504;
    case FAILURE_BAD_REQUEST:
    case FAILURE_CONTEXT_LENGTH:
    case FAILURE_CONTENT_FILTER:
        return 400;
    case FAILURE_AUTH:
    case FAILURE_BAD_RESPONSE:
        return 502;
    default:
        return 503;
    }
}

/* The class that all tried attempts ended with, or FAILURE_NONE when they differ. */
static enum failure shared_class(const struct trace *t) {
    enum failure class = FAILURE_NONE;
    for (const struct trace_attempt *a = t->attempts; a; a = a->next) {
        if (!a->tried)
            continue;
        if (class != FAILURE_NONE && a->failure != class)
            return FAILURE_NONE;
        class = a->failure;
    }
    return class;
}

/* The status all tried attempts lead to, or that of a mixture; where nothing was tried, all steps
 * that were passed over. Classes may differ and mean the same to a client: a provider that was
 * silent and one that was slow are both 504. */
static int shared_status(const struct trace *t) {
    int status = 0;
    for (const struct trace_attempt *a = t->attempts; a; a = a->next) {
        if (t->tried && !a->tried)
            continue;
        if (status && status_of_class(a->failure) != status)
            return status_of_class(FAILURE_NONE);
        status = status_of_class(a->failure);
    }
    return status;
}

/* Why nobody waits any more, where there was something to wait for. */
static struct span waited(uint32_t too_short_ms, struct arena *arena) {
    if (!too_short_ms)
        return SPAN("");
    return arena_printf(arena, " The wait of %u ms ends before a target comes back.", too_short_ms);
}

/* Nothing was tried although there were steps: every one was over a threshold. */
static struct api_error too_dear(const struct trace *t) {
    struct api_error error = api_error(
        ERROR_NO_ELIGIBLE_TARGET,
        SPAN("Every step of the chain would cost more than max_cost_usd allows, or has no "
             "known price."));
    error.status = 402;
    error.trace = t;
    return error;
}

static bool any_open(const struct trace *t) {
    for (const struct trace_attempt *a = t->attempts; a; a = a->next)
        if (a->open)
            return true;
    return false;
}

/* Nothing was tried because targets that failed of late are left alone, and those that are asked in
 * spite of it have somebody asking. It means to a client what those failures mean. */
static struct api_error all_open(const struct trace *t, struct outcome_wait wait,
                                 struct arena *arena) {
    struct span end = waited(wait.too_short_ms, arena);
    struct api_error error = api_error(
        ERROR_NO_ELIGIBLE_TARGET,
        arena_printf(arena,
                     "No target was tried: every one of the chain has failed of late and is not "
                     "asked for now.%.*s",
                     SPAN_ARGS(end)));
    error.status = shared_status(t);
    error.retry_after_ms = wait.reopens_in_ms >= 0 ? wait.reopens_in_ms : PROBED_MS;
    error.trace = t;
    return error;
}

/* The provider's own word is passed on: it is about the client's request. */
static struct api_error provider_said(const struct trace *t, const struct attempt_failure *f) {
    struct api_error error = api_error(
        f->class == FAILURE_CONTENT_FILTER ? ERROR_CONTENT_POLICY_VIOLATION : ERROR_INVALID_REQUEST,
        f->message.len ? f->message : SPAN("The request was refused."));
    if (f->status >= 400 && f->status < 500)
        error.status = f->status;
    if (f->class == FAILURE_BAD_REQUEST) {
        error.custom_code = f->code;
        error.type = f->type;
        error.param = f->param;
    }
    error.trace = t;
    return error;
}

/* The number a word is, between brackets or before a full stop as well: "(8,192)." is 8192; 0 for
 * all others, among them the names and dates of models. */
static uint64_t number_of(struct span word) {
    uint64_t n = 0;
    while (word.len && strchr("([\"'`", word.at[0]))
        word = span_sub(word, 1, word.len);
    while (word.len && strchr(".,;:!?)]\"'`", word.at[word.len - 1]))
        word.len--;
    for (size_t i = 0; i < word.len; i++) {
        char c = word.at[i];
        if ((c < '0' || c > '9') && c != ',')
            return 0;
        if (c != ',')
            n = n * 10 + (uint64_t)(c - '0');
        if (n > TOKENS_MAX)
            return 0;
    }
    return n >= TOKENS_MIN ? n : 0;
}

/* The next number in *rest that may be a count of tokens, or 0 when there is none. */
static uint64_t next_number(struct span *rest) {
    struct span word;
    uint64_t n = 0;
    while (n == 0 && span_split(rest, ' ', &word))
        n = number_of(word);
    return n;
}

/* How many tokens were too many for how many: providers say both, each in its own words. The larger
 * is what was asked for. The limit is what we know it to be, where they say that figure too; else
 * the first that is smaller, since they begin with it ("maximum context length is 8192 tokens"). */
static void read_figures(struct span message, uint32_t context, struct api_error *error) {
    uint64_t n, most = 0, first = 0;
    bool known = false;
    for (struct span rest = message; (n = next_number(&rest));) {
        known |= n == context;
        most = n > most ? n : most;
    }
    for (struct span rest = message; !first && (n = next_number(&rest));)
        first = n < most ? n : 0;
    uint64_t limit = known ? context : first;
    if (limit && limit < most)
        error->tokens = most, error->limit = limit;
}

static uint32_t last_context(const struct trace *t) {
    uint32_t context = 0;
    for (const struct trace_attempt *a = t->attempts; a; a = a->next)
        if (a->tried)
            context = a->target->context;
    return context;
}

static struct api_error too_long(const struct trace *t, const struct attempt_failure *last) {
    struct api_error error = api_error(
        ERROR_CONTEXT_LENGTH_EXCEEDED,
        last->message.len ? last->message
                          : SPAN("The prompt is longer than the model's context window."));
    read_figures(last->message, last_context(t), &error);
    error.trace = t;
    return error;
}

struct api_error outcome_exhausted(const struct trace *t, const struct attempt_failure *last,
                                   struct outcome_wait wait, struct arena *arena) {
    if (t->tried == 0)
        return any_open(t) ? all_open(t, wait, arena) : too_dear(t);
    if (last->class == FAILURE_BAD_REQUEST || last->class == FAILURE_CONTENT_FILTER)
        return provider_said(t, last);
    if (shared_class(t) == FAILURE_CONTEXT_LENGTH)
        return too_long(t, last);
    struct span end = waited(wait.too_short_ms, arena);
    struct api_error error = api_error(
        ERROR_FALLBACKS_EXHAUSTED,
        arena_printf(arena,
                     "No target could answer: %u attempt%s, the last one ended with %s.%.*s%s%.*s",
                     t->tried, t->tried == 1 ? "" : "s", failure_name(last->class), SPAN_ARGS(end),
                     last->message.len ? " " : "", SPAN_ARGS(last->message)));
    error.status = shared_status(t);
    error.retry_after_ms = wait.reopens_in_ms;
    error.trace = t;
    return error;
}

/* What took the last targets out: of the last word that cut anything, the reason that held for most.
 * NULL: no word did. */
static const struct cut *last_cut(const struct decision *d) {
    const struct cut *last = NULL;
    for (size_t i = d->n_cuts; i-- > 0;) {
        const struct cut *cut = &d->cuts[i];
        if (last && !span_eq(cut->word, last->word))
            break;
        if ((cut->count || cut->target.at) && (!last || cut->count > last->count))
            last = cut;
    }
    return last;
}

/* The same; where only the client's own wish is left of it, why what it named had gone before. */
static const struct cut *reason(const struct decision *d) {
    const struct cut *last = last_cut(d);
    for (size_t i = 0; last && span_eq(last->word, SPAN("strict")) && i < d->n_cuts; i++)
        if (span_starts(d->cuts[i].why, SPAN("price")))
            return &d->cuts[i];
    return last;
}

struct api_error outcome_queue_full(const struct trace *t, uint32_t in_ms) {
    struct api_error error =
        api_error(ERROR_QUEUE_FULL, SPAN("Too many requests wait for a target to come back."));
    error.retry_after_ms = in_ms;
    error.trace = t;
    return error;
}

struct api_error outcome_no_target(const struct decision *decision, const struct trace *t,
                                   struct arena *arena) {
    const struct cut *last = reason(decision);
    struct api_error error =
        api_error(ERROR_NO_ELIGIBLE_TARGET, SPAN("The policy left no target."));
    error.trace = t;
    if (!last)
        return error;
    error.message = arena_printf(arena, "The policy left no target: %.*s took out the last (%.*s).",
                                 SPAN_ARGS(last->word), SPAN_ARGS(last->why));
    /* Reasons begin with what they are about (lua/perilune/fleet.lua). */
    if (span_starts(last->why, SPAN("price")))
        error.status = 402;
    else if (span_starts(last->why, SPAN("context")) || span_starts(last->why, SPAN("abilit")))
        error.status = 400;
    return error;
}

struct api_error outcome_interrupted(const struct trace *t, const struct attempt_failure *last,
                                     struct arena *arena) {
    struct api_error error =
        api_error(ERROR_UPSTREAM_INTERRUPTED,
                  arena_printf(arena, "The answer broke off (%s). %.*s", failure_name(last->class),
                               SPAN_ARGS(last->message)));
    error.trace = t;
    return error;
}

struct api_error outcome_too_late(const struct trace *t, uint64_t ms, struct arena *arena) {
    struct api_error error =
        api_error(ERROR_DEADLINE_EXCEEDED,
                  arena_printf(arena, "The request's deadline of %llu ms has passed.",
                               (unsigned long long)ms));
    error.trace = t;
    return error;
}
