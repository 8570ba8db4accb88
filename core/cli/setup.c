#include "cli/setup.h"

#include "admin/admin.h"

#include <stdio.h>

struct config_options setup_options(const struct cli_call *call, const char *mock_url) {
    return (struct config_options){ .path = cli_option(call, "config"), .mock_url = mock_url };
}

struct snapshot *setup_read(const struct cli_call *call, const char *mock_url) {
    struct config_options options = setup_options(call, mock_url);
    struct config_findings findings;
    struct buf text = { 0 };
    config_findings_init(&findings);
    struct snapshot *snap = config_load(&options, NULL, &findings);
    admin_print_findings(&findings, &text);
    if (text.len)
        fwrite(text.at, 1, text.len, stderr);
    buf_deinit(&text);
    config_findings_deinit(&findings);
    return snap;
}
