#include "upstream/lane.h"
#include "upstream/watch.h"

#include "base/log.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    /* curl looks through a host's connections one by one, so that a transfer costs more the more
     * are in flight. Beyond this many the next multi handle takes over; the lowest first, so that
     * its connections stay warm. */
    MULTI_FULL = 100,
    /* Connections a multi handle keeps. curl's own limit follows the number of transfers and would
       close warm ones in a dip. */
    MULTI_CONNECTIONS = 256,
    /* A multi handle that had nothing to do for so long gives its connections and memory back; the
       first never does. */
    MULTI_IDLE_MS = 30000,
    /* Idle easy handles kept, beyond as many as are at work. */
    LANES_KEPT = 32,
    /* What is started or resumed in one turn of the loop may take so long; the rest waits for the
       next turn. */
    TURN_BUDGET_NS = 2000000,
    BASE_HANDLES = 3
};

#define NEVER UINT64_MAX

struct multi {
    CURLM *curl; /* NULL: given back, made again when needed */
    struct pump *pump;
    size_t active;
    uint64_t due_ms;   /* when curl wants to be called, in the loop's time */
    uint64_t close_ms; /* when it is given back if nothing comes */
    bool kicked;       /* curl wants to be called at once */
};

struct lane_list {
    struct lane *first, *last;
    size_t n;
};

struct pump {
    uv_loop_t *loop;
    struct ca *ca;
    char *user_agent;
    char *no_proxy; /* NULL: no proxy is configured */
    CURLSH *share;  /* names and TLS sessions */
    uint32_t idle_ms;
    struct watches watches;
    uv_timer_t timer;
    uint64_t timer_ms; /* what it is armed for */
    /* Work that must not be done where it arises is done after the loop has polled: `idle` keeps
     * the loop from sleeping until then. Both run only while there is such work. */
    uv_check_t check;
    uv_idle_t idle;
    struct multi **multis;
    size_t n_multis;
    struct lane_list lists[LANE_STATES];
    bool in_curl; /* curl is calling: its handles must not be added, taken away or freed */
    bool closing;
    unsigned handles; /* of BASE_HANDLES still open, and the watches */
    void (*on_closed)(void *owner);
    void *owner;
};

static void on_check(uv_check_t *check);
static void on_timer(uv_timer_t *timer);

/* --- lanes --- */

static void list_remove(struct lane_list *list, struct lane *lane) {
    *(lane->prev ? &lane->prev->next : &list->first) = lane->next;
    *(lane->next ? &lane->next->prev : &list->last) = lane->prev;
    list->n--;
}

static void list_append(struct lane_list *list, struct lane *lane) {
    lane->prev = list->last;
    lane->next = NULL;
    *(list->last ? &list->last->next : &list->first) = lane;
    list->last = lane;
    list->n++;
}

static void lane_move(struct lane *lane, enum lane_state state) {
    struct pump *p = lane->pump;
    list_remove(&p->lists[lane->state], lane);
    lane->state = state;
    list_append(&p->lists[state], lane);
}

static size_t lanes_at_work(const struct pump *p) {
    size_t n = 0;
    for (int state = LANE_WAITING; state < LANE_STATES; state++)
        n += p->lists[state].n;
    return n;
}

static curl_socket_t open_socket(void *pump, curlsocktype purpose, struct curl_sockaddr *address) {
    struct pump *p = pump;
    return watch_open(&p->watches, address->family, address->socktype, address->protocol);
}

static int close_socket(void *pump, curl_socket_t fd) {
    struct pump *p = pump;
    return watch_close(&p->watches, fd);
}

bool pump_spoke(const struct pump *p, int local_port) {
    return watch_spoke(&p->watches, local_port);
}

static CURLcode on_tls_context(CURL *easy, void *ssl_ctx, void *pump) {
    struct pump *p = pump;
    ca_apply(p->ca, ssl_ctx);
    return CURLE_OK;
}

/* Options that are the same for everything, so that an exchange sets only what is its own. */
static void set_constants(struct pump *p, CURL *easy) {
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT,
                     1L); /* a name that still resolves is left to its thread */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, p->user_agent);
    curl_easy_setopt(easy, CURLOPT_SHARE, p->share);
    if (p->no_proxy)
        curl_easy_setopt(easy, CURLOPT_NOPROXY, p->no_proxy);
    else
        curl_easy_setopt(easy, CURLOPT_PROXY,
                         ""); /* spares a search through the environment each time */

    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, NULL);
    curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls_context);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, p);

    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, p);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, p);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L);
}

static struct lane *lane_new(struct pump *p) {
    struct lane *lane = calloc(1, sizeof *lane);
    if (!lane || !(lane->easy = curl_easy_init()))
        abort();
    lane->pump = p;
    set_constants(p, lane->easy);
    curl_easy_setopt(lane->easy, CURLOPT_PRIVATE, lane);
    return lane;
}

