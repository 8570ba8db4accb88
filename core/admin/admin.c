#include "admin/inside.h"
#include "admin/policies.h"
#include "admin/put.h"
#include "admin/versions.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ADMIN_CONNECTIONS = 64, ADMIN_BODIES = 32 << 20 };

/* Who waits until all workers serve what was read. */
struct admin_waiting {
    struct admin_waiting *next;
    void (*then)(void *owner);
    void *owner;
};

/* --- reading everything again --------------------------------------------------------------- */

static void log_findings(const struct config_findings *findings) {
    for (size_t i = 0; i < findings->n; i++) {
        const struct config_finding *f = &findings->list[i];
        enum log_level level = f->warning ? LOG_WARN : LOG_ERROR;
        char line[16] = "";
        if (f->line)
            snprintf(line, sizeof line, ":%u", f->line);
        log_line(level, "%.*s%s: %.*s%s%.*s%s%.*s%s%.*s", SPAN_ARGS(f->path), line,
                 SPAN_ARGS(f->setting), f->setting.at ? ": " : "", SPAN_ARGS(f->message),
                 f->hint.at ? " - " : "", SPAN_ARGS(f->hint), f->effect.at ? "; " : "",
                 SPAN_ARGS(f->effect));
    }
}

static void set_watch(struct admin *a, const struct config *c) {
    const struct watcher_root roots[] = {
        { a->config_dir, false, a->config_name },
        { c->policies_dir.at, true, NULL },
        { c->providers_dir.at, true, NULL },
        { c->lua_dir.at, true, NULL },
    };
    struct watcher_root there[5];
    size_t n = 0;
    for (size_t i = 0; i < 4; i++)
        if (roots[i].path && *roots[i].path)
            there[n++] = roots[i];
    /* A policies folder that does not exist yet is noticed when it appears. */
    char parent[1024];
    if (c->policies_dir.at) {
        snprintf(parent, sizeof parent, "%s", c->policies_dir.at);
        char *slash = strrchr(parent, '/');
        if (slash && slash != parent) {
            *slash = '\0';
            there[n++] =
                (struct watcher_root){ parent, false, strrchr(c->policies_dir.at, '/') + 1 };
        }
    }
    watcher_set(&a->watch, there, n);
}

static bool is_banned(void *owner, struct span version) {
    return engine_quarantined(owner, version);
}

/* Whether the two serve the same policies: then an older one is worth keeping. */
static bool same_policies(const struct snapshot *a, const struct snapshot *b) {
    if (a->n_policies != b->n_policies)
        return false;
    for (size_t i = 0; i < a->n_policies; i++)
        if (!span_eq(a->policies[i].version, b->policies[i].version))
            return false;
    return true;
}

/* What is served now becomes what was served before. */
static void remember(struct admin *a, const struct snapshot *next) {
    if (same_policies(a->engine.snap, next))
        return;
    if (a->older)
        snapshot_unref(a->older);
    a->older = snapshot_ref(a->engine.snap);
}

/* Writes down the versions of the user's own policies that go live now. */
static void keep_versions(struct admin *a, const struct snapshot *before,
                          const struct snapshot *next) {
    for (size_t i = 0; i < next->n_policies; i++) {
        const struct policy_source *p = &next->policies[i];
        const struct policy_source *old = before ? snapshot_policy(before, p->name) : NULL;
        if (policies_shipped(p) || (old && span_eq(old->version, p->version)))
            continue;
        int error = versions_keep(next->config.data_dir, p, clock_wall_ms());
        if (error)
            log_warn("the version %.*s can not be kept in the state folder: %s",
                     SPAN_ARGS(p->version), strerror(-error));
    }
}

/* Who takes the last client key out of the configuration does not mean to open the gateway to the
 * network. Consumes the caller's reference when it says NULL. */
