/* JSON as it is read, found and changed: by examples, and by random texts against a slow reader
 * that is plainly right. */
#include "base/json.h"
#include "base/random.h"
#include "base/utf8.h"
#include "support/unit.h"

#include <math.h>

static struct json_parser *parser;

static int set_up(void **state) {
    parser = json_parser_new();
    return 0;
}

static int tear_down(void **state) {
    json_parser_free(parser);
    return 0;
}

static int parse(struct span text) {
    struct json_value root;
    return json_parse(parser, text, &root);
}

static struct json_value read_ok(struct span text) {
    struct json_value root;
    assert_int_equal(json_parse(parser, text, &root), 0);
    return root;
}

/* --- reading --- */

static void reads_values(void **state) {
    struct json_value root =
        read_ok(SPAN("{\"s\":\"a\\nb\",\"n\":1.5,\"i\":-7,\"t\":true,\"f\":false,"
                     "\"z\":null,\"a\":[1,[2],{}],\"o\":{\"k\":\"v\"}}"));
    int64_t i;
    assert_int_equal(json_type(root), JSON_OBJECT);
    assert_int_equal(json_count(root), 8);
    assert_span(json_text(json_get(root, "s")), "a\nb");
    assert_true(json_number(json_get(root, "n"), 0) == 1.5);
    assert_true(json_int(json_get(root, "i"), &i) && i == -7);
    assert_false(json_int(json_get(root, "n"), &i));
    assert_true(json_true(json_get(root, "t")));
    assert_false(json_true(json_get(root, "f")));
    assert_int_equal(json_type(json_get(root, "f")), JSON_BOOL);
    assert_int_equal(json_type(json_get(root, "z")), JSON_NULL);
    assert_int_equal(json_count(json_get(root, "a")), 3);
    assert_span(json_text(json_get(json_get(root, "o"), "k")), "v");
    assert_int_equal(json_type(json_get(root, "missing")), JSON_ABSENT);
}

static void answers_absent_on_what_is_not_there(void **state) {
    struct json_value none = { 0 };
    int64_t i;
    struct json_iter it = json_iter(none);
    assert_int_equal(json_type(none), JSON_ABSENT);
    assert_int_equal(json_type(json_get(none, "a")), JSON_ABSENT);
    assert_int_equal(json_count(none), 0);
    assert_span(json_text(none), NULL);
    assert_true(json_number(none, 9) == 9);
    assert_false(json_int(none, &i));
    assert_false(json_true(none));
    assert_false(json_next(&it));
    it = json_iter(read_ok(SPAN("\"text\"")));
    assert_false(json_next(&it));
}

static void walks(void **state) {
    struct json_value root = read_ok(SPAN("{\"a\":[1,[2,3],\"x\"],\"b\\u0041\":{},\"\":2}"));
    const char *keys[] = { "a", "bA", "" };
    int n = 0;
    for (struct json_iter it = json_iter(root); json_next(&it); n++)
        assert_span(it.key, keys[n]);
    assert_int_equal(n, 3);
    n = 0;
    for (struct json_iter it = json_iter(json_get(root, "a")); json_next(&it); n++)
        assert_span(it.key, NULL);
    assert_int_equal(n, 3);
    struct json_iter it = json_iter(json_get(root, "bA"));
    assert_false(json_next(&it));
}

static void picks_several_at_once(void **state) {
    static const struct span keys[] = { { "b", 1 }, { "", 0 }, { "none", 4 }, { "a", 1 } };
    struct json_value at[4];
    json_pick(read_ok(SPAN("{\"a\":1,\"\":2,\"b\":3,\"\\u0062\":4}")), keys, at, 4);
    assert_true(json_number(at[0], 0) == 3);
    assert_true(json_number(at[1], 0) == 2);
    assert_int_equal(json_type(at[2]), JSON_ABSENT);
    assert_true(json_number(at[3], 0) == 1);
    json_pick(read_ok(SPAN("[1]")), keys, at, 4);
    assert_int_equal(json_type(at[0]), JSON_ABSENT);
}

