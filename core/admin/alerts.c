#include "admin/alerts.h"

#include "base/clock.h"
#include "base/log.h"
#include "money/export.h"
#include "upstream/transfer.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TICK_MS = 1000,
    WAIT_MAX_MS = 64000,
    GIVE_UP_MS = 300000,
    CONNECT_MS = 5000,
    TOTAL_MS = 10000,
    HEADERS = 2
};

/* One message on its way, or waiting to be. */
struct alerts_delivery {
    struct alerts_delivery *next;
    struct alerts *alerts;
    struct buf body, url;
    struct transfer_message message;
    uint64_t raised_ms, due_ms; /* of the loop's clock */
    uint32_t wait_ms;           /* until it is sent again */
    struct transfer *transfer;  /* NULL: it waits */
    int status;                 /* of the answer under way */
    struct span headers[HEADERS];
    char signature[32 + ALERTS_SIGNATURE];
};

/* --- what is said ----------------------------------------------------------------------------- */

static void write_money(struct buf *out, const char *name, int64_t nano) {
    buf_printf(out, ",\"%s_usd\":", name);
    export_usd(out, nano);
    buf_printf(out, ",\"%s_nano\":%lld", name, (long long)nano);
}

void alerts_write(struct buf *out, const struct budget_alert *alert, struct span id,
                  uint64_t at_ms) {
    char at[25], resets[25];
    clock_rfc3339(at_ms, at);
    buf_add(out, SPAN("{\"id\":"));
    buf_add_json(out, id);
    buf_printf(out, ",\"at\":\"%s\",\"alert\":{\"scope\":\"%s\"", at,
               budget_scope_name(alert->scope));
    if (alert->name.len) {
        buf_add(out, SPAN(",\"name\":"));
        buf_add_json(out, alert->name);
    }
    buf_printf(out, ",\"period\":\"%s\",\"percent\":%u", period_name(alert->period),
               alert->percent);
    write_money(out, "spent", alert->spent);
    write_money(out, "cap", alert->nano);
    if (alert->when.to_s != PERIOD_FOR_EVER) {
        clock_rfc3339((uint64_t)alert->when.to_s * 1000, resets);
        buf_printf(out, ",\"resets_at\":\"%s\"", resets);
    }
    buf_add(out, SPAN("}}"));
}

void alerts_sign(struct span secret, uint64_t now_s, struct span body, char out[ALERTS_SIGNATURE]) {
    unsigned char mac[CRYPTO_SHA256_SIZE];
    struct buf text = { 0 };
    buf_printf(&text, "%llu.", (unsigned long long)now_s);
    buf_add(&text, body);
    crypto_hmac_sha256(secret, buf_span(&text), mac);
    int n = snprintf(out, ALERTS_SIGNATURE, "t=%llu,v1=", (unsigned long long)now_s);
    for (size_t i = 0; i < sizeof mac; i++)
        snprintf(out + n + 2 * i, 3, "%02x", mac[i]);
    buf_deinit(&text);
}