static void lane_free(struct lane *lane) {
    list_remove(&lane->pump->lists[lane->state], lane);
    curl_easy_cleanup(lane->easy);
    curl_url_cleanup(lane->url);
    free(lane->url_text);
    buf_deinit(&lane->text);
    free(lane->lines);
    head_deinit(&lane->head);
    free(lane);
}

struct lane *pump_lane(struct pump *p, void (*fit)(struct lane *lane)) {
    /* The one used last: its memory is warm. */
    struct lane *lane = p->lists[LANE_IDLE].last;
    if (lane)
        return lane;
    lane = lane_new(p);
    list_append(&p->lists[LANE_IDLE], lane);
    fit(lane);
    return lane;
}

void pump_release(struct lane *lane) {
    struct pump *p = lane->pump;
    size_t kept = lanes_at_work(p);
    lane->transfer = NULL;
    lane->paused = false;
    lane_move(lane, LANE_IDLE);
    if (lane->worn || p->lists[LANE_IDLE].n > (kept > LANES_KEPT ? kept : LANES_KEPT))
        lane_free(lane);
}

/* --- multi handles --- */

static void on_idle(uv_idle_t *idle) {
    (void)idle; /* that it is active is enough */
}

static void wake(struct pump *p) {
    uv_check_start(&p->check, on_check);
    uv_idle_start(&p->idle, on_idle);
}

static void arm_timer(struct pump *p, uint64_t due_ms) {
    if (due_ms >= p->timer_ms)
        return; /* it fires earlier than that and is set anew then */
    p->timer_ms = due_ms;
    uint64_t now = uv_now(p->loop);
    uv_timer_start(&p->timer, on_timer, due_ms > now ? due_ms - now : 0, 0);
}

static int on_curl_timer(CURLM *curl, long ms, void *multi) {
    struct multi *m = multi;
    m->due_ms = NEVER;
    m->kicked = ms == 0;
    if (ms == 0)
        wake(m->pump);
    else if (ms > 0)
        arm_timer(m->pump, m->due_ms = uv_now(m->pump->loop) + (uint64_t)ms);
    return 0;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *multi, void *unused) {
    struct multi *m = multi;
    watch_want(&m->pump->watches, fd, what, m);
    return 0;
}

static void multi_open(struct multi *m) {
    m->curl = curl_multi_init();
    if (!m->curl)
        abort();
    m->due_ms = m->close_ms = NEVER;
    curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
    curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
    curl_multi_setopt(m->curl, CURLMOPT_MAXCONNECTS, (long)MULTI_CONNECTIONS);
    curl_multi_setopt(m->curl, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
}

static void multi_shut(struct multi *m) {
    assert(m->active == 0);
    if (m->curl)
        curl_multi_cleanup(m->curl);
    m->curl = NULL;
    m->due_ms = m->close_ms = NEVER;
    m->kicked = false;
}

static struct multi *pick_multi(struct pump *p) {
    size_t i = 0;
    while (i < p->n_multis && p->multis[i]->active >= MULTI_FULL)
        i++;
    if (i == p->n_multis) {
        p->multis = realloc(p->multis, (i + 1) * sizeof *p->multis);
        struct multi *m = calloc(1, sizeof *m);
        if (!p->multis || !m)
            abort();
        m->pump = p;
        p->multis[p->n_multis++] = m;
    }
    if (!p->multis[i]->curl)
        multi_open(p->multis[i]);
    return p->multis[i];
}

/* Takes a lane from curl, which ends what it was doing. Never inside curl. */
static void detach(struct lane *lane) {
    struct multi *m = lane->multi;
    struct pump *p = lane->pump;
    assert(!p->in_curl);
    curl_multi_remove_handle(m->curl, lane->easy);
    lane->multi = NULL;
    if (--m->active == 0 && m != p->multis[0])
        arm_timer(p, m->close_ms = uv_now(p->loop) + p->idle_ms);
}

static void end_lane(struct lane *lane, CURLcode result) {
    detach(lane);
    if (lane->transfer)
        lane->on_end(lane, result);
    else
        pump_release(lane);
}

/* What could not be taken from curl while it was calling. */
static void reap(struct pump *p) {
    for (struct lane *lane; (lane = p->lists[LANE_DOOMED].first);)
        end_lane(lane, CURLE_ABORTED_BY_CALLBACK);
}

/* Ends what curl says has ended. Events are delivered here: anything may be started, freed or
 * closed by them, but the multi handle stays until the loop's next turn. */
static void collect(struct multi *m) {
    CURLMsg *message;
    int left;
    while (!m->pump->closing && (message = curl_multi_info_read(m->curl, &left))) {
        struct lane *lane = NULL;
        CURLcode result = message->data.result; /* dies with the detaching */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &lane);
        end_lane(lane, result);
    }
}