static void tells_whole_numbers(void **state) {
    static const struct {
        const char *text;
        bool whole;
        int64_t value;
    } cases[] = {
        { "0", true, 0 },
        { "100.0", true, 100 },
        { "1e3", true, 1000 },
        { "9223372036854775807", true, INT64_MAX },
        { "-9223372036854775808", true, INT64_MIN },
        { "9223372036854775808", false, 0 },
        { "1e17", false, 0 },
        { "0.5", false, 0 },
        { "\"1\"", false, 0 },
        { "true", false, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = 0;
        assert_int_equal(json_int(read_ok(span_of(cases[i].text)), &value), cases[i].whole);
        assert_true(value == cases[i].value);
    }
}

static void lets_large_numbers_through(void **state) {
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        { "123456789012345678901234567890", 1.23456789e29 },
        { "-99999999999999999999", -1e20 },
        { "18446744073709551616", 18446744073709551616.0 },
        { "1e999", 1e308 },
        { "-1E+999", -1e308 },
        { "1e99999999999999999999999999", 1e308 },
        { "1e-999", 0 },
        { "0.1e400", 1e308 },
        { "1e309", 1e308 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double got = json_number(read_ok(span_of(cases[i].text)), NAN);
        assert_true(fabs(got - cases[i].value) <= fabs(cases[i].value) * 1e-8);
        char framed[128];
        struct json_member m = { .name = SPAN("n") };
        int len =
            sprintf(framed, "{\"a\":[\"\\ud800\",-1e999], \"n\" : %s , \"b\":1}", cases[i].text);
        read_ok((struct span){ framed, (size_t)len });
        assert_int_equal(json_locate(parser, NULL, &m, 1), 0);
        assert_int_equal(m.value_end - m.value_at, strlen(cases[i].text));
        assert_memory_equal(framed + m.value_at, cases[i].text, strlen(cases[i].text));
    }
}

static void reads_lone_surrogates_as_replacements(void **state) {
    assert_span(json_text(read_ok(SPAN("\"a\\ud83d\""))), "a\xef\xbf\xbd");
    assert_span(json_text(read_ok(SPAN("\"\\ude00b\""))), "\xef\xbf\xbd"
                                                          "b");
    assert_span(json_text(read_ok(SPAN("\"\\ud83d\\u0041\""))), "\xef\xbf\xbd"
                                                                "A");
    assert_span(json_text(read_ok(SPAN("\"\\ud83d\\ud83d\\ude00\""))),
                "\xef\xbf\xbd\xf0\x9f\x98\x80");
    assert_span(json_text(read_ok(SPAN("\"\\\\ud83d\\uD83D\\uDE00\""))), "\\ud83d\xf0\x9f\x98\x80");
}

static void refuses_what_is_no_json(void **state) {
    static const char *const wrong[] = {
        "",
        " ",
        "{",
        "}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "[,1]",
        "{,}",
        "tru",
        "nul",
        "truex",
        "01",
        "1.",
        ".5",
        "-",
        "+1",
        "1e",
        "0x10",
        "NaN",
        "Infinity",
        "'a'",
        "{a:1}",
        "[1] 2",
        "{} {}",
        "\"a",
        "\"\\x\"",
        "\"\\u12\"",
        "\"a\nb\"",
        "\"a\tb\"",
        "\"\\ud8\"",
        "// c\n1",
        "\xef\xbb\xbf{}",
        "\"\xff\"",
        "\"\xc3\"",
        "\"\xed\xa0\x80\"",
        "\"\xc0\xaf\"",
        "\"\xf5\x80\x80\x80\"",
        "1e999x",
        "[1e999,01]",
        "[\"\\ud800\",tru]",
        "-1e",
        "--1",
        "1e999.5",
        "12345678901234567890123x",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct json_value root = { parser, 7 };
        if (json_parse(parser, span_of(wrong[i]), &root) != JSON_MALFORMED)
            fail_msg("accepted: %s", wrong[i]);
        assert_int_equal(json_type(root), JSON_ABSENT);
    }
    assert_int_equal(parse(SPAN("\"a\0b\"")), JSON_MALFORMED);
    assert_int_equal(parse(SPAN("{}\0")), JSON_MALFORMED);
}

static int parse_nested(size_t depth) {
    struct buf b = { 0 };
    for (size_t i = 0; i < depth; i++)
        buf_add_char(&b, '[');
    for (size_t i = 0; i < depth; i++)
        buf_add_char(&b, ']');
    int error = parse(buf_span(&b));
    buf_deinit(&b);
    return error;
}

static void bounds_depth(void **state) {
    assert_int_equal(parse_nested(256), 0);
    assert_int_equal(parse_nested(257), JSON_TOO_DEEP);
    assert_int_equal(parse_nested(100000), JSON_TOO_DEEP);
}

static void forgets_a_document_that_failed(void **state) {
    struct json_member m = { .name = SPAN("a") };
    read_ok(SPAN("{\"a\":1}"));
    assert_int_equal(parse(SPAN("{\"a\":")), JSON_MALFORMED);
    assert_int_equal(json_locate(parser, NULL, &m, 1), JSON_NOT_OBJECT);
    assert_false(m.found);
}

static void reads_sizes_in_any_order(void **state) {
    struct buf b = { 0 };
    size_t sizes[] = { 10, 5000, 70000, 3000000, 100, 1100000, 2000000, 4096, 4097, 1 << 20 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        buf_clear(&b);
        buf_add(&b, SPAN("{\"x\":\""));
        memset(buf_reserve(&b, sizes[i]), 'x', sizes[i]);
        b.len += sizes[i];
        buf_add(&b, SPAN("\"}"));
        assert_int_equal(json_text(json_get(read_ok(buf_span(&b)), "x")).len, sizes[i]);
    }
    buf_deinit(&b);
}

/* --- finding --- */

static struct span member_text(struct span text, const struct json_member *m) {
    return span_sub(text, m->value_at, m->value_end - m->value_at);
}

static void locates_members(void **state) {
    struct span text = SPAN(
        " { \"mod\\u0065l\" :\t\"gpt\" ,\"a\":[{\"model\":1}] , \"\\\"\":{ } ,\"n\": -1.5e3 }\n");
    struct json_member m[] = {
        { .name = SPAN("model") }, { .name = SPAN("a") },    { .name = SPAN("\"") },
        { .name = SPAN("n") },     { .name = SPAN("none") },
    };
    read_ok(text);
    assert_int_equal(json_locate(parser, NULL, m, 5), 0);
    assert_int_equal(m[0].key_at, 3);
    assert_span(member_text(text, &m[0]), "\"gpt\"");
    assert_span(json_text(m[0].value), "gpt");
    assert_span(member_text(text, &m[1]), "[{\"model\":1}]");
    assert_span(member_text(text, &m[2]), "{ }");
    assert_span(member_text(text, &m[3]), "-1.5e3");
    assert_false(m[4].found);
    assert_int_equal(json_type(m[4].value), JSON_ABSENT);
}

static void locates_inside_a_member(void **state) {
    struct span text = SPAN("{\"x\":{\"b\":0}, \"o\": { \"a\" : {\"b\":1} , \"b\":2 }, \"b\":3}");
    struct json_member o = { .name = SPAN("o") }, b = { .name = SPAN("b") };
    read_ok(text);
    assert_int_equal(json_locate(parser, NULL, &o, 1), 0);
    assert_int_equal(json_locate(parser, &o, &b, 1), 0);
    struct span inner = member_text(text, &o);
    assert_span(inner, "{ \"a\" : {\"b\":1} , \"b\":2 }");
    assert_span(member_text(inner, &b), "2");
    assert_int_equal(json_locate(parser, NULL, &b, 1), 0);
    assert_span(member_text(text, &b), "3");
    assert_int_equal(json_locate(parser, &b, &o, 1), JSON_NOT_OBJECT);
    assert_false(o.found);
}

static void tells_repeated_keys(void **state) {
    struct json_member m[] = { { .name = SPAN("model") }, { .name = SPAN("n") } };
    read_ok(SPAN("{\"model\":\"a\",\"n\":1,\"x\":2,\"x\":3,\"mo\\u0064el\":\"b\"}"));
    assert_int_equal(json_locate(parser, NULL, m, 2), JSON_DUPLICATE);
    assert_true(m[0].repeated);
    assert_span(json_text(m[0].value), "a");
    assert_false(m[1].repeated);
    assert_int_equal(json_locate(parser, NULL, &m[1], 1), 0);
}

static void wants_an_object(void **state) {
    struct json_member m = { .name = SPAN("a") };
    read_ok(SPAN("[{\"a\":1}]"));
    assert_int_equal(json_locate(parser, NULL, &m, 1), JSON_NOT_OBJECT);
    read_ok(SPAN("\"a\""));
    assert_int_equal(json_locate(parser, NULL, &m, 1), JSON_NOT_OBJECT);
    read_ok(SPAN("{}"));
    assert_int_equal(json_locate(parser, NULL, &m, 1), 0);
    assert_false(m.found);
}

/* --- changing --- */

/* Edits written as "name=raw" (set or add) and "name" (take out). */
static void check_splice(const char *text, const char *const *changes, size_t n,
                         const char *wanted) {
    struct json_edit edits[8] = { 0 };
    struct buf out = { 0 };
    read_ok(span_of(text));
    for (size_t i = 0; i < n; i++) {
        struct span change = span_of(changes[i]);
        size_t equals = span_find(change, '=');
        edits[i].where.name = span_sub(change, 0, equals);
        edits[i].raw = equals < change.len ? span_sub(change, equals + 1, change.len) : SPAN_NONE;
        assert_int_equal(json_locate(parser, NULL, &edits[i].where, 1), 0);
    }
    buf_add(&out, SPAN("before")); /* what stands there already is left alone */
    json_splice(span_of(text), edits, n, &out);
    assert_span(span_sub(buf_span(&out), 0, 6), "before");
    assert_span(span_sub(buf_span(&out), 6, out.len), wanted);
    buf_deinit(&out);
}

#define CHANGES(...)                                                                               \
    (const char *[]){ __VA_ARGS__ }, sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *)

