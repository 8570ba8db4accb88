#include "route/endpoint.h"

#define POST_METHODS SPAN_INIT("POST, OPTIONS")
#define GET_METHODS SPAN_INIT("GET, HEAD, OPTIONS")
#define SPAN_INIT(literal)                                                                         \
    { "" literal, sizeof(literal) - 1 }

static const struct endpoint endpoints[] = {
    { ENDPOINT_GENERATE, SPAN_INIT("/v1/chat/completions"), SPAN_INIT("/chat/completions"),
      POST_METHODS, DIALECT_OPENAI_CHAT, false },
    { ENDPOINT_GENERATE, SPAN_INIT("/v1/responses"), SPAN_INIT("/responses"), POST_METHODS,
      DIALECT_OPENAI_RESPONSES, false },
    { ENDPOINT_GENERATE, SPAN_INIT("/v1/messages"), SPAN_INIT("/messages"), POST_METHODS,
      DIALECT_ANTHROPIC_MESSAGES, false },
    { ENDPOINT_COUNT_TOKENS, SPAN_INIT("/v1/messages/count_tokens"),
      SPAN_INIT("/messages/count_tokens"), POST_METHODS, DIALECT_ANTHROPIC_MESSAGES, false },
    { ENDPOINT_GENERATE, SPAN_INIT("/v1/completions"), SPAN_INIT("/completions"), POST_METHODS,
      DIALECT_OPENAI_COMPLETIONS, false },
    { ENDPOINT_GENERATE, SPAN_INIT("/v1/embeddings"), SPAN_INIT("/embeddings"), POST_METHODS,
      DIALECT_OPENAI_EMBEDDINGS, false },
    { ENDPOINT_FEEDBACK, SPAN_INIT("/v1/feedback"), { 0 }, POST_METHODS, DIALECT_NONE, false },
    { ENDPOINT_MODELS, SPAN_INIT("/v1/models"), { 0 }, GET_METHODS, DIALECT_OPENAI_CHAT, false },
    { ENDPOINT_MODEL, SPAN_INIT("/v1/models/"), { 0 }, GET_METHODS, DIALECT_OPENAI_CHAT, false },
    { ENDPOINT_HEALTH, SPAN_INIT("/health"), { 0 }, GET_METHODS, DIALECT_NONE, true },
    { ENDPOINT_READY, SPAN_INIT("/ready"), { 0 }, GET_METHODS, DIALECT_NONE, true },
    { ENDPOINT_ROOT, SPAN_INIT("/"), { 0 }, GET_METHODS, DIALECT_NONE, true },
};
enum {
    ENDPOINTS = sizeof endpoints / sizeof *endpoints,
    PATH_LIKE_OURS = 64 /* a longer one is no typing error of any of these */
};

static const struct endpoint unknown = { .kind = ENDPOINT_UNKNOWN };

static int hex(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoding (RFC 3986, section 2.1); what is no escape stays. */
static struct span decode(struct span s, struct arena *arena) {
    char *out = arena_alloc(arena, s.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        int high = -1, low = -1;
        if (s.at[i] == '%' && i + 2 < s.len)
            high = hex(s.at[i + 1]), low = hex(s.at[i + 2]);
        if (high >= 0 && low >= 0) {
            out[len++] = (char)(high * 16 + low);
            i += 2;
        } else {
            out[len++] = s.at[i];
        }
    }
    out[len] = '\0';
    return (struct span){ out, len };
}

/* The path without any leading /v1, and without a slash at its end. */
static struct span strip(struct span path) {
    const struct span v1 = SPAN("/v1");
    while (span_starts(path, v1) && (path.len == v1.len || path.at[v1.len] == '/'))
        path = span_sub(path, v1.len, path.len);
    while (path.len > 1 && path.at[path.len - 1] == '/')
        path.len--;
    return path.len ? path : SPAN("/");
}

static bool list_has(struct span list, struct span method) {
    struct span one;
    while (span_split(&list, ',', &one))
        if (span_eq(one, method))
            return true;
    return false;
}

static struct span nearest(struct span path) {
    struct span best = SPAN_NONE;
    if (path.len > PATH_LIKE_OURS)
        return best;
    unsigned best_distance = (unsigned)path.len / 2 + 1;
    for (size_t i = 0; i < ENDPOINTS; i++) {
        if (endpoints[i].kind == ENDPOINT_ROOT)
            continue;
        unsigned distance = span_distance(path, strip(endpoints[i].path));
        if (distance < best_distance)
            best = endpoints[i].path, best_distance = distance;
    }
    return best;
}

struct endpoint_match endpoint_match(struct span method, struct span path, struct arena *arena) {
    struct endpoint_match m = { .endpoint = &unknown };
    struct span rest = strip(path);
    const struct span model = SPAN("/models/");
    for (size_t i = 0; i < ENDPOINTS; i++) {
        const struct endpoint *e = &endpoints[i];
        if (e->kind == ENDPOINT_MODEL && span_starts(rest, model)) {
            m.argument = decode(span_sub(rest, model.len, rest.len), arena);
        } else if (!span_eq(rest, strip(e->path)) || e->kind == ENDPOINT_MODEL) {
            continue;
        }
        m.endpoint = e;
        m.method_ok = list_has(e->methods, method);
        return m;
    }
    m.nearest = nearest(rest);
    return m;
}
