#include "route/assumed.h"

#include <math.h>

/* Whoever has to be found, and where. */
struct place {
    const struct config *config;
    const struct keys_pass *known;
};

static const struct project *find_project(const struct place *in, struct span name) {
    static const struct project nobodys = { .name = { "default", 7 } };
    if (in->known)
        return keys_project(in->known, name);
    for (size_t i = 0; i < in->config->n_projects; i++)
        if (span_eq(in->config->projects[i].name, name))
            return &in->config->projects[i];
    return span_eq(name, nobodys.name) ? &nobodys : NULL;
}

static const struct key *find_key(const struct place *in, struct span id) {
    if (in->known)
        return keys_find(in->known, id);
    for (size_t i = 0; i < in->config->n_keys; i++)
        if (span_eq(in->config->keys[i].key.id, id))
            return &in->config->keys[i].key;
    return NULL;
}

/* What is wrong with a value; NULL: nothing. */

static const char *take_key(const struct place *in, struct span value, struct facts *facts) {
    const struct key *key = find_key(in, value);
    const struct project *project = key ? find_project(in, key->project) : NULL;
    if (!project)
        return "there is no such key";
    facts->key = key;
    facts->project = project;
    return NULL;
}

static const char *take_project(const struct place *in, struct span value, struct facts *facts) {
    const struct project *project = find_project(in, value);
    if (!project)
        return "there is no such project";
    facts->project = project;
    return NULL;
}

static const char *take_left(const struct place *in, struct span value, struct facts *facts) {
    double usd;
    if (!span_double(value, &usd) || !(usd >= 0 && usd < 9e9))
        return "expected dollars, a number not below 0";
    facts->budget_left = (int64_t)round(usd * 1e9);
    return NULL;
}

static const char *take_used(const struct place *in, struct span value, struct facts *facts) {
    double share;
    if (!span_double(value, &share) || !(share >= 0 && share <= 1))
        return "expected a number from 0 to 1";
    facts->budget_used = share;
    return NULL;
}

static const char *take_free(const struct place *in, struct span value, struct facts *facts) {
    return span_uint(value, &facts->free_left) ? NULL : "expected a whole number";
}

static const struct {
    struct span name;
    const char *(*take)(const struct place *in, struct span value, struct facts *facts);
} kinds[] = {
    { { "key", 3 }, take_key },
    { { "project", 7 }, take_project },
    { { "budget.left_usd", 15 }, take_left },
    { { "budget.used", 11 }, take_used },
    { { "budget.free_left", 16 }, take_free },
};

static const char *take(const struct place *in, struct span text, struct facts *facts) {
    size_t equals = span_find(text, '=');
    struct span name = span_trim(span_sub(text, 0, equals)),
                value = span_trim(span_sub(text, equals + 1, text.len));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (span_eq(kinds[i].name, name))
            return kinds[i].take(in, value, facts);
    return NULL;
}

bool assumed_over(const struct config *config, const struct keys_pass *known,
                  const struct span *assume, size_t n, struct arena *arena, struct facts *facts,
                  struct api_error *error) {
    const struct place in = { config, known };
    for (size_t i = 0; i < n; i++) {
        const char *wrong = take(&in, assume[i], facts);
        if (wrong) {
            *error = api_error(ERROR_INVALID_REQUEST,
                               arena_printf(arena, "\"%.*s\": %s", SPAN_ARGS(assume[i]), wrong));
            return false;
        }
    }
    return true;
}

bool assumed_asker(const struct config *config, const struct keys_pass *known,
                   const struct span *assume, size_t n, struct arena *arena, struct facts *facts,
                   struct api_error *error) {
    const struct place in = { config, known };
    facts->key = NULL;
    facts->project = find_project(&in, SPAN("default"));
    facts->budget_left = INT64_MAX;
    return assumed_over(config, known, assume, n, arena, facts, error);
}
