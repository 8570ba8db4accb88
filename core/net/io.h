/* io.h - how a connection reads and writes: the seam where TLS fits.
 *
 * Owns          nothing; a table of functions over one transport.
 * Fed by        conn, which asks.
 * Feeds         conn, which is told through `struct io_events`.
 * Must not know HTTP.
 *
 *   io->read_start(io); ... on_read(owner, bytes, len) ... io->write(io, parts, n) ...
 *   io->close(io) ... on_closed(owner)
 */
#ifndef PERILUNE_NET_IO_H
#define PERILUNE_NET_IO_H

#include "base/span.h"

#include <uv.h>

struct io;

struct io_events {
    /* Bytes came, borrowed until return. */
    void (*on_read)(void *owner, const char *bytes, size_t len);
    /* The peer closed its sending side (status 0) or the transport broke (status < 0, a UV_E
     * number). Once. */
    void (*on_end)(void *owner, int status);
    /* The unwritten bytes fell below IO_LOW_WATER after they had been above IO_HIGH_WATER. */
    void (*on_drain)(void *owner);
    /* The handle is gone; `io` may be forgotten. The last event. */
    void (*on_closed)(void *owner);
};

struct io {
    void (*read_start)(struct io *io);
    void (*read_stop)(struct io *io);
    /* Writes the parts in order. The bytes are taken or copied before return. What the kernel does
     * not take at once is queued. */
    void (*write)(struct io *io, const struct span *parts, size_t n);
    /* Bytes queued and not yet written. */
    size_t (*queued)(const struct io *io);
    /* When queued bytes were last seen to move, on the loop's clock in ms (as exact as it is asked
     * often); for the slow-reader limit. */
    uint64_t (*moved_at)(struct io *io);
    /* Ends our side once the queue is written; reading goes on. Nothing may be written afterwards.
     */
    void (*shutdown)(struct io *io);
    /* Stops everything; `reset` sends RST rather than FIN. Queued bytes are still written before a
     * plain close; a second call with `reset` gives them up. */
    void (*close)(struct io *io, bool reset);
};

#define IO_HIGH_WATER (256 * 1024)
#define IO_LOW_WATER (64 * 1024)

/* Where bytes are read into: one for all transports of a loop, because a read is used up before the
 * next one begins. */
struct io_slab {
    char bytes[64 * 1024];
};

/* A plain TCP transport over an accepted handle, which it takes over (heap-allocated; nodelay is
 * set). `slab` outlives it. No event fires inside any of its functions. */
struct io *io_tcp_new(uv_tcp_t *accepted, struct io_slab *slab, const struct io_events *events,
                      void *owner);

#endif
