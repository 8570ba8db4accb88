/* api_routes.c - for whom which policy decides: lists it, and writes policies/routes.lua. */
#include "admin/edit.h"
#include "base/utf8.h"
#include "route/endpoint.h"

#include <math.h>

enum { NAME_MAX_LEN = 256 };

/* ---- GET /api/routes ---- */

static void write_limits(const struct assignment *a, struct buf *out) {
    buf_add(out, SPAN(",\"limits\":{"));
    if (isfinite(a->max_cost_usd))
        buf_printf(out, "\"max_cost_usd\":%.17g", a->max_cost_usd);
    if (a->max_latency_ms)
        buf_printf(out, "%s\"max_latency_ms\":%u", isfinite(a->max_cost_usd) ? "," : "",
                   a->max_latency_ms);
    if (a->deadline_ms)
        buf_printf(out, "%s\"deadline_ms\":%u",
                   isfinite(a->max_cost_usd) || a->max_latency_ms ? "," : "", a->deadline_ms);
    buf_add_char(out, '}');
}

static void write_assignment(const struct assignment *a, struct buf *out) {
    buf_add_char(out, '{');
    edit_member(out, "scope", span_of(snapshot_scope_name(a->scope)));
    edit_member(out, "name", a->name);
    edit_member(out, "policy", a->policy);
    buf_printf(out, ",\"params\":%.*s", SPAN_ARGS(a->params.at ? a->params : SPAN("{}")));
    write_limits(a, out);
    buf_printf(out, ",\"managed_by_file\":%s}", a->managed ? "true" : "false");
}

void api_routes_list(struct api_call *call) {
    const struct config *c = &call->admin->engine.snap->config;
    struct buf body = { 0 };
    buf_add_char(&body, '{');
    edit_member(&body, "auto", c->auto_policy);
    buf_add(&body, SPAN(",\"routes\":["));
    for (size_t i = 0; i < c->n_assignments; i++) {
        if (i)
            buf_add_char(&body, ',');
        write_assignment(&c->assignments[i], &body);
    }
    buf_add(&body, SPAN("]}"));
    api_reply(call, 200, buf_span(&body));
    buf_deinit(&body);
}

/* ---- of whom ---- */

static bool no_such_scope(struct api_call *call) {
    struct buf known = { 0 };
    for (enum assignment_scope s = 0; s < ASSIGNED_SCOPES; s++)
        buf_printf(&known, "%s%s", s ? ", " : "", snapshot_scope_name(s));
    buf_add_char(&known, '\0');
    api_fail(call, API_NOT_FOUND, "scope", "Policies are assigned to: %s.", known.at);
    buf_deinit(&known);
    return false;
}

static bool is_name(struct span name) {
    for (size_t i = 0, len; i < name.len; i += len) {
        len = utf8_length(span_sub(name, i, name.len));
        if (!len || (unsigned char)name.at[i] < 0x20 || name.at[i] == 0x7f)
            return false;
    }
    return name.len > 0 && name.len <= NAME_MAX_LEN;
}

/* "/v1/messages" of "v1/messages", as requests have it; SPAN_NONE for what goes through no policy. */
static struct span endpoint_of(struct span name, struct arena *arena) {
    struct span path =
        span_starts(name, SPAN("/")) ? name : arena_printf(arena, "/%.*s", SPAN_ARGS(name));
    struct endpoint_match m = endpoint_match(SPAN("POST"), path, arena);
    return m.endpoint->kind == ENDPOINT_GENERATE ? m.endpoint->path : SPAN_NONE;
}

/* Whether there is such a one, of the configuration or made later. Anybody can be of a tier. */
static bool has_asker(struct api_call *call, enum assignment_scope scope, struct span name) {
    if (scope != ASSIGNED_KEY && scope != ASSIGNED_PROJECT)
        return true;
    struct keys_pass pass = keys_anybody(call->admin->money.keys);
    bool found =
        scope == ASSIGNED_KEY ? keys_find(&pass, name) != NULL : keys_project(&pass, name) != NULL;
    keys_pass_end(&pass);
    return found;
}

/* Whom the path names. False when it has been answered. What is assigned to who is gone can be
 * taken out. */
