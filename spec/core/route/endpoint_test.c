/* endpoint_test.c - which path means what: /v1 missing, doubled, tripled; slashes; models with odd
 * names; methods; near names. */
#include "route/endpoint.h"

#include "support/unit.h"

static struct arena arena;

static int set_up(void **state) {
    arena_init(&arena, 512);
    return 0;
}

static int tear_down(void **state) {
    arena_deinit(&arena);
    return 0;
}

/* From memory of its own, so that reading beyond it is found out. */
static struct endpoint_match match(const char *method, const char *path) {
    size_t len = strlen(path);
    char *own = malloc(len);
    memcpy(own, path, len);
    struct endpoint_match m = endpoint_match(span_of(method), (struct span){ own, len }, &arena);
    free(own);
    return m;
}

static enum endpoint_kind kind(const char *path) {
    return match("GET", path).endpoint->kind;
}

static void every_route_is_found(void **state) {
    struct endpoint_match m = match("POST", "/v1/chat/completions");
    assert_int_equal(m.endpoint->kind, ENDPOINT_GENERATE);
    assert_span(m.endpoint->path, "/v1/chat/completions");
    assert_span(m.endpoint->upstream, "/chat/completions");
    assert_int_equal(m.endpoint->dialect, DIALECT_OPENAI_CHAT);
    assert_true(m.method_ok);
    assert_false(m.endpoint->open);
    assert_int_equal(kind("/v1/models"), ENDPOINT_MODELS);
    assert_int_equal(kind("/health"), ENDPOINT_HEALTH);
    assert_int_equal(kind("/ready"), ENDPOINT_READY);
    assert_int_equal(kind("/"), ENDPOINT_ROOT);
}

/* Every dialect clients speak has a route, and a provider's own path for it. */
static void every_dialect_has_its_route(void **state) {
    static const struct {
        const char *path, *upstream;
        enum endpoint_kind kind;
        enum dialect dialect;
    } cases[] = {
        { "/chat/completions", "/chat/completions", ENDPOINT_GENERATE, DIALECT_OPENAI_CHAT },
        { "/responses", "/responses", ENDPOINT_GENERATE, DIALECT_OPENAI_RESPONSES },
        { "/messages", "/messages", ENDPOINT_GENERATE, DIALECT_ANTHROPIC_MESSAGES },
        { "/messages/count_tokens", "/messages/count_tokens", ENDPOINT_COUNT_TOKENS,
          DIALECT_ANTHROPIC_MESSAGES },
        { "/completions", "/completions", ENDPOINT_GENERATE, DIALECT_OPENAI_COMPLETIONS },
        { "/embeddings", "/embeddings", ENDPOINT_GENERATE, DIALECT_OPENAI_EMBEDDINGS },
    };
    static const char *const prefixes[] = { "", "/v1", "/v1/v1" };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t k = 0; k < sizeof prefixes / sizeof *prefixes; k++) {
            char path[64], canonical[64];
            snprintf(path, sizeof path, "%s%s", prefixes[k], cases[i].path);
            snprintf(canonical, sizeof canonical, "/v1%s", cases[i].path);
            struct endpoint_match m = match("POST", path);
            assert_int_equal(m.endpoint->kind, cases[i].kind);
            assert_int_equal(m.endpoint->dialect, cases[i].dialect);
            assert_span(m.endpoint->path, canonical);
            assert_span(m.endpoint->upstream, cases[i].upstream);
            assert_true(m.method_ok);
            assert_false(m.endpoint->open);
        }
}

/* What the vendors have beside it, we have not: what is kept there can not be fetched here. */
static void what_is_not_served_is_unknown(void **state) {
    static const char *const paths[] = { "/v1/responses/resp_1",
                                         "/v1/responses/resp_1/cancel",
                                         "/v1/files",
                                         "/v1/messages/batches",
                                         "/v1/images/generations",
                                         "/v1/complete",
                                         "/api/event_logging/batch",
                                         "/v1/embeddings/x" };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_int_equal(match("POST", paths[i]).endpoint->kind, ENDPOINT_UNKNOWN);
}

