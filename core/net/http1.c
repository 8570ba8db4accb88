#include "net/http1.h"

#include "base/clock.h"

#include <assert.h>
#include <llhttp.h>
#include <stdlib.h>

enum {
    ARENA_BLOCK = 4096,      /* a head, its fields and what the owner adds usually fit */
    SPARE_MESSAGES = 32,     /* kept by a pool */
    SPARE_BYTES = 16 * 1024, /* of arena and of body each, kept with one */
    SKIP_MAX = 64 * 1024,    /* of a refused body that is read over */
    BODY_STEP = 256 * 1024,  /* reserved on the word of Content-Length alone */
    BODY_SPARE = 64,         /* reserved behind a body, for parsers that read a bit further */
    CHUNK_DIGITS = 16
};

/* ---- messages and their pool ---- */

struct http_pool {
    struct http_message *spare;
    unsigned n_spare;
    size_t live; /* messages that are not freed */
    size_t body_bytes, max_body_bytes;
    bool released;
};

struct http_pool *http_pool_new(size_t max_body_bytes) {
    struct http_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        abort();
    pool->max_body_bytes = max_body_bytes;
    return pool;
}

static void message_destroy(struct http_message *m) {
    arena_deinit(&m->arena);
    buf_deinit(&m->body);
    free(m);
}

void http_pool_release(struct http_pool *pool) {
    while (pool->spare) {
        struct http_message *m = pool->spare;
        pool->spare = m->next;
        message_destroy(m);
    }
    pool->released = true;
    if (pool->live == 0)
        free(pool);
}

size_t http_pool_body_bytes(const struct http_pool *pool) {
    return pool->body_bytes;
}

static struct http_message *message_new(struct http_pool *pool) {
    struct http_message *m = pool->spare;
    pool->live++;
    if (m) {
        pool->spare = m->next;
        pool->n_spare--;
        *m = (struct http_message){ .arena = m->arena, .body = m->body, .pool = pool };
        return m;
    }
    m = calloc(1, sizeof *m);
    if (!m)
        abort();
    m->pool = pool;
    arena_init(&m->arena, ARENA_BLOCK);
    return m;
}

void http_message_free(struct http_message *m) {
    struct http_pool *pool = m->pool;
    if (m->on_free)
        m->on_free(m);
    m->on_free = NULL;
    pool->body_bytes -= m->counted;
    pool->live--;
    if (!pool->released && pool->n_spare < SPARE_MESSAGES) {
        arena_reset(&m->arena, SPARE_BYTES);
        buf_clear(&m->body);
        if (m->body.cap > SPARE_BYTES)
            buf_deinit(&m->body);
        m->next = pool->spare;
        pool->spare = m;
        pool->n_spare++;
        return;
    }
    message_destroy(m);
    if (pool->released && pool->live == 0)
        free(pool);
}

/* ---- what may stand where ---- */

