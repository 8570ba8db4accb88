#include "route/stream.h"

void stream_init(struct stream *s, const struct stream_setup *setup) {
    *s = (struct stream){ .setup = *setup, .usage = { -1, -1, -1, -1 } };
    sse_init(&s->sse, STREAM_EVENT_MAX);
}

void stream_deinit(struct stream *s) {
    sse_deinit(&s->sse);
    buf_deinit(&s->out);
}

static bool broken(struct stream *s, enum failure why, struct span message) {
    s->state = STREAM_FAILED;
    s->why = why;
    if (message.at)
        s->error.message = message;
    return false;
}

static void keep(int64_t *figure, int64_t said) {
    if (said >= 0)
        *figure = said;
}

static void note(struct stream *s, const struct wire_seen *seen) {
    s->content |= seen->content;
    s->finished |= seen->finished > 0;
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

/* Adds what the provider left out (`model`) and what we add (`route`) to one chunk. */
static bool write_changed(struct stream *s, struct span data, bool add_model, struct span route) {
    struct json_member members[2] = { { .name = SPAN("model") }, { .name = SPAN("route") } };
    struct json_edit edits[2];
    struct buf model = { 0 };
    size_t n = 0;
    if (json_locate(s->setup.parser, NULL, members, 2) != JSON_OK)
        return false;
    if (add_model) {
        buf_add_json(&model, s->setup.target->model);
        edits[n++] = (struct json_edit){ .where = members[0], .raw = buf_span(&model) };
    }
    if (route.len)
        edits[n++] = (struct json_edit){ .where = members[1], .raw = route };
    buf_add(&s->out, SPAN("data: "));
    json_splice(data, edits, n, &s->out);
    buf_add(&s->out, SPAN("\n\n"));
    buf_deinit(&model);
    return true;
}

/* The chunk nothing follows but the end mark, as far as the client will see. */
static bool is_last(const struct stream *s, const struct wire_seen *seen) {
    return s->setup.keep_usage ? seen->only_usage : seen->finished > 0;
}

static void write_event(struct stream *s, const struct sse_event *event,
                        const struct wire_seen *seen) {
    struct buf route = { 0 };
    if (!s->routed && is_last(s, seen)) {
        s->setup.on_route(s->setup.owner, &route);
        s->routed = true;
    }
    bool add_model = !seen->model.len;
    if ((!add_model && !route.len) || !write_changed(s, event->data, add_model, buf_span(&route)))
        buf_add(&s->out, event->raw);
    buf_deinit(&route);
}

/* After every event: is this for the client yet, or never? */
static bool weigh(struct stream *s) {
    if (s->state == STREAM_HELD && (s->content || (s->finished && s->excused)))
        s->state = STREAM_FLOWING;
    if (s->state == STREAM_HELD && s->finished)
        return broken(s, FAILURE_BAD_RESPONSE, SPAN("The stream finished without any content."));
    if (s->state == STREAM_HELD && s->out.len > STREAM_HELD_MAX)
        return broken(s, FAILURE_BAD_RESPONSE, SPAN("Too much came before the first content."));
    return true;
}

static bool end(struct stream *s) {
    if (!s->finished)
        return broken(s, FAILURE_CUT_STREAM, SPAN("The stream ended without a finish reason."));
    s->state = STREAM_ENDED;
    return false;
}

static bool failed(struct stream *s, struct wire_error error) {
    const struct provider *p = s->setup.target->provider;
    wire_mask(p, s->setup.arena, &error);
    s->error = error;
    return broken(s, wire_classify(p->rules, p->n_rules, 200, &error), SPAN_NONE);
}

static bool pass(struct stream *s, const struct sse_event *event) {
    struct wire_seen seen = { 0 };
    s->setup.wire->read_event(s->setup.parser, event->name, event->data, s->setup.arena, &seen);
    switch (seen.kind) {
    case WIRE_END:
        return end(s);
    case WIRE_ERROR:
        return failed(s, seen.error);
    case WIRE_MALFORMED:
        return broken(s, FAILURE_BAD_RESPONSE, SPAN("An event was not in the provider's dialect."));
    case WIRE_OK:
        break;
    }
    note(s, &seen);
    if (!seen.only_usage || s->setup.keep_usage)
        write_event(s, event, &seen);
    return weigh(s);
}

static void note_adapted(struct stream *s, const struct adapter_seen *seen) {
    struct wire_seen same = {
        .content = seen->content,
        .finished = seen->finished,
        .has_usage = true,
        .usage = { seen->input_tokens, seen->output_tokens, seen->cached_tokens,
                   seen->reasoning_tokens },
        .model = seen->model,
    };
    note(s, &same);
}

static bool adapt(struct stream *s, const struct sse_event *event) {
    struct adapter_seen seen = { 0 };
    const char *why;
    if (span_eq(event->data, SPAN("[DONE]")))
        return end(s);
    if (adapter_feed(s->setup.adapter, s->setup.handle, event->name, event->data, &s->out, &seen,
                     &why) < 0)
        return broken(s, FAILURE_BAD_RESPONSE, arena_copy(s->setup.arena, span_of(why)));
    if (seen.error)
        return failed(s,
                      (struct wire_error){ .message = arena_copy(s->setup.arena, seen.message) });
    note_adapted(s, &seen);
    return weigh(s);
}

static bool on_event(void *owner, const struct sse_event *event) {
    struct stream *s = owner;
    if (!event->data.at) {
        /* Comments keep a client's connection warm; before there is content nobody gets them. */
        if (s->state == STREAM_FLOWING && !event->name.at)
            buf_add(&s->out, event->raw);
        return true;
    }
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
    const char *why;
    struct adapter_seen seen = { 0 };
    if (!over(s))
        sse_end(&s->sse, on_event, s);
    if (!over(s)) {
        if (!s->events)
            broken(s, FAILURE_BAD_RESPONSE, SPAN("The stream was empty."));
        else
            end(s);
    }
    if (s->state == STREAM_ENDED && s->setup.adapter &&
        adapter_finish(s->setup.adapter, s->setup.handle, &s->out, &seen, &why) < 0)
        broken(s, FAILURE_BAD_RESPONSE, arena_copy(s->setup.arena, span_of(why)));
}
