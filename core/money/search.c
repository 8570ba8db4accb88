#include "money/search.h"

#include "base/clock.h"
#include "money/fold.h"

#include <sqlite3.h>
#include <stdlib.h>

enum {
    PAGE = 50,
    BATCH = 256,     /* candidates asked of an index at once */
    TAGS_MAX = 64,   /* tags that hold the text; with more, tags are looked at one by one */
    VALUES_MAX = 100 /* of an index that one query looks through: all statuses of a hundred */
};

/* The indexes, the one that is likely to know the fewest requests first: the first whose value the
 * query
 * names leads. Each gives times of requests, newest first, out of the index alone. */
enum lead {
    BY_SESSION,
    BY_TAG,
    BY_CLASS,
    BY_STATUS,
    BY_ARM,
    BY_KEY,
    BY_TARGET,
    BY_COST,
    BY_PROJECT,
    BY_TIME,
    LEADS
};

enum { NAME = LEADS, TAGS, CHECK, TRIED, ROW, ROW_OF_ID, ATTEMPTS, OWNER, BODIES, STATEMENTS };

#define BELOW " AND at < ?1 AND at >= ?2 ORDER BY at DESC LIMIT ?3"
#define BELOW_REQUEST " AND request < ?1 AND request >= ?2 ORDER BY request DESC LIMIT ?3"

static const char *const texts[STATEMENTS] = {
    [BY_SESSION] = "SELECT at FROM requests WHERE session = ?4" BELOW,
    [BY_TAG] = "SELECT request FROM request_tags WHERE tag = ?4" BELOW_REQUEST,
    [BY_CLASS] = "SELECT at FROM requests WHERE class = ?4" BELOW,
    [BY_STATUS] = "SELECT at FROM requests WHERE status = ?4 AND status >= 300" BELOW,
    [BY_ARM] = "SELECT at FROM requests WHERE arm = ?4" BELOW,
    [BY_KEY] = "SELECT at FROM requests WHERE key = ?4" BELOW,
    [BY_TARGET] = "SELECT DISTINCT request FROM attempts WHERE target = ?4" BELOW_REQUEST,
    [BY_COST] = "SELECT at FROM requests WHERE cost_class = ?4" BELOW,
    [BY_PROJECT] = "SELECT at FROM requests WHERE project = ?4" BELOW,
    [BY_TIME] = "SELECT at FROM requests WHERE ?4 IS NOT NULL" BELOW,
    [NAME] = "SELECT id FROM names WHERE tag = 0 AND text = ?1",
    [TAGS] = "SELECT id FROM names WHERE tag = 1 AND instr(text, ?1) LIMIT ?2",
    [CHECK] = "SELECT session, tags, class, status, arm, key, cost, project FROM requests"
              " WHERE at = ?1",
    [TRIED] = "SELECT 1 FROM attempts WHERE target = ?1 AND request = ?2",
    [ROW] =
        "SELECT r.at, r.id, project.text, key.text, tier.text, endpoint.text, r.model,"
        " policy.text, assignment.text, arm.text, r.chain, r.session, r.user, r.tags, r.outcome,"
        " r.status, class.text, error.text, r.stream, r.free, r.queue_us, r.policy_us,"
        " r.first_us, r.total_us, r.attempts, r.unpriced, r.estimated, r.input, r.cached,"
        " r.written, r.output, r.reasoning, r.cost, r.billed, r.most,"
        " feedback.score, feedback.label FROM requests r"
        " LEFT JOIN feedback ON feedback.request = r.at"
        " LEFT JOIN names project ON project.id = r.project"
        " LEFT JOIN names key ON key.id = r.key"
        " LEFT JOIN names tier ON tier.id = r.tier"
        " LEFT JOIN names endpoint ON endpoint.id = r.endpoint"
        " LEFT JOIN names policy ON policy.id = r.policy"
        " LEFT JOIN names assignment ON assignment.id = r.assignment"
        " LEFT JOIN names arm ON arm.id = r.arm"
        " LEFT JOIN names class ON class.id = r.class"
        " LEFT JOIN names error ON error.id = r.error WHERE r.at = ?1",
    [ROW_OF_ID] = "SELECT at FROM requests WHERE id = ?1",
    [ATTEMPTS] = "SELECT a.number, target.text, upstream.text, a.upstream_id, a.began_us, a.status,"
                 " class.text, a.connect_us, a.first_us, a.total_us, a.input, a.cached, a.written,"
                 " a.output, a.reasoning, a.estimated, a.hedge, a.won, a.price_input,"
                 " a.price_output, a.price_cached, a.price_written, a.cost, a.billed, a.most"
                 " FROM attempts a"
                 " LEFT JOIN names target ON target.id = a.target"
                 " LEFT JOIN names upstream ON upstream.id = a.upstream"
                 " LEFT JOIN names class ON class.id = a.class"
                 " WHERE a.request = ?1 ORDER BY a.number",
    [OWNER] = "SELECT key.text, project.text FROM requests r"
              " LEFT JOIN names key ON key.id = r.key"
              " LEFT JOIN names project ON project.id = r.project WHERE r.id = ?1",
    [BODIES] = "SELECT part, cut, bytes FROM bodies WHERE request = ?1",
};

