/* api_status.c - what is served, and reading everything again. */
#include "admin/edit.h"
#include "base/clock.h"
#include "route/shadow.h"
#include "script/embed.h"

void api_health(struct api_call *call) {
    api_reply(call, 200, SPAN("{\"status\":\"ok\"}"));
}

void api_openapi(struct api_call *call) {
    api_reply(call, 200, embedded_find(SPAN("docs/openapi.json"))->text);
}

/* ---- GET /api/status ---- */

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
    buf_add(out, SPAN("},\"data_dir\":"));
    buf_add_json(out, snap->config.data_dir);
    buf_add_char(out, ',');
    write_policies(a, out);
    buf_add_char(out, ',');
    write_workers(a, out);
    buf_add(out, SPAN(",\"shadows\":"));
    shadow_write(a->engine.shadow, a->engine.snap, out);
    buf_add_char(out, '}');
}

void api_status(struct api_call *call) {
    struct buf body = { 0 };
    write_status(call->admin, &body);
    api_reply(call, 200, buf_span(&body));
    buf_deinit(&body);
}

/* ---- POST /api/reload ---- */

void api_reload(struct api_call *call) {
    if (api_fields(call, NULL, 0) && edit_reload(call))
        edit_reply(call, SPAN(""));
}
