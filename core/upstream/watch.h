/* watch.h - the sockets curl uses, watched by the loop.
 *
 * Owns          a poll handle for each socket curl wants to hear of; the sockets it opened for
 *               curl.
 * Fed by        curl's socket callbacks, by way of the pump.
 * Feeds         `ready` of its owner, on the loop's thread.
 * Must not know transfers.
 *
 * curl asks for a socket when a transfer begins and lets go of it when it ends, thousands of times
 * a second for the same few connections; each time the kernel would be told. So a handle stays
 * armed while its connection stands. That is safe only for sockets that came from watch_open() and
 * are connected, because only their end is announced (watch_close): any other, such as the pair a
 * resolver thread signals with, is let go of as soon as curl says so. A kept handle that fires
 * while curl does not ask (idle, or paused) is disarmed, or a level-triggered loop would spin on
 * it; the next wish arms it again.
 */
#ifndef PERILUNE_UPSTREAM_WATCH_H
#define PERILUNE_UPSTREAM_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct watch;

/* One bit for each port. */
enum { WATCH_PORT_BYTES = 65536 / 8 };

/* A set of watched sockets, embedded. */
struct watches {
    uv_loop_t *loop;
    /* A socket is ready: `bits` is a set of CURL_CSELECT_*, among what was wanted. `user` came with
     * watch_want(). */
    void (*ready)(void *owner, void *user, int fd, int bits);
    /* The last handle has closed, after watch_deinit(). */
    void (*drained)(void *owner);
    void *owner;
    /* figures */
    size_t open;    /* sockets from watch_open() not closed yet */
    uint64_t polls; /* times a handle fired */
    /* kept by watch */
    struct watch **by_fd;
    size_t cap;
    size_t handles; /* whose close callback has not run */
    bool ending;
    uint8_t spoken[WATCH_PORT_BYTES];
};

void watch_init(struct watches *w, uv_loop_t *loop);

/* Disarms and closes everything. `drained` is called from the loop, once, even when there was
 * nothing. */
void watch_deinit(struct watches *w);

/* A new socket for curl, with the options that curl has no words for; -1 when there is none to be
 * had. */
int watch_open(struct watches *w, int family, int type, int protocol);

/* Closes a socket of watch_open(); what close(2) says. */
int watch_close(struct watches *w, int fd);

/* curl's wish: `what` is CURL_POLL_IN, OUT, INOUT, NONE or REMOVE. */
void watch_want(struct watches *w, int fd, int what, void *user);

/* Whether something came on the connection with that local port while curl asked for nothing, and
 * curl has not asked since. On an idle one it belongs to nobody, and least of all to who asks next.
 */
bool watch_spoke(const struct watches *w, int local_port);

#endif
