#include "route/feedback.h"

#include "base/clock.h"
#include "money/money.h"
#include "money/search.h"
#include "route/engine.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum {
    AGAIN_MS = 50,
    PATIENCE_MS = 2000, /* many times what it takes until an answer is in the ledger */
    WAITING_MAX = 1024, /* a worker */
    ID_MAX = 64
};

/* One word about one request; in its message's arena. */
struct said {
    struct said *next, **back; /* in feedback.waiting, or of those being looked up */
    struct feedback *desk;
    struct conn *conn; /* NULL once the client is gone */
    struct http_message *message;
    struct span key; /* whose word it is; SPAN_NONE: no keys are wanted */
    struct entry_feedback word;
    uint64_t until_ms;
    bool asked; /* a thread looks */
    int found;  /* as search_owner() says, negative also where it could not be asked */
    struct search_who who;
};

struct feedback {
    struct worker *worker;
    struct search *search; /* belongs to the thread while one looks; NULL: to be opened */
    struct said *waiting;
    struct said *looked_up; /* while a thread looks */
    size_t n;               /* in both */
    struct wheel_timer again;
    uv_work_t work;
};

/* --- lists ---------------------------------------------------------------------------------- */

static void join(struct said *s) {
    s->next = s->desk->waiting;
    s->back = &s->desk->waiting;
    if (s->next)
        s->next->back = &s->next;
    s->desk->waiting = s;
}

/* It is answered, or there is nobody to answer. */
static void forget(struct said *s) {
    *s->back = s->next;
    if (s->next)
        s->next->back = s->back;
    s->desk->n--;
    http_message_free(s->message);
}

/* --- the end -------------------------------------------------------------------------------- */

static void refuse(struct said *s, enum error_code code, struct span why) {
    struct api_error error = api_error(code, why);
    if (code == ERROR_NOT_FOUND)
        error.param = SPAN("id");
    worker_refuse(s->desk->worker, s->conn, s->message, &error);
}

static void confirm(struct said *s) {
    struct buf body = { 0 };
    buf_add(&body, SPAN("{\"id\":"));
    buf_add_json(&body, s->word.request);
    buf_printf(&body, ",\"score\":%.15g,\"label\":", s->word.score);
    if (s->word.label.at)
        buf_add_json(&body, s->word.label);
    else
        buf_add(&body, SPAN("null"));
    buf_add_char(&body, '}');
    worker_answer(s->desk->worker, s->conn, s->message, 200, buf_span(&body));
    buf_deinit(&body);
}

static void answer(struct said *s) {
    if (s->found < 0)
        refuse(s, ERROR_LEDGER_UNAVAILABLE, SPAN("The ledger can not be read."));
    else if (s->found > 0 || !span_eq(s->who.key, s->key))
        refuse(s, ERROR_NOT_FOUND,
               SPAN("No request of yours with that id is recorded: send the x-request-id of an "
                    "answer."));
    else if (journal_feedback(s->desk->worker->journal, &s->word) < 0)
        refuse(s, ERROR_LEDGER_UNAVAILABLE, SPAN("The ledger's disk takes no more."));
    else
        confirm(s);
}

/* --- looking up ----------------------------------------------------------------------------- */

/* On a thread of the pool. */
static void look(uv_work_t *work) {
    struct feedback *f = work->data;
    struct store_error error;
    if (!f->search)
        f->search = search_open(ledger_path(f->worker->engine->money->ledger), &error);
    for (struct said *s = f->looked_up; s; s = s->next)
        s->found =
            f->search ? search_owner(f->search, s->word.request, &s->message->arena, &s->who) : -1;
}

static void on_looked(uv_work_t *work, int status);

static void begin(struct feedback *f) {
    struct worker *w = f->worker;
    if (f->looked_up || !f->waiting)
        return;
    wheel_disarm(&w->wheel, &f->again);
    f->looked_up = f->waiting;
    f->looked_up->back = &f->looked_up;
    f->waiting = NULL;
    for (struct said *s = f->looked_up; s; s = s->next)
        s->asked = true;
    uv_queue_work(&w->loop, &f->work, look, on_looked);
}

static void on_again(void *owner) {
    begin(owner);
}

static bool is_to_wait(const struct said *s) {
    return s->conn && s->found > 0 && worker_now(s->desk->worker) < s->until_ms;
}

static void on_looked(uv_work_t *work, int status) {
    struct feedback *f = work->data;
    struct worker *w = f->worker;
    struct said *s = f->looked_up, *next;
    f->looked_up = NULL;
    for (; s; s = next) {
        next = s->next;
        s->asked = false;
        join(s);
        if (is_to_wait(s))
            continue;
        if (s->conn)
            answer(s);
        forget(s);
    }
    if (f->waiting)
        worker_arm(w, &f->again, worker_now(w) + AGAIN_MS);
}

/* --- the client ----------------------------------------------------------------------------- */

