/* renewal.h - new models and prices: what a catalogue, or what providers list, makes of the files of
 * models in the user's providers folder.
 *
 * Owns          what it made, in one arena.
 * Fed by        cli, with JSON.
 * Feeds         cli, with the files to write.
 * Must not know where the JSON is from, nor how files are written.
 *
 *   struct renewal r;
 *   if (renewal_of_catalogue(&r, dir, json)) ... r.files[i].text ... else ... r.why ...
 *   renewal_deinit(&r);
 */
#ifndef PERILUNE_SCRIPT_RENEWAL_H
#define PERILUNE_SCRIPT_RENEWAL_H

#include "base/arena.h"

struct renewal_file {
    struct span provider; /* "openai": its place is DIR/openai.models.lua */
    struct span text;     /* all of the file, what was there before included */
    size_t n_added, n_changed;
};

struct renewal {
    struct arena arena;
    struct renewal_file *files; /* those that are new or differ */
    size_t n_files;
    struct span *skipped; /* providers of the catalogue that nobody has a file for */
    size_t n_skipped;
    struct span why; /* why nothing was made; SPAN_NONE when it was */
};

/* Of { "models": [...] }, see lua/perilune/models_file.lua. `dir`: the user's providers folder,
 * which need not exist. False: `why` says what is wrong. Deinit it either way. */
bool renewal_of_catalogue(struct renewal *r, const char *dir, struct span json);

/* Of what providers answered to GET /models: name and body of each. Models no file has are added. */
bool renewal_of_lists(struct renewal *r, const char *dir, const struct pair *answers, size_t n);

void renewal_deinit(struct renewal *r);

#endif
