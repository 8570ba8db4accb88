#include "route/reply.h"

enum {
    VALUE_MAX = 1024,
    RETRY_AFTER_MAX_S = 120 /* the longest that libraries take for an invitation to retry */
};

void reply_init(struct reply *r, struct arena *arena) {
    r->n = 0;
    r->arena = arena;
}

/* A copy with '?' for each byte that has no place in a header. */
static struct span cleaned(struct arena *arena, struct span value) {
    char *copy = (char *)arena_copy(arena, value).at;
    for (size_t i = 0; i < value.len; i++)
        if (!http_value_ok(span_sub(value, i, 1)))
            copy[i] = '?';
    return (struct span){ copy, value.len };
}

void reply_add(struct reply *r, struct span name, struct span value) {
    if (!value.len || r->n == REPLY_HEADERS)
        return;
    value = span_sub(value, 0, VALUE_MAX);
    if (!http_value_ok(value))
        value = cleaned(r->arena, value);
    r->headers[r->n++] = (struct pair){ name, value };
}

/* What the page is told it may: its own origin where that is listed, "*" where every page may ask
 * (with a key of its own: credentials of the browser's are never allowed), SPAN_NONE. */
static struct span allowed_origin(const struct config *config, struct span origin) {
    const struct span every = SPAN("*");
    struct span allowed = SPAN_NONE;
    for (size_t i = 0; origin.len && i < config->n_cors_origins; i++) {
        if (span_eq(config->cors_origins[i], every))
            allowed = every;
        else if (span_eq(config->cors_origins[i], origin))
            return origin;
    }
    return allowed;
}

void reply_cors(struct reply *r, const struct config *config, const struct http_message *m) {
    if (!config->n_cors_origins)
        return;
    struct span origin = http_header(m, SPAN("origin"));
    /* Also for a page that may not: what a cache keeps of this reply is not for every page. */
    reply_add(r, SPAN("vary"), SPAN("origin"));
    struct span allowed = allowed_origin(config, origin);
    if (!allowed.at)
        return;
    reply_add(r, SPAN("access-control-allow-origin"), allowed);
    reply_add(r, SPAN("access-control-expose-headers"),
              SPAN("x-request-id, request-id, x-routed-model, x-routed-provider, x-route-policy, "
                   "x-route-arm, x-route-attempts, x-route-cost-usd, x-route-dropped, "
                   "x-route-replaced, x-upstream-request-id, server-timing, retry-after, "
                   "x-should-retry, idempotent-replayed, x-idempotent-original, "
                   "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, "
                   "x-ratelimit-reset-requests, x-ratelimit-limit-tokens, "
                   "x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens"));
    if (span_eq(m->method, SPAN("OPTIONS"))) {
        reply_add(r, SPAN("access-control-allow-methods"), SPAN("GET, POST, OPTIONS"));
        reply_add(r, SPAN("access-control-allow-headers"),
                  http_header(m, SPAN("access-control-request-headers")));
        reply_add(r, SPAN("access-control-max-age"), SPAN("600"));
    }
}

/* Some libraries sit out whatever they are told, so they are not told to wait for hours; the body
 * has the whole truth. */
static long long seconds_to_wait(int64_t ms) {
    return ms < RETRY_AFTER_MAX_S * 1000 ? (ms + 999) / 1000 : RETRY_AFTER_MAX_S;
}

void reply_error_headers(struct reply *r, const struct api_error *error, bool tried) {
    if (error->retry_after_ms >= 0)
        reply_add(r, SPAN("retry-after"),
                  arena_printf(r->arena, "%lld", seconds_to_wait(error->retry_after_ms)));
    if (tried || error->code == ERROR_CONFLICT)
        reply_add(r, SPAN("x-should-retry"), SPAN("false"));
}
