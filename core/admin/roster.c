#include "admin/roster.h"

#include "base/clock.h"

void roster_refuse(struct api_call *call, const struct asker_wrong *wrong) {
    api_fail(call, API_INVALID_REQUEST, *wrong->param ? wrong->param : NULL, "%s", wrong->message);
}

bool roster_changed(struct api_call *call, enum keys_change change, const char *what,
                    struct span name, struct buf *why) {
    const struct config *c = &call->admin->engine.snap->config;
    buf_add_char(why, '\0');
    switch (change) {
    case KEYS_CHANGED:
        return true;
    case KEYS_NOT_FOUND:
        api_fail(call, API_NOT_FOUND, NULL,
                 "There is no %s \"%.*s\" to be changed: none was made, or it is revoked.", what,
                 SPAN_ARGS(name));
        return false;
    case KEYS_MANAGED_BY_FILE:
        api_fail(call, API_MANAGED_BY_FILE, NULL, "%.*s says this %s itself; it is changed there.",
                 SPAN_ARGS(c->path.at ? c->path : SPAN("perilune.lua")), what);
        return false;
    case KEYS_NOT_STORED:
        break;
    }
    api_fail(call, API_INTERNAL, NULL, "The %s can not be stored, and is as it was: %s", what,
             why->at);
    return false;
}

/* ---- names ---- */

static bool is_policy(const struct snapshot *snap, struct span name) {
    return span_eq(name, SPAN("auto")) || snapshot_policy(snap, name);
}

static bool no_policy(struct api_call *call, const char *param, struct span name) {
    struct span near = snapshot_near_policy(call->admin->engine.snap, name);
    api_fail(call, API_INVALID_REQUEST, param, "There is no policy \"%.*s\".%s%.*s%s",
             SPAN_ARGS(name), near.at ? " Did you mean \"" : "", SPAN_ARGS(near),
             near.at ? "\"?" : "");
    return false;
}

bool roster_knows_policy(struct api_call *call, struct span policy) {
    return !policy.at || is_policy(call->admin->engine.snap, policy) ||
           no_policy(call, "policy", policy);
}

bool roster_knows_policies(struct api_call *call, const struct span *policies, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!is_policy(call->admin->engine.snap, policies[i]))
            return no_policy(call, "policies", policies[i]);
    return true;
}

bool roster_knows_models(struct api_call *call, const struct span *models, size_t n) {
    const struct snapshot *snap = call->admin->engine.snap;
    const struct target *target;
    for (size_t i = 0; i < n; i++) {
        struct span near = SPAN_NONE;
        if (snapshot_resolve(snap, models[i], call->arena, &target, 1))
            continue;
        snapshot_near(snap, models[i], &near, 1);
        api_fail(call, API_INVALID_REQUEST, "models", "Nobody has a model \"%.*s\".%s%.*s%s",
                 SPAN_ARGS(models[i]), near.at ? " Did you mean \"" : "", SPAN_ARGS(near),
                 near.at ? "\"?" : "");
        return false;
    }
    return true;
}

void roster_write_caps(struct api_call *call, const struct budget_cap *caps, size_t n,
                       struct buf *out) {
    buf_add(out, SPAN(",\"caps\":["));
    asker_write_caps(call->admin->money.budget, caps, n, (int64_t)(clock_wall_ms() / 1000), out);
    buf_add_char(out, ']');
}
