/* replay.c - `perilune replay`: a policy over the requests of a record. */
#include "script/replay.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/setup.h"
#include "route/trace.h"
#include "script/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    CHUNK = 1 << 20,
    LINE_MAX_BYTES = 1 << 20, /* of a longer one no more is kept than shows that it is */
    POLICY_MAX = 4 << 20,
    LOGS_MAX = 100,
    SHOW = 5,
    SHOW_MAX = 1000,
    BAR = 30
};

struct run {
    const struct cli_call *call;
    struct snapshot *snap;      /* as configured */
    struct snapshot *drafts[2]; /* the same with a file in a policy's place */
    size_t n_drafts;
    struct arena arena;
    struct vm_watchdog *watchdog;
    struct vm_guard *guard;
    struct replay *replay;
    struct replay_options options;
    struct replay_limits limits;
    /* what is being read */
    struct buf line; /* begun in the chunk before */
    uint64_t bytes, total_bytes, lines, shown_ms, began_ms;
};

/* --- the policies ----------------------------------------------------------------------------- */

static int complain(const struct run *r, const char *format, const char *what) {
    char message[512];
    snprintf(message, sizeof message, format, what);
    return cli_complain(r->call->command, message);
}

static int take_file(struct run *r, const char *path, struct span name, struct replay_side *side) {
    struct buf text = { 0 };
    int error = files_read(path, POLICY_MAX, &text);
    struct config_draft draft = { arena_copy(&r->arena, name),
                                  arena_copy(&r->arena, text.at ? buf_span(&text) : SPAN("")) };
    buf_deinit(&text);
    if (error) {
        fprintf(stderr, "perilune: %s can not be read: %s\n", path, strerror(-error));
        return CLI_UNREACHABLE;
    }
    side->policy = draft.name;
    struct snapshot *snap = setup_read_with(r->call, "http://127.0.0.1:1/v1", &draft, true);
    if (!snap)
        return CLI_FINDINGS;
    r->drafts[r->n_drafts++] = snap;
    side->snap = snap;
    return CLI_OK;
}

/* NAME@VERSION: what is served now, or one of the versions kept in the state folder. */
static int take_version(struct run *r, struct span given, size_t at, struct replay_side *side) {
    struct span name = span_sub(given, 0, at), version = span_sub(given, at + 1, given.len);
    const struct policy_source *now = snapshot_policy(r->snap, name);
    if (now && span_eq(now->version, given)) {
        *side = (struct replay_side){ r->snap, now->name };
        return CLI_OK;
    }
    struct span path =
        arena_printf(&r->arena, "%.*s/policies/%.*s/%.*s.lua", SPAN_ARGS(r->snap->config.data_dir),
                     SPAN_ARGS(name), SPAN_ARGS(version));
    return take_file(r, path.at, name, side);
}

static int take_name(struct run *r, struct span name, struct replay_side *side) {
    const struct policy_source *source = snapshot_policy(r->snap, name);
    if (source) {
        *side = (struct replay_side){ r->snap, source->name };
        return CLI_OK;
    }
    struct span near = snapshot_near_policy(r->snap, name);
    fprintf(stderr, "perilune: there is no policy %.*s", SPAN_ARGS(name));
    if (near.at)
        fprintf(stderr, "; did you mean %.*s?", SPAN_ARGS(near));
    fprintf(stderr, "\n");
    return CLI_USAGE;
}

static int take_policy(struct run *r, const char *given, struct replay_side *side) {
    struct span text = span_of(given);
    size_t at = span_find(text, '@');
    const char *as = cli_option(r->call, "as");
    if (span_find(text, '/') < text.len || span_ends(text, SPAN(".lua")))
        return take_file(r, given, as ? span_of(as) : setup_policy_name(given), side);
    return at < text.len ? take_version(r, text, at, side) : take_name(r, text, side);
}

/* --- what is asked for ------------------------------------------------------------------------ */

/* "5%": 0.05. */
static bool read_share(const struct run *r, const char *option, double *share) {
    const char *given = cli_option(r->call, option);
    struct span text = span_of(given);
    *share = -1;
    if (!given)
        return true;
    if (span_ends(text, SPAN("%")) && span_double(span_sub(text, 0, text.len - 1), share) &&
        *share >= 0) {
        *share /= 100;
        return true;
    }
    complain(r, "--%s takes a share like 5%%", option);
    return false;
}

static bool read_errors(const struct run *r, double *errors) {
    uint64_t n;
    if (!cli_number(r->call, "max-errors", 0, UINT32_MAX, &n))
        return false;
    *errors = cli_option(r->call, "max-errors") ? (double)n : -1;
    return true;
}

/* "2h" ago. */
static bool read_ago(struct span text, double *moment) {
    static const struct {
        char unit;
        double seconds;
    } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
    uint64_t n;
    for (size_t i = 0; text.len > 1 && i < sizeof units / sizeof *units; i++)
        if (text.at[text.len - 1] == units[i].unit &&
            span_uint(span_sub(text, 0, text.len - 1), &n)) {
            double at = (double)clock_wall_ms() / 1000 - (double)n * units[i].seconds;
            *moment = at > 0 ? at : 0;
            return true;
        }
    return false;
}

