#include "route/keyring.h"

#include "base/crypto.h"
#include "base/gcra.h"
#include "route/breaker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uthash.h>

enum { BURST_US = GCRA_MINUTE_US / 10 };

/* What is known of one key. Times are microseconds of the loop's clock. */
struct entry {
    UT_hash_handle hh;
    char id[CRYPTO_SHA256_SIZE];          /* of the provider's name and the key */
    atomic_ullong cool_ms;                /* not before that */
    atomic_uint rest_ms;                  /* the last cool-down by our own rule; 0: it has worked */
    atomic_ullong requests_us, tokens_us; /* when the schedule is empty again */
};

struct keyring {
    pthread_mutex_t lock;
    struct entry *entries;
};

struct keyring_keys {
    struct keyring *ring;
    const struct provider *provider;
    struct entry *entries[]; /* one a key, in the provider's order */
};

struct keyring *keyring_new(void) {
    struct keyring *ring = calloc(1, sizeof *ring);
    if (!ring)
        abort();
    pthread_mutex_init(&ring->lock, NULL);
    return ring;
}

void keyring_free(struct keyring *ring) {
    struct entry *e, *next;
    HASH_ITER(hh, ring->entries, e, next) {
        HASH_DEL(ring->entries, e);
        free(e);
    }
    pthread_mutex_destroy(&ring->lock);
    free(ring);
}

static struct entry *entry_of(struct keyring *ring, const struct provider *provider,
                              const struct provider_key *key) {
    const struct span parts[] = { provider->name, SPAN("\n"), key->secret };
    char id[CRYPTO_SHA256_SIZE];
    struct entry *e;
    crypto_sha256(parts, sizeof parts / sizeof *parts, (unsigned char *)id);
    HASH_FIND(hh, ring->entries, id, sizeof id, e);
    if (e)
        return e;
    e = calloc(1, sizeof *e);
    if (!e)
        abort();
    memcpy(e->id, id, sizeof id);
    HASH_ADD(hh, ring->entries, id, sizeof e->id, e);
    return e;
}

struct keyring_keys *keyring_keys(struct keyring *ring, const struct provider *provider) {
    struct keyring_keys *keys =
        malloc(sizeof *keys + (provider->n_keys + 1) * sizeof *keys->entries);
    if (!keys)
        abort();
    keys->ring = ring;
    keys->provider = provider;
    pthread_mutex_lock(&ring->lock);
    for (size_t i = 0; i < provider->n_keys; i++)
        keys->entries[i] = entry_of(ring, provider, &provider->keys[i]);
    pthread_mutex_unlock(&ring->lock);
    return keys;
}

/* --- schedules --- */

/* How long until a schedule that is empty at `empty_us` has room again. What is larger than the
 * burst alone has room when nothing else is on it. */
static uint64_t wait_us(uint64_t empty_us, uint64_t now_us) {
    uint64_t ahead = gcra_ahead_us(empty_us, now_us);
    return ahead > BURST_US ? ahead - BURST_US : 0;
}

/* Puts `cost` on the schedule if it has room within `patience_us`; *wait is at least as long as that
 * takes: others may have been put on it since it was looked at. */
static bool charge(atomic_ullong *schedule, uint64_t cost, uint64_t patience_us, uint64_t now_us,
                   uint64_t *wait) {
    unsigned long long empty = atomic_load_explicit(schedule, memory_order_relaxed);
    do {
        if (wait_us(empty, now_us) > patience_us)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(schedule, &empty,
                                                    gcra_charged(empty, cost, now_us),
                                                    memory_order_relaxed, memory_order_relaxed));
    if (wait_us(empty, now_us) > *wait)
        *wait = wait_us(empty, now_us);
    return true;
}

static uint64_t load(const atomic_ullong *at) {
    return atomic_load_explicit(at, memory_order_relaxed);
}

/* How long the key is out of reach: its cool-down, or its pace. */
static uint64_t wait_of(const struct entry *e, const struct provider_key *key, uint64_t now_us) {
    uint64_t cool_us = load(&e->cool_ms) * 1000;
    uint64_t wait = cool_us > now_us ? cool_us - now_us : 0;
    uint64_t requests = key->rpm ? wait_us(load(&e->requests_us), now_us) : 0;
    uint64_t tokens = key->tpm ? wait_us(load(&e->tokens_us), now_us) : 0;
    wait = requests > wait ? requests : wait;
    return tokens > wait ? tokens : wait;
}

/* Both schedules, or neither. That nothing costs more than the minute suits us: what is larger than
 * the whole allowance is refused by the provider, or counted otherwise than we do, and the key is not
 * to be out of reach for hours because of one request. */
static bool take(struct entry *e, const struct provider_key *key, uint64_t tokens,
                 uint64_t patience_us, uint64_t now_us, uint64_t *wait) {
    uint64_t cost = gcra_cost_us(1, key->rpm);
    if (key->rpm && !charge(&e->requests_us, cost, patience_us, now_us, wait))
        return false;
    if (!key->tpm ||
        charge(&e->tokens_us, gcra_cost_us(tokens, key->tpm), patience_us, now_us, wait))
        return true;
    if (key->rpm)
        atomic_fetch_sub_explicit(&e->requests_us, cost, memory_order_relaxed);
    return false;
}

/* --- picking --- */

static uint64_t to_ms(uint64_t us) {
    return (us + 999) / 1000;
}

