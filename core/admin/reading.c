#include "admin/reading.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Of libuv's four threads none is kept from others for long. */
enum { READINGS_MAX = 16 };

void reading_refuse(struct reading *r, enum api_code code, const char *param, const char *format,
                    ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(r->why, sizeof r->why, format, args);
    va_end(args);
    r->refused = true;
    r->code = code;
    r->param = param;
}

bool reading_worked(struct reading *r, int result) {
    if (result < 0)
        reading_refuse(r, API_INTERNAL, NULL, "The ledger can not be read (SQLite's %d).", -result);
    return result >= 0;
}

static void on_work(uv_work_t *work) {
    struct reading *r = work->data;
    r->look(r);
}

static void on_looked(uv_work_t *work, int status) {
    struct reading *r = work->data;
    struct api_call *call = r->call;
    call->admin->readings--;
    if (r->refused)
        api_fail(call, r->code, r->param, "%s", r->why);
    else if (r->type)
        api_reply_as(call, r->type, buf_span(&r->answer));
    else
        api_reply(call, 200, buf_span(&r->answer));
    buf_deinit(&r->answer);
    free(r);
}

void reading_ask(struct api_call *call, void (*look)(struct reading *r), void *question) {
    struct admin *a = call->admin;
    if (!a->money.ledger) {
        api_fail(call, API_NOT_AVAILABLE, NULL, "No ledger is kept: see `ledger`.");
        return;
    }
    if (a->readings == READINGS_MAX) {
        api_fail(call, API_OVERLOADED, NULL, "%d questions to the ledger are under way.",
                 READINGS_MAX);
        return;
    }
    struct reading *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    *r = (struct reading){
        .call = call, .path = ledger_path(a->money.ledger), .question = question, .look = look
    };
    r->work.data = r;
    a->readings++;
    uv_queue_work(&a->loop, &r->work, on_work, on_looked);
}
