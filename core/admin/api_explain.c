/* api_explain.c - /api/explain: where a request would go, or why a recorded one went where it did. */
#include "admin/inside.h"
#include "route/explain.h"
#include "route/record.h"

#include <stdlib.h>

enum { LIST_MAX = 64 };

struct question {
    struct pair headers[LIST_MAX];
    struct span assume[LIST_MAX];
    struct explain_question asked;
};

static struct span lower(struct arena *arena, struct span name) {
    char *at = arena_alloc(arena, name.len);
    for (size_t i = 0; i < name.len; i++)
        at[i] = name.at[i] >= 'A' && name.at[i] <= 'Z' ? (char)(name.at[i] + 32) : name.at[i];
    return (struct span){ at, name.len };
}

/* False when the call has been answered. */
static bool take_headers(struct api_call *call, struct json_value headers, struct question *q) {
    for (struct json_iter it = json_iter(headers); json_next(&it);) {
        struct span value = json_text(it.value);
        if (!value.at || q->asked.n_headers == LIST_MAX) {
            api_fail(call, API_INVALID_REQUEST, "headers", "headers: expected at most %d texts.",
                     LIST_MAX);
            return false;
        }
        q->headers[q->asked.n_headers++] =
            (struct pair){ lower(call->arena, it.key), arena_copy(call->arena, value) };
    }
    return true;
}

static bool take_assumptions(struct api_call *call, struct json_value list, struct question *q) {
    for (struct json_iter it = json_iter(list); json_next(&it);) {
        struct span text = json_text(it.value);
        if (!text.at || q->asked.n_assume == LIST_MAX) {
            api_fail(call, API_INVALID_REQUEST, "assume",
                     "assume: expected at most %d texts like \"openai=down\".", LIST_MAX);
            return false;
        }
        q->assume[q->asked.n_assume++] = arena_copy(call->arena, text);
    }
    return true;
}

/* The request as it stands in the body: not built anew, so that nothing of it changes. */
static struct span raw_request(struct api_call *call) {
    struct json_member member = { .name = SPAN("request") };
    if (json_locate(call->admin->parser, NULL, &member, 1) != JSON_OK || !member.found)
        return SPAN_NONE;
    return span_sub(call->body, member.value_at, member.value_end - member.value_at);
}

static bool read_question(struct api_call *call, struct question *q) {
    struct json_value request = { 0 }, headers = { 0 }, assume = { 0 };
    const struct api_field fields[] = {
        { "request", JSON_OBJECT, true, &request },
        { "endpoint", JSON_STRING, false, &q->asked.endpoint },
        { "policy", JSON_STRING, false, &q->asked.policy },
        { "headers", JSON_OBJECT, false, &headers },
        { "assume", JSON_ARRAY, false, &assume },
    };
    if (!api_fields(call, fields, sizeof fields / sizeof *fields))
        return false;
    q->asked.body = raw_request(call);
    q->asked.headers = q->headers;
    q->asked.assume = q->assume;
    return take_headers(call, headers, q) && take_assumptions(call, assume, q);
}

static void refuse(struct api_call *call, const struct api_error *error) {
    char param[128];
    snprintf(param, sizeof param, "%.*s", SPAN_ARGS(error->param));
    api_fail(call, error_status(error) == 404 ? API_NOT_FOUND : API_INVALID_REQUEST,
             error->param.at ? param : NULL, "%.*s", SPAN_ARGS(error->message));
}

static void reply(struct api_call *call, const struct explain_answer *answer) {
    struct buf out = { 0 };
    buf_add(&out, SPAN("{\"report\":"));
    buf_add(&out, buf_span(&answer->json));
    buf_add(&out, SPAN(",\"text\":"));
    buf_add_json(&out, buf_span(&answer->text));
    buf_add_char(&out, '}');
    api_reply(call, 200, buf_span(&out));
    buf_deinit(&out);
}

void api_explain(struct api_call *call) {
    struct admin *a = call->admin;
    struct question q = { 0 };
    if (!read_question(call, &q))
        return;
    struct explain_answer answer;
    struct api_error error;
    struct keys_pass known = keys_anybody(a->engine.money->keys);
    q.asked.known = &known;
    if (explain_ask(a->engine.snap, a->engine.health, a->engine.guard, &q.asked, call->arena,
                    &answer, &error))
        reply(call, &answer);
    else
        refuse(call, &error);
    keys_pass_end(&known);
    explain_answer_deinit(&answer);
}

/* A record may have a gigabyte: it is looked through on a thread beside. */
struct search {
    uv_work_t work;
    struct api_call *call;
    struct snapshot *snap;
    struct span id;
    struct explain_question question;
    struct explain_found *found;
};

static void look(uv_work_t *work) {
    struct search *s = work->data;
    s->found = explain_find(s->snap, s->snap->config.record.at, s->id);
}

static void on_looked(uv_work_t *work, int status) {
    struct search *s = work->data;
    struct api_call *call = s->call;
    struct explain_answer answer = { 0 };
    struct api_error error;
    if (!s->found)
        api_fail(call, API_NOT_FOUND, "id", "No request %.*s is in the record.", SPAN_ARGS(s->id));
    else if (explain_found(s->found, s->snap, call->admin->engine.guard, &s->question, call->arena,
                           &answer, &error))
        reply(call, &answer);
    else
        refuse(call, &error);
    explain_answer_deinit(&answer);
    explain_found_free(s->found);
    snapshot_unref(s->snap);
    free(s);
}

void api_explain_recorded(struct api_call *call) {
    struct admin *a = call->admin;
    struct span id = api_query(call, "id");
    if (!explain_is_id(id)) {
        api_fail(call, API_INVALID_REQUEST, "id", "id: expected that of a request, 26 characters.");
        return;
    }
    if (!a->engine.snap->config.record.at) {
        api_fail(call, API_NOT_AVAILABLE, NULL, "Requests are not recorded: see `record`.");
        return;
    }
    record_flush(a->engine.record);
    struct search *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    *s = (struct search){ .call = call,
                          .snap = snapshot_ref(a->engine.snap),
                          .id = id,
                          .question = { .policy = api_query(call, "policy") } };
    s->work.data = s;
    uv_queue_work(&a->loop, &s->work, look, on_looked);
}
