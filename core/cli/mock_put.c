/* mock_put.c - JSON, events and gzip, piece by piece. */
#include "cli/mock_put.h"

void mock_put(struct buf *out, const char *text) {
    buf_append(out, text, strlen(text));
}

void mock_put_uint(struct buf *out, uint64_t n) {
    char digits[20];
    size_t len = 0;
    do
        digits[sizeof digits - ++len] = (char)('0' + n % 10);
    while (n /= 10);
    buf_append(out, digits + sizeof digits - len, len);
}

void mock_put_named(struct buf *out, const char *before, int64_t n) {
    mock_put(out, before);
    mock_put_uint(out, n < 0 ? 0 : (uint64_t)n);
}

void mock_put_text(struct buf *out, const char *before, struct span text) {
    mock_put(out, before);
    if (text.at)
        buf_add_json(out, text);
    else
        mock_put(out, "null");
}

void mock_put_id(struct buf *out, const char *prefix, uint64_t serial, size_t nth) {
    buf_add_char(out, '"');
    mock_put(out, prefix);
    mock_put_uint(out, serial);
    if (nth) {
        buf_add_char(out, '_');
        mock_put_uint(out, nth);
    }
    buf_add_char(out, '"');
}

void mock_put_event(struct buf *out, const char *name) {
    mock_put(out, "event: ");
    mock_put(out, name);
    mock_put(out, "\ndata: {\"type\":\"");
    mock_put(out, name);
    mock_put(out, "\"");
}

void mock_put_base64(struct buf *out, const unsigned char *bytes, size_t len) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16;
        three |= i + 1 < len ? (uint32_t)bytes[i + 1] << 8 : 0;
        three |= i + 2 < len ? bytes[i + 2] : 0;
        buf_add_char(out, letters[three >> 18]);
        buf_add_char(out, letters[three >> 12 & 63]);
        buf_add_char(out, i + 1 < len ? letters[three >> 6 & 63] : '=');
        buf_add_char(out, i + 2 < len ? letters[three & 63] : '=');
    }
}

/* ---- gzip ---- */

static uint32_t crc32(struct span s) {
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < s.len; i++) {
        crc ^= (unsigned char)s.at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static void add_little_endian(struct buf *out, uint32_t n, int bytes) {
    for (int i = 0; i < bytes; i++)
        buf_add_char(out, (char)(n >> i * 8));
}

/* RFC 1952, with the stored blocks of RFC 1951, section 3.2.4. */
void mock_gzip(struct buf *out, struct span body) {
    buf_append(out, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
    for (size_t at = 0, len; at == 0 || at < body.len; at += len) {
        len = body.len - at < 65535 ? body.len - at : 65535;
        buf_add_char(out, at + len == body.len);
        add_little_endian(out, (uint32_t)len, 2);
        add_little_endian(out, ~(uint32_t)len, 2);
        buf_append(out, body.at + at, len);
        if (len == 0)
            break;
    }
    add_little_endian(out, crc32(body), 4);
    add_little_endian(out, (uint32_t)body.len, 4);
}
