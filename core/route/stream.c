#include "route/stream.h"

void stream_init(struct stream *s, const struct stream_setup *setup) {
    *s = (struct stream){ .setup = *setup, .usage = WIRE_USAGE_UNKNOWN };
    sse_init(&s->sse, STREAM_EVENT_MAX);
}

void stream_deinit(struct stream *s) {
    sse_deinit(&s->sse);
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

static void keep(int64_t *figure, int64_t said) {
    if (said >= 0)
        *figure = said;
}

static void note(struct stream *s, const struct wire_seen *seen) {
    s->content |= seen->content;
    s->begun |= seen->begun;
    s->ended |= seen->ended;
    s->excused |= seen->excused;
    if (seen->has_usage) {
        keep(&s->usage.input, seen->usage.input);
        keep(&s->usage.output, seen->usage.output);
        keep(&s->usage.cached, seen->usage.cached);
        keep(&s->usage.reasoning, seen->usage.reasoning);
    }
    if (!s->model.at && seen->model.len)
        s->model = arena_copy(s->setup.arena, seen->model);
}

/* --- what the client gets --- */

/* One event with a member set in its data, which the parser has just read. False: there is no one
 * place for it. */
static bool write_with(struct stream *s, const struct sse_event *event, struct span name,
                       struct span raw, struct buf *out) {
    struct json_edit edit = { .where = { .name = name }, .raw = raw };
    struct buf data = { 0 };
    if (json_locate(s->setup.parser, NULL, &edit.where, 1) != JSON_OK)
        return false;
    json_splice(event->data, &edit, 1, &data);
    sse_write(out, event->name, buf_span(&data));
    buf_deinit(&data);
    return true;
}

/* One event, with the model that the provider left out. */
static void write_named(struct stream *s, const struct sse_event *event, struct buf *out) {
    struct buf model = { 0 };
    buf_add_json(&model, s->model.at ? s->model : s->setup.target->model);
    if (!write_with(s, event, SPAN("model"), buf_span(&model), out))
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

/* One event on its way to the client. From the finish on each may be the last, which only what
 * follows can tell: it waits for that when it is to carry the route. Nothing else ever waits. */
static void put(struct stream *s, const struct sse_event *event, bool add_model) {
    let_go(s);
    struct buf *out = finished(s) && wants_route(s) ? &s->last : &s->out;
    if (add_model)
        write_named(s, event, out);
    else
        buf_add(out, event->raw);
}

static bool on_last(void *owner, const struct sse_event *event) {
    struct stream *s = owner;
    struct json_value root;
    struct buf route = { 0 };
    s->setup.on_route(s->setup.owner, &route);
    if (!route.len || json_parse(s->setup.parser, event->data, &root) != JSON_OK ||
        !write_with(s, event, SPAN("route"), buf_span(&route), &s->out))
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
    return true;
}

static bool finish_adapted(struct stream *s);

static bool end(struct stream *s) {
    if (!finished(s))
        return broken(s, FAILURE_CUT_STREAM, SPAN("The stream ended without a finish reason."));
    if (s->setup.adapter && !finish_adapted(s))
        return false;
    put_last(s);
    s->state = STREAM_ENDED;
    return false;
}

static bool failed(struct stream *s, struct wire_error error) {
    const struct provider *p = s->setup.target->provider;
    wire_mask(p, s->setup.arena, &error);
    s->error = error;
    return broken(s, wire_classify(p->rules, p->n_rules, 200, &error), SPAN_NONE);
}

/* An event nobody understands. The last one, when nothing ended it, was cut off: behind the finish
 * that was the end mark, or usage at most. */
static bool malformed(struct stream *s, struct span message) {
    if (!s->closing)
        return broken(s, FAILURE_BAD_RESPONSE, message);
    if (finished(s))
        return end(s);
    return broken(s, FAILURE_CUT_STREAM, SPAN("The stream broke off within an event."));
}

/* --- the two ways --- */

static bool pass(struct stream *s, const struct sse_event *event) {
    struct wire_seen seen = { 0 };
    s->setup.wire->read_event(s->setup.parser, event->name, event->data, s->setup.arena, &seen);
    switch (seen.kind) {
    case WIRE_END:
        return end(s);
    case WIRE_ERROR:
        return failed(s, seen.error);
    case WIRE_MALFORMED:
        return malformed(s, SPAN("An event was not in the provider's dialect."));
    case WIRE_OK:
        break;
    }
    note(s, &seen);
    if (!seen.only_usage || s->setup.keep_usage)
        put(s, event, !seen.model.len);
    return weigh(s);
}

static void note_adapted(struct stream *s, const struct adapter_seen *seen) {
    struct wire_seen same = {
        .content = seen->content,
        .begun = seen->finished,
        .ended = seen->finished,
        .excused = seen->excused,
        .has_usage = true,
        .usage = { seen->input_tokens, seen->output_tokens, seen->cached_tokens,
                   seen->cache_write_tokens, seen->reasoning_tokens },
        .model = seen->model,
    };
    note(s, &same);
}

static bool is_end_mark(const struct sse_event *event) {
    return span_starts(span_trim(event->data), SPAN("[DONE]"));
}

/* The end mark is the receiver's to write. */
static bool on_made(void *owner, const struct sse_event *event) {
    if (!is_end_mark(event))
        put(owner, event, false);
    return true;
}

/* The events an adapter made, one by one. */
static void put_made(struct stream *s, struct span made) {
    struct sse sse;
    sse_init(&sse, SIZE_MAX);
    sse_feed(&sse, made.at, made.len, on_made, s);
    sse_end(&sse, on_made, s);
    sse_deinit(&sse);
}

static bool adapt(struct stream *s, const struct sse_event *event) {
    struct adapter_seen seen = { 0 };
    struct buf made = { 0 };
    const char *why;
    if (is_end_mark(event))
        return end(s);
    int error = adapter_feed(s->setup.adapter, s->setup.handle, event->name, event->data, &made,
                             &seen, &why);
    if (error == 0 && !seen.error) {
        note_adapted(s, &seen);
        put_made(s, buf_span(&made));
    }
    buf_deinit(&made);
    if (error < 0)
        return malformed(s, arena_copy(s->setup.arena, span_of(why)));
    if (seen.error)
        return failed(s,
                      (struct wire_error){ .message = arena_copy(s->setup.arena, seen.message) });
    return weigh(s);
}

static bool finish_adapted(struct stream *s) {
    struct adapter_seen seen = { 0 };
    struct buf made = { 0 };
    const char *why;
    int error = adapter_finish(s->setup.adapter, s->setup.handle, &made, &seen, &why);
    if (error == 0)
        put_made(s, buf_span(&made));
    buf_deinit(&made);
    return error == 0 || broken(s, FAILURE_BAD_RESPONSE, arena_copy(s->setup.arena, span_of(why)));
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
    return s->setup.adapter ? adapt(s, event) : pass(s, event);
}

static bool over(const struct stream *s) {
    return s->state == STREAM_ENDED || s->state == STREAM_FAILED;
}

void stream_feed(struct stream *s, const char *bytes, size_t len) {
    if (over(s))
        return;
    if (!sse_feed(&s->sse, bytes, len, on_event, s) && !over(s))
        broken(s, FAILURE_BAD_RESPONSE, SPAN("An event was too large."));
}

void stream_close(struct stream *s) {
    if (over(s))
        return;
    s->closing = true;
    sse_end(&s->sse, on_event, s);
    if (over(s))
        return;
    if (s->events)
        end(s);
    else
        broken(s, FAILURE_BAD_RESPONSE, SPAN("The stream was empty."));
}