static void run(struct multi *m, curl_socket_t fd, int bits) {
    struct pump *p = m->pump;
    int running;
    assert(!p->in_curl);
    p->in_curl = true;
    curl_multi_socket_action(m->curl, fd, bits, &running);
    p->in_curl = false;
    reap(p);
    collect(m);
}

static void on_ready(void *pump, void *multi, int fd, int bits) {
    struct pump *p = pump;
    if (!p->closing)
        run(multi, fd, bits);
}

/* --- work put off --- */

static void begin(struct lane *lane) {
    struct multi *m = pick_multi(lane->pump);
    lane->multi = m;
    m->active++;
    m->close_ms = NEVER;
    lane_move(lane, LANE_RUNNING);
    if (curl_multi_add_handle(m->curl, lane->easy) != CURLM_OK)
        abort(); /* only for want of memory: the handle is sound and nowhere else */
}

static void resume(struct lane *lane) {
    struct pump *p = lane->pump;
    lane_move(lane, LANE_RUNNING);
    if (!lane->paused)
        return;
    lane->paused = false;
    p->in_curl = true;
    CURLcode result = curl_easy_pause(lane->easy, CURLPAUSE_CONT);
    p->in_curl = false;
    /* curl does not end a transfer of which this fails. Without a connection it has already ended,
     * and its message comes. */
    if (result != CURLE_OK && result != CURLE_BAD_FUNCTION_ARGUMENT && lane->state != LANE_DOOMED)
        end_lane(lane, result);
    reap(p);
}

static struct multi *next_kicked(struct pump *p) {
    for (size_t i = 0; i < p->n_multis; i++)
        if (p->multis[i]->kicked)
            return p->multis[i];
    return NULL;
}

/* One piece of what is put off; false when nothing is left. */
static bool work(struct pump *p) {
    struct multi *kicked = next_kicked(p);
    if (kicked) {
        kicked->kicked = false;
        run(kicked, CURL_SOCKET_TIMEOUT, 0);
    } else if (p->lists[LANE_RESUMING].first) {
        resume(p->lists[LANE_RESUMING].first);
    } else if (p->lists[LANE_WAITING].first) {
        begin(p->lists[LANE_WAITING].first);
    } else {
        return false;
    }
    return true;
}

static void shut(struct pump *p);

static void on_check(uv_check_t *check) {
    struct pump *p = check->data;
    uint64_t stop_at = uv_hrtime() + TURN_BUDGET_NS;
    bool more = true;
    while (!p->closing && (more = work(p)) && uv_hrtime() < stop_at)
        continue;
    if (p->closing) {
        shut(p);
    } else if (!more) {
        uv_idle_stop(&p->idle);
        uv_check_stop(&p->check);
    } else {
        wake(p);
    }
}

static void on_timer(uv_timer_t *timer) {
    struct pump *p = timer->data;
    uint64_t now = uv_now(p->loop);
    p->timer_ms = NEVER;
    for (size_t i = 0; i < p->n_multis && !p->closing; i++) {
        struct multi *m = p->multis[i];
        if (m->due_ms <= now) {
            m->due_ms = NEVER;
            run(m, CURL_SOCKET_TIMEOUT, 0);
        }
        if (m->close_ms <= now)
            multi_shut(m);
    }
    for (size_t i = 0; i < p->n_multis && !p->closing; i++) {
        struct multi *m = p->multis[i];
        uint64_t due_ms = m->due_ms < m->close_ms ? m->due_ms : m->close_ms;
        arm_timer(p, due_ms);
    }
}

void pump_begin(struct lane *lane) {
    assert(!lane->multi && lane->transfer && !lane->pump->closing);
    lane->paused = false;
    lane_move(lane, LANE_WAITING);
    wake(lane->pump);
}

void pump_unpause(struct lane *lane) {
    if (lane->state != LANE_RUNNING)
        return;
    lane_move(lane, LANE_RESUMING);
    wake(lane->pump);
}

void pump_cancel(struct lane *lane) {
    assert(lane->state != LANE_IDLE);
    lane->transfer = NULL;
    if (lane->state == LANE_WAITING) {
        pump_release(lane);
    } else if (lane->pump->in_curl) {
        /* curl can not let go of it now, and may even come to it before the present call ends: its
         * callbacks say no from here on, the one that gives it the request's body among them. */
        lane_move(lane, LANE_DOOMED);
    } else {
        detach(lane);
        pump_release(lane);
    }
}

/* --- life --- */

/* glibc's calloc goes past the cache its threads keep for malloc, and curl asks for cleared memory
 * several times a transfer. */
