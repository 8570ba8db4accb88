/* Every stream of bytes is fed whole, byte by byte and cut in two at every place: the result is the
 * same. */
#include "support/unit.h"

#include "net/http1.h"

#define HOST "Host: a\r\n"

struct seen {
    struct buf text; /* what happened, in words */
    bool refuse;     /* on_head says no */
    unsigned messages;
};

static bool on_head(void *owner, struct http_message *m) {
    struct seen *seen = owner;
    buf_printf(&seen->text, "head %.*s %.*s path=%.*s query=%.*s 1.%u length=%zd%s%s\n",
               SPAN_ARGS(m->method), SPAN_ARGS(m->target), SPAN_ARGS(m->path), SPAN_ARGS(m->query),
               m->minor, (ssize_t)m->content_length, m->keep_alive ? " keep" : "",
               m->expects_continue ? " expects" : "");
    for (size_t i = 0; i < m->n_headers; i++)
        buf_printf(&seen->text, "%.*s=[%.*s]\n", SPAN_ARGS(m->headers[i].name),
                   SPAN_ARGS(m->headers[i].value));
    return !seen->refuse;
}

static void on_message(void *owner, struct http_message *m) {
    struct seen *seen = owner;
    seen->messages++;
    assert_true(m->began_us > 0 && m->complete_us >= m->began_us);
    buf_printf(&seen->text, "message [%.*s]\n", SPAN_ARGS(buf_span(&m->body)));
    http_message_free(m);
}

static const struct http1_events events = { .on_head = on_head, .on_message = on_message };
static const struct http_limits limits = {
    .max_line = 256, .max_header_bytes = 1024, .max_headers = 10, .max_body = 1000
};

/* A parser with its pool and its witness. */
struct bench {
    struct http1 h;
    struct http_pool *pool;
    struct seen seen;
    size_t used;
};

static void setup(struct bench *b, bool refuse, size_t max_bodies) {
    *b = (struct bench){ .seen.refuse = refuse };
    b->pool = http_pool_new(max_bodies);
    http1_init(&b->h, &limits, b->pool, &events, &b->seen);
}

static void feed(struct bench *b, const char *bytes, size_t len) {
    size_t at = 0;
    while (at < len) {
        /* Exactly as much memory as there are bytes, so that a sanitizer sees reading beyond. */
        char *copy = malloc(len - at);
        memcpy(copy, bytes + at, len - at);
        size_t n = http1_feed(&b->h, copy, len - at);
        free(copy);
        at += n;
        if (b->h.error.status || n == 0)
            break;
    }
    b->used += at;
}

/* What happened, and what the error is; the caller frees it. */
static char *finish(struct bench *b) {
    if (b->h.error.status)
        buf_printf(&b->seen.text, "error %d\n", b->h.error.status);
    buf_add_char(&b->seen.text, '\0');
    http1_deinit(&b->h);
    assert_int_equal(http_pool_body_bytes(b->pool), 0);
    http_pool_release(b->pool);
    return b->seen.text.at;
}

static char *run_cut(struct span input, size_t cut, bool bytewise) {
    struct bench b;
    setup(&b, false, 1 << 20);
    if (bytewise) {
        for (size_t i = 0; i < input.len; i++)
            feed(&b, input.at + i, 1);
    } else {
        feed(&b, input.at, cut);
        if (!b.h.error.status)
            feed(&b, input.at + cut, input.len - cut);
    }
    return finish(&b);
}

static void expect_same(const char *expected, char *got) {
    if (strcmp(expected, got) != 0)
        fail_msg("expected:\n%s\ngot:\n%s", expected, got);
    free(got);
}

/* Feeds it in every way; all must give `expected`. */
static void expect(struct span input, const char *expected) {
    expect_same(expected, run_cut(input, input.len, false));
    expect_same(expected, run_cut(input, 0, true));
    for (size_t cut = 1; cut < input.len; cut++)
        expect_same(expected, run_cut(input, cut, false));
}

