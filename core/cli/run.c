/* run.c - `perilune run`: the gateway. */
#include "admin/admin.h"
#include "base/log.h"
#include "cli/mock.h"
#include "cli/setup.h"
#include "cli/state.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { TOKEN_MIN = 16 };

/* Everything `run` opens before the engine does. */
struct run {
    const struct cli_call *call;
    struct mock *mock; /* the built-in one, when nothing else is there */
    char mock_url[128];
    struct snapshot *snap;
    struct admin_options admin;
    struct buf token, viewer_token;
    struct ca *ca;
    struct buf made_key; /* a client key that was made just now, to be printed once */
    int data_fd, admin_fd;
};

static bool complain_address(struct span address, int error) {
    fprintf(stderr, "perilune: can not listen on %.*s: %s\n", SPAN_ARGS(address),
            error ? uv_strerror(error) : "not an address like 127.0.0.1:4100");
    if (error == UV_EADDRINUSE)
        fprintf(stderr, "  hint: `perilune status` tells whether it is already running; "
                        "`listen` and `admin` in perilune.lua take other addresses\n");
    return false;
}

static bool take_address(struct span address, struct sockaddr_storage *out, bool *loopback,
                         int *fd) {
    if (!listener_parse(address, out, loopback))
        return complain_address(address, 0);
    *fd = listener_probe(out);
    return *fd >= 0 || complain_address(address, *fd);
}

static bool is_any(const char *name) {
    return strncmp(name, "0.0.0.0:", 8) == 0 || strncmp(name, "[::]:", 5) == 0;
}

/* Clients and the admin side would share the connections that come: the kernel lets one process
 * bind an address twice. */
static bool addresses_differ(const struct run *r) {
    char data[LISTENER_NAME_MAX], admin[LISTENER_NAME_MAX];
    listener_name(&r->admin.data_address, data);
    listener_name(&r->admin.admin_address, admin);
    bool same_port = strcmp(strrchr(data, ':'), strrchr(admin, ':')) == 0;
    if (!same_port || (strcmp(data, admin) != 0 && !is_any(data) && !is_any(admin)))
        return true;
    fprintf(stderr, "perilune: listen (%s) and admin (%s) need a port each\n", data, admin);
    return false;
}

/* Without a file and a provider key, the mock answers, on loopback only. */
static bool read_config(struct run *r) {
    r->snap = setup_read(r->call, "http://127.0.0.1:1/v1");
    if (!r->snap || !config_is_mock_only(r->snap))
        return r->snap != NULL;
    snapshot_unref(r->snap);
    r->snap = NULL;
    r->mock = mock_start("127.0.0.1:0", r->mock_url, sizeof r->mock_url);
    if (!r->mock)
        return false;
    r->snap = setup_read_again(r->call, r->mock_url);
    return r->snap != NULL;
}

/* Beyond loopback nobody gets in without a key: one is made, kept in the state folder and given
 * to the configuration like one that was set. */
static bool ensure_key(struct run *r, bool loopback) {
    bool made;
    if (loopback || r->snap->config.n_keys)
        return true;
    if (r->mock) {
        fprintf(stderr,
                "perilune: the mock provider answers on loopback only; set a provider key\n");
        return false;
    }
    if (!state_secret(&r->snap->config, "client.key", "pl-", &r->made_key, &made))
        return false;
    buf_add_char(&r->made_key, '\0');
    setenv("PERILUNE_API_KEY", r->made_key.at, 1);
    if (!made)
        buf_clear(&r->made_key);
    snapshot_unref(r->snap);
    r->snap = setup_read_again(r->call, NULL);
    return r->snap != NULL;
}

/* Who sets a token keeps it, and none is written down; else one is made in the state folder. */
static bool take_token(const struct run *r, const char *variable, const char *file,
                       struct buf *token) {
    bool made;
    const char *set = getenv(variable);
    if (!set || !*set)
        return state_secret(&r->snap->config, file, "", token, &made);
    buf_add(token, span_of(set));
    if (token->len >= TOKEN_MIN)
        return true;
    fprintf(stderr, "perilune: %s has less than %d characters, which can be guessed\n", variable,
            TOKEN_MIN);
    return false;
}

static bool take_tokens(struct run *r) {
    if (!take_token(r, "PERILUNE_ADMIN_TOKEN", "admin.token", &r->token) ||
        !take_token(r, "PERILUNE_VIEWER_TOKEN", "viewer.token", &r->viewer_token))
        return false;
    if (span_eq(buf_span(&r->token), buf_span(&r->viewer_token))) {
        fprintf(stderr, "perilune: the token of viewers is the admin's: they would be admins\n");
        return false;
    }
    return true;
}

static void print_list(const char *label, const struct snapshot *snap, bool policies) {
    size_t n = policies ? snap->n_policies : snap->n_providers;
    printf("  %-10s", label);
    for (size_t i = 0; i < n; i++) {
        struct span name = policies ? snap->policies[i].version : snap->providers[i].name;
        printf("%s%.*s", i ? ", " : "", SPAN_ARGS(name));
    }
    printf("%s\n", n ? "" : "none");
}

