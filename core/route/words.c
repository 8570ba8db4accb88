#include "route/words.h"

#include "money/redact.h"

#include <string.h>

enum { PRESENTED_MIN = 16 /* bytes: what is shorter may well be somebody's name, too */ };

static bool holds(struct span word, struct span presented) {
    return presented.len >= PRESENTED_MIN && word.len >= presented.len &&
           memmem(word.at, word.len, presented.at, presented.len);
}

struct span words_without_keys(struct span word, struct arena *arena) {
    struct buf out = { 0 };
    if (redact_keys(&out, word))
        word = arena_copy(arena, buf_span(&out));
    buf_deinit(&out);
    return word;
}

static struct span clean(struct span word, struct span presented, struct arena *arena) {
    return holds(word, presented) ? SPAN("[key]") : words_without_keys(word, arena);
}

static bool is_on_offer(const struct snapshot *snap, struct span name, struct arena *arena) {
    const struct target *one;
    return snapshot_chain(snap, name) ||
           (snapshot_resolve(snap, name, arena, &one, 1) && one->index != TARGET_AD_HOC);
}

static struct span clean_model(struct span name, const struct snapshot *snap, struct span presented,
                               struct arena *arena) {
    struct span cleaned = clean(name, presented, arena);
    bool kept = cleaned.at == name.at || is_on_offer(snap, name, arena);
    return kept ? name : cleaned;
}

static void clean_headers(struct facts *facts, const struct snapshot *snap, struct span presented,
                          struct arena *arena) {
    struct pair *headers = arena_new_array(arena, struct pair, facts->n_headers);
    for (size_t i = 0; i < facts->n_headers; i++) {
        headers[i] = facts->headers[i];
        if (snapshot_records(snap, headers[i].name))
            headers[i].value = clean(headers[i].value, presented, arena);
    }
    facts->headers = headers;
}

void words_clean(struct facts *facts, const struct snapshot *snap, struct span presented,
                 struct arena *arena) {
    struct span *tags = arena_new_array(arena, struct span, facts->n_tags);
    struct span *models = arena_new_array(arena, struct span, facts->n_models);
    facts->session = clean(facts->session, presented, arena);
    facts->user = clean(facts->user, presented, arena);
    facts->tier = clean(facts->tier, presented, arena);
    facts->model = clean_model(facts->model, snap, presented, arena);
    for (size_t i = 0; i < facts->n_tags; i++)
        tags[i] = clean(facts->tags[i], presented, arena);
    for (size_t i = 0; i < facts->n_models; i++)
        models[i] = clean_model(facts->models[i], snap, presented, arena);
    facts->tags = tags;
    facts->models = models;
    clean_headers(facts, snap, presented, arena);
}