static void on_gone(void *user) {
    struct said *s = user;
    s->conn = NULL;
    if (!s->asked)
        forget(s);
}

static void on_drain(void *user) {}

static const struct conn_user client_events = { .on_drain = on_drain, .on_gone = on_gone };

/* --- what is said --------------------------------------------------------------------------- */

static bool wrong(struct api_error *error, struct span field, struct span why) {
    *error = api_error(ERROR_INVALID_REQUEST, why);
    error->param = field;
    return false;
}

static bool read_id(struct json_value v, struct entry_feedback *word, struct arena *arena) {
    struct span id = json_text(v);
    word->request = arena_copy(arena, id);
    return id.len > 0 && id.len <= ID_MAX;
}

static bool read_score(struct json_value v, struct entry_feedback *word, struct arena *arena) {
    word->score = json_number(v, NAN);
    return fabs(word->score) <= ENTRY_SCORE_MAX;
}

static bool read_label(struct json_value v, struct entry_feedback *word, struct arena *arena) {
    struct span label = json_text(v);
    word->label = label.len ? arena_copy(arena, label) : SPAN_NONE;
    return label.len <= ENTRY_LABEL_MAX && (label.at || json_type(v) == JSON_NULL);
}

static const struct {
    const char *name;
    bool (*read)(struct json_value v, struct entry_feedback *word, struct arena *arena);
    const char *expected;
    bool required;
} fields[] = {
    { "id", read_id, "the x-request-id of an answer", true },
    { "score", read_score, "a number from -1000000 to 1000000", true },
    { "label", read_label, "a text of at most 64 bytes, or null", false },
};
enum { FIELDS = sizeof fields / sizeof *fields };

static size_t field_at(struct span name) {
    size_t i = 0;
    while (i < FIELDS && !span_eq(name, span_of(fields[i].name)))
        i++;
    return i;
}

static bool read_fields(struct json_value root, struct entry_feedback *word, struct arena *arena,
                        struct api_error *error) {
    bool there[FIELDS + 1] = { false };
    for (struct json_iter it = json_iter(root); json_next(&it);) {
        size_t i = field_at(it.key);
        struct span name = arena_copy(arena, span_sub(it.key, 0, ID_MAX));
        if (i == FIELDS)
            return wrong(error, name, SPAN("Feedback has the fields id, score and label."));
        if (there[i])
            return wrong(error, name, SPAN("A field stands twice in the body."));
        if (!fields[i].read(it.value, word, arena))
            return wrong(error, name,
                         arena_printf(arena, "%s must be %s.", fields[i].name, fields[i].expected));
        there[i] = true;
    }
    for (size_t i = 0; i < FIELDS; i++)
        if (fields[i].required && !there[i])
            return wrong(
                error, span_of(fields[i].name),
                arena_printf(arena, "%s is missing: %s.", fields[i].name, fields[i].expected));
    return true;
}

static bool read_word(struct worker *w, struct http_message *m, struct entry_feedback *word,
                      struct api_error *error) {
    struct json_value root;
    if (json_parse(w->parser, buf_span(&m->body), &root) != JSON_OK ||
        json_type(root) != JSON_OBJECT)
        return wrong(error, SPAN_NONE, SPAN("The body must be a JSON object."));
    word->at_us = clock_wall_ms() * 1000;
    return read_fields(root, word, &m->arena, error);
}

static bool has_room(const struct feedback *f, struct api_error *error) {
    if (!f) {
        *error = api_error(ERROR_NOT_FOUND, SPAN("No ledger is kept here: there are no requests "
                                                 "to speak of."));
        return false;
    }
    *error = api_error(ERROR_OVERLOADED, SPAN("Too much feedback waits to be recorded."));
    error->retry_after_ms = 1000;
    return f->n < WAITING_MAX;
}

void feedback_take(struct feedback *f, struct worker *w, struct conn *c, struct http_message *m,
                   const struct key *key) {
    struct said *s = arena_new(&m->arena, struct said);
    struct api_error error;
    if (!read_word(w, m, &s->word, &error) || !has_room(f, &error)) {
        worker_refuse(w, c, m, &error);
        http_message_free(m);
        return;
    }
    s->desk = f;
    s->conn = c;
    s->message = m;
    s->key = key ? key->id : SPAN_NONE;
    s->until_ms = worker_now(w) + PATIENCE_MS;
    f->n++;
    join(s);
    conn_attach(c, &client_events, s);
    begin(f);
}

/* --- the desk ------------------------------------------------------------------------------- */

struct feedback *feedback_new(struct worker *w) {
    if (!w->engine->money->ledger)
        return NULL;
    struct feedback *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    f->worker = w;
    f->work.data = f;
    f->again = (struct wheel_timer){ .fire = on_again, .owner = f };
    return f;
}

bool feedback_idle(const struct feedback *f) {
    return !f || f->n == 0;
}

void feedback_free(struct feedback *f) {
    if (!f)
        return;
    assert(f->n == 0);
    search_close(f->search);
    free(f);
}
