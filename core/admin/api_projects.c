/* api_projects.c - projects: lists them, shows and puts one. */
#include "admin/roster.h"

static void write_project(struct api_call *call, const struct project *project, struct buf *out) {
    uint64_t left =
        budget_free_left(call->admin->money.budget, project->name, project->free_requests);
    buf_add_char(out, '{');
    asker_write_project(project, out);
    buf_printf(out, ",\"free_left\":%llu", (unsigned long long)left);
    roster_write_caps(call, project->caps, project->n_caps, out);
    buf_add_char(out, '}');
}

static void answer(struct api_call *call, int status, struct span name) {
    struct keys_pass pass = keys_anybody(call->admin->money.keys);
    const struct project *project = keys_project(&pass, name);
    struct buf body = { 0 };
    if (project) {
        write_project(call, project, &body);
        api_reply(call, status, buf_span(&body));
    } else {
        api_fail(call, API_NOT_FOUND, "name", "There is no project \"%.*s\".", SPAN_ARGS(name));
    }
    keys_pass_end(&pass);
    buf_deinit(&body);
}

void api_projects_list(struct api_call *call) {
    struct keys_pass pass = keys_anybody(call->admin->money.keys);
    struct buf body = { 0 };
    buf_add(&body, SPAN("{\"projects\":["));
    for (size_t i = 0; i < keys_project_count(&pass); i++) {
        if (i)
            buf_add_char(&body, ',');
        write_project(call, keys_nth_project(&pass, i), &body);
    }
    buf_add(&body, SPAN("]}"));
    api_reply(call, 200, buf_span(&body));
    keys_pass_end(&pass);
    buf_deinit(&body);
}

void api_projects_get(struct api_call *call) {
    answer(call, 200, call->parts[0]);
}

static bool is_there(struct api_call *call, struct span name) {
    struct keys_pass pass = keys_anybody(call->admin->money.keys);
    bool found = keys_project(&pass, name);
    keys_pass_end(&pass);
    return found;
}

void api_projects_put(struct api_call *call) {
    struct span name = call->parts[0];
    struct project project = { .name = name };
    struct asker_wrong wrong;
    struct buf why = { 0 };
    bool found = is_there(call, name);
    if (!asker_is_id(name))
        api_fail(call, API_INVALID_REQUEST, "name",
                 "Expected up to 64 letters, digits, dots, dashes and underscores.");
    else if (!asker_read_project(call->admin->parser, call->body, call->arena, &project, &wrong))
        roster_refuse(call, &wrong);
    else if (roster_knows_policy(call, project.policy) &&
             roster_changed(call, keys_put_project(call->admin->money.keys, &project, &why),
                            "project", name, &why))
        answer(call, found ? 200 : 201, name);
    buf_deinit(&why);
}
