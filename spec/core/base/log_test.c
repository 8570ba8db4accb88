#include "base/log.h"
#include "support/unit.h"

#include <unistd.h>

/* What was written to standard error while `write_some` ran. */
static struct span captured(void (*write_some)(void)) {
    static char text[16384];
    FILE *file = tmpfile();
    int old = dup(STDERR_FILENO);
    assert_non_null(file);
    dup2(fileno(file), STDERR_FILENO);
    write_some();
    dup2(old, STDERR_FILENO);
    close(old);
    rewind(file);
    size_t len = fread(text, 1, sizeof text, file);
    fclose(file);
    return (struct span){ text, len };
}

static void write_two_levels(void) {
    log_init(LOG_WARN);
    log_info("not this");
    log_warn("this %d", 7);
    log_init(LOG_INFO);
}

static void drops_what_is_below_the_level(void **state) {
    struct span out = captured(write_two_levels);
    assert_int_equal(span_find(out, '\n'), out.len - 1);
    assert_span(span_sub(out, 24, out.len), " warn  this 7\n");
}

static void write_hostile(void) {
    log_error("model %s", "a\r\n2026 error forged\x1b[2J\x7f\xc2\x9b"
                          "z");
}

static void can_not_be_forged(void **state) {
    struct span out = captured(write_hostile);
    assert_span(span_sub(out, 24, out.len), " error model a??2026 error forged?[2J???z\n");
}

static void write_long(void) {
    static char text[20000];
    memset(text, 'x', sizeof text - 1);
    log_error("%s", text);
}

static void bounds_a_line(void **state) {
    struct span out = captured(write_long);
    assert_true(out.len <= 4096);
    assert_true(span_ends(out, SPAN("xxx...\n")));
}

static void knows_level_names(void **state) {
    enum log_level level = LOG_INFO;
    assert_true(log_level_parse("debug", &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_true(log_level_parse("error", &level));
    assert_int_equal(level, LOG_ERROR);
    assert_false(log_level_parse("loud", &level));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drops_what_is_below_the_level),
        cmocka_unit_test(can_not_be_forged),
        cmocka_unit_test(bounds_a_line),
        cmocka_unit_test(knows_level_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
