/* mock_serve.c - requests at the mock. */
#include "cli/mock_serve.h"

#include "cli/mock_route.h"

/* ---- turns ---- */

void mock_turns_init(struct mock_turns *t) {
    memset(t, 0, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
}

void mock_turns_deinit(struct mock_turns *t) {
    mock_tally_clear(&t->by_words);
    pthread_mutex_destroy(&t->lock);
}

void mock_turns_reset(struct mock_turns *t) {
    pthread_mutex_lock(&t->lock);
    mock_tally_clear(&t->by_words);
    t->scripted = 0;
    pthread_mutex_unlock(&t->lock);
}

static uint64_t next_turn(struct mock_turns *t, struct span words) {
    pthread_mutex_lock(&t->lock);
    uint64_t n = mock_tally_add(&t->by_words, words);
    pthread_mutex_unlock(&t->lock);
    return n;
}

static uint64_t next_scripted(struct mock_turns *t) {
    pthread_mutex_lock(&t->lock);
    uint64_t n = ++t->scripted;
    pthread_mutex_unlock(&t->lock);
    return n;
}

/* ---- replies that are no answers ---- */

static const struct pair json_type_header = { { "content-type", 12 }, { "application/json", 16 } };

/* In the dialect's shape; in OpenAI's where there is none. */
static void reply_error(struct conn *c, const struct mock_dialect *dialect, int status,
                        const struct mock_wrong *wrong) {
    struct pair headers[2] = { json_type_header };
    struct mock_error e = { .status = status };
    struct buf body = { 0 };
    size_t n = 1;
    dialect = dialect ? dialect : &mock_openai_chat;
    dialect->names(&e);
    e.message = wrong->message;
    e.param = wrong->param;
    e.type = wrong->type.at ? wrong->type : e.type;
    e.code = wrong->code;
    dialect->error(&e, &body);
    if (dialect->error_header)
        headers[n++] = (struct pair){ span_of(dialect->error_header), e.type };
    conn_reply(c, status, headers, n, buf_span(&body));
    buf_deinit(&body);
}

static void reply_wrong(struct conn *c, int status, const char *message) {
    struct mock_wrong wrong = { .message = span_of(message) };
    reply_error(c, NULL, status, &wrong);
}

static void reply_models(struct conn *c, const struct http_message *m, struct span path) {
    struct buf body = { 0 };
    mock_route_models(path, http_header(m, SPAN("anthropic-version")), &body);
    conn_reply(c, 200, &json_type_header, 1, buf_span(&body));
    buf_deinit(&body);
}

/* ---- what a request is ---- */

struct request {
    struct span words;    /* of "/~words/..."; SPAN_NONE */
    struct span path;     /* behind them */
    struct span provider; /* its first segment, unless that is the API's own */
};

static struct request read_path(struct span path) {
    struct request r = { .path = path };
    if (span_starts(path, SPAN("/~"))) {
        struct span rest = span_sub(path, 2, SIZE_MAX);
        r.words = span_sub(rest, 0, span_find(rest, '/'));
        r.path = span_sub(rest, r.words.len, SIZE_MAX);
    }
    struct span first = span_sub(r.path, 1, SIZE_MAX);
    first.len = span_find(first, '/');
    if (first.len && !mock_route_is_api(first))
        r.provider = first;
    return r;
}

/* ---- which fault ---- */

/* Words that harm only some requests. `words` is what they are counted under. */
static void take_turns(struct mock_serve *s, struct mock_fault *f, struct span words) {
    if (f->fail_first < 0 && f->every <= 0)
        return;
    uint64_t n = next_turn(s->options->turns, words);
    if (f->fail_first >= 0 && n > (uint64_t)f->fail_first)
        mock_fault_heal(f);
    if (f->every > 0 && n % (uint64_t)f->every != 0)
        mock_fault_heal(f);
}

static bool parse_words(struct mock_serve *s, struct mock_fault *f, struct span words,
                        struct arena *arena, struct buf *error) {
    if (!mock_fault_parse(f, words, arena, error))
        return false;
    take_turns(s, f, words);
    return true;
}

/* The script, then the header, then the path, then --fault: the first that says something decides.
 * Who the request is for (name=) is always the path's to say. */
static bool choose_fault(struct mock_serve *s, struct http_message *m, const struct mock_ask *ask,
                         struct request *r, struct mock_fault *f, struct buf *error) {
    struct mock_fault named;
    struct span header = http_header(m, SPAN("x-mock"));
    mock_fault_init(&named);
    if (!mock_fault_parse(&named, r->words, &m->arena, error))
        return false;
    if (named.name.at)
        r->provider = named.name;
    mock_fault_init(f);
    f->name = named.name;
    if (s->script) {
        struct mock_script_request question = { next_scripted(s->options->turns), m, r->path,
                                                r->provider, ask };
        switch (mock_script_ask(s->script, &question, f, &m->arena, error)) {
        case MOCK_SCRIPT_SPOKE:
            return true;
        case MOCK_SCRIPT_FAILED:
            return false;
        case MOCK_SCRIPT_SILENT:
            break;
        }
    }
    if (header.at)
        return parse_words(s, f, header, &m->arena, error);
    if (r->words.at)
        return parse_words(s, f, r->words, &m->arena, error);
    return parse_words(s, f, s->options->fault, &m->arena, error);
}

/* ---- serving ---- */

/* Reads the request, chooses what it gets, checks it unless that says otherwise. False: it was
 * answered with what is wrong. */
static bool read_post(struct mock_serve *s, struct conn *c, const struct mock_dialect *dialect,
                      struct http_message *m, struct request *r, struct mock_ask *ask,
                      struct mock_fault *fault) {
    struct mock_post post = { .path = r->path,
                              .query = m->query,
                              .version = http_header(m, SPAN("anthropic-version")),
                              .body = m->body.at ? buf_span(&m->body) : SPAN("") };
    struct mock_wrong wrong = { 0 };
    struct buf error = { 0 };
    bool fine = mock_ask_read(ask, dialect, s->json, &post, &m->arena, &wrong);
    if (fine) {
        if (ask->model.len)
            mock_tally_add(&s->count.by_model, ask->model);
        fine = choose_fault(s, m, ask, r, fault, &error);
        /* Whoever runs the mock made a mistake: as loud as can be. */
        wrong.message = buf_span(&error);
    }
    if (fine && dialect->check && !fault->shape.lenient)
        fine = dialect->check(&post, &m->arena, &wrong);
    if (!fine)
        reply_error(c, dialect, wrong.status ? wrong.status : 400, &wrong);
    buf_deinit(&error);
    return fine;
}

static void serve_post(struct mock_serve *s, struct conn *c, const struct mock_dialect *dialect,
                       struct mock_received *received, struct request *r) {
    struct mock_ask ask;
    struct mock_fault fault;
    if (!read_post(s, c, dialect, received->message, r, &ask, &fault)) {
        mock_received_release(received);
        return;
    }
    if (fault.name.at)
        mock_tally_add(&s->count.by_name, fault.name);
    mock_call_begin(&s->desk, c, dialect, received, &fault, &ask);
}

static void serve_question(struct mock_serve *s, struct conn *c, const struct http_message *m) {
    bool get = span_eq(m->method, SPAN("GET"));
    if (span_eq(m->path, SPAN("/_mock/stats")) && get)
        s->events->on_question(s->owner, c, MOCK_STATS);
    else if (span_eq(m->path, SPAN("/_mock/stats")) && span_eq(m->method, SPAN("DELETE")))
        s->events->on_question(s->owner, c, MOCK_RESET);
    else if (span_eq(m->path, SPAN("/_mock/last")) && get)
        s->events->on_question(s->owner, c, MOCK_LAST);
    else if (span_eq(m->path, SPAN("/_mock/requests")) && get)
        s->events->on_question(s->owner, c, MOCK_REQUESTS);
    else
        reply_wrong(c, 404,
                    "There are GET and DELETE /_mock/stats, GET /_mock/last and GET "
                    "/_mock/requests.");
}

static void on_message(void *owner, struct conn *c, struct http_message *m) {
    struct mock_serve *s = owner;
    if (span_starts(m->path, SPAN("/_mock/"))) {
        serve_question(s, c, m);
        http_message_free(m);
        return;
    }
    struct request r = read_path(m->path);
    struct mock_received *received = mock_count_received(&s->count, m);
    s->count.numbers.requests++;
    mock_tally_add(&s->count.by_path, m->path);
    const struct mock_dialect *dialect = mock_route_find(r.path);
    if (dialect && span_eq(m->method, SPAN("POST"))) {
        serve_post(s, c, dialect, received, &r);
        return;
    }
    if (span_ends(r.path, SPAN("/models")) && span_eq(m->method, SPAN("GET")))
        reply_models(c, m, r.path);
    else if (dialect)
        reply_wrong(c, 405, "This is asked for by POST.");
    else
        reply_wrong(c, 404,
                    "The mock serves POST .../chat/completions, .../responses, .../messages, "
                    ".../models/MODEL:generateContent, .../model/MODEL/converse and others, and "
                    "GET .../models.");
    mock_received_release(received);
}

static void on_bad_message(void *owner, struct conn *c, int status, const char *why) {
    (void)owner;
    reply_wrong(c, status, why);
}

static void on_close(void *owner, struct conn *c) {
    struct mock_serve *s = owner;
    (void)c;
    s->count.numbers.connections++;
    if (s->listener)
        listener_resume(s->listener);
}

static const struct conn_events conn_events = { .on_message = on_message,
                                                .on_bad_message = on_bad_message,
                                                .on_close = on_close };

/* ---- beginning and end ---- */

bool mock_serve_open(struct mock_serve *s, uv_loop_t *loop, const struct mock_options *options,
                     unsigned index, const struct mock_serve_events *events, void *owner,
                     struct buf *error) {
    memset(s, 0, sizeof *s);
    s->options = options;
    s->events = events;
    s->owner = owner;
    s->server = (struct conn_server){
        .loop = loop,
        .limits = { .max_line = 64 << 10,
                    .max_header_bytes = 256 << 10,
                    .max_headers = 1000,
                    .max_body = 256 << 20 },
        .write_ms = 60000,
        .events = &conn_events,
        .owner = s,
    };
    s->desk = (struct mock_desk){
        .loop = loop, .count = &s->count, .serial = index, .serial_step = options->workers
    };
    if (options->script && !(s->script = mock_script_new(options->script, error)))
        return false;
    int err = listener_open(&s->listener, &options->address, 0, &s->server);
    if (err) {
        buf_add(error, span_of(uv_strerror(err)));
        mock_script_free(s->script);
        return false;
    }
    s->json = json_parser_new();
    return true;
}

void mock_serve_close(struct mock_serve *s) {
    listener_close(s->listener);
    s->listener = NULL;
    conn_close_all(&s->server, true);
}

void mock_serve_deinit(struct mock_serve *s) {
    mock_count_reset(&s->count);
    json_parser_free(s->json);
    mock_script_free(s->script);
    buf_deinit(&s->desk.out);
    buf_deinit(&s->desk.body);
}
