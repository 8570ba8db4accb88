/* Keys and projects as the admin side is told of them: refused with a word, or what is shown of one
 * makes the same again. */
#include "fuzz/fuzz.h"

#include "admin/asker.h"
#include "base/json.h"

static struct json_parser *parser;
static struct arena arena;

/* An object of the members that are shown, less the one in `front` and those from the last `behind`
 * on: nobody sets these. */
static void add_settable(struct buf *out, struct span shown, struct span front,
                         struct span behind) {
    size_t len = shown.len;
    fuzz_expect(span_starts(shown, front));
    while (!span_starts(span_sub(shown, len, SIZE_MAX), behind)) {
        fuzz_expect(len > front.len);
        len--;
    }
    buf_add_char(out, '{');
    buf_add(out, span_sub(shown, front.len, len - front.len));
    buf_add_char(out, '}');
}

static void expect_same_caps(const struct budget_cap *a, size_t n_a, const struct budget_cap *b,
                             size_t n_b) {
    fuzz_expect(n_a == n_b);
    for (size_t i = 0; i < n_a; i++) {
        fuzz_expect(a[i].period == b[i].period && a[i].nano == b[i].nano);
        fuzz_expect(a[i].offset_min == b[i].offset_min);
        fuzz_expect(memcmp(a[i].alerts, b[i].alerts, sizeof a[i].alerts) == 0);
    }
}

static bool taken(bool good, const struct asker_wrong *wrong) {
    fuzz_expect(good || wrong->message[0]);
    return good;
}

static bool take_key(struct span body, struct key *key, struct buf *settable) {
    struct asker_wrong wrong;
    struct buf shown = { 0 };
    *key = asker_new_key();
    key->id = SPAN("k");
    if (!taken(asker_read_key(parser, body, &arena, key, &wrong), &wrong))
        return false;
    asker_write_key(key, &shown);
    add_settable(settable, buf_span(&shown), SPAN("\"id\":\"k\","), SPAN(",\"last\":"));
    buf_deinit(&shown);
    return true;
}

static void try_key(struct span text, struct buf *first, struct buf *second) {
    struct key a, b;
    if (!take_key(text, &a, first))
        return;
    fuzz_expect(take_key(buf_span(first), &b, second));
    fuzz_expect(memcmp(&a.limits, &b.limits, sizeof a.limits) == 0);
    fuzz_expect(a.grants == b.grants && a.strict == b.strict && a.expires_s == b.expires_s);
    expect_same_caps(a.caps, a.n_caps, b.caps, b.n_caps);
}

static bool take_project(struct span body, struct project *project, struct buf *settable) {
    struct asker_wrong wrong;
    struct buf shown = { 0 };
    *project = (struct project){ .name = SPAN("p"), .source = KEYS_STORED };
    if (!taken(asker_read_project(parser, body, &arena, project, &wrong), &wrong))
        return false;
    asker_write_project(project, &shown);
    add_settable(settable, buf_span(&shown), SPAN("\"name\":\"p\","),
                 SPAN(",\"managed_by_file\":"));
    buf_deinit(&shown);
    return true;
}

static void try_project(struct span text, struct buf *first, struct buf *second) {
    struct project a, b;
    if (!take_project(text, &a, first))
        return;
    fuzz_expect(take_project(buf_span(first), &b, second));
    fuzz_expect(memcmp(&a.limits, &b.limits, sizeof a.limits) == 0);
    fuzz_expect(a.free_requests == b.free_requests && a.markup_ppm == b.markup_ppm);
    fuzz_expect(a.bodies.max_bytes == b.bodies.max_bytes);
    fuzz_expect(a.bodies.retention_days == b.bodies.retention_days);
    expect_same_caps(a.caps, a.n_caps, b.caps, b.n_caps);
}

static void one(struct span text, const uint8_t *tail) {
    struct buf first = { 0 }, second = { 0 };
    if (!parser)
        parser = json_parser_new();
    arena_init(&arena, 4096);
    if (tail[0] & 1)
        try_project(text, &first, &second);
    else
        try_key(text, &first, &second);
    if (!span_eq(buf_span(&first), buf_span(&second)))
        fuzz_fail("%.*s\nis taken as\n%.*s", SPAN_ARGS(buf_span(&first)),
                  SPAN_ARGS(buf_span(&second)));
    buf_deinit(&first);
    buf_deinit(&second);
    arena_deinit(&arena);
}

static const struct fuzz_folder folders[] = {
    { "fuzz/texts/asker/key", ".json", 0 },
    { "fuzz/texts/asker/project", ".json", 1 },
    { 0 },
};
const struct fuzz_target fuzz_target = {
    .name = "asker", .folders = folders, .tail = 1, .iterations = 20000, .one = one
};
