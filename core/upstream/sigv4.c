#include "upstream/sigv4.h"

#include "base/buf.h"
#include "base/crypto.h"

#include <stdio.h>
#include <time.h>

enum { HASH = CRYPTO_SHA256_SIZE, STAMP = sizeof "20150830T123600Z", DAY = 8 };

/* What is said of the request in more than one place. */
struct signing {
    const struct sigv4_message *m;
    struct arena *arena;
    struct span id, secret, token;
    struct span host, path;
    char stamp[STAMP]; /* its first DAY characters are the day */
    struct span scope; /* "20150830/us-east-1/service/aws4_request" */
};

static bool split_credentials(struct signing *s) {
    struct span all = s->m->credentials;
    size_t first = span_find(all, ':');
    struct span rest = span_sub(all, first + 1, all.len);
    size_t second = span_find(rest, ':');
    s->id = span_sub(all, 0, first);
    s->secret = span_sub(rest, 0, second);
    s->token = span_sub(rest, second + 1, rest.len);
    return first < all.len && s->id.len && s->secret.len;
}

static bool split_url(struct signing *s) {
    struct span rest = s->m->url;
    const struct span schemes[] = { SPAN("https://"), SPAN("http://") };
    size_t skip = 0;
    for (size_t i = 0; i < 2 && !skip; i++)
        skip = span_starts(rest, schemes[i]) ? schemes[i].len : 0;
    rest = span_sub(rest, skip, rest.len);
    size_t slash = span_find(rest, '/');
    s->host = span_sub(rest, 0, slash);
    s->path = slash < rest.len ? span_sub(rest, slash, rest.len) : SPAN("/");
    return skip && s->host.len && span_find(s->path, '?') == s->path.len;
}

static void write_time(struct signing *s) {
    time_t now = (time_t)s->m->now_s;
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(s->stamp, sizeof s->stamp, "%Y%m%dT%H%M%SZ", &tm);
    s->scope = arena_printf(s->arena, "%.*s/%.*s/%.*s/aws4_request", DAY, s->stamp,
                            SPAN_ARGS(s->m->region), SPAN_ARGS(s->m->service));
}

static bool is_plain(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           memchr("-._~/", c, 5) != NULL;
}

/* The path encoded once more: its percent signs, too. */
static void add_path(struct buf *out, struct span path) {
    for (size_t i = 0; i < path.len; i++) {
        if (is_plain(path.at[i]))
            buf_add_char(out, path.at[i]);
        else
            buf_printf(out, "%%%02X", (unsigned char)path.at[i]);
    }
}

static struct span signed_headers(const struct signing *s) {
    return s->token.len ? SPAN("host;x-amz-date;x-amz-security-token") : SPAN("host;x-amz-date");
}

/* The digest of the request in its canonical form. */
static void digest_request(const struct signing *s, char hex[CRYPTO_SHA256_HEX]) {
    char body[CRYPTO_SHA256_HEX];
    struct buf text = { 0 };
    crypto_sha256_hex(&s->m->body, 1, body);
    buf_printf(&text, "%.*s\n", SPAN_ARGS(s->m->method));
    add_path(&text, s->path);
    buf_printf(&text, "\n\nhost:%.*s\nx-amz-date:%s\n", SPAN_ARGS(s->host), s->stamp);
    if (s->token.len)
        buf_printf(&text, "x-amz-security-token:%.*s\n", SPAN_ARGS(s->token));
    buf_printf(&text, "\n%.*s\n%s", SPAN_ARGS(signed_headers(s)), body);
    struct span whole = buf_span(&text);
    crypto_sha256_hex(&whole, 1, hex);
    buf_deinit(&text);
}

/* A key for this day, region and service alone. */
static void derive_key(const struct signing *s, unsigned char key[HASH]) {
    const struct span parts[] = {
        { s->stamp, DAY }, s->m->region, s->m->service, SPAN("aws4_request")
    };
    struct span first = arena_printf(s->arena, "AWS4%.*s", SPAN_ARGS(s->secret));
    crypto_hmac_sha256(first, parts[0], key);
    for (size_t i = 1; i < sizeof parts / sizeof *parts; i++) {
        unsigned char next[HASH];
        crypto_hmac_sha256((struct span){ (char *)key, HASH }, parts[i], next);
        memcpy(key, next, HASH);
    }
}

static void write_signature(const struct signing *s, char hex[2 * HASH + 1]) {
    char request[CRYPTO_SHA256_HEX];
    unsigned char key[HASH], signature[HASH];
    digest_request(s, request);
    struct span text = arena_printf(s->arena, "AWS4-HMAC-SHA256\n%s\n%.*s\n%s", s->stamp,
                                    SPAN_ARGS(s->scope), request);
    derive_key(s, key);
    crypto_hmac_sha256((struct span){ (char *)key, HASH }, text, signature);
    for (int i = 0; i < HASH; i++)
        snprintf(hex + 2 * i, 3, "%02x", signature[i]);
}

size_t sigv4_sign(const struct sigv4_message *m, struct arena *arena, struct span *lines) {
    struct signing s = { .m = m, .arena = arena };
    char signature[2 * HASH + 1];
    size_t n = 0;
    if (!split_credentials(&s) || !split_url(&s))
        return 0;
    write_time(&s);
    write_signature(&s, signature);
    lines[n++] = arena_printf(arena, "x-amz-date: %s", s.stamp);
    if (s.token.len)
        lines[n++] = arena_printf(arena, "x-amz-security-token: %.*s", SPAN_ARGS(s.token));
    lines[n++] =
        arena_printf(arena,
                     "authorization: AWS4-HMAC-SHA256 Credential=%.*s/%.*s, "
                     "SignedHeaders=%.*s, Signature=%s",
                     SPAN_ARGS(s.id), SPAN_ARGS(s.scope), SPAN_ARGS(signed_headers(&s)), signature);
    return n;
}
