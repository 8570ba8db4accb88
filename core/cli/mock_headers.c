/* mock_headers.c - what stands in the head of the mock's answers. */
#include "cli/mock_headers.h"

#include "base/clock.h"
#include "net/http1.h"

enum {
    FEW = 8,    /* headers of all dialects together, beside limits and headers=N */
    LIMITS = 12 /* headers of a rate limit, at most */
};

/* ---- rate limits ---- */

static void add(struct pair *out, size_t *n, const char *name, struct span value) {
    out[(*n)++] = (struct pair){ span_of(name), value };
}

/* OpenAI tells how long it takes until nothing is used. */
static size_t openai_limits(struct span left, struct span limit, struct pair *out) {
    size_t n = 0;
    add(out, &n, "x-ratelimit-limit-requests", limit);
    add(out, &n, "x-ratelimit-remaining-requests", left);
    add(out, &n, "x-ratelimit-reset-requests", SPAN("1s"));
    add(out, &n, "x-ratelimit-limit-tokens", limit);
    add(out, &n, "x-ratelimit-remaining-tokens", left);
    add(out, &n, "x-ratelimit-reset-tokens", SPAN("1s"));
    return n;
}

/* Anthropic tells when that will be. */
static size_t anthropic_limits(struct span left, struct span limit, struct arena *arena,
                               struct pair *out) {
    static const char *const names[][3] = {
        { "anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining",
          "anthropic-ratelimit-requests-reset" },
        { "anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining",
          "anthropic-ratelimit-tokens-reset" },
        { "anthropic-ratelimit-input-tokens-limit", "anthropic-ratelimit-input-tokens-remaining",
          "anthropic-ratelimit-input-tokens-reset" },
        { "anthropic-ratelimit-output-tokens-limit", "anthropic-ratelimit-output-tokens-remaining",
          "anthropic-ratelimit-output-tokens-reset" },
    };
    size_t n = 0;
    char time[25];
    clock_rfc3339(clock_wall_ms() + 1000, time);
    /* To the second: "2026-11-22T12:58:28Z". */
    struct span reset = arena_printf(arena, "%.19sZ", time);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        add(out, &n, names[i][0], limit);
        add(out, &n, names[i][1], left);
        add(out, &n, names[i][2], reset);
    }
    return n;
}

/* The same for requests and tokens. */
static size_t put_limits(enum mock_limits vendor, struct span word, struct arena *arena,
                         struct pair *out) {
    size_t slash = span_find(word, '/');
    struct span left = span_sub(word, 0, slash), limit = span_sub(word, slash + 1, SIZE_MAX);
    switch (vendor) {
    case MOCK_OPENAI_LIMITS:
        return openai_limits(left, limit, out);
    case MOCK_ANTHROPIC_LIMITS:
        return anthropic_limits(left, limit, arena, out);
    default:
        return 0;
    }
}

/* ---- all of them ---- */

struct span mock_request_id(uint64_t serial, struct arena *arena) {
    enum { PREFIX = 9, DIGITS = 20 };
    char *at = arena_alloc(arena, PREFIX + DIGITS), *end = at + PREFIX + DIGITS, *id = end;
    do
        *--id = (char)('0' + serial % 10);
    while (serial /= 10);
    id -= PREFIX;
    memcpy(id, "req-mock-", PREFIX);
    return (struct span){ id, (size_t)(end - id) };
}

void mock_headers_add(struct mock_headers *h, const char *name, struct span value) {
    add(h->at, &h->n, name, value);
}

void mock_headers_make(struct mock_headers *h, const struct mock_dialect *dialect,
                       const struct mock_fault *fault, struct span content_type, uint64_t serial,
                       struct arena *arena) {
    const struct mock_shape *shape = &fault->shape;
    const struct mock_harm *harm = &fault->harm;
    h->n = 0;
    h->at = arena_alloc(arena, (FEW + LIMITS + (size_t)shape->headers) * sizeof *h->at);
    mock_headers_add(h, "content-type", content_type);
    if (dialect->id_header)
        mock_headers_add(h, dialect->id_header, mock_request_id(serial, arena));
    if (shape->ratelimit.at)
        h->n += put_limits(dialect->limits, shape->ratelimit, arena, h->at + h->n);
    if (harm->retry_after.at && !dialect->retry_in_body)
        mock_headers_add(h, "retry-after", harm->retry_after);
    if (harm->redirect.at)
        mock_headers_add(h, "location", harm->redirect);
    if (harm->gzip)
        mock_headers_add(h, "content-encoding", SPAN("gzip"));
    for (int64_t i = 1; i <= shape->headers; i++)
        mock_headers_add(h, arena_printf(arena, "x-mock-%lld", (long long)i).at, SPAN("flood"));
}

void mock_headers_raw(const struct mock_headers *h, int status, size_t length, struct buf *out) {
    buf_printf(out, "HTTP/1.1 %d %s\r\ncontent-length: %zu\r\n", status, http_reason(status),
               length);
    for (size_t i = 0; i < h->n; i++)
        buf_printf(out, "%.*s: %.*s\r\n", SPAN_ARGS(h->at[i].name), SPAN_ARGS(h->at[i].value));
    buf_append(out, "\r\n", 2);
}
