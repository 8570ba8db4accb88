/* stream_fixtures_test.c - what each provider sends, by situation (spec/fixtures), to a client of each
 * dialect through the real adapters: fed whole, byte by byte and cut at every position. How it comes
 * must not matter; where it is cut, the client has the beginning of the whole and no success. Nor
 * must it matter whether events that are alike are translated one by one. */
#include "net/eventstream.h"
#include "route/stream.h"
#include "script/adapter.h"

#include "support/alike.h"
#include "support/unit.h"

#include <dirent.h>
#include <stdlib.h>

static const struct {
    enum dialect dialect;
    const char *body; /* a streamed request */
} clients[] = {
    { DIALECT_OPENAI_CHAT, "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\","
                           "\"content\":\"Hi\"}]}" },
    { DIALECT_OPENAI_RESPONSES, "{\"model\":\"m\",\"stream\":true,\"input\":\"Hi\"}" },
    { DIALECT_ANTHROPIC_MESSAGES, "{\"model\":\"m\",\"stream\":true,\"max_tokens\":9,\"messages\":["
                                  "{\"role\":\"user\",\"content\":\"Hi\"}]}" },
};
enum { CLIENTS = sizeof clients / sizeof *clients };

static const struct provider provider = { .name = { "p", 1 } };
static struct json_parser *parser;
static struct adapter *adapter;
static struct snapshot *snap;

/* What became of one stream. */
struct result {
    struct buf out;
    bool flowed; /* what is held goes to nobody */
    enum stream_state state;
    enum failure why;
    struct wire_usage usage;
    uint64_t text;
};

static void no_route(void *owner, struct buf *out) {}

static int open_handle(enum dialect client, enum dialect spoken, const char *body,
                       struct arena *arena) {
    struct target target = {
        .id = SPAN("p/m"), .model = SPAN("m"), .upstream = SPAN("m"), .provider = &provider
    };
    struct buf upstream = { 0 };
    const char *why = "";
    struct adapter_setup setup = {
        .client = client,
        .spoken = spoken,
        .target = &target,
        .body = span_of(body),
        .stream = true,
        .id = SPAN("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        .created_s = 1790000000,
        .input_tokens = 3,
        .arena = arena,
        .out = &upstream,
    };
    int handle = adapter_open(adapter, &setup, &why);
    buf_deinit(&upstream);
    if (!handle)
        fail_msg("%s", why);
    return handle;
}

/* Counts the text as it passes, for nobody. */
static uint64_t text_passing(enum dialect spoken, struct span text) {
    struct target target = { .id = SPAN("p/m"), .model = SPAN("m"), .provider = &provider };
    struct arena arena;
    struct stream s;
    arena_init(&arena, 4096);
    struct stream_setup setup = { .wire = wire_of(spoken),
                                  .client = spoken,
                                  .target = &target,
                                  .parser = parser,
                                  .arena = &arena,
                                  .on_route = no_route };
    stream_init(&s, &setup);
    stream_feed(&s, text.at, text.len);
    stream_deinit(&s);
    arena_deinit(&arena);
    return s.text;
}

/* Feeds `text` in pieces of `step` bytes, and ends it. */
static struct result run(size_t client, enum dialect spoken, struct span text, size_t step) {
    struct target target = { .id = SPAN("p/m"), .model = SPAN("m"), .provider = &provider };
    struct arena arena;
    struct stream s;
    arena_init(&arena, 4096);
    int handle = open_handle(clients[client].dialect, spoken, clients[client].body, &arena);
    struct stream_setup setup = {
        .wire = wire_of(spoken),
        .adapter = adapter,
        .handle = handle,
        .frames = spoken == DIALECT_BEDROCK_CONVERSE,
        .client = clients[client].dialect,
        .target = &target,
        .parser = parser,
        .arena = &arena,
        .on_route = no_route,
    };
    struct result r = { 0 };
    stream_init(&s, &setup);
    for (size_t at = 0; at < text.len; at += step) {
        struct span piece = span_sub(text, at, step);
        stream_feed(&s, piece.at, piece.len);
        r.flowed |= s.state == STREAM_FLOWING || s.state == STREAM_ENDED;
    }
    stream_close(&s);
    stream_settle(&s);
    r.flowed |= s.state == STREAM_ENDED;
    r.state = s.state;
    r.why = s.state == STREAM_FAILED ? s.why : FAILURE_NONE;
    r.usage = s.usage;
    r.text = s.text;
    if (r.flowed)
        buf_add(&r.out, buf_span(&s.out));
    stream_deinit(&s);
    adapter_close(adapter, handle);
    arena_deinit(&arena);
    return r;
}

/* Content and a failure that come in one read are a failure before any content: the chain goes on. */
static void same(const struct result *a, const struct result *b) {
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->why, b->why);
    assert_memory_equal(&a->usage, &b->usage, sizeof a->usage);
    assert_int_equal(a->text, b->text);
    if (a->flowed != b->flowed) {
        assert_int_equal(a->state, STREAM_FAILED);
        return;
    }
    assert_int_equal(a->out.len, b->out.len);
    if (a->out.len)
        assert_memory_equal(a->out.at, b->out.at, a->out.len);
}

