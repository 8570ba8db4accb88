/* edit.h - what calls that change files have in common.
 *
 * Owns          nothing.
 * Fed by        api_policies, api_routes, put, each with a call.
 * Feeds         save, admin; the call, with an answer where something went wrong.
 * Must not know what is changed.
 *
 *   if (edit_save(call, path, text) && edit_reload(call))
 *       edit_reply(call, SPAN("\"version\":\"tier@3f9c2a1b\""));
 */
#ifndef PERILUNE_ADMIN_EDIT_H
#define PERILUNE_ADMIN_EDIT_H

#include "admin/inside.h"

/* "name":"..." members of an object: `name` with a comma in front unless `out` is empty or just
 * opened. A value without text is null. */
void edit_member(struct buf *out, const char *name, struct span value);

/* Writes a file for people. False when it can not be written, which has been answered. */
bool edit_save(struct api_call *call, const char *path, struct span text);

/* Reads everything again. False when it can not be used, which has been answered. */
bool edit_reload(struct api_call *call);

/* Answers 200 with these members (and generation and findings) once all workers serve what was
 * read last. */
void edit_reply(struct api_call *call, struct span members);

/* Refuses with the findings, for people and as data. */
void edit_refuse(struct api_call *call, enum api_code code, const char *message,
                 const struct config_findings *findings);

#endif
