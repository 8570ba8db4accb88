#include "upstream/transfer.h"
#include "upstream/lane.h"

#include "base/clock.h"

#include <assert.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CONNECT_MS_DEFAULT = 10000,
    /* curl sends a body up to this size together with the head, a larger one through an upload
       buffer. */
    BODY_AT_ONCE = 64 << 10,
    /* The upload buffer stays until the answer has ended: small where many streams are held open,
     * large where the body itself is and fewer turns of the loop are wanted. */
    BODY_LARGE = 512 << 10,
    UPLOAD_BUFFER = 16 << 10,
    UPLOAD_BUFFER_LARGE = 128 << 10,
    /* A connection that was dead before it was used shows it at once. */
    DEAD_SOON_US = 1000000,
    /* curl counts its silent retries over a handle's whole life and fails the sixth. */
    RETRIES_WORN = 4
};

struct transfer {
    struct lane *lane; /* NULL: ended, or the pump has closed */
    const struct transfer_events *events;
    void *owner;
    struct span body; /* the message's */
    size_t body_at;   /* what curl has taken of a large one */
    uint32_t total_ms;
    uint64_t started_us;
    struct transfer_times times;
    bool begun; /* on_head was called */
    char text[128];
};

static uint64_t since(const struct transfer *t) {
    uint64_t us = clock_us() - t->started_us;
    return us ? us : 1; /* 0 means never */
}

/* --- curl's callbacks; `arg` is the lane, whose transfer is NULL once it was freed --- */

/* The connection stands and the request goes out next. Comes again when curl tries another
 * connection. */
static int on_connected(void *arg, char *remote_ip, char *local_ip, int remote_port,
                        int local_port) {
    struct lane *lane = arg;
    struct transfer *t = lane->transfer;
    if (!t)
        return CURL_PREREQFUNC_ABORT;
    /* An old connection on which there is an answer before anything was asked. */
    if (!lane->fresh && pump_spoke(lane->pump, local_port))
        return CURL_PREREQFUNC_ABORT;
    if (t->times.accepted && ++lane->retries >= RETRIES_WORN)
        lane->worn = true;
    t->times.accepted = true;
    t->times.connected = since(t);
    t->times.sent = t->body.len < BODY_AT_ONCE ? t->times.connected : 0;
    return CURL_PREREQFUNC_OK;
}

/* Large bodies are read where they lie, a piece at a time, so that none is read any more once the
 * transfer was freed. */
static size_t on_read(char *out, size_t size, size_t n, void *arg) {
    struct lane *lane = arg;
    struct transfer *t = lane->transfer;
    if (!t)
        return CURL_READFUNC_ABORT;
    size_t left = t->body.len - t->body_at;
    size_t len = size * n < left ? size * n : left;
    memcpy(out, t->body.at + t->body_at, len);
    t->body_at += len;
    if (len == left && !t->times.sent)
        t->times.sent = since(t);
    return len;
}