/* The shortest wait of any key, and the weight of those that can be had at once or in time. */
static uint64_t survey(const struct keyring_keys *keys, uint64_t patience_us, uint64_t now_us,
                       uint64_t *weight) {
    uint64_t shortest = UINT64_MAX;
    *weight = 0;
    for (size_t i = 0; i < keys->provider->n_keys; i++) {
        uint64_t wait = wait_of(keys->entries[i], &keys->provider->keys[i], now_us);
        shortest = wait < shortest ? wait : shortest;
        *weight += wait <= patience_us ? keys->provider->keys[i].weight : 0;
    }
    return shortest;
}

/* The key at that place among those within `patience_us`, counted by weight. */
static size_t place(const struct keyring_keys *keys, uint64_t at, uint64_t patience_us,
                    uint64_t now_us) {
    size_t i = 0, last = 0;
    for (; i < keys->provider->n_keys; i++) {
        const struct provider_key *key = &keys->provider->keys[i];
        if (wait_of(keys->entries[i], key, now_us) > patience_us)
            continue;
        last = i;
        if (at < key->weight)
            break;
        at -= key->weight;
    }
    return i < keys->provider->n_keys ? i : last;
}

struct keyring_pick keyring_pick(struct keyring_keys *keys, uint64_t tokens, struct random *random,
                                 uint64_t now_ms) {
    const struct provider *p = keys->provider;
    uint64_t now_us = now_ms * 1000, patience_us = (uint64_t)p->pace_wait_ms * 1000, weight;
    if (!p->n_keys)
        return (struct keyring_pick){ NULL, 0 };
    uint64_t shortest = survey(keys, 0, now_us, &weight);
    if (weight)
        shortest = 0;
    else if (shortest <= patience_us)
        survey(keys, shortest, now_us, &weight);
    /* Another worker may have been quicker: as often as there are keys, and once more. */
    for (size_t tries = 0; weight && tries <= p->n_keys; tries++) {
        size_t i = place(keys, random_below(random, weight), shortest, now_us);
        uint64_t wait = wait_of(keys->entries[i], &p->keys[i], now_us);
        if (take(keys->entries[i], &p->keys[i], tokens, patience_us, now_us, &wait))
            return (struct keyring_pick){ &p->keys[i], to_ms(wait) };
    }
    return (struct keyring_pick){ NULL, to_ms(shortest) };
}

/* --- what was learnt --- */

static bool others_work(const struct keyring_keys *keys, size_t but, uint64_t now_ms) {
    for (size_t i = 0; i < keys->provider->n_keys; i++)
        if (i != but && load(&keys->entries[i]->cool_ms) <= now_ms)
            return true;
    return false;
}

static uint64_t later(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* How long it is to rest: the first time the provider is taken at its word, and when that did not hold,
 * it is as long as without one. */
static uint64_t rest_ms(struct entry *e, int64_t told, uint64_t now_ms) {
    uint64_t said = told < BREAKER_TOLD_MAX_MS ? (uint64_t)told : BREAKER_TOLD_MAX_MS;
    uint32_t last = atomic_load_explicit(&e->rest_ms, memory_order_relaxed);
    if (load(&e->cool_ms) > now_ms)
        return told > 0 ? said : 0;
    atomic_store_explicit(&e->rest_ms, breaker_cool(last), memory_order_relaxed);
    return told > 0 ? later(said, last) : breaker_cool(last);
}

bool keyring_cool(struct keyring_keys *keys, const struct provider_key *key, enum failure class,
                  int64_t retry_after_ms, uint64_t now_ms) {
    const uint32_t of_the_key =
        FAILURE_BIT(FAILURE_AUTH) | FAILURE_BIT(FAILURE_QUOTA) | FAILURE_BIT(FAILURE_RATE_LIMITED);
    size_t i = (size_t)(key - keys->provider->keys);
    struct entry *e = keys->entries[i];
    if (!(of_the_key & FAILURE_BIT(class)))
        return false;
    /* Two last ones must not rest because of each other. */
    pthread_mutex_lock(&keys->ring->lock);
    bool others = others_work(keys, i, now_ms);
    if (others) {
        uint64_t until = now_ms + rest_ms(e, retry_after_ms, now_ms);
        atomic_store_explicit(&e->cool_ms, later(load(&e->cool_ms), until), memory_order_relaxed);
    }
    pthread_mutex_unlock(&keys->ring->lock);
    return others;
}

void keyring_worked(struct keyring_keys *keys, const struct provider_key *key, uint64_t now_ms) {
    struct entry *e = keys->entries[key - keys->provider->keys];
    /* What began before it rested says nothing. */
    if (atomic_load_explicit(&e->rest_ms, memory_order_relaxed) && load(&e->cool_ms) <= now_ms)
        atomic_store_explicit(&e->rest_ms, 0, memory_order_relaxed);
}

/* What is left of a minute's allowance. */
static double left(uint64_t empty_us, uint32_t a_minute, uint64_t now_us) {
    if (!a_minute || empty_us <= now_us)
        return 1;
    double used = (double)(empty_us - now_us) / BURST_US;
    return used < 1 ? 1 - used : 0;
}

double keyring_headroom(struct keyring_keys *keys, uint64_t now_ms) {
    double most = keys->provider->n_keys ? 0 : 1;
    for (size_t i = 0; i < keys->provider->n_keys; i++) {
        const struct provider_key *key = &keys->provider->keys[i];
        const struct entry *e = keys->entries[i];
        double requests = left(load(&e->requests_us), key->rpm, now_ms * 1000);
        double tokens = left(load(&e->tokens_us), key->tpm, now_ms * 1000);
        double least = load(&e->cool_ms) > now_ms ? 0 : requests < tokens ? requests : tokens;
        most = least > most ? least : most;
    }
    return most;
}
