/* record_test.c - lines of requests and figures: whole, of the right shape, with nothing anybody
 * wrote in them; the file that keeps them, its size and its end. */
#include "route/record.h"

#include "base/ability.h"
#include "base/json.h"
#include "script/recorded.h"
#include "support/unit.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct arena arena;
static struct json_parser *parser;
static struct buf out;
static char folder[64], path[96];

static int set_up(void **state) {
    arena_init(&arena, 4096);
    parser = json_parser_new();
    strcpy(folder, "/tmp/record_test.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/r.jsonl", folder);
    return 0;
}

static int tear_down(void **state) {
    char old[100];
    snprintf(old, sizeof old, "%s.1", path);
    unlink(old);
    unlink(path);
    rmdir(folder);
    arena_deinit(&arena);
    json_parser_free(parser);
    buf_deinit(&out);
    return 0;
}

/* --- lines --- */

static const struct provider provider = { .name = { "p", 1 } };
static struct target first = { .id = { "p/a", 3 }, .provider = &provider };
static struct target second = { .id = { "p/\"b", 4 }, .provider = &provider };
static struct step steps[40];
static const struct assignment assignments[] = { { .scope = ASSIGNED_TIER,
                                                   .name = { "paid", 4 } } };
static const struct snapshot snap = { .config = { .assignments = assignments,
                                                  .n_assignments = 1 } };

static struct facts some_facts(void) {
    static const char head[] = "x-route-tier: paid";
    static const struct pair headers[] = { { { head, 12 }, { head + 14, 4 } },
                                           { SPAN("x-forwarded-for"), SPAN("10.1.2.3") },
                                           { SPAN("x-claude-code-agent-type"), SPAN("plan") } };
    static const struct span tags[] = { SPAN("eu") };
    static const struct session_target told = { SPAN("p/a"), 700 };
    return (struct facts){
        .id = SPAN("01ABC"),
        .endpoint = SPAN("/v1/chat/completions"),
        .dialect = DIALECT_OPENAI_CHAT,
        .model = SPAN("auto"),
        .headers = headers,
        .n_headers = 3,
        .tier = SPAN("paid"),
        .last_targets = &told,
        .n_last_targets = 1,
        .tags = tags,
        .n_tags = 1,
        .input_tokens = 812,
        .output_tokens = 40,
        .uses = ABILITY_CHAT | ABILITY_TOOLS,
        .last_role = SPAN("user"),
        .text = SPAN("my secret plan"),
        .system = SPAN("you know a secret"),
        .max_cost_usd = HUGE_VAL,
        .budget_left = INT64_MAX,
        .deadline_ms = 5000,
        .now_ms = 1790000000131,
        .seed = UINT64_C(18446744073709551615),
    };
}

static struct trace some_trace(size_t n_steps) {
    struct trace trace;
    trace_init(&trace, SPAN("01ABC"), 1000);
    for (size_t i = 0; i < n_steps; i++)
        steps[i].target = i % 2 ? &second : &first;
    struct decision decision = { .chain = { .steps = steps, .n_steps = n_steps } };
    trace.policy = SPAN("tier@3f9c2a1b");
    trace.decided_us = 2000;
    trace_decided(&trace, &arena, &decision);
    return trace;
}

static struct json_value line_of(const struct facts *facts, const struct trace *trace,
                                 enum request_outcome outcome, int status) {
    struct json_value root;
    buf_clear(&out);
    record_write_request(&out, UINT64_C(1790000000131025), 3, &snap, facts, trace, outcome, status);
    assert_int_equal(out.at[out.len - 1], '\n');
    assert_null(memchr(out.at, '\n', out.len - 1));
    assert_int_equal(json_parse(parser, buf_span(&out), &root), JSON_OK);
    return root;
}

static int64_t whole(struct json_value object, const char *name) {
    int64_t n = -1;
    json_int(json_get(object, name), &n);
    return n;
}

