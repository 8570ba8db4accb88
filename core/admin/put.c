#include "admin/put.h"

#include "admin/child.h"
#include "admin/edit.h"
#include "admin/policies.h"
#include "admin/stage.h"
#include "admin/versions.h"
#include "base/log.h"

#include <math.h>
#include <stdlib.h>

enum { NOTE_MAX = 500, SPECS_MS = 60 * 1000, REPLAY_MS = 300 * 1000, USAGE = 2, UNREACHABLE = 3 };

enum { PUTS_MAX = 8 }; /* each may run a process, also when its client has left */

/* What a replay of recorded requests must stay within. */
struct thresholds {
    struct span log; /* SPAN_NONE: the configured record */
    struct span max_cost_increase, max_latency_increase, max_changed;
    double max_errors; /* NAN: any */
};

struct put {
    struct put *next, **at;
    struct api_call *call;
    struct span name, source;
    struct span expected; /* the version it is made from; SPAN_NONE: whatever is there */
    struct span version;  /* it will have */
    struct span note;
    bool specs, replays;
    bool is_rollback; /* what is wrong is live now: it waits for no other change */
    bool overtaken;   /* by a rollback */
    struct thresholds thresholds;
    struct stage stage; /* of the specs */
    struct child *child;
};

/* Forgets the change; the call has been answered, or is about to be. */
static void end(struct put *p) {
    *p->at = p->next;
    if (p->next)
        p->next->at = p->at;
    stage_close(&p->stage);
    free(p);
}

void put_stop(struct admin *a) {
    for (struct put *p = a->puts; p; p = p->next)
        if (p->child)
            child_kill(p->child);
}

/* ---- the last steps: the file, and what becomes of it ---- */

/* What is served must be what was looked at, and a file that somebody saves meanwhile is not written
 * over. */
static bool is_expected(struct put *p) {
    const struct snapshot *snap = p->call->admin->engine.snap;
    const struct policy_source *live = snapshot_policy(snap, p->name);
    struct span text = policies_text(snap, p->name, p->call->arena);
    if (!p->expected.at)
        return true;
    if (!live || !span_eq(versions_hash(live->version), versions_hash(p->expected)))
        api_fail(p->call, API_CONFLICT, "if_version", "The policy is at %.*s now.",
                 SPAN_ARGS(live ? live->version : SPAN("no version")));
    else if (text.at && !span_eq(text, live->text))
        api_fail(p->call, API_CONFLICT, "if_version",
                 "Its file has been edited, and what it says is not live.");
    else
        return true;
    return false;
}

static void reply_live(struct put *p) {
    struct admin *a = p->call->admin;
    const struct policy_source *live = snapshot_policy(a->engine.snap, p->name);
    struct buf members = { 0 };
    if (!live || !span_eq(live->version, p->version)) {
        edit_refuse(p->call, API_CONFLICT,
                    "The file was written and something else is live: it was changed again.",
                    &a->findings);
        return;
    }
    int error = p->note.at ? versions_note(a->engine.snap->config.data_dir, live, p->note) : 0;
    if (error)
        log_warn("the note of %.*s can not be kept: %s", SPAN_ARGS(p->version), strerror(-error));
    edit_member(&members, "name", p->name);
    edit_member(&members, "version", p->version);
    edit_reply(p->call, buf_span(&members));
    buf_deinit(&members);
}

static void write_file(struct put *p) {
    struct span path = policies_file(p->call->admin->engine.snap, p->name, p->call->arena);
    if (is_expected(p) && edit_save(p->call, path.at, p->source) && edit_reload(p->call))
        reply_live(p);
    end(p);
}

/* ---- what runs beside ---- */

/* What is said of one. */
struct trial {
    const char *name;
    enum api_code code;
    const char *failed;
    int limit_ms;
};

static const struct trial specs_trial = { "The specs", API_SPECS_FAILED,
                                          "A spec of the policy fails.", SPECS_MS };
static const struct trial replay_trial = { "The replay", API_REPLAY_FAILED,
                                           "The replay of recorded requests stops it.", REPLAY_MS };

/* What a child of ours said, as an answer. */
static void refuse_child(struct put *p, const struct trial *trial, const struct child_end *e) {
    enum api_code code = trial->code;
    const char *message = trial->failed;
    struct buf members = { 0 };
    struct span unknown = SPAN("perilune: unknown command");
    if (p->call->admin->stopping)
        code = API_OVERLOADED, message = "This perilune ends; nothing has changed.";
    else if (p->overtaken)
        code = API_CONFLICT, message = "A rollback of this policy went first; this was given up.";
    else if (e->code == UNREACHABLE || (e->code == USAGE && span_starts(e->output, unknown)))
        code = API_NOT_AVAILABLE, message = "This installation can not do that.";
    else if (e->too_late)
        message =
            arena_printf(p->call->arena,
                         "%s of %.*s did not end within %d s: stopped, and nothing has changed.",
                         trial->name, SPAN_ARGS(p->name), trial->limit_ms / 1000)
                .at;
    edit_member(&members, "output", e->output);
    api_fail_with(p->call, code, message, buf_span(&members));
    buf_deinit(&members);
    end(p);
}

