#include "cli/book.h"

#include "base/clock.h"
#include "cli/moment.h"
#include "cli/setup.h"

#include <errno.h>
#include <unistd.h>

/* DATA_DIR/ledger.db, NUL-terminated; false with the reason printed when it is not there. */
static bool find(const struct cli_call *call, struct buf *path) {
    struct snapshot *place = setup_place(call);
    buf_printf(path, "%.*s/ledger.db", SPAN_ARGS(place->config.data_dir));
    buf_add_char(path, '\0');
    snapshot_unref(place);
    if (access(path->at, F_OK) == 0)
        return true;
    fprintf(stderr, "perilune %s: %s: %s\n", call->command->name, path->at, strerror(errno));
    fprintf(stderr, "  hint: it is made by `perilune run`; -c FILE names the configuration that it "
                    "ran with\n");
    return false;
}

static void complain(const struct cli_call *call, const struct store_error *error) {
    fprintf(stderr, "perilune %s: %s\n", call->command->name, error->text);
}

struct search *book_search(const struct cli_call *call) {
    struct store_error error;
    struct search *s = NULL;
    struct buf path = { 0 };
    if (find(call, &path) && !(s = search_open(path.at, &error)))
        complain(call, &error);
    buf_deinit(&path);
    return s;
}

struct usage *book_usage(const struct cli_call *call) {
    struct store_error error;
    struct usage *u = NULL;
    struct buf path = { 0 };
    if (find(call, &path) && !(u = usage_open(path.at, &error)))
        complain(call, &error);
    buf_deinit(&path);
    return u;
}

int book_failed(const struct cli_call *call, int result) {
    struct store_error error;
    store_explain(&error, "ledger", "ledger.db", result);
    complain(call, &error);
    return CLI_UNREACHABLE;
}

bool book_moment(const struct cli_call *call, bool to, uint64_t fallback, uint64_t *us) {
    const char *text = cli_option(call, to ? "to" : "from");
    uint64_t now_us = clock_wall_ms() * 1000;
    *us = fallback;
    if (!text || moment_read(span_of(text), to ? MOMENT_TO : MOMENT_FROM, now_us, us))
        return true;
    struct buf message = { 0 };
    buf_printf(&message, "--%s wants %s, not '%s'", to ? "to" : "from", MOMENT_FORMS, text);
    buf_add_char(&message, '\0');
    cli_complain(call->command, message.at);
    buf_deinit(&message);
    return false;
}
