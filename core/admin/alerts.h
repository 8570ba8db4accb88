/* alerts.h - caps that come to a share that was to be told: a line in the log, a figure, a message
 * to the webhook.
 *
 * Owns          alerts that are not sent yet, the transfers that carry them.
 * Fed by        money/budget, on whichever thread crossed the share; admin, with the settings.
 * Feeds         the log, the metrics, the operator's webhook.
 * Must not know what a cap is of, requests.
 *
 *   alerts_init(&a->alerts, &a->loop, &pump_options);
 *   alerts_set(&a->alerts, &snap->config);             at start and after each reload
 *   money_open(..., &(struct budget_events){ alerts_raise }, &a->alerts, ...);
 *   alerts_close(&a->alerts);                          once nobody raises any more
 *
 * A message is POSTed with `x-perilune-signature: t=UNIX,v1=HEX`, HEX being HMAC-SHA256 of
 * "UNIX.BODY" under the secret. What is not taken with a 2xx is sent again, after 1 s, 2 s, 4 s up to 64, for
 * five minutes; its id stays the same. At most ALERTS_MAX wait; what comes then is not sent, but
 * logged and counted as all are.
 */
#ifndef PERILUNE_ADMIN_ALERTS_H
#define PERILUNE_ADMIN_ALERTS_H

#include "base/buf.h"
#include "base/crypto.h"
#include "base/ident.h"
#include "base/snapshot.h"
#include "money/budget.h"
#include "upstream/pump.h"

#include <pthread.h>

enum { ALERTS_MAX = 64, ALERTS_NAME_MAX = 128, ALERTS_SIGNATURE = 32 + CRYPTO_SHA256_HEX };

struct alerts_delivery;

/* An alert with its name in memory of its own. */
struct alerts_raised {
    struct budget_alert alert;
    char name[ALERTS_NAME_MAX];
};

struct alerts {
    uv_loop_t *loop;
    const struct pump_options *options;
    struct pump *pump; /* NULL until something is sent */
    struct ident ids;
    struct buf url, secret;             /* url: with a 0 behind it; empty: there is no webhook */
    struct alerts_delivery *deliveries; /* in the order they were raised */
    unsigned n_deliveries;
    uint64_t counts[BUDGET_SCOPES]; /* alerts since the start */
    uint64_t sent, failed;          /* messages: taken, and given up */
    uv_async_t wake;
    uv_timer_t tick; /* while something waits to be sent again */

    pthread_mutex_t lock; /* over what follows */
    struct alerts_raised raised[ALERTS_MAX];
    unsigned n_raised, too_many;
};

/* `options` outlives it. */
void alerts_init(struct alerts *a, uv_loop_t *loop, const struct pump_options *options);

/* Where to, and signed with what, from now on. */
void alerts_set(struct alerts *a, const struct config *config);

/* As money/budget calls it, with the alerts as `owner`: any thread, never waits. */
void alerts_raise(void *owner, const struct budget_alert *alert);

/* What is not sent yet is given up. */
void alerts_close(struct alerts *a);

/* The message: {"id","at","alert":{"scope","name","period","percent","spent_usd","spent_nano",
 * "cap_usd","cap_nano","resets_at"}}. `at_ms` is Unix time. */
void alerts_write(struct buf *out, const struct budget_alert *alert, struct span id,
                  uint64_t at_ms);

/* "t=1790000000,v1=5257a8...": what the header says of a message sent at that second. */
void alerts_sign(struct span secret, uint64_t now_s, struct span body, char out[ALERTS_SIGNATURE]);

#endif