/* Nothing new begins when the admin side ends, nor behind a rollback. */
static bool went_well(struct put *p, const struct child_end *e) {
    p->child = NULL;
    return e->code == 0 && !p->call->admin->stopping && !p->overtaken;
}

static void on_replayed(void *owner, const struct child_end *e) {
    struct put *p = owner;
    if (went_well(p, e))
        write_file(p);
    else
        refuse_child(p, &replay_trial, e);
}

/* "--max-cost-increase=5%", one argument, so that no value is taken for an option. */
static void add_option(struct put *p, const char **args, size_t *n, const char *option,
                       struct span value) {
    if (value.at)
        args[(*n)++] = arena_printf(p->call->arena, "--%s=%.*s", option, SPAN_ARGS(value)).at;
}

static void start_replay(struct put *p) {
    struct admin *a = p->call->admin;
    const struct config *c = &a->engine.snap->config;
    struct arena *arena = p->call->arena;
    struct thresholds *t = &p->thresholds;
    struct span log = t->log.at ? t->log : c->record;
    const char *args[16] = { "replay" };
    size_t n = 1;
    if (!log.at) {
        api_fail(p->call, API_INVALID_REQUEST, "replay.log",
                 "Nothing is recorded here (setting \"record\"): name a log.");
        end(p);
        return;
    }
    if (*log.at != '/')
        log = arena_printf(arena, "%.*s/%.*s", SPAN_ARGS(c->data_dir), SPAN_ARGS(log));
    if (a->options->config.path)
        add_option(p, args, &n, "config", span_of(a->options->config.path));
    add_option(p, args, &n, "as", p->name);
    add_option(p, args, &n, "max-cost-increase", t->max_cost_increase);
    add_option(p, args, &n, "max-latency-increase", t->max_latency_increase);
    add_option(p, args, &n, "max-changed", t->max_changed);
    if (!isnan(t->max_errors))
        add_option(p, args, &n, "max-errors", arena_printf(arena, "%.0f", t->max_errors));
    args[n++] = "--";
    args[n++] = stage_policy(&p->stage);
    args[n++] = log.at;
    args[n] = NULL;
    const struct child_options how = { .args = args, .limit_ms = REPLAY_MS };
    p->child = child_start(&a->loop, &how, on_replayed, p);
}

static void after_specs(struct put *p) {
    if (p->replays)
        start_replay(p);
    else
        write_file(p);
}

static void on_tested(void *owner, const struct child_end *e) {
    struct put *p = owner;
    if (went_well(p, e))
        after_specs(p);
    else
        refuse_child(p, &specs_trial, e);
}

/* The specs run in a folder that looks like the user's, but for the policy that is put. */
static void start_specs(struct put *p) {
    struct admin *a = p->call->admin;
    struct span spec = arena_printf(p->call->arena, "spec/%.*s_spec.lua", SPAN_ARGS(p->name));
    const char *const args[] = { "test", "--", spec.at, NULL };
    const struct child_options how = { args, p->stage.dir, SPECS_MS };
    if (p->specs && stage_has(&p->stage, spec.at))
        p->child = child_start(&a->loop, &how, on_tested, p);
    else
        after_specs(p);
}

static bool set_stage(struct put *p) {
    struct admin *a = p->call->admin;
    const struct stage_plan plan = {
        .state = a->engine.snap->config.data_dir,
        .folder = a->config_dir,
        .policies = a->engine.snap->config.policies_dir,
        .name = p->name,
        .source = p->source,
    };
    int error = p->specs || p->replays ? stage_open(&p->stage, &plan) : 0;
    if (error)
        api_fail(p->call, API_INTERNAL, NULL, "The specs have no place in the state folder: %s.",
                 strerror(-error));
    return error == 0;
}

/* ---- the first steps ---- */

/* What is wrong with the source, as an answer; true when nothing is. */
static bool is_good(struct put *p, const struct snapshot *snap, const struct policy_source *policy,
                    const struct config_findings *findings) {
    if (!snap)
        edit_refuse(p->call, API_INVALID_CONFIGURATION,
                    "The configuration is wrong: nothing can be checked against it.", findings);
    else if (!policy)
        edit_refuse(p->call, API_INVALID_POLICY, "The policy does not load.", findings);
    else if (engine_quarantined(&p->call->admin->engine, policy->version))
        api_fail(p->call, API_CONFLICT, "source", "%.*s is in quarantine.",
                 SPAN_ARGS(policy->version));
    else
        return true;
    return false;
}

/* Finds the version the source would be. False when it has been answered. */
static bool check(struct put *p) {
    struct config_findings findings;
    config_findings_init(&findings);
    struct snapshot *snap = policies_check(p->call->admin, p->name, p->source, &findings);
    const struct policy_source *policy = snap ? snapshot_policy(snap, p->name) : NULL;
    bool good = is_good(p, snap, policy, &findings);
    if (good)
        p->version = arena_copy(p->call->arena, policy->version);
    if (snap)
        snapshot_unref(snap);
    config_findings_deinit(&findings);
    return good;
}

