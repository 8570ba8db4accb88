#include "route/stream.h"

#include <assert.h>

void stream_init(struct stream *s, const struct stream_setup *setup) {
    assert(!setup->frames || setup->adapter);
    *s = (struct stream){ .setup = *setup, .usage = WIRE_USAGE_UNKNOWN };
    sse_init(&s->sse, STREAM_EVENT_MAX);
    eventstream_init(&s->framer, STREAM_EVENT_MAX);
}

void stream_deinit(struct stream *s) {
    sse_deinit(&s->sse);
    eventstream_deinit(&s->framer);
    buf_deinit(&s->out);
    buf_deinit(&s->last);
}

/* Every choice that began has its finish reason. */
static bool finished(const struct stream *s) {
    return s->ended && !(s->begun & ~s->ended);
}

/* What waited to be the last chunk is not: it goes as it came. */
static void let_go(struct stream *s) {
    buf_add(&s->out, buf_span(&s->last));
    buf_clear(&s->last);
}

static bool broken(struct stream *s, enum failure why, struct span message) {
    let_go(s);
    s->state = STREAM_FAILED;
    s->why = why;
    if (message.at)
        s->error.message = message;
    return false;
}

/* --- what an event says --- */

static void note_usage(struct stream *s, const struct wire_usage *told) {
    int64_t known = s->usage.output;
    wire_usage_merge(&s->usage, told);
    if (s->usage.output != known)
        s->told_at = s->text;
}

static void note_text(struct stream *s, const struct wire_seen *seen) {
    if (!seen->all_text)
        s->text += seen->text;
    else if (seen->text > s->text)
        s->text = seen->text;
}

static void note(struct stream *s, const struct wire_seen *seen) {
    s->content |= seen->content;
    s->begun |= seen->begun;
    s->ended |= seen->ended;
    s->excused |= seen->excused;
    note_text(s, seen);
    if (seen->has_usage)
        note_usage(s, &seen->usage);
    if (!s->model.at && seen->model.len)
        s->model = arena_copy(s->setup.arena, seen->model);
}

/* --- what the client gets --- */

/* An object's text with a member set. False: there is no one place for it. `in` is where it stands
 * in the document the parser has just read (NULL: it is that). */
static bool set_member(struct stream *s, struct span object, const struct json_member *in,
                       struct span name, struct span raw, struct buf *out) {
    struct json_edit edit = { .where = { .name = name }, .raw = raw };
    if (json_locate(s->setup.parser, in, &edit.where, 1) != JSON_OK)
        return false;
    json_splice(object, &edit, 1, out);
    return true;
}

/* One event with a member set in its data, which the parser has just read: in the object `in`, or at
 * the top (SPAN_NONE). False: there is no one place for it. */
static bool write_with(struct stream *s, const struct sse_event *event, struct span in,
                       struct span name, struct span raw, struct buf *out) {
    struct json_edit outer = { .where = { .name = in } };
    struct buf data = { 0 }, inner = { 0 };
    bool set;
    if (in.at) {
        set = json_locate(s->setup.parser, NULL, &outer.where, 1) == JSON_OK && outer.where.found &&
              set_member(s,
                         span_sub(event->data, outer.where.value_at,
                                  outer.where.value_end - outer.where.value_at),
                         &outer.where, name, raw, &inner);
        outer.raw = buf_span(&inner);
        if (set)
            json_splice(event->data, &outer, 1, &data);
    } else {
        set = set_member(s, event->data, NULL, name, raw, &data);
    }
    if (set)
        sse_write(out, event->name, buf_span(&data));
    buf_deinit(&inner);
    buf_deinit(&data);
    return set;
}

/* One event, with the model that the provider left out. */
static void write_named(struct stream *s, const struct sse_event *event, struct buf *out) {
    struct buf model = { 0 };
    buf_add_json(&model, s->model.at ? s->model : s->setup.target->model);
    if (!write_with(s, event, s->setup.wire->model_in, SPAN("model"), buf_span(&model), out))
        buf_add(out, event->raw);
    buf_deinit(&model);
}

