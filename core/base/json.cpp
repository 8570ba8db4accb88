/* The only C++ of the core. simdjson's DOM keeps a document as a tape of words; struct json_value
 * is a place on it. Its tape_ref class reads the tape without calls into the library. The
 * structural indexes that its first stage leaves behind (the offset of each bracket, comma, colon,
 * and first byte of each string or scalar) say where in the text things stand. */
#define SIMDJSON_EXCEPTIONS 0
#include "base/json.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <simdjson.h>

using simdjson::SIMDJSON_PADDING;
using simdjson::internal::tape_ref;
using simdjson::internal::tape_type;

namespace {

constexpr size_t DEPTH_MAX = 256;
constexpr size_t KEEP_MAX = 1 << 20;
constexpr size_t CAPACITY_MIN = 4096;
constexpr size_t TEXT_MAX = UINT32_MAX - SIMDJSON_PADDING; /* offsets have 32 bits */

} // namespace

struct json_parser {
    simdjson::dom::parser *dom = nullptr; /* made by the first document of its size */
    char *text = nullptr;                 /* padded copy of the document */
    size_t capacity = 0;                  /* of both, in bytes of text */
    size_t len = 0;                       /* of the document; 0: there is none */
};

/* --- memory --- */

static void release(json_parser *p) {
    delete p->dom;
    free(p->text);
    *p = json_parser();
}

/* Makes room for a document of `len` bytes. Sizes are powers of two, so that a slowly growing
 * conversation does not reallocate each time. */
static void make_room(json_parser *p, size_t len) {
    if (p->capacity > KEEP_MAX && len <= KEEP_MAX)
        release(p);
    if (len <= p->capacity)
        return;
    size_t capacity = CAPACITY_MIN;
    while (capacity < len)
        capacity *= 2;
    if (len > KEEP_MAX)
        capacity = len; /* given back soon: exact */
    release(p);
    p->dom = new (std::nothrow) simdjson::dom::parser();
    p->text = static_cast<char *>(malloc(capacity + SIMDJSON_PADDING));
    if (!p->dom || !p->text || p->dom->allocate(capacity, DEPTH_MAX) != simdjson::SUCCESS)
        abort();
    p->capacity = capacity;
}

struct json_parser *json_parser_new(void) {
    json_parser *p = new (std::nothrow) json_parser();
    if (!p)
        abort();
    return p;
}

void json_parser_free(struct json_parser *p) {
    if (!p)
        return;
    release(p);
    delete p;
}

/* --- what simdjson refuses and RFC 8259 allows --- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static size_t skip_digits(const char *text, size_t at) {
    while (is_digit(text[at]))
        at++;
    return at;
}

/* The end of the number at `at`, or `at` when its form is wrong. The text ends in padding, which
 * ends any number. */
static size_t number_end(const char *text, size_t at) {
    size_t i = at + (text[at] == '-');
    if (!is_digit(text[i]) || (text[i] == '0' && is_digit(text[i + 1])))
        return at;
    i = skip_digits(text, i);
    if (text[i] == '.') {
        if (!is_digit(text[i + 1]))
            return at;
        i = skip_digits(text, i + 1);
    }
    if (text[i] == 'e' || text[i] == 'E') {
        i += 1 + (text[i + 1] == '+' || text[i + 1] == '-');
        if (!is_digit(text[i]))
            return at;
        i = skip_digits(text, i);
    }
    return i;
}

/* Writes `mantissa`, an exponent sign and `exponent` over text[at..end), zeros before the exponent
 * filling the rest: a number keeps its length, because where values end is read off the copy. */
static void write_number(char *text, size_t at, size_t end, const char *mantissa,
                         const char *exponent) {
    size_t front = strlen(mantissa), back = strlen(exponent);
    if (front + 1 + back > end - at)
        return;
    memset(text + at, '0', end - at);
    memcpy(text + at, mantissa, front);
    text[at + front] = 'e';
    memcpy(text + end - back, exponent, back);
}

/* simdjson refuses two kinds of right numbers: those a double can not hold (at least `1e309`), and
 * whole ones beyond 64 bits (at least 20 bytes). Both become a double of equal length. */
static void tame_number(char *text, size_t at, size_t end) {
    char number[32], after = text[end];
    text[end] = '\0';
    double value = strtod(text + at, nullptr);
    bool whole = !strpbrk(text + at, ".eE");
    text[end] = after;
    if (std::isinf(value)) {
        write_number(text, at, end, value < 0 ? "-1" : "1", "308");
    } else if (whole && end - at > 19) {
        snprintf(number, sizeof number, "%.9e", value);
        char *e = strchr(number, 'e');
        *e = '\0';
        write_number(text, at, end, number, e + 2); /* beyond its sign, which is plus */
    }
}

/* Returns the end of the number, or at least the byte behind. */
static size_t repair_number(char *text, size_t at) {
    size_t end = number_end(text, at);
    if (end == at)
        return at + 1;
    if (end - at >= 5)
        tame_number(text, at, end);
    return end;
}

