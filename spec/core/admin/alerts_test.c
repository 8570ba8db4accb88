/* alerts_test.c - the message and its signature. How messages are sent is in
 * spec/gateway/alerts_spec.lua. */
#include "admin/alerts.h"

#include "support/unit.h"

static void a_message_says_which_cap(void **state) {
    const struct budget_alert alert = { .scope = BUDGET_PROJECT,
                                        .name = SPAN("sh\"op"),
                                        .period = PERIOD_MONTH,
                                        .when = { 1788220800, 1790812800 },
                                        .percent = 80,
                                        .spent = 4000000001,
                                        .nano = 5000000000 };
    struct buf out = { 0 };
    alerts_write(&out, &alert, SPAN("01J"), UINT64_C(1790000000123));
    const char *want =
        "{\"id\":\"01J\",\"at\":\"2026-09-21T14:13:20.123Z\",\"alert\":{\"scope\":\"project\","
        "\"name\":\"sh\\\"op\",\"period\":\"month\",\"percent\":80,"
        "\"spent_usd\":4.000000001,\"spent_nano\":4000000001,"
        "\"cap_usd\":5.000000000,\"cap_nano\":5000000000,"
        "\"resets_at\":\"2026-10-01T00:00:00.000Z\"}}";
    assert_int_equal(out.len, strlen(want));
    assert_memory_equal(out.at, want, out.len);
    buf_deinit(&out);
}

/* The account has no name, a total no end. */
static void what_is_not_there_is_left_out(void **state) {
    const struct budget_alert alert = { .scope = BUDGET_ACCOUNT,
                                        .period = PERIOD_TOTAL,
                                        .when = { 0, PERIOD_FOR_EVER },
                                        .percent = 100,
                                        .spent = 7,
                                        .nano = 7 };
    struct buf out = { 0 };
    alerts_write(&out, &alert, SPAN("01J"), UINT64_C(1790000000123));
    const char *want = "{\"id\":\"01J\",\"at\":\"2026-09-21T14:13:20.123Z\",\"alert\":{\"scope\":"
                       "\"account\",\"period\":\"total\",\"percent\":100,"
                       "\"spent_usd\":0.000000007,\"spent_nano\":7,"
                       "\"cap_usd\":0.000000007,\"cap_nano\":7}}";
    assert_int_equal(out.len, strlen(want));
    assert_memory_equal(out.at, want, out.len);
    buf_deinit(&out);
}

/* As `printf %s '1790000000.{"a":1}' | openssl dgst -sha256 -hmac whisper` has it. */
static void a_signature_is_of_the_moment_and_the_body(void **state) {
    char out[ALERTS_SIGNATURE];
    alerts_sign(SPAN("whisper"), 1790000000, SPAN("{\"a\":1}"), out);
    assert_string_equal(
        out, "t=1790000000,v1=717954a634b3cede3bc44573f424ecbbb5cbffdff5c684a3e3c1040ce5e994a6");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_says_which_cap),
        cmocka_unit_test(what_is_not_there_is_left_out),
        cmocka_unit_test(a_signature_is_of_the_moment_and_the_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