/* Back to the start, for another connection. */
static int on_seek(void *arg, curl_off_t offset, int origin) {
    struct lane *lane = arg;
    struct transfer *t = lane->transfer;
    if (!t || origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->body.len)
        return CURL_SEEKFUNC_FAIL;
    t->body_at = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t on_header(char *at, size_t size, size_t n, void *arg) {
    struct lane *lane = arg;
    struct transfer *t = lane->transfer;
    if (!t)
        return 0;
    if (!t->times.first_byte)
        t->times.first_byte = since(t);
    switch (head_line(&lane->head, at, size * n)) {
    case HEAD_BAD:
        return 0;
    case HEAD_DONE:
        t->begun = true;
        t->events->on_head(
            t->owner, &(struct transfer_head){ lane->head.status, lane->head.pairs, lane->head.n });
        return lane->transfer ? size * n : 0;
    case HEAD_MORE:
        break;
    }
    return size * n;
}

static size_t on_body(char *at, size_t size, size_t n, void *arg) {
    struct lane *lane = arg;
    struct transfer *t = lane->transfer;
    if (!t)
        return 0;
    bool taken = t->events->on_body(t->owner, at, size * n);
    if (!lane->transfer)
        return 0;
    if (!taken) {
        lane->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    t->times.bytes += size * n;
    return size * n;
}

/* --- the end --- */

/* Words for what curl reports. Its own message is not passed on: it holds addresses. */
static const char *words(struct lane *lane, CURLcode result, char *out, size_t size) {
    long verify = 0;
    switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "the upstream's name could not be resolved";
    case CURLE_COULDNT_RESOLVE_PROXY:
        return "the proxy's name could not be resolved";
    case CURLE_COULDNT_CONNECT:
        return "the upstream could not be reached";
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return "the upstream's URL is not a valid http or https one";
    case CURLE_PEER_FAILED_VERIFICATION:
        curl_easy_getinfo(lane->easy, CURLINFO_SSL_VERIFYRESULT, &verify);
        /* curl's own word for "not got so far": the name is compared first. */
        if (verify == X509_V_OK || verify == X509_V_ERR_UNSPECIFIED)
            return "the upstream's certificate is for another name";
        snprintf(out, size, "the upstream's certificate was refused: %s",
                 X509_verify_cert_error_string(verify));
        return out;
    default:
        return curl_easy_strerror(result);
    }
}

static enum failure timed_out(const struct transfer *t, const char **text) {
    bool total = t->total_ms && t->times.done >= (uint64_t)t->total_ms * 1000;
    if (!t->times.accepted && !total) {
        *text = "the upstream could not be reached in time";
        return FAILURE_CONNECT;
    }
    *text = t->begun ? "the upstream did not finish its answer in time"
                     : "the upstream did not answer in time";
    return FAILURE_TIMEOUT;
}

static enum failure judge(struct transfer *t, struct lane *lane, CURLcode result,
                          const char **text) {
    if (lane->head.why) {
        *text = lane->head.why;
        return FAILURE_BAD_RESPONSE;
    }
    switch (result) {
    case CURLE_OK:
        if (t->begun)
            return FAILURE_NONE;
        break; /* curl is content with half a head */
    case CURLE_OPERATION_TIMEDOUT:
        return timed_out(t, text);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_FILESIZE_EXCEEDED:
    case CURLE_OUT_OF_MEMORY: /* so it calls a header line over 100 KB */
        if (t->times.accepted) {
            *text = "the upstream's answer is not sound HTTP";
            return FAILURE_BAD_RESPONSE;
        }
        break;
    default:
        break;
    }
    if (!t->times.accepted) {
        *text = words(lane, result, t->text, sizeof t->text);
        return FAILURE_CONNECT;
    }
    *text = t->begun ? "the upstream's answer broke off"
                     : "the upstream closed the connection without a complete answer";
    return t->begun ? FAILURE_CUT_STREAM : FAILURE_SERVER_ERROR;
}

static void set_fresh(struct lane *lane, bool fresh) {
    if (fresh != lane->fresh)
        curl_easy_setopt(lane->easy, CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L);
    lane->fresh = fresh;
}

/* curl goes on to another old connection when one was dead before it was used, but only a few
 * times. After an upstream has dropped all of them by resets, which curl does not see in advance,
 * there are more; so the last try is on a new one. */
static bool only_met_the_dead(const struct transfer *t, CURLcode result) {
    return t->times.reused && !t->times.first_byte && t->times.done < DEAD_SOON_US &&
           (result == CURLE_SEND_ERROR || result == CURLE_RECV_ERROR ||
            result == CURLE_GOT_NOTHING);
}

static void on_end(struct lane *lane, CURLcode result) {
    struct transfer *t = lane->transfer;
    long made = 0;
    const char *text = NULL;
    curl_easy_getinfo(lane->easy, CURLINFO_NUM_CONNECTS, &made);
    t->times.done = since(t);
    t->times.reused = t->times.accepted && made == 0;
    if (only_met_the_dead(t, result) || result == CURLE_ABORTED_BY_CALLBACK) {
        set_fresh(lane, true);
        pump_begin(lane);
        return;
    }
    enum failure why = judge(t, lane, result, &text);
    t->lane = NULL;
    pump_release(lane);
    /* The event may free the transfer. */
    if (why == FAILURE_NONE)
        t->events->on_done(t->owner, &t->times);
    else
        t->events->on_fail(t->owner, why, text, &t->times);
}

static void on_drop(struct lane *lane) {
    lane->transfer->lane = NULL;
}

/* --- the start --- */

static void fit(struct lane *lane) {
    lane->on_end = on_end;
    lane->on_drop = on_drop;
    curl_easy_setopt(lane->easy, CURLOPT_PREREQFUNCTION, on_connected);
    curl_easy_setopt(lane->easy, CURLOPT_PREREQDATA, lane);
    curl_easy_setopt(lane->easy, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(lane->easy, CURLOPT_READDATA, lane);
    curl_easy_setopt(lane->easy, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(lane->easy, CURLOPT_SEEKDATA, lane);
    curl_easy_setopt(lane->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(lane->easy, CURLOPT_HEADERDATA, lane);
    curl_easy_setopt(lane->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(lane->easy, CURLOPT_WRITEDATA, lane);
}

/* curl would parse the URL and print it again for every exchange; one that is the last one's is
 * taken as it was parsed. */
static void set_url(struct lane *lane, const char *text) {
    if (lane->url && strcmp(lane->url_text, text) == 0)
        return;
    if (!lane->url && !(lane->url = curl_url()))
        abort();
    free(lane->url_text);
    lane->url_text = strdup(text);
    if (!lane->url_text)
        abort();
    bool sound = curl_url_set(lane->url, CURLUPART_URL, text, 0) == CURLUE_OK;
    curl_easy_setopt(lane->easy, CURLOPT_CURLU, sound ? lane->url : NULL);
    curl_easy_setopt(lane->easy, CURLOPT_URL, sound ? text : ""); /* curl refuses the empty one */
}

static void set_method(struct lane *lane, const struct transfer_message *m) {
    bool post = strcmp(m->method, "POST") == 0;
    enum lane_method method = post                                            ? LANE_POST
                              : strcmp(m->method, "HEAD") == 0                ? LANE_HEAD
                              : strcmp(m->method, "GET") == 0 && !m->body.len ? LANE_GET
                                                                              : LANE_CUSTOM;
    bool body = post || m->body.len;
    if (method != lane->method || method == LANE_CUSTOM) {
        /* In this order: asking for GET undoes "no body", and the name goes over the kind. */
        curl_easy_setopt(lane->easy, CURLOPT_HTTPGET, 1L);
        if (body)
            curl_easy_setopt(lane->easy, CURLOPT_POST, 1L);
        if (method == LANE_HEAD)
            curl_easy_setopt(lane->easy, CURLOPT_NOBODY, 1L);
        curl_easy_setopt(lane->easy, CURLOPT_CUSTOMREQUEST,
                         method == LANE_CUSTOM ? m->method : NULL);
        lane->method = method;
    }
    if (body) {
        curl_easy_setopt(lane->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)m->body.len);
        curl_easy_setopt(lane->easy, CURLOPT_POSTFIELDS,
                         m->body.len >= BODY_AT_ONCE ? NULL
                         : m->body.len               ? m->body.at
                                                     : "");
    }
}

static void set_limits(struct lane *lane, const struct transfer_message *m) {
    uint32_t connect_ms = m->connect_ms ? m->connect_ms : CONNECT_MS_DEFAULT;
    if (connect_ms != lane->connect_ms)
        curl_easy_setopt(lane->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    if (m->total_ms != lane->total_ms)
        curl_easy_setopt(lane->easy, CURLOPT_TIMEOUT_MS, (long)m->total_ms);
    lane->connect_ms = connect_ms;
    lane->total_ms = m->total_ms;

    long upload_size = m->body.len > BODY_LARGE ? UPLOAD_BUFFER_LARGE : UPLOAD_BUFFER;
    if (upload_size != lane->upload_size)
        curl_easy_setopt(lane->easy, CURLOPT_UPLOAD_BUFFERSIZE, upload_size);
    lane->upload_size = upload_size;
}

/* One line NUL-terminated behind the last; curl takes "Name:" without a value as "leave that header
 * out", and "Name;" for an empty one. */
static void add_line(struct buf *text, struct span line) {
    size_t colon = span_find(line, ':');
    assert(colon && colon < line.len);
    assert(!memchr(line.at, '\r', line.len) && !memchr(line.at, '\n', line.len) &&
           !memchr(line.at, 0, line.len));
    if (span_trim(span_sub(line, colon + 1, line.len)).len) {
        buf_add(text, line);
    } else {
        buf_append(text, line.at, colon);
        buf_add_char(text, ';');
    }
    buf_add_char(text, 0);
}

/* Lines of ours behind those we are given. The answer is passed on as it comes, so it must not be
 * compressed for us; and waiting for a leave to send a large body costs a second with servers that
 * never give it. */
static const char *const OWN_LINES[] = { "Accept-Encoding: identity", "Expect:" };

static void set_headers(struct lane *lane, const struct transfer_message *m) {
    size_t n = m->n_headers + (m->body.len < BODY_AT_ONCE ? 1 : 2);
    size_t size = 0;
    for (size_t i = 0; i < m->n_headers; i++)
        size += m->headers[i].len + 1;
    buf_clear(&lane->text);
    char *at = buf_reserve(&lane->text, size); /* so that lines stay where they are put */
    if (n > lane->n_lines) {
        lane->n_lines = n;
        lane->lines = realloc(lane->lines, n * sizeof *lane->lines);
        if (!lane->lines)
            abort();
    }
    for (size_t i = 0; i < n; i++) {
        if (i < m->n_headers) {
            lane->lines[i].data = at + lane->text.len;
            add_line(&lane->text, m->headers[i]);
        } else {
            lane->lines[i].data = (char *)OWN_LINES[i - m->n_headers]; /* curl only reads it */
        }
        lane->lines[i].next = i + 1 < n ? &lane->lines[i + 1] : NULL;
    }
    curl_easy_setopt(lane->easy, CURLOPT_HTTPHEADER, lane->lines);
}

struct transfer *transfer_start(struct pump *pump, const struct transfer_message *message,
                                const struct transfer_events *events, void *owner) {
    struct transfer *t = malloc(sizeof *t);
    if (!t)
        abort();
    *t = (struct transfer){ 0 };
    struct lane *lane = pump_lane(pump, fit);
    t->lane = lane;
    t->events = events;
    t->owner = owner;
    t->body = message->body;
    t->total_ms = message->total_ms;
    t->started_us = clock_us();
    lane->transfer = t;
    head_begin(&lane->head, message->max_header_bytes);
    set_url(lane, message->url);
    set_method(lane, message);
    set_headers(lane, message);
    set_limits(lane, message);
    set_fresh(lane, false);
    pump_begin(lane);
    return t;
}

void transfer_resume(struct transfer *t) {
    if (t->lane)
        pump_unpause(t->lane);
}

void transfer_free(struct transfer *t) {
    if (t->lane)
        pump_cancel(t->lane);
    free(t);
}
