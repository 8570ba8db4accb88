/* events.c - what one text event costs on its way from a provider's dialect to a client's, and one
 * request and answer.
 *
 *   bench_events [--json]
 *   bench_events open|answer CLIENT SPOKEN TIMES      one thing alone, to count instructions of it
 *
 * For each client and each dialect spoken: microseconds an event in the adapter (the crossing into
 * Lua included), an event in the whole stream (bytes in, bytes out), a small request built, a small
 * answer translated. What passes through has the second alone. Texts differ from one event to the
 * next, as they do in an answer. The quickest of some rounds, so that a neighbour's noise is left
 * out; a round is long enough to hold what happens seldom.
 */
#include "base/clock.h"
#include "route/stream.h"
#include "script/vm.h"

#include <stdio.h>
#include <stdlib.h>

enum { EVENTS = 8000, ROUNDS = 6, OPENS = 500, PIECE_MAX = 512 };

struct spoken {
    enum dialect dialect;
    /* Events as SSE; of Bedrock "type payload", in frames: what comes before the text, a piece. */
    const char *before, *piece;
    const char *answer; /* a whole one */
};

#define TEXT                                                                                       \
    "\"A router sends each request to the model that suits it, and to another one when that "      \
    "fails."                                                                                       \
    "\\nOne wants it for price, for speed and for peace of mind.\""

#define CHUNK(delta)                                                                               \
    "data: {\"id\":\"chatcmpl-9x\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,"   \
    "\"model\":\"vendor-m\",\"system_fingerprint\":\"fp_1\",\"choices\":[{\"index\":0,\"delta\":"  \
    "{" delta "},\"logprobs\":null,\"finish_reason\":null}]}\n\n"
#define NAMED(name, members) "event: " name "\ndata: {\"type\":\"" name "\"," members "}\n\n"
#define RESPONSE                                                                                   \
    "\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1790000000,"           \
    "\"status\":\"in_progress\",\"model\":\"vendor-m\",\"output\":[]}"

static const struct spoken all_spoken[] = {
    { DIALECT_OPENAI_CHAT, CHUNK("\"role\":\"assistant\",\"content\":\"\""),
      CHUNK("\"content\":\" word\""),
      "{\"id\":\"chatcmpl-9x\",\"object\":\"chat.completion\",\"created\":1790000000,\"model\":"
      "\"vendor-m\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":" TEXT
      ",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_"
      "tokens\":"
      "10,\"completion_tokens\":30,\"total_tokens\":40}}" },
    { DIALECT_OPENAI_RESPONSES,
      NAMED("response.created", "\"sequence_number\":0," RESPONSE)
          NAMED("response.output_item.added",
                "\"sequence_number\":1,\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":"
                "\"message\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}")
              NAMED("response.content_part.added",
                    "\"sequence_number\":2,\"item_id\":\"msg_1\",\"output_index\":0,"
                    "\"content_index\":0,\"part\":{\"type\":\"output_text\",\"text\":\"\","
                    "\"annotations\":[],\"logprobs\":[]}"),
      NAMED("response.output_text.delta",
            "\"sequence_number\":3,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,"
            "\"delta\":\" word\",\"logprobs\":[],\"obfuscation\":\"7Yx1mD9s\""),
      "{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1790000000,\"status\":"
      "\"completed\","
      "\"model\":\"vendor-m\",\"output\":[{\"type\":\"message\",\"id\":\"msg_1\",\"status\":"
      "\"completed\","
      "\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":" TEXT
      ",\"annotations\":[],\"logprobs\":[]}]}],\"usage\":{\"input_tokens\":10,\"output_tokens\":30,"
      "\"total_tokens\":40}}" },
    { DIALECT_ANTHROPIC_MESSAGES,
      NAMED("message_start",
            "\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"
            "\"vendor-m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":"
            "{\"input_tokens\":10,\"output_tokens\":1}}")
          NAMED("content_block_start",
                "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}"),
      NAMED("content_block_delta",
            "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" word\"}"),
      "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"vendor-m\","
      "\"content\":"
      "[{\"type\":\"text\",\"text\":" TEXT "}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
      "\"usage\":{\"input_tokens\":10,\"output_tokens\":30}}" },
    { DIALECT_GEMINI, "",
      "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\" word\"}],\"role\":\"model\"},"
      "\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":5,"
      "\"totalTokenCount\":15},\"modelVersion\":\"vendor-m\",\"responseId\":\"r1\"}\n\n",
      "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":" TEXT
      "}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":"
      "{\"promptTokenCount\":10,\"candidatesTokenCount\":30,\"totalTokenCount\":40},"
      "\"modelVersion\":\"vendor-m\",\"responseId\":\"r1\"}" },
    { DIALECT_BEDROCK_CONVERSE, "messageStart {\"role\":\"assistant\",\"p\":\"abc\"}",
      "contentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"text\":\" "
      "word\"},\"p\":\"abcdefgh\"}",
      "{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[{\"text\":" TEXT
      "}]}},\"stopReason\":\"end_turn\",\"usage\":{\"inputTokens\":10,\"outputTokens\":30,"
      "\"totalTokens\":40},\"metrics\":{\"latencyMs\":300}}" },
};
enum { SPOKEN = sizeof all_spoken / sizeof *all_spoken };

