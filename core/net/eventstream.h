/* eventstream.h - Amazon's event frames (application/vnd.amazon.eventstream) cut out of a stream of
 * bytes, and written.
 *
 * Owns          the bytes of the frame that is not complete yet.
 * Fed by        transfer's body bytes, cut anywhere.
 * Feeds         whoever asked, with one frame at a time, at once.
 * Must not know what a payload says.
 *
 *   eventstream_init(&s, 1 << 20);
 *   eventstream_feed(&s, bytes, len, on_frame, owner);   // false: broken, or the callback stopped
 *   if (!eventstream_whole(&s)) ...                      // the bytes are over: within a frame?
 */
#ifndef PERILUNE_NET_EVENTSTREAM_H
#define PERILUNE_NET_EVENTSTREAM_H

#include "base/buf.h"

/* One frame whose sums are right, borrowed until the callback returns. Headers that are missing are
 * SPAN_NONE. */
struct eventstream_frame {
    struct span message_type;              /* "event", "exception", "error" */
    struct span event_type;                /* of an event: "contentBlockDelta" */
    struct span exception_type;            /* of an exception: "throttlingException" */
    struct span error_code, error_message; /* of an error */
    struct span content_type;
    struct span payload;
};

/* Returns false to stop: the rest of the bytes is not looked at. */
typedef bool (*eventstream_on_frame)(void *owner, const struct eventstream_frame *frame);

struct eventstream {
    struct buf pending; /* bytes of the incomplete frame */
    size_t max_frame;
};

void eventstream_init(struct eventstream *s, size_t max_frame);
void eventstream_deinit(struct eventstream *s);

/* False when a frame is larger than max_frame, its lengths or headers make no sense or one of its
 * two sums is wrong, and when the callback said stop: there is no way to find the next frame. */
bool eventstream_feed(struct eventstream *s, const char *bytes, size_t len,
                      eventstream_on_frame on_frame, void *owner);

/* No frame has begun and not ended. */
bool eventstream_whole(const struct eventstream *s);

/* One frame of JSON. `message_type` "event" names its type `:event-type`, "exception"
 * `:exception-type`. */
void eventstream_write(struct buf *out, struct span message_type, struct span type,
                       struct span payload);

#endif
