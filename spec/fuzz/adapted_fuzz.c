/* Streams of each dialect into each client's, through the real adapters: nothing in them breaks,
 * what comes out is whole events of the client's dialect, and no failure looks like a good end. */
#include "fuzz/fuzz.h"

#include "fuzz/played.h"
#include "fuzz/spoken.h"

/* What the events of a client's stream came to. */
struct reading {
    enum dialect client;
    bool repaired; /* the provider's own events, put right: what nobody reads of them stays */
    unsigned events;
    unsigned ends;    /* events that a client takes for a good end */
    int64_t sequence; /* of Responses: the next number */
};

/* Of an event: fails with the event. */
#define expect_of(event, condition)                                                                \
    ((condition) ? (void)0 : fuzz_fail("%s: %.*s", #condition, SPAN_ARGS((event)->raw)))

static struct span type_of(struct json_value root) {
    return json_text(json_get(root, "type"));
}

static void read_chat(struct reading *r, const struct sse_event *event, struct json_value root) {
    expect_of(event, r->repaired || !event->name.at);
    struct json_value choices = json_get(root, "choices");
    expect_of(event, r->repaired || json_type(choices) == JSON_ARRAY);
    for (struct json_iter it = json_iter(choices); json_next(&it);) {
        expect_of(event, r->repaired || json_type(json_get(it.value, "index")) == JSON_NUMBER);
        r->ends += json_text(json_get(it.value, "finish_reason")).at != NULL;
    }
}

static void read_messages(struct reading *r, const struct sse_event *event,
                          struct json_value root) {
    expect_of(event, span_eq(event->name, type_of(root)));
    expect_of(event, !r->ends);
    expect_of(event, (r->events == 0) == span_eq(event->name, SPAN("message_start")));
    r->ends += span_eq(event->name, SPAN("message_stop"));
}

static void read_responses(struct reading *r, const struct sse_event *event,
                           struct json_value root) {
    int64_t number;
    expect_of(event, span_eq(event->name, type_of(root)));
    expect_of(event, !r->ends);
    expect_of(event, json_int(json_get(root, "sequence_number"), &number) && number == r->sequence);
    r->sequence++;
    r->ends += span_eq(event->name, SPAN("response.completed")) ||
               span_eq(event->name, SPAN("response.incomplete"));
}

static bool on_event(void *owner, const struct sse_event *event) {
    struct reading *r = owner;
    struct json_value root;
    if (!event->data.at)
        return true; /* a comment of the provider's */
    if (json_parse(played_parser(), event->data, &root) != JSON_OK)
        fuzz_fail("no JSON: %.*s", SPAN_ARGS(event->data));
    if (r->client == DIALECT_ANTHROPIC_MESSAGES)
        read_messages(r, event, root);
    else if (r->client == DIALECT_OPENAI_RESPONSES)
        read_responses(r, event, root);
    else
        read_chat(r, event, root);
    r->events++;
    return true;
}

static void check(const struct played *p, enum dialect client, enum dialect spoken) {
    struct reading r = { .client = client, .repaired = client == spoken };
    struct sse sse;
    sse_init(&sse, SIZE_MAX);
    sse_feed(&sse, p->out.at, p->out.len, on_event, &r);
    sse_deinit(&sse);
    if (p->flowed && !r.repaired && (p->state == STREAM_ENDED) != (r.ends > 0))
        fuzz_fail("%u good ends of a stream that %.*s:\n%.*s", r.ends,
                  SPAN_ARGS(buf_span(&p->told)), SPAN_ARGS(buf_span(&p->out)));
    if (p->message.at)
        spoken_check(p->message.at);
}

static void play(struct played *p, enum dialect client, enum dialect spoken, struct span text,
                 uint32_t seed, const uint8_t *tail) {
    struct buf upstream = { 0 };
    uint16_t ways = (uint16_t)(tail[6] & 0x10);
    int handle = spoken_open(client, spoken, SPAN_NONE, true, ways, &upstream);
    fuzz_expect(handle > 0);
    struct stream_setup setup = {
        .wire = wire_of(spoken),
        .adapter = spoken_adapter(),
        .handle = handle,
        .frames = spoken == DIALECT_BEDROCK_CONVERSE,
        .client = client,
        .keep_usage = true,
    };
    played_run(p, &setup, text, seed, tail[6] & 1);
    adapter_close(spoken_adapter(), handle);
    buf_deinit(&upstream);
}

/* Lines of "type payload", as Bedrock's frames. */
static void frame(struct span text, struct buf *frames) {
    struct span line, type;
    while (span_split(&text, '\n', &line)) {
        struct span rest = line;
        if (span_split(&rest, ' ', &type) && type.len < 256)
            eventstream_write(
                frames, span_ends(type, SPAN("Exception")) ? SPAN("exception") : SPAN("event"),
                type, rest);
    }
}

static void one(struct span text, const uint8_t *tail) {
    enum dialect spoken = spoken_targets[tail[0] % SPOKEN_TARGETS];
    enum dialect client = spoken_clients[tail[1] % SPOKEN_CLIENTS];
    struct played whole, parts;
    struct buf frames = { 0 };
    if (spoken == DIALECT_BEDROCK_CONVERSE) {
        frame(text, &frames);
        text = buf_span(&frames);
    }
    play(&whole, client, spoken, text, 0, tail);
    check(&whole, client, spoken);
    if (tail[7] & 1) {
        play(&parts, client, spoken, text, fuzz_u32(tail + 2) | 1, tail);
        played_same(&whole, &parts);
        played_deinit(&parts);
    }
    played_deinit(&whole);
    buf_deinit(&frames);
}

static const struct fuzz_folder folders[] = {
    { "fixtures/openai_chat", ".sse", 0 },         { "fixtures/openai_responses", ".sse", 1 },
    { "fixtures/anthropic_messages", ".sse", 2 },  { "fixtures/gemini", ".sse", 3 },
    { "fixtures/bedrock_converse", ".events", 4 }, { 0 },
};
const struct fuzz_target fuzz_target = {
    .name = "adapted", .folders = folders, .tail = 8, .iterations = 6000, .one = one
};