#define EXPECT(literal, expected) expect(SPAN(literal), expected)

static void test_get(void **state) {
    EXPECT("GET /v1/models?x=1&y HTTP/1.1\r\nHost: a:80\r\nX-Empty:\r\nX-Odd: \t a b \t\r\n\r\n",
           "head GET /v1/models?x=1&y path=/v1/models query=x=1&y 1.1 length=0 keep\n"
           "host=[a:80]\nx-empty=[]\nx-odd=[a b]\nmessage []\n");
}

static void test_post(void **state) {
    EXPECT("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
           "head POST / path=/ query= 1.1 length=5 keep\nhost=[a]\ncontent-length=[5]\n"
           "message [hello]\n");
}

static void test_chunked(void **state) {
    EXPECT("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n"
           "5\r\nhello\r\n00A;a=b;c=\"d\"\r\n, chunked!\r\n0\r\n\r\n",
           "head POST / path=/ query= 1.1 length=-1 keep\nhost=[a]\ntransfer-encoding=[Chunked]\n"
           "message [hello, chunked!]\n");
}

static void test_trailers_are_dropped(void **state) {
    EXPECT("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
           "2\r\nhi\r\n0\r\nX-Sum: 12\r\nX-More: a b\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
           "head POST / path=/ query= 1.1 length=-1 keep\nhost=[a]\ntransfer-encoding=[chunked]\n"
           "message [hi]\nhead GET / path=/ query= 1.1 length=0 keep\nhost=[a]\nmessage []\n");
}

static void test_pipelined(void **state) {
    EXPECT("GET /1 HTTP/1.1\r\n" HOST "\r\nPOST /2 HTTP/1.1\r\n" HOST
           "Content-Length: 2\r\n\r\nab\r\nHEAD /3 HTTP/1.1\r\n" HOST "\r\n",
           "head GET /1 path=/1 query= 1.1 length=0 keep\nhost=[a]\nmessage []\n"
           "head POST /2 path=/2 query= 1.1 length=2 keep\nhost=[a]\ncontent-length=[2]\n"
           "message [ab]\nhead HEAD /3 path=/3 query= 1.1 length=0 keep\nhost=[a]\nmessage []\n");
}

