/* token.h - access tokens for service accounts (JWT profile of OAuth 2.0: RFC 7523).
 *
 * Owns          the tokens one worker holds, and the exchange that gets a new one: one at a time an
 *               account.
 * Fed by        attempt, with the account's JSON as Google hands it out (client_email, private_key,
 *               token_uri).
 * Feeds         it, with a token: at once, or when it has come.
 * Must not know requests, what the token is for.
 *
 *   token = token_ask(tokens, account, &wait);
 *   if (!token.at) ... wait.on_token comes later, unless token_leave(&wait) ...
 *
 * A token is renewed while it is still good for five minutes, behind the back of those who ask.
 */
#ifndef PERILUNE_ROUTE_TOKEN_H
#define PERILUNE_ROUTE_TOKEN_H

#include "base/json.h"
#include "upstream/transfer.h"

struct tokens;

/* Somebody who waits. All members but the first three are token's. */
struct token_wait {
    /* Once. `token` is SPAN_NONE when there is none, then `why` says it in words without secrets.
     * Both are borrowed until it returns. */
    void (*on_token)(void *owner, struct span token, struct span why);
    void *owner;
    struct token_wait *next, **back;
};

/* `parser` is used inside calls only. */
struct tokens *token_new(struct pump *pump, struct json_parser *parser);

/* Cancels what is under way. Nobody may be waiting. */
void token_free(struct tokens *t);

/* A token, borrowed until the next call; or SPAN_NONE, and `wait` is told, never before this has
 * returned. `now_s` is Unix time. */
struct span token_ask(struct tokens *t, struct span account, uint64_t now_s,
                      struct token_wait *wait);

/* It does not wait any more; nothing when it did not. */
void token_leave(struct token_wait *wait);

#endif