static void a_request_is_one_line(void **state) {
    struct facts facts = some_facts();
    struct trace trace = some_trace(2);
    trace.end = &trace.attempts;
    struct trace_attempt *a = trace_add(&trace, &arena, &first);
    *a = (struct trace_attempt){ .next = NULL,
                                 .target = &first,
                                 .tried = true,
                                 .failure = FAILURE_RATE_LIMITED,
                                 .status = 429,
                                 .began_us = 5000,
                                 .ended_us = 125000,
                                 .input_tokens = -1,
                                 .output_tokens = -1,
                                 .cached_tokens = -1,
                                 .written_tokens = -1,
                                 .cost = -1 };
    struct trace_attempt *b = trace_add(&trace, &arena, &second);
    b->tried = true;
    b->status = 200;
    b->input_tokens = 810;
    b->output_tokens = 12;
    b->cost = 4100000;
    struct json_value root = line_of(&facts, &trace, REQUEST_ANSWERED, 200);
    assert_span(json_text(json_get(root, "kind")), "request");
    assert_true(fabs(json_number(json_get(root, "at"), 0) - 1790000000.131025) < 1e-6);
    assert_int_equal(whole(root, "worker"), 3);
    assert_span(json_text(json_get(root, "policy")), "tier@3f9c2a1b");
    assert_int_equal(json_count(json_get(root, "chain")), 2);
    assert_int_equal(json_type(json_get(root, "steps")), JSON_ABSENT);
    assert_span(json_text(json_get(root, "target")), "p/\"b");
    assert_span(json_text(json_get(root, "outcome")), "answered");
    assert_true(json_number(json_get(root, "cost_usd"), 0) == 0.0041);
    struct json_iter it = json_iter(json_get(root, "attempts"));
    assert_true(json_next(&it));
    assert_span(json_text(json_get(it.value, "failure")), "rate_limited");
    assert_int_equal(whole(it.value, "ms"), 120);
    assert_int_equal(json_type(json_get(it.value, "input_tokens")), JSON_ABSENT);
    assert_true(json_next(&it));
    assert_int_equal(json_type(json_get(it.value, "failure")), JSON_ABSENT);
    assert_int_equal(whole(it.value, "output_tokens"), 12);
}

static void the_request_is_what_policies_read(void **state) {
    struct facts facts = some_facts();
    struct trace trace = some_trace(1);
    struct json_value req = json_get(line_of(&facts, &trace, REQUEST_FAILED, 503), "req");
    assert_span(json_text(json_get(req, "seed")), "18446744073709551615");
    assert_true(json_number(json_get(req, "now"), 0) == 1790000000.131);
    assert_int_equal(json_type(json_get(req, "text")), JSON_ABSENT);
    assert_true(json_true(json_get(json_get(req, "uses"), "tools")));
    assert_int_equal(json_count(json_get(req, "uses")), 1);
    assert_true(json_true(json_get(req, "chat")));
    assert_true(json_true(json_get(json_get(req, "tags"), "eu")));
    assert_int_equal(whole(json_get(req, "tokens"), "input"), 812);
    assert_int_equal(json_count(json_get(req, "limits")), 1);
    assert_int_equal(whole(json_get(req, "limits"), "deadline_ms"), 5000);
    struct json_iter it = json_iter(json_get(req, "last_targets"));
    assert_true(json_next(&it));
    assert_int_equal(whole(it.value, "cached_tokens"), 700);
}

static void nothing_anybody_wrote_is_in_it(void **state) {
    struct facts facts = some_facts();
    struct trace trace = some_trace(1);
    struct json_value req = json_get(line_of(&facts, &trace, REQUEST_ANSWERED, 200), "req");
    assert_int_equal(json_count(json_get(req, "headers")), 2);
    assert_span(json_text(json_get(json_get(req, "headers"), "x-route-tier")), "paid");
    assert_null(memmem(out.at, out.len, "secret", 6));
    assert_null(memmem(out.at, out.len, "10.1.2.3", 8));
}

static void who_chose_the_policy_is_named(void **state) {
    struct facts facts = some_facts();
    struct trace trace = some_trace(1);
    assert_int_equal(
        json_type(json_get(line_of(&facts, &trace, REQUEST_ANSWERED, 200), "assignment")),
        JSON_ABSENT);
    facts.assignment = 1;
    struct json_value a = json_get(line_of(&facts, &trace, REQUEST_ANSWERED, 200), "assignment");
    assert_span(json_text(json_get(a, "scope")), "tier");
    assert_span(json_text(json_get(a, "name")), "paid");
}

