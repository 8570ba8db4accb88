#include "base/crypto.h"
#include "support/unit.h"

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
        cmocka_unit_test(compares_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
