#include "base/ident.h"

void ident_init(struct ident *ids) {
    *ids = (struct ident){ 0 };
    /* The whole state, not a seed: ids of many processes share 80 bits of chance, and 64 of them
     * would be fewer. */
    do
        random_system(ids->random.state, sizeof ids->random.state);
    while (!(ids->random.state[0] | ids->random.state[1] | ids->random.state[2] |
             ids->random.state[3]));
}

/* Writes the low `len` * 5 bits of `bits` in Crockford's base 32. */
static void encode(uint64_t bits, char *out, int len) {
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    while (len--) {
        out[len] = digits[bits & 31];
        bits >>= 5;
    }
}

static void advance(struct ident *ids, uint64_t wall_ms) {
    if (wall_ms > ids->ms) {
        ids->ms = wall_ms;
        ids->high = (uint16_t)random_next(&ids->random);
        ids->low = random_next(&ids->random);
        return;
    }
    /* Same millisecond: one more. A carry out of the 80 bits goes into the time. */
    if (++ids->low == 0 && ++ids->high == 0)
        ids->ms++;
}

void ident_make(struct ident *ids, uint64_t wall_ms, char out[IDENT_SIZE]) {
    advance(ids, wall_ms & UINT64_C(0xffffffffffff));
    encode(ids->ms, out, 10);
    /* 80 bits are 16 digits: 8 of 40 bits each. */
    encode((uint64_t)ids->high << 24 | ids->low >> 40, out + 10, 8);
    encode(ids->low & UINT64_C(0xffffffffff), out + 18, 8);
    out[IDENT_LEN] = '\0';
}
