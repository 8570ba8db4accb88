/* Streams in which events come again with other texts, through the real adapters: answered from what
 * was learned they say the same as translated event by event, and tell of the same. */
#include "fuzz/fuzz.h"

#include "fuzz/played.h"
#include "fuzz/spoken.h"
#include "support/alike.h"

enum { ON, OFF, WAYS };

struct feeding {
    int handle[WAYS];
    struct buf out[WAYS], alike[WAYS];
    struct wire_usage usage[WAYS];
    struct fuzz_random random;
    bool over;
};

static void note_usage(struct wire_usage *known, const struct adapter_seen *seen) {
    const struct wire_usage told = { .input = seen->input_tokens,
                                     .output = seen->output_tokens,
                                     .cached = seen->cached_tokens,
                                     .written = seen->cache_write_tokens,
                                     .reasoning = seen->reasoning_tokens,
                                     .fresh = -1 };
    wire_usage_merge(known, &told);
}

static void compare_out(struct feeding *f, struct span data) {
    for (int way = 0; way < WAYS; way++) {
        buf_clear(&f->alike[way]);
        alike_events(played_parser(), buf_span(&f->out[way]), &f->alike[way]);
        buf_clear(&f->out[way]);
    }
    if (!span_eq(buf_span(&f->alike[ON]), buf_span(&f->alike[OFF])))
        fuzz_fail("of %.*s\n%.*s\nis not\n%.*s", SPAN_ARGS(data),
                  SPAN_ARGS(buf_span(&f->alike[ON])), SPAN_ARGS(buf_span(&f->alike[OFF])));
}

static void compare_seen(const struct adapter_seen *a, const struct adapter_seen *b) {
    fuzz_expect(a->content == b->content && a->finished == b->finished);
    fuzz_expect(a->excused == b->excused && a->ended == b->ended && a->error == b->error);
    fuzz_expect(span_eq(a->message, b->message) && a->n_keeps == b->n_keeps);
    for (size_t i = 0; i < a->n_keeps; i++)
        fuzz_expect(span_eq(a->keeps[i].value, b->keeps[i].value));
}

static void feed(struct feeding *f, struct span name, struct span data) {
    struct adapter_seen seen[WAYS] = { 0 };
    int error[WAYS];
    const char *why = NULL;
    for (int way = 0; way < WAYS; way++) {
        error[way] = adapter_feed(spoken_adapter(), f->handle[way], name, data, &f->out[way],
                                  &seen[way], &why);
        if (error[way] < 0)
            spoken_check(why);
        else
            note_usage(&f->usage[way], &seen[way]);
    }
    fuzz_expect(error[ON] == error[OFF]);
    compare_out(f, data);
    f->over = error[ON] < 0 || seen[ON].error;
    fuzz_expect(seen[ON].content == seen[OFF].content && seen[ON].error == seen[OFF].error);
    fuzz_expect(seen[ON].finished == seen[OFF].finished && seen[ON].ended == seen[OFF].ended);
}

/* --- events that come again --- */

static const char *const texts[] = { "a",        " word", "\\n", "\\u00e9", "\\ud83d\\ude00",
                                     "\xc3\xa9", "text",  "0",   "\\\"{}",  "",
                                     "\\ud83d",  "\x01",  "}",   "\\/",     "{\\\"a\\\":1}" };
enum { TEXTS = sizeof texts / sizeof *texts, OFTEN = 5 };

/* The body of the n-th string that is a value, by how it mostly looks. */
static struct span nth_string(struct span data, size_t n) {
    struct span rest = data;
    for (;;) {
        const char *at = rest.len ? memmem(rest.at, rest.len, "\":\"", 3) : NULL;
        if (!at)
            return SPAN_NONE;
        rest = span_sub(rest, (size_t)(at - rest.at) + 3, rest.len);
        if (!n--)
            return span_sub(rest, 0, span_find(rest, '"'));
    }
}

static void feed_with(struct feeding *f, struct span name, struct span data, struct span body,
                      const char *text) {
    struct buf changed = { 0 };
    buf_append(&changed, data.at, (size_t)(body.at - data.at));
    buf_add(&changed, span_of(text));
    buf_add(&changed, span_sub(data, (size_t)(body.at - data.at) + body.len, data.len));
    feed(f, name, buf_span(&changed));
    buf_deinit(&changed);
}

