/* feed_test.c - what is told of a request is all of it, to the file and to who follows, and none of
 * what nobody asked for. */
#include "route/feed.h"

#include "base/json.h"
#include "support/records.h"
#include "support/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static char folder[64], path[96];
static struct buf out;

static int begin(void **state) {
    strcpy(folder, "/tmp/feed_test.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/access.jsonl", folder);
    return 0;
}

static int end(void **state) {
    unlink(path);
    rmdir(folder);
    buf_deinit(&out);
    return 0;
}

static struct span read_file(void) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;
    buf_clear(&out);
    while (fd >= 0 && (n = read(fd, buf_reserve(&out, 65536), 65536)) > 0)
        out.len += (size_t)n;
    if (fd >= 0)
        close(fd);
    return buf_span(&out);
}

enum { REQUESTS = 500 };
#define AT UINT64_C(1790000000123456)

static void put(struct feed *f, unsigned from, unsigned to) {
    struct records r;
    struct entry e;
    records_init(&r, from + 1);
    for (unsigned i = from; i < to; i++) {
        records_make(&r, i, AT + i, &e);
        feed_add(f, &e);
    }
}

static struct span id_of(struct json_parser *parser, struct span line) {
    struct json_value root;
    assert_int_equal(json_parse(parser, line, &root), JSON_OK);
    return json_text(json_get(root, "id"));
}

static void a_request_is_a_line_of_json(void **state) {
    struct feed *f = feed_new();
    struct json_parser *parser = json_parser_new();
    char id[40];
    put(f, 0, 1); /* nobody wants it yet */
    feed_open(f, span_of(path));
    put(f, 0, REQUESTS);
    feed_free(f);
    struct span rest = read_file(), line;
    for (unsigned i = 0; i < REQUESTS; i++) {
        assert_true(span_split(&rest, '\n', &line));
        snprintf(id, sizeof id, "r-%07u", i);
        assert_true(span_eq(id_of(parser, line), span_of(id)));
    }
    assert_int_equal(rest.len, 0);
    json_parser_free(parser);
}

static void a_line_says_what_became_of_it(void **state) {
    const struct entry_attempt attempts[] = {
        { .number = 1,
          .target = SPAN("openai/gpt-4o"),
          .began_us = AT,
          .status = 429,
          .failure = FAILURE_RATE_LIMITED,
          .connect_us = -1,
          .first_us = -1,
          .total_us = 900,
          .tokens = { -1, -1, -1, -1, -1 },
          .price = { -1, -1, -1, -1 },
          .cost = 0,
          .billed = 0,
          .most = 0 },
        { .number = 2,
          .target = SPAN("anthropic/claude-sonnet-4-6"),
          .began_us = AT + 1000,
          .status = 200,
          .connect_us = 40,
          .first_us = 5000,
          .total_us = 9000,
          .tokens = { 10, -1, -1, 20, -1 },
          .won = true,
          .price = { 3000, 15000, -1, -1 },
          .cost = 123456,
          .billed = 123456,
          .most = 123456 },
    };
    const struct span tags[] = { SPAN("ci\"\n<b>") };
    const struct entry e = { .id = SPAN("01J"),
                             .at_us = AT,
                             .key = SPAN("key_1"),
                             .project = SPAN("shop"),
                             .endpoint = SPAN("/v1/chat/completions"),
                             .model = SPAN("gpt-4o"),
                             .policy = SPAN("tier@3f9c2a1b"),
                             .session = SPAN("s-1"),
                             .tags = tags,
                             .n_tags = 1,
                             .outcome = ENTRY_ANSWERED,
                             .status = 200,
                             .stream = true,
                             .queue_us = -1,
                             .policy_us = 120,
                             .first_us = 6000,
                             .total_us = 10000,
                             .attempts = attempts,
                             .n_attempts = 2 };
    static const char *const said[] = {
        "{\"time\":\"2026-09-21T14:13:20.123Z\",\"id\":\"01J\",",
        "\"key\":\"key_1\"",
        "\"project\":\"shop\"",
        "\"endpoint\":\"/v1/chat/completions\"",
        "\"model\":\"gpt-4o\"",
        "\"policy\":\"tier@3f9c2a1b\"",
        "\"session\":\"s-1\"",
        "\"tags\":[\"ci\\\"",
        "\"outcome\":\"answered\"",
        "\"status\":200",
        "\"stream\":true",
        "\"attempts\":2",
        "\"policy_ms\":0.120",
        "\"first_ms\":6.000",
        "\"total_ms\":10.000",
        "\"input\":10",
        "\"output\":20",
        "\"cost_usd\":0.000123456",
        "\"cost_nano\":123456",
        "\"target\":\"openai/gpt-4o\"",
        "\"class\":\"rate_limited\"",
        "\"target\":\"anthropic/claude-sonnet-4-6\"",
        "\"won\":true",
    };
    feed_write(&out, &e);
    buf_add_char(&out, '\0');
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (!strstr(out.at, said[i]))
            fail_msg("%s is not in %s", said[i], out.at);
    assert_ptr_equal(strchr(out.at, '\n'),
                     out.at + out.len - 2); /* one line, whatever a tag holds */
}

/* --- who follows --- */

struct follower {
    pthread_mutex_t lock;
    pthread_cond_t came;
    struct arena arena;
    unsigned n, strange;
};

static void told(void *owner, struct span entries) {
    struct follower *w = owner;
    struct entry e;
    char id[40];
    pthread_mutex_lock(&w->lock);
    while (feed_next(&entries, &w->arena, &e)) {
        snprintf(id, sizeof id, "r-%07u", w->n++);
        w->strange += !span_eq(e.id, span_of(id));
    }
    pthread_cond_signal(&w->came);
    pthread_mutex_unlock(&w->lock);
}

static void who_follows_needs_no_file(void **state) {
    struct feed *f = feed_new();
    struct follower w = { .lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER };
    arena_init(&w.arena, 4096);
    feed_follow(f, told, &w);
    put(f, 0, REQUESTS);
    pthread_mutex_lock(&w.lock);
    while (w.n < REQUESTS)
        pthread_cond_wait(&w.came, &w.lock);
    pthread_mutex_unlock(&w.lock);
    feed_follow(f, NULL, NULL);
    put(f, REQUESTS, REQUESTS + 1);
    feed_free(f);
    assert_int_equal(w.n, REQUESTS);
    assert_int_equal(w.strange, 0);
    arena_deinit(&w.arena);
}

static void what_can_not_be_written_is_counted(void **state) {
    struct feed *f = feed_new();
    feed_open(f, SPAN("/dev/full"));
    put(f, 0, 3);
    feed_open(f, SPAN_NONE);
    assert_int_equal(feed_left_out(f), 3);
    feed_free(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_is_a_line_of_json, begin, end),
        cmocka_unit_test_setup_teardown(a_line_says_what_became_of_it, begin, end),
        cmocka_unit_test(who_follows_needs_no_file),
        cmocka_unit_test(what_can_not_be_written_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
