/* api_keys.c - keys: lists them, makes, changes, rotates and revokes one. */
#include "admin/roster.h"

#include "base/clock.h"

enum { OVERLAP_MAX_S = 366 * 86400 };

static struct keys *keys_of(struct api_call *call) {
    return call->admin->money.keys;
}

static int64_t now_s(void) {
    return (int64_t)(clock_wall_ms() / 1000);
}

/* Nothing of a secret stays behind in memory that was given back. */
static void wipe(struct buf *b) {
    if (b->at)
        explicit_bzero(b->at, b->len);
    buf_deinit(b);
}

/* Without its closing brace. */
static void open_key(struct api_call *call, const struct key *key, struct buf *out) {
    buf_add_char(out, '{');
    asker_write_key(key, out);
    roster_write_caps(call, key->caps, key->n_caps, out);
}

/* The key as it is now. `secret`: of one that was given to it just now, else empty; this is the
 * only time it is told. */
static void answer(struct api_call *call, int status, struct span id, struct buf *secret) {
    struct keys_pass pass = keys_anybody(keys_of(call));
    const struct key *key = keys_find(&pass, id);
    struct buf body = { 0 };
    if (!key) {
        api_fail(call, API_NOT_FOUND, "id", "There is no key \"%.*s\".", SPAN_ARGS(id));
    } else {
        open_key(call, key, &body);
        if (secret) {
            buf_add(&body, SPAN(",\"secret\":"));
            buf_add_json(&body, buf_span(secret));
        }
        buf_add_char(&body, '}');
        api_reply(call, status, buf_span(&body));
    }
    keys_pass_end(&pass);
    wipe(&body);
}

void api_keys_list(struct api_call *call) {
    struct span project = api_query(call, "project");
    struct keys_pass pass = keys_anybody(keys_of(call));
    struct buf body = { 0 };
    buf_add(&body, SPAN("{\"keys\":["));
    for (size_t i = 0, n = 0; i < keys_count(&pass); i++) {
        const struct key *key = keys_nth(&pass, i);
        if (project.at && !span_eq(key->project, project))
            continue;
        if (n++)
            buf_add_char(&body, ',');
        open_key(call, key, &body);
        buf_add_char(&body, '}');
    }
    buf_add(&body, SPAN("]}"));
    api_reply(call, 200, buf_span(&body));
    keys_pass_end(&pass);
    buf_deinit(&body);
}

void api_keys_get(struct api_call *call) {
    answer(call, 200, call->parts[0], NULL);
}

/* ---- making and changing ---- */

static bool has_project(struct api_call *call, const struct keys_pass *pass, struct span name) {
    if (keys_project(pass, name))
        return true;
    api_fail(call, API_INVALID_REQUEST, "project", "There is no project \"%.*s\".",
             SPAN_ARGS(name));
    return false;
}

/* Puts the body over *key. What it does not change is not looked at again: a model may have gone
 * since. False when it has been answered. */
static bool read_key(struct api_call *call, const struct keys_pass *pass, struct key *key) {
    const struct key old = *key;
    struct asker_wrong wrong;
    if (!asker_read_key(call->admin->parser, call->body, call->arena, key, &wrong)) {
        roster_refuse(call, &wrong);
        return false;
    }
    return has_project(call, pass, key->project) &&
           (key->policy.at == old.policy.at || roster_knows_policy(call, key->policy)) &&
           (key->models == old.models || roster_knows_models(call, key->models, key->n_models)) &&
           (key->policies == old.policies ||
            roster_knows_policies(call, key->policies, key->n_policies));
}

void api_keys_make(struct api_call *call) {
    struct keys_pass pass = keys_anybody(keys_of(call));
    struct key key = asker_new_key();
    struct buf secret = { 0 }, id = { 0 }, why = { 0 };
    if (read_key(call, &pass, &key) &&
        roster_changed(call, keys_make(keys_of(call), &key, now_s(), &secret, &id, &why), "key",
                       key.name, &why))
        answer(call, 201, buf_span(&id), &secret);
    keys_pass_end(&pass);
    wipe(&secret);
    buf_deinit(&id);
    buf_deinit(&why);
}

void api_keys_change(struct api_call *call) {
    struct keys_pass pass = keys_anybody(keys_of(call));
    const struct key *old = keys_find(&pass, call->parts[0]);
    struct buf why = { 0 };
    struct key key = old ? *old : asker_new_key();
    if (!old)
        answer(call, 200, call->parts[0], NULL);
    else if (read_key(call, &pass, &key) &&
             roster_changed(call, keys_change(keys_of(call), &key, &why), "key", key.id, &why))
        answer(call, 200, key.id, NULL);
    keys_pass_end(&pass);
    buf_deinit(&why);
}

/* ---- its secrets ---- */

void api_keys_revoke(struct api_call *call) {
    struct span id = call->parts[0];
    struct buf why = { 0 };
    if (api_fields(call, NULL, 0) &&
        roster_changed(call, keys_revoke(keys_of(call), id, &why), "key", id, &why))
        answer(call, 200, id, NULL);
    buf_deinit(&why);
}

void api_keys_rotate(struct api_call *call) {
    struct span id = call->parts[0];
    struct buf secret = { 0 }, why = { 0 };
    double overlap_s = 0;
    const struct api_field fields[] = { { "overlap_s", JSON_NUMBER, false, &overlap_s } };
    if (!api_fields(call, fields, 1))
        return;
    if (!(overlap_s >= 0 && overlap_s <= OVERLAP_MAX_S))
        api_fail(call, API_INVALID_REQUEST, "overlap_s", "Expected seconds from 0 to %d.",
                 OVERLAP_MAX_S);
    else if (roster_changed(
                 call, keys_rotate(keys_of(call), id, (int64_t)overlap_s, now_s(), &secret, &why),
                 "key", id, &why))
        answer(call, 200, id, &secret);
    wipe(&secret);
    buf_deinit(&why);
}
