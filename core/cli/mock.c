/* mock.c - `perilune mock`: the threads of the scripted provider, and its command. */
#include "cli/mock.h"

#include "base/log.h"
#include "cli/cli.h"
#include "cli/mock_serve.h"
#include "cli/mock_words.h"

#include <assert.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* What a client wants to know of all workers. Each adds its report on its own thread; who adds
 * the last one sends the question home, where it is answered. */
struct question {
    struct question *next; /* of the mock's */
    struct worker *home;
    struct conn *conn; /* NULL: the client left; known at home only */
    enum mock_question what;
    atomic_uint missing;
    struct mock_report reports[];
};

/* Something for a worker's thread to do. */
struct note {
    struct note *next;
    struct question *question; /* NULL: stop */
    bool complete;             /* it came home */
};

struct worker {
    struct mock *mock;
    unsigned index;
    uv_loop_t loop;
    uv_async_t wake;
    struct mock_serve serve;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    struct note *notes, **last_note;
    bool closed; /* takes no more notes */
};

struct mock {
    struct mock_options options;
    struct mock_turns turns;
    int probe; /* keeps the address */
    pthread_mutex_t lock;
    struct question *questions; /* under way */
    unsigned n_workers;         /* that run */
    struct worker workers[];
};

/* ---- notes ---- */

static bool post(struct worker *w, struct question *question, bool complete) {
    struct note *note = calloc(1, sizeof *note);
    if (!note)
        abort();
    *note = (struct note){ .question = question, .complete = complete };
    pthread_mutex_lock(&w->lock);
    bool open = !w->closed;
    if (open) {
        *w->last_note = note;
        w->last_note = &note->next;
        w->closed = question == NULL;
        uv_async_send(&w->wake);
    } else {
        free(note);
    }
    pthread_mutex_unlock(&w->lock);
    return open;
}

static struct note *take_notes(struct worker *w) {
    pthread_mutex_lock(&w->lock);
    struct note *notes = w->notes;
    w->notes = NULL;
    w->last_note = &w->notes;
    pthread_mutex_unlock(&w->lock);
    return notes;
}

/* ---- questions ---- */

static void question_free(struct question *q, unsigned n_workers) {
    for (unsigned i = 0; i < n_workers; i++)
        mock_report_deinit(&q->reports[i]);
    free(q);
}

static void on_asker_gone(void *user) {
    ((struct question *)user)->conn = NULL;
}

static const struct conn_user asker = { .on_gone = on_asker_gone };

/* A worker that is closing takes no part; then the client that asks is being closed as well. */
static void on_question(void *owner, struct conn *c, enum mock_question what) {
    struct worker *w = owner;
    struct mock *m = w->mock;
    struct question *q = calloc(1, sizeof *q + m->options.workers * sizeof *q->reports);
    if (!q)
        abort();
    q->home = w;
    q->conn = c;
    q->what = what;
    atomic_init(&q->missing, m->options.workers);
    conn_attach(c, &asker, q);
    pthread_mutex_lock(&m->lock);
    q->next = m->questions;
    m->questions = q;
    pthread_mutex_unlock(&m->lock);
    if (what == MOCK_RESET)
        mock_turns_reset(&m->turns);
    for (unsigned i = 0; i < m->options.workers; i++)
        post(&m->workers[i], q, false);
}

static const struct mock_serve_events serve_events = { .on_question = on_question };

static void report(struct worker *w, struct question *q) {
    if (q->what == MOCK_RESET)
        mock_count_reset(&w->serve.count);
    else
        mock_report_take(&q->reports[w->index], &w->serve.count, w->serve.server.n_conns);
    if (atomic_fetch_sub(&q->missing, 1) == 1)
        post(q->home, q, true);
}

static void forget_question(struct mock *m, struct question *q) {
    pthread_mutex_lock(&m->lock);
    struct question **at = &m->questions;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    pthread_mutex_unlock(&m->lock);
    question_free(q, m->options.workers);
}

static void answer_question(struct worker *w, struct question *q) {
    struct buf out = { 0 };
    size_t n = w->mock->options.workers;
    const struct pair type = { SPAN("content-type"), SPAN("application/json") };
    if (q->what == MOCK_STATS)
        mock_report_stats(q->reports, n, &out);
    else if (q->what == MOCK_RESET)
        buf_add(&out, SPAN("{}\n"));
    else
        mock_report_requests(q->reports, n, q->what == MOCK_LAST, &out);
    if (q->conn)
        conn_reply(q->conn, 200, &type, 1, buf_span(&out));
    buf_deinit(&out);
    forget_question(w->mock, q);
}

