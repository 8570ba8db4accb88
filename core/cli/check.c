/* check.c - `perilune check`: what is wrong with the configuration and the policies, by file and
 * line. */
#include "admin/admin.h"
#include "cli/setup.h"
#include "script/trial.h"

#include <stdio.h>

static void print(const struct cli_call *call, const struct config_findings *findings, bool ok) {
    struct buf out = { 0 };
    if (cli_option(call, "json")) {
        buf_printf(&out, "{\"ok\":%s,\"findings\":", ok ? "true" : "false");
        admin_write_findings(findings, &out);
        buf_add(&out, SPAN("}\n"));
    } else {
        admin_print_findings(findings, &out);
        if (!findings->n)
            buf_add(&out, SPAN("no findings\n"));
    }
    fwrite(out.at, 1, out.len, stdout);
    buf_deinit(&out);
}

static int check_main(const struct cli_call *call) {
    struct config_options options = setup_options(call, "http://127.0.0.1:1/v1");
    struct config_findings findings;
    config_findings_init(&findings);
    struct snapshot *snap = config_load(&options, NULL, &findings);
    if (snap)
        trial_run(snap, &findings);
    int code = !snap ? CLI_BAD_CONFIG : findings.n ? CLI_FINDINGS : CLI_OK;
    print(call, &findings, code == CLI_OK);
    if (snap)
        snapshot_unref(snap);
    config_findings_deinit(&findings);
    return code;
}

const struct cli_command check_command = {
    .name = "check",
    .summary = "check the configuration and the policies",
    .options = { CLI_OPTION_CONFIG, CLI_OPTION_JSON },
    .notes = "Each policy that loads is asked a few plain requests; nobody is called.\n"
             "Prints findings as file:line with a hint. Exits with 0 when there are none, 1 when\n"
             "there are, 4 when the configuration can not be used at all.\n",
    .examples = "perilune check\n"
                "perilune check -c /etc/perilune.lua --json\n",
    .main = check_main,
};