#define MESSAGES                                                                                   \
    "\"messages\":[{\"role\":\"user\",\"content\":\"What does a router for language models do, "   \
    "and why would one want it?\"}]"

static const struct client {
    enum dialect dialect;
    const char *body;
} clients[] = {
    { DIALECT_OPENAI_CHAT, "{\"model\":\"m\",\"stream\":true,\"temperature\":0.5," MESSAGES "}" },
    { DIALECT_OPENAI_RESPONSES,
      "{\"model\":\"m\",\"stream\":true,\"temperature\":0.5,\"input\":\"What does a router for "
      "language models do, and why would one want it?\"}" },
    { DIALECT_ANTHROPIC_MESSAGES,
      "{\"model\":\"m\",\"stream\":true,\"temperature\":0.5,\"max_tokens\":100," MESSAGES "}" },
};
enum { CLIENTS = sizeof clients / sizeof *clients };

static const struct provider provider = { .name = { "p", 1 } };
static const struct target target = { .id = { "p/m", 3 },
                                      .model = { "m", 1 },
                                      .upstream = { "vendor-m", 8 },
                                      .provider = &provider,
                                      .max_output = 4096,
                                      .abilities = UINT32_MAX };
static struct adapter *adapter;
static struct json_parser *parser;

static int open_one(const struct client *c, const struct spoken *s) {
    struct arena arena;
    struct buf body = { 0 };
    const char *why;
    arena_init(&arena, 1024);
    struct adapter_setup setup = { .client = c->dialect,
                                   .spoken = s->dialect,
                                   .target = &target,
                                   .body = span_of(c->body),
                                   .stream = true,
                                   .id = SPAN("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
                                   .created_s = 1790000000,
                                   .arena = &arena,
                                   .out = &body };
    int handle = adapter_open(adapter, &setup, &why);
    if (!handle) {
        fprintf(stderr, "bench_events: %s\n", why);
        exit(1);
    }
    buf_deinit(&body);
    arena_deinit(&arena);
    return handle;
}

/* A text of the table as it comes over the wire. */
static void add_wire(struct buf *out, const struct spoken *s, const char *text) {
    struct span payload = span_of(text), type;
    if (s->dialect != DIALECT_BEDROCK_CONVERSE)
        buf_add(out, payload);
    else if (span_split(&payload, ' ', &type))
        eventstream_write(out, SPAN("event"), type, payload);
}

/* The piece with another word of the same length. */
static const char *other_piece(const struct spoken *s, char *text) {
    snprintf(text, PIECE_MAX, "%s", s->piece);
    memcpy(strstr(text, " word"), " more", 5);
    return text;
}

struct fed {
    int handle;
};

static bool feed_event(void *owner, const struct sse_event *event) {
    struct fed *fed = owner;
    struct adapter_seen seen;
    struct buf out = { 0 };
    const char *why;
    if (adapter_feed(adapter, fed->handle, event->name, event->data, &out, &seen, &why) < 0) {
        fprintf(stderr, "bench_events: %s\n", why);
        exit(1);
    }
    buf_deinit(&out);
    return true;
}

/* The name and data of a text of the table, however it is framed. */
static struct sse_event event_of(const struct spoken *s, const char *text) {
    struct sse_event event = { 0 };
    struct span rest = span_of(text), line;
    if (s->dialect == DIALECT_BEDROCK_CONVERSE) {
        span_split(&rest, ' ', &event.name);
        event.data = rest;
        return event;
    }
    while (span_split(&rest, '\n', &line)) {
        if (span_starts(line, SPAN("event: ")))
            event.name = span_sub(line, 7, line.len);
        else if (span_starts(line, SPAN("data: ")))
            event.data = span_sub(line, 6, line.len);
    }
    return event;
}

static double adapter_us(const struct client *c, const struct spoken *s) {
    struct fed fed = { .handle = open_one(c, s) };
    char other[PIECE_MAX];
    struct sse_event pieces[] = { event_of(s, s->piece), event_of(s, other_piece(s, other)) };
    double best = 1e9;
    if (s->dialect == DIALECT_BEDROCK_CONVERSE) {
        struct sse_event before = event_of(s, s->before);
        feed_event(&fed, &before);
    } else {
        struct sse sse;
        sse_init(&sse, SIZE_MAX);
        sse_feed(&sse, s->before, strlen(s->before), feed_event, &fed);
        sse_deinit(&sse);
    }
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t from = clock_us();
        for (int i = 0; i < EVENTS; i++)
            feed_event(&fed, &pieces[i % 2]);
        double us = (double)(clock_us() - from) / EVENTS;
        best = us < best ? us : best;
    }
    adapter_close(adapter, fed.handle);
    return best;
}

