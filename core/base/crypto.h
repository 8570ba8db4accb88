/* crypto.h - fingerprints and comparing secrets.
 *
 * Owns          nothing.
 * Fed by        policy texts, keys.
 * Feeds         versions, the key check.
 * Must not know what is hashed. BearSSL does the work.
 *
 *   char hex[CRYPTO_SHA256_HEX];
 *   crypto_sha256_hex(&text, 1, hex);
 *   if (crypto_equal(given, expected)) ...
 */
#ifndef PERILUNE_BASE_CRYPTO_H
#define PERILUNE_BASE_CRYPTO_H

#include "base/span.h"

#define CRYPTO_SHA256_SIZE 32
#define CRYPTO_SHA256_HEX (2 * CRYPTO_SHA256_SIZE + 1)

/* SHA-256 of the parts joined. Where they end is not hashed: the caller separates them if it
 * matters. */
void crypto_sha256(const struct span *parts, size_t n, unsigned char out[CRYPTO_SHA256_SIZE]);

/* The same in lower-case hexadecimal, NUL-terminated. */
void crypto_sha256_hex(const struct span *parts, size_t n, char out[CRYPTO_SHA256_HEX]);

/* HMAC-SHA256 of `text` under `key`. */
void crypto_hmac_sha256(struct span key, struct span text, unsigned char out[CRYPTO_SHA256_SIZE]);

/* Whether both are the same, in a time that tells nothing of where they differ, nor how long
 * `secret` is. */
bool crypto_equal(struct span given, struct span secret);

#endif