static void splices(void **state) {
    const char *abc = "{ \"a\" : 1 , \"b\":2,\n\"c\":3 }\n";
    check_splice(abc, CHANGES("b=[]"), "{ \"a\" : 1 , \"b\":[],\n\"c\":3 }\n");
    check_splice(abc, CHANGES("a"), "{ \"b\":2,\n\"c\":3 }\n");
    check_splice(abc, CHANGES("b"), "{ \"a\" : 1 , \"c\":3 }\n");
    check_splice(abc, CHANGES("c"), "{ \"a\" : 1 , \"b\":2 }\n");
    check_splice(abc, CHANGES("c", "b"), "{ \"a\" : 1  }\n");
    check_splice(abc, CHANGES("a", "c"), "{ \"b\":2 }\n");
    check_splice(abc, CHANGES("a", "b", "c"), "{  }\n");
    check_splice(abc, CHANGES("d=4"), "{ \"a\" : 1 , \"b\":2,\n\"c\":3,\"d\":4 }\n");
    check_splice(abc, CHANGES("d"), abc);
    check_splice(abc, CHANGES("a", "b", "c", "d=4", "e=5"), "{ \"d\":4,\"e\":5 }\n");
    check_splice(abc, CHANGES("c", "d=4"), "{ \"a\" : 1 , \"b\":2,\"d\":4 }\n");
    check_splice(abc, CHANGES("c=9", "a=7"), "{ \"a\" : 7 , \"b\":2,\n\"c\":9 }\n");
    check_splice("{}", CHANGES("a\"b=1"), "{\"a\\\"b\":1}");
    check_splice(" { } ", CHANGES("a=1", "b=2"), " {\"a\":1,\"b\":2 } ");
    check_splice("{\"a\":\"}, \\\"b\\\":\"}", CHANGES("a"), "{}");
    check_splice("{\"a\":{\"b\":[1,{}]},\"b\":\"x\"}", CHANGES("a"), "{\"b\":\"x\"}");
    check_splice("{\"a\":1}", (const char *const *)NULL, 0, "{\"a\":1}");
}