static bool is_busy(const struct admin *a, struct span name) {
    for (const struct put *p = a->puts; p; p = p->next)
        if (span_eq(p->name, name))
            return true;
    return false;
}

/* Changes of the policy that are tried are given up. */
static void overtake(struct admin *a, struct span name) {
    for (struct put *p = a->puts; p; p = p->next)
        if (span_eq(p->name, name)) {
            p->overtaken = true;
            if (p->child)
                child_kill(p->child);
        }
}

static bool is_full(const struct admin *a) {
    size_t n = 0;
    for (const struct put *p = a->puts; p; p = p->next)
        n++;
    return n >= PUTS_MAX;
}

/* Takes what was read over. */
static void begin(const struct put *given) {
    struct admin *a = given->call->admin;
    if (!given->is_rollback && is_busy(a, given->name)) {
        api_fail(given->call, API_CONFLICT, NULL, "Another change of this policy is under way.");
        return;
    }
    if ((given->specs || given->replays) && is_full(a)) {
        api_fail(given->call, API_OVERLOADED, NULL, "%d other changes are under way.", PUTS_MAX);
        return;
    }
    if (given->is_rollback)
        overtake(a, given->name);
    struct put *p = malloc(sizeof *p);
    if (!p)
        abort();
    *p = *given;
    p->next = a->puts;
    p->at = &a->puts;
    if (p->next)
        p->next->at = &p->next;
    a->puts = p;
    if (is_expected(p) && check(p) && set_stage(p))
        start_specs(p);
    else
        end(p);
}

static bool note_ok(struct api_call *call, struct span note) {
    if (note.len > NOTE_MAX)
        api_fail(call, API_INVALID_REQUEST, "note", "At most %d bytes.", NOTE_MAX);
    return note.len <= NOTE_MAX;
}

static bool read_thresholds(struct api_call *call, struct json_value replay, struct thresholds *t) {
    const struct api_field fields[] = {
        { "log", JSON_STRING, false, &t->log },
        { "max_cost_increase", JSON_STRING, false, &t->max_cost_increase },
        { "max_latency_increase", JSON_STRING, false, &t->max_latency_increase },
        { "max_changed", JSON_STRING, false, &t->max_changed },
        { "max_errors", JSON_NUMBER, false, &t->max_errors },
    };
    t->max_errors = NAN;
    return api_fields_of(call, replay, "replay", fields, sizeof fields / sizeof *fields);
}

void api_policies_put(struct api_call *call) {
    struct json_value replay = { 0 };
    struct put p = { .call = call, .name = policies_name(call), .specs = true };
    const struct api_field fields[] = {
        { "source", JSON_STRING, true, &p.source },
        { "if_version", JSON_STRING, false, &p.expected },
        { "specs", JSON_BOOL, false, &p.specs },
        { "replay", JSON_OBJECT, false, &replay },
        { "note", JSON_STRING, false, &p.note },
    };
    if (!p.name.at || !api_fields(call, fields, sizeof fields / sizeof *fields) ||
        !read_thresholds(call, replay, &p.thresholds) || !policies_size_ok(call, p.source) ||
        !note_ok(call, p.note))
        return;
    p.replays = json_type(replay) == JSON_OBJECT;
    begin(&p);
}

/* The version that was live before the one that is; SPAN_NONE when there is none. */
static struct span version_before(struct api_call *call, struct span name) {
    const struct snapshot *snap = call->admin->engine.snap;
    const struct policy_source *live = snapshot_policy(snap, name);
    struct span now = live ? versions_hash(live->version) : SPAN_NONE;
    struct version versions[VERSIONS_MAX];
    size_t n = versions_list(snap->config.data_dir, name, call->arena, versions);
    for (size_t i = 0; i < n; i++)
        if (!span_eq(versions[i].hash, now))
            return versions[i].hash;
    return SPAN_NONE;
}

void api_policies_rollback(struct api_call *call) {
    struct span version = SPAN_NONE;
    struct put p = { .call = call, .name = policies_name(call), .is_rollback = true };
    const struct api_field fields[] = {
        { "version", JSON_STRING, false, &version },
        { "specs", JSON_BOOL, false, &p.specs },
        { "note", JSON_STRING, false, &p.note },
    };
    if (!p.name.at || !api_fields(call, fields, sizeof fields / sizeof *fields) ||
        !note_ok(call, p.note))
        return;
    bool named = version.at != NULL;
    if (!named)
        version = version_before(call, p.name);
    p.source =
        versions_text(call->admin->engine.snap->config.data_dir, p.name, version, call->arena);
    if (p.source.at)
        begin(&p);
    else
        api_fail(call, API_NOT_FOUND, "version",
                 named ? "There is no such version of this policy any more."
                       : "There is no version of this policy before the one that is live.");
}