static void test_stops_behind_a_message(void **state) {
    struct bench b;
    setup(&b, false, 1 << 20);
    struct span two = SPAN("GET / HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(http1_feed(&b.h, two.at, two.len), two.len / 2);
    assert_int_equal(b.seen.messages, 1);
    assert_true(http1_idle(&b.h));
    free(finish(&b));
}

static void test_methods(void **state) {
    /* Routing says 405 to what it does not know, so every token gets through. */
    EXPECT("BREW /pot HTTP/1.1\r\n" HOST "\r\n",
           "head BREW /pot path=/pot query= 1.1 length=0 keep\nhost=[a]\nmessage []\n");
    EXPECT("OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
           "head OPTIONS * path=* query= 1.1 length=0 keep\nhost=[a]\nmessage []\n");
    EXPECT("m-search / HTTP/1.1\r\n" HOST "\r\n",
           "head m-search / path=/ query= 1.1 length=0 keep\nhost=[a]\nmessage []\n");
    EXPECT("CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n", "error 501\n");
}

static void test_absolute_form(void **state) {
    EXPECT("GET HTTP://A:80/x?y HTTP/1.1\r\nHost: a:80\r\n\r\n",
           "head GET HTTP://A:80/x?y path=/x query=y 1.1 length=0 keep\nhost=[a:80]\nmessage []\n");
    EXPECT("GET http://a HTTP/1.1\r\n" HOST "\r\n",
           "head GET http://a path=/ query= 1.1 length=0 keep\nhost=[a]\nmessage []\n");
}

static void test_keep_alive(void **state) {
    EXPECT("GET / HTTP/1.0\r\n\r\n", "head GET / path=/ query= 1.0 length=0\nmessage []\n");
    EXPECT(
        "GET / HTTP/1.0\r\nConnection: foo, Keep-Alive\r\n\r\n",
        "head GET / path=/ query= 1.0 length=0 keep\nconnection=[foo, Keep-Alive]\nmessage []\n");
    EXPECT("GET / HTTP/1.1\r\n" HOST "Connection: keep-alive, Close\r\n\r\n",
           "head GET / path=/ query= 1.1 length=0\nhost=[a]\nconnection=[keep-alive, Close]\n"
           "message []\n");
}

static void test_expect(void **state) {
    EXPECT("POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
           "head POST / path=/ query= 1.1 length=1 keep expects\nhost=[a]\nexpect=[100-Continue]\n"
           "content-length=[1]\nmessage [x]\n");
    EXPECT("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
           "head POST / path=/ query= 1.0 length=1\nexpect=[100-continue]\ncontent-length=[1]\n"
           "message [x]\n");
    EXPECT("POST / HTTP/1.1\r\n" HOST "Expect: coffee\r\nContent-Length: 1\r\n\r\nx",
           "error 417\n");
}

static void test_empty_line_before_a_request(void **state) {
    EXPECT("\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
           "head GET / path=/ query= 1.1 length=0 keep\nhost=[a]\nmessage []\n");
    EXPECT("\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "error 400\n");
}

#define GET "GET / HTTP/1.1\r\n" HOST
#define POST "POST / HTTP/1.1\r\n" HOST
#define TE POST "Transfer-Encoding: chunked\r\n\r\n"

/* What must be refused, and how. In chunked bodies the head has been shown before. */
static const struct {
    const char *name;
    struct span input;
    int status;
} rejects[] = {
#define CASE(name, literal, status)                                                                \
    { name, { literal, sizeof(literal) - 1 }, status }
    /* length and coding */
    CASE("length and coding",
         POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    CASE("coding and length",
         POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    CASE("two equal lengths", POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    CASE("two lengths", POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    CASE("a list of lengths", POST "Content-Length: 3, 3\r\n\r\nabc", 400),
    CASE("length with plus", POST "Content-Length: +3\r\n\r\nabc", 400),
    CASE("length with minus", POST "Content-Length: -3\r\n\r\nabc", 400),
    CASE("hexadecimal length", POST "Content-Length: 0x3\r\n\r\nabc", 400),
    CASE("length with underscore", POST "Content-Length: 1_0\r\n\r\nabc", 400),
    CASE("empty length", POST "Content-Length:\r\n\r\n", 400),
    CASE("blank length", POST "Content-Length:  \r\n\r\n", 400),
    CASE("length with inner space", POST "Content-Length: 1 0\r\n\r\n", 400),
    CASE("length overflow", POST "Content-Length: 18446744073709551617\r\n\r\n", 400),
    CASE("length over the limit", POST "Content-Length: 1001\r\n\r\n", 413),
    CASE("length over the limit by far", POST "Content-Length: 18446744073709551615\r\n\r\n", 413),
    CASE("comma chunked", POST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", 400),
    CASE("chunked comma", POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", 400),
    CASE("chunked twice", POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    CASE("two codings",
         POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    CASE("identity and chunked",
         POST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    CASE("unknown coding", POST "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400),
    CASE("gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    CASE("chunked, gzip", POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
    CASE("xchunked", POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    CASE("quoted chunked", POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400),
    CASE("chunked with parameter", POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 400),
    CASE("empty coding", POST "Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400),
    CASE("vertical tab before chunked",
         POST "Transfer-Encoding: \x0b"
              "chunked\r\n\r\n0\r\n\r\n",
         400),
    CASE("no-break space before chunked",
         POST "Transfer-Encoding: \xa0"
              "chunked\r\n\r\n0\r\n\r\n",
         400),
    CASE("next line behind chunked", POST "Transfer-Encoding: chunked\x85\r\n\r\n0\r\n\r\n", 400),
    CASE("coding in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    CASE("length with a trick name", POST "Content-Length : 3\r\n\r\nabc", 400),
    CASE("underscore is another header", POST "Content_Length: 3\r\nContent-Length: x\r\n\r\n",
         400),
    /* header lines */
    CASE("space before colon", GET "Foo : x\r\n\r\n", 400),
    CASE("tab before colon", GET "Foo\t: x\r\n\r\n", 400),
    CASE("empty name", GET ": x\r\n\r\n", 400),
    CASE("empty name and value", GET ":\r\n\r\n", 400),
    CASE("no colon", GET "Foo\r\n\r\n", 400),
    CASE("no colon but a space", GET "Foo bar\r\n\r\n", 400),
    CASE("folded", GET "Foo: a\r\n b\r\n\r\n", 400),
    CASE("folded by a tab", GET "Foo: a\r\n\tb\r\n\r\n", 400),
    CASE("folded blank", GET "Foo: a\r\n \r\n\r\n", 400),
    CASE("space before the first header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    CASE("tab before the first header", "GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", 400),
    CASE("only LF", "GET / HTTP/1.1\nHost: a\n\n", 400),
    CASE("LF behind a header", GET "Foo: a\nBar: b\r\n\r\n", 400),
    CASE("LF ends the head", GET "Foo: a\r\n\n", 400),
    CASE("LF behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    CASE("CR behind a header", GET "Foo: a\rBar: b\r\n\r\n", 400),
    CASE("CR CR LF", GET "Foo: a\r\r\n\r\n", 400),
    CASE("CR in the end of the head", GET "\r\r\n", 400),
    CASE("CR LF CR X", GET "\rX", 400),
    CASE("CR only", "GET / HTTP/1.1\rHost: a\r\r", 400),
    CASE("NUL in a value", GET "Foo: a\0b\r\n\r\n", 400),
    CASE("NUL in a name", GET "F\0o: a\r\n\r\n", 400),
    CASE("DEL in a value", GET "Foo: a\x7f\r\n\r\n", 400),
    CASE("escape in a value", GET "Foo: \x1b[0m\r\n\r\n", 400),
    CASE("letter that is no token in a name", GET "F(o: a\r\n\r\n", 400),
    CASE("quote in a name", GET "\"Foo\": a\r\n\r\n", 400),
    CASE("high byte in a name", GET "F\xc3\xb6o: a\r\n\r\n", 400),
    /* request line */
    CASE("method with a slash", "G/T / HTTP/1.1\r\n" HOST "\r\n", 400),
    CASE("method with a colon", "GET: / HTTP/1.1\r\n" HOST "\r\n", 400),
    CASE("method with a high byte",
         "G\xcb"
         "T / HTTP/1.1\r\n" HOST "\r\n",
         400),
    CASE("no method", " / HTTP/1.1\r\n" HOST "\r\n", 400),
    CASE("tab behind the method", "GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400),
    CASE("two spaces before the target", "GET  / HTTP/1.1\r\n" HOST "\r\n", 400),
    CASE("two spaces behind the target", "GET /  HTTP/1.1\r\n" HOST "\r\n", 400),
    CASE("space at the end", "GET / HTTP/1.1 \r\n" HOST "\r\n", 400),
    CASE("space in the target", "GET /a b HTTP/1.1\r\n" HOST "\r\n", 400),
    CASE("no version", "GET /\r\n\r\n", 400),
    CASE("no target", "GET HTTP/1.1\r\n" HOST "\r\n", 400),
    CASE("method alone", "GET\r\n" HOST "\r\n", 400),
    CASE("long minor version", "GET / HTTP/1.32\r\n" HOST "\r\n", 400),
    CASE("version overflow", "GET / HTTP/4294967297.1\r\n" HOST "\r\n", 400),
    CASE("version without minor", "GET / HTTP/1\r\n" HOST "\r\n", 400),
    CASE("version with zero", "GET / HTTP/01.1\r\n" HOST "\r\n", 400),
    CASE("version in lower case", "GET / http/1.1\r\n" HOST "\r\n", 400),
    CASE("version of letters", "GET / HTTP/a.b\r\n" HOST "\r\n", 400),
    CASE("another protocol", "GET / RTSP/1.0\r\n" HOST "\r\n", 400),
    CASE("ICE", "SOURCE / ICE/1.0\r\n" HOST "\r\n", 400),
    CASE("version 0.9", "GET / HTTP/0.9\r\n" HOST "\r\n", 505),
    CASE("version 1.2", "GET / HTTP/1.2\r\n" HOST "\r\n", 505),
    CASE("version 2.0", "GET / HTTP/2.0\r\n" HOST "\r\n", 505),
    CASE("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    CASE("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    CASE("fragment", "GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400),
    CASE("high byte in the target", "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", 400),
    CASE("relative target", "GET a/b HTTP/1.1\r\n" HOST "\r\n", 400),
    CASE("authority form", "GET a:80 HTTP/1.1\r\n" HOST "\r\n", 400),
    CASE("asterisk with GET", "GET * HTTP/1.1\r\n" HOST "\r\n", 400),
    CASE("other scheme", "GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n", 400),
    /* Host */
    CASE("no Host", "GET / HTTP/1.1\r\n\r\n", 400),
    CASE("two Hosts", GET "Host: b\r\n\r\n", 400),
    CASE("two equal Hosts", GET HOST "\r\n", 400),
    CASE("empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    CASE("Host with user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    CASE("Host with path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    CASE("Host with space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    CASE("absolute form of another host", "GET http://b/ HTTP/1.1\r\n" HOST "\r\n", 400),
    CASE("absolute form with user", "GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n", 400),
    CASE("absolute form without host", "GET http:/// HTTP/1.1\r\n" HOST "\r\n", 400),
    /* sizes of the head */
    CASE("eleven headers", GET "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n9:\r\n10:\r\n\r\n",
         431),
    /* chunks */
    CASE("empty chunk size", TE "\r\nabc\r\n0\r\n\r\n", 400),
    CASE("chunk size with extension only", TE ";a\r\n\r\n", 400),
    CASE("signed chunk size", TE "+3\r\nabc\r\n0\r\n\r\n", 400),
    CASE("negative chunk size", TE "-3\r\nabc\r\n0\r\n\r\n", 400),
    CASE("0x chunk size", TE "0x3\r\nabc\r\n0\r\n\r\n", 400),
    CASE("chunk size with underscore", TE "1_0\r\nabc\r\n0\r\n\r\n", 400),
    CASE("chunk size with rubbish", TE "3g\r\nabc\r\n0\r\n\r\n", 400),
    CASE("space before chunk size", TE " 3\r\nabc\r\n0\r\n\r\n", 400),
    CASE("space behind chunk size", TE "3 \r\nabc\r\n0\r\n\r\n", 400),
    CASE("17 digits", TE "00000000000000003\r\nabc\r\n0\r\n\r\n", 400),
    CASE("16 digits", TE "ffffffffffffffff\r\nabc\r\n0\r\n\r\n", 413),
    CASE("chunk longer than its size", TE "3\r\nabcd\r\n0\r\n\r\n", 400),
    CASE("chunk shorter than its size", TE "4\r\nabc\r\n0\r\n\r\n", 400),
    CASE("LF behind chunk size", TE "3\nabc\r\n0\r\n\r\n", 400),
    CASE("CR behind chunk size", TE "3\rabc\r\n0\r\n\r\n", 400),
    CASE("LF behind chunk data", TE "3\r\nabc\n0\r\n\r\n", 400),
    CASE("CR behind chunk data", TE "3\r\nabc\r0\r\n\r\n", 400),
    CASE("CR in a chunk extension", TE "3;a\rb\r\nabc\r\n0\r\n\r\n", 400),
    CASE("LF in a chunk extension", TE "3;a\nb\r\nabc\r\n0\r\n\r\n", 400),
    CASE("NUL in a chunk extension", TE "3;a\0b\r\nabc\r\n0\r\n\r\n", 400),
    CASE("LF ends the last chunk", TE "0\n\r\n", 400),
    CASE("LF ends the trailers", TE "0\r\n\n", 400),
    CASE("chunks over the limit", TE "3e7\r\n", 0),
    CASE("one byte over the limit", TE "3e9\r\n", 413),
    CASE("length in a trailer", TE "0\r\nContent-Length: 5\r\n\r\n", 400),
    CASE("coding in a trailer", TE "0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    CASE("Host in a trailer", TE "0\r\nHost: b\r\n\r\n", 400),
    CASE("no colon in a trailer", TE "0\r\nfoo\r\n\r\n", 400),
    CASE("folded trailer", TE "0\r\nfoo: a\r\n b\r\n\r\n", 400),
    CASE("space before a trailer", TE "0\r\n foo: a\r\n\r\n", 400),
    CASE("empty trailer name", TE "0\r\n: a\r\n\r\n", 400),
#undef CASE
};

/* The status of the error in a transcript, 0 without; no message may have come. */
static int status_of(const char *name, char *text) {
    const char *error = strstr(text, "error ");
    if (strstr(text, "message"))
        fail_msg("%s: a message came through:\n%s", name, text);
    int status = error ? atoi(error + 6) : 0;
    free(text);
    return status;
}

static void expect_status(const char *name, int expected, char *text) {
    int got = status_of(name, text);
    if (got != expected)
        fail_msg("%s: expected %d, got %d", name, expected, got);
}

static void test_rejects(void **state) {
    for (size_t i = 0; i < sizeof rejects / sizeof *rejects; i++) {
        struct span input = rejects[i].input;
        expect_status(rejects[i].name, rejects[i].status, run_cut(input, input.len, false));
        expect_status(rejects[i].name, rejects[i].status, run_cut(input, 0, true));
        for (size_t cut = 1; cut < input.len; cut++)
            expect_status(rejects[i].name, rejects[i].status, run_cut(input, cut, false));
    }
}

static void test_nothing_behind_an_error(void **state) {
    struct bench b;
    setup(&b, false, 1 << 20);
    struct span bad = SPAN("GET / HTTP/1.1\r\n\r\n"), good = SPAN(GET "\r\n");
    assert_int_equal(http1_feed(&b.h, bad.at, bad.len), 0);
    assert_int_equal(b.h.error.status, 400);
    assert_int_equal(http1_feed(&b.h, good.at, good.len), 0);
    assert_int_equal(b.seen.messages, 0);
    free(finish(&b));
}

/* `n` times 'x' between two texts. */
static char *padded(const char *before, size_t n, const char *after) {
    struct buf b = { 0 };
    buf_add(&b, span_of(before));
    memset(buf_reserve(&b, n), 'x', n);
    b.len += n;
    buf_append(&b, after, strlen(after) + 1);
    return b.at;
}

static void expect_padded(const char *before, size_t n, const char *after, int status) {
    char *text = padded(before, n, after);
    struct span input = span_of(text);
    char *whole = run_cut(input, input.len, false), *bytewise = run_cut(input, 0, true);
    const char *error = strstr(whole, "error ");
    assert_int_equal(error ? atoi(error + 6) : 0, status);
    assert_string_equal(whole, bytewise);
    free(whole);
    free(bytewise);
    free(text);
}

static void test_limits(void **state) {
    /* "GET /xxx HTTP/1.1" is 256 bytes long with 242 letters. */
    expect_padded("GET /", 242, " HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    expect_padded("GET /", 243, " HTTP/1.1\r\nHost: a\r\n\r\n", 414);
    expect_padded("GET /", 100000, "", 414);
    /* "Host: a" and "X: " take ten of 1024 bytes. */
    expect_padded("GET / HTTP/1.1\r\nHost: a\r\nX: ", 1014, "\r\n\r\n", 0);
    expect_padded("GET / HTTP/1.1\r\nHost: a\r\nX: ", 1015, "\r\n\r\n", 431);
    expect_padded("GET / HTTP/1.1\r\nHost: a\r\nX: ", 100000, "", 431);
    expect_padded(TE "0\r\nX: ", 1022, "\r\n\r\n", 431);
    expect_padded(TE "1;", 1025, "\r\na\r\n0\r\n\r\n", 413);
}

static void test_bodies_at_their_limit(void **state) {
    expect_padded(POST "Content-Length: 1000\r\n\r\n", 1000, "", 0);
    expect_padded(TE "3e8\r\n", 1000, "\r\n0\r\n\r\n", 0);
    expect_padded(TE "3e8\r\n", 1000, "\r\n1\r\nx\r\n0\r\n\r\n", 413);
}

static void test_no_room_for_bodies(void **state) {
    struct bench b;
    struct span head = SPAN(POST "Content-Length: 10\r\n\r\n");
    setup(&b, false, 9);
    feed(&b, head.at, head.len);
    feed(&b, "12345", 5);
    assert_int_equal(b.h.error.status, 0);
    assert_int_equal(http_pool_body_bytes(b.pool), 5);
    feed(&b, "67890", 5);
    assert_int_equal(b.h.error.status, 503);
    assert_int_equal(http_pool_body_bytes(b.pool), 0);
    free(finish(&b));
}

static void test_refused_short_body_is_read_over(void **state) {
    struct bench b;
    struct span both = SPAN(POST "Content-Length: 3\r\n\r\nabc" GET "\r\n");
    setup(&b, true, 1 << 20);
    feed(&b, both.at, both.len);
    assert_int_equal(b.h.error.status, 0);
    assert_int_equal(b.used, both.len);
    assert_int_equal(b.seen.messages, 0);
    assert_true(http1_idle(&b.h));
    char *text = finish(&b);
    assert_non_null(strstr(text, "head POST"));
    assert_non_null(strstr(text, "head GET"));
    free(text);
}

static void test_refused_chunked_body_ends_it(void **state) {
    struct bench b;
    struct span input = SPAN(TE "3\r\nabc\r\n0\r\n\r\n" GET "\r\n");
    setup(&b, true, 1 << 20);
    feed(&b, input.at, input.len);
    assert_int_equal(b.h.error.status, 0);
    assert_true(b.used < input.len);
    char *text = finish(&b);
    assert_null(strstr(text, "head GET"));
    free(text);
}

/* A message outlives its parser and the owner of its pool. */
static struct http_message *kept;
static void keep_message(void *owner, struct http_message *m) {
    kept = m;
}

static void test_message_outlives_all(void **state) {
    static const struct http1_events keeping = { .on_head = on_head, .on_message = keep_message };
    struct http1 h;
    struct seen seen = { 0 };
    struct http_pool *pool = http_pool_new(100);
    http1_init(&h, &limits, pool, &keeping, &seen);
    struct span input = SPAN(POST "Content-Length: 3\r\n\r\nabc");
    assert_int_equal(http1_feed(&h, input.at, input.len), input.len);
    assert_int_equal(http_pool_body_bytes(pool), 3);
    http1_deinit(&h);
    http_pool_release(pool);
    assert_true(span_eq(buf_span(&kept->body), SPAN("abc")));
    assert_true(span_eq(http_header(kept, SPAN("host")), SPAN("a")));
    assert_null(http_header(kept, SPAN("x-none")).at);
    http_message_free(kept);
    buf_deinit(&seen.text);
}

static void test_memory_is_used_again(void **state) {
    struct bench b;
    setup(&b, false, 1 << 20);
    struct span input = SPAN(POST "Content-Length: 3\r\n\r\nabc");
    for (int i = 0; i < 100; i++)
        feed(&b, input.at, input.len);
    assert_int_equal(b.seen.messages, 100);
    free(finish(&b));
}

static void test_values(void **state) {
    assert_true(http_value_ok(SPAN("plain, \"quoted\"\t\xc3\xa4")));
    assert_true(http_value_ok(SPAN("")));
    assert_false(http_value_ok(SPAN("a\rb")));
    assert_false(http_value_ok(SPAN("a\nb")));
    assert_false(http_value_ok(SPAN("a\0b")));
    assert_false(http_value_ok(SPAN("a\x7f")));
    assert_true(http_token_ok(SPAN("x-Request_id!")));
    assert_false(http_token_ok(SPAN("")));
    assert_false(http_token_ok(SPAN("a:")));
    assert_false(http_token_ok(SPAN("a b")));
    /* The whole table against the list of RFC 9110. */
    for (int c = 0; c < 256; c++) {
        char letter = (char)c;
        bool listed = c && (strchr("!#$%&'*+-.^_`|~0123456789", c) || (c >= 'a' && c <= 'z') ||
                            (c >= 'A' && c <= 'Z'));
        assert_int_equal(http_token_ok((struct span){ &letter, 1 }), listed);
    }
    assert_string_equal(http_reason(404), "Not Found");
    assert_string_equal(http_reason(799), "Unknown");
}

/* Every byte at every place of a value, since the scanner looks at eight at a time. */
static void test_every_byte_in_a_value(void **state) {
    for (int c = 0; c < 256; c++) {
        for (size_t at = 0; at < 20; at++) {
            char text[] = GET "X: aaaaaaaaaaaaaaaaaaaaz\r\n\r\n";
            bool fine = (c >= 0x20 && c != 0x7f) || c == '\t';
            text[sizeof(GET "X: ") - 1 + at] = (char)c;
            char *got = run_cut((struct span){ text, sizeof text - 1 }, sizeof text - 1, false);
            if (fine != (strstr(got, "message") != NULL))
                fail_msg("byte 0x%02x at %zu: %s", (unsigned)c, at, got);
            free(got);
        }
    }
}

/* Random changes to good requests: whatever comes of them, it comes of them in every cut alike. */
static void test_mutations(void **state) {
    static const struct span seeds[] = {
        { TE "5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
          sizeof(TE "5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n") - 1 },
        { POST "Content-Length: 5\r\n\r\nhello",
          sizeof(POST "Content-Length: 5\r\n\r\nhello") - 1 },
    };
    static const char alphabet[] = "\r\n\t :;,0aZ\x7f\xff";
    uint32_t random = 12345;
    for (int round = 0; round < 20000; round++) {
        struct span seed = seeds[round % 2];
        char copy[256];
        memcpy(copy, seed.at, seed.len);
        for (int i = 0; i < 1 + round % 3; i++) {
            random = random * 1664525 + 1013904223;
            copy[(random >> 8) % seed.len] = alphabet[(random >> 4) % sizeof alphabet];
        }
        struct span input = { copy, seed.len };
        random = random * 1664525 + 1013904223;
        char *whole = run_cut(input, input.len, false);
        expect_same(whole, run_cut(input, 0, true));
        expect_same(whole, run_cut(input, (random >> 8) % input.len, false));
        free(whole);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_post),
        cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_trailers_are_dropped),
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_stops_behind_a_message),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_absolute_form),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_expect),
        cmocka_unit_test(test_empty_line_before_a_request),
        cmocka_unit_test(test_rejects),
        cmocka_unit_test(test_nothing_behind_an_error),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_bodies_at_their_limit),
        cmocka_unit_test(test_no_room_for_bodies),
        cmocka_unit_test(test_refused_short_body_is_read_over),
        cmocka_unit_test(test_refused_chunked_body_ends_it),
        cmocka_unit_test(test_message_outlives_all),
        cmocka_unit_test(test_memory_is_used_again),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_every_byte_in_a_value),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