/* --- random texts --- */

/* What a text that was made at random is known to hold. */
struct made {
    struct buf text;
    struct {
        char key[64]; /* unescaped */
        size_t key_len, key_at, value_at, value_end;
    } members[12];
    size_t n;
};

static struct random chance;

static bool one_in(unsigned n) {
    return random_below(&chance, n) == 0;
}

static void add_space(struct buf *b) {
    static const char spaces[] = " \t\n\r";
    while (one_in(3))
        buf_add_char(b, spaces[random_below(&chance, 4)]);
}

/* A string of random characters in random spellings; the plain text goes to `plain`, which has
 * room. */
static size_t add_string(struct buf *b, char *plain) {
    static const struct {
        const char *text, *spelled;
    } pieces[] = {
        { "a", "a" },
        { "b", "\\u0062" },
        { "\"", "\\\"" },
        { "\\", "\\\\" },
        { "/", "\\/" },
        { "\n", "\\n" },
        { "{", "{" },
        { "]", "]" },
        { ",", "," },
        { ":", ":" },
        { "\xc3\xa9", "\xc3\xa9" },
        { "\xc3\xa9", "\\u00E9" },
        { "\xf0\x9f\x98\x80", "\\ud83d\\ude00" },
        { "\xe2\x82\xac", "\xe2\x82\xac" },
        { "\x7f", "\x7f" },
        { "xxxxxxxx", "xxxxxxxx" },
    };
    size_t len = 0;
    buf_add_char(b, '"');
    while (!one_in(4) && len < 40) {
        size_t i = random_below(&chance, sizeof pieces / sizeof *pieces);
        buf_add(b, span_of(pieces[i].spelled));
        memcpy(plain + len, pieces[i].text, strlen(pieces[i].text));
        len += strlen(pieces[i].text);
    }
    buf_add_char(b, '"');
    return len;
}