static bool wants_route(struct stream *s) {
    struct buf route = { 0 };
    s->setup.on_route(s->setup.owner, &route);
    bool wants = route.len > 0;
    buf_deinit(&route);
    return wants;
}

/* An error within a stream of Responses continues it: it has the response's id and the next number.
 * The first event that has them tells; numbers go up by one. */
static void note_place(struct stream *s, const struct sse_event *event) {
    struct error_place *at = &s->counted;
    struct json_value root, response;
    int64_t number;
    if (s->setup.client != DIALECT_OPENAI_RESPONSES)
        return;
    if (at->id.at) {
        at->sequence++;
        return;
    }
    if (json_parse(s->setup.parser, event->data, &root) != JSON_OK)
        return;
    response = json_get(root, "response");
    at->id = arena_copy(s->setup.arena, json_text(json_get(response, "id")));
    at->model = arena_copy(s->setup.arena, json_text(json_get(response, "model")));
    if (json_int(json_get(response, "created_at"), &number) && number > 0)
        at->created_s = (uint64_t)number;
    if (json_int(json_get(root, "sequence_number"), &number) && number >= 0)
        at->sequence = (uint64_t)number + 1;
}

/* One event on its way to the client. One that may be the last waits for what follows when it is to
 * carry the route: only that can tell. Nothing else ever waits. */
static void put(struct stream *s, const struct sse_event *event, bool add_model, bool may_be_last) {
    let_go(s);
    struct buf *out = may_be_last && wants_route(s) ? &s->last : &s->out;
    if (add_model)
        write_named(s, event, out);
    else
        buf_add(out, event->raw);
    note_place(s, event);
}

static bool on_last(void *owner, const struct sse_event *event) {
    struct stream *s = owner;
    struct json_value root;
    struct buf route = { 0 };
    s->setup.on_route(s->setup.owner, &route);
    if (!route.len || json_parse(s->setup.parser, event->data, &root) != JSON_OK ||
        !write_with(s, event, SPAN_NONE, SPAN("route"), buf_span(&route), &s->out))
        buf_add(&s->out, event->raw);
    buf_deinit(&route);
    return true;
}

/* The chunk that waited is the last one. */
static void put_last(struct stream *s) {
    struct sse sse;
    sse_init(&sse, SIZE_MAX);
    sse_feed(&sse, s->last.at, s->last.len, on_last, s);
    sse_deinit(&sse);
    buf_clear(&s->last);
}

/* --- the end --- */

/* After every event: is this for the client yet, or never? */
static bool weigh(struct stream *s) {
    if (s->state == STREAM_HELD && (s->content || (finished(s) && s->excused)))
        s->state = STREAM_FLOWING;
    if (s->state == STREAM_HELD && finished(s))
        return broken(s, FAILURE_BAD_RESPONSE, SPAN("The stream finished without any content."));
    if (s->state == STREAM_HELD && s->out.len > STREAM_HELD_MAX)
        return broken(s, FAILURE_BAD_RESPONSE, SPAN("Too much came before the first content."));
    if (s->state == STREAM_FLOWING)
        s->place = s->counted;
    return true;
}

static bool finish_adapted(struct stream *s);

static bool end(struct stream *s) {
    if (!finished(s))
        return broken(s, FAILURE_CUT_STREAM, SPAN("The stream ended without a finish reason."));
    if (s->setup.adapter && !finish_adapted(s))
        return false;
    s->state = STREAM_ENDED;
    put_last(s);
    return false;
}

/* The bytes are over, and no end mark came. A stream whose mark is an event of its own is not over
 * without it: its client waits for it as well. */
static bool closed(struct stream *s) {
    if (!s->setup.adapter && !s->setup.wire->end_mark.at && finished(s))
        return broken(s, FAILURE_CUT_STREAM, SPAN("The stream ended without its last event."));
    return end(s);
}