static void log_alert(const struct budget_alert *alert) {
    struct buf spent = { 0 }, cap = { 0 };
    export_usd(&spent, alert->spent);
    export_usd(&cap, alert->nano);
    log_warn("the %s%s%.*s has come to %u%% of its cap (%s): $%.*s of $%.*s",
             budget_scope_name(alert->scope), alert->name.len ? " " : "", SPAN_ARGS(alert->name),
             alert->percent, period_name(alert->period), SPAN_ARGS(buf_span(&spent)),
             SPAN_ARGS(buf_span(&cap)));
    buf_deinit(&spent);
    buf_deinit(&cap);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void delivery_free(struct alerts_delivery *d) {
    struct alerts *a = d->alerts;
    struct alerts_delivery **at = &a->deliveries;
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    a->n_deliveries--;
    if (d->transfer)
        transfer_free(d->transfer);
    buf_deinit(&d->body);
    buf_deinit(&d->url);
    free(d);
}

/* `why` it did not go through. What is answered with a refusal is refused the next time as well. */
static void failed(struct alerts_delivery *d, bool for_good, const char *why) {
    struct alerts *a = d->alerts;
    uint64_t now = uv_now(a->loop);
    if (d->transfer)
        transfer_free(d->transfer);
    d->transfer = NULL;
    if (for_good || now - d->raised_ms >= GIVE_UP_MS) {
        log_error("an alert was not taken by the webhook and is given up: %s", why);
        a->failed++;
        delivery_free(d);
        return;
    }
    if (!d->wait_ms)
        log_warn("an alert was not taken by the webhook and is sent again: %s", why);
    d->wait_ms = !d->wait_ms ? TICK_MS : d->wait_ms < WAIT_MAX_MS ? 2 * d->wait_ms : WAIT_MAX_MS;
    d->due_ms = now + d->wait_ms;
}

static void on_head(void *owner, const struct transfer_head *head) {
    ((struct alerts_delivery *)owner)->status = head->status;
}

/* What it has to say is of no interest. */
static bool on_body(void *owner, const char *bytes, size_t len) {
    return true;
}

static void on_done(void *owner, const struct transfer_times *times) {
    struct alerts_delivery *d = owner;
    char why[32];
    if (d->status / 100 == 2) {
        d->alerts->sent++;
        delivery_free(d);
        return;
    }
    snprintf(why, sizeof why, "status %d", d->status);
    failed(d, d->status < 500 && d->status != 408 && d->status != 429, why);
}

static void on_fail(void *owner, enum failure class, const char *text,
                    const struct transfer_times *times) {
    failed(owner, false, text);
}

static const struct transfer_events delivery_events = {
    .on_head = on_head, .on_body = on_body, .on_done = on_done, .on_fail = on_fail
};

static void send_one(struct alerts_delivery *d) {
    struct alerts *a = d->alerts;
    char signature[ALERTS_SIGNATURE];
    if (!a->url.len) {
        failed(d, true, "there is none any more");
        return;
    }
    alerts_sign(buf_span(&a->secret), clock_wall_ms() / 1000, buf_span(&d->body), signature);
    snprintf(d->signature, sizeof d->signature, "x-perilune-signature: %s", signature);
    /* All of it stays as it is until the transfer is freed, whatever is set meanwhile. */
    buf_clear(&d->url);
    buf_add(&d->url, buf_span(&a->url));
    d->headers[0] = SPAN("content-type: application/json");
    d->headers[1] = span_of(d->signature);
    d->message = (struct transfer_message){
        .method = "POST",
        .url = d->url.at,
        .headers = d->headers,
        .n_headers = a->secret.len ? HEADERS : HEADERS - 1,
        .body = buf_span(&d->body),
        .connect_ms = CONNECT_MS,
        .total_ms = TOTAL_MS,
    };
    if (!a->pump)
        a->pump = pump_new(a->loop, a->options);
    d->status = 0;
    d->transfer = transfer_start(a->pump, &d->message, &delivery_events, d);
}

static void on_tick(uv_timer_t *timer) {
    struct alerts *a = timer->data;
    uint64_t now = uv_now(a->loop);
    for (struct alerts_delivery *d = a->deliveries, *next; d; d = next) {
        next = d->next;
        if (!d->transfer && d->due_ms <= now)
            send_one(d);
    }
    if (!a->deliveries)
        uv_timer_stop(timer);
}

static void deliver(struct alerts *a, const struct budget_alert *alert) {
    struct alerts_delivery **end = &a->deliveries;
    char id[IDENT_SIZE];
    if (a->n_deliveries == ALERTS_MAX) {
        log_error("an alert is not sent: %d others wait for the webhook", ALERTS_MAX);
        a->failed++;
        return;
    }
    struct alerts_delivery *d = calloc(1, sizeof *d);
    if (!d)
        abort();
    uint64_t wall = clock_wall_ms();
    d->alerts = a;
    d->raised_ms = uv_now(a->loop);
    ident_make(&a->ids, wall, id);
    alerts_write(&d->body, alert, span_of(id), wall);
    while (*end)
        end = &(*end)->next;
    *end = d;
    if (a->n_deliveries++ == 0)
        uv_timer_start(&a->tick, on_tick, TICK_MS, TICK_MS);
    send_one(d);
}

/* --- from whichever thread -------------------------------------------------------------------- */

void alerts_raise(void *owner, const struct budget_alert *alert) {
    struct alerts *a = owner;
    pthread_mutex_lock(&a->lock);
    if (a->n_raised < ALERTS_MAX) {
        struct alerts_raised *r = &a->raised[a->n_raised++];
        r->alert = *alert;
        span_copy(alert->name, r->name, sizeof r->name);
    } else {
        a->too_many++;
    }
    pthread_mutex_unlock(&a->lock);
    uv_async_send(&a->wake);
}

/* The oldest that was raised; false when there is none. */
static bool take(struct alerts *a, struct alerts_raised *out) {
    pthread_mutex_lock(&a->lock);
    bool any = a->n_raised > 0;
    if (any) {
        *out = a->raised[0];
        memmove(a->raised, a->raised + 1, --a->n_raised * sizeof *a->raised);
    }
    pthread_mutex_unlock(&a->lock);
    out->alert.name = span_of(out->name);
    return any;
}

static unsigned take_too_many(struct alerts *a) {
    pthread_mutex_lock(&a->lock);
    unsigned n = a->too_many;
    a->too_many = 0;
    pthread_mutex_unlock(&a->lock);
    return n;
}

static void on_wake(uv_async_t *async) {
    struct alerts *a = async->data;
    struct alerts_raised r;
    while (take(a, &r)) {
        log_alert(&r.alert);
        a->counts[r.alert.scope]++;
        if (a->url.len)
            deliver(a, &r.alert);
    }
    unsigned lost = take_too_many(a);
    if (lost)
        log_error("%u alerts came at once and are not told one by one", lost);
    a->failed += a->url.len ? lost : 0;
}

/* --- from beginning to end -------------------------------------------------------------------- */

void alerts_init(struct alerts *a, uv_loop_t *loop, const struct pump_options *options) {
    *a = (struct alerts){ .loop = loop, .options = options };
    ident_init(&a->ids);
    pthread_mutex_init(&a->lock, NULL);
    uv_async_init(loop, &a->wake, on_wake);
    uv_timer_init(loop, &a->tick);
    a->wake.data = a->tick.data = a;
}

/* A secret that was does not stay in memory that was given back. */
static void forget_secret(struct alerts *a) {
    if (a->secret.at)
        explicit_bzero(a->secret.at, a->secret.cap);
    buf_clear(&a->secret);
}

void alerts_set(struct alerts *a, const struct config *config) {
    forget_secret(a);
    buf_add(&a->secret, config->alert_secret);
    buf_clear(&a->url);
    if (config->alert_webhook.len) {
        buf_add(&a->url, config->alert_webhook);
        buf_add_char(&a->url, '\0');
    }
}

void alerts_close(struct alerts *a) {
    if (a->n_deliveries)
        log_warn("%u alerts could not be sent before the end", a->n_deliveries);
    while (a->deliveries)
        delivery_free(a->deliveries);
    if (a->pump)
        pump_close(a->pump, NULL, NULL);
    uv_close((uv_handle_t *)&a->wake, NULL);
    uv_close((uv_handle_t *)&a->tick, NULL);
    pthread_mutex_destroy(&a->lock);
    forget_secret(a);
    buf_deinit(&a->secret);
    buf_deinit(&a->url);
}
