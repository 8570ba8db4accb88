/* api_caps.c - GET /api/caps: all caps as they stand. */
#include "admin/asker.h"
#include "admin/inside.h"
#include "base/clock.h"

/* Which ones are asked for: of a scope, of a name. */
struct wanted {
    struct api_call *call;
    struct span scope, name;
    int64_t now_s;
};

static void write_wanted(const struct wanted *w, const struct budget_cap *caps, size_t n,
                         struct buf *out) {
    for (size_t i = 0; i < n; i++)
        if ((!w->scope.at || span_eq(w->scope, span_of(budget_scope_name(caps[i].scope)))) &&
            (!w->name.at || span_eq(w->name, caps[i].name)))
            asker_write_caps(w->call->admin->money.budget, &caps[i], 1, w->now_s, out);
}

static bool is_scope(struct span name) {
    for (int scope = BUDGET_REQUEST + 1; scope < BUDGET_SCOPES; scope++)
        if (span_eq(name, span_of(budget_scope_name((enum budget_scope)scope))))
            return true;
    return false;
}

void api_caps(struct api_call *call) {
    const struct config *c = &call->admin->engine.snap->config;
    const struct wanted w = { call, api_query(call, "scope"), api_query(call, "name"),
                              (int64_t)(clock_wall_ms() / 1000) };
    if (w.scope.at && !is_scope(w.scope)) {
        api_fail(call, API_INVALID_REQUEST, "scope", "Caps are of: account, route, project, key.");
        return;
    }
    struct keys_pass pass = keys_anybody(call->admin->money.keys);
    struct buf body = { 0 };
    buf_add(&body, SPAN("{\"caps\":["));
    write_wanted(&w, c->caps, c->n_caps, &body);
    for (size_t i = 0; i < keys_project_count(&pass); i++)
        write_wanted(&w, keys_nth_project(&pass, i)->caps, keys_nth_project(&pass, i)->n_caps,
                     &body);
    for (size_t i = 0; i < keys_count(&pass); i++)
        write_wanted(&w, keys_nth(&pass, i)->caps, keys_nth(&pass, i)->n_caps, &body);
    buf_add(&body, SPAN("]}"));
    api_reply(call, 200, buf_span(&body));
    keys_pass_end(&pass);
    buf_deinit(&body);
}
