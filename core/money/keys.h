/* keys.h - virtual keys and the projects they belong to: who is asking, and what that one may do.
 *
 * Owns          the current set of keys and projects; the pepper.
 * Fed by        the configuration and a store, each with all of its own; the admin side.
 * Feeds         request, with the key and the project of whom presents a secret.
 * Must not know HTTP, SQLite, what is limited by what it holds.
 *
 *   struct keys_pass pass;
 *   if (keys_check(keys, presented, now_s, &pass) != KEYS_GOOD) ... 401, whatever it says ...
 *   ... pass.key, pass.project ...
 *   keys_pass_end(&pass);                      at the end of the request
 *
 *   struct keys_draft *draft = keys_draft_new();           all of one source
 *   keys_draft_project(draft, &project); keys_draft_key(draft, &key);
 *   keys_replace(keys, KEYS_STORED, draft);
 *
 * A key's secret is "pl-" and 192 random bits. It is given away once, when it is made; kept are its
 * HMAC-SHA256 under the pepper and its last four characters.
 *
 * Sets never change: a new one takes the old one's place, under a lock for writing that waits for
 * readers who take their count on the set under the lock for reading. So from the moment a change
 * returns every worker's next check sees it, and a set goes with the last request that began on it.
 */
#ifndef PERILUNE_MONEY_KEYS_H
#define PERILUNE_MONEY_KEYS_H

#include "base/account.h"
#include "base/buf.h"

#define KEYS_PEPPER_SIZE 32

struct keys;
struct keys_set;
struct keys_draft;

/* The empty set, with the project `default` alone. */
struct keys *keys_new(const unsigned char pepper[KEYS_PEPPER_SIZE]);

/* After the last pass. */
void keys_free(struct keys *keys);

/* The 32 bytes in the file at `path`, made by chance when it is not there (0600, whole or not at
 * all). False, with the reason in `why`: it can not be read or written, or is not of that size. A
 * lost pepper is the loss of all keys: it is never made anew beside a file that is there. */
bool keys_pepper(const char *path, unsigned char pepper[KEYS_PEPPER_SIZE], struct buf *why);

/* --- asking --- */

enum keys_verdict { KEYS_GOOD, KEYS_UNKNOWN, KEYS_EXPIRED, KEYS_REVOKED };

/* Who asks, for as long as the request needs it. */
struct keys_pass {
    struct keys_set *set;
    const struct key *key;
    const struct project *project;
};

/* Who presents `secret` (SPAN_NONE: nothing). Takes the same steps whatever comes of it, so that
 * the time tells no more than the length of what the client sent. Only with KEYS_GOOD *pass is
 * held; why it was not is for the log and not for the client. A key whose project is gone is
 * unknown. Any thread. */
enum keys_verdict keys_check(struct keys *keys, struct span secret, int64_t now_s,
                             struct keys_pass *pass);

/* The pass of a request without a key, where none is wanted: `key` is NULL, the project
 * `default`. */
struct keys_pass keys_anybody(struct keys *keys);

void keys_pass_end(struct keys_pass *pass);

/* Whether any key is there, good or not: without one, requests on loopback belong to `default`. */
bool keys_any(struct keys *keys);

/* Everything there is, sorted by id and by name, as long as the pass lasts. */
size_t keys_count(const struct keys_pass *pass);
const struct key *keys_nth(const struct keys_pass *pass, size_t i);
size_t keys_project_count(const struct keys_pass *pass);
const struct project *keys_nth_project(const struct keys_pass *pass, size_t i);

/* By id, by name; NULL: there is none. */
const struct key *keys_find(const struct keys_pass *pass, struct span id);
const struct project *keys_project(const struct keys_pass *pass, struct span name);

/* `cost` with the project's markup, rounded up to the nano-dollar. */
int64_t keys_billed(const struct project *project, int64_t cost);

/* --- filling --- */

/* A source's own, to be handed over whole. What is added is copied. */
struct keys_draft *keys_draft_new(void);
void keys_draft_free(struct keys_draft *draft);
void keys_draft_project(struct keys_draft *draft, const struct project *project);
void keys_draft_key(struct keys_draft *draft, const struct key *key);

/* The MAC of a secret that is known, as those of the configuration are, and its last characters. */
struct keys_secret keys_secret(const struct keys *keys, struct span secret);

/* Puts the draft in place of all that came from `source`; it is freed. Of two records of one id or
 * name, the file's, then the one added last, is there. */
void keys_replace(struct keys *keys, enum keys_source source, struct keys_draft *draft);

/* --- changing one --- */

/* Where changes are made to last before they are seen. Each returns false with the reason in `why`,
 * and then nothing has changed. Called by one thread at a time. */
struct keys_store {
    bool (*put_key)(void *owner, const struct key *key, struct buf *why);
    bool (*put_project)(void *owner, const struct project *project, struct buf *why);
};

enum keys_change { KEYS_CHANGED, KEYS_NOT_FOUND, KEYS_MANAGED_BY_FILE, KEYS_NOT_STORED };

/* Who keeps what is changed; before the first change. Without a store changes last as long as the
 * process. */
void keys_keep(struct keys *keys, const struct keys_store *store, void *owner);

/* Makes a key after `like`, whose id, secrets, source and creation are made here. Its secret is
 * appended to `secret`, which is the only time it can be had, its id to `id`. KEYS_NOT_FOUND:
 * there is no such project. */
enum keys_change keys_make(struct keys *keys, const struct key *like, int64_t now_s,
                           struct buf *secret, struct buf *id, struct buf *why);

/* From now on its secrets are worth nothing. */
enum keys_change keys_revoke(struct keys *keys, struct span id, struct buf *why);

/* Gives the key another secret, appended to `secret`; the present one is good for `overlap_s` more
 * (0: from now on it is not), and one of an earlier rotation no more. KEYS_NOT_FOUND: there is no
 * such key, or it is revoked. */
enum keys_change keys_rotate(struct keys *keys, struct span id, int64_t overlap_s, int64_t now_s,
                             struct buf *secret, struct buf *why);

/* Puts `key` in the place of the one of its id, but for its secrets, creation and revocation.
 * KEYS_NOT_FOUND: there is no such key, or no such project. */
enum keys_change keys_change(struct keys *keys, const struct key *key, struct buf *why);

/* Adds the project, or puts it in the place of the one of its name. */
enum keys_change keys_put_project(struct keys *keys, const struct project *project,
                                  struct buf *why);

#endif
