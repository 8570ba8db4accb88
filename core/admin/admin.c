#include "admin/admin.h"

#include "admin/watcher.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "route/error.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SIGNALS = 3, ADMIN_CONNECTIONS = 64, ADMIN_BODY = 64 * 1024 };

/* A client that waits until all workers serve what it asked to be read. */
struct waiting {
    struct waiting *next;
    struct admin *admin;
    struct conn *conn; /* NULL: it left */
    struct buf findings;
};

struct admin {
    const struct admin_options *options;
    uv_loop_t loop;
    struct engine engine;
    uv_async_t want;
    uv_signal_t signals[SIGNALS];
    struct watcher watch;
    struct conn_server server;
    struct listener *listener;
    struct waiting *waiting;
    struct snapshot *older;          /* in force before the present one; NULL: it is the first */
    unsigned closed;                 /* policy versions in quarantine that have been dealt with */
    struct config_findings findings; /* of the last reading */
    uint64_t began_ms, loaded_ms;    /* wall clock */
    bool loaded_ok, stopping, ready;
    char config_dir[1024], config_name[256];
};

/* --- reading everything again --------------------------------------------------------------- */

static void log_findings(const struct config_findings *findings) {
    for (size_t i = 0; i < findings->n; i++) {
        const struct config_finding *f = &findings->list[i];
        enum log_level level = f->warning ? LOG_WARN : LOG_ERROR;
        char line[16] = "";
        if (f->line)
            snprintf(line, sizeof line, ":%u", f->line);
        log_line(level, "%.*s%s: %.*s%s%.*s%s%.*s", SPAN_ARGS(f->path), line, SPAN_ARGS(f->setting),
                 f->setting.at ? ": " : "", SPAN_ARGS(f->message), f->hint.at ? " - " : "",
                 SPAN_ARGS(f->hint));
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

/* Who takes the last client key out of the configuration does not mean to open the gateway to the
 * network. Consumes the caller's reference when it says NULL. */
static struct snapshot *guarded(struct admin *a, struct snapshot *snap) {
    if (!snap || !a->options->beyond_loopback || snap->config.n_client_keys)
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

/* False when nothing has changed because the configuration is wrong. */
static bool reload(struct admin *a) {
    uint64_t before = clock_ms();
    config_findings_deinit(&a->findings);
    config_findings_init(&a->findings);
    /* First the watch, for folders that are new, then the reading: what is saved in between is read
     * again. */
    set_watch(a, &a->engine.snap->config);
    const struct config_history history = { a->engine.snap, a->older, is_banned, &a->engine };
    struct snapshot *snap = guarded(a, config_load(&a->options->config, &history, &a->findings));
    log_findings(&a->findings);
    a->loaded_ms = clock_wall_ms();
    a->loaded_ok = snap != NULL;
    if (!snap) {
        log_error("the configuration is wrong: what was loaded before keeps serving");
        return false;
    }
    remember(a, snap);
    engine_adopt(&a->engine, snap);
    set_watch(a, &a->engine.snap->config);
    log_info("generation %u is loaded (%zu policies, %zu targets, %llu ms)", snap->generation,
             snap->n_policies, snap->n_targets, (unsigned long long)(clock_ms() - before));
    return true;
}

static void on_files(void *owner) {
    struct admin *a = owner;
    if (!a->stopping)
        reload(a);
}

/* --- findings -------------------------------------------------------------------------------- */

void admin_write_findings(const struct config_findings *findings, struct buf *out) {
    buf_add_char(out, '[');
    for (size_t i = 0; i < findings->n; i++) {
        const struct config_finding *f = &findings->list[i];
        const struct pair texts[] = { { SPAN("path"), f->path },
                                      { SPAN("setting"), f->setting },
                                      { SPAN("message"), f->message },
                                      { SPAN("hint"), f->hint } };
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
        if (f->hint.len)
            buf_printf(out, "  hint: %.*s\n", SPAN_ARGS(f->hint));
    }
}

/* --- the listener ---------------------------------------------------------------------------- */

static void answer(struct conn *c, int status, struct span json) {
    const struct pair headers[] = { { SPAN("content-type"), SPAN("application/json") },
                                    { SPAN("cache-control"), SPAN("no-store") },
                                    { SPAN("x-content-type-options"), SPAN("nosniff") } };
    conn_reply(c, status, headers, sizeof headers / sizeof *headers, json);
}

static void answer_error(struct conn *c, enum error_code code, struct span message) {
    struct api_error error = api_error(code, message);
    struct buf body = { 0 };
    error_write(DIALECT_NONE, &error, &body);
    answer(c, error_status(&error), buf_span(&body));
    buf_deinit(&body);
}

static void write_policies(struct admin *a, struct buf *out) {
    const struct snapshot *snap = a->engine.snap;
    buf_add(out, SPAN("\"policies\":["));
    for (size_t i = 0; i < snap->n_policies; i++) {
        const struct policy_source *p = &snap->policies[i];
        buf_add(out, i ? SPAN(",{\"name\":") : SPAN("{\"name\":"));
        buf_add_json(out, p->name);
        buf_add(out, SPAN(",\"version\":"));
        buf_add_json(out, p->version);
        buf_add(out, SPAN(",\"path\":"));
        buf_add_json(out, p->path);
        buf_printf(out, ",\"quarantined\":%s}",
                   engine_quarantined(&a->engine, p->version) ? "true" : "false");
    }
    buf_add_char(out, ']');
}

static void write_workers(struct admin *a, struct buf *out) {
    buf_add(out, SPAN("\"workers\":["));
    for (unsigned i = 0; i < a->engine.n_workers; i++) {
        const struct worker *w = &a->engine.workers[i];
        const struct worker_figures *f = &w->figures;
        buf_printf(out,
                   "%s{\"generation\":%u,\"in_flight\":%u,\"requests\":%llu,\"answered\":%llu,"
                   "\"failed\":%llu,\"cancelled\":%llu,\"policy_failures\":%llu,\"kills\":%llu}",
                   i ? "," : "", atomic_load(&w->generation), atomic_load(&f->in_flight),
                   atomic_load(&f->requests), atomic_load(&f->answered), atomic_load(&f->failed),
                   atomic_load(&f->cancelled), atomic_load(&f->policy_failures),
                   (unsigned long long)atomic_load(&f->kills));
    }
    buf_add_char(out, ']');
}

static void write_status(struct admin *a, struct buf *out) {
    const struct snapshot *snap = a->engine.snap;
    char data[LISTENER_NAME_MAX], own[LISTENER_NAME_MAX], began[25], loaded[25];
    listener_name(&a->options->data_address, data);
    listener_name(&a->options->admin_address, own);
    clock_rfc3339(a->began_ms, began);
    clock_rfc3339(a->loaded_ms, loaded);
    buf_printf(
        out,
        "{\"version\":\"" PERILUNE_VERSION
        "\",\"listen\":\"%s\",\"admin\":\"%s\",\"started\":\"%s\","
        "\"generation\":%u,\"providers\":%zu,\"targets\":%zu,\"reload\":{\"at\":\"%s\",\"ok\":%s,"
        "\"findings\":",
        data, own, began, snap->generation, snap->n_providers, snap->n_targets, loaded,
        a->loaded_ok ? "true" : "false");
    admin_write_findings(&a->findings, out);
    buf_add(out, SPAN("},"));
    write_policies(a, out);
    buf_add_char(out, ',');
    write_workers(a, out);
    buf_add_char(out, '}');
}

static void on_waiting_gone(void *user) {
    ((struct waiting *)user)->conn = NULL;
}

static const struct conn_user waiting_events = { .on_gone = on_waiting_gone };

/* Answers those who wait once every worker serves the newest snapshot. */
static void serve_waiting(struct admin *a) {
    if (!engine_adopted(&a->engine))
        return;
    while (a->waiting) {
        struct waiting *w = a->waiting;
        struct buf body = { 0 };
        a->waiting = w->next;
        buf_printf(&body, "{\"generation\":%u,\"findings\":%.*s}", a->engine.snap->generation,
                   (int)w->findings.len, w->findings.at);
        if (w->conn)
            answer(w->conn, 200, buf_span(&body));
        buf_deinit(&body);
        buf_deinit(&w->findings);
        free(w);
    }
}

static void answer_reload(struct admin *a, struct conn *c) {
    struct waiting *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    bool ok = reload(a);
    admin_write_findings(&a->findings, &w->findings);
    if (ok) {
        w->admin = a;
        w->conn = c;
        w->next = a->waiting;
        a->waiting = w;
        conn_attach(c, &waiting_events, w);
        uv_async_send(&a->want);
        return;
    }
    struct buf body = { 0 };
    buf_printf(&body,
               "{\"error\":{\"message\":\"The configuration is wrong; nothing has changed.\","
               "\"code\":\"invalid_configuration\"},\"findings\":%.*s}",
               (int)w->findings.len, w->findings.at);
    answer(c, 422, buf_span(&body));
    buf_deinit(&body);
    buf_deinit(&w->findings);
    free(w);
}

static bool authorized(const struct admin *a, const struct http_message *m) {
    const struct span bearer = SPAN("bearer ");
    struct span given = http_header(m, SPAN("authorization"));
    return given.len > bearer.len && span_eq_nocase(span_sub(given, 0, bearer.len), bearer) &&
           crypto_equal(span_sub(given, bearer.len, given.len), a->options->token);
}

static void serve(struct admin *a, struct conn *c, const struct http_message *m) {
    bool get = span_eq(m->method, SPAN("GET")) || span_eq(m->method, SPAN("HEAD"));
    bool status = span_eq(m->path, SPAN("/api/status"));
    bool again = span_eq(m->path, SPAN("/api/reload"));
    if (span_eq(m->path, SPAN("/health"))) {
        answer(c, 200, SPAN("{\"status\":\"ok\"}"));
    } else if (!authorized(a, m)) {
        answer_error(c, ERROR_INVALID_API_KEY,
                     SPAN("The admin side wants Authorization: Bearer TOKEN; the token is in the "
                          "file admin.token of the data folder."));
    } else if (!status && !again) {
        answer_error(c, ERROR_NOT_FOUND,
                     SPAN("The admin side has /health, /api/status and /api/reload."));
    } else if (status ? !get : !span_eq(m->method, SPAN("POST"))) {
        answer_error(c, ERROR_METHOD_NOT_ALLOWED,
                     status ? SPAN("/api/status takes GET.") : SPAN("/api/reload takes POST."));
    } else if (status) {
        struct buf body = { 0 };
        write_status(a, &body);
        answer(c, 200, buf_span(&body));
        buf_deinit(&body);
    } else {
        answer_reload(a, c);
    }
}

static bool on_head(void *owner, struct conn *c, struct http_message *m) {
    return true;
}

static void on_message(void *owner, struct conn *c, struct http_message *m) {
    serve(owner, c, m);
    http_message_free(m);
}

static void on_bad_message(void *owner, struct conn *c, int status, const char *why) {
    struct api_error error = api_error(error_of_status(status), span_of(why));
    struct buf body = { 0 };
    error_write(DIALECT_NONE, &error, &body);
    answer(c, status, buf_span(&body));
    buf_deinit(&body);
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
                    .max_body = ADMIN_BODY },
        .head_ms = c->head_ms,
        .body_ms = c->body_ms,
        .idle_ms = c->idle_ms,
        .write_ms = c->write_ms,
        .max_body_bytes = ADMIN_BODY * ADMIN_CONNECTIONS,
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

static void on_want(uv_async_t *async) {
    struct admin *a = async->data;
    if (a->stopping)
        return;
    /* A policy went into quarantine: its last good version takes over, where there is one. */
    unsigned closed = atomic_load(&a->engine.n_closed);
    if (closed != a->closed) {
        a->closed = closed;
        reload(a);
    }
    engine_refill(&a->engine);
    serve_waiting(a);
}

static void stop(struct admin *a) {
    if (a->stopping)
        return;
    a->stopping = true;
    if (a->ready)
        log_info("shutting down: requests under way may end within %u s",
                 a->engine.snap->config.drain_ms / 1000);
    for (size_t i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&a->signals[i], NULL);
    watcher_close(&a->watch);
    if (a->listener)
        listener_close(a->listener);
    a->listener = NULL;
    conn_close_all(&a->server, true);
    engine_stop(&a->engine);
    uv_close((uv_handle_t *)&a->want, NULL);
}

static void on_signal(uv_signal_t *handle, int number) {
    struct admin *a = handle->data;
    if (number == SIGHUP)
        reload(a);
    else
        stop(a);
}

static void init_signals(struct admin *a) {
    static const int numbers[SIGNALS] = { SIGHUP, SIGINT, SIGTERM };
    for (size_t i = 0; i < SIGNALS; i++) {
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
        struct waiting *w = a->waiting;
        a->waiting = w->next;
        buf_deinit(&w->findings);
        free(w);
    }
}

int admin_run(const struct admin_options *options, struct snapshot *snap) {
    struct admin *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    a->options = options;
    a->began_ms = a->loaded_ms = clock_wall_ms();
    a->loaded_ok = true;
    config_findings_init(&a->findings);
    split_config_path(a);
    uv_loop_init(&a->loop);
    uv_async_init(&a->loop, &a->want, on_want);
    a->want.data = a;
    init_signals(a);
    watcher_init(&a->watch, &a->loop, on_files, a);
    set_watch(a, &snap->config); /* before anybody can see us serve and edit a file */
    int error = engine_init(&a->engine, &options->pump, on_engine_wants, a);
    if (error < 0)
        snapshot_unref(snap);
    else
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
    if (a->older)
        snapshot_unref(a->older);
    engine_deinit(&a->engine);
    config_findings_deinit(&a->findings);
    free(a);
    return error;
}