/* RFC 9110, section 5.6.2: tchar. One row for 16 bytes. */
static const bool token_chars[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* controls */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* */
    0, 1, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1, 0, /* !#$%&'*+-. */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, /* 0-9 */
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* A-O */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, /* P-Z ^_ */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* `a-o */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0, /* p-z | ~ */
};

static bool is_token_char(unsigned char c) {
    return token_chars[c];
}

bool http_token_ok(struct span name) {
    for (size_t i = 0; i < name.len; i++)
        if (!is_token_char((unsigned char)name.at[i]))
            return false;
    return name.len > 0;
}

/* A byte that may stand in a line: all but the controls, of which a tab is let through. */
static bool is_line_char(unsigned char c) {
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* Whether all of eight bytes may surely stand in a line. Subtracting 0x20 of each borrows its
 * high bit where it is smaller, and so does subtracting 1 where it is 0x7f, with its bits
 * turned; bytes that had the high bit anyway are masked out. A borrow can only cast doubt on a
 * byte behind one that has no place there. */
static bool eight_plain(const char *bytes) {
    const uint64_t ones = 0x0101010101010101, highs = ones * 0x80;
    uint64_t w, del;
    memcpy(&w, bytes, sizeof w);
    del = w ^ ones * 0x7f;
    return ((((w - ones * 0x20) & ~w) | ((del - ones) & ~del)) & highs) == 0;
}

bool http_value_ok(struct span value) {
    size_t i = 0;
    while (i + 8 <= value.len && eight_plain(value.at + i))
        i += 8;
    for (; i < value.len; i++)
        if (!is_line_char((unsigned char)value.at[i]))
            return false;
    return true;
}

struct span http_header(const struct http_message *m, struct span name) {
    for (size_t i = 0; i < m->n_headers; i++)
        if (span_eq(m->headers[i].name, name))
            return m->headers[i].value;
    return SPAN_NONE;
}

const char *http_reason(int status) {
    static const struct {
        int status;
        const char *reason;
    } known[] = {
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 307, "Temporary Redirect" },
        { 308, "Permanent Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 402, "Payment Required" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 417, "Expectation Failed" },
        { 421, "Misdirected Request" },
        { 422, "Unprocessable Content" },
        { 426, "Upgrade Required" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 499, "Client Closed Request" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
        { 529, "Site Is Overloaded" },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].status == status)
            return known[i].reason;
    return "Unknown";
}

/* ---- errors ---- */

static bool fail(struct http1 *h, int status, const char *message) {
    if (h->message) {
        http_message_free(h->message);
        h->message = NULL;
    }
    h->error = (struct http1_error){ status, message };
    h->state = HTTP1_OVER;
    buf_deinit(&h->head);
    return false;
}

/* ---- the line scanner: heads and trailers ---- */

enum scan_result { SCAN_MORE, SCAN_END, SCAN_BAD };

static enum scan_result scan_bad(struct http1 *h, int status, const char *message) {
    fail(h, status, message);
    return SCAN_BAD;
}

/* One line has ended. An empty one ends the head. */
static enum scan_result line_end(struct http1 *h) {
    struct http1_lines *s = &h->scan;
    bool blank = s->line_len == 0;
    s->cr = false;
    s->line_len = 0;
    s->lines++;
    if (blank)
        return SCAN_END;
    /* The request line is none of the headers. */
    unsigned headers = h->state == HTTP1_TRAILERS ? s->lines : s->lines - 1;
    if (headers > h->limits->max_headers)
        return scan_bad(h, 431, "There are too many header fields.");
    return SCAN_MORE;
}

/* The bytes of a line that need no decision, at the front of `bytes`. */
static size_t plain_run(const char *bytes, size_t len) {
    size_t i = 0;
    while (i + 8 <= len && eight_plain(bytes + i))
        i += 8;
    while (i < len && is_line_char((unsigned char)bytes[i]))
        i++;
    return i;
}

/* Reads lines up to the empty one; `*used` gets how far it came. */
static enum scan_result scan_lines(struct http1 *h, const char *bytes, size_t len, size_t *used) {
    struct http1_lines *s = &h->scan;
    bool in_head = h->state == HTTP1_HEAD;
    for (size_t i = 0; i < len;) {
        if (s->cr) {
            if (bytes[i] != '\n')
                return scan_bad(h, 400, "A line ends in CR alone.");
            *used = ++i;
            enum scan_result r = line_end(h);
            if (r != SCAN_MORE)
                return r;
            continue;
        }
        if (s->line_len == 0 && s->lines + !in_head > 0 && (bytes[i] == ' ' || bytes[i] == '\t'))
            return scan_bad(h, 400, "A header field is folded or begins with a space.");
        size_t run = plain_run(bytes + i, len - i);
        s->line_len += run;
        if (in_head && s->lines == 0) {
            if (s->line_len > h->limits->max_line)
                return scan_bad(h, 414, "The request line is too long.");
        } else {
            s->bytes += run;
            if (s->bytes > h->limits->max_header_bytes)
                return scan_bad(h, 431, "The header fields are too large.");
        }
        i += run;
        *used = i;
        if (i == len)
            break;
        if (bytes[i] == '\n')
            return scan_bad(h, 400, "A line ends in LF alone.");
        if (bytes[i] != '\r')
            return scan_bad(h, 400, "There is a control character in the head.");
        s->cr = true;
        *used = ++i;
    }
    return SCAN_MORE;
}

/* ---- reading a whole head ---- */

/* What llhttp reports of one head. */
struct reader {
    struct http_message *m;
    size_t room; /* for headers: the lines there are */
    bool complete;
};

static int on_field(llhttp_t *parser, const char *at, size_t len) {
    struct reader *r = parser->data;
    if (r->m->n_headers == r->room)
        return -1;
    r->m->headers[r->m->n_headers++] =
        (struct pair){ .name = { at, len }, .value = { at + len, 0 } };
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len) {
    struct reader *r = parser->data;
    struct span *value = &r->m->headers[r->m->n_headers - 1].value;
    if (value->len == 0)
        value->at = at;
    value->len = (size_t)(at + len - value->at);
    return 0;
}

static int on_headers_complete(llhttp_t *parser) {
    struct reader *r = parser->data;
    r->complete = true;
    return HPE_PAUSED; /* bodies are not its business */
}

static const llhttp_settings_t settings = { .on_header_field = on_field,
                                            .on_header_value = on_value,
                                            .on_headers_complete = on_headers_complete };

/* Why llhttp refused, for the client. */
static const char *refusal(llhttp_errno_t err) {
    switch (err) {
    case HPE_INVALID_URL:
        return "The request target is malformed.";
    case HPE_INVALID_VERSION:
    case HPE_INVALID_CONSTANT:
        return "The HTTP version is malformed.";
    case HPE_INVALID_HEADER_TOKEN:
    case HPE_UNEXPECTED_SPACE:
        return "A header field is malformed.";
    case HPE_UNEXPECTED_CONTENT_LENGTH:
    case HPE_INVALID_CONTENT_LENGTH:
        return "Content-Length is malformed.";
    case HPE_INVALID_TRANSFER_ENCODING:
        return "Transfer-Encoding is malformed.";
    default:
        return "The request is malformed.";
    }
}

/* `rest` is the head from the target on. */
static bool read_fields(struct http1 *h, struct span rest) {
    struct http_message *m = h->message;
    struct reader r = { .m = m, .room = h->scan.lines - 2 }; /* request line, empty line */
    m->headers = arena_alloc(&m->arena, r.room * sizeof *m->headers);
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &r;
    llhttp_errno_t err = llhttp_execute(&parser, "POST ", 5);
    if (err == HPE_OK)
        err = llhttp_execute(&parser, rest.at, rest.len);
    if (err != HPE_PAUSED)
        return fail(h, 400, refusal(err));
    if (!r.complete || m->n_headers != r.room)
        return fail(h, 400, "The request is malformed.");
    return true;
}

/* "HTTP/1.1": leaves the minor version in the message. */
static bool read_version(struct http1 *h, struct span v) {
    bool formed = v.len == 8 && memcmp(v.at, "HTTP/", 5) == 0 && v.at[6] == '.' && v.at[5] >= '0' &&
                  v.at[5] <= '9' && v.at[7] >= '0' && v.at[7] <= '9';
    if (!formed)
        return fail(h, 400, "The HTTP version is malformed.");
    if (v.at[5] != '1' || v.at[7] > '1')
        return fail(h, 505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
    h->message->minor = (unsigned)(v.at[7] - '0');
    return true;
}

/* Finds path and query. An absolute form's authority goes to *authority; else that is SPAN_NONE. */
static bool read_target(struct http1 *h, struct span *authority) {
    struct http_message *m = h->message;
    struct span t = m->target;
    for (size_t i = 0; i < t.len; i++)
        if (t.at[i] <= 0x20 || t.at[i] >= 0x7f || t.at[i] == '#')
            return fail(h, 400, "The request target is malformed.");
    *authority = SPAN_NONE;
    if (t.at[0] != '/' && !span_eq(t, SPAN("*"))) {
        size_t scheme = 7;
        bool http = t.len > 7 && span_eq_nocase(span_sub(t, 0, 7), SPAN("http://"));
        if (!http) {
            scheme = 8;
            if (t.len <= 8 || !span_eq_nocase(span_sub(t, 0, 8), SPAN("https://")))
                return fail(h, 400, "The request target is malformed.");
        }
        t = span_sub(t, scheme, SIZE_MAX);
        size_t end = 0;
        while (end < t.len && t.at[end] != '/' && t.at[end] != '?')
            end++;
        *authority = span_sub(t, 0, end);
        t = span_sub(t, end, SIZE_MAX);
    } else if (t.at[0] == '*' && !span_eq(m->method, SPAN("OPTIONS"))) {
        return fail(h, 400, "Only OPTIONS may ask for \"*\".");
    }
    size_t mark = span_find(t, '?');
    m->path = span_sub(t, 0, mark);
    m->query = span_sub(t, mark + 1, SIZE_MAX);
    if (m->path.len == 0)
        m->path = SPAN("/");
    return true;
}

/* The request line, whose end is *end; llhttp reads the target once more. */
static bool read_request_line(struct http1 *h, struct span line, struct span *authority) {
    struct http_message *m = h->message;
    size_t space = span_find(line, ' ');
    m->method = span_sub(line, 0, space);
    if (!http_token_ok(m->method))
        return fail(h, 400, "The method is malformed.");
    struct span rest = span_sub(line, space + 1, SIZE_MAX);
    space = span_find(rest, ' ');
    m->target = span_sub(rest, 0, space);
    if (space == rest.len || m->target.len == 0)
        return fail(h, 400, "The request line is malformed.");
    if (!read_version(h, span_sub(rest, space + 1, SIZE_MAX)))
        return false;
    if (span_eq(m->method, SPAN("CONNECT")))
        return fail(h, 501, "CONNECT is not served here.");
    return read_target(h, authority);
}

/* The fields that decide about framing and the connection. */
struct vital {
    struct span host, length, coding, expect;
    unsigned hosts, lengths, codings;
    bool close, keep_alive;
};

static void read_connection(struct vital *v, struct span value) {
    struct span option;
    while (span_split(&value, ',', &option)) {
        if (span_eq_nocase(option, SPAN("close")))
            v->close = true;
        else if (span_eq_nocase(option, SPAN("keep-alive")))
            v->keep_alive = true;
    }
}

static void note_vital(struct vital *v, struct pair field) {
    if (span_eq(field.name, SPAN("host"))) {
        v->hosts++;
        v->host = field.value;
    } else if (span_eq(field.name, SPAN("content-length"))) {
        v->lengths++;
        v->length = field.value;
    } else if (span_eq(field.name, SPAN("transfer-encoding"))) {
        v->codings++;
        v->coding = field.value;
    } else if (span_eq(field.name, SPAN("connection"))) {
        read_connection(v, field.value);
    } else if (span_eq(field.name, SPAN("expect"))) {
        v->expect = field.value;
    }
}

static void lower(struct span s) {
    char *at = (char *)s.at; /* in our own copy of the head */
    for (size_t i = 0; i < s.len; i++)
        if (at[i] >= 'A' && at[i] <= 'Z')
            at[i] |= 0x20;
}

static bool read_vital(struct http1 *h, struct vital *v) {
    struct http_message *m = h->message;
    for (size_t i = 0; i < m->n_headers; i++) {
        struct pair *field = &m->headers[i];
        if (!http_token_ok(field->name))
            return fail(h, 400, "A header field has a malformed name.");
        lower(field->name);
        field->value = span_trim(field->value);
        note_vital(v, *field);
    }
    return true;
}

/* The letters of `uri-host [":" port]` (RFC 3986, section 3.2.2); user information is none of them.
 */
static bool host_ok(struct span host) {
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.at[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  (c != '\0' && strchr("-._~%!$&'()*+,;=:[]", c));
        if (!ok)
            return false;
    }
    return host.len > 0;
}

static bool check_host(struct http1 *h, const struct vital *v, struct span authority) {
    if (v->hosts > 1 || (v->hosts == 0 && h->message->minor == 1))
        return fail(h, 400, "There must be one Host.");
    if (v->hosts && !host_ok(v->host))
        return fail(h, 400, "Host is malformed.");
    if (authority.at && !host_ok(authority))
        return fail(h, 400, "The request target is malformed.");
    if (authority.at && v->hosts && !span_eq_nocase(authority, v->host))
        return fail(h, 400, "The request target and Host differ.");
    return true;
}

static bool check_framing(struct http1 *h, const struct vital *v) {
    struct http_message *m = h->message;
    if (v->lengths > 1)
        return fail(h, 400, "There is more than one Content-Length.");
    if (v->codings > 1 || (v->codings && !span_eq_nocase(v->coding, SPAN("chunked"))))
        return fail(h, 400, "Transfer-Encoding must be \"chunked\", once.");
    if (v->codings && v->lengths)
        return fail(h, 400, "There are both Content-Length and Transfer-Encoding.");
    if (v->codings && m->minor == 0)
        return fail(h, 400, "HTTP/1.0 knows no Transfer-Encoding.");
    if (v->codings)
        m->content_length = SIZE_MAX;
    uint64_t length = 0;
    if (v->lengths && !span_uint(v->length, &length))
        return fail(h, 400, "Content-Length is malformed.");
    if (length > h->limits->max_body)
        return fail(h, 413, "The body is too large.");
    if (v->lengths)
        m->content_length = (size_t)length;
    return true;
}

static bool check_expect(struct http1 *h, const struct vital *v) {
    struct http_message *m = h->message;
    if (!v->expect.at || m->minor == 0)
        return true; /* RFC 9110, section 10.1.1: not for 1.0 */
    if (!span_eq_nocase(v->expect, SPAN("100-continue")))
        return fail(h, 417, "Only 100-continue can be expected.");
    m->expects_continue = m->content_length > 0;
    return true;
}

/* `head` is our own copy of a head the scanner took: it ends in an empty line. */
static bool read_head(struct http1 *h, struct span head) {
    struct span authority;
    struct vital v = { 0 };
    struct span line = span_sub(head, 0, span_find(head, '\r'));
    if (!read_request_line(h, line, &authority))
        return false;
    struct http_message *m = h->message;
    size_t target_at = (size_t)(m->target.at - head.at);
    if (!read_fields(h, span_sub(head, target_at, SIZE_MAX)) || !read_vital(h, &v))
        return false;
    if (!check_host(h, &v, authority) || !check_framing(h, &v) || !check_expect(h, &v))
        return false;
    m->keep_alive = !v.close && (m->minor == 1 || v.keep_alive);
    return true;
}

/* ---- from one state to the next ---- */

static void start_over(struct http1 *h) {
    h->state = HTTP1_IDLE;
    h->message = NULL;
    h->skip = false;
    h->blank_taken = false;
    h->scan = (struct http1_lines){ 0 };
    h->body_len = 0;
    h->ext_bytes = 0;
    buf_deinit(&h->head);
}

static void complete(struct http1 *h) {
    struct http_message *m = h->message;
    start_over(h);
    if (!m)
        return; /* read over */
    m->complete_us = clock_us();
    h->events->on_message(h->owner, m);
}

bool http1_will_skip(const struct http_message *m) {
    /* A client that waits for 100 may or may not send its body after a refusal: out of step. */
    return m->content_length <= SKIP_MAX && !m->expects_continue;
}

/* The head is whole: `bytes` is what of it is not in h->head. */
static bool head_done(struct http1 *h, const char *bytes, size_t len) {
    struct http_message *m = h->message = message_new(h->pool);
    char *copy = arena_alloc(&m->arena, h->head.len + len);
    if (h->head.len)
        memcpy(copy, h->head.at, h->head.len);
    memcpy(copy + h->head.len, bytes, len);
    struct span head = { copy, h->head.len + len };
    buf_deinit(&h->head);
    m->began_us = h->began_us;
    if (!read_head(h, head))
        return false;
    size_t length = m->content_length;
    bool skip = http1_will_skip(m);
    if (!h->events->on_head(h->owner, m)) {
        http_message_free(m);
        h->message = NULL;
        h->skip = skip;
        if (!skip) {
            h->state = HTTP1_OVER;
            return false;
        }
    }
    h->scan = (struct http1_lines){ 0 };
    h->left = length;
    h->digits = 0;
    if (length == 0)
        complete(h);
    else if (length == SIZE_MAX)
        h->state = HTTP1_CHUNK_SIZE, h->left = 0;
    else
        h->state = HTTP1_LENGTH;
    return true;
}

static size_t feed_head(struct http1 *h, const char *bytes, size_t len) {
    size_t used = 0;
    switch (scan_lines(h, bytes, len, &used)) {
    case SCAN_MORE:
        buf_append(&h->head, bytes, used);
        break;
    case SCAN_END:
        if (h->scan.lines == 1) {
            /* An empty line before the request line: some clients end a body so. One is forgiven.
             */
            if (h->blank_taken) {
                fail(h, 400, "The request line is empty.");
                break;
            }
            h->blank_taken = true;
            h->state = HTTP1_IDLE;
            h->scan = (struct http1_lines){ 0 };
            buf_clear(&h->head);
            break;
        }
        head_done(h, bytes, used);
        break;
    case SCAN_BAD:
        break;
    }
    return used;
}

/* ---- bodies ---- */

static void reserve_body(struct http_message *m, size_t more) {
    if (m->body.cap - m->body.len >= more)
        return;
    size_t want = m->body.len + more;
    if (m->content_length != SIZE_MAX) {
        /* Memory follows what has come, not what was announced. */
        want = want * 4 > BODY_STEP ? want * 4 : BODY_STEP;
        want = want < m->content_length ? want : m->content_length;
    }
    buf_reserve(&m->body, want - m->body.len + BODY_SPARE);
}

static bool add_body(struct http1 *h, const char *bytes, size_t len) {
    struct http_message *m = h->message;
    h->body_len += len;
    if (h->skip)
        return true;
    if (h->pool->body_bytes + len > h->pool->max_body_bytes)
        return fail(h, 503, "There are too many large requests at once; try again later.");
    h->pool->body_bytes += len;
    m->counted += len;
    reserve_body(m, len);
    buf_append(&m->body, bytes, len);
    return true;
}

static size_t feed_data(struct http1 *h, const char *bytes, size_t len) {
    size_t n = len < h->left ? len : h->left;
    if (!add_body(h, bytes, n))
        return 0;
    h->left -= n;
    if (h->left == 0 && h->state == HTTP1_LENGTH)
        complete(h);
    else if (h->left == 0)
        h->state = HTTP1_CHUNK_CR;
    return n;
}

static int hex(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The size is read: the chunk, or the trailers. */
static void chunk_line_done(struct http1 *h) {
    h->digits = 0;
    if (h->left) {
        h->state = HTTP1_CHUNK_DATA;
        return;
    }
    h->state = HTTP1_TRAILERS;
    h->scan = (struct http1_lines){ 0 };
}

static bool chunk_digit(struct http1 *h, char c) {
    int d = hex(c);
    if (d >= 0) {
        if (++h->digits > CHUNK_DIGITS)
            return fail(h, 400, "A chunk size is malformed.");
        h->left = h->left * 16 + (size_t)d;
        return true;
    }
    if (h->digits == 0 || (c != '\r' && c != ';'))
        return fail(h, 400, "A chunk size is malformed.");
    size_t max = h->skip ? SKIP_MAX : h->limits->max_body;
    if (h->left > max || h->body_len > max - h->left)
        return fail(h, 413, "The body is too large.");
    h->state = c == ';' ? HTTP1_CHUNK_EXT : HTTP1_CHUNK_LF;
    return true;
}

/* Extensions are read over; there is no use for any. */
static bool chunk_ext(struct http1 *h, char c) {
    if (c == '\r') {
        h->state = HTTP1_CHUNK_LF;
        return true;
    }
    if (!is_line_char((unsigned char)c))
        return fail(h, 400, "A chunk extension is malformed.");
    if (++h->ext_bytes > h->limits->max_header_bytes)
        return fail(h, 413, "The chunk extensions are too large.");
    return true;
}

static bool chunk_byte(struct http1 *h, char c) {
    switch (h->state) {
    case HTTP1_CHUNK_SIZE:
        return chunk_digit(h, c);
    case HTTP1_CHUNK_EXT:
        return chunk_ext(h, c);
    case HTTP1_CHUNK_LF:
        if (c != '\n')
            return fail(h, 400, "A chunk line is malformed.");
        chunk_line_done(h);
        return true;
    case HTTP1_CHUNK_CR:
        if (c != '\r')
            return fail(h, 400, "A chunk is longer than its size.");
        h->state = HTTP1_CHUNK_CRLF;
        return true;
    default:
        assert(h->state == HTTP1_CHUNK_CRLF);
        if (c != '\n')
            return fail(h, 400, "A chunk is longer than its size.");
        h->state = HTTP1_CHUNK_SIZE;
        return true;
    }
}

/* One trailer field. It is dropped, but must be one, and none that would change the message. */
static bool trailer_ok(struct span line) {
    static const struct span forbidden[] = {
        { "content-length", 14 }, { "transfer-encoding", 17 }, { "host", 4 },
        { "trailer", 7 },         { "authorization", 13 },     { "content-type", 12 },
    };
    size_t colon = span_find(line, ':');
    struct span name = span_sub(line, 0, colon);
    if (colon == line.len || !http_token_ok(name))
        return false;
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        if (span_eq_nocase(name, forbidden[i]))
            return false;
    return true;
}

static bool trailers_ok(struct span all) {
    struct span line;
    while (all.len > 2) {
        line = span_sub(all, 0, span_find(all, '\r'));
        all = span_sub(all, line.len + 2, SIZE_MAX);
        if (!trailer_ok(line))
            return false;
    }
    return true;
}

static size_t feed_trailers(struct http1 *h, const char *bytes, size_t len) {
    size_t used = 0;
    enum scan_result r = scan_lines(h, bytes, len, &used);
    if (r == SCAN_BAD)
        return used;
    buf_append(&h->head, bytes, used);
    if (r == SCAN_MORE)
        return used;
    if (!trailers_ok(buf_span(&h->head)))
        fail(h, 400, "A trailer field is malformed or may not be one.");
    else
        complete(h);
    return used;
}

/* ---- the outside ---- */

void http1_init(struct http1 *h, const struct http_limits *limits, struct http_pool *pool,
                const struct http1_events *events, void *owner) {
    *h = (struct http1){ .limits = limits, .pool = pool, .events = events, .owner = owner };
}

void http1_deinit(struct http1 *h) {
    if (h->message)
        http_message_free(h->message);
    h->message = NULL;
    h->state = HTTP1_OVER;
    buf_deinit(&h->head);
}

static size_t feed_some(struct http1 *h, const char *bytes, size_t len) {
    switch (h->state) {
    case HTTP1_IDLE:
        h->began_us = clock_us();
        h->state = HTTP1_HEAD;
        return 0;
    case HTTP1_HEAD:
        return feed_head(h, bytes, len);
    case HTTP1_LENGTH:
    case HTTP1_CHUNK_DATA:
        return feed_data(h, bytes, len);
    case HTTP1_TRAILERS:
        return feed_trailers(h, bytes, len);
    default:
        chunk_byte(h, *bytes);
        return 1;
    }
}

size_t http1_feed(struct http1 *h, const char *bytes, size_t len) {
    size_t used = 0;
    while (used < len && h->state != HTTP1_OVER) {
        used += feed_some(h, bytes + used, len - used);
        if (h->state == HTTP1_IDLE)
            break; /* behind a message */
    }
    return h->error.status ? 0 : used;
}

bool http1_idle(const struct http1 *h) {
    return h->state == HTTP1_IDLE;
}

bool http1_in_head(const struct http1 *h) {
    return h->state == HTTP1_HEAD;
}

size_t http1_body_len(const struct http1 *h) {
    return h->body_len;
}