static struct snapshot *guarded(struct admin *a, struct snapshot *snap) {
    if (!snap || !a->options->beyond_loopback || snap->config.n_keys)
        return snap;
    config_findings_add(
        &a->findings,
        (struct config_finding){
            .path = snap->config.path.at ? snap->config.path : SPAN("perilune.lua"),
            .setting = SPAN("client_keys"),
            .message = SPAN("there is none, and clients come from beyond this machine"),
            .hint = SPAN("set client_keys or PERILUNE_API_KEY, or listen on 127.0.0.1"),
        });
    snapshot_unref(snap);
    return NULL;
}

/* Keys and caps of the configuration hold from now on, or it stays out. Consumes the caller's
 * reference when it says NULL. */
static struct snapshot *accounted(struct admin *a, struct snapshot *snap) {
    struct store_error why;
    if (!snap || money_adopt(&a->money, snap, &why) == 0)
        return snap;
    config_findings_add(&a->findings,
                        (struct config_finding){
                            .path = snap->config.path.at ? snap->config.path : SPAN("perilune.lua"),
                            .message = span_of(why.text),
                        });
    snapshot_unref(snap);
    return NULL;
}

bool admin_reload(struct admin *a) {
    uint64_t before = clock_ms();
    config_findings_deinit(&a->findings);
    config_findings_init(&a->findings);
    /* First the watch, for folders that are new, then the reading: what is saved in between is read
     * again. */
    set_watch(a, &a->engine.snap->config);
    const struct config_history history = { a->engine.snap, a->older, is_banned, &a->engine };
    struct snapshot *snap = config_load(&a->options->config, &history, &a->findings);
    snap = accounted(a, guarded(a, snap));
    log_findings(&a->findings);
    a->loaded_ms = clock_wall_ms();
    a->loaded_ok = snap != NULL;
    a->reloads[a->loaded_ok]++;
    if (!snap) {
        log_error("the configuration can not be used: what was loaded before keeps serving");
        return false;
    }
    remember(a, snap);
    keep_versions(a, a->engine.snap, snap);
    alerts_set(&a->alerts, &snap->config);
    engine_adopt(&a->engine, snap);
    set_watch(a, &a->engine.snap->config);
    log_info("generation %u is loaded (%zu policies, %zu targets, %llu ms)", snap->generation,
             snap->n_policies, snap->n_targets, (unsigned long long)(clock_ms() - before));
    return true;
}

static void on_files(void *owner) {
    struct admin *a = owner;
    if (!a->stopping)
        admin_reload(a);
}

/* --- findings -------------------------------------------------------------------------------- */

