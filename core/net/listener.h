/* listener.h - a listening socket of one worker.
 *
 * Owns          the descriptor.
 * Fed by        the kernel.
 * Feeds         conn_open().
 * Must not know HTTP.
 *
 *   int fd = listener_probe(&address);               // once, before the workers: is it taken?
 *   listener_open(&l, &address, max, &server);       // in each worker
 */
#ifndef PERILUNE_NET_LISTENER_H
#define PERILUNE_NET_LISTENER_H

#include "net/conn.h"

struct listener;

enum { LISTENER_NAME_MAX = 64 };

/* Reads "127.0.0.1:4100", "[::1]:4100", "localhost:4100" or ":4100" (all addresses). A numeric
 * port, 0 for any free one. False on anything else. `*loopback` tells whether only this machine can
 * reach it. */
bool listener_parse(struct span address, struct sockaddr_storage *out, bool *loopback);

/* Binds without SO_REUSEPORT, so that a second instance is refused (UV_EADDRINUSE), and only then
 * allows it; a port of 0 becomes a real one in `*address`. Returns a bound descriptor that keeps
 * the address until closed, or a negative UV_E number. */
int listener_probe(struct sockaddr_storage *address);

/* Accepts for `server` on its loop, with SO_REUSEPORT. At most `max` connections at a time, then
 * accepting pauses (0: no limit). A spare descriptor lets it accept, answer 503 and close when
 * descriptors run out. Returns 0 or a negative UV_E number; then `*out` is NULL. */
int listener_open(struct listener **out, const struct sockaddr_storage *address, unsigned max,
                  struct conn_server *server);

/* Stops accepting. The handle closes on the loop, and the listener is freed there. */
void listener_close(struct listener *l);

/* To be called when a connection ended, so that a paused listener accepts again. Not after
 * listener_close(). */
void listener_resume(struct listener *l);

/* Connections turned away because descriptors ran out. */
uint64_t listener_refused(const struct listener *l);

/* "127.0.0.1:4100" into `out`. */
void listener_name(const struct sockaddr_storage *address, char out[LISTENER_NAME_MAX]);

#endif