struct search {
    struct sqlite3 *db;
    struct sqlite3_stmt *statements[STATEMENTS];
};

struct search *search_open(const char *path, struct store_error *error) {
    struct search *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->db = store_open_reader(path, &fold_schema, error);
    for (int i = 0; s->db && i < STATEMENTS; i++) {
        s->statements[i] = store_prepare(s->db, texts[i]);
        if (!s->statements[i]) {
            store_explain(error, fold_schema.what, path, sqlite3_errcode(s->db));
            search_close(s);
            return NULL;
        }
    }
    if (s->db)
        return s;
    free(s);
    return NULL;
}

void search_close(struct search *s) {
    if (!s)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    free(s);
}

/* --- rows ------------------------------------------------------------------------------------- */

/* Reads columns one after the other. */
struct columns {
    struct sqlite3_stmt *s;
    int at;
    struct arena *arena;
};

static int64_t number(struct columns *c) {
    return sqlite3_column_int64(c->s, c->at++);
}

static int64_t known(struct columns *c) {
    return store_known(c->s, c->at++);
}

static struct span text(struct columns *c) {
    return arena_copy(c->arena, store_text(c->s, c->at++));
}

static enum failure class(struct columns *c) { return failure_of(store_text(c->s, c->at++)); }

static struct entry_tokens tokens(struct columns *c) {
    struct entry_tokens t;
    t.input = known(c);
    t.cached = known(c);
    t.written = known(c);
    t.output = known(c);
    t.reasoning = known(c);
    return t;
}

/* Tags as they stand in a row: a line feed behind each. */
static void split_tags(struct entry *e, struct span joined, struct arena *arena) {
    struct span *tags = arena_new_array(arena, struct span, ENTRY_TAGS_MAX);
    while (joined.len && e->n_tags < ENTRY_TAGS_MAX) {
        size_t len = span_find(joined, '\n');
        tags[e->n_tags++] = span_sub(joined, 0, len);
        joined = span_sub(joined, len + 1, SIZE_MAX);
    }
    e->tags = tags;
}

static void read_row(struct columns *c, struct search_row *row) {
    struct entry *e = &row->entry;
    *row = (struct search_row){ 0 };
    e->at_us = (uint64_t)number(c);
    e->id = text(c);
    e->project = text(c);
    e->key = text(c);
    e->tier = text(c);
    e->endpoint = text(c);
    e->model = text(c);
    e->policy = text(c);
    e->assignment = text(c);
    e->arm = text(c);
    e->chain = text(c);
    e->session = text(c);
    e->user = text(c);
    split_tags(e, text(c), c->arena);
    e->outcome = (enum entry_outcome)number(c);
    e->status = (int)number(c);
    e->failure = class(c);
    e->error = text(c);
    e->stream = number(c);
    e->free = number(c);
    e->queue_us = known(c);
    e->policy_us = known(c);
    e->first_us = known(c);
    e->total_us = known(c);
    row->n_attempts = (size_t)number(c);
    row->sums.unpriced = (unsigned)number(c);
    row->sums.estimated = number(c);
    row->sums.tokens = tokens(c);
    row->sums.cost = known(c);
    row->sums.billed = known(c);
    row->sums.most = known(c);
    row->scored = sqlite3_column_type(c->s, c->at) != SQLITE_NULL;
    row->score = sqlite3_column_double(c->s, c->at++);
    row->label = text(c);
}

static void read_attempt(struct columns *c, struct entry_attempt *a) {
    a->number = (unsigned)number(c);
    a->target = text(c);
    a->upstream = text(c);
    a->upstream_id = text(c);
    a->began_us = (uint64_t)number(c);
    a->status = (int)number(c);
    a->failure = class(c);
    a->connect_us = known(c);
    a->first_us = known(c);
    a->total_us = known(c);
    a->tokens = tokens(c);
    a->estimated = number(c);
    a->hedge = number(c);
    a->won = number(c);
    a->price.input = known(c);
    a->price.output = known(c);
    a->price.cached = known(c);
    a->price.cache_write = known(c);
    a->cost = known(c);
    a->billed = known(c);
    a->most = known(c);
}