/* The value of the four hexadecimal digits at `at`, or -1. */
static int hex4(const char *at) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = is_digit(c)            ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* `at` stands on a backslash; returns where the escape (or the pair of them) ends. A surrogate
 * alone becomes U+FFFD. */
static size_t repair_escape(char *text, size_t at) {
    int code = text[at + 1] == 'u' ? hex4(text + at + 2) : -1;
    if (code < 0xd800 || code > 0xdfff)
        return at + 2;
    int next = text[at + 6] == '\\' && text[at + 7] == 'u' ? hex4(text + at + 8) : -1;
    if (code < 0xdc00 && next >= 0xdc00 && next <= 0xdfff)
        return at + 12;
    memcpy(text + at + 2, "fffd", 4);
    return at + 6;
}

/* Brings the padded copy, of which simdjson could not read a number or a string, into a form that
 * it can, without moving a byte. Whatever is really wrong stays wrong. */
static void repair(char *text, size_t len) {
    bool in_string = false;
    for (size_t i = 0; i < len;) {
        char c = text[i];
        if (c == '"')
            in_string = !in_string;
        if (in_string && c == '\\')
            i = repair_escape(text, i);
        else if (!in_string && (c == '-' || is_digit(c)))
            i = repair_number(text, i);
        else
            i++;
    }
}

/* --- reading --- */

static simdjson::error_code read_document(json_parser *p, size_t len) {
    return p->dom->parse(p->text, len, false).error();
}

int json_parse(struct json_parser *p, struct span text, struct json_value *root) {
    *root = json_value{ nullptr, 0 };
    p->len = 0;
    if (text.len == 0 || text.len > TEXT_MAX)
        return JSON_MALFORMED;
    make_room(p, text.len);
    memcpy(p->text, text.at, text.len);
    memset(p->text + text.len, ' ', SIMDJSON_PADDING);
    simdjson::error_code error = read_document(p, text.len);
    if (error == simdjson::NUMBER_ERROR || error == simdjson::STRING_ERROR) {
        repair(p->text, text.len);
        error = read_document(p, text.len);
    }
    if (error == simdjson::MEMALLOC)
        abort();
    if (error != simdjson::SUCCESS)
        return error == simdjson::DEPTH_ERROR ? JSON_TOO_DEEP : JSON_MALFORMED;
    p->len = text.len;
    *root = json_value{ &p->dom->doc, 1 };
    return JSON_OK;
}

static tape_ref ref(struct json_value v) {
    return tape_ref(static_cast<const simdjson::dom::document *>(v.document), v.at);
}

enum json_type json_type(struct json_value v) {
    if (!v.document)
        return JSON_ABSENT;
    switch (ref(v).tape_ref_type()) {
    case tape_type::NULL_VALUE:
        return JSON_NULL;
    case tape_type::TRUE_VALUE:
    case tape_type::FALSE_VALUE:
        return JSON_BOOL;
    case tape_type::INT64:
    case tape_type::UINT64:
    case tape_type::DOUBLE:
        return JSON_NUMBER;
    case tape_type::STRING:
        return JSON_STRING;
    case tape_type::START_ARRAY:
        return JSON_ARRAY;
    case tape_type::START_OBJECT:
        return JSON_OBJECT;
    default:
        return JSON_ABSENT;
    }
}

static struct span text_of(tape_ref place) {
    return span{ place.get_c_str(), place.get_string_length() };
}

struct json_iter json_iter(struct json_value container) {
    struct json_iter it = { container, 0, 0, SPAN_NONE, { nullptr, 0 } };
    enum json_type type = json_type(container);
    if (type == JSON_ARRAY || type == JSON_OBJECT) {
        it.at = container.at + 1;
        it.end = ref(container).matching_brace_index() - 1;
    }
    return it;
}

bool json_next(struct json_iter *it) {
    if (it->at >= it->end)
        return false;
    struct json_value place = { it->container.document, it->at };
    if (ref(it->container).tape_ref_type() == tape_type::START_OBJECT) {
        it->key = text_of(ref(place));
        place.at++;
    }
    it->value = place;
    it->at = ref(place).after_element();
    return true;
}

struct json_value json_get(struct json_value v, const char *key) {
    struct span wanted = span_of(key);
    if (json_type(v) == JSON_OBJECT)
        for (struct json_iter it = json_iter(v); json_next(&it);)
            if (span_eq(it.key, wanted))
                return it.value;
    return json_value{ nullptr, 0 };
}

/* The first bytes are compared here: they tell most keys apart without a call. (A key's text
 * ends in NUL, an empty one's too.) */