/* Whether `part` is the beginning of `whole`. */
static bool begins(const struct result *part, const struct result *whole) {
    return part->out.len <= whole->out.len &&
           (!part->out.len || memcmp(part->out.at, whole->out.at, part->out.len) == 0);
}

/* A cut stream is a failure, or nothing but what ends it was cut off: then it is the whole. Every
 * position meets one of the clients, by turns. */
static void cut_everywhere(size_t client, enum dialect spoken, struct span text,
                           const struct result *whole) {
    for (size_t len = 1 + client; len < text.len; len += CLIENTS) {
        struct result part = run(client, spoken, span_sub(text, 0, len), len);
        if (part.state == STREAM_ENDED)
            assert_int_equal(whole->state, STREAM_ENDED);
        else
            assert_int_equal(part.state, STREAM_FAILED);
        if (part.state == STREAM_FAILED && !begins(&part, whole))
            fail_msg("cut at %zu: \"%.*s\" is not how the whole begins", len, (int)part.out.len,
                     part.out.at);
        buf_deinit(&part.out);
    }
}

/* Translated event by event the stream says the same, and all of its beginnings tell of the same
 * usage. */
static void same_without_echoes(size_t client, enum dialect spoken, struct span text) {
    for (size_t len = text.len; len > 0; len -= len < 61 ? len : 61) {
        struct buf said[2] = { 0 };
        struct result r[2];
        for (int way = 0; way < 2; way++) {
            adapter_echoes(adapter, way == 0);
            r[way] = run(client, spoken, span_sub(text, 0, len), len);
            alike_events(parser, buf_span(&r[way].out), &said[way]);
        }
        assert_int_equal(r[0].state, r[1].state);
        assert_int_equal(r[0].why, r[1].why);
        assert_memory_equal(&r[0].usage, &r[1].usage, sizeof r[0].usage);
        assert_int_equal(r[0].text, r[1].text);
        assert_true(span_eq(buf_span(&said[0]), buf_span(&said[1])));
        for (int way = 0; way < 2; way++) {
            buf_deinit(&said[way]);
            buf_deinit(&r[way].out);
        }
    }
    adapter_echoes(adapter, true);
}

static bool ends_in(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return n > m && strcmp(name + n - m, end) == 0;
}

/* Text that one of the two does not take for such: items nobody told in pieces, why the provider
 * refused, the input of its own tools. */
static bool is_told_apart(const char *path) {
    static const char *const names[] = { "/whole_items_stream.sse", "/refused_stream.sse",
                                         "/server_tools_stream.sse" };
    bool apart = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        apart |= ends_in(path, names[i]);
    return apart;
}

/* What passes through is as long as what is translated, but for spaces in arguments that are no
 * text. */
static void same_passing(const char *path, enum dialect spoken, struct span text) {
    enum { NEARLY = 5 };
    struct result r = run(0, spoken, text, text.len);
    uint64_t n = text_passing(spoken, text);
    if (r.state == STREAM_ENDED && !is_told_apart(path) &&
        (n > r.text + NEARLY || r.text > n + NEARLY))
        fail_msg("%s: %d bytes of text passed, %d were translated", path, (int)n, (int)r.text);
    buf_deinit(&r.out);
}

