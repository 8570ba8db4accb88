/* Whole answers of each dialect into each client's: JSON of the client's dialect, or a refusal. */
#include "fuzz/fuzz.h"

#include "fuzz/played.h"
#include "fuzz/spoken.h"

/* The member no answer of a dialect is without. */
static const char *member_of(enum dialect client) {
    switch (client) {
    case DIALECT_OPENAI_RESPONSES:
        return "output";
    case DIALECT_ANTHROPIC_MESSAGES:
        return "content";
    default:
        return "choices";
    }
}

static void one(struct span text, const uint8_t *tail) {
    enum dialect spoken = spoken_targets[tail[0] % SPOKEN_TARGETS];
    enum dialect client = spoken_clients[tail[1] % SPOKEN_CLIENTS];
    struct adapter *a = spoken_adapter();
    struct buf upstream = { 0 }, out = { 0 };
    struct adapter_seen seen;
    struct json_value root;
    const char *why = NULL;
    int handle = spoken_open(client, spoken, SPAN_NONE, false, 0, &upstream);
    fuzz_expect(handle > 0);
    if (adapter_answer(a, handle, text, &out, &seen, &why) < 0) {
        spoken_check(why);
        fuzz_expect(!out.len);
    } else if (!seen.error) {
        if (json_parse(played_parser(), buf_span(&out), &root) != JSON_OK)
            fuzz_fail("no JSON: %.*s", SPAN_ARGS(buf_span(&out)));
        fuzz_expect(json_type(json_get(root, member_of(client))) == JSON_ARRAY);
        fuzz_expect(seen.finished);
    }
    adapter_close(a, handle);
    buf_deinit(&upstream);
    buf_deinit(&out);
}

static const struct fuzz_folder folders[] = {
    { "fixtures/openai_chat", ".json", 0 },
    { "fixtures/openai_responses", ".json", 1 },
    { "fixtures/anthropic_messages", "good.json", 2 },
    { "fixtures/gemini", ".json", 3 },
    { "fixtures/bedrock_converse", ".json", 4 },
    { "fuzz/texts/answer/openai_chat", ".json", 0 },
    { "fuzz/texts/answer/openai_responses", ".json", 1 },
    { "fuzz/texts/answer/anthropic_messages", ".json", 2 },
    { "fuzz/texts/answer/gemini", ".json", 3 },
    { "fuzz/texts/answer/bedrock_converse", ".json", 4 },
    { 0 },
};
const struct fuzz_target fuzz_target = {
    .name = "answer", .folders = folders, .tail = 2, .iterations = 12000, .one = one
};
