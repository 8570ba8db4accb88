#include "base/crypto.h"
#include "support/unit.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

static void hashes(void **state) {
    char hex[CRYPTO_SHA256_HEX];
    struct span parts[] = { SPAN("a"), SPAN(""), SPAN("bc") };
    const char *abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    crypto_sha256_hex(NULL, 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    crypto_sha256_hex(&SPAN("abc"), 1, hex);
    assert_string_equal(hex, abc);
    crypto_sha256_hex(parts, 3, hex);
    assert_string_equal(hex, abc);
}

/* RFC 4231, test case 2. */
static void authenticates(void **state) {
    static const unsigned char wanted[] = { 0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e,
                                            0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
                                            0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83,
                                            0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43 };
    unsigned char out[CRYPTO_SHA256_SIZE];
    crypto_hmac_sha256(SPAN("Jefe"), SPAN("what do ya want for nothing?"), out);
    assert_memory_equal(out, wanted, sizeof wanted);
    struct crypto_mac *mac = crypto_mac_new(SPAN("Jefe"));
    for (int times = 0; times < 2; times++) {
        memset(out, 0, sizeof out);
        crypto_mac_sha256(mac, SPAN("what do ya want for nothing?"), out);
        assert_memory_equal(out, wanted, sizeof wanted);
    }
    crypto_mac_free(mac);
}

/* --- signatures, against OpenSSL's --- */

static struct span pem_of(EVP_PKEY *key, BIO *bio) {
    char *at;
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    long len = BIO_get_mem_data(bio, &at);
    return (struct span){ at, (size_t)len };
}

static void signs_as_others_do(void **state) {
    EVP_PKEY *key = EVP_RSA_gen(2048);
    BIO *bio = BIO_new(BIO_s_mem());
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char wanted[256];
    size_t len = sizeof wanted;
    struct arena arena;
    arena_init(&arena, 256);
    EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key);
    assert_int_equal(EVP_DigestSign(context, wanted, &len, (const unsigned char *)"a.b", 3), 1);
    struct span signature = crypto_rs256(pem_of(key, bio), SPAN("a.b"), &arena);
    assert_int_equal(signature.len, len);
    assert_memory_equal(signature.at, wanted, len);
    EVP_MD_CTX_free(context);
    BIO_free(bio);
    EVP_PKEY_free(key);
    arena_deinit(&arena);
}

static void signs_with_no_other_key(void **state) {
    struct arena arena;
    arena_init(&arena, 256);
    assert_null(crypto_rs256(SPAN(""), SPAN("x"), &arena).at);
    assert_null(crypto_rs256(SPAN("not a key"), SPAN("x"), &arena).at);
    assert_null(crypto_rs256(SPAN("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
                             SPAN("x"), &arena)
                    .at);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    assert_null(crypto_rs256(pem_of(key, bio), SPAN("x"), &arena).at);
    BIO_free(bio);
    EVP_PKEY_free(key);
    arena_deinit(&arena);
}

/* RFC 4648, section 10, without its padding. */
static void writes_base64url(void **state) {
    struct arena arena;
    arena_init(&arena, 256);
    assert_span(crypto_base64url(SPAN(""), &arena), "");
    assert_span(crypto_base64url(SPAN("f"), &arena), "Zg");
    assert_span(crypto_base64url(SPAN("fo"), &arena), "Zm8");
    assert_span(crypto_base64url(SPAN("foo"), &arena), "Zm9v");
    assert_span(crypto_base64url(SPAN("foobar"), &arena), "Zm9vYmFy");
    assert_span(crypto_base64url(SPAN("\xfb\xff\xfe"), &arena), "-__-");
    arena_deinit(&arena);
}

static void compares_secrets(void **state) {
    assert_true(crypto_equal(SPAN("sk-1"), SPAN("sk-1")));
    assert_false(crypto_equal(SPAN("sk-1"), SPAN("sk-2")));
    assert_false(crypto_equal(SPAN("sk-1"), SPAN("sk-10")));
    assert_false(crypto_equal(SPAN(""), SPAN("sk-1")));
    assert_true(crypto_equal(SPAN_NONE, SPAN("")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes),
        cmocka_unit_test(authenticates),
        cmocka_unit_test(signs_as_others_do),
        cmocka_unit_test(signs_with_no_other_key),
        cmocka_unit_test(writes_base64url),
        cmocka_unit_test(compares_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
