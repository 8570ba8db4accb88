/* inside.h - what the parts of the admin side share: the main thread's state.
 *
 * Owns          struct admin, which admin.c fills.
 * Fed by        admin.
 * Feeds         api and its handlers.
 * Must not know what a handler does. Nobody outside of this room includes it.
 */
#ifndef PERILUNE_ADMIN_INSIDE_H
#define PERILUNE_ADMIN_INSIDE_H

#include "admin/admin.h"
#include "admin/alerts.h"
#include "admin/api.h"
#include "admin/tail.h"
#include "admin/watcher.h"
#include "money/money.h"

enum { ADMIN_SIGNALS = 3 };

struct admin_waiting;
struct put;

struct admin {
    const struct admin_options *options;
    uv_loop_t loop;
    struct engine engine;
    struct money money; /* the engine's */
    uv_async_t want;
    uv_signal_t signals[ADMIN_SIGNALS];
    struct watcher watch;
    struct conn_server server;
    struct listener *listener;
    struct json_parser *parser; /* of bodies */
    struct api_call *calls;     /* not answered yet */
    struct tail tail;
    struct alerts alerts;
    struct put *puts; /* policies that are being changed */
    struct admin_waiting *waiting;
    unsigned readings;               /* questions to the ledger that are under way */
    struct snapshot *older;          /* in force before the present one; NULL: it is the first */
    unsigned closed;                 /* policy versions in quarantine that have been dealt with */
    struct config_findings findings; /* of the last reading */
    uint64_t began_ms, loaded_ms;    /* wall clock */
    uint64_t reloads[2];             /* that failed, and that were served */
    bool loaded_ok, stopping, ready;
    char config_dir[1024], config_name[256];
};

/* Reads everything again and gives it to the workers. False when nothing has changed because the
 * configuration is wrong; `findings` of the admin are of this reading either way. Blocks. */
bool admin_reload(struct admin *a);

/* Calls `then` once, on this thread and from the loop, when all workers serve the newest snapshot;
 * not at all when the admin side ends before. */
void admin_when_served(struct admin *a, void (*then)(void *owner), void *owner);

#endif
