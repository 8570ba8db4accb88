#include "admin/edit.h"

#include "admin/save.h"

#include <errno.h>

void edit_member(struct buf *out, const char *name, struct span value) {
    if (out->len && out->at[out->len - 1] != '{')
        buf_add_char(out, ',');
    buf_printf(out, "\"%s\":", name);
    if (value.at)
        buf_add_json(out, value);
    else
        buf_add(out, SPAN("null"));
}

void edit_refuse(struct api_call *call, enum api_code code, const char *message,
                 const struct config_findings *findings) {
    struct buf members = { 0 };
    buf_add(&members, SPAN("\"findings\":"));
    admin_write_findings(findings, &members);
    api_fail_with(call, code, message, buf_span(&members));
    buf_deinit(&members);
}

bool edit_save(struct api_call *call, const char *path, struct span text) {
    int error = save_file(path, text, 0644);
    if (error == -EACCES || error == -EPERM || error == -EROFS)
        api_fail(call, API_MANAGED_BY_FILE, NULL,
                 "%s can not be written (%s): who owns the folder changes it there.", path,
                 strerror(-error));
    else if (error)
        api_fail(call, API_INTERNAL, NULL, "%s can not be written: %s. It is as it was.", path,
                 strerror(-error));
    return error == 0;
}

bool edit_reload(struct api_call *call) {
    if (admin_reload(call->admin))
        return true;
    edit_refuse(call, API_INVALID_CONFIGURATION,
                "The configuration is wrong: what was loaded before keeps serving.",
                &call->admin->findings);
    return false;
}

/* A call that waits until all workers serve what it had read. */
struct editing {
    struct api_call *call;
    struct span members, findings; /* of that reading: another one may follow meanwhile */
};

static void on_served(void *owner) {
    const struct editing *e = owner;
    struct buf body = { 0 };
    buf_printf(&body, "{%.*s%s\"generation\":%u,\"findings\":%.*s}", SPAN_ARGS(e->members),
               e->members.len ? "," : "", e->call->admin->engine.snap->generation,
               SPAN_ARGS(e->findings));
    api_reply(e->call, 200, buf_span(&body));
    buf_deinit(&body);
}

void edit_reply(struct api_call *call, struct span members) {
    struct buf findings = { 0 };
    admin_write_findings(&call->admin->findings, &findings);
    struct editing *e = arena_new(call->arena, struct editing);
    *e = (struct editing){ call, arena_copy(call->arena, members),
                           arena_copy(call->arena, buf_span(&findings)) };
    buf_deinit(&findings);
    admin_when_served(call->admin, on_served, e);
}