/* The row of that time. 1: it is gone. */
static int row_at(struct search *s, uint64_t at, struct arena *arena, struct search_row *row) {
    struct sqlite3_stmt *q = s->statements[ROW];
    sqlite3_bind_int64(q, 1, (int64_t)at);
    int result = sqlite3_step(q);
    if (result == SQLITE_ROW)
        read_row(&(struct columns){ q, 0, arena }, row);
    sqlite3_reset(q);
    return result == SQLITE_ROW ? 0 : result == SQLITE_DONE ? 1 : -result;
}

static int attempts_of(struct search *s, uint64_t at, struct arena *arena, struct entry *e) {
    struct sqlite3_stmt *q = s->statements[ATTEMPTS];
    struct entry_attempt *attempts =
        arena_new_array(arena, struct entry_attempt, ENTRY_ATTEMPTS_MAX);
    sqlite3_bind_int64(q, 1, (int64_t)at);
    int result;
    while ((result = sqlite3_step(q)) == SQLITE_ROW && e->n_attempts < ENTRY_ATTEMPTS_MAX)
        read_attempt(&(struct columns){ q, 0, arena }, &attempts[e->n_attempts++]);
    sqlite3_reset(q);
    e->attempts = attempts;
    return result == SQLITE_DONE || result == SQLITE_ROW ? 0 : -result;
}

int search_request(struct search *s, struct span id, struct arena *arena, struct search_row *row) {
    struct sqlite3_stmt *q = s->statements[ROW_OF_ID];
    store_bind_text(q, 1, id);
    int result = sqlite3_step(q);
    uint64_t at = result == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(q, 0) : 0;
    sqlite3_reset(q);
    if (result != SQLITE_ROW)
        return result == SQLITE_DONE ? 1 : -result;
    result = row_at(s, at, arena, row);
    return result ? result : attempts_of(s, at, arena, &row->entry);
}

int search_owner(struct search *s, struct span id, struct arena *arena, struct search_who *who) {
    struct sqlite3_stmt *q = s->statements[OWNER];
    struct columns c = { q, 0, arena };
    store_bind_text(q, 1, id);
    int result = sqlite3_step(q);
    *who = (struct search_who){ 0 };
    if (result == SQLITE_ROW) {
        who->key = text(&c);
        who->project = text(&c);
    }
    sqlite3_reset(q);
    return result == SQLITE_ROW ? 0 : result == SQLITE_DONE ? 1 : -result;
}

int search_bodies(struct search *s, struct span id, struct arena *arena,
                  struct search_body bodies[ENTRY_PARTS]) {
    struct sqlite3_stmt *q = s->statements[BODIES];
    int result;
    memset(bodies, 0, ENTRY_PARTS * sizeof *bodies);
    store_bind_text(q, 1, id);
    while ((result = sqlite3_step(q)) == SQLITE_ROW) {
        unsigned part = (unsigned)sqlite3_column_int(q, 0);
        const char *at = sqlite3_column_blob(q, 2);
        struct span bytes = { at ? at : "", (size_t)sqlite3_column_bytes(q, 2) };
        if (part < ENTRY_PARTS)
            bodies[part] =
                (struct search_body){ arena_copy(arena, bytes), sqlite3_column_int(q, 1) };
    }
    sqlite3_reset(q);
    return result == SQLITE_DONE ? 0 : -result;
}

/* --- what is looked for ----------------------------------------------------------------------- */

/* A query in the numbers the tables have; 0: does not matter. */
struct wanted {
    const struct search_query *q;
    int64_t key, project, arm, target, class;
    int64_t tags[TAGS_MAX];
    size_t n_tags;
    bool nothing; /* names something nobody ever had */
    enum lead lead;
    int64_t values[VALUES_MAX]; /* of the index that leads */
    size_t n_values;
};

static int find_name(struct search *s, struct span name, int64_t *id, bool *nothing) {
    struct sqlite3_stmt *q = s->statements[NAME];
    if (!name.at)
        return 0;
    store_bind_text(q, 1, name);
    int result = sqlite3_step(q);
    if (result == SQLITE_ROW)
        *id = sqlite3_column_int64(q, 0);
    else if (result == SQLITE_DONE)
        *nothing = true;
    sqlite3_reset(q);
    return result == SQLITE_ROW || result == SQLITE_DONE ? 0 : -result;
}

