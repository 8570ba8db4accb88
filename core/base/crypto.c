#include "base/crypto.h"

#include <bearssl.h>
#include <stdlib.h>
#include <string.h>

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

struct crypto_mac {
    br_hmac_key_context key;
};

void crypto_mac_sha256(const struct crypto_mac *mac, struct span text,
                       unsigned char out[CRYPTO_SHA256_SIZE]) {
    br_hmac_context context;
    br_hmac_init(&context, &mac->key, 0);
    br_hmac_update(&context, text.at, text.len);
    br_hmac_out(&context, out);
}

void crypto_hmac_sha256(struct span key, struct span text, unsigned char out[CRYPTO_SHA256_SIZE]) {
    struct crypto_mac mac;
    br_hmac_key_init(&mac.key, &br_sha256_vtable, key.at, key.len);
    crypto_mac_sha256(&mac, text, out);
}

struct crypto_mac *crypto_mac_new(struct span key) {
    struct crypto_mac *mac = malloc(sizeof *mac);
    if (!mac)
        abort();
    br_hmac_key_init(&mac->key, &br_sha256_vtable, key.at, key.len);
    return mac;
}

void crypto_mac_free(struct crypto_mac *mac) {
    /* Who has the prepared key has the key; a plain memset of what is freed would be left out. */
    if (mac)
        explicit_bzero(mac, sizeof *mac);
    free(mac);
}

/* --- signatures --- */

static void on_key_bytes(void *key, const void *bytes, size_t len) {
    br_skey_decoder_push(key, bytes, len);
}

/* Feeds a PEM text; the bytes of its first object go to `key`. */
static void decode_pem(struct span pem, br_skey_decoder_context *key) {
    br_pem_decoder_context decoder;
    br_pem_decoder_init(&decoder);
    br_skey_decoder_init(key);
    while (pem.len) {
        size_t taken = br_pem_decoder_push(&decoder, pem.at, pem.len);
        pem = span_sub(pem, taken, pem.len);
        switch (br_pem_decoder_event(&decoder)) {
        case BR_PEM_BEGIN_OBJ:
            br_pem_decoder_setdest(&decoder, on_key_bytes, key);
            break;
        case BR_PEM_END_OBJ:
        case BR_PEM_ERROR:
            return;
        default:
            break;
        }
    }
}

struct span crypto_rs256(struct span pem, struct span text, struct arena *arena) {
    br_skey_decoder_context decoder;
    unsigned char hash[CRYPTO_SHA256_SIZE];
    decode_pem(pem, &decoder);
    const br_rsa_private_key *key = br_skey_decoder_get_rsa(&decoder);
    if (!key)
        return SPAN_NONE;
    size_t size = (key->n_bitlen + 7) / 8;
    unsigned char *signature = arena_alloc(arena, size);
    crypto_sha256(&text, 1, hash);
    if (!br_rsa_pkcs1_sign_get_default()(BR_HASH_OID_SHA256, hash, sizeof hash, key, signature))
        return SPAN_NONE;
    return (struct span){ (char *)signature, size };
}

struct span crypto_base64url(struct span bytes, struct arena *arena) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *out = arena_alloc(arena, bytes.len / 3 * 4 + 5);
    size_t len = 0;
    uint32_t bits = 0;
    unsigned n_bits = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        bits = bits << 8 | (unsigned char)bytes.at[i];
        for (n_bits += 8; n_bits >= 6; n_bits -= 6)
            out[len++] = digits[bits >> (n_bits - 6) & 63];
    }
    if (n_bits)
        out[len++] = digits[bits << (6 - n_bits) & 63];
    out[len] = '\0';
    return (struct span){ out, len };
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
