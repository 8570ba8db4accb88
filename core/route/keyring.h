/* keyring.h - the keys of providers: which of them a request goes up with, and when.
 *
 * Owns          a pace and a cool-down a key, by the provider's name and the key itself; they survive
 *               every reload.
 * Fed by        attempt, when it needs a key and when it learns how that went.
 * Feeds         attempt, with a key, or with how long there is none.
 * Must not know requests, clients, what a key looks like.
 *
 *   struct keyring_keys *keys = keyring_keys(ring, provider);     once a snapshot and worker
 *   struct keyring_pick pick = keyring_pick(keys, tokens, &random, now_ms);
 *   if (pick.key) ... send it in pick.wait_ms ...
 *   keyring_cool(keys, pick.key, class, retry_after_ms, now_ms) or keyring_worked(keys, pick.key, now_ms)
 *
 * Shared by all workers: what a key may still do is kept exactly, each change one compare and swap.
 * The pace is a virtual schedule (GCRA: ITU-T I.371): a tenth of a minute's allowance may go out at
 * once, the rest evenly.
 */
#ifndef PERILUNE_ROUTE_KEYRING_H
#define PERILUNE_ROUTE_KEYRING_H

#include "base/failure.h"
#include "base/random.h"
#include "base/snapshot.h"

struct keyring;
struct keyring_keys;

struct keyring *keyring_new(void);
void keyring_free(struct keyring *ring);

/* The keys of a provider, with what is known of each. Any thread; the caller frees it with free(),
 * before the provider's snapshot goes. */
struct keyring_keys *keyring_keys(struct keyring *ring, const struct provider *provider);

struct keyring_pick {
    const struct provider_key *key; /* NULL: none is to be had in time */
    uint64_t wait_ms; /* with a key: when it may go out; without: until there is one */
};

/* A key that is not cooling down and whose pace allows a request of `tokens` within the provider's
 * pace_wait_ms, by weight; its pace is charged. A provider without keys gives { NULL, 0 }. */
struct keyring_pick keyring_pick(struct keyring_keys *keys, uint64_t tokens, struct random *random,
                                 uint64_t now_ms);

/* An attempt with the key failed. Where the key was refused or met its limit (auth, quota, rate_limited)
 * it rests: as long as the provider says (-1: it does not), else for a time that doubles by the breakers'
 * rule each time, until it has worked again. What began before it rested and fails meanwhile only makes
 * it longer where the provider says so. True: it rests, and others work.
 *
 * The last key that works never rests: what is wrong with it may be so for one model alone, and with
 * no key at all nobody would find out when it is good again. Closing targets is the breakers'. */
bool keyring_cool(struct keyring_keys *keys, const struct provider_key *key, enum failure class,
                  int64_t retry_after_ms, uint64_t now_ms);

/* The key was good for an answer. */
void keyring_worked(struct keyring_keys *keys, const struct provider_key *key, uint64_t now_ms);

/* What is left of the paces, 0 to 1, of the key that has most; 1 without any pace. */
double keyring_headroom(struct keyring_keys *keys, uint64_t now_ms);

#endif