/* An event, and mostly the same a few times more, with other texts in one place. */
static bool again(void *owner, const struct sse_event *event) {
    struct feeding *f = owner;
    size_t n = 0, times = fuzz_below(&f->random, 8);
    if (!span_trim(event->data).len)
        return true;
    feed(f, event->name, event->data);
    while (nth_string(event->data, n).at)
        n++;
    struct span body = n ? nth_string(event->data, fuzz_below(&f->random, n)) : SPAN_NONE;
    for (size_t i = 0; body.at && i < times && !f->over; i++) {
        size_t among = fuzz_below(&f->random, 8) ? OFTEN : TEXTS;
        feed_with(f, event->name, event->data, body, texts[fuzz_below(&f->random, among)]);
    }
    return !f->over;
}

static void play(struct feeding *f, enum dialect spoken, struct span text) {
    struct span line, rest = text;
    struct sse sse;
    sse_init(&sse, SIZE_MAX);
    if (spoken != DIALECT_BEDROCK_CONVERSE)
        sse_feed(&sse, text.at, text.len, again, f);
    while (spoken == DIALECT_BEDROCK_CONVERSE && !f->over && span_split(&rest, '\n', &line)) {
        struct sse_event event = { .data = line };
        if (span_split(&event.data, ' ', &event.name) && event.data.at)
            again(f, &event);
    }
    sse_deinit(&sse);
}

/* Ended well, or given up. */
static void end(struct feeding *f, bool well) {
    struct adapter_seen seen[WAYS] = { 0 };
    const char *why = NULL;
    int error[WAYS] = { 0 };
    for (int way = 0; way < WAYS; way++) {
        if (well)
            error[way] =
                adapter_finish(spoken_adapter(), f->handle[way], &f->out[way], &seen[way], &why);
        else
            adapter_settle(spoken_adapter(), f->handle[way], &seen[way]);
        if (error[way] < 0)
            spoken_check(why);
        else
            note_usage(&f->usage[way], &seen[way]);
    }
    fuzz_expect(error[ON] == error[OFF]);
    compare_out(f, SPAN("the end"));
    fuzz_expect(memcmp(&f->usage[ON], &f->usage[OFF], sizeof f->usage[ON]) == 0);
    if (well && !error[ON])
        compare_seen(&seen[ON], &seen[OFF]);
}

static void one(struct span text, const uint8_t *tail) {
    enum dialect spoken = spoken_targets[tail[0] % SPOKEN_TARGETS];
    enum dialect client = spoken_clients[tail[1] % SPOKEN_CLIENTS];
    struct feeding f = { .usage = { WIRE_USAGE_UNKNOWN, WIRE_USAGE_UNKNOWN },
                         .random = { fuzz_u32(tail + 2) } };
    struct buf upstream = { 0 };
    for (int way = 0; way < WAYS; way++) {
        adapter_echoes(spoken_adapter(), way == ON);
        buf_clear(&upstream);
        f.handle[way] =
            spoken_open(client, spoken, SPAN_NONE, true, (uint16_t)(tail[6] & 0x10), &upstream);
        fuzz_expect(f.handle[way] > 0);
    }
    play(&f, spoken, text);
    if (!f.over)
        end(&f, tail[6] & 1);
    for (int way = 0; way < WAYS; way++) {
        adapter_close(spoken_adapter(), f.handle[way]);
        buf_deinit(&f.out[way]);
        buf_deinit(&f.alike[way]);
    }
    buf_deinit(&upstream);
}

static const struct fuzz_folder folders[] = {
    { "fixtures/openai_chat", ".sse", 0 },         { "fixtures/openai_responses", ".sse", 1 },
    { "fixtures/anthropic_messages", ".sse", 2 },  { "fixtures/gemini", ".sse", 3 },
    { "fixtures/bedrock_converse", ".events", 4 }, { 0 },
};
const struct fuzz_target fuzz_target = {
    .name = "echo", .folders = folders, .tail = 7, .iterations = 3000, .one = one
};
