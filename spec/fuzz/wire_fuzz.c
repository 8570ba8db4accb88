/* What pass-through reads of events, answers and errors, in each dialect. */
#include "fuzz/fuzz.h"

#include "base/utf8.h"
#include "net/sse.h"
#include "route/wire.h"

static struct json_parser *parser;
static struct arena arena;

/* What may reach a client and a log: printable, UTF-8, bounded. */
static void check_text(struct span text, size_t max) {
    fuzz_expect(text.len <= max);
    for (size_t n; text.len; text = span_sub(text, n, text.len)) {
        n = utf8_length(text);
        fuzz_expect(n > 0 && (n > 1 || ((uint8_t)text.at[0] >= 0x20 && text.at[0] != 0x7f)));
    }
}

static void check_error(const struct wire_error *error) {
    check_text(error->message, WIRE_MESSAGE_MAX);
    check_text(error->code, WIRE_CODE_MAX);
    check_text(error->type, WIRE_CODE_MAX);
    fuzz_expect(error->retry_after_ms >= 0);
    fuzz_expect(wire_classify(NULL, 0, 200, error) != FAILURE_NONE);
}

static void check_usage(const struct wire_usage *u) {
    fuzz_expect(u->input >= -1 && u->output >= -1 && u->cached >= -1 && u->written >= -1 &&
                u->reasoning >= -1 && u->fresh >= -1);
}

static void check(struct span text, const struct wire_seen *seen, bool answer) {
    fuzz_expect(seen->kind <= WIRE_MALFORMED);
    if (seen->kind == WIRE_ERROR)
        check_error(&seen->error);
    if (seen->kind > WIRE_END)
        return;
    struct wire_usage sum = WIRE_USAGE_UNKNOWN;
    if (seen->has_usage) {
        check_usage(&seen->usage);
        wire_usage_merge(&sum, &seen->usage);
        check_usage(&sum);
    }
    fuzz_expect(seen->finished <= seen->choices);
    if (answer && !seen->model.at && seen->model_place.name.at) {
        struct json_edit edit = { seen->model_place, SPAN("\"m\"") };
        struct buf out = { 0 };
        struct json_value root;
        json_splice(text, &edit, 1, &out);
        fuzz_expect(json_parse(parser, buf_span(&out), &root) == JSON_OK);
        buf_deinit(&out);
    }
}

static bool on_event(void *owner, const struct sse_event *event) {
    const struct wire *wire = owner;
    struct wire_seen seen = { 0 };
    wire->read_event(parser, event->name, event->data, &arena, &seen);
    check(event->data, &seen, false);
    return true;
}

static void one(struct span text, const uint8_t *tail) {
    const struct wire *wire = wire_of(1 + tail[0] % (DIALECT_COUNT - 1));
    struct wire_seen seen = { 0 };
    struct wire_error error = { 0 };
    struct sse sse;
    if (!parser) {
        parser = json_parser_new();
        arena_init(&arena, 4096);
    }
    wire_read_error(parser, text, &arena, &error);
    check_error(&error);
    wire->read_answer(parser, text, &arena, &seen);
    check(text, &seen, true);
    sse_init(&sse, 1 << 20);
    sse_feed(&sse, text.at, text.len, on_event, (void *)wire);
    sse_end(&sse, on_event, (void *)wire);
    sse_deinit(&sse);
    arena_reset(&arena, 4096);
}

static const struct fuzz_folder folders[] = {
    { "fixtures/openai_chat", "", DIALECT_OPENAI_CHAT - 1 },
    { "fixtures/openai_responses", "", DIALECT_OPENAI_RESPONSES - 1 },
    { "fixtures/anthropic_messages", "", DIALECT_ANTHROPIC_MESSAGES - 1 },
    { "fixtures/gemini", "", DIALECT_GEMINI - 1 },
    { "fixtures/openai_chat", ".sse", DIALECT_OPENAI_COMPLETIONS - 1 },
    { "fixtures/openai_chat", ".json", DIALECT_OPENAI_EMBEDDINGS - 1 },
    { 0 },
};
const struct fuzz_target fuzz_target = {
    .name = "wire", .folders = folders, .tail = 1, .iterations = 60000, .one = one
};