static void no_route(void *owner, struct buf *out) {}

static double stream_us(const struct client *c, const struct spoken *s, bool passes) {
    struct arena arena;
    struct buf before = { 0 }, pieces[2] = { 0 };
    char other[PIECE_MAX];
    struct stream stream;
    double best = 1e9;
    arena_init(&arena, 1024);
    struct stream_setup setup = { .wire = wire_of(s->dialect),
                                  .adapter = passes ? NULL : adapter,
                                  .handle = passes ? 0 : open_one(c, s),
                                  .frames = s->dialect == DIALECT_BEDROCK_CONVERSE,
                                  .client = c->dialect,
                                  .target = &target,
                                  .parser = parser,
                                  .arena = &arena,
                                  .on_route = no_route };
    stream_init(&stream, &setup);
    add_wire(&before, s, s->before);
    stream_feed(&stream, before.at, before.len);
    add_wire(&pieces[0], s, s->piece);
    add_wire(&pieces[1], s, other_piece(s, other));
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t from = clock_us();
        for (int i = 0; i < EVENTS; i++) {
            stream_feed(&stream, pieces[i % 2].at, pieces[i % 2].len);
            buf_clear(&stream.out);
        }
        double us = (double)(clock_us() - from) / EVENTS;
        best = us < best ? us : best;
    }
    if (stream.state != STREAM_FLOWING) {
        fprintf(stderr, "bench_events: the stream broke: %.*s\n", SPAN_ARGS(stream.error.message));
        exit(1);
    }
    if (!passes)
        adapter_close(adapter, setup.handle);
    stream_deinit(&stream);
    arena_deinit(&arena);
    buf_deinit(&before);
    buf_deinit(&pieces[0]);
    buf_deinit(&pieces[1]);
    return best;
}

static void open_times(const struct client *c, const struct spoken *s, int times) {
    for (int i = 0; i < times; i++)
        adapter_close(adapter, open_one(c, s));
}

static double open_us(const struct client *c, const struct spoken *s) {
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t from = clock_us();
        open_times(c, s, OPENS);
        double us = (double)(clock_us() - from) / OPENS;
        best = us < best ? us : best;
    }
    return best;
}

