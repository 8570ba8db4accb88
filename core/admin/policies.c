#include "admin/policies.h"

#include "script/files.h"

bool policies_shipped(const struct policy_source *policy) {
    return span_starts(policy->path, SPAN("(shipped) "));
}

struct span policies_file(const struct snapshot *snap, struct span name, struct arena *arena) {
    return arena_printf(arena, "%.*s/%.*s.lua", SPAN_ARGS(snap->config.policies_dir),
                        SPAN_ARGS(name));
}

struct span policies_text(const struct snapshot *snap, struct span name, struct arena *arena) {
    struct buf text = { 0 };
    struct span found = SPAN_NONE;
    if (files_read(policies_file(snap, name, arena).at, POLICIES_SOURCE_MAX, &text) == 0)
        found = arena_copy(arena, text.at ? buf_span(&text) : SPAN(""));
    buf_deinit(&text);
    return found;
}

struct snapshot *policies_check(struct admin *a, struct span name, struct span source,
                                struct config_findings *findings) {
    const struct config_draft draft = { name, source };
    struct config_options options = a->options->config;
    options.draft = &draft;
    return config_check(&options, name, findings);
}

/* What a file that is read can be called: others in the folder, like "_old.lua", are passed over. */
static bool is_name(struct span name) {
    if (span_starts(name, SPAN("_")) || span_starts(name, SPAN("-")))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return name.len > 0 && name.len <= 64;
}

struct span policies_name(struct api_call *call) {
    struct span name = call->parts[0];
    if (!is_name(name))
        api_fail(
            call, API_INVALID_REQUEST, "name",
            "A policy's name is made of a-z, 0-9, _ and -, at most 64 of them, and begins with "
            "a letter or a digit.");
    else if (span_eq(name, SPAN("routes")) || span_ends(name, SPAN("_spec")))
        api_fail(
            call, API_INVALID_REQUEST, "name",
            "routes.lua holds assignments and NAME_spec.lua tests: no policy can be called so.");
    else
        return name;
    return SPAN_NONE;
}

struct span policies_user(const struct snapshot *snap, struct span name, struct arena *arena) {
    const struct config *c = &snap->config;
    for (size_t i = 0; i < c->n_assignments; i++)
        if (span_eq(c->assignments[i].policy, name))
            return arena_printf(arena, "the %s%s%.*s", snapshot_scope_name(c->assignments[i].scope),
                                c->assignments[i].name.at ? " " : "",
                                SPAN_ARGS(c->assignments[i].name));
    if (span_eq(c->auto_policy, name))
        return SPAN("policies.auto");
    for (size_t i = 0; i < c->n_policy_params; i++)
        if (span_eq(c->policy_params[i].name, name))
            return SPAN("policies.params");
    for (size_t i = 0; i < c->n_shadows; i++)
        if (span_eq(c->shadows[i].live, name) || span_eq(c->shadows[i].candidate, name))
            return SPAN("policies.shadow");
    return SPAN_NONE;
}

bool policies_size_ok(struct api_call *call, struct span source) {
    if (source.len > POLICIES_SOURCE_MAX)
        api_fail(call, API_REQUEST_TOO_LARGE, "source", "A policy is at most %d bytes long.",
                 POLICIES_SOURCE_MAX);
    return source.len <= POLICIES_SOURCE_MAX;
}
