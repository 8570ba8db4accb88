#include "route/token.h"

#include "base/crypto.h"
#include "base/log.h"
#include "route/wire.h"

#include <stdlib.h>
#include <uthash.h>

enum {
    LIFE_S = 3600,         /* asked for; what is given counts */
    EARLY_S = 300,         /* before its end a token is renewed, */
    AGAIN_S = 10,          /* tried again after a failure, while the old one is good */
    EXCHANGE_MS = 10000,   /* for all of it */
    ANSWER_MAX = 64 * 1024 /* bytes */
};

static const char scope[] = "https://www.googleapis.com/auth/cloud-platform";

struct token {
    UT_hash_handle hh;
    char id[CRYPTO_SHA256_SIZE]; /* of the account's JSON */
    struct tokens *tokens;
    struct token_wait *waiting;
    struct buf secret; /* the token; empty: there is none */
    uint64_t until_s, again_s;
    struct transfer *transfer; /* the exchange; NULL: none is under way */
    struct arena arena;        /* of the exchange */
    struct provider_key key;   /* the account, as long as the exchange lasts */
    struct span assertion;     /* what it was asked with */
    struct buf answer;
    int status;
    bool unusable; /* the account is none: nothing was asked */
    uint64_t asked_s;
};

struct tokens {
    struct pump *pump;
    struct json_parser *parser;
    struct token *all;
};

struct tokens *token_new(struct pump *pump, struct json_parser *parser) {
    struct tokens *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    t->pump = pump;
    t->parser = parser;
    return t;
}

static void end_exchange(struct token *k) {
    if (k->transfer)
        transfer_free(k->transfer);
    k->transfer = NULL;
    buf_deinit(&k->answer);
    arena_deinit(&k->arena);
}

void token_free(struct tokens *t) {
    struct token *k, *next;
    HASH_ITER(hh, t->all, k, next) {
        HASH_DEL(t->all, k);
        end_exchange(k);
        buf_deinit(&k->secret);
        free(k);
    }
    free(t);
}

/* --- those who wait --- */

static void wait_for(struct token *k, struct token_wait *w) {
    w->next = k->waiting;
    w->back = &k->waiting;
    if (w->next)
        w->next->back = &w->next;
    k->waiting = w;
}

void token_leave(struct token_wait *w) {
    if (!w->back)
        return;
    *w->back = w->next;
    if (w->next)
        w->next->back = w->back;
    w->next = NULL;
    w->back = NULL;
}

/* Whoever is told may ask, or leave, or make others leave. */
static void tell_all(struct token *k, struct span why) {
    struct token_wait *told = k->waiting;
    struct span token = k->secret.len ? buf_span(&k->secret) : SPAN_NONE;
    if (told)
        told->back = &told;
    k->waiting = NULL;
    while (told) {
        struct token_wait *w = told;
        token_leave(w);
        w->on_token(w->owner, token, why);
    }
}

/* --- the exchange --- */

/* What the other side says may be what it was asked with. */
static struct span masked(struct token *k, struct span text) {
    const struct provider account = { .auth = AUTH_GOOGLE_JWT, .keys = &k->key, .n_keys = 1 };
    return wire_mask_text((struct wire_secrets){ &account, k->assertion }, &k->arena, text);
}

static void failed(struct token *k, struct span why) {
    struct buf said = { 0 };
    buf_printf(&said, "No token for the service account: %.*s", SPAN_ARGS(masked(k, why)));
    log_warn("%.*s", (int)said.len, said.at);
    end_exchange(k);
    k->again_s = k->asked_s + AGAIN_S;
    tell_all(k, buf_span(&said));
    buf_deinit(&said);
}

/* {"access_token", "expires_in"} (RFC 6749, section 5.1). */
static bool take_token(struct token *k) {
    struct json_value root;
    if (k->status != 200 || json_parse(k->tokens->parser, buf_span(&k->answer), &root) != 0)
        return false;
    struct span token = json_text(json_get(root, "access_token"));
    double life = json_number(json_get(root, "expires_in"), LIFE_S);
    for (size_t i = 0; i < token.len; i++)
        if ((unsigned char)token.at[i] <= ' ' || token.at[i] == 0x7f)
            return false; /* it goes into a header */
    if (!token.len || !(life >= 1 && life < 1e9))
        return false;
    buf_clear(&k->secret);
    buf_add(&k->secret, token);
    k->until_s = k->asked_s + (uint64_t)life;
    return true;
}

static void on_head(void *owner, const struct transfer_head *head) {
    struct token *k = owner;
    k->status = head->status;
}

static bool on_body(void *owner, const char *bytes, size_t len) {
    struct token *k = owner;
    if (k->answer.len + len <= ANSWER_MAX)
        buf_append(&k->answer, bytes, len);
    return true;
}

