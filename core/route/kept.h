/* kept.h - what models want back next turn, for clients that have no place for it.
 *
 * Owns          texts by client key and tool call id, for a while and up to a size: signatures of
 *               thoughts, mostly. Of key and id it has a digest alone.
 * Fed by        request, when an answer calls tools.
 * Feeds         request, when the history of a later one holds that call.
 * Must not know what the texts say.
 *
 *   kept_put(k, key, call_id, text, now_ms);
 *   text = kept_get(k, key, call_id, &arena, now_ms);
 *
 * Shared by all workers, behind one lock: it is asked only for calls, which are few. What is pushed
 * out or forgotten costs the model its earlier thoughts, never the answer.
 */
#ifndef PERILUNE_ROUTE_KEPT_H
#define PERILUNE_ROUTE_KEPT_H

#include "base/arena.h"

struct kept;

/* At most `max_bytes` of texts, each for `ttl_ms`; the oldest go first. */
struct kept *kept_new(size_t max_bytes, uint64_t ttl_ms);
void kept_free(struct kept *k);

/* Any thread. `key` is the client's key itself, empty where none are configured: a number would mean
 * another key after a reload. In place of an earlier one of that id; a text of more than a sixteenth
 * of the whole is not kept. */
void kept_put(struct kept *k, struct span key, struct span call_id, struct span text,
              uint64_t now_ms);

/* Any thread. A copy in `arena`; SPAN_NONE when there is none for that key. It stays, because a
 * client may ask the same twice. */
struct span kept_get(struct kept *k, struct span key, struct span call_id, struct arena *arena,
                     uint64_t now_ms);

#endif
