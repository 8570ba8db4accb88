/* keystore.h - keys and projects that were made while running, kept for the next start.
 *
 * Owns          one database and the lock beside it (NAME.lock).
 * Fed by        keys, before each of its changes is seen.
 * Feeds         keys, at start, with all there are.
 * Must not know who may change what; secrets in clear, of which it has MACs.
 *
 *   struct keystore *s = keystore_open("/var/lib/perilune/keys.db", &error);
 *   struct keys_draft *draft = s ? keystore_load(s, &error) : NULL;
 *   if (!draft) refuse(error.text);
 *   keys_replace(keys, KEYS_STORED, draft);
 *   ... keystore_put_key(s, &key, &why) ...      on the disk when it returns true
 *   keystore_close(s);
 */
#ifndef PERILUNE_MONEY_KEYSTORE_H
#define PERILUNE_MONEY_KEYSTORE_H

#include "money/keys.h"
#include "money/store.h"

struct keystore;

/* Made when it is not there (0600). NULL with the error filled: newer, locked, foreign, damaged,
 * unusable. One thread at a time. */
struct keystore *keystore_open(const char *path, struct store_error *error);

/* NULL is fine. */
void keystore_close(struct keystore *s);

/* Everything that is kept, for keys_replace(). NULL with the error filled: it can not be read, or
 * holds a record that can not be understood; leaving out a cap or a list would allow more than was
 * allowed. */
struct keys_draft *keystore_load(struct keystore *s, struct store_error *error);

/* Adds the record, or puts it in the place of the one of its id or name. False with the reason in
 * `why`: nothing has changed. */
bool keystore_put_key(struct keystore *s, const struct key *key, struct buf *why);
bool keystore_put_project(struct keystore *s, const struct project *project, struct buf *why);

#endif
