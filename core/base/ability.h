/* ability.h - what a target can do and a request may need: one bit each.
 *
 * Owns          the names.
 * Fed by        the catalogue (what a model can), a request's body (what it uses).
 * Feeds         policies, which compare the two.
 * Must not know how either was found out.
 */
#ifndef PERILUNE_BASE_ABILITY_H
#define PERILUNE_BASE_ABILITY_H

#include "base/span.h"

enum ability {
    ABILITY_TOOLS = 1 << 0,
    ABILITY_IMAGES = 1 << 1,
    ABILITY_AUDIO = 1 << 2,
    ABILITY_JSON_SCHEMA = 1 << 3,
    ABILITY_REASONING = 1 << 4,
    ABILITY_FILES = 1 << 5,
    ABILITY_EMBEDDINGS = 1 << 6,
    ABILITY_CHAT = 1 << 7, /* answers at all: every model but those that only embed */
};
#define ABILITY_COUNT 8

/* The name of bit `index`, 0 to ABILITY_COUNT - 1: "json_schema". */
const char *ability_name(unsigned index);

/* The bit of a name, or 0. */
uint32_t ability_of(struct span name);

#endif
