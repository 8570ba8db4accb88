#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

/* SplitMix64 (Steele, Lea, Flood 2014): spreads a seed over the state, as the authors of xoshiro
 * advise. */
static uint64_t split_mix(uint64_t *x) {
    uint64_t z = *x += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void random_seed(struct random *r, uint64_t seed) {
    for (int i = 0; i < 4; i++)
        r->state[i] = split_mix(&seed);
}

void random_seed_system(struct random *r) {
    uint64_t seed;
    random_system(&seed, sizeof seed);
    random_seed(r, seed);
}

static uint64_t rotate(uint64_t x, int by) {
    return (x << by) | (x >> (64 - by));
}

/* xoshiro256** 1.0 (Blackman, Vigna 2018). */
uint64_t random_next(struct random *r) {
    uint64_t *s = r->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t random_below(struct random *r, uint64_t bound) {
    if (bound == 0)
        return 0;
    /* Numbers under 2^64 mod bound would make the low results likelier. */
    uint64_t low = -bound % bound, x;
    do
        x = random_next(r);
    while (x < low);
    return x % bound;
}

double random_unit(struct random *r) {
    return (double)(random_next(r) >> 11) * 0x1p-53;
}

void random_system(void *bytes, size_t len) {
    char *at = bytes;
    while (len) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            abort();
        at += n;
        len -= (size_t)n;
    }
}
