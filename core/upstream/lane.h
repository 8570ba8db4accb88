/* lane.h - one reusable easy handle of curl's, and its way through the pump.
 *
 * Owns          the easy handle, with the options that never change set once; memory one exchange
 *               leaves to the next.
 * Fed by        transfer, which fills in what is to be sent.
 * Feeds         transfer: curl's callbacks while it runs, on_end or on_drop when it is over.
 * Must not know retries, clients.
 *
 *   lane = pump_lane(p, fit);              idle, transfer's to set up
 *   pump_begin(lane);                      runs from the loop, never inside this call
 *   ... curl's callbacks, then on_end(lane, result), which gives it back by pump_release(lane) ...
 *   pump_unpause(lane);                    after a callback set lane->paused and returned
 *                                          CURL_WRITEFUNC_PAUSE
 *   pump_cancel(lane);                     at any time before on_end; the lane is the pump's again
 */
#ifndef PERILUNE_UPSTREAM_LANE_H
#define PERILUNE_UPSTREAM_LANE_H

#include "upstream/head.h"
#include "upstream/pump.h"

#include <curl/curl.h>

struct multi;
struct transfer;

/* Where a lane is; each state is a list of the pump's. */
enum lane_state {
    LANE_IDLE,
    LANE_WAITING,  /* to be given to curl from the loop */
    LANE_RUNNING,  /* curl has it */
    LANE_RESUMING, /* curl has it, and is to go on reading */
    LANE_DOOMED,   /* curl has it, nobody wants it, and it could not be taken from curl yet */
    LANE_STATES
};

struct lane {
    CURL *easy;
    struct pump *pump;
    struct multi *multi; /* while curl has it */
    enum lane_state state;
    struct lane *prev, *next;

    /* What transfer sets up, on a new lane by `fit` or for one exchange. */
    struct transfer *transfer; /* NULL: nobody's; curl's callbacks then ask for the end */
    void (*on_end)(struct lane *lane,
                   CURLcode result);    /* curl is through with it; not inside curl */
    void (*on_drop)(struct lane *lane); /* the pump closes: no event comes any more */
    bool paused;
    bool worn; /* not to be used again */

    /* What the easy handle was last told, so that it is told only what changed. */
    char *url_text;
    CURLU *url; /* the same, parsed */
    enum lane_method { LANE_NONE, LANE_GET, LANE_POST, LANE_HEAD, LANE_CUSTOM } method;
    uint32_t connect_ms, total_ms;
    long upload_size;
    bool fresh;
    unsigned retries;

    /* Memory for the next exchange. */
    struct buf text; /* header lines as curl wants them */
    struct curl_slist *lines;
    size_t n_lines;
    struct head head;
};

/* An idle lane. `fit` is called once in a lane's life, to set callbacks and options. */
struct lane *pump_lane(struct pump *p, void (*fit)(struct lane *lane));

/* To run from the loop, or to run once more inside on_end; `transfer` is set, and what it sends
 * stays until the lane ends or is cancelled. */
void pump_begin(struct lane *lane);

/* The paused callback is called again, from the loop. Nothing when it is not paused. */
void pump_unpause(struct lane *lane);

/* Whatever it was doing; nothing of the request is read after this. */
void pump_cancel(struct lane *lane);

/* What watch_spoke() says. */
bool pump_spoke(const struct pump *p, int local_port);

/* Idle again: the last thing on_end does with a lane. */
void pump_release(struct lane *lane);

#endif
