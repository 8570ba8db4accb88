/* crypto.h - fingerprints, signatures, and comparing secrets.
 *
 * Owns          nothing.
 * Fed by        policy texts, keys.
 * Feeds         versions, the key check, tokens of service accounts.
 * Must not know what is hashed. BearSSL does the work.
 *
 *   char hex[CRYPTO_SHA256_HEX];
 *   crypto_sha256_hex(&text, 1, hex);
 *   if (crypto_equal(given, expected)) ...
 */
#ifndef PERILUNE_BASE_CRYPTO_H
#define PERILUNE_BASE_CRYPTO_H

#include "base/arena.h"
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

/* The same under a key that is prepared once: half the work. Any number of threads may use it. */
struct crypto_mac;
struct crypto_mac *crypto_mac_new(struct span key);
void crypto_mac_free(struct crypto_mac *mac);
void crypto_mac_sha256(const struct crypto_mac *mac, struct span text,
                       unsigned char out[CRYPTO_SHA256_SIZE]);

/* The RSASSA-PKCS1-v1_5 signature with SHA-256 of `text` (JWT's RS256: RFC 7518, section 3.3) by the
 * private key in `pem` (PKCS #8 or PKCS #1). SPAN_NONE when that holds no RSA key. Two milliseconds
 * for 2,048 bits. */
struct span crypto_rs256(struct span pem, struct span text, struct arena *arena);

/* Base64 with the URL's alphabet and without padding (RFC 4648, section 5). */
struct span crypto_base64url(struct span bytes, struct arena *arena);

/* Whether both are the same, in a time that tells nothing of where they differ, nor how long
 * `secret` is. */
bool crypto_equal(struct span given, struct span secret);

#endif