static void on_done(void *owner, const struct transfer_times *times) {
    struct token *k = owner;
    if (take_token(k)) {
        end_exchange(k);
        tell_all(k, SPAN_NONE);
        return;
    }
    struct wire_error error = { 0 };
    /* What claims success and can not be read may have a token in it. */
    if (k->status >= 300)
        wire_read_error(k->tokens->parser, buf_span(&k->answer), &k->arena, &error);
    failed(k, error.message.at
                  ? error.message
                  : arena_printf(&k->arena, "the answer had status %d and no token.", k->status));
}

static void on_fail(void *owner, enum failure why, const char *text,
                    const struct transfer_times *times) {
    struct token *k = owner;
    failed(k, k->unusable ? SPAN("its JSON has no usable client_email, private_key and token_uri.")
                          : arena_copy(&k->arena, span_of(text)));
}

static const struct transfer_events events = {
    .on_head = on_head, .on_body = on_body, .on_done = on_done, .on_fail = on_fail
};

/* What is signed: who asks, for what, until when (RFC 7523, section 3). */
static struct span make_claims(struct token *k, struct span email, struct span uri) {
    struct buf text = { 0 };
    buf_add(&text, SPAN("{\"iss\":"));
    buf_add_json(&text, email);
    buf_printf(&text, ",\"scope\":\"%s\",\"aud\":", scope);
    buf_add_json(&text, uri);
    buf_printf(&text, ",\"iat\":%llu,\"exp\":%llu}", (unsigned long long)k->asked_s,
               (unsigned long long)k->asked_s + LIFE_S);
    struct span claims = crypto_base64url(buf_span(&text), &k->arena);
    buf_deinit(&text);
    return claims;
}

/* The signed assertion; SPAN_NONE when the key is none. */
static struct span make_assertion(struct token *k, struct span email, struct span uri,
                                  struct span pem) {
    struct span head = crypto_base64url(SPAN("{\"alg\":\"RS256\",\"typ\":\"JWT\"}"), &k->arena);
    struct span claims = make_claims(k, email, uri);
    struct span text = arena_printf(&k->arena, "%.*s.%.*s", SPAN_ARGS(head), SPAN_ARGS(claims));
    struct span signature = crypto_rs256(pem, text, &k->arena);
    if (!signature.at)
        return SPAN_NONE;
    return arena_printf(&k->arena, "%.*s.%.*s", SPAN_ARGS(text),
                        SPAN_ARGS(crypto_base64url(signature, &k->arena)));
}

/* No URL: that an account is none comes by on_fail like any other trouble, so that nobody is told
 * before token_ask() has returned. */
#define NOWHERE "none:"

static void begin_exchange(struct token *k, struct span account, uint64_t now_s) {
    struct json_value root;
    k->asked_s = now_s;
    k->status = 0;
    arena_init(&k->arena, 4096);
    struct span url = SPAN(NOWHERE), assertion = SPAN_NONE;
    if (json_parse(k->tokens->parser, account, &root) == 0) {
        struct span uri = json_text(json_get(root, "token_uri"));
        assertion = make_assertion(k, json_text(json_get(root, "client_email")), uri,
                                   json_text(json_get(root, "private_key")));
        url = assertion.at ? arena_copy(&k->arena, uri) : url;
    }
    k->unusable = !assertion.at;
    k->key.secret = arena_copy(&k->arena, account);
    k->assertion = assertion;
    struct span *headers = arena_new_array(&k->arena, struct span, 1);
    headers[0] = SPAN("content-type: application/x-www-form-urlencoded");
    struct transfer_message message = {
        .method = "POST",
        .url = url.at,
        .headers = headers,
        .n_headers = 1,
        .body = arena_printf(&k->arena,
                             "grant_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant-type%%3Ajwt-bearer"
                             "&assertion=%.*s",
                             SPAN_ARGS(assertion)),
        .total_ms = EXCHANGE_MS,
    };
    k->transfer = transfer_start(k->tokens->pump, &message, &events, k);
}

/* --- asking --- */

static struct token *token_of(struct tokens *t, struct span account) {
    char id[CRYPTO_SHA256_SIZE];
    struct token *k;
    crypto_sha256(&account, 1, (unsigned char *)id);
    HASH_FIND(hh, t->all, id, sizeof id, k);
    if (k)
        return k;
    k = calloc(1, sizeof *k);
    if (!k)
        abort();
    k->tokens = t;
    memcpy(k->id, id, sizeof id);
    HASH_ADD(hh, t->all, id, sizeof k->id, k);
    return k;
}

struct span token_ask(struct tokens *t, struct span account, uint64_t now_s,
                      struct token_wait *wait) {
    struct token *k = token_of(t, account);
    bool good = k->secret.len && now_s < k->until_s;
    bool soon = !good || (now_s + EARLY_S >= k->until_s && now_s >= k->again_s);
    if (!good)
        buf_clear(&k->secret);
    if (soon && !k->transfer)
        begin_exchange(k, account, now_s);
    if (good)
        return buf_span(&k->secret);
    wait_for(k, wait);
    return SPAN_NONE;
}