void json_pick(struct json_value v, const struct span *keys, struct json_value *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        values[i] = json_value{ nullptr, 0 };
    if (json_type(v) != JSON_OBJECT)
        return;
    for (struct json_iter it = json_iter(v); json_next(&it);)
        for (size_t i = 0; i < n; i++)
            if (keys[i].len == it.key.len && keys[i].at[0] == it.key.at[0] &&
                span_eq(keys[i], it.key) && !values[i].document)
                values[i] = it.value;
}

size_t json_count(struct json_value v) {
    enum json_type type = json_type(v);
    if (type != JSON_ARRAY && type != JSON_OBJECT)
        return 0;
    size_t n = ref(v).scope_count();
    if (n < simdjson::internal::JSON_COUNT_MASK)
        return n;
    n = 0; /* the tape's count has 24 bits */
    for (struct json_iter it = json_iter(v); json_next(&it);)
        n++;
    return n;
}

struct span json_text(struct json_value v) {
    return json_type(v) == JSON_STRING ? text_of(ref(v)) : SPAN_NONE;
}

double json_number(struct json_value v, double absent) {
    if (json_type(v) != JSON_NUMBER)
        return absent;
    tape_ref place = ref(v);
    if (place.is_int64())
        return static_cast<double>(place.next_tape_value<int64_t>());
    if (place.is_uint64())
        return static_cast<double>(place.next_tape_value<uint64_t>());
    return place.next_tape_value<double>();
}

bool json_int(struct json_value v, int64_t *value) {
    if (json_type(v) != JSON_NUMBER || ref(v).is_uint64())
        return false; /* simdjson calls only those unsigned that do not fit the signed */
    if (ref(v).is_int64()) {
        *value = ref(v).next_tape_value<int64_t>();
        return true;
    }
    double number = ref(v).next_tape_value<double>();
    if (!(std::fabs(number) <= 0x1p53) || std::trunc(number) != number)
        return false;
    *value = static_cast<int64_t>(number);
    return true;
}

bool json_true(struct json_value v) {
    return v.document && ref(v).is_true();
}

/* --- places in the text --- */

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The structural indexes of a parser's document, and the one the walk has come to. */
namespace {
struct marks {
    const char *text;
    const uint32_t *at;
    size_t n, i;
};
} // namespace

/* From the first mark of a value to the first one behind it; returns the offset behind the value's
 * last byte. */
static size_t pass_value(struct marks *m) {
    size_t depth = 0;
    for (; m->i < m->n; m->i++) {
        char c = m->text[m->at[m->i]];
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return m->at[m->i++] + 1;
        else if (depth == 0)
            break;
    }
    /* A string or scalar: it reaches to the next mark, spaces left off. */
    m->i++;
    size_t end = m->at[m->i];
    while (is_space(m->text[end - 1]))
        end--;
    return end;
}

/* The marks of the object at offset `from` of the text, standing on its first key. */
static struct marks marks_of(const json_parser *p, size_t from) {
    const auto &stage1 = *p->dom->implementation;
    struct marks m = { p->text, stage1.structural_indexes.get(), stage1.n_structural_indexes, 0 };
    size_t above = m.n;
    while (m.i < above) {
        size_t middle = (m.i + above) / 2;
        if (m.at[middle] < from)
            m.i = middle + 1;
        else
            above = middle;
    }
    m.i++; /* the brace */
    return m;
}

static void note_member(struct json_member *members, size_t n, const struct json_member &seen) {
    for (size_t i = 0; i < n; i++) {
        if (members[i].name.len != seen.name.len || !span_eq(members[i].name, seen.name))
            continue;
        if (members[i].found) {
            members[i].repeated = true;
            continue;
        }
        struct span name = members[i].name;
        members[i] = seen;
        members[i].name = name;
    }
}

static size_t first_brace(const json_parser *p) {
    size_t at = 0;
    while (is_space(p->text[at]))
        at++;
    return at;
}

int json_locate(struct json_parser *p, const struct json_member *in, struct json_member *members,
                size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct span name = members[i].name;
        members[i] = json_member();
        members[i].name = name;
    }
    if (p->len == 0)
        return JSON_NOT_OBJECT;
    struct json_value object = in ? in->value : json_value{ &p->dom->doc, 1 };
    if (json_type(object) != JSON_OBJECT)
        return JSON_NOT_OBJECT;
    size_t base = in ? in->value_at : 0;
    struct marks m = marks_of(p, in ? in->value_at : first_brace(p));
    for (struct json_iter it = json_iter(object); json_next(&it);) {
        struct json_member seen = json_member();
        seen.name = it.key;
        seen.found = true;
        seen.value = it.value;
        seen.key_at = m.at[m.i] - base;
        seen.value_at = m.at[m.i + 2] - base;
        m.i += 2; /* key, colon */
        seen.value_end = pass_value(&m) - base;
        m.i++; /* comma, or the closing brace */
        note_member(members, n, seen);
    }
    for (size_t i = 0; i < n; i++)
        if (members[i].repeated)
            return JSON_DUPLICATE;
    return JSON_OK;
}
