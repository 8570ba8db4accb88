/* Requests as clients send them: wherever they are cut, the same is read and the same refused. */
#include "fuzz/fuzz.h"

#include "net/http1.h"

static const struct http_limits limits = {
    .max_line = 256, .max_header_bytes = 1024, .max_headers = 10, .max_body = 1000
};

struct reading {
    struct http1 h;
    struct buf seen; /* what happened, in words */
    bool refuse;
};

static bool on_head(void *owner, struct http_message *m) {
    struct reading *r = owner;
    buf_printf(&r->seen, "%.*s %.*s %.*s %.*s %u %zu %d %d\n", SPAN_ARGS(m->method),
               SPAN_ARGS(m->target), SPAN_ARGS(m->path), SPAN_ARGS(m->query), m->minor,
               m->content_length, m->expects_continue, m->keep_alive);
    for (size_t i = 0; i < m->n_headers; i++) {
        fuzz_expect(http_token_ok(m->headers[i].name));
        fuzz_expect(http_value_ok(m->headers[i].value));
        buf_printf(&r->seen, "%.*s=%.*s\n", SPAN_ARGS(m->headers[i].name),
                   SPAN_ARGS(m->headers[i].value));
    }
    fuzz_expect(m->n_headers <= limits.max_headers);
    return !r->refuse;
}

static void on_message(void *owner, struct http_message *m) {
    struct reading *r = owner;
    fuzz_expect(m->body.len <= limits.max_body);
    buf_printf(&r->seen, "body %.*s\n", SPAN_ARGS(buf_span(&m->body)));
    http_message_free(m);
}

static void feed(void *owner, const char *bytes, size_t len) {
    struct reading *r = owner;
    while (len && r->h.state != HTTP1_OVER) {
        size_t n = http1_feed(&r->h, bytes, len);
        fuzz_expect(n <= len && (n || r->h.state == HTTP1_OVER));
        bytes += n;
        len -= n;
    }
}

static void read_in(struct span text, uint32_t seed, bool refuse, struct buf *seen) {
    static const struct http1_events events = { .on_head = on_head, .on_message = on_message };
    struct http_pool *pool = http_pool_new(1 << 20);
    struct reading r = { .refuse = refuse };
    http1_init(&r.h, &limits, pool, &events, &r);
    fuzz_in_parts(text, seed, feed, &r);
    buf_printf(&r.seen, "error %d, idle %d", r.h.error.status, http1_idle(&r.h));
    http1_deinit(&r.h);
    fuzz_expect(http_pool_body_bytes(pool) == 0);
    http_pool_release(pool);
    *seen = r.seen;
}

static void one(struct span text, const uint8_t *tail) {
    struct buf whole, parts;
    read_in(text, 0, tail[4] & 1, &whole);
    read_in(text, fuzz_u32(tail) | 1, tail[4] & 1, &parts);
    if (!span_eq(buf_span(&whole), buf_span(&parts)))
        fuzz_fail("whole:\n%.*s\nin parts:\n%.*s", SPAN_ARGS(buf_span(&whole)),
                  SPAN_ARGS(buf_span(&parts)));
    buf_deinit(&whole);
    buf_deinit(&parts);
}

static const struct fuzz_folder folders[] = { { "fuzz/texts/http1", ".http", 0 }, { 0 } };
const struct fuzz_target fuzz_target = {
    .name = "http1", .folders = folders, .tail = 5, .iterations = 100000, .one = one
};