static void print_curl(const struct run *r, const char *address) {
    const char *key = r->made_key.len ? r->made_key.at : "$PERILUNE_API_KEY";
    printf("\nTry it:\n\n  curl -i http://%s/v1/chat/completions -H 'content-type: "
           "application/json' \\\n",
           address);
    if (r->snap->config.n_keys)
        printf("    -H \"authorization: Bearer %s\" \\\n", key);
    printf("    -d "
           "'{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'\n\n");
}

static void print_admin(const struct run *r, const char *address) {
    const char *set = getenv("PERILUNE_ADMIN_TOKEN");
    printf("  %-10shttp://%s (token in ", "admin", address);
    if (set && *set)
        printf("PERILUNE_ADMIN_TOKEN)\n");
    else
        printf("%.*s/admin.token)\n", SPAN_ARGS(r->snap->config.data_dir));
}

static void on_ready(void *owner, const struct snapshot *snap) {
    struct run *r = owner;
    const struct config *c = &snap->config;
    char data[LISTENER_NAME_MAX], admin[LISTENER_NAME_MAX];
    listener_name(&r->admin.data_address, data);
    listener_name(&r->admin.admin_address, admin);
    /* Not before the folder is ours: whoever else has it goes on being found. */
    state_write(c, "admin.address", span_of(admin));
    printf("perilune " PERILUNE_VERSION " listening on http://%s\n", data);
    print_admin(r, admin);
    printf("  %-10s%s\n", "config", c->path.at ? c->path.at : "none: defaults and the environment");
    print_list("providers", snap, false);
    printf("  %-10s%zu\n", "targets", snap->n_targets);
    print_list("policies", snap, true);
    printf("  %-10s%.*s\n", "folder", SPAN_ARGS(c->policies_dir));
    printf("  %-10s%u\n", "workers", c->workers);
    if (r->mock)
        printf(
            "\nNo provider key was found: a MOCK answers. Set OPENAI_API_KEY for real answers.\n");
    if (r->made_key.len)
        printf("\nClients need this key, which is shown only now (it is kept in "
               "%.*s/client.key):\n\n  %s\n",
               SPAN_ARGS(c->data_dir), r->made_key.at);
    print_curl(r, data);
    fflush(stdout);
}

/* One descriptor a client and one a provider: as many as the system allows. */
static void raise_limits(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    signal(SIGPIPE, SIG_IGN);
}

static bool prepare(struct run *r) {
    bool loopback, admin_loopback;
    if (!read_config(r) || !state_open(&r->snap->config) ||
        !take_address(r->snap->config.listen, &r->admin.data_address, &loopback, &r->data_fd) ||
        !take_address(r->snap->config.admin, &r->admin.admin_address, &admin_loopback,
                      &r->admin_fd))
        return false;
    r->admin.beyond_loopback = !loopback;
    return addresses_differ(r) && ensure_key(r, loopback) && take_tokens(r);
}

static void clean_up(struct run *r) {
    if (r->data_fd >= 0)
        close(r->data_fd);
    if (r->admin_fd >= 0)
        close(r->admin_fd);
    if (r->snap)
        snapshot_unref(r->snap);
    if (r->mock)
        mock_stop(r->mock);
    if (r->ca)
        ca_free(r->ca);
    buf_deinit(&r->token);
    buf_deinit(&r->viewer_token);
    buf_deinit(&r->made_key);
}

static int serve(struct run *r) {
    if (pump_global_init() < 0 || !(r->ca = ca_load(NULL)))
        return CLI_UNREACHABLE;
    r->admin.config = setup_options(r->call, r->mock ? r->mock_url : NULL);
    r->admin.pump =
        (struct pump_options){ .ca = r->ca, .user_agent = "perilune/" PERILUNE_VERSION };
    r->admin.token = buf_span(&r->token);
    r->admin.viewer_token = buf_span(&r->viewer_token);
    r->admin.on_ready = on_ready;
    r->admin.owner = r;
    int error = admin_run(&r->admin, snapshot_ref(r->snap));
    pump_global_deinit();
    return error ? CLI_UNREACHABLE : CLI_OK;
}

static int run_main(const struct cli_call *call) {
    struct run r = { .call = call, .data_fd = -1, .admin_fd = -1 };
    enum log_level level = LOG_INFO;
    const char *wanted = cli_option(call, "log");
    if (wanted && !log_level_parse(wanted, &level))
        return cli_complain(call->command, "--log is one of debug, info, warn, error");
    log_init(level);
    raise_limits();
    int code = CLI_BAD_CONFIG;
    if (prepare(&r))
        code = serve(&r);
    else if (r.snap)
        code = CLI_UNREACHABLE;
    clean_up(&r);
    return code;
}

const struct cli_command run_command = {
    .name = "run",
    .summary = "start the gateway",
    .options = { CLI_OPTION_CONFIG,
                 { "log", 0, "LEVEL", "debug, info (the default), warn or error" } },
    .notes = "Without a configuration, provider keys in the usual variables (OPENAI_API_KEY, ...)\n"
             "switch providers on; without those, a mock answers, on loopback only.\n"
             "SIGHUP reads everything again; SIGTERM lets requests under way end.\n",
    .examples = "perilune run\n"
                "perilune run -c /etc/perilune.lua --log warn\n",
    .main = run_main,
};
