#include "fuzz/played.h"

static const struct provider provider = { .name = { "p", 1 } };
static const struct target target = { .id = { "p/m", 3 },
                                      .model = { "our-name", 8 },
                                      .provider = &provider };

struct json_parser *played_parser(void) {
    static struct json_parser *parser;
    if (!parser)
        parser = json_parser_new();
    return parser;
}

static void on_route(void *owner, struct buf *out) {
    const struct played *p = owner;
    buf_add(out, p->route);
}

static void on_keep(void *owner, struct pair keep) {
    struct played *p = owner;
    buf_printf(&p->told, "keep %.*s %.*s\n", SPAN_ARGS(keep.name), SPAN_ARGS(keep.value));
}

struct playing {
    struct stream stream;
    struct played *p;
};

static void feed(void *owner, const char *bytes, size_t len) {
    struct playing *playing = owner;
    struct stream *s = &playing->stream;
    stream_feed(s, bytes, len);
    if (s->state == STREAM_FLOWING) {
        buf_add(&playing->p->out, buf_span(&s->out));
        buf_clear(&s->out);
    }
}

static void tell(struct played *p, const struct stream *s) {
    const struct wire_usage *u = &s->usage;
    buf_printf(&p->told, "%d %s, model %.*s, error %.*s %.*s %.*s\n", s->state,
               failure_name(s->why), SPAN_ARGS(s->model), SPAN_ARGS(s->error.message),
               SPAN_ARGS(s->error.code), SPAN_ARGS(s->error.type));
    buf_printf(&p->told, "usage %d %d %d %d %d, at %.*s %d", (int)u->input, (int)u->output,
               (int)u->cached, (int)u->written, (int)u->reasoning, SPAN_ARGS(s->place.id),
               (int)s->place.sequence);
}

void played_run(struct played *p, const struct stream_setup *setup, struct span text, uint32_t seed,
                bool routes) {
    struct playing playing = { .p = p };
    struct arena arena;
    struct stream_setup full = *setup;
    *p = (struct played){ .route = routes ? SPAN("{\"attempts\":[]}") : SPAN_NONE };
    arena_init(&arena, 1024);
    full.target = &target;
    full.parser = played_parser();
    full.arena = &arena;
    full.on_route = on_route;
    full.on_keep = on_keep;
    full.owner = p;
    stream_init(&playing.stream, &full);
    fuzz_in_parts(text, seed, feed, &playing);
    stream_close(&playing.stream);
    buf_add(&p->out, buf_span(&playing.stream.out));
    tell(p, &playing.stream);
    p->state = playing.stream.state;
    if (playing.stream.error.message.len)
        buf_printf(&p->message, "%.*s%c", SPAN_ARGS(playing.stream.error.message), 0);
    p->flowed = p->state == STREAM_ENDED || playing.stream.content;
    stream_deinit(&playing.stream);
    arena_deinit(&arena);
}

void played_deinit(struct played *p) {
    buf_deinit(&p->out);
    buf_deinit(&p->told);
    buf_deinit(&p->message);
}

void played_same(const struct played *a, const struct played *b) {
    if (!span_eq(buf_span(&a->told), buf_span(&b->told)) ||
        !span_eq(buf_span(&a->out), buf_span(&b->out)))
        fuzz_fail("whole: %.*s\n%.*s\nin parts: %.*s\n%.*s", SPAN_ARGS(buf_span(&a->told)),
                  SPAN_ARGS(buf_span(&a->out)), SPAN_ARGS(buf_span(&b->told)),
                  SPAN_ARGS(buf_span(&b->out)));
}

static bool on_event(void *owner, const struct sse_event *event) {
    size_t *events = owner;
    ++*events;
    return true;
}

void played_events_whole(const struct played *p) {
    struct sse sse;
    size_t events = 0, whole;
    sse_init(&sse, SIZE_MAX);
    sse_feed(&sse, p->out.at, p->out.len, on_event, &events);
    whole = events;
    sse_end(&sse, on_event, &events);
    sse_deinit(&sse);
    if (events != whole)
        fuzz_fail("half an event at the end of:\n%.*s", SPAN_ARGS(buf_span(&p->out)));
}
