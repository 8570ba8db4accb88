/* mock_embeddings.c - vectors made from the texts alone: small, and the same for the same text. */
#include "cli/mock_answer.h"

#include <stdio.h>

enum { DIMENSIONS = 8, MAX_DIMENSIONS = 4096 };

static uint64_t hash(struct span s) {
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.at[i]) * 1099511628211u;
    return h;
}

/* Between -1 and 1, in steps that a float holds exactly. */
static float component(uint64_t h, int64_t i) {
    h = (h + (uint64_t)i * 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
    return (float)((int64_t)(h >> 40 & 0xffff) - 0x8000) / 0x8000;
}

/* A text, or tokens, which are hashed as bytes. */
static bool read_one(struct mock_ask *ask, struct json_value v, size_t *bytes,
                     struct mock_wrong *wrong) {
    struct buf tokens = { 0 };
    struct span text = json_text(v);
    int64_t token;
    if (json_type(v) == JSON_ARRAY) {
        for (struct json_iter it = json_iter(v); json_next(&it);)
            if (json_int(it.value, &token))
                buf_append(&tokens, &token, 4);
        text = buf_span(&tokens);
    }
    bool fine = text.len > 0;
    *bytes += text.len;
    ask->hashes[ask->n_hashes++] = hash(text);
    buf_deinit(&tokens);
    return fine || mock_refuse(wrong, "input", "No input may be empty.");
}

static bool is_list_of_inputs(struct json_value input) {
    struct json_iter it = json_iter(input);
    return json_type(input) == JSON_ARRAY && json_next(&it) && json_type(it.value) != JSON_NUMBER;
}

static bool read_inputs(struct mock_ask *ask, struct json_value input, struct arena *arena,
                        size_t *bytes, struct mock_wrong *wrong) {
    if (!is_list_of_inputs(input)) {
        ask->hashes = arena_new_array(arena, uint64_t, 1);
        return read_one(ask, input, bytes, wrong);
    }
    ask->hashes = arena_new_array(arena, uint64_t, json_count(input));
    for (struct json_iter it = json_iter(input); json_next(&it);)
        if (!read_one(ask, it.value, bytes, wrong))
            return false;
    return true;
}

static bool embeddings_read(struct mock_ask *ask, const struct mock_post *post, struct arena *arena,
                            struct mock_wrong *wrong) {
    size_t bytes = 0;
    if (!mock_openai_read_model(ask, post, arena, wrong) ||
        !read_inputs(ask, json_get(post->root, "input"), arena, &bytes, wrong))
        return false;
    ask->prompt_tokens = mock_tokens_of(bytes);
    ask->base64 = span_eq(json_text(json_get(post->root, "encoding_format")), SPAN("base64"));
    ask->dimensions = mock_limit(json_get(post->root, "dimensions"));
    if (ask->dimensions < 0)
        ask->dimensions = DIMENSIONS;
    return ask->dimensions <= MAX_DIMENSIONS ||
           mock_refuse(wrong, "dimensions", "That are too many dimensions.");
}

/* Little-endian floats in base64. */
static void put_base64(const struct mock_ask *ask, uint64_t h, struct buf *out) {
    struct buf bytes = { 0 };
    for (int64_t i = 0; i < ask->dimensions; i++) {
        float f = component(h, i);
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        for (int shift = 0; shift < 32; shift += 8)
            buf_add_char(&bytes, (char)(bits >> shift));
    }
    buf_add_char(out, '"');
    mock_put_base64(out, (const unsigned char *)bytes.at, bytes.len);
    buf_add_char(out, '"');
    buf_deinit(&bytes);
}

static void put_floats(const struct mock_ask *ask, uint64_t h, struct buf *out) {
    for (int64_t i = 0; i < ask->dimensions; i++)
        buf_printf(out, "%s%.9g", i ? "," : "[", (double)component(h, i));
    buf_add_char(out, ']');
}

static void embeddings_whole(struct mock_answer *a, struct buf *out) {
    const struct mock_ask *ask = a->ask;
    mock_put(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < ask->n_hashes; i++) {
        mock_put_named(out,
                       i ? ",{\"object\":\"embedding\",\"index\":"
                         : "{\"object\":\"embedding\",\"index\":",
                       (int64_t)i);
        mock_put(out, ",\"embedding\":");
        if (ask->base64)
            put_base64(ask, ask->hashes[i], out);
        else
            put_floats(ask, ask->hashes[i], out);
        mock_put(out, "}");
    }
    mock_put_text(out, "],\"model\":", a->model);
    if (!a->harm->no_usage) {
        mock_put_named(out, ",\"usage\":{\"prompt_tokens\":", a->prompt_tokens);
        mock_put_named(out, ",\"total_tokens\":", a->prompt_tokens);
        mock_put(out, "}");
    }
    mock_answer_extra(a, out);
    mock_put(out, "}");
}

const struct mock_dialect mock_embeddings = {
    .id_header = "x-request-id",
    .limits = MOCK_OPENAI_LIMITS,
    .says = MOCK_SAYS_NOTHING,
    .read = embeddings_read,
    .whole = embeddings_whole,
    .names = mock_openai_names,
    .error = mock_openai_error,
};