static bool read_whom(struct api_call *call, struct config_assigning *whom) {
    const struct snapshot *snap = call->admin->engine.snap;
    struct span name = call->parts[1];
    const char *scope = call->parts[0].at;
    whom->scope = snapshot_scope_of(call->parts[0]);
    whom->name = name;
    if (whom->scope == ASSIGNED_SCOPES)
        return no_such_scope(call);
    if ((whom->scope == ASSIGNED_ACCOUNT) != !name.at) {
        api_fail(call, API_NOT_FOUND, "name",
                 name.at ? "There is one account; its path ends with /account."
                         : "The name is missing: /api/routes/%s/{name}.",
                 scope);
        return false;
    }
    if (name.at && !is_name(name)) {
        api_fail(call, API_INVALID_REQUEST, "name",
                 "Expected a name in UTF-8 of at most %d bytes without control characters.",
                 NAME_MAX_LEN);
        return false;
    }
    if (whom->scope == ASSIGNED_ENDPOINT)
        whom->name = endpoint_of(name, call->arena);
    const struct assignment *there = snapshot_assignment(snap, whom->scope, whom->name);
    if ((name.at && !whom->name.at) || (!there && !has_asker(call, whom->scope, whom->name))) {
        api_fail(call, API_NOT_FOUND, "name", "There is no %s \"%.*s\".", scope, SPAN_ARGS(name));
        return false;
    }
    if (there && there->managed) {
        api_fail(call, API_MANAGED_BY_FILE, NULL, "%.*s says this itself; it is changed there.",
                 SPAN_ARGS(snap->config.path.at ? snap->config.path : SPAN("perilune.lua")));
        return false;
    }
    return true;
}

/* ---- PUT and DELETE ---- */

/* What is wrong with the value, or with the file as it is. */
static void refuse_edit(struct api_call *call, const struct config_findings *findings) {
    const struct config_finding *f = findings->list;
    if (!findings->n)
        api_fail(call, API_NOT_FOUND, NULL, "Nothing is assigned there.");
    else if (f->path.at)
        edit_refuse(call, API_INVALID_CONFIGURATION, "The file of assignments can not be used.",
                    findings);
    else
        api_fail(call, API_INVALID_REQUEST, f->setting.at, "%.*s", SPAN_ARGS(f->message));
}

/* Whether the policy takes the params, all else being as it is. */
static bool fits(struct api_call *call, struct span policy, struct span text) {
    const struct config_draft draft = { SPAN("routes"), text };
    struct config_options options = call->admin->options->config;
    struct config_findings findings;
    options.draft = &draft;
    config_findings_init(&findings);
    struct snapshot *snap = config_check(&options, policy, &findings);
    bool good = snap && snapshot_policy(snap, policy);
    if (!good)
        edit_refuse(call, API_INVALID_CONFIGURATION, "The policy can not be assigned so.",
                    &findings);
    if (snap)
        snapshot_unref(snap);
    config_findings_deinit(&findings);
    return good;
}

/* Writes the file with that one changed. `policy` SPAN_NONE: none needs to be looked at. */
static void change(struct api_call *call, const struct config_assigning *whom, struct span policy) {
    const struct snapshot *snap = call->admin->engine.snap;
    struct span path =
        arena_printf(call->arena, "%.*s/routes.lua", SPAN_ARGS(snap->config.policies_dir));
    struct config_findings findings;
    struct buf text = { 0 }, members = { 0 };
    config_findings_init(&findings);
    if (!config_edit_routes(snap, whom, &text, &findings)) {
        refuse_edit(call, &findings);
    } else if ((!policy.at || fits(call, policy, buf_span(&text))) &&
               edit_save(call, path.at, buf_span(&text)) && edit_reload(call)) {
        edit_member(&members, "scope", span_of(snapshot_scope_name(whom->scope)));
        edit_member(&members, "name", whom->name);
        edit_member(&members, "policy", policy);
        edit_reply(call, buf_span(&members));
    }
    config_findings_deinit(&findings);
    buf_deinit(&text);
    buf_deinit(&members);
}

void api_routes_put(struct api_call *call) {
    const struct snapshot *snap = call->admin->engine.snap;
    struct config_assigning whom = { .value = call->body };
    struct span policy = SPAN_NONE;
    struct json_value params, limits = { 0 };
    double cost, latency, deadline;
    const struct api_field fields[] = { { "policy", JSON_STRING, true, &policy },
                                        { "params", JSON_OBJECT, false, &params },
                                        { "limits", JSON_OBJECT, false, &limits } };
    const struct api_field of_limits[] = { { "max_cost_usd", JSON_NUMBER, false, &cost },
                                           { "max_latency_ms", JSON_NUMBER, false, &latency },
                                           { "deadline_ms", JSON_NUMBER, false, &deadline } };
    if (!read_whom(call, &whom) || !api_fields(call, fields, 3) ||
        !api_fields_of(call, limits, "limits", of_limits, 3))
        return;
    bool is_auto = span_eq(policy, SPAN("auto"));
    if (!is_auto && !snapshot_policy(snap, policy)) {
        struct span near = snapshot_near_policy(snap, policy);
        api_fail(call, API_INVALID_REQUEST, "policy", "There is no policy of that name.%s%.*s%s",
                 near.at ? " Did you mean \"" : "", SPAN_ARGS(near), near.at ? "\"?" : "");
        return;
    }
    change(call, &whom, is_auto ? snap->config.auto_policy : policy);
}

void api_routes_delete(struct api_call *call) {
    struct config_assigning whom = { 0 };
    if (read_whom(call, &whom) && api_fields(call, NULL, 0))
        change(call, &whom, SPAN_NONE);
}