static void add_value(struct buf *b, int depth) {
    static const char *const scalars[] = {
        "true", "false", "null",  "0",       "-1",
        "1.25", "1e5",   "1e999", "-0.0E-2", "123456789012345678901234567890"
    };
    char plain[64];
    unsigned kind = (unsigned)random_below(&chance, depth > 4 ? 2 : 4);
    if (kind == 0) {
        buf_add(b, span_of(scalars[random_below(&chance, sizeof scalars / sizeof *scalars)]));
        return;
    }
    if (kind == 1) {
        add_string(b, plain);
        return;
    }
    buf_add_char(b, kind == 2 ? '[' : '{');
    add_space(b);
    for (unsigned i = 0, n = (unsigned)random_below(&chance, 4); i < n; i++) {
        if (i) {
            buf_add_char(b, ',');
            add_space(b);
        }
        if (kind == 3) {
            add_string(b, plain);
            buf_add_char(b, ':');
            add_space(b);
        }
        add_value(b, depth + 1);
        add_space(b);
    }
    buf_add_char(b, kind == 2 ? ']' : '}');
}

static bool is_taken(const struct made *m, const char *key, size_t len) {
    for (size_t i = 0; i < m->n; i++)
        if (m->members[i].key_len == len && memcmp(m->members[i].key, key, len) == 0)
            return true;
    return false;
}

static void make_object(struct made *m) {
    buf_clear(&m->text);
    m->n = 0;
    add_space(&m->text);
    buf_add_char(&m->text, '{');
    add_space(&m->text);
    for (unsigned i = 0, n = (unsigned)random_below(&chance, 12); i < n; i++) {
        struct buf key = { 0 };
        char plain[64];
        size_t len = add_string(&key, plain);
        if (!is_taken(m, plain, len)) {
            if (m->n) {
                buf_add_char(&m->text, ',');
                add_space(&m->text);
            }
            memcpy(m->members[m->n].key, plain, len);
            m->members[m->n].key_len = len;
            m->members[m->n].key_at = m->text.len;
            buf_add(&m->text, buf_span(&key));
            add_space(&m->text);
            buf_add_char(&m->text, ':');
            add_space(&m->text);
            m->members[m->n].value_at = m->text.len;
            add_value(&m->text, 1);
            m->members[m->n].value_end = m->text.len;
            add_space(&m->text);
            m->n++;
        }
        buf_deinit(&key);
    }
    buf_add_char(&m->text, '}');
    add_space(&m->text);
}