static void answer_times(int handle, const struct spoken *s, int times) {
    for (int i = 0; i < times; i++) {
        struct adapter_seen seen;
        struct buf out = { 0 };
        const char *why;
        if (adapter_answer(adapter, handle, span_of(s->answer), &out, &seen, &why) < 0) {
            fprintf(stderr, "bench_events: %s\n", why);
            exit(1);
        }
        buf_deinit(&out);
    }
}

static double answer_us(const struct client *c, const struct spoken *s) {
    double best = 1e9;
    int handle = open_one(c, s);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t from = clock_us();
        answer_times(handle, s, OPENS);
        double us = (double)(clock_us() - from) / OPENS;
        best = us < best ? us : best;
    }
    adapter_close(adapter, handle);
    return best;
}

static void line(const struct client *c, const struct spoken *s, bool passes, bool json) {
    double feed = passes ? 0 : adapter_us(c, s), stream = stream_us(c, s, passes),
           build = passes ? 0 : open_us(c, s), answer = passes ? 0 : answer_us(c, s);
    printf(json ? "{\"client\":\"%s\",\"spoken\":\"%s\",\"passes\":%s,\"event_us\":%.2f,"
                  "\"stream_us\":%.2f,\"open_us\":%.1f,\"answer_us\":%.1f}\n"
                : "%-20s %-20s %-6s %8.2f %8.2f %8.1f %8.1f\n",
           dialect_name(c->dialect), dialect_name(s->dialect),
           json     ? passes ? "true" : "false"
           : passes ? "passes"
                    : "",
           feed, stream, build, answer);
}

/* Runs untimed: the difference of two runs is what so many more cost, whatever starting does. */
static bool only(const char *what, const char *client, const char *spoken, int times) {
    for (size_t c = 0; c < CLIENTS; c++) {
        for (size_t s = 0; s < SPOKEN; s++) {
            if (strcmp(dialect_name(clients[c].dialect), client) != 0 ||
                strcmp(dialect_name(all_spoken[s].dialect), spoken) != 0)
                continue;
            if (strcmp(what, "open") == 0) {
                open_times(&clients[c], &all_spoken[s], times);
                return true;
            }
            if (strcmp(what, "answer") == 0) {
                int handle = open_one(&clients[c], &all_spoken[s]);
                answer_times(handle, &all_spoken[s], times);
                adapter_close(adapter, handle);
                return true;
            }
        }
    }
    fprintf(stderr, "bench_events: nothing is called that\n");
    return false;
}

static void table(bool json) {
    if (!json)
        printf("%-20s %-27s %8s %8s %8s %8s   microseconds\n", "client", "spoken", "event",
               "stream", "open", "answer");
    for (size_t c = 0; c < CLIENTS; c++) {
        for (size_t s = 0; s < SPOKEN; s++) {
            bool same = clients[c].dialect == all_spoken[s].dialect;
            if (same)
                line(&clients[c], &all_spoken[s], true, json);
            /* Of what comes in the client's own dialect only Chat Completions is ever repaired. */
            if (!same || clients[c].dialect == DIALECT_OPENAI_CHAT)
                line(&clients[c], &all_spoken[s], false, json);
        }
    }
}

int main(int argc, char **argv) {
    bool good = true;
    struct snapshot *snap = snapshot_new();
    snap->config.max_body = 1 << 20;
    snapshot_seal(snap);
    struct vm_watchdog *watchdog = vm_watchdog_new();
    adapter = adapter_new(snap);
    parser = json_parser_new();
    if (!watchdog || !adapter)
        return 1;
    struct vm_guard *guard = vm_guard_open(watchdog);
    adapter_watch(adapter, guard);
    if (argc == 5)
        good = only(argv[1], argv[2], argv[3], atoi(argv[4]));
    else
        table(argc > 1 && strcmp(argv[1], "--json") == 0);
    json_parser_free(parser);
    adapter_free(adapter);
    vm_guard_close(guard);
    vm_watchdog_free(watchdog);
    snapshot_unref(snap);
    return good ? 0 : 1;
}