static int find_tags(struct search *s, struct wanted *w) {
    struct sqlite3_stmt *q = s->statements[TAGS];
    int64_t id;
    size_t n = 0;
    if (!w->q->tag.len)
        return 0;
    store_bind_text(q, 1, w->q->tag);
    sqlite3_bind_int(q, 2, TAGS_MAX + 1);
    int result;
    while ((result = sqlite3_step(q)) == SQLITE_ROW) {
        id = sqlite3_column_int64(q, 0);
        if (n < TAGS_MAX)
            w->tags[n] = id;
        n++;
    }
    sqlite3_reset(q);
    w->nothing |= n == 0;
    w->n_tags = n <= TAGS_MAX ? n : 0;
    return result == SQLITE_DONE ? 0 : -result;
}

static int find_names(struct search *s, struct wanted *w) {
    const struct search_query *q = w->q;
    struct span failure = q->failure ? span_of(failure_name(q->failure)) : SPAN_NONE;
    int result = find_name(s, q->key, &w->key, &w->nothing);
    if (result == 0)
        result = find_name(s, q->project, &w->project, &w->nothing);
    if (result == 0)
        result = find_name(s, q->arm, &w->arm, &w->nothing);
    if (result == 0)
        result = find_name(s, q->target, &w->target, &w->nothing);
    if (result == 0)
        result = find_name(s, failure, &w->class, &w->nothing);
    return result == 0 ? find_tags(s, w) : result;
}

static void lead_by(struct wanted *w, enum lead lead, int64_t value) {
    w->lead = lead;
    w->values[0] = value;
    w->n_values = 1;
}

/* All from one to another. */
static void lead_by_range(struct wanted *w, enum lead lead, int64_t from, int64_t to) {
    lead_by(w, lead, from);
    while (from < to)
        w->values[w->n_values++] = ++from;
}