/* ---- a worker's thread ---- */

static void on_wake(uv_async_t *wake) {
    struct worker *w = wake->data;
    for (struct note *note = take_notes(w), *next; note; note = next) {
        next = note->next;
        if (!note->question) {
            mock_serve_close(&w->serve);
            uv_close((uv_handle_t *)&w->wake, NULL);
        } else if (note->complete) {
            answer_question(w, note->question);
        } else {
            report(w, note->question);
        }
        free(note);
    }
}

static void name_handle(uv_handle_t *handle, void *arg) {
    (void)arg;
    log_error("the mock left a %s handle open", uv_handle_type_name(uv_handle_get_type(handle)));
}

static void *run_worker(void *arg) {
    struct worker *w = arg;
    uv_run(&w->loop, UV_RUN_DEFAULT);
    mock_serve_deinit(&w->serve);
    if (uv_loop_close(&w->loop) != 0)
        uv_walk(&w->loop, name_handle, NULL);
    return NULL;
}

/* Signals are the main thread's. */
static void start_thread(struct worker *w) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&w->thread, NULL, run_worker, w) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static bool open_worker(struct mock *m, unsigned i, struct buf *error) {
    struct worker *w = &m->workers[i];
    if (uv_loop_init(&w->loop) != 0)
        abort();
    if (!mock_serve_open(&w->serve, &w->loop, &m->options, i, &serve_events, w, error)) {
        uv_loop_close(&w->loop);
        return false;
    }
    uv_async_init(&w->loop, &w->wake, on_wake);
    w->wake.data = w;
    w->closed = false;
    return true;
}

/* ---- all of it ---- */

static struct mock *mock_new(const struct mock_options *options) {
    struct mock *m = calloc(1, sizeof *m + options->workers * sizeof *m->workers);
    if (!m)
        abort();
    m->options = *options;
    m->options.turns = &m->turns;
    mock_turns_init(&m->turns);
    pthread_mutex_init(&m->lock, NULL);
    for (unsigned i = 0; i < options->workers; i++) {
        struct worker *w = &m->workers[i];
        w->mock = m;
        w->index = i;
        w->last_note = &w->notes;
        w->closed = true; /* until it is opened */
        pthread_mutex_init(&w->lock, NULL);
    }
    return m;
}

static void mock_free(struct mock *m) {
    while (m->questions) {
        struct question *q = m->questions;
        m->questions = q->next;
        question_free(q, m->options.workers);
    }
    for (unsigned i = 0; i < m->options.workers; i++)
        pthread_mutex_destroy(&m->workers[i].lock);
    pthread_mutex_destroy(&m->lock);
    mock_turns_deinit(&m->turns);
    free(m);
}

void mock_stop(struct mock *m) {
    for (unsigned i = 0; i < m->n_workers; i++)
        post(&m->workers[i], NULL, false);
    for (unsigned i = 0; i < m->n_workers; i++)
        pthread_join(m->workers[i].thread, NULL);
    close(m->probe);
    mock_free(m);
}

/* NULL: `error` holds one line. */
static struct mock *start(const struct mock_options *options, struct buf *error) {
    struct mock *m = mock_new(options);
    m->probe = listener_probe(&m->options.address);
    if (m->probe < 0) {
        char name[LISTENER_NAME_MAX];
        listener_name(&options->address, name);
        buf_printf(error, "it can not listen on %s: %s", name, uv_strerror(m->probe));
        if (m->probe == UV_EADDRINUSE)
            buf_printf(error, "\n  hint: a mock may be running already; --listen takes another "
                              "address");
        mock_free(m);
        return NULL;
    }
    while (m->n_workers < options->workers && open_worker(m, m->n_workers, error))
        m->n_workers++;
    /* Only now: a question that comes to one goes to all. */
    for (unsigned i = 0; i < m->n_workers; i++)
        start_thread(&m->workers[i]);
    if (m->n_workers == options->workers)
        return m;
    mock_stop(m);
    return NULL;
}

struct mock *mock_start(const char *address, char *url, size_t size) {
    struct mock_options options = { .workers = 1 };
    struct buf error = { 0 };
    bool loopback;
    struct mock *m = NULL;
    char name[LISTENER_NAME_MAX];
    if (listener_parse(span_of(address), &options.address, &loopback))
        m = start(&options, &error);
    if (!m) {
        fprintf(stderr, "perilune: the mock can not start: %.*s\n",
                SPAN_ARGS(error.len ? buf_span(&error) : SPAN("no such address")));
    } else {
        listener_name(&m->options.address, name);
        snprintf(url, size, "http://%s/v1", name);
    }
    buf_deinit(&error);
    return m;
}

