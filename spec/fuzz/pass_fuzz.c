/* Streams that pass through, in each dialect that can: cut anywhere they end alike, what the client
 * got is what the provider sent up to there. */
#include "fuzz/fuzz.h"

#include "fuzz/played.h"

static const enum dialect dialects[] = { DIALECT_OPENAI_CHAT, DIALECT_OPENAI_RESPONSES,
                                         DIALECT_ANTHROPIC_MESSAGES, DIALECT_OPENAI_COMPLETIONS };

static void one(struct span text, const uint8_t *tail) {
    struct played whole, parts;
    struct stream_setup setup = {
        .client = dialects[tail[0] % 4],
        .keep_usage = tail[5] & 1,
    };
    setup.wire = wire_of(setup.client);
    played_run(&whole, &setup, text, 0, tail[5] & 2);
    played_run(&parts, &setup, text, fuzz_u32(tail + 1) | 1, tail[5] & 2);
    played_same(&whole, &parts);
    played_events_whole(&whole);
    fuzz_expect(whole.state == STREAM_ENDED || whole.state == STREAM_FAILED);
    played_deinit(&whole);
    played_deinit(&parts);
}

static const struct fuzz_folder folders[] = {
    { "fixtures/openai_chat", ".sse", 0 },
    { "fixtures/openai_responses", ".sse", 1 },
    { "fixtures/anthropic_messages", ".sse", 2 },
    { "fixtures/openai_chat", ".sse", 3 },
    { "fuzz/texts/sse", ".sse", 0 },
    { 0 },
};
const struct fuzz_target fuzz_target = {
    .name = "pass", .folders = folders, .tail = 6, .iterations = 40000, .one = one
};
