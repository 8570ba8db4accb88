/* settings.h - what options say of a key or a project, as the admin side takes it and shows it.
 *
 * Owns          how an option becomes a field of JSON.
 * Fed by        keys, projects: their options; an answer of the admin side.
 * Feeds         the body of their calls; a terminal.
 * Must not know which fields there are: each command says its own.
 *
 *   static const struct setting settings[] = { { "tag", "tags", SETTING_LIST }, { 0 } };
 *   if (!settings_write(e, settings, false)) return CLI_USAGE;
 */
#ifndef PERILUNE_CLI_SETTINGS_H
#define PERILUNE_CLI_SETTINGS_H

#include "cli/errand.h"

enum setting_kind {
    SETTING_TEXT,
    SETTING_NUMBER,
    SETTING_LIST,    /* of texts, one each time the option is given */
    SETTING_NUMBERS, /* a list of these */
    SETTING_FLAG,    /* yes, no */
    SETTING_MOMENT,  /* as moment.h reads what is ahead */
    SETTING_JSON
};

struct setting {
    const char *option, *field;
    enum setting_kind kind;
};

/* Options that are the same of keys and projects. */
#define SETTINGS_OPTIONS                                                                           \
    { "tier", 0, "NAME", "the tier policies see" },                                                \
        { "policy", 0, "NAME", "the policy that decides" },                                        \
        { "tag", 0, "TEXT", "a tag of all its requests; again for more" },                         \
        { "rpm", 0, "N", "requests a minute" }, { "tpm", 0, "N", "tokens a minute" },              \
        { "concurrent", 0, "N", "requests under way" },                                            \
        { "daily-usd", 0, "DOLLARS", "at most that much a day" },                                  \
        { "monthly-usd", 0, "DOLLARS", "a month" }, { "total-usd", 0, "DOLLARS", "and ever" },     \
        { "zone", 0, "+HH:MM", "where its days begin; UTC unless it is said" }, {                  \
        "alert", 0, "PERCENT", "of a cap at which to alert; again for more"                        \
    }

#define SETTINGS_FIELDS                                                                            \
    { "tier", "tier", SETTING_TEXT }, { "policy", "policy", SETTING_TEXT },                        \
        { "tag", "tags", SETTING_LIST }, { "rpm", "rpm", SETTING_NUMBER },                         \
        { "tpm", "tpm", SETTING_NUMBER }, { "concurrent", "concurrent", SETTING_NUMBER },          \
        { "daily-usd", "daily_usd", SETTING_NUMBER },                                              \
        { "monthly-usd", "monthly_usd", SETTING_NUMBER },                                          \
        { "total-usd", "total_usd", SETTING_NUMBER }, { "zone", "zone", SETTING_TEXT }, {          \
        "alert", "alerts", SETTING_NUMBERS                                                         \
    }

/* Writes the body: an object with what was given; "none" is null, which takes a setting out. With
 * `rest` what was not given is written as the answer at hand has it. `settings` ends with one
 * without an option. False when the complaint has been printed. */
bool settings_write(struct errand *e, const struct setting *settings, bool rest);

/* Prints the members of the answer at hand, a line each: but what is null, false or empty, and but
 * its caps as they stand, which have lines of their own. */
void settings_show(struct errand *e);

/* "$1.20 of $5 a day", of each cap, as a text in the errand's arena. */
struct span settings_caps(struct errand *e, struct json_value caps);

/* "60 rpm 100000 tpm 10 at once" likewise. */
struct span settings_limits(struct errand *e, struct json_value object);

#endif
