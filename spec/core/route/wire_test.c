/* What providers say when they fail, in every shape, and which class that is. */
#include "route/wire.h"
#include "support/unit.h"

static struct json_parser *parser;
static struct arena arena;

static int set_up(void **state) {
    parser = json_parser_new();
    arena_init(&arena, 4096);
    return 0;
}

static int tear_down(void **state) {
    json_parser_free(parser);
    arena_deinit(&arena);
    return 0;
}

static struct wire_error error_of(const char *body) {
    struct wire_error error;
    wire_read_error(parser, span_of(body), &arena, &error);
    return error;
}

/* --- errors --- */

static void c9_every_shape_of_error_is_read(void **state) {
    static const struct {
        const char *body, *message, *code, *type;
    } cases[] = {
        { "{\"error\":{\"message\":\"bad "
          "key\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"invalid_api_key\"}}",
          "bad key", "invalid_api_key", "invalid_request_error" },
        { "{\"error\":\"model not found\"}", "model not found", NULL, NULL },
        { "{\"message\":\"gone\",\"code\":404}", "gone", "404", NULL },
        { "{\"object\":\"error\",\"message\":\"too "
          "long\",\"type\":\"BadRequestError\",\"code\":400}",
          "too long", "400", "BadRequestError" },
        { "{\"detail\":\"Not Found\"}", "Not Found", NULL, NULL },
        { "{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"field required\",\"type\":\"missing\"}]}",
          "field required", NULL, NULL },
        { "{\"detail\":{\"message\":\"inner\"}}", "inner", NULL, NULL },
        { "[{\"error\":{\"code\":400,\"message\":\"API key not "
          "valid\",\"status\":\"INVALID_ARGUMENT\"}}]",
          "API key not valid", "400", "INVALID_ARGUMENT" },
        { "{\"errors\":[{\"message\":\"first\",\"code\":\"x\"}]}", "first", "x", NULL },
        { "{\"success\":false,\"error\":\"no\"}", "no", NULL, NULL },
        { "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT Signature.\"}",
          "Invalid JWT Signature.", NULL, NULL },
        { "{\"code\":\"DataInspectionFailed\",\"message\":\"may contain\",\"request_id\":\"r\"}",
          "may contain", "DataInspectionFailed", NULL },
        { "{\"error\":{\"message\":\"Provider returned "
          "error\",\"code\":400,\"metadata\":{\"raw\":\"context too long\"}}}",
          "Provider returned error: context too long", "400", NULL },
        { "{\"__type\":\"com.amazon.coral.service#ThrottlingException\",\"message\":\"slow\"}",
          "slow", NULL, "ThrottlingException" },
        { "{\"__type\":\"ValidationException\",\"message\":\"no\"}", "no", NULL,
          "ValidationException" },
        { "{\"Message\":\"no such key\"}", "no such key", NULL, NULL },
        { "{\"id\":\"1\",\"message\":\"invalid api token\"}", "invalid api token", NULL, NULL },
        { "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":"
          "\"Overloaded\"},\"request_id\":\"req_1\"}",
          "Overloaded", "overloaded_error", "overloaded_error" },
        { "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"gone\","
          "\"details\":{\"error_code\":\"thread_not_found\"}}}",
          "gone", "thread_not_found", "not_found_error" },
        { "{\"type\":\"error\",\"code\":\"server_error\",\"message\":\"boom\",\"param\":null}",
          "boom", "server_error", NULL },
        { "{\"type\":\"error\",\"error\":{\"type\":\"t\",\"code\":\"c\",\"message\":\"boom\"}}",
          "boom", "c", "t" },
        { "\"just words\"", "just words", NULL, NULL },
        { "<html><head><title>502 Bad\n Gateway</title></head><body>nginx</body></html>",
          "502 Bad Gateway", NULL, NULL },
        { " <h1>Service</h1><p>Unavailable</p>", "Service Unavailable", NULL, NULL },
        { "upstream connect error\r\n", "upstream connect error", NULL, NULL },
        { "", NULL, NULL, NULL },
        { "{}", NULL, NULL, NULL },
        { "[]", NULL, NULL, NULL },
        { "null", NULL, NULL, NULL },
        { "{\"error\":{}}", NULL, NULL, NULL },
        { "{\"error\":{\"message\":\"\"}}", NULL, NULL, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wire_error e = error_of(cases[i].body);
        assert_span(e.message, cases[i].message);
        assert_span(e.code, cases[i].code);
        assert_span(e.type, cases[i].type);
    }
}

static void c10_what_was_read_is_cleaned_and_bounded(void **state) {
    struct wire_error e = error_of("{\"error\":{\"message\":\"a\\r\\nx-evil: "
                                   "1\\u0000\\u001b[2J\\u2028b\",\"code\":\"c\\nd\"}}");
    assert_span(e.message, "a x-evil: 1 [2J b");
    assert_span(e.code, "c d");
    assert_span(error_of("bad \xff\xfe bytes").message, "bad \xef\xbf\xbd\xef\xbf\xbd bytes");
    char body[8192], *at = body + sprintf(body, "{\"error\":{\"message\":\"");
    for (int i = 0; i < 1000; i++)
        at += sprintf(at, "\xe2\x82\xac");
    sprintf(at, "\",\"code\":\"%0200d\"}}", 1);
    e = error_of(body);
    assert_int_equal(e.message.len, WIRE_MESSAGE_MAX / 3 * 3);
    assert_int_equal(e.code.len, WIRE_CODE_MAX);
}

/* Google's way to say Retry-After. */
static void reads_when_to_come_back(void **state) {
    static const struct {
        const char *details;
        int64_t ms;
    } cases[] = {
        { "[{\"@type\":\"type.googleapis.com/google.rpc.QuotaFailure\",\"retryDelay\":\"9s\"},"
          "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"23s\"}]",
          23000 },
        { "[{\"@type\":\"x/google.rpc.RetryInfo\",\"retryDelay\":\"1.5s\"}]", 1500 },
        { "[{\"@type\":\"x/google.rpc.RetryInfo\",\"retryDelay\":\"0.0004s\"}]", 0 },
        { "[{\"@type\":\"x/google.rpc.RetryInfo\",\"retryDelay\":\"0s\"}]", 0 },
        { "[{\"@type\":\"x/google.rpc.RetryInfo\",\"retryDelay\":\"-3s\"}]", 0 },
        { "[{\"@type\":\"x/google.rpc.RetryInfo\",\"retryDelay\":\"1e30s\"}]", 0 },
        { "[{\"@type\":\"x/google.rpc.RetryInfo\",\"retryDelay\":\"23\"}]", 0 },
        { "[{\"@type\":\"x/google.rpc.RetryInfo\",\"retryDelay\":\"s\"}]", 0 },
        { "[{\"@type\":\"x/google.rpc.RetryInfo\",\"retryDelay\":7}]", 0 },
        { "[{\"@type\":\"x/google.rpc.RetryInfo\"}]", 0 },
        { "[7]", 0 },
        { "[]", 0 },
        { "{\"retryDelay\":\"23s\"}", 0 },
        { "null", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[512];
        snprintf(body, sizeof body,
                 "{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\","
                 "\"details\":%s}}",
                 cases[i].details);
        struct wire_error e = error_of(body);
        if (e.retry_after_ms != cases[i].ms)
            fail_msg("%lld: %s", (long long)e.retry_after_ms, cases[i].details);
        assert_span(e.type, "RESOURCE_EXHAUSTED");
    }
    assert_int_equal(error_of("<html>").retry_after_ms, 0);
}

static void masks_our_own_keys(void **state) {
    const struct provider_key keys[] = { { .secret = SPAN("sk-canary-0123456789"), .weight = 1 },
                                         { .secret = SPAN("other-key-abcdef"), .weight = 1 } };
    const struct provider p = { .keys = keys, .n_keys = 2 };
    struct wire_error e = {
        .message = SPAN("key sk-canary-0123456789 and other-key-abcdef, sk-canary-0123456789!")
    };
    wire_mask((struct wire_secrets){ &p, SPAN_NONE }, &arena, &e);
    assert_span(e.message, "key *** and ***, ***!");
    assert_span(e.code, NULL);
    e = (struct wire_error){ .message = SPAN("cut within sk-canary-01"),
                             .code = SPAN("other-key-abcdef") };
    wire_mask((struct wire_secrets){ &p, SPAN_NONE }, &arena, &e);
    assert_span(e.message, "cut within ***");
    assert_span(e.code, "***");
    e = (struct wire_error){ .message = SPAN("nothing to hide, not even sk-ca") };
    wire_mask((struct wire_secrets){ &p, SPAN_NONE }, &arena, &e);
    assert_span(e.message, "nothing to hide, not even sk-ca");
}

static void masks_what_configured_headers_say(void **state) {
    const struct span headers[] = { SPAN("api-key: canary-0123456789"), SPAN("version: 2023-06") };
    const struct provider p = { .headers = headers, .n_headers = 2 };
    assert_span(wire_mask_text((struct wire_secrets){ &p, SPAN_NONE }, &arena,
                               SPAN("canary-0123456789 is of 2023-06")),
                "*** is of 2023-06");
    assert_span(wire_mask_text((struct wire_secrets){ &p, SPAN_NONE }, &arena, SPAN_NONE), NULL);
}

static void masks_each_part_of_a_key(void **state) {
    const struct provider_key key = { .secret = SPAN("AKIDEXAMPLE:canary/secret+1:session==") };
    const struct provider p = { .auth = AUTH_AWS_SIGV4, .keys = &key, .n_keys = 1 };
    const struct wire_secrets secrets = { &p, SPAN_NONE };
    assert_span(wire_mask_text(secrets, &arena,
                               SPAN("Credential=AKIDEXAMPLE/2026, session== or canary/secret+1")),
                "Credential=***/2026, *** or ***");
    assert_span(wire_mask_text(secrets, &arena, SPAN("cut within canary/se")), "cut within ***");
}

static void masks_a_service_accounts_key_and_its_token(void **state) {
    const struct provider_key key = {
        .secret = SPAN("{\"type\":\"service_account\",\"private_key\":\"-----BEGIN PRIVATE "
                       "KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCnn\\nrC9QzzyTuFQ9ifmUx4BqaRk="
                       "\\n-----END\",\"client_email\":\"me@project.example\"}")
    };
    const struct provider p = { .auth = AUTH_GOOGLE_JWT, .keys = &key, .n_keys = 1 };
    const struct wire_secrets secrets = { &p, SPAN("ya29.canary") };
    assert_span(wire_mask_text(secrets, &arena,
                               SPAN("me@project.example: MIIEvQIBADANBgkqhkiG9w0BAQEFAASCnn, "
                                    "rC9QzzyTuFQ9ifmUx4BqaRk= and ya29.canary")),
                "me@project.example: ***, *** and ***");
    assert_span(wire_mask_text(secrets, &arena, SPAN("service_account")), "service_account");
}

/* --- classes --- */

static void classifies_by_status(void **state) {
    static const struct {
        int status;
        enum failure class;
    } cases[] = {
        { 400, FAILURE_BAD_REQUEST },    { 401, FAILURE_AUTH },
        { 402, FAILURE_QUOTA },          { 403, FAILURE_AUTH },
        { 404, FAILURE_NOT_FOUND },      { 408, FAILURE_TIMEOUT },
        { 413, FAILURE_CONTEXT_LENGTH }, { 422, FAILURE_BAD_REQUEST },
        { 429, FAILURE_RATE_LIMITED },   { 500, FAILURE_SERVER_ERROR },
        { 502, FAILURE_SERVER_ERROR },   { 503, FAILURE_OVERLOADED },
        { 504, FAILURE_TIMEOUT },        { 529, FAILURE_OVERLOADED },
        { 599, FAILURE_SERVER_ERROR },   { 302, FAILURE_BAD_RESPONSE },
        { 0, FAILURE_BAD_RESPONSE },     { 200, FAILURE_SERVER_ERROR },
    };
    const struct wire_error nothing = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(wire_classify(NULL, 0, cases[i].status, &nothing), cases[i].class);
}

static void classifies_by_the_first_rule_that_fits(void **state) {
    const struct failure_rule rules[] = {
        { .code = SPAN("insufficient_quota"), .class = FAILURE_QUOTA },
        { .status_from = 400,
          .status_to = 422,
          .text = SPAN("context length"),
          .class = FAILURE_CONTEXT_LENGTH },
        { .status_from = 400, .status_to = 400, .class = FAILURE_BAD_REQUEST },
        { .status_from = 400, .status_to = 499, .class = FAILURE_AUTH },
    };
    const size_t n = sizeof rules / sizeof *rules;
    struct wire_error quota = { .code = SPAN("insufficient_quota") };
    struct wire_error quota_type = { .type = SPAN("insufficient_quota"), .code = SPAN("x") };
    struct wire_error longer = { .message = SPAN("Maximum Context Length is 8192") };
    struct wire_error numbered = { .code = SPAN("418"), .message = SPAN("Context length") };
    assert_int_equal(wire_classify(rules, n, 429, &quota), FAILURE_QUOTA);
    assert_int_equal(wire_classify(rules, n, 429, &quota_type), FAILURE_QUOTA);
    assert_int_equal(wire_classify(rules, n, 400, &longer), FAILURE_CONTEXT_LENGTH);
    assert_int_equal(wire_classify(rules, n, 500, &longer), FAILURE_SERVER_ERROR);
    assert_int_equal(wire_classify(rules, n, 400, &(struct wire_error){ 0 }), FAILURE_BAD_REQUEST);
    assert_int_equal(wire_classify(rules, n, 418, &(struct wire_error){ 0 }), FAILURE_AUTH);
    /* Inside an answer of status 200: its words, or the status it carries. */
    assert_int_equal(wire_classify(rules, n, 200, &longer), FAILURE_CONTEXT_LENGTH);
    assert_int_equal(wire_classify(rules, n, 200, &numbered), FAILURE_CONTEXT_LENGTH);
    numbered.message = SPAN_NONE;
    assert_int_equal(wire_classify(rules, n, 200, &numbered), FAILURE_AUTH);
    assert_int_equal(wire_classify(rules, n, 200, &(struct wire_error){ 0 }), FAILURE_SERVER_ERROR);
}

/* --- usage --- */

static void usage_is_merged_figure_by_figure(void **state) {
    struct wire_usage u = WIRE_USAGE_UNKNOWN;
    wire_usage_merge(&u, &(struct wire_usage){ 9, -1, 4, -1, -1, -1 });
    wire_usage_merge(&u, &(struct wire_usage){ -1, 5, -1, -1, 2, -1 });
    wire_usage_merge(&u, &(struct wire_usage){ -1, 6, 0, -1, -1, -1 });
    assert_memory_equal(&u, (&(struct wire_usage){ 9, 6, 0, -1, 2, -1 }), sizeof u);
    wire_usage_merge(&u, &WIRE_USAGE_UNKNOWN);
    assert_memory_equal(&u, (&(struct wire_usage){ 9, 6, 0, -1, 2, -1 }), sizeof u);
}

static void a_sum_is_made_of_its_parts(void **state) {
    struct wire_usage u = WIRE_USAGE_UNKNOWN;
    wire_usage_merge(&u, &(struct wire_usage){ -1, -1, 30, 2, -1, -1 });
    assert_int_equal(u.input, -1);
    wire_usage_merge(&u, &(struct wire_usage){ -1, -1, -1, -1, -1, 100 });
    assert_int_equal(u.input, 132);
    wire_usage_merge(&u, &(struct wire_usage){ -1, 7, 50, -1, -1, 0 });
    assert_int_equal(u.input, 52);
    wire_usage_merge(&u, &u);
    assert_int_equal(u.input, 52);
}

/* --- dialects --- */

/* What is always translated is read here only where something else than a stream came. */
static void of_translated_dialects_errors_are_told_from_the_rest(void **state) {
    static const enum dialect dialects[] = { DIALECT_GEMINI, DIALECT_BEDROCK_CONVERSE };
    static const struct {
        const char *body;
        enum wire_kind kind;
    } cases[] = {
        { "[{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\"}}]",
          WIRE_ERROR },
        { "{\"error\":{\"message\":\"m\"}}", WIRE_ERROR },
        { "{\"message\":\"m\"}", WIRE_ERROR },
        { "{\"candidates\":[]}", WIRE_MALFORMED },
        { "{\"output\":{\"message\":{\"content\":[]}}}", WIRE_MALFORMED },
        { "[]", WIRE_MALFORMED },
        { "<html>", WIRE_MALFORMED },
        { "", WIRE_MALFORMED },
    };
    for (size_t d = 0; d < 2; d++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            struct wire_seen seen;
            wire_of(dialects[d])->read_answer(parser, span_of(cases[i].body), &arena, &seen);
            assert_int_equal(seen.kind, cases[i].kind);
            if (seen.kind == WIRE_ERROR)
                assert_span(seen.error.message, "m");
        }
}

static void has_no_readers_for_no_dialect(void **state) {
    assert_null(wire_of(DIALECT_NONE));
    assert_null(wire_of(DIALECT_COUNT));
    for (int d = DIALECT_NONE + 1; d < DIALECT_COUNT; d++)
        assert_non_null(wire_of(d));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c9_every_shape_of_error_is_read),
        cmocka_unit_test(c10_what_was_read_is_cleaned_and_bounded),
        cmocka_unit_test(masks_our_own_keys),
        cmocka_unit_test(masks_what_configured_headers_say),
        cmocka_unit_test(masks_each_part_of_a_key),
        cmocka_unit_test(masks_a_service_accounts_key_and_its_token),
        cmocka_unit_test(classifies_by_status),
        cmocka_unit_test(classifies_by_the_first_rule_that_fits),
        cmocka_unit_test(reads_when_to_come_back),
        cmocka_unit_test(usage_is_merged_figure_by_figure),
        cmocka_unit_test(a_sum_is_made_of_its_parts),
        cmocka_unit_test(of_translated_dialects_errors_are_told_from_the_rest),
        cmocka_unit_test(has_no_readers_for_no_dialect),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
