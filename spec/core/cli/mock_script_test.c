#include "support/unit.h"

#include "cli/mock_script.h"

#include <unistd.h>

/* A script from a file of its own, and what it last said. */
struct desk {
    char path[64];
    struct mock_script *script;
    struct arena arena;
    struct mock_fault fault;
    struct buf error;
};

static bool open_desk(struct desk *d, const char *source) {
    memset(d, 0, sizeof *d);
    snprintf(d->path, sizeof d->path, "%s", "/tmp/mock_script_XXXXXX");
    int fd = mkstemp(d->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, source, strlen(source)), strlen(source));
    close(fd);
    arena_init(&d->arena, 256);
    d->script = mock_script_new(d->path, &d->error);
    return d->script != NULL;
}

static void close_desk(struct desk *d) {
    unlink(d->path);
    mock_script_free(d->script);
    arena_deinit(&d->arena);
    buf_deinit(&d->error);
}

static enum mock_script_result ask(struct desk *d, uint64_t n) {
    char body[] = "{\"a\":1}";
    struct pair headers[] = { { SPAN("x-a"), SPAN("b") } };
    struct http_message m = {
        .method = SPAN("POST"), .headers = headers, .n_headers = 1, .body = { body, 7, 7 }
    };
    struct mock_ask request = { .model = SPAN("m"), .stream = true };
    struct mock_script_request r = { n, &m, SPAN("/p/v1"), SPAN("p"), &request };
    mock_fault_init(&d->fault);
    buf_clear(&d->error);
    return mock_script_ask(d->script, &r, &d->fault, &d->arena, &d->error);
}

static void test_table(void **state) {
    struct desk d;
    assert_true(open_desk(
        &d, "return function(req)\n"
            "  if req.n > 1 then return nil end\n"
            "  local t = { status = 429, retry_after = 1.5, html = true, reset = false }\n"
            "  t.message = table.concat({ req.method, req.path, req.provider, req.model,\n"
            "    tostring(req.stream), req.headers['x-a'], req.body }, ' ')\n"
            "  return t\n"
            "end\n"));
    assert_int_equal(ask(&d, 1), MOCK_SCRIPT_SPOKE);
    assert_int_equal(d.fault.harm.status, 429);
    assert_span(d.fault.harm.retry_after, "1.5");
    assert_true(d.fault.harm.html);
    assert_false(d.fault.harm.reset);
    assert_span(d.fault.harm.message, "POST /p/v1 p m true b {\"a\":1}");
    assert_int_equal(ask(&d, 2), MOCK_SCRIPT_SILENT);
    close_desk(&d);
}

static void expect_error(struct desk *d, const char *part) {
    buf_add_char(&d->error, '\0');
    if (!strstr(d->error.at, part))
        fail_msg("\"%s\" is not in \"%s\"", part, d->error.at);
}

static void test_mistakes_are_told(void **state) {
    static const char *const cases[][2] = {
        { "return function() error('oops') end", "oops" },
        { "return function() return 5 end", "a table or nothing" },
        { "return function() return { nonsense = true } end", "no such word: nonsense" },
        { "return function() return { 'html' } end", "names only" },
        { "return function() return { status = 'x' } end", "whole number: status=x" },
        { "return function() while true do end end", "too long" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct desk d;
        assert_true(open_desk(&d, cases[i][0]));
        assert_int_equal(ask(&d, 1), MOCK_SCRIPT_FAILED);
        expect_error(&d, cases[i][1]);
        /* It can be asked again. */
        assert_int_equal(ask(&d, 2), MOCK_SCRIPT_FAILED);
        close_desk(&d);
    }
}

static void test_files_that_are_no_script(void **state) {
    static const char *const cases[][2] = {
        { "return 5", "must return a function" },
        { "return function(", "expected near" },
        { "error('at once')", "at once" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct desk d;
        assert_false(open_desk(&d, cases[i][0]));
        expect_error(&d, cases[i][1]);
        close_desk(&d);
    }
    struct buf error = { 0 };
    assert_null(mock_script_new("/nowhere/at/all.lua", &error));
    assert_true(error.len > 0);
    buf_deinit(&error);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_mistakes_are_told),
        cmocka_unit_test(test_files_that_are_no_script),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