static bool failed(struct stream *s, struct wire_error error) {
    const struct provider *p = s->setup.target->provider;
    wire_mask((struct wire_secrets){ p, s->setup.bearer }, s->setup.arena, &error);
    s->error = error;
    return broken(s, wire_classify(p->rules, p->n_rules, 200, &error), SPAN_NONE);
}

/* An event nobody understands. The last one, when nothing ended it, was cut off: behind the finish
 * that was the end mark, or usage at most. */
static bool malformed(struct stream *s, struct span message) {
    if (!s->closing)
        return broken(s, FAILURE_BAD_RESPONSE, message);
    if (finished(s))
        return closed(s);
    return broken(s, FAILURE_CUT_STREAM, SPAN("The stream broke off within an event."));
}

/* --- passed through --- */

/* The end mark. Where it is an event as the others it goes to the client as the last one, which is
 * then known to be; after a finish only: the client would take it for one. */
static bool pass_end(struct stream *s, const struct sse_event *event,
                     const struct wire_seen *seen) {
    if (!s->setup.wire->end_mark.at && finished(s)) {
        put(s, event, seen->nameless, true);
        if (!weigh(s))
            return false;
    }
    return end(s);
}

/* Where streams end in a mark behind their last event, some leave it out: then any event after the
 * finish may be the last. */
static bool may_be_last(const struct stream *s) {
    return s->setup.wire->end_mark.at && finished(s);
}

static bool pass(struct stream *s, const struct sse_event *event) {
    struct wire_seen seen = { 0 };
    s->setup.wire->read_event(s->setup.parser, event->name, event->data, s->setup.arena, &seen);
    switch (seen.kind) {
    case WIRE_ERROR:
        return failed(s, seen.error);
    case WIRE_MALFORMED:
        return malformed(s, SPAN("An event was not in the provider's dialect."));
    case WIRE_END:
    case WIRE_OK:
        break;
    }
    note(s, &seen);
    if (seen.kind == WIRE_END)
        return pass_end(s, event, &seen);
    if (!seen.only_usage || s->setup.keep_usage)
        put(s, event, seen.nameless, may_be_last(s));
    return weigh(s);
}

/* --- translated --- */

struct wire_usage stream_usage(const struct adapter_seen *seen) {
    return (struct wire_usage){ .input = seen->input_tokens,
                                .output = seen->output_tokens,
                                .cached = seen->cached_tokens,
                                .written = seen->cache_write_tokens,
                                .reasoning = seen->reasoning_tokens,
                                .fresh = -1 };
}

static void note_adapted(struct stream *s, const struct adapter_seen *seen) {
    const struct wire_seen same = {
        .content = seen->content,
        .text = seen->text,
        .excused = seen->excused,
        .has_usage = true,
        .usage = stream_usage(seen),
        .model = seen->model,
    };
    note(s, &same);
    /* The adapter counts the choices: a new one may begin after all others have finished. */
    s->begun = 1;
    s->ended = seen->finished;
    for (size_t i = 0; s->setup.on_keep && i < seen->n_keeps; i++)
        s->setup.on_keep(s->setup.owner, seen->keeps[i]);
}

static bool on_made(void *owner, const struct sse_event *event) {
    put(owner, event, false, finished(owner));
    return true;
}

/* The events an adapter made: one by one where each may be the last, or is counted, else as they
 * are. */
static void put_made(struct stream *s, struct span made) {
    if (!finished(s) && s->setup.client != DIALECT_OPENAI_RESPONSES) {
        let_go(s);
        buf_add(&s->out, made);
        return;
    }
    struct sse sse;
    sse_init(&sse, SIZE_MAX);
    sse_feed(&sse, made.at, made.len, on_made, s);
    sse_end(&sse, on_made, s);
    sse_deinit(&sse);
}

/* What the adapter says of the provider: false when that is a failure. */
static bool take_adapted(struct stream *s, const struct adapter_seen *seen, struct span made) {
    struct arena *arena = s->setup.arena;
    if (seen->error)
        return failed(s, (struct wire_error){ .message = arena_copy(arena, seen->message),
                                              .code = arena_copy(arena, seen->code),
                                              .type = arena_copy(arena, seen->type) });
    note_adapted(s, seen);
    put_made(s, made);
    return true;
}