/* Who asked and what was left comes back as it was, for the policy that decides once more. */
static void who_asked_comes_back(void **state) {
    struct facts facts = some_facts(), again;
    struct trace trace = some_trace(1);
    struct span tags[] = { SPAN("ci") };
    struct key key = { .id = SPAN("key_1"),
                       .name = SPAN("CI"),
                       .metadata = SPAN("{\n  \"team\": \"x\"\n}"),
                       .tags = tags,
                       .n_tags = 1,
                       .secret = { .last = "Zz9y" } };
    struct project project = { .name = SPAN("shop") };
    facts.key = &key;
    facts.project = &project;
    facts.budget_left = INT64_C(8999999999123456789);
    facts.budget_used = 0.1 + 0.2;
    facts.free_left = 12;
    facts.signed_by = DIALECT_GEMINI;
    facts.signed_model = SPAN("gemini-pro");
    facts.input_bytes = 3300;
    facts.answers = 4;
    recorded_facts(line_of(&facts, &trace, REQUEST_ANSWERED, 200), &snap, &arena, &again);
    assert_span(again.key->id, "key_1");
    assert_span(again.key->name, "CI");
    assert_span(again.key->metadata, "{\n  \"team\": \"x\"\n}");
    assert_int_equal(again.key->n_tags, 1);
    assert_span(again.project->name, "shop");
    assert_true(llabs(again.budget_left - facts.budget_left) <
                2000); /* what a double holds of it */
    assert_true(again.budget_used == facts.budget_used);
    assert_int_equal(again.free_left, 12);
    assert_int_equal(again.signed_by, DIALECT_GEMINI);
    assert_span(again.signed_model, "gemini-pro");
    assert_int_equal(again.input_bytes, 3300);
    assert_int_equal(again.answers, 4);
    assert_null(memmem(out.at, out.len, "Zz9y", 4));
    facts.key = NULL;
    facts.budget_left = INT64_MAX;
    recorded_facts(line_of(&facts, &trace, REQUEST_ANSWERED, 200), &snap, &arena, &again);
    assert_null(again.key);
    assert_span(again.project->name, "shop");
    assert_true(again.budget_left == INT64_MAX);
}

static void long_chains_are_known_by_their_length(void **state) {
    struct facts facts = some_facts();
    struct trace trace = some_trace(40);
    struct json_value root = line_of(&facts, &trace, REQUEST_CANCELLED, 499);
    assert_int_equal(json_count(json_get(root, "chain")), TRACE_CHAIN_MAX);
    assert_int_equal(whole(root, "steps"), 40);
}

static void figures_that_are_not_known_are_left_out(void **state) {
    struct policy_figure figure = { .state = "half_open",
                                    .error_rate = -1,
                                    .in_flight = 0,
                                    .headroom = 0.25,
                                    .ttft_ms = { 420, 900, 1500 },
                                    .total_ms = { -1, -1, -1 },
                                    .tokens_per_s = -1 };
    struct json_value root;
    buf_clear(&out);
    record_write_figure(&out, 1000000, 0, SPAN("p/a"), &figure);
    assert_int_equal(json_parse(parser, buf_span(&out), &root), JSON_OK);
    assert_span(json_text(json_get(root, "state")), "half_open");
    assert_int_equal(whole(json_get(root, "ttft_ms"), "p99"), 1500);
    assert_int_equal(whole(root, "in_flight"), 0);
    assert_true(json_number(json_get(root, "headroom"), -1) == 0.25);
    assert_int_equal(json_type(json_get(root, "total_ms")), JSON_ABSENT);
    assert_int_equal(json_type(json_get(root, "error_rate")), JSON_ABSENT);
}

/* --- the file --- */

static size_t read_file(const char *name) {
    char bytes[4096];
    ssize_t n;
    int fd = open(name, O_RDONLY);
    buf_clear(&out);
    while (fd >= 0 && (n = read(fd, bytes, sizeof bytes)) > 0)
        buf_append(&out, bytes, (size_t)n);
    if (fd >= 0)
        close(fd);
    size_t lines = 0;
    for (size_t i = 0; i < out.len; i++)
        lines += out.at[i] == '\n';
    return lines;
}