/* Dialects that are always translated have no readers to compare with. */
static bool may_pass(enum dialect spoken) {
    return spoken != DIALECT_GEMINI && spoken != DIALECT_BEDROCK_CONVERSE;
}

static void check(const char *path, enum dialect spoken, struct span text) {
    if (may_pass(spoken))
        same_passing(path, spoken, text);
    for (size_t client = 0; client < CLIENTS; client++) {
        same_without_echoes(client, spoken, text);
        if (clients[client].dialect == spoken)
            continue;
        struct result whole = run(client, spoken, text, 1);
        const size_t steps[] = { 2, 3, 61, text.len };
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            struct result pieces = run(client, spoken, text, steps[i]);
            same(&whole, &pieces);
            buf_deinit(&pieces.out);
        }
        cut_everywhere(client, spoken, text, &whole);
        buf_deinit(&whole.out);
    }
}

/* --- the folders --- */

static struct buf read_file(const char *path) {
    struct buf text = { 0 };
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n;
    do {
        char *at = buf_reserve(&text, 4096);
        n = fread(at, 1, 4096, f);
        text.len += n;
    } while (n);
    fclose(f);
    return text;
}

/* "name payload" a line becomes a frame. */
static struct buf to_frames(struct span lines) {
    struct buf frames = { 0 };
    struct span line;
    while (span_split(&lines, '\n', &line)) {
        size_t space = span_find(line, ' ');
        struct span name = span_sub(line, 0, space);
        bool exception = memmem(name.at, name.len, "Exception", 9) != NULL;
        if (space < line.len)
            eventstream_write(&frames, exception ? SPAN("exception") : SPAN("event"), name,
                              span_sub(line, space + 1, line.len));
    }
    return frames;
}

/* Every stream of one folder; returns how many there were. */
static size_t check_folder(enum dialect spoken) {
    char folder[256], path[600];
    size_t n = 0;
    const char here[] = __FILE__, own[] = "/core/route/stream_fixtures_test.c";
    snprintf(folder, sizeof folder, "%.*s/fixtures/%s", (int)(sizeof here - sizeof own), here,
             dialect_name(spoken));
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        bool frames = ends_in(e->d_name, ".events");
        if (!frames && !ends_in(e->d_name, ".sse"))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        struct buf text = read_file(path);
        if (frames) {
            struct buf made = to_frames(buf_span(&text));
            buf_deinit(&text);
            text = made;
        }
        check(path, spoken, buf_span(&text));
        buf_deinit(&text);
        n++;
    }
    closedir(dir);
    return n;
}

static int set_up(void **state) {
    snap = snapshot_new();
    snap->config.max_body = 1 << 20;
    snapshot_seal(snap);
    parser = json_parser_new();
    adapter = adapter_new(snap);
    return adapter ? 0 : -1;
}

static int tear_down(void **state) {
    adapter_free(adapter);
    json_parser_free(parser);
    snapshot_unref(snap);
    return 0;
}

#define FOLDER(test, dialect, least)                                                               \
    static void test(void **state) {                                                               \
        assert_true(check_folder(dialect) >= (least));                                             \
    }

FOLDER(chat_completions_come_alike_however_they_are_cut, DIALECT_OPENAI_CHAT, 8)
FOLDER(responses_come_alike_however_they_are_cut, DIALECT_OPENAI_RESPONSES, 8)
FOLDER(messages_come_alike_however_they_are_cut, DIALECT_ANTHROPIC_MESSAGES, 8)
FOLDER(gemini_comes_alike_however_it_is_cut, DIALECT_GEMINI, 8)
FOLDER(bedrock_comes_alike_however_it_is_cut, DIALECT_BEDROCK_CONVERSE, 4)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_completions_come_alike_however_they_are_cut),
        cmocka_unit_test(responses_come_alike_however_they_are_cut),
        cmocka_unit_test(messages_come_alike_however_they_are_cut),
        cmocka_unit_test(gemini_comes_alike_however_it_is_cut),
        cmocka_unit_test(bedrock_comes_alike_however_it_is_cut),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
