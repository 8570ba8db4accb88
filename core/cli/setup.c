#include "cli/setup.h"

#include "admin/admin.h"

#include <stdio.h>
#include <string.h>

struct config_options setup_options(const struct cli_call *call, const char *mock_url) {
    return (struct config_options){ .path = cli_option(call, "config"), .mock_url = mock_url };
}

static struct snapshot *read_config(const struct cli_call *call, const char *mock_url, bool again,
                                    const struct config_draft *draft) {
    struct config_options options = setup_options(call, mock_url);
    struct config_findings findings;
    struct buf text = { 0 };
    options.draft = draft;
    config_findings_init(&findings);
    struct snapshot *snap = config_load(&options, NULL, &findings);
    if (snap && draft && !snapshot_policy(snap, draft->name)) {
        snapshot_unref(snap);
        snap = NULL;
    }
    if (!again || !snap)
        admin_print_findings(&findings, &text);
    if (text.len)
        fwrite(text.at, 1, text.len, stderr);
    buf_deinit(&text);
    config_findings_deinit(&findings);
    return snap;
}

struct snapshot *setup_read(const struct cli_call *call, const char *mock_url) {
    return read_config(call, mock_url, false, NULL);
}

struct snapshot *setup_read_again(const struct cli_call *call, const char *mock_url) {
    return read_config(call, mock_url, true, NULL);
}

struct snapshot *setup_read_with(const struct cli_call *call, const char *mock_url,
                                 const struct config_draft *draft, bool again) {
    return read_config(call, mock_url, again, draft);
}

struct span setup_policy_name(const char *path) {
    const char *slash = strrchr(path, '/');
    struct span name = span_of(slash ? slash + 1 : path);
    return span_ends(name, SPAN(".lua")) ? span_sub(name, 0, name.len - 4) : name;
}

struct snapshot *setup_place(const struct cli_call *call) {
    struct config_options options = setup_options(call, NULL);
    bool known;
    struct snapshot *place = config_place(&options, &known);
    if (!known)
        fprintf(stderr,
                "perilune: %s does not say where the state folder is (`perilune check` tells what "
                "is wrong): this is about %.*s\n",
                options.path ? options.path : "perilune.lua", SPAN_ARGS(place->config.data_dir));
    return place;
}