static void v1_may_be_missing_or_there_more_than_once(void **state) {
    static const char *const prefixes[] = { "", "/v1", "/v1/v1", "/v1/v1/v1" };
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/chat/completions", prefixes[i]);
        assert_int_equal(kind(path), ENDPOINT_GENERATE);
        snprintf(path, sizeof path, "%s/models", prefixes[i]);
        assert_int_equal(kind(path), ENDPOINT_MODELS);
        snprintf(path, sizeof path, "%s/models/gpt-4o", prefixes[i]);
        assert_span(match("GET", path).argument, "gpt-4o");
    }
    assert_int_equal(kind("/v1"), ENDPOINT_ROOT);
    assert_int_equal(kind("/v1/"), ENDPOINT_ROOT);
}

static void only_v1_itself_is_taken_off(void **state) {
    static const char *const others[] = { "/v1chat/completions", "/v2/chat/completions",
                                          "/v10/models",         "/V1/models",
                                          "/models/v1/../..",    "/chat/v1/completions" };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_not_equal(kind(others[i]), ENDPOINT_MODELS);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_not_equal(kind(others[i]), ENDPOINT_GENERATE);
}

static void slashes_at_the_end_do_not_matter(void **state) {
    assert_int_equal(kind("/v1/chat/completions/"), ENDPOINT_GENERATE);
    assert_int_equal(kind("/v1/chat/completions///"), ENDPOINT_GENERATE);
    assert_int_equal(kind("/v1/models/"), ENDPOINT_MODELS);
    assert_int_equal(kind("/health/"), ENDPOINT_HEALTH);
    assert_int_equal(kind("//"), ENDPOINT_ROOT);
    assert_span(match("GET", "/v1/models/gpt-4o/").argument, "gpt-4o");
}

static void what_is_inside_matters(void **state) {
    static const char *const paths[] = { "/v1//chat/completions",  "/v1/chat//completions",
                                         "/v1/chat/completions/x", "/v1/Chat/Completions",
                                         "/v1/chat%2Fcompletions", "/v1/./models",
                                         "chat/completions",       "*" };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_int_equal(kind(paths[i]), ENDPOINT_UNKNOWN);
}

static void a_model_may_have_any_name(void **state) {
    static const struct {
        const char *path, *id;
    } cases[] = {
        { "/v1/models/gpt-4o", "gpt-4o" },
        { "/v1/models/openai/gpt-4o", "openai/gpt-4o" },
        { "/v1/models/openai%2Fgpt-4o", "openai/gpt-4o" },
        { "/v1/models/openai%2fgpt-4o", "openai/gpt-4o" },
        { "/v1/models/x%2F", "x/" },
        { "/v1/models/v1/models", "v1/models" },
        { "/v1/models/a%3Ab%20c%C3%A9", "a:b c\xc3\xa9" },
        { "/v1/models/policy%2Ftier", "policy/tier" },
        { "/v1/models/100%", "100%" },
        { "/v1/models/100%4", "100%4" },
        { "/v1/models/%zz%4g%", "%zz%4g%" },
        { "/v1/models/%2525", "%25" },
        { "/v1/models/a%0d%0Ab", "a\r\nb" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct endpoint_match m = match("GET", cases[i].path);
        assert_int_equal(m.endpoint->kind, ENDPOINT_MODEL);
        assert_true(m.method_ok);
        assert_span(m.argument, cases[i].id);
    }
    struct span nul = match("GET", "/v1/models/a%00b").argument;
    assert_int_equal(nul.len, 3);
    assert_memory_equal(nul.at, "a\0b", 3);
}

static void methods_are_told_apart(void **state) {
    static const struct {
        const char *path, *methods;
    } cases[] = { { "/v1/chat/completions", "POST, OPTIONS" },
                  { "/v1/responses", "POST, OPTIONS" },
                  { "/v1/messages", "POST, OPTIONS" },
                  { "/v1/messages/count_tokens", "POST, OPTIONS" },
                  { "/v1/completions", "POST, OPTIONS" },
                  { "/v1/embeddings", "POST, OPTIONS" },
                  { "/v1/feedback", "POST, OPTIONS" },
                  { "/v1/models", "GET, HEAD, OPTIONS" },
                  { "/v1/models/x", "GET, HEAD, OPTIONS" },
                  { "/health", "GET, HEAD, OPTIONS" },
                  { "/", "GET, HEAD, OPTIONS" } };
    static const char *const methods[] = { "GET",     "HEAD", "POST",          "PUT", "DELETE",
                                           "OPTIONS", "get",  "POST, OPTIONS", "OPT", "" };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t k = 0; k < sizeof methods / sizeof *methods; k++) {
            struct endpoint_match m = match(methods[k], cases[i].path);
            bool post = strcmp(cases[i].methods, "POST, OPTIONS") == 0;
            bool wanted =
                strcmp(methods[k], "OPTIONS") == 0 ||
                (post ? strcmp(methods[k], "POST") == 0
                      : strcmp(methods[k], "GET") == 0 || strcmp(methods[k], "HEAD") == 0);
            assert_span(m.endpoint->methods, cases[i].methods);
            assert_int_equal(m.method_ok, wanted);
        }
}