static bool adapt(struct stream *s, struct span name, struct span data) {
    struct adapter_seen seen = { 0 };
    struct buf made = { 0 };
    const char *why;
    int error = adapter_feed(s->setup.adapter, s->setup.handle, name, data, &made, &seen, &why);
    bool fine = error < 0 ? malformed(s, arena_copy(s->setup.arena, span_of(why)))
                          : take_adapted(s, &seen, buf_span(&made));
    buf_deinit(&made);
    if (!fine || error < 0 || !weigh(s))
        return false;
    return !seen.ended || end(s);
}

static bool finish_adapted(struct stream *s) {
    struct adapter_seen seen = { 0 };
    struct buf made = { 0 };
    const char *why;
    int error = adapter_finish(s->setup.adapter, s->setup.handle, &made, &seen, &why);
    bool fine = error < 0
                    ? broken(s, FAILURE_BAD_RESPONSE, arena_copy(s->setup.arena, span_of(why)))
                    : take_adapted(s, &seen, buf_span(&made));
    buf_deinit(&made);
    return fine;
}

/* --- bytes --- */

static bool on_event(void *owner, const struct sse_event *event) {
    struct stream *s = owner;
    if (!event->data.at) {
        /* Comments keep a client's connection warm; before there is content nobody gets them. */
        if (s->state == STREAM_FLOWING && !event->name.at)
            buf_add(&s->out, event->raw);
        return true;
    }
    /* Some keep the connection warm by events that say nothing; the clients' libraries break on
     * them. */
    if (!span_trim(event->data).len)
        return true;
    s->events++;
    return s->setup.adapter ? adapt(s, event->name, event->data) : pass(s, event);
}

/* A frame that is no event tells a failure: its kind is its name, and what it says is its payload or,
 * of the oldest kind, a header. */
static bool on_frame(void *owner, const struct eventstream_frame *frame) {
    struct stream *s = owner;
    s->events++;
    if (span_eq(frame->message_type, SPAN("error"))) {
        struct arena *arena = s->setup.arena;
        return failed(s, (struct wire_error){ .message = arena_copy(arena, frame->error_message),
                                              .type = arena_copy(arena, frame->error_code) });
    }
    bool event = span_eq(frame->message_type, SPAN("event"));
    return adapt(s, event ? frame->event_type : frame->exception_type, frame->payload);
}

static bool over(const struct stream *s) {
    return s->state == STREAM_ENDED || s->state == STREAM_FAILED;
}

void stream_feed(struct stream *s, const char *bytes, size_t len) {
    if (over(s))
        return;
    bool fine = s->setup.frames ? eventstream_feed(&s->framer, bytes, len, on_frame, s)
                                : sse_feed(&s->sse, bytes, len, on_event, s);
    if (!fine && !over(s))
        broken(s, FAILURE_BAD_RESPONSE,
               s->setup.frames ? SPAN("A frame was damaged or too large.")
                               : SPAN("An event was too large."));
}

void stream_close(struct stream *s) {
    if (over(s))
        return;
    s->closing = true;
    if (!s->setup.frames)
        sse_end(&s->sse, on_event, s);
    if (over(s))
        return;
    if (!s->events)
        broken(s, FAILURE_BAD_RESPONSE, SPAN("The stream was empty."));
    else if (!eventstream_whole(&s->framer) && !finished(s))
        broken(s, FAILURE_CUT_STREAM, SPAN("The stream broke off within a frame."));
    else
        closed(s);
}

void stream_settle(struct stream *s) {
    struct adapter_seen seen = { 0 };
    if (!s->setup.adapter)
        return;
    adapter_settle(s->setup.adapter, s->setup.handle, &seen);
    const struct wire_usage told = stream_usage(&seen);
    note_usage(s, &told);
}