static void locate_all(const struct made *m, struct json_member *members) {
    for (size_t i = 0; i < m->n; i++)
        members[i] = (struct json_member){ .name = { m->members[i].key, m->members[i].key_len } };
    assert_int_equal(json_locate(parser, NULL, members, m->n), 0);
}

static void finds_what_was_made(void **state) {
    struct made m = { 0 };
    random_seed(&chance, 1);
    for (int round = 0; round < 20000; round++) {
        struct json_member members[12];
        make_object(&m);
        read_ok(buf_span(&m.text));
        locate_all(&m, members);
        for (size_t i = 0; i < m.n; i++) {
            assert_true(members[i].found);
            assert_int_equal(members[i].key_at, m.members[i].key_at);
            assert_int_equal(members[i].value_at, m.members[i].value_at);
            assert_int_equal(members[i].value_end, m.members[i].value_end);
        }
    }
    buf_deinit(&m.text);
}

/* The slow way to change an object: write it anew, member by member, with the bytes between them as
 * they were. */
static void rebuild(const struct made *m, const int *what, int added, struct buf *out) {
    struct span text = buf_span(&m->text);
    size_t close = text.len;
    while (text.at[--close] != '}')
        ;
    size_t first = m->n ? m->members[0].key_at : close;
    size_t kept_end = 0; /* behind the last kept member's value, in the text */
    bool any = false;
    buf_add(out, span_sub(text, 0, first));
    for (size_t i = 0; i < m->n; i++) {
        size_t next = i + 1 < m->n ? m->members[i + 1].key_at : 0;
        if (what[i] == 2)
            continue;
        /* Between two kept ones stands what followed the former. */
        any = true;
        kept_end = i;
        buf_append(out, text.at + m->members[i].key_at,
                   m->members[i].value_at - m->members[i].key_at);
        if (what[i] == 1)
            buf_add(out, SPAN("\"new\""));
        else
            buf_append(out, text.at + m->members[i].value_at,
                       m->members[i].value_end - m->members[i].value_at);
        bool more = false;
        for (size_t k = i + 1; k < m->n; k++)
            more |= what[k] != 2;
        if (more)
            buf_append(out, text.at + m->members[i].value_end, next - m->members[i].value_end);
    }
    /* After the last kept one: its own space up to a comma that goes, then the space before the
     * brace. */
    if (any && kept_end + 1 < m->n)
        for (size_t k = m->members[kept_end].value_end; text.at[k] != ','; k++)
            buf_add_char(out, text.at[k]);
    for (int i = 0; i < added; i++)
        buf_printf(out, "%s\"add%d\":%d", any || i ? "," : "", i, i);
    size_t tail = m->n ? m->members[m->n - 1].value_end : close;
    if (!m->n) { /* nothing there: additions go before the space */
        size_t open = span_find(text, '{') + 1;
        out->len = 0;
        buf_add(out, span_sub(text, 0, open));
        for (int i = 0; i < added; i++)
            buf_printf(out, "%s\"add%d\":%d", i ? "," : "", i, i);
        tail = open;
    }
    buf_add(out, span_sub(text, tail, text.len));
}

