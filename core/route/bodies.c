#include "route/bodies.h"

#include "money/redact.h"
#include "route/bill.h"
#include "route/request_state.h"

#define DAY_US (86400 * UINT64_C(1000000))

/* What is taken out makes a text shorter or longer: so much more is held of it than is kept, and it
 * is cut when that is done. */
enum { MARGIN = 4096 };

/* Half of a key or of a number looks like none, where the text was cut before: so much of its end is
 * not kept. */
enum { HALVES = 64 };

static const struct bodies_rule *rule_of(const struct request *r) {
    return &r->facts.project->bodies;
}

void bodies_begin(struct request *r) {
    if (rule_of(r)->max_bytes && r->worker->journal)
        r->bodies = arena_new(request_arena(r), struct bodies);
}

void bodies_take(struct request *r, struct span bytes) {
    struct bodies *b = r->bodies;
    size_t room = (size_t)rule_of(r)->max_bytes + MARGIN - b->answer.len;
    b->more |= bytes.len > room;
    buf_add(&b->answer, span_sub(bytes, 0, room));
}

static void write_down(struct request *r, enum entry_part part, struct span bytes, bool more) {
    const struct bodies_rule *rule = rule_of(r);
    struct buf clean = { 0 };
    if (rule->redact) {
        redact(&clean, bytes);
        bytes = buf_span(&clean);
        if (more)
            bytes.len -= bytes.len < HALVES ? bytes.len : HALVES;
    }
    struct entry_body body = { .request = r->trace.id,
                               .part = part,
                               .cut = more || bytes.len > rule->max_bytes,
                               .bytes = span_sub(bytes, 0, rule->max_bytes) };
    if (rule->retention_days)
        body.until_us = r->facts.now_ms * 1000 + rule->retention_days * DAY_US;
    journal_body(r->worker->journal, &body);
    buf_deinit(&clean);
}

void bodies_end(struct request *r) {
    struct bodies *b = r->bodies;
    if (!b)
        return;
    struct span prompt = buf_span(&r->message->body);
    struct span held = span_sub(prompt, 0, (size_t)rule_of(r)->max_bytes + MARGIN);
    write_down(r, ENTRY_PROMPT, held, held.len < prompt.len);
    write_down(r, ENTRY_ANSWER, buf_span(&b->answer), b->more);
    buf_deinit(&b->answer);
    r->bodies = NULL;
}