static void choose_lead(struct wanted *w) {
    const struct search_query *q = w->q;
    if (q->session.at)
        lead_by(w, BY_SESSION, 0);
    else if (w->n_tags) {
        w->lead = BY_TAG;
        w->n_values = w->n_tags;
        memcpy(w->values, w->tags, sizeof w->tags);
    } else if (w->class)
        lead_by(w, BY_CLASS, w->class);
    else if (q->status >= 300)
        lead_by(w, BY_STATUS, q->status);
    else if (q->status >= 3 && q->status < 10)
        lead_by_range(w, BY_STATUS, q->status * 100, q->status * 100 + 99);
    else if (w->arm)
        lead_by(w, BY_ARM, w->arm);
    else if (w->key)
        lead_by(w, BY_KEY, w->key);
    else if (w->target)
        lead_by(w, BY_TARGET, w->target);
    else if (q->min_cost > 0)
        lead_by_range(w, BY_COST, fold_cost_class(q->min_cost), fold_cost_class(INT64_MAX));
    else if (w->project)
        lead_by(w, BY_PROJECT, w->project);
    else
        lead_by(w, BY_TIME, 1);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* Times of requests that may fit, newest first, each once. */
struct candidates {
    uint64_t at[VALUES_MAX * BATCH];
    size_t n;
};

static int newest_first(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

/* Sorted, each once, the newest BATCH of them. */
static void settle(struct candidates *c) {
    size_t kept = 0;
    qsort(c->at, c->n, sizeof *c->at, newest_first);
    for (size_t i = 0; i < c->n && kept < BATCH; i++)
        if (!i || c->at[i] != c->at[i - 1])
            c->at[kept++] = c->at[i];
    c->n = kept;
}

/* The newest requests before `before` that the leading index has for any of the values. Fewer than
 * BATCH:
 * these are all. */
static int find_candidates(struct search *s, const struct wanted *w, uint64_t before,
                           struct candidates *c) {
    struct sqlite3_stmt *q = s->statements[w->lead];
    int result = SQLITE_DONE;
    c->n = 0;
    for (size_t i = 0; i < w->n_values && result == SQLITE_DONE; i++) {
        sqlite3_bind_int64(q, 1, (int64_t)before);
        sqlite3_bind_int64(q, 2, (int64_t)(w->q->from_us & INT64_MAX));
        sqlite3_bind_int(q, 3, BATCH);
        if (w->lead == BY_SESSION)
            store_bind_text(q, 4, w->q->session);
        else
            sqlite3_bind_int64(q, 4, w->values[i]);
        while ((result = sqlite3_step(q)) == SQLITE_ROW)
            c->at[c->n++] = (uint64_t)sqlite3_column_int64(q, 0);
        sqlite3_reset(q);
    }
    if (w->n_values > 1)
        settle(c);
    return result == SQLITE_DONE ? 0 : -result;
}

static bool has_tag(struct span joined, struct span part) {
    for (; joined.len; joined = span_sub(joined, span_find(joined, '\n') + 1, SIZE_MAX))
        if (memmem(joined.at, span_find(joined, '\n'), part.at, part.len))
            return true;
    return false;
}

static bool same(struct sqlite3_stmt *s, int at, int64_t wanted) {
    return !wanted || sqlite3_column_int64(s, at) == wanted;
}

static bool status_fits(int wanted, int status) {
    return !wanted || status == wanted || (wanted < 10 && status / 100 == wanted);
}

/* Whether the row of CHECK fits all that is asked but the target. */
static bool row_fits(struct sqlite3_stmt *s, const struct wanted *w) {
    const struct search_query *q = w->q;
    return (!q->session.at || span_eq(store_text(s, 0), q->session)) &&
           (!q->tag.len || has_tag(store_text(s, 1), q->tag)) && same(s, 2, w->class) &&
           status_fits(q->status, sqlite3_column_int(s, 3)) && same(s, 4, w->arm) &&
           same(s, 5, w->key) && (q->min_cost <= 0 || store_known(s, 6) >= q->min_cost) &&
           same(s, 7, w->project);
}

/* Whether a statement finds anything. */
static int finds(struct sqlite3_stmt *s, bool *found) {
    int result = sqlite3_step(s);
    *found = result == SQLITE_ROW;
    sqlite3_reset(s);
    return result == SQLITE_ROW || result == SQLITE_DONE ? 0 : -result;
}

static int fits(struct search *s, const struct wanted *w, uint64_t at, bool *fit) {
    struct sqlite3_stmt *q = s->statements[CHECK];
    sqlite3_bind_int64(q, 1, (int64_t)at);
    int result = sqlite3_step(q);
    *fit = result == SQLITE_ROW && row_fits(q, w);
    sqlite3_reset(q);
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        return -result;
    if (!*fit || !w->target || w->lead == BY_TARGET)
        return 0;
    sqlite3_bind_int64(s->statements[TRIED], 1, w->target);
    sqlite3_bind_int64(s->statements[TRIED], 2, (int64_t)at);
    return finds(s->statements[TRIED], fit);
}

/* What a page may still do. */
struct allowance {
    unsigned looks;
    uint64_t until_us;
};

static bool is_allowed(const struct allowance *a) {
    return a->looks && clock_us() < a->until_us;
}

/* Takes what fits of the candidates; looks at one of them at least, so that pages go on. */
static int take(struct search *s, const struct wanted *w, const struct candidates *c, size_t limit,
                struct allowance *allowance, struct arena *arena, struct search_page *page) {
    int result = 0;
    for (size_t i = 0; i < c->n && (!i || is_allowed(allowance)) && page->n < limit && result == 0;
         i++) {
        bool fit;
        result = fits(s, w, c->at[i], &fit);
        if (result == 0 && fit)
            result = row_at(s, c->at[i], arena, &page->rows[page->n]);
        page->n += fit && result == 0;
        result = result == 1 ? 0 : result; /* retired meanwhile */
        page->next = c->at[i];
        allowance->looks -= allowance->looks > 0;
    }
    return result;
}

static int look(struct search *s, const struct wanted *w, struct arena *arena,
                struct search_page *page) {
    const struct search_query *q = w->q;
    uint64_t before = INT64_MAX;
    if (q->to_us && q->to_us < before)
        before = q->to_us;
    if (q->before && q->before < before)
        before = q->before;
    size_t limit = q->limit ? q->limit : PAGE;
    if (limit > SEARCH_PAGE_MAX)
        limit = SEARCH_PAGE_MAX;
    page->rows = arena_new_array(arena, struct search_row, limit);
    struct candidates *c = malloc(sizeof *c);
    if (!c)
        abort();
    struct allowance allowance = { SEARCH_LOOKS, clock_us() + SEARCH_US };
    int result;
    do {
        result = find_candidates(s, w, before, c);
        if (result == 0)
            result = take(s, w, c, limit, &allowance, arena, page);
        before = page->next;
    } while (result == 0 && c->n == BATCH && is_allowed(&allowance) && page->n < limit);
    /* All that there were have been looked at. */
    if (c->n < BATCH && (!c->n || page->next == c->at[c->n - 1]))
        page->next = 0;
    free(c);
    return result;
}

int search_requests(struct search *s, const struct search_query *q, struct arena *arena,
                    struct search_page *page) {
    struct wanted w = { .q = q };
    *page = (struct search_page){ 0 };
    int result = find_names(s, &w);
    if (result || w.nothing)
        return result;
    choose_lead(&w);
    return look(s, &w, arena, page);
}
