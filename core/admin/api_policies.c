/* api_policies.c - what the policies are: lists them, shows, checks and removes one, its versions. */
#include "admin/edit.h"
#include "admin/policies.h"
#include "admin/save.h"
#include "admin/versions.h"
#include "base/clock.h"
#include "script/policy.h"
#include "script/sources.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

enum { FAULTS_MAX = 64 };

/* ---- GET /api/policies ---- */

static void write_assigned(const struct snapshot *snap, struct span name, struct buf *out) {
    buf_add(out, SPAN(",\"assigned\":["));
    for (size_t i = 0, n = 0; i < snap->config.n_assignments; i++) {
        const struct assignment *a = &snap->config.assignments[i];
        if (!span_eq(a->policy, name))
            continue;
        buf_add(out, n++ ? SPAN(",{") : SPAN("{"));
        edit_member(out, "scope", span_of(snapshot_scope_name(a->scope)));
        edit_member(out, "name", a->name);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

/* Findings name a file as the configuration does, perhaps from where we run. */
static bool is_about(const struct config_finding *f, struct span path) {
    char here[PATH_MAX];
    if (!f->path.at || span_eq(f->path, path) || *f->path.at == '/' || !getcwd(here, sizeof here))
        return f->path.at && span_eq(f->path, path);
    struct span dir = span_of(here);
    return path.len == dir.len + 1 + f->path.len && span_starts(path, dir) &&
           span_ends(path, f->path);
}

/* Those of the last reading that are about this file. */
static void write_findings(const struct config_findings *all, struct span path, struct buf *out) {
    struct config_findings own;
    config_findings_init(&own);
    for (size_t i = 0; i < all->n; i++)
        if (is_about(&all->list[i], path))
            config_findings_add(&own, all->list[i]);
    buf_add(out, SPAN(",\"findings\":"));
    admin_write_findings(&own, out);
    config_findings_deinit(&own);
}

static void write_activated(const struct snapshot *snap, struct span name, struct arena *arena,
                            struct buf *out) {
    struct version versions[VERSIONS_MAX];
    char at[25];
    size_t n = versions_list(snap->config.data_dir, name, arena, versions);
    if (n)
        clock_rfc3339(versions[0].at_ms, at);
    edit_member(out, "activated", n ? span_of(at) : SPAN_NONE);
}

/* `file` is what lies there; it may be no good, and then the version before it serves, or none. */
static void write_policy(struct api_call *call, const struct source_file *file, struct buf *out) {
    struct admin *a = call->admin;
    const struct snapshot *snap = a->engine.snap;
    const struct policy_source *live = snapshot_policy(snap, file->name);
    bool shipped = span_starts(file->path, SPAN("(shipped) "));
    edit_member(out, "name", file->name);
    edit_member(out, "version", live ? live->version : SPAN_NONE);
    edit_member(out, "path", file->path);
    buf_printf(out, ",\"shipped\":%s,\"quarantined\":%s", shipped ? "true" : "false",
               live && engine_quarantined(&a->engine, live->version) ? "true" : "false");
    write_assigned(snap, file->name, out);
    write_findings(&a->findings, file->path, out);
    write_activated(snap, file->name, call->arena, out);
}

static size_t read_files(struct api_call *call, struct source_file **files) {
    const struct config *c = &call->admin->engine.snap->config;
    return sources_read(SOURCES_POLICIES, c->policies_dir.at, call->arena, files);
}

void api_policies_list(struct api_call *call) {
    struct source_file *files;
    struct buf body = { 0 };
    size_t n = read_files(call, &files), shown = 0;
    buf_add(&body, SPAN("{\"policies\":["));
    for (size_t i = 0; i < n; i++) {
        if (span_starts(files[i].name, SPAN("lib/")))
            continue;
        buf_add(&body, shown++ ? SPAN(",{") : SPAN("{"));
        write_policy(call, &files[i], &body);
        buf_add_char(&body, '}');
    }
    buf_add(&body, SPAN("]}"));
    api_reply(call, 200, buf_span(&body));
    buf_deinit(&body);
}

/* ---- GET /api/policies/{name} ---- */

/* The file of a policy, the user's or ours. NULL when it has been answered. */
static const struct source_file *find_file(struct api_call *call) {
    struct source_file *files;
    size_t n = read_files(call, &files);
    for (size_t i = 0; i < n; i++)
        if (span_eq(files[i].name, call->parts[0]) && !span_starts(files[i].name, SPAN("lib/")))
            return &files[i];
    struct span near = snapshot_near_policy(call->admin->engine.snap, call->parts[0]);
    api_fail(call, API_NOT_FOUND, "name", "There is no policy of that name.%s%.*s%s",
             near.at ? " Did you mean \"" : "", SPAN_ARGS(near), near.at ? "\"?" : "");
    return NULL;
}

static void write_libs(const struct policy_source *live, struct buf *out) {
    buf_add(out, SPAN(",\"libs\":["));
    for (size_t i = 0; live && i < live->n_libs; i++) {
        buf_add(out, i ? SPAN(",{") : SPAN("{"));
        edit_member(out, "name", live->libs[i].name);
        edit_member(out, "path", live->libs[i].path);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

/* What the policy declares, as it is after loading. */
static void write_params(struct api_call *call, struct span name, struct buf *out) {
    struct engine *e = &call->admin->engine;
    struct policy_fault faults[FAULTS_MAX];
    size_t n = 0;
    struct policy_state *state =
        policy_state_new(e->snap, e->guard, call->arena, faults, &n, FAULTS_MAX);
    buf_add(out, SPAN(",\"params\":"));
    policy_params(state, name, out);
    policy_state_free(state);
}

void api_policies_get(struct api_call *call) {
    const struct source_file *file = find_file(call);
    if (!file)
        return;
    const struct policy_source *live = snapshot_policy(call->admin->engine.snap, file->name);
    struct buf body = { 0 };
    buf_add_char(&body, '{');
    write_policy(call, file, &body);
    edit_member(&body, "source", file->text);
    buf_printf(&body, ",\"is_live\":%s",
               live && span_eq(live->text, file->text) ? "true" : "false");
    write_libs(live, &body);
    write_params(call, file->name, &body);
    buf_add_char(&body, '}');
    api_reply(call, 200, buf_span(&body));
    buf_deinit(&body);
}

/* ---- POST /api/policies/{name}/check ---- */

static void reply_checked(struct api_call *call, const struct policy_source *good,
                          const struct config_findings *findings) {
    struct buf body = { 0 };
    buf_printf(&body, "{\"ok\":%s", good ? "true" : "false");
    edit_member(&body, "version", good ? good->version : SPAN_NONE);
    buf_add(&body, SPAN(",\"findings\":"));
    admin_write_findings(findings, &body);
    buf_add_char(&body, '}');
    api_reply(call, 200, buf_span(&body));
    buf_deinit(&body);
}

void api_policies_check(struct api_call *call) {
    struct span source = SPAN_NONE, name = policies_name(call);
    const struct api_field fields[] = { { "source", JSON_STRING, true, &source } };
    struct config_findings findings;
    if (!name.at || !api_fields(call, fields, 1) || !policies_size_ok(call, source))
        return;
    config_findings_init(&findings);
    struct snapshot *snap = policies_check(call->admin, name, source, &findings);
    if (snap)
        reply_checked(call, snapshot_policy(snap, name), &findings);
    else
        edit_refuse(call, API_INVALID_CONFIGURATION,
                    "The configuration is wrong: nothing can be checked against it.", &findings);
    if (snap)
        snapshot_unref(snap);
    config_findings_deinit(&findings);
}

/* ---- versions ---- */

static bool is_live(const struct policy_source *live, struct span hash) {
    return live && span_eq(versions_hash(live->version), versions_hash(hash));
}

static void write_version(const struct policy_source *live, struct span name,
                          const struct version *v, struct arena *arena, struct buf *out) {
    char at[25];
    clock_rfc3339(v->at_ms, at);
    edit_member(out, "version",
                arena_printf(arena, "%.*s@%.*s", SPAN_ARGS(name), SPAN_ARGS(v->hash)));
    edit_member(out, "activated", span_of(at));
    edit_member(out, "note", v->note);
    buf_printf(out, ",\"live\":%s", is_live(live, v->hash) ? "true" : "false");
}

void api_policies_versions(struct api_call *call) {
    const struct snapshot *snap = call->admin->engine.snap;
    struct span name = policies_name(call);
    struct version versions[VERSIONS_MAX];
    struct buf body = { 0 };
    if (!name.at)
        return;
    size_t n = versions_list(snap->config.data_dir, name, call->arena, versions);
    buf_add(&body, SPAN("{\"versions\":["));
    for (size_t i = 0; i < n; i++) {
        buf_add(&body, i ? SPAN(",{") : SPAN("{"));
        write_version(snapshot_policy(snap, name), name, &versions[i], call->arena, &body);
        buf_add_char(&body, '}');
    }
    buf_add(&body, SPAN("]}"));
    if (n || find_file(call))
        api_reply(call, 200, buf_span(&body));
    buf_deinit(&body);
}

void api_policies_version(struct api_call *call) {
    const struct snapshot *snap = call->admin->engine.snap;
    struct span name = policies_name(call), hash = call->parts[1];
    struct version versions[VERSIONS_MAX];
    struct buf body = { 0 };
    if (!name.at)
        return;
    size_t n = versions_list(snap->config.data_dir, name, call->arena, versions), i = 0;
    while (i < n && !span_eq(versions[i].hash, versions_hash(hash)))
        i++;
    if (i == n) {
        api_fail(call, API_NOT_FOUND, "hash", "There is no such version of this policy any more.");
        return;
    }
    buf_add_char(&body, '{');
    write_version(snapshot_policy(snap, name), name, &versions[i], call->arena, &body);
    edit_member(&body, "source", versions_text(snap->config.data_dir, name, hash, call->arena));
    buf_add_char(&body, '}');
    api_reply(call, 200, buf_span(&body));
    buf_deinit(&body);
}

/* ---- DELETE ---- */

/* Whether it may go; else it has been answered. */
static bool may_go(struct api_call *call, struct span name, struct span text) {
    const struct snapshot *snap = call->admin->engine.snap;
    struct span user = policies_user(snap, name, call->arena);
    if (!text.at && snapshot_policy(snap, name))
        api_fail(call, API_MANAGED_BY_FILE, NULL,
                 "It comes with Perilune; a policy of your own of that name takes its place.");
    else if (!text.at)
        api_fail(call, API_NOT_FOUND, "name", "There is no policy of that name.");
    else if (user.at)
        api_fail(call, API_CONFLICT, NULL, "It decides for %.*s: assign another one first.",
                 SPAN_ARGS(user));
    else
        return true;
    return false;
}

void api_policies_delete(struct api_call *call) {
    const struct snapshot *snap = call->admin->engine.snap;
    struct span name = policies_name(call);
    if (!name.at || !api_fields(call, NULL, 0))
        return;
    struct span text = policies_text(snap, name, call->arena);
    struct span path = policies_file(snap, name, call->arena);
    if (!may_go(call, name, text))
        return;
    if (unlink(path.at) < 0) {
        api_fail(call, API_MANAGED_BY_FILE, NULL, "%s can not be removed: %s.", path.at,
                 strerror(errno));
        return;
    }
    if (admin_reload(call->admin)) {
        edit_reply(call, SPAN(""));
        return;
    }
    /* Something needs it that nobody could see from here: it comes back. */
    save_file(path.at, text, 0644);
    edit_refuse(call, API_CONFLICT, "Without it the configuration is wrong; it stays.",
                &call->admin->findings);
}