static void changes_nothing_but_what_was_asked(void **state) {
    static const struct span names[] = { { "add0", 4 }, { "add1", 4 } };
    static const struct span raws[] = { { "0", 1 }, { "1", 1 } };
    struct made m = { 0 };
    struct buf out = { 0 }, wanted = { 0 };
    random_seed(&chance, 2);
    for (int round = 0; round < 40000; round++) {
        struct json_member members[12];
        struct json_edit edits[14];
        int what[12]; /* 0 kept, 1 set, 2 taken out */
        size_t n = 0;
        make_object(&m);
        read_ok(buf_span(&m.text));
        locate_all(&m, members);
        for (size_t i = 0; i < m.n; i++) {
            what[i] = (int)random_below(&chance, 3);
            if (what[i])
                edits[n++] =
                    (struct json_edit){ members[i], what[i] == 1 ? SPAN("\"new\"") : SPAN_NONE };
        }
        int added = (int)random_below(&chance, 3);
        for (size_t i = n; i > 1; i--) { /* in any order */
            size_t k = random_below(&chance, i);
            struct json_edit e = edits[k];
            edits[k] = edits[i - 1];
            edits[i - 1] = e;
        }
        for (int i = 0; i < added; i++)
            edits[n++] = (struct json_edit){ { .name = names[i] }, raws[i] };
        buf_clear(&out);
        buf_clear(&wanted);
        json_splice(buf_span(&m.text), edits, n, &out);
        rebuild(&m, what, added, &wanted);
        if (!span_eq(buf_span(&out), buf_span(&wanted)))
            fail_msg("of     %.*s\ngot    %.*s\nwanted %.*s", SPAN_ARGS(buf_span(&m.text)),
                     SPAN_ARGS(buf_span(&out)), SPAN_ARGS(buf_span(&wanted)));
        assert_int_equal(parse(buf_span(&out)), 0);
    }
    buf_deinit(&out);
    buf_deinit(&wanted);
    buf_deinit(&m.text);
}

/* --- a slow reader of RFC 8259 --- */

struct slow {
    const unsigned char *at, *end;
};

static int slow_peek(const struct slow *s) {
    return s->at < s->end ? *s->at : -1;
}

static bool slow_take(struct slow *s, int c) {
    bool is = slow_peek(s) == c;
    s->at += is;
    return is;
}

static void slow_space(struct slow *s) {
    while (slow_take(s, ' ') || slow_take(s, '\t') || slow_take(s, '\n') || slow_take(s, '\r'))
        ;
}

static bool slow_digits(struct slow *s) {
    const unsigned char *from = s->at;
    while (slow_peek(s) >= '0' && slow_peek(s) <= '9')
        s->at++;
    return s->at > from;
}

static bool slow_number(struct slow *s) {
    slow_take(s, '-');
    if (!slow_take(s, '0') && !slow_digits(s))
        return false;
    if (slow_take(s, '.') && !slow_digits(s))
        return false;
    if (slow_take(s, 'e') || slow_take(s, 'E')) {
        (void)(slow_take(s, '+') || slow_take(s, '-'));
        return slow_digits(s);
    }
    return true;
}

static bool slow_escape(struct slow *s) {
    int c = slow_peek(s);
    s->at++;
    if (c != 'u')
        return c > 0 && strchr("\"\\/bfnrt", c);
    for (int i = 0; i < 4; i++, s->at++)
        if (slow_peek(s) <= 0 || !strchr("0123456789abcdefABCDEF", slow_peek(s)))
            return false;
    return true;
}

static bool slow_string(struct slow *s) {
    if (!slow_take(s, '"'))
        return false;
    while (s->at < s->end) {
        if (slow_take(s, '"'))
            return true;
        size_t n = utf8_length((struct span){ (const char *)s->at, (size_t)(s->end - s->at) });
        if (n == 0 || *s->at < 0x20)
            return false;
        s->at += n;
        if (s->at[-1] == '\\' && n == 1 && !slow_escape(s))
            return false;
    }
    return false;
}

static bool slow_value(struct slow *s);

static bool slow_list(struct slow *s, bool object) {
    int close = object ? '}' : ']';
    slow_space(s);
    if (slow_take(s, close))
        return true;
    do {
        slow_space(s);
        if (object && !slow_string(s))
            return false;
        slow_space(s);
        if (object && !slow_take(s, ':'))
            return false;
        if (!slow_value(s))
            return false;
    } while (slow_take(s, ','));
    return slow_take(s, close);
}

