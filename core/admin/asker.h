/* asker.h - keys and projects as JSON, both ways, in the words and units of the settings.
 *
 * Owns          the names of their fields.
 * Fed by        bodies of calls; money/keys, with what there is.
 * Feeds         api_keys, api_projects: a struct to be made or changed, an object to be shown.
 * Must not know calls, who may change what, whether a policy or a model is there.
 *
 *   struct key key = *old;                           or asker_new_key(), for one that is made
 *   struct asker_wrong wrong;
 *   if (!asker_read_key(parser, body, arena, &key, &wrong)) refuse(wrong.param, wrong.message);
 *
 * What a body does not name stays as it is; null takes it out. Dollars are read digit by digit:
 * what is no whole nano-dollar is refused.
 */
#ifndef PERILUNE_ADMIN_ASKER_H
#define PERILUNE_ADMIN_ASKER_H

#include "base/arena.h"
#include "base/json.h"
#include "money/budget.h"

struct asker_wrong {
    char param[128]; /* the field; "": the body as a whole */
    char message[512];
};

/* Of the project `default`, never expiring. */
struct key asker_new_key(void);

/* Puts what the body says over *key: texts and lists lie in `arena` afterwards, or where they lay
 * before. Its caps are the key's, whatever its id is. False with `wrong` filled; then *key is half
 * changed. */
bool asker_read_key(struct json_parser *parser, struct span body, struct arena *arena,
                    struct key *key, struct asker_wrong *wrong);

/* The same of a project; its name is the caller's. */
bool asker_read_project(struct json_parser *parser, struct span body, struct arena *arena,
                        struct project *project, struct asker_wrong *wrong);

/* Whether a project may be called so: up to 64 letters, digits, dots, dashes and underscores. */
bool asker_is_id(struct span name);

/* Members of an object, without its braces: fields as they are read, and what can only be seen. No
 * secret but a stored one's last four characters. */
void asker_write_key(const struct key *key, struct buf *out);
void asker_write_project(const struct project *project, struct buf *out);

/* Caps and how they stand, as objects with commas between; one in front, too, unless a list was
 * just opened. What holds for each request by itself stands nowhere and is left out. */
void asker_write_caps(struct budget *budget, const struct budget_cap *caps, size_t n, int64_t now_s,
                      struct buf *out);

/* A decimal number of JSON ("0.25", "1e-3") in units of 10^-places, exactly. False when it is
 * negative, finer than that, or more than `max` units. */
bool asker_decimal(struct span text, int places, int64_t max, int64_t *units);

#endif