static void only_what_shows_nothing_is_open(void **state) {
    assert_true(match("GET", "/health").endpoint->open);
    assert_true(match("GET", "/ready").endpoint->open);
    assert_true(match("GET", "/").endpoint->open);
    assert_false(match("POST", "/v1/feedback").endpoint->open);
    assert_false(match("GET", "/v1/models").endpoint->open);
    assert_false(match("GET", "/v1/models/x").endpoint->open);
    assert_false(match("GET", "/nothing").endpoint->open);
}

static void an_unknown_path_is_told_the_nearest(void **state) {
    static const struct {
        const char *path, *near;
    } cases[] = {
        { "/v1/chat/completion", "/v1/chat/completions" },
        { "/v1/chat/compeltions", "/v1/chat/completions" },
        { "/chat/completionz", "/v1/chat/completions" },
        { "/v1/message", "/v1/messages" },
        { "/v1/messages/count_token", "/v1/messages/count_tokens" },
        { "/v1/response", "/v1/responses" },
        { "/v1/embedding", "/v1/embeddings" },
        { "/v1/feedbacks", "/v1/feedback" },
        { "/v1/model", "/v1/models" },
        { "/modles/", "/v1/models" },
        { "/helth", "/health" },
        { "/redy", "/ready" },
        { "/favicon.ico", NULL },
        { "/x", NULL },
        { "/admin/login.php", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct endpoint_match m = match("GET", cases[i].path);
        assert_int_equal(m.endpoint->kind, ENDPOINT_UNKNOWN);
        assert_false(m.method_ok);
        assert_null(m.argument.at);
        assert_span(m.nearest, cases[i].near);
    }
}

static void a_long_path_is_near_nothing(void **state) {
    for (size_t len = 65; len < 9000; len += 131) {
        char path[9000];
        memset(path, 'x', len);
        path[0] = '/';
        path[len] = '\0';
        assert_null(match("GET", path).nearest.at);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_found),
        cmocka_unit_test(every_dialect_has_its_route),
        cmocka_unit_test(what_is_not_served_is_unknown),
        cmocka_unit_test(v1_may_be_missing_or_there_more_than_once),
        cmocka_unit_test(only_v1_itself_is_taken_off),
        cmocka_unit_test(slashes_at_the_end_do_not_matter),
        cmocka_unit_test(what_is_inside_matters),
        cmocka_unit_test(a_model_may_have_any_name),
        cmocka_unit_test(methods_are_told_apart),
        cmocka_unit_test(only_what_shows_nothing_is_open),
        cmocka_unit_test(an_unknown_path_is_told_the_nearest),
        cmocka_unit_test(a_long_path_is_near_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
