/* mock_route.c - the paths of all dialects. */
#include "cli/mock_route.h"

static const struct {
    const char *end;
    const struct mock_dialect *dialect;
} routes[] = {
    { "/chat/completions", &mock_openai_chat },
    { "/responses", &mock_responses },
    { "/messages", &mock_anthropic },
    { "/messages/count_tokens", &mock_anthropic_count },
    { ":generateContent", &mock_gemini },
    { ":streamGenerateContent", &mock_gemini },
    { "/converse", &mock_bedrock },
    { "/converse-stream", &mock_bedrock },
    { ":rawPredict", &mock_anthropic },
    { ":streamRawPredict", &mock_anthropic },
    { "/completions", &mock_completions },
    { "/embeddings", &mock_embeddings },
    { "/token", &mock_token },
};

const struct mock_dialect *mock_route_find(struct span path) {
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (span_ends(path, span_of(routes[i].end)))
            return routes[i].dialect;
    return NULL;
}

bool mock_route_is_api(struct span segment) {
    static const char *const names[] = { "v1",       "v1beta",      "chat",       "models",
                                         "model",    "completions", "embeddings", "responses",
                                         "messages", "token" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_eq(segment, span_of(names[i])))
            return true;
    return false;
}

static const char *const models[] = { "mock-small", "mock-medium", "mock-large" };

enum { MODELS = sizeof models / sizeof *models };

static void put_openai(struct buf *out) {
    mock_put(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < MODELS; i++)
        buf_printf(out,
                   "%s{\"id\":\"%s\",\"object\":\"model\",\"created\":" MOCK_CREATED
                   ",\"owned_by\":\"mock\"}",
                   i ? "," : "", models[i]);
    mock_put(out, "]}\n");
}

static void put_anthropic(struct buf *out) {
    mock_put(out, "{\"data\":[");
    for (size_t i = 0; i < MODELS; i++)
        buf_printf(out,
                   "%s{\"type\":\"model\",\"id\":\"%s\",\"display_name\":\"%s\","
                   "\"created_at\":\"2025-06-15T15:06:40Z\"}",
                   i ? "," : "", models[i], models[i]);
    buf_printf(out, "],\"has_more\":false,\"first_id\":\"%s\",\"last_id\":\"%s\"}\n", models[0],
               models[MODELS - 1]);
}

static void put_gemini(struct buf *out) {
    mock_put(out, "{\"models\":[");
    for (size_t i = 0; i < MODELS; i++)
        buf_printf(out,
                   "%s{\"name\":\"models/%s\",\"displayName\":\"%s\",\"inputTokenLimit\":1048576,"
                   "\"outputTokenLimit\":65536,\"supportedGenerationMethods\":"
                   "[\"generateContent\",\"countTokens\"]}",
                   i ? "," : "", models[i], models[i]);
    mock_put(out, "]}\n");
}

void mock_route_models(struct span path, struct span version, struct buf *out) {
    if (version.at)
        put_anthropic(out);
    else if (span_ends(path, SPAN("/v1beta/models")))
        put_gemini(out);
    else
        put_openai(out);
}
