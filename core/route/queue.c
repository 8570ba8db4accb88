#include "route/queue.h"

#include <assert.h>
#include <stdlib.h>

/* One key's requests, the longest waiting first. It is there while there are any. */
struct queue_lane {
    struct queue_lane *next, *prev; /* a ring */
    struct queue_place *first;
    unsigned key;
    size_t n;
};

void queue_init(struct queue *q, size_t max, size_t max_a_key) {
    *q = (struct queue){ .max = max, .max_a_key = max_a_key, .room = 1 };
}

void queue_deinit(struct queue *q) {
    assert(!q->n && !q->lanes);
}

/* --- lanes --- */

static struct queue_lane *lane_of(const struct queue *q, unsigned key) {
    struct queue_lane *lane = q->lanes;
    do {
        if (!lane || lane->key == key)
            return lane;
        lane = lane->next;
    } while (lane != q->lanes);
    return NULL;
}

/* Its turn comes when all others have had theirs. */
static struct queue_lane *lane_new(struct queue *q, unsigned key) {
    struct queue_lane *lane = calloc(1, sizeof *lane);
    if (!lane)
        abort();
    lane->key = key;
    lane->next = q->lanes ? q->lanes : lane;
    lane->prev = q->lanes ? q->lanes->prev : lane;
    lane->next->prev = lane->prev->next = lane;
    if (!q->lanes)
        q->lanes = lane;
    return lane;
}

static void lane_free(struct queue *q, struct queue_lane *lane) {
    if (q->lanes == lane)
        q->lanes = lane->next != lane ? lane->next : NULL;
    lane->prev->next = lane->next;
    lane->next->prev = lane->prev;
    free(lane);
}

/* --- places --- */

static void insert(struct queue_lane *lane, struct queue_place *place) {
    struct queue_place **at = &lane->first;
    while (*at && (*at)->since_ms <= place->since_ms)
        at = &(*at)->next;
    place->next = *at;
    place->back = at;
    if (place->next)
        place->next->back = &place->next;
    *at = place;
    place->lane = lane;
    lane->n++;
}

bool queue_join(struct queue *q, struct queue_place *place, unsigned key, uint64_t at_ms,
                uint64_t now_ms) {
    struct queue_lane *lane = lane_of(q, key);
    assert(!place->back);
    bool is_full = q->n >= q->max || (lane ? lane->n : 0) >= q->max_a_key;
    /* Who was let go and comes again has not lost its place to those who came meanwhile: so there
     * may be as many more as were let go at a time. */
    if (is_full && !place->since_ms)
        return false;
    if (!place->since_ms)
        place->since_ms = now_ms;
    place->at_ms = at_ms;
    insert(lane ? lane : lane_new(q, key), place);
    q->n++;
    return true;
}

void queue_leave(struct queue *q, struct queue_place *place) {
    struct queue_lane *lane = place->lane;
    if (!place->back)
        return;
    *place->back = place->next;
    if (place->next)
        place->next->back = place->back;
    place->next = NULL;
    place->back = NULL;
    place->lane = NULL;
    q->n--;
    if (--lane->n == 0)
        lane_free(q, lane);
}

/* --- turns --- */

/* The one of a lane that has waited longest and may go; NULL: none may yet. */
static struct queue_place *ready(const struct queue_lane *lane, uint64_t now_ms) {
    struct queue_place *place = lane->first;
    while (place && place->at_ms > now_ms)
        place = place->next;
    return place;
}

/* The next to go, by turns; its lane is the last to have another. */
static struct queue_place *next_ready(struct queue *q, uint64_t now_ms) {
    struct queue_lane *lane = q->lanes;
    do {
        struct queue_place *place = lane ? ready(lane, now_ms) : NULL;
        if (place) {
            q->lanes = lane->next;
            return place;
        }
        lane = lane ? lane->next : NULL;
    } while (lane != q->lanes);
    return NULL;
}

void queue_turn(struct queue *q, uint64_t now_ms) {
    /* Who fails at once and joins again is not asked twice in one go: that could have no end. */
    for (size_t most = q->n; most && q->let_go < q->room; most--) {
        struct queue_place *place = next_ready(q, now_ms);
        if (!place)
            return;
        queue_leave(q, place);
        q->let_go++;
        place->turn(place->owner);
    }
}

uint64_t queue_due(const struct queue *q) {
    const struct queue_lane *lane = q->lanes;
    uint64_t due = UINT64_MAX;
    if (!lane || q->let_go >= q->room)
        return due;
    do {
        for (const struct queue_place *p = lane->first; p; p = p->next)
            due = p->at_ms < due ? p->at_ms : due;
        lane = lane->next;
    } while (lane != q->lanes);
    return due;
}

void queue_went(struct queue *q, bool well) {
    assert(q->let_go);
    q->let_go--;
    q->room = well ? q->room + 1 : 1;
    /* Whoever waits next waits for something new. */
    if (!q->n && !q->let_go)
        q->room = 1;
}

size_t queue_position(const struct queue *q, const struct queue_place *place) {
    size_t before = 0, ahead;
    if (!place->back)
        return 0;
    for (const struct queue_place *p = place->lane->first; p != place; p = p->next)
        before++;
    /* Of each other lane as many go first as of its own, and one more where its turn comes earlier. */
    ahead = before + 1;
    const struct queue_lane *lane = q->lanes;
    do {
        if (lane == place->lane)
            ahead--;
        else
            before += lane->n < ahead ? lane->n : ahead;
        lane = lane->next;
    } while (lane != q->lanes);
    return before;
}
