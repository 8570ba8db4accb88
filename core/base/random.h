/* random.h - numbers nobody can guess, and numbers that come again.
 *
 * Owns          nothing: a generator is a small struct of the caller's.
 * Fed by        the kernel (random_system) or a seed.
 * Feeds         ids, jitter, weighted choice.
 * Must not know what is chosen. The generator is not for secrets; random_system() is.
 *
 *   struct random r;
 *   random_seed(&r, 42);
 *   double pick = random_unit(&r);       // the same for every 42
 */
#ifndef PERILUNE_BASE_RANDOM_H
#define PERILUNE_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4]; /* xoshiro256**; never all zeros once seeded */
};

/* Equal seeds give equal sequences. */
void random_seed(struct random *r, uint64_t seed);

/* A seed nobody knows. */
void random_seed_system(struct random *r);

/* 64 random bits. */
uint64_t random_next(struct random *r);

/* Evenly from 0 to bound - 1; 0 for a bound of 0. */
uint64_t random_below(struct random *r, uint64_t bound);

/* Evenly from 0 up to, never reaching, 1. */
double random_unit(struct random *r);

/* `len` bytes of the kernel's generator. Aborts when there is none. */
void random_system(void *bytes, size_t len);

#endif
