/* sigv4_test.c - signatures, against the service's own published example and against what its SDK for
 * Python (botocore) makes of the same requests. */
#include "upstream/sigv4.h"

#include "support/unit.h"

static struct arena arena;
static struct span lines[SIGV4_LINES];

static int set_up(void **state) {
    arena_init(&arena, 1024);
    return 0;
}

static int tear_down(void **state) {
    arena_deinit(&arena);
    return 0;
}

#define CREDENTIALS "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

/* A call of a model whose id holds a colon. */
static struct sigv4_message bedrock(const char *credentials) {
    return (struct sigv4_message){
        .method = SPAN("POST"),
        .url = SPAN("https://bedrock-runtime.us-east-1.amazonaws.com/model/"
                    "anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"),
        .body = SPAN("{\"messages\":[]}"),
        .credentials = span_of(credentials),
        .region = SPAN("us-east-1"),
        .service = SPAN("bedrock"),
        .now_s = 1795350645, /* 2026-11-22T12:30:45Z */
    };
}

static void signs_the_published_example(void **state) {
    struct sigv4_message m = {
        .method = SPAN("GET"),
        .url = SPAN("https://example.amazonaws.com/"),
        .credentials = SPAN(CREDENTIALS),
        .region = SPAN("us-east-1"),
        .service = SPAN("service"),
        .now_s = 1440938160, /* 2015-08-30T12:36:00Z */
    };
    assert_int_equal(sigv4_sign(&m, &arena, lines), 2);
    assert_span(lines[0], "x-amz-date: 20150830T123600Z");
    assert_span(lines[1],
                "authorization: AWS4-HMAC-SHA256 "
                "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
                "SignedHeaders=host;x-amz-date, "
                "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

static void encodes_the_path_twice(void **state) {
    struct sigv4_message m = bedrock(CREDENTIALS);
    assert_int_equal(sigv4_sign(&m, &arena, lines), 2);
    assert_span(lines[0], "x-amz-date: 20261122T123045Z");
    assert_span(lines[1],
                "authorization: AWS4-HMAC-SHA256 "
                "Credential=AKIDEXAMPLE/20261122/us-east-1/bedrock/aws4_request, "
                "SignedHeaders=host;x-amz-date, "
                "Signature=0bce140f258ca043b4b4eefde6d5f1a6315d435d14ffe793d390dac97cba841b");
}

static void signs_a_session_token_as_well(void **state) {
    struct sigv4_message m = bedrock(CREDENTIALS ":SESSION/TOKEN==");
    assert_int_equal(sigv4_sign(&m, &arena, lines), 3);
    assert_span(lines[1], "x-amz-security-token: SESSION/TOKEN==");
    assert_span(lines[2],
                "authorization: AWS4-HMAC-SHA256 "
                "Credential=AKIDEXAMPLE/20261122/us-east-1/bedrock/aws4_request, "
                "SignedHeaders=host;x-amz-date;x-amz-security-token, "
                "Signature=1bbd7037c3953eb5c963fb50cac495f77243141886e2bb589a08367a37caa811");
}

static void refuses_what_is_not_of_its_form(void **state) {
    struct sigv4_message m = bedrock("AKIDEXAMPLE");
    assert_int_equal(sigv4_sign(&m, &arena, lines), 0);
    m = bedrock(":secret");
    assert_int_equal(sigv4_sign(&m, &arena, lines), 0);
    m = bedrock(CREDENTIALS);
    m.url = SPAN("bedrock.amazonaws.com/model");
    assert_int_equal(sigv4_sign(&m, &arena, lines), 0);
    m.url = SPAN("https://bedrock.amazonaws.com/model?x=1");
    assert_int_equal(sigv4_sign(&m, &arena, lines), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(signs_the_published_example, set_up, tear_down),
        cmocka_unit_test_setup_teardown(encodes_the_path_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(signs_a_session_token_as_well, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_is_not_of_its_form, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