static bool slow_word(struct slow *s, const char *word) {
    size_t len = strlen(word);
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
        return false;
    s->at += len;
    return true;
}

static bool slow_value(struct slow *s) {
    slow_space(s);
    bool ok = slow_take(s, '{')     ? slow_list(s, true)
              : slow_take(s, '[')   ? slow_list(s, false)
              : slow_peek(s) == '"' ? slow_string(s)
                                    : slow_word(s, "true") || slow_word(s, "false") ||
                                          slow_word(s, "null") || slow_number(s);
    slow_space(s);
    return ok;
}

static bool slow_valid(struct span text) {
    /* Of its own, so that reading past it shows under a sanitizer; a NUL behind it ends any walk.
     */
    unsigned char *copy = malloc(text.len + 1);
    memcpy(copy, text.at, text.len);
    copy[text.len] = 0;
    struct slow s = { copy, copy + text.len };
    bool ok = slow_value(&s) && s.at == s.end;
    free(copy);
    return ok;
}

static void check_same_verdict(struct span text) {
    int error = parse(text);
    if ((error == 0) != slow_valid(text))
        fail_msg("verdict %d on: %.*s", error, SPAN_ARGS(text));
}

static void agrees_with_a_slow_reader(void **state) {
    static const char alphabet[] = "{}[]:,\"\\ \n019-+.eEutfnrdD8a\x80\xc3\xa9";
    struct made m = { 0 };
    random_seed(&chance, 3);
    for (int round = 0; round < 40000; round++) {
        make_object(&m);
        check_same_verdict(buf_span(&m.text));
        for (int i = 0; i < 4; i++) {
            m.text.at[random_below(&chance, m.text.len)] =
                alphabet[random_below(&chance, sizeof alphabet - 1)];
            check_same_verdict(buf_span(&m.text));
        }
    }
    buf_deinit(&m.text);
}

static void survives_every_cut_and_every_byte(void **state) {
    const struct span text = SPAN("{\"model\":\"g\\u0070t\",\"n\":[1e999,-12345678901234567890123,"
                                  "\"\\ud83d\"],\"o\":{\"\xc3\xa9\":null}}");
    struct buf b = { 0 };
    for (size_t len = 0; len < text.len; len++)
        assert_int_equal(parse(span_sub(text, 0, len)), JSON_MALFORMED);
    for (size_t i = 0; i < text.len; i++) {
        for (int c = 0; c < 256; c++) {
            struct json_member m = { .name = SPAN("model") };
            buf_clear(&b);
            buf_add(&b, text);
            b.at[i] = (char)c;
            check_same_verdict(buf_span(&b));
            if (json_locate(parser, NULL, &m, 1) == 0 && m.found)
                assert_true(m.key_at < m.value_at && m.value_at < m.value_end &&
                            m.value_end < b.len);
        }
    }
    buf_deinit(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_values),
        cmocka_unit_test(answers_absent_on_what_is_not_there),
        cmocka_unit_test(walks),
        cmocka_unit_test(picks_several_at_once),
        cmocka_unit_test(tells_whole_numbers),
        cmocka_unit_test(lets_large_numbers_through),
        cmocka_unit_test(reads_lone_surrogates_as_replacements),
        cmocka_unit_test(refuses_what_is_no_json),
        cmocka_unit_test(bounds_depth),
        cmocka_unit_test(forgets_a_document_that_failed),
        cmocka_unit_test(reads_sizes_in_any_order),
        cmocka_unit_test(locates_members),
        cmocka_unit_test(locates_inside_a_member),
        cmocka_unit_test(tells_repeated_keys),
        cmocka_unit_test(wants_an_object),
        cmocka_unit_test(splices),
        cmocka_unit_test(finds_what_was_made),
        cmocka_unit_test(changes_nothing_but_what_was_asked),
        cmocka_unit_test(agrees_with_a_slow_reader),
        cmocka_unit_test(survives_every_cut_and_every_byte),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