void admin_write_findings(const struct config_findings *findings, struct buf *out) {
    buf_add_char(out, '[');
    for (size_t i = 0; i < findings->n; i++) {
        const struct config_finding *f = &findings->list[i];
        const struct pair texts[] = {
            { SPAN("path"), f->path },       { SPAN("setting"), f->setting },
            { SPAN("message"), f->message }, { SPAN("hint"), f->hint },
            { SPAN("excerpt"), f->excerpt }, { SPAN("effect"), f->effect }
        };
        buf_printf(out, "%s{\"line\":%u,\"warning\":%s", i ? "," : "", f->line,
                   f->warning ? "true" : "false");
        for (size_t j = 0; j < sizeof texts / sizeof *texts; j++) {
            if (!texts[j].value.at)
                continue;
            buf_printf(out, ",\"%s\":", texts[j].name.at);
            buf_add_json(out, texts[j].value);
        }
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

void admin_print_findings(const struct config_findings *findings, struct buf *out) {
    size_t from = out->len;
    for (size_t i = 0; i < findings->n; i++) {
        const struct config_finding *f = &findings->list[i];
        if (f->path.len)
            buf_printf(out, "%.*s:", SPAN_ARGS(f->path));
        if (f->line)
            buf_printf(out, "%u:", f->line);
        buf_printf(out, "%s%s", f->path.len ? " " : "", f->warning ? "warning: " : "");
        if (f->setting.len)
            buf_printf(out, "%.*s: ", SPAN_ARGS(f->setting));
        buf_printf(out, "%.*s\n", SPAN_ARGS(f->message));
        if (f->excerpt.len)
            buf_printf(out, "%.*s\n", SPAN_ARGS(f->excerpt));
        if (f->hint.len)
            buf_printf(out, "  hint: %.*s\n", SPAN_ARGS(f->hint));
        if (f->effect.len)
            buf_printf(out, "  effect: %.*s\n", SPAN_ARGS(f->effect));
    }
    if (out->len > from)
        utf8_defuse(out->at + from, out->len - from, "\n\t");
}

/* --- the listener ---------------------------------------------------------------------------- */

static bool on_head(void *owner, struct conn *c, struct http_message *m) {
    return api_welcomes(owner, c, m);
}

static void on_message(void *owner, struct conn *c, struct http_message *m) {
    api_serve(owner, c, m);
}

static void on_bad_message(void *owner, struct conn *c, int status, const char *why) {
    api_refuse(c, status, why);
}

static void on_conn_close(void *owner, struct conn *c) {
    struct admin *a = owner;
    if (a->listener)
        listener_resume(a->listener);
}

static const struct conn_events conn_handlers = { .on_head = on_head,
                                                  .on_message = on_message,
                                                  .on_bad_message = on_bad_message,
                                                  .on_close = on_conn_close };

static int listen_admin(struct admin *a) {
    const struct config *c = &a->engine.snap->config;
    a->server = (struct conn_server){
        .loop = &a->loop,
        .limits = { .max_line = c->max_header_bytes,
                    .max_header_bytes = c->max_header_bytes,
                    .max_headers = c->max_headers,
                    .max_body = API_BODY_MAX },
        .head_ms = c->head_ms,
        .body_ms = c->body_ms,
        .idle_ms = c->idle_ms,
        .write_ms = c->write_ms,
        .max_body_bytes = ADMIN_BODIES,
        .events = &conn_handlers,
        .owner = a,
    };
    return listener_open(&a->listener, &a->options->admin_address, ADMIN_CONNECTIONS, &a->server);
}

/* --- the loop -------------------------------------------------------------------------------- */

/* From any thread. */
static void on_engine_wants(void *owner) {
    uv_async_send(&((struct admin *)owner)->want);
}

void admin_when_served(struct admin *a, void (*then)(void *owner), void *owner) {
    struct admin_waiting *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    *w = (struct admin_waiting){ a->waiting, then, owner };
    a->waiting = w;
    uv_async_send(&a->want);
}

static void tell_waiting(struct admin *a) {
    while (a->waiting && engine_adopted(&a->engine)) {
        struct admin_waiting *w = a->waiting;
        a->waiting = w->next;
        w->then(w->owner);
        free(w);
    }
}

static void on_want(uv_async_t *async) {
    struct admin *a = async->data;
    if (a->stopping)
        return;
    /* A policy went into quarantine: its last good version takes over, where there is one. */
    unsigned closed = atomic_load(&a->engine.n_closed);
    if (closed != a->closed) {
        a->closed = closed;
        admin_reload(a);
    }
    engine_refill(&a->engine);
    tell_waiting(a);
}

static void stop(struct admin *a) {
    if (a->stopping)
        return;
    a->stopping = true;
    if (a->ready)
        log_info("shutting down: requests under way may end within %u s",
                 a->engine.snap->config.drain_ms / 1000);
    for (size_t i = 0; i < ADMIN_SIGNALS; i++)
        uv_close((uv_handle_t *)&a->signals[i], NULL);
    watcher_close(&a->watch);
    if (a->listener)
        listener_close(a->listener);
    a->listener = NULL;
    tail_close(&a->tail);
    conn_close_all(&a->server, true);
    put_stop(a);
    engine_stop(&a->engine);
    alerts_close(&a->alerts); /* of what the last requests cost, too */
    uv_close((uv_handle_t *)&a->want, NULL);
}

static void on_signal(uv_signal_t *handle, int number) {
    struct admin *a = handle->data;
    if (number == SIGHUP)
        admin_reload(a);
    else
        stop(a);
}

static void init_signals(struct admin *a) {
    static const int numbers[ADMIN_SIGNALS] = { SIGHUP, SIGINT, SIGTERM };
    for (size_t i = 0; i < ADMIN_SIGNALS; i++) {
        uv_signal_init(&a->loop, &a->signals[i]);
        a->signals[i].data = a;
        uv_signal_start(&a->signals[i], on_signal, numbers[i]);
    }
}

static void name_handle(uv_handle_t *handle, void *arg) {
    log_error("the admin loop ended with an open %s handle", uv_handle_type_name(handle->type));
}

/* Where the configuration file is, or would be, so that its appearing is noticed. */
static void split_config_path(struct admin *a) {
    const char *path = a->options->config.path ? a->options->config.path : "perilune.lua";
    char folder[PATH_MAX];
    struct buf full = { 0 };
    if (path[0] != '/' && getcwd(folder, sizeof folder))
        buf_printf(&full, "%s/", folder);
    buf_add(&full, span_of(path));
    struct span all = buf_span(&full);
    size_t slash = all.len;
    while (slash > 0 && all.at[slash - 1] != '/')
        slash--;
    span_copy(span_sub(all, slash, all.len), a->config_name, sizeof a->config_name);
    span_copy(span_sub(all, 0, slash > 1 ? slash - 1 : slash), a->config_dir, sizeof a->config_dir);
    buf_deinit(&full);
}

static void close_waiting(struct admin *a) {
    while (a->waiting) {
        struct admin_waiting *w = a->waiting;
        a->waiting = w->next;
        free(w);
    }
}

/* What was spent before is known, and every key, before anybody can ask. */
static int open_money(struct admin *a, const struct snapshot *snap) {
    struct store_error why;
    static const struct budget_events events = { .on_alert = alerts_raise };
    alerts_set(&a->alerts, &snap->config);
    if (money_open(&a->money, &snap->config, &events, &a->alerts, &why) == 0 &&
        money_adopt(&a->money, snap, &why) == 0)
        return 0;
    log_error("%s", why.text);
    return -1;
}

int admin_run(const struct admin_options *options, struct snapshot *snap) {
    struct admin *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    a->options = options;
    a->began_ms = a->loaded_ms = clock_wall_ms();
    a->loaded_ok = true;
    config_findings_init(&a->findings);
    a->parser = json_parser_new();
    split_config_path(a);
    uv_loop_init(&a->loop);
    uv_async_init(&a->loop, &a->want, on_want);
    a->want.data = a;
    alerts_init(&a->alerts, &a->loop, &options->pump);
    init_signals(a);
    watcher_init(&a->watch, &a->loop, on_files, a);
    set_watch(a, &snap->config); /* before anybody can see us serve and edit a file */
    keep_versions(a, NULL, snap);
    int error = open_money(a, snap);
    if (error == 0)
        error = engine_init(&a->engine, &options->pump, &a->money, on_engine_wants, a);
    if (error < 0)
        snapshot_unref(snap);
    else
        tail_init(&a->tail, &a->loop, a->engine.feed);
    if (error == 0)
        error = engine_start(&a->engine, snap, &options->data_address);
    if (error == 0 && (error = listen_admin(a)) < 0)
        log_error("the admin address can not be listened on: %s", uv_strerror(error));
    a->ready = error == 0;
    if (a->ready)
        options->on_ready(options->owner, snap);
    else
        stop(a);
    uv_run(&a->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&a->loop) == UV_EBUSY)
        uv_walk(&a->loop, name_handle, NULL);
    close_waiting(a);
    api_close(a);
    json_parser_free(a->parser);
    if (a->older)
        snapshot_unref(a->older);
    engine_deinit(&a->engine);
    money_close(&a->money);
    config_findings_deinit(&a->findings);
    free(a);
    return error;
}
