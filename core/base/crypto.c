#include "base/crypto.h"

#include <bearssl.h>

void crypto_sha256(const struct span *parts, size_t n, unsigned char out[CRYPTO_SHA256_SIZE]) {
    br_sha256_context context;
    br_sha256_init(&context);
    for (size_t i = 0; i < n; i++)
        br_sha256_update(&context, parts[i].at, parts[i].len);
    br_sha256_out(&context, out);
}

void crypto_sha256_hex(const struct span *parts, size_t n, char out[CRYPTO_SHA256_HEX]) {
    static const char digits[] = "0123456789abcdef";
    unsigned char hash[CRYPTO_SHA256_SIZE];
    crypto_sha256(parts, n, hash);
    for (int i = 0; i < CRYPTO_SHA256_SIZE; i++) {
        out[2 * i] = digits[hash[i] >> 4];
        out[2 * i + 1] = digits[hash[i] & 15];
    }
    out[CRYPTO_SHA256_HEX - 1] = '\0';
}

void crypto_hmac_sha256(struct span key, struct span text, unsigned char out[CRYPTO_SHA256_SIZE]) {
    br_hmac_key_context prepared;
    br_hmac_context context;
    br_hmac_key_init(&prepared, &br_sha256_vtable, key.at, key.len);
    br_hmac_init(&context, &prepared, 0);
    br_hmac_update(&context, text.at, text.len);
    br_hmac_out(&context, out);
}

bool crypto_equal(struct span given, struct span secret) {
    /* Hashes have one length, so that the work depends only on what each side knows anyway. */
    unsigned char a[CRYPTO_SHA256_SIZE], b[CRYPTO_SHA256_SIZE];
    crypto_sha256(&given, 1, a);
    crypto_sha256(&secret, 1, b);
    volatile unsigned char difference = 0;
    for (int i = 0; i < CRYPTO_SHA256_SIZE; i++)
        difference |= a[i] ^ b[i];
    return difference == 0;
}
