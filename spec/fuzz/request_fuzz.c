/* Requests of each client's dialect to each target: refused with a word, or JSON goes up. */
#include "fuzz/fuzz.h"

#include "fuzz/played.h"
#include "fuzz/spoken.h"
#include "route/body.h"

static bool reads(struct span text, struct arena *arena, enum dialect client, struct body *body) {
    struct facts facts = { .dialect = client };
    struct api_error error = { 0 };
    if (!body_read(played_parser(), text, &facts, arena, body, &error)) {
        fuzz_expect(error.message.len > 0);
        return false;
    }
    fuzz_expect(facts.model.len || facts.n_models);
    return true;
}

/* What passes through: the client's own bytes, changed in place. */
static void build(const struct body *body, uint8_t ways) {
    static const struct pair params[] = { { { "temperature", 11 }, { "0.5", 3 } },
                                          { { "seed", 4 }, { 0 } } };
    struct buf out = { 0 };
    struct json_value root;
    size_t n_params = ways & 1 && body_takes_params(body->dialect) ? 2 : 0;
    int error =
        body_build(played_parser(), body, SPAN("vendor-m"), params, n_params, ways & 2, &out);
    if (error == JSON_OK) {
        if (json_parse(played_parser(), buf_span(&out), &root) != JSON_OK)
            fuzz_fail("no JSON goes up: %.*s", SPAN_ARGS(buf_span(&out)));
        fuzz_expect(span_eq(json_text(json_get(root, "model")), SPAN("vendor-m")));
    }
    buf_deinit(&out);
}

static void one(struct span text, const uint8_t *tail) {
    enum dialect client = spoken_clients[tail[0] % SPOKEN_CLIENTS];
    enum dialect spoken = spoken_targets[tail[1] % SPOKEN_TARGETS];
    uint16_t ways = (uint16_t)(tail[2] | tail[3] << 8);
    struct body body = { 0 };
    struct buf upstream = { 0 };
    struct arena arena;
    arena_init(&arena, 4096);
    if (reads(text, &arena, client, &body)) {
        build(&body, tail[2]);
        int handle = spoken_open(client, spoken, text, body.stream, ways, &upstream);
        if (handle)
            adapter_close(spoken_adapter(), handle);
    }
    buf_deinit(&upstream);
    arena_deinit(&arena);
}

static const struct fuzz_folder folders[] = {
    { "fuzz/texts/request/openai_chat", ".json", 0 },
    { "fuzz/texts/request/openai_responses", ".json", 1 },
    { "fuzz/texts/request/anthropic_messages", ".json", 2 },
    { "fixtures/anthropic_messages", "claude_code.json", 2 },
    { "fuzz/texts/request/openai_completions", ".json", 3 },
    { 0 },
};
const struct fuzz_target fuzz_target = {
    .name = "request", .folders = folders, .tail = 4, .iterations = 15000, .one = one
};