static void *cleared(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *p = malloc(bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

int pump_global_init(void) {
    CURLcode result =
        curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, free, realloc, strdup, cleared);
    if (result != CURLE_OK) {
        log_error("libcurl can not start: %s", curl_easy_strerror(result));
        return -1;
    }
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    if (!(info->features & CURL_VERSION_ASYNCHDNS)) {
        log_error(
            "libcurl %s resolves names without threads, which would stall everything: use one "
            "built with AsynchDNS",
            info->version);
        curl_global_cleanup();
        return -1;
    }
    return 0;
}

void pump_global_deinit(void) {
    curl_global_cleanup();
}

static const char *env(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* The hosts no proxy is used for, or NULL when the environment names no proxy at all. curl reads
 * http_proxy in lower case only, because a web server's child could be given the other by a request
 * header. */
static char *read_no_proxy(void) {
    if (!env("http_proxy") && !env("https_proxy") && !env("HTTPS_PROXY") && !env("all_proxy") &&
        !env("ALL_PROXY"))
        return NULL;
    const char *more = env("no_proxy") ? env("no_proxy") : env("NO_PROXY");
    if (more && strcmp(more, "*") == 0)
        return NULL;
    struct buf b = { 0 };
    buf_printf(&b, "localhost,127.0.0.0/8,::1%s%s", more ? "," : "", more ? more : "");
    return b.at;
}

struct pump *pump_new(uv_loop_t *loop, const struct pump_options *options) {
    struct pump *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    p->loop = loop;
    p->ca = options->ca;
    p->idle_ms = options->idle_ms ? options->idle_ms : MULTI_IDLE_MS;
    p->user_agent = strdup(options->user_agent);
    p->share = curl_share_init();
    if (!p->user_agent || !p->share)
        abort();
    p->no_proxy = read_no_proxy();
    curl_share_setopt(p->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    curl_share_setopt(p->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);

    watch_init(&p->watches, loop);
    p->watches.ready = on_ready;
    p->watches.owner = p;
    p->timer_ms = NEVER;
    uv_timer_init(loop, &p->timer);
    uv_check_init(loop, &p->check);
    uv_idle_init(loop, &p->idle);
    p->timer.data = p->check.data = p->idle.data = p;
    p->handles = BASE_HANDLES + 1;
    return p;
}

static void closed_one(struct pump *p) {
    if (--p->handles)
        return;
    void (*on_closed)(void *owner) = p->on_closed;
    void *owner = p->owner;
    free(p->user_agent);
    free(p->no_proxy);
    free(p);
    if (on_closed)
        on_closed(owner);
}

static void on_handle_closed(uv_handle_t *handle) {
    closed_one(handle->data);
}

static void on_watches_drained(void *pump) {
    closed_one(pump);
}

/* Gives everything back. Not inside curl; all lanes are nobody's. */
static void shut(struct pump *p) {
    for (int state = LANE_RUNNING; state < LANE_STATES; state++)
        for (struct lane *lane; (lane = p->lists[state].first);) {
            detach(lane);
            lane_free(lane);
        }
    while (p->lists[LANE_WAITING].first)
        lane_free(p->lists[LANE_WAITING].first);
    while (p->lists[LANE_IDLE].first)
        lane_free(p->lists[LANE_IDLE].first);
    for (size_t i = 0; i < p->n_multis; i++) {
        multi_shut(p->multis[i]);
        free(p->multis[i]);
    }
    free(p->multis);
    curl_share_cleanup(p->share);
    uv_close((uv_handle_t *)&p->timer, on_handle_closed);
    uv_close((uv_handle_t *)&p->check, on_handle_closed);
    uv_close((uv_handle_t *)&p->idle, on_handle_closed);
    p->watches.drained = on_watches_drained;
    watch_deinit(&p->watches);
}

/* A lane's easy handle must not reach for a request whose owner may free it, and its owner must not
 * reach for the lane. */
static void drop(struct lane *lane) {
    if (lane->transfer)
        lane->on_drop(lane);
    pump_cancel(lane);
}

void pump_close(struct pump *p, void (*on_closed)(void *owner), void *owner) {
    assert(!p->closing);
    p->on_closed = on_closed;
    p->owner = owner;
    for (int state = LANE_WAITING; state < LANE_DOOMED; state++)
        while (p->lists[state].first)
            drop(p->lists[state].first);
    p->closing = true;
    wake(p); /* the rest when nobody stands on it */
}

struct pump_figures pump_figures(const struct pump *p) {
    struct pump_figures f = { .active = lanes_at_work(p),
                              .connections = p->watches.open,
                              .polls = p->watches.polls };
    for (size_t i = 0; i < p->n_multis; i++)
        f.multis += p->multis[i]->curl != NULL;
    return f;
}
