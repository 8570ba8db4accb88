/* stream.h - a provider's stream on its way to the client: checked event by event, held until there
 * is content.
 *
 * Owns          the framer, and the events that wait for the first content (256 KB at most).
 * Fed by        attempt, with bytes cut anywhere.
 * Feeds         attempt, through `out`: whole events in the client's dialect, ready to go once
 *               `flowing`.
 * Must not know connections, timers, retries.
 *
 *   stream_init(&s, &setup);
 *   stream_feed(&s, bytes, len);     then look at s.state; take s.out when it is FLOWING or ENDED
 *   stream_close(&s);                the bytes are over: ENDED or FAILED now
 */
#ifndef PERILUNE_ROUTE_STREAM_H
#define PERILUNE_ROUTE_STREAM_H

#include "net/eventstream.h"
#include "net/sse.h"
#include "route/error.h"
#include "route/wire.h"
#include "script/adapter.h"

enum stream_state {
    STREAM_HELD,    /* nothing for the client yet */
    STREAM_FLOWING, /* content has come */
    STREAM_ENDED,   /* well: every event is in `out`; an end mark of the client's dialect that is no
                     * event (wire.end_mark) is left to the receiver */
    STREAM_FAILED   /* `why`, `error`; what came before it is in `out` */
};

struct stream_setup {
    const struct wire *wire;     /* the readers of the provider's dialect, when it passes through */
    struct adapter *adapter;     /* else this translates, */
    int handle;                  /* with this handle */
    bool frames;                 /* the bytes are Amazon's event frames: only with an adapter */
    enum dialect client;         /* what `out` is in */
    const struct target *target; /* who is asked */
    struct span
        bearer; /* a token it was asked with, to be taken out of its errors; may be SPAN_NONE */
    struct json_parser *parser;
    struct arena *arena; /* for texts */
    bool keep_usage;     /* the client wants the usage chunk */
    /* What becomes the `route` member of the last chunk; leaves `out` empty for none. Asked at each
     * chunk that may be the last, and once more when one is known to be: that answer counts. */
    void (*on_route)(void *owner, struct buf *out);
    /* The model wants `value` back with the call `name`; NULL: nobody keeps it. */
    void (*on_keep)(void *owner, struct pair keep);
    void *owner;
};

struct stream {
    struct stream_setup setup;
    struct sse sse;
    struct eventstream framer; /* instead of it, where `frames` is set */
    struct buf out;
    struct buf
        last; /* a chunk that is to carry the route if it is the last: what follows will tell */
    enum stream_state state;
    uint64_t begun,
        ended;    /* which choices have begun, and which have a finish reason: see wire.h */
    bool excused; /* one that needs no content */
    bool content;
    bool closing; /* the bytes are over: what comes now was not ended by a blank line */
    unsigned events;
    uint64_t text; /* bytes of what was said so far: see wire_seen */
    struct wire_usage usage;
    uint64_t told_at;           /* `text`, when usage.output was last told anew */
    struct span model;          /* in the arena; SPAN_NONE until it is known */
    struct error_place counted; /* where the events that were made so far lead to, */
    struct error_place
        place; /* and where the client's stream stands, for an error in it: nowhere as
                                 * long as all is held */
    enum failure why;
    struct wire_error error;
};

enum {
    STREAM_HELD_MAX = 256 * 1024,
    STREAM_EVENT_MAX = 1024 * 1024 /* of one event or frame, in bytes */
};

void stream_init(struct stream *s, const struct stream_setup *setup);
void stream_deinit(struct stream *s);

/* What an adapter was told of usage. */
struct wire_usage stream_usage(const struct adapter_seen *seen);

/* Some bytes of the provider's. What comes after the end, or after a failure, is not looked at. */
void stream_feed(struct stream *s, const char *bytes, size_t len);

/* The bytes are over, as a message ends: an exchange that broke is the caller's to judge. */
void stream_close(struct stream *s);

/* For one that did not end well, whoever gave it up: `usage` holds all that was told by then. */
void stream_settle(struct stream *s);

#endif
