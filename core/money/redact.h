/* redact.h - what tells of people and secrets, taken out of a text.
 *
 * Owns          nothing.
 * Fed by        whoever is about to keep a prompt or an answer, or to say back what was said.
 * Feeds         the same text with [email], [card], [phone] and [key] in their places.
 * Must not know whose text it is. It goes by how things look: names and addresses look like nothing
 *               in particular and stay.
 *
 *   redact(&out, text);
 *
 * A card is 13 to 19 digits, alone or in groups of three and more, that begin as those of its
 * networks do and whose check digit is right. A phone number begins with + or 0, or is grouped as
 * in North America; a number without either could be anything. A key has the prefix of a known
 * service, or stands behind "Bearer". Escapes in strings of JSON stay whole; a card that is a bare
 * number there becomes what is no JSON. Text that is to be cut is cut afterwards: a
 * half of a number looks like none.
 *
 * Takes time in proportion to the text, whatever is in it.
 */
#ifndef PERILUNE_MONEY_REDACT_H
#define PERILUNE_MONEY_REDACT_H

#include "base/buf.h"

/* Appends `text` with what was found replaced. */
void redact(struct buf *out, struct span text);

/* The same of keys alone: of names and messages, which may hold all the rest. False: there are none,
 * and nothing was appended. */
bool redact_keys(struct buf *out, struct span text);

#endif