/* ---- the command ---- */

/* A descriptor a client: as many as the system allows. */
static void raise_limits(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    signal(SIGPIPE, SIG_IGN);
}

static int fail(const struct cli_call *call, const char *what, struct buf *error) {
    buf_add_char(error, '\0');
    fprintf(stderr, "perilune mock: %s%s\n", what, error->at);
    buf_deinit(error);
    (void)call;
    return CLI_UNREACHABLE;
}

static bool check_fault(struct span words, struct buf *error) {
    struct mock_fault fault;
    struct arena arena;
    arena_init(&arena, 1024);
    mock_fault_init(&fault);
    bool fine = mock_fault_parse(&fault, words, &arena, error);
    arena_deinit(&arena);
    return fine;
}

static int serve_until_signal(const struct cli_call *call, const struct mock_options *options) {
    struct buf error = { 0 };
    sigset_t end;
    int which;
    char name[LISTENER_NAME_MAX];
    sigemptyset(&end);
    sigaddset(&end, SIGINT);
    sigaddset(&end, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &end, NULL);
    raise_limits();
    struct mock *m = start(options, &error);
    if (!m)
        return fail(call, "can not start: ", &error);
    listener_name(&m->options.address, name);
    printf("mock listening on http://%s\n", name);
    fflush(stdout);
    sigwait(&end, &which);
    mock_stop(m);
    return CLI_OK;
}

static int mock_main(const struct cli_call *call) {
    struct mock_options options = { .script = cli_option(call, "script"),
                                    .fault = span_of(cli_option(call, "fault")) };
    const char *address = cli_option(call, "listen");
    struct buf error = { 0 };
    uint64_t workers;
    bool loopback;
    if (!cli_number(call, "workers", 1, 256, &workers))
        return CLI_USAGE;
    options.workers = workers ? (unsigned)workers : 1;
    if (!listener_parse(span_of(address ? address : "127.0.0.1:4199"), &options.address, &loopback))
        return cli_complain(call->command, "--listen wants an address like 127.0.0.1:4199");
    if (!check_fault(options.fault, &error)) {
        fail(call, "--fault: ", &error);
        return CLI_USAGE;
    }
    return serve_until_signal(call, &options);
}

#define HELP(kind, field, help) "  " help "\n"

const struct cli_command mock_command = {
    .name = "mock",
    .summary = "serve made-up answers and every kind of failure",
    .options = { { "listen", 'l', "ADDRESS", "listen here (127.0.0.1:4199; port 0: any)" },
                 { "workers", 'w', "N", "threads (1)" },
                 { "script", 's', "FILE", "ask this Lua file what to do with each request" },
                 { "fault", 'f', "WORDS", "what a request that says nothing gets" } },
    .notes =
        "It speaks, under any prefix, Chat Completions, Responses, Messages and count_tokens, "
        "Gemini's\n"
        "generateContent, Bedrock's Converse, completions, embeddings and an OAuth token endpoint. "
        "What a\n"
        "request gets is said by the first of: the script, the header `x-mock: WORDS`, a path that "
        "begins\n"
        "with /~WORDS/ (so that a provider's base_url chooses it), --fault. WORDS are separated by "
        "';', as\n"
        "in status=429;retry_after=2\n"
        "\n"
        "What a good answer looks like:\n" MOCK_SHAPE_WORDS(
            HELP) "\n"
                  "What vendors of Chat Completions do to it:\n" MOCK_QUIRK_WORDS(
                      HELP) "\n"
                            "What goes wrong:\n" MOCK_HARM_WORDS(
                                HELP) "\n"
                                      "Who gets it:\n" MOCK_TURN_WORDS(
                                          HELP) "\n"
                                                "A script returns function(req) with req.n, "
                                                "method, path, provider, model, stream, headers "
                                                "and\n"
                                                "body; it returns a table of WORDS or nothing.\n"
                                                "\n"
                                                "GET /_mock/stats tells what was served, DELETE "
                                                "/_mock/stats forgets it; GET /_mock/last "
                                                "and\n"
                                                "/_mock/requests show requests as they came.\n",
    .examples = "perilune mock\n"
                "perilune mock --listen 127.0.0.1:0 --fault \"status=429;retry_after=2\"\n",
    .main = mock_main,
};