/* "2026-11-22", with "T09:30" or "T09:30:15" behind it, "Z" or not: UTC. */
static bool read_date(const char *text, double *moment) {
    static const char *const shapes[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d" };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct tm tm = { 0 };
        const char *end = strptime(text, shapes[i], &tm);
        if (!end || strcmp(end + (*end == 'Z'), "") != 0)
            continue;
        *moment = (double)timegm(&tm);
        return true;
    }
    return false;
}

static bool read_moment(const struct run *r, const char *option, double *moment) {
    const char *given = cli_option(r->call, option);
    *moment = -1;
    if (!given || read_ago(span_of(given), moment) || read_date(given, moment))
        return true;
    complain(r, "--%s takes a time like 2026-11-22, 2026-11-22T09:30 (UTC) or 2h (ago)", option);
    return false;
}

static bool read_options(struct run *r) {
    uint64_t show;
    const char *only = cli_option(r->call, "only");
    r->options.only = span_of(only);
    bool ok = cli_number(r->call, "show", SHOW, SHOW_MAX, &show) &&
              read_share(r, "max-cost-increase", &r->limits.cost_increase) &&
              read_share(r, "max-latency-increase", &r->limits.latency_increase) &&
              read_share(r, "max-changed", &r->limits.changed) &&
              read_errors(r, &r->limits.errors) && read_moment(r, "since", &r->options.since) &&
              read_moment(r, "until", &r->options.upto);
    r->options.show = (unsigned)show;
    return ok;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* A bar on a terminal, a few times a second. */
static void show_progress(struct run *r, bool end) {
    uint64_t now = clock_ms();
    if (!isatty(STDERR_FILENO) || (!end && now - r->shown_ms < 100))
        return;
    r->shown_ms = now;
    double part = r->total_bytes ? (double)r->bytes / (double)r->total_bytes : 0;
    int full = part < 1 ? (int)(part * BAR) : BAR;
    fprintf(stderr, "\r\033[K[%.*s%*s] %3.0f%%  %" PRIu64 " lines, %.0f a second", full,
            "##############################", BAR - full, "", 100 * (part < 1 ? part : 1), r->lines,
            (double)r->lines * 1000 / (double)(now - r->began_ms + 1));
    if (end)
        fprintf(stderr, "\r\033[K");
    fflush(stderr);
}

static bool feed(struct run *r, struct span line) {
    r->lines++;
    return replay_feed(r->replay, line);
}

/* Keeps the beginning of a line that goes on behind the chunk. */
static void keep(struct run *r, struct span part) {
    size_t room = LINE_MAX_BYTES + 1 > r->line.len ? LINE_MAX_BYTES + 1 - r->line.len : 0;
    buf_add(&r->line, span_sub(part, 0, room));
}

static bool feed_chunk(struct run *r, struct span chunk) {
    size_t end;
    while ((end = span_find(chunk, '\n')) < chunk.len) {
        struct span line = span_sub(chunk, 0, end);
        if (r->line.len) {
            keep(r, line);
            line = buf_span(&r->line);
        }
        bool fed = feed(r, span_sub(line, 0, LINE_MAX_BYTES + 1));
        buf_clear(&r->line);
        if (!fed)
            return false;
        chunk = span_sub(chunk, end + 1, chunk.len);
    }
    keep(r, chunk);
    return true;
}

static int complain_file(const char *path, int error) {
    fprintf(stderr, "perilune: %s can not be read: %s\n", path, strerror(error));
    return CLI_UNREACHABLE;
}

static int out_of_memory(const struct run *r) {
    fprintf(stderr, "perilune: the replay ended: %s\n", replay_error(r->replay));
    return CLI_UNREACHABLE;
}

static int read_log(struct run *r, const char *path, char *chunk) {
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    int code = CLI_OK;
    ssize_t n = 0;
    if (fd < 0)
        return complain_file(path, errno);
    while (code == CLI_OK && (n = read(fd, chunk, CHUNK)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            code = complain_file(path, errno);
        else if (!feed_chunk(r, (struct span){ chunk, (size_t)n }))
            code = out_of_memory(r);
        else
            r->bytes += (uint64_t)n;
        show_progress(r, false);
    }
    /* A last line without its line feed; the next file begins with a line of its own. */
    if (code == CLI_OK && r->line.len && !feed(r, buf_span(&r->line)))
        code = out_of_memory(r);
    buf_clear(&r->line);
    if (fd != STDIN_FILENO)
        close(fd);
    return code;
}

/* The logs named, or the record as it is configured, what was renamed before the rest. */
static size_t find_logs(struct run *r, const char **logs) {
    size_t n = 0;
    struct span record = r->snap->config.record;
    for (size_t i = 1; i < r->call->n_args; i++)
        logs[n++] = r->call->args[i];
    if (n || !record.at)
        return n;
    struct span old = arena_printf(&r->arena, "%.*s.1", SPAN_ARGS(record));
    if (access(old.at, R_OK) == 0)
        logs[n++] = old.at;
    logs[n++] = record.at;
    return n;
}

static int read_logs(struct run *r) {
    const char *logs[LOGS_MAX + 2];
    struct stat st;
    size_t n = find_logs(r, logs);
    if (!n)
        return complain(r, "there is no record: name a log, or set %s in the configuration",
                        "record");
    for (size_t i = 0; i < n; i++)
        if (stat(logs[i], &st) == 0)
            r->total_bytes += (uint64_t)st.st_size;
    char *chunk = malloc(CHUNK);
    int code = CLI_OK;
    if (!chunk)
        abort();
    r->began_ms = clock_ms();
    for (size_t i = 0; i < n && code == CLI_OK; i++)
        code = read_log(r, logs[i], chunk);
    show_progress(r, true);
    free(chunk);
    return code;
}

/* --- all of it -------------------------------------------------------------------------------- */

static nanousd cost_of(const struct target *target, int64_t input, int64_t output, int64_t cached,
                       int64_t written, uint64_t now_s) {
    return trace_cost(target, (struct trace_tokens){ input, output, cached, written }, now_s);
}

static int take_sides(struct run *r) {
    const char *against = cli_option(r->call, "against");
    int code = take_policy(r, r->call->args[0], &r->options.policy);
    if (code == CLI_OK && against)
        code = take_policy(r, against, &r->options.against);
    return code;
}

static int report(struct run *r) {
    struct buf out = { 0 };
    bool json = cli_option(r->call, "json") != NULL;
    size_t passed = 0;
    if (!replay_report(r->replay, &r->limits, json, &out, &passed)) {
        buf_deinit(&out);
        return out_of_memory(r);
    }
    if (json)
        printf("%.*s\n", (int)out.len, out.at);
    else
        cli_print(stdout, buf_span(&out)); /* anybody may have written into a record */
    buf_deinit(&out);
    return passed ? CLI_FINDINGS : CLI_OK;
}

static int go(struct run *r) {
    if (!r->call->n_args)
        return complain(r, "name a policy or a file%s", "");
    if (!read_options(r))
        return CLI_USAGE;
    if (!(r->snap = setup_read(r->call, "http://127.0.0.1:1/v1")))
        return CLI_BAD_CONFIG;
    int code = take_sides(r);
    if (code != CLI_OK)
        return code;
    if (!(r->watchdog = vm_watchdog_new()))
        return CLI_UNREACHABLE;
    r->guard = vm_guard_open(r->watchdog);
    r->options.cost = cost_of;
    r->options.chain_max = TRACE_CHAIN_MAX;
    if (!(r->replay = replay_new(&r->options, r->guard)))
        return CLI_UNREACHABLE;
    code = read_logs(r);
    return code == CLI_OK ? report(r) : code;
}

static void clean_up(struct run *r) {
    if (r->replay)
        replay_free(r->replay);
    if (r->guard)
        vm_guard_close(r->guard);
    if (r->watchdog)
        vm_watchdog_free(r->watchdog);
    for (size_t i = 0; i < r->n_drafts; i++)
        snapshot_unref(r->drafts[i]);
    if (r->snap)
        snapshot_unref(r->snap);
    buf_deinit(&r->line);
    arena_deinit(&r->arena);
}

static int replay_main(const struct cli_call *call) {
    struct run r = { .call = call };
    arena_init(&r.arena, 4096);
    log_init(LOG_WARN);
    int code = go(&r);
    clean_up(&r);
    return code;
}

const struct cli_command replay_command = {
    .name = "replay",
    .summary = "try a policy on requests that were recorded",
    .arguments = "POLICY [LOG...]",
    .max_args = LOGS_MAX + 1,
    .options = { CLI_OPTION_CONFIG,
                 CLI_OPTION_JSON,
                 { "against", 0, "POLICY", "compare with this one, not with what was recorded" },
                 { "as", 0, "NAME", "the name a policy's file goes by, for its params" },
                 { "only", 0, "NAME", "only requests which the policy of that name decided" },
                 { "since", 0, "TIME", "from 2026-11-22, 2026-11-22T09:30 (UTC) or 2h (ago) on" },
                 { "until", 0, "TIME", "until then" },
                 { "show", 0, "N", "so many changed decisions, the dearest first; 5" },
                 { "max-cost-increase", 0, "SHARE", "exit with 1 when it costs more, like 5%" },
                 { "max-latency-increase", 0, "SHARE", "when it is predicted to take longer" },
                 { "max-changed", 0, "SHARE", "when more decisions change" },
                 { "max-errors", 0, "N", "when the policy fails more often" } },
    .notes =
        "POLICY is a policy's name, NAME@VERSION, or a file. LOG is a record in JSON lines, - for\n"
        "standard input; without one it is what `record` in the configuration names.\n"
        "Exits with 1 when a limit is passed, or the policy does not load; 2 for a wrong command\n"
        "line, 3 for a log that can not be read, 4 for a configuration that can not be used.\n",
    .examples = "perilune replay policies/tier.lua --since 24h --max-cost-increase 5%\n"
                "perilune replay cheapest requests.jsonl --against quality\n",
    .main = replay_main,
};