static void put(struct record *rec, unsigned n) {
    struct facts facts = some_facts();
    struct trace trace = some_trace(1);
    for (unsigned i = 0; i < n; i++)
        record_request(rec, 0, &snap, &facts, &trace, REQUEST_ANSWERED, 200);
}

static void what_waits_is_written_at_the_end(void **state) {
    struct record *rec = record_new();
    struct stat st;
    put(rec, 1); /* it is not open yet */
    record_open(rec, span_of(path), 1 << 20);
    put(rec, 3);
    record_free(rec);
    assert_int_equal(read_file(path), 3);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void what_was_not_decided_is_not_written(void **state) {
    struct record *rec = record_new();
    struct facts facts = some_facts();
    struct trace trace = some_trace(1);
    trace.decided_us = 0;
    record_open(rec, span_of(path), 1 << 20);
    record_request(rec, 0, &snap, &facts, &trace, REQUEST_REFUSED, 400);
    record_free(rec);
    assert_int_equal(read_file(path), 0);
}

static void a_file_that_is_full_makes_room(void **state) {
    char old[100];
    struct record *rec = record_new();
    snprintf(old, sizeof old, "%s.1", path);
    record_open(rec, span_of(path), 2000);
    for (int i = 0; i < 6; i++) {
        put(rec, 1);
        record_flush(rec);
    }
    record_free(rec);
    size_t in_old = read_file(old);
    assert_true(out.len <= 2000 && in_old >= 1);
    assert_true(read_file(path) >= 1);
    assert_true(out.len <= 2000);
}

static void another_place_gets_what_comes_after(void **state) {
    char other[100];
    struct record *rec = record_new();
    snprintf(other, sizeof other, "%s.1", path);
    record_open(rec, span_of(path), 1 << 20);
    put(rec, 2);
    record_open(rec, span_of(other), 1 << 20);
    put(rec, 1);
    record_open(rec, SPAN_NONE, 1 << 20);
    put(rec, 5);
    record_free(rec);
    assert_int_equal(read_file(path), 2);
    assert_int_equal(read_file(other), 1);
}

/* As tools that rotate logs do: renamed, and the gateway is told. */
static void a_file_that_was_renamed_is_begun_anew(void **state) {
    char old[100];
    struct stat st;
    struct record *rec = record_new();
    snprintf(old, sizeof old, "%s.1", path);
    record_open(rec, span_of(path), 1 << 20);
    put(rec, 2);
    record_flush(rec);
    assert_int_equal(rename(path, old), 0);
    record_open(rec, span_of(path), 1 << 20);
    assert_int_equal(stat(path, &st), 0);
    put(rec, 1);
    record_free(rec);
    assert_int_equal(read_file(old), 2);
    assert_int_equal(read_file(path), 1);
}

/* Its size is that of the new one: it is not renamed for what the old one held. */
static void a_file_that_is_gone_is_begun_anew(void **state) {
    char old[100];
    struct stat st;
    struct record *rec = record_new();
    snprintf(old, sizeof old, "%s.1", path);
    record_open(rec, span_of(path), 2000);
    put(rec, 2);
    record_flush(rec);
    assert_int_equal(unlink(path), 0);
    put(rec, 2);
    record_flush(rec);
    record_free(rec);
    assert_int_equal(read_file(path), 2);
    assert_int_equal(stat(old, &st), -1);
}

static void a_place_that_is_none_stops_nobody(void **state) {
    struct record *rec = record_new();
    record_open(rec, SPAN("/nowhere/at/all.jsonl"), 1 << 20);
    put(rec, 2);
    record_flush(rec);
    record_free(rec);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_one_line),
        TEST(the_request_is_what_policies_read),
        TEST(nothing_anybody_wrote_is_in_it),
        TEST(who_chose_the_policy_is_named),
        TEST(who_asked_comes_back),
        TEST(long_chains_are_known_by_their_length),
        TEST(figures_that_are_not_known_are_left_out),
        TEST(what_waits_is_written_at_the_end),
        TEST(what_was_not_decided_is_not_written),
        TEST(a_file_that_is_full_makes_room),
        TEST(another_place_gets_what_comes_after),
        TEST(a_file_that_was_renamed_is_begun_anew),
        TEST(a_file_that_is_gone_is_begun_anew),
        TEST(a_place_that_is_none_stops_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
