#include "script/echo.h"

#include "base/utf8.h"

#include <assert.h>

enum { KIND_TEXT, KIND_STRING, KIND_NUMBER, KIND_COUNTER };

/* Numbers of so many digits are exact for everybody. */
enum { DIGITS_MAX = 15 };

static const size_t NOWHERE = SIZE_MAX;

/* ---- pieces of JSON ---- */

static bool is_one_of(char c, const char *set) {
    return c && strchr(set, c);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static size_t skip_space(struct span s, size_t at) {
    while (at < s.len && is_one_of(s.at[at], " \t\r\n"))
        at++;
    return at;
}

/* The closing quote of a sound string whose body begins at `at`. */
static size_t closing_quote(struct span s, size_t at) {
    while (at < s.len && s.at[at] != '"')
        at += s.at[at] == '\\' ? 2 : 1;
    return at < s.len ? at : NOWHERE;
}

static size_t digits_at(struct span s, size_t at) {
    size_t n = 0;
    while (at + n < s.len && is_digit(s.at[at + n]))
        n++;
    return n;
}

/* The length of the number at `at` when it is written in no other way than in digits, else 0. */
static size_t plain_number(struct span s, size_t at) {
    size_t n = digits_at(s, at);
    if (n > DIGITS_MAX || (n > 1 && s.at[at] == '0') || at + n >= s.len)
        return 0;
    return is_one_of(s.at[at + n], ",]} \t\r\n") ? n : 0;
}

/* The length of an escape; 0 for none, and for half a pair: its other half may be in another text. */
static size_t escape_length(struct span s, size_t at) {
    struct span rest = span_sub(s, at, 6);
    if (rest.len >= 2 && is_one_of(rest.at[1], "\"\\/bfnrt"))
        return 2;
    if (rest.len < 6 || rest.at[1] != 'u')
        return 0;
    for (size_t i = 2; i < 6; i++)
        if (!is_one_of(rest.at[i], "0123456789abcdefABCDEF"))
            return 0;
    return is_one_of(rest.at[2], "dD") && is_one_of(rest.at[3], "89abcdefABCDEF") ? 0 : 6;
}

/* How many bytes of UTF-8 an escape stands for: a short one for one, \u by its four digits. */
static size_t escaped_bytes(const char *escape) {
    if (escape[1] != 'u' || (escape[2] == '0' && escape[3] == '0' && escape[4] < '8'))
        return 1;
    return escape[2] == '0' && escape[3] < '8' ? 2 : 3;
}

/* The length of the string's body at `at`, every byte of it checked: nobody else will. */
static size_t body_length(struct span s, size_t at) {
    size_t i = at, n;
    for (; i < s.len && s.at[i] != '"'; i += n) {
        unsigned char c = (unsigned char)s.at[i];
        n = c < 0x20    ? 0
            : c == '\\' ? escape_length(s, i)
            : c < 0x80  ? 1
                        : utf8_length(span_sub(s, i, 4));
        if (!n)
            return NOWHERE;
    }
    return i < s.len ? i - at : NOWHERE;
}

/* ---- where an event may differ ---- */

static bool is_among(struct span name, struct span list) {
    struct span word;
    while (span_split(&list, ' ', &word))
        if (span_eq(word, name))
            return true;
    return false;
}

static struct span filling(struct span s, const struct echo_hole *hole) {
    return span_sub(s, hole->at, hole->len);
}

static bool add_hole(struct echo_holes *holes, struct echo_hole hole) {
    if (holes->n == ECHO_HOLES)
        return false;
    holes->list[holes->n++] = hole;
    return true;
}

static size_t count_texts(const struct echo_holes *holes) {
    size_t n = 0;
    for (size_t i = 0; i < holes->n; i++)
        n += holes->list[i].kind == KIND_TEXT;
    return n;
}

/* The value at `at`, when it may differ. False: there are too many of those. */
static bool scan_value(const struct echo_names *names, struct span s, struct span name, size_t at,
                       struct echo_holes *holes) {
    bool text = is_among(name, names->texts);
    struct echo_hole hole = { .at = (uint16_t)at, .kind = KIND_NUMBER };
    if (at >= s.len || (!text && !is_among(name, names->loose)))
        return true;
    if (s.at[at] == '"') {
        size_t end = closing_quote(s, at + 1);
        hole.at++;
        hole.len = (uint16_t)(end == NOWHERE ? 0 : end - at - 1);
        hole.kind = text ? KIND_TEXT : KIND_STRING;
    } else if (!text) {
        hole.len = (uint16_t)plain_number(s, at);
    }
    return !hole.len || add_hole(holes, hole);
}

/* All places of an event that may differ. False: it is none to learn from. Such has one text, and no
 * names that read in another way than they are written. */
static bool scan(const struct echo_names *names, struct span s, struct echo_holes *holes) {
    for (size_t at = 0; at < s.len; at++) {
        if (s.at[at] != '"')
            continue;
        size_t end = closing_quote(s, at + 1);
        if (end == NOWHERE)
            return false;
        struct span name = span_sub(s, at + 1, end - at - 1);
        size_t colon = skip_space(s, end + 1);
        if (colon < s.len && s.at[colon] == ':' &&
            (span_find(name, '\\') < name.len ||
             !scan_value(names, s, name, skip_space(s, colon + 1), holes)))
            return false;
        at = end;
    }
    return count_texts(holes) == 1;
}

/* ---- two events, and what was made of each ---- */

struct lockstep {
    const struct echo *e;
    struct span data[2], made[2];
    struct echo_holes in[2]; /* of each event: the same ones */
    struct echo_holes out;   /* of the second one's */
    uint64_t count;
};

/* What lies before the i-th hole, and behind the last one. */
static struct span fixed(struct span s, const struct echo_holes *holes, size_t i) {
    size_t from = i ? holes->list[i - 1].at + holes->list[i - 1].len : 0;
    size_t to = i < holes->n ? holes->list[i].at : s.len;
    return span_sub(s, from, to - from);
}

/* Whether the events are the same but for their holes. One that is filled alike in both is none: in
 * what was made nothing would tell a copy of it from what is fixed. */
static bool compare_data(struct lockstep *l) {
    struct echo_holes *a = &l->in[0], *b = &l->in[1];
    size_t n = 0;
    for (size_t i = 0; i <= a->n; i++)
        if (a->n != b->n || (i < a->n && a->list[i].kind != b->list[i].kind) ||
            !span_eq(fixed(l->data[0], a, i), fixed(l->data[1], b, i)))
            return false;
    for (size_t i = 0; i < a->n; i++) {
        if (span_eq(filling(l->data[0], &a->list[i]), filling(l->data[1], &b->list[i])))
            continue;
        a->list[n] = a->list[i];
        b->list[n++] = b->list[i];
    }
    a->n = b->n = n;
    return true;
}

/* Something in what was made that differs: a copy of the one hole that is filled with the same. */
static bool add_copy(struct lockstep *l, struct span a, struct span b, size_t at, bool number) {
    size_t from = ECHO_HOLES;
    for (size_t i = 0; i < l->in[0].n; i++) {
        if ((l->in[0].list[i].kind == KIND_NUMBER) != number ||
            !span_eq(filling(l->data[0], &l->in[0].list[i]), a) ||
            !span_eq(filling(l->data[1], &l->in[1].list[i]), b))
            continue;
        if (from < ECHO_HOLES)
            return false;
        from = i;
    }
    return from < ECHO_HOLES &&
           add_hole(&l->out, (struct echo_hole){ .at = (uint16_t)at,
                                                 .len = (uint16_t)b.len,
                                                 .kind = l->in[1].list[from].kind,
                                                 .from = (uint8_t)from });
}

/* Between the two events others may have been answered here, each with a number. */
static bool add_counter(struct lockstep *l, struct span a, struct span b, size_t at) {
    uint64_t before;
    for (size_t i = 0; i < l->out.n; i++)
        if (l->out.list[i].kind == KIND_COUNTER)
            return false;
    if (!span_uint(a, &before) || !span_uint(b, &l->count))
        return false;
    if (l->e->learned)
        before = l->e->count;
    return l->count == before + 1 && add_hole(&l->out, (struct echo_hole){ .at = (uint16_t)at,
                                                                           .len = (uint16_t)b.len,
                                                                           .kind = KIND_COUNTER });
}

/* Where the comparison stands in both, and which member it is at. */
struct place {
    size_t at[2];
    struct span name;
};

static bool compare_strings(struct lockstep *l, struct place *p) {
    struct span body[2];
    for (int i = 0; i < 2; i++) {
        size_t from = p->at[i] + 1, end = closing_quote(l->made[i], from);
        if (end == NOWHERE)
            return false;
        body[i] = span_sub(l->made[i], from, end - from);
    }
    if (!span_eq(body[0], body[1]) && !add_copy(l, body[0], body[1], p->at[1] + 1, false))
        return false;
    for (int i = 0; i < 2; i++)
        p->at[i] += body[i].len + 2;
    p->name = body[1];
    return true;
}

static bool compare_numbers(struct lockstep *l, struct place *p) {
    struct span number[2];
    bool plain = p->at[1] && is_one_of(l->made[1].at[p->at[1] - 1], ":,[ ");
    size_t at = p->at[1];
    for (int i = 0; i < 2; i++) {
        number[i] = span_sub(l->made[i], p->at[i], digits_at(l->made[i], p->at[i]));
        plain = plain && plain_number(l->made[i], p->at[i]) == number[i].len;
        p->at[i] += number[i].len;
    }
    if (span_eq(number[0], number[1]))
        return true;
    if (!plain)
        return false;
    return l->e->names.counter.len && span_eq(p->name, l->e->names.counter)
               ? add_counter(l, number[0], number[1], at)
               : add_copy(l, number[0], number[1], at, true);
}

/* Whether what was made is the same but for copies of holes and the counter: with the text just
 * once, since what is made of it in any other way is no copy. */
static bool compare_made(struct lockstep *l) {
    struct place p = { 0 };
    while (p.at[0] < l->made[0].len && p.at[1] < l->made[1].len) {
        char a = l->made[0].at[p.at[0]], b = l->made[1].at[p.at[1]];
        bool same = a == b;
        if (a == '"' && b == '"') {
            same = compare_strings(l, &p);
        } else if (is_digit(a) && is_digit(b)) {
            same = compare_numbers(l, &p);
        } else {
            p.at[0]++;
            p.at[1]++;
        }
        if (!same)
            return false;
    }
    return p.at[0] == l->made[0].len && p.at[1] == l->made[1].len && count_texts(&l->out) == 1;
}

/* ---- what is known ---- */

static struct span kept_data(const struct echo *e) {
    return span_sub(buf_span(&e->kept), 0, e->data_len);
}

static struct span kept_made(const struct echo *e) {
    return span_sub(buf_span(&e->kept), e->data_len, e->made_len);
}

static struct span kept_event(const struct echo *e) {
    return e->named ? span_sub(buf_span(&e->kept), e->data_len + e->made_len, SIZE_MAX) : SPAN_NONE;
}

static bool same_event(const struct echo *e, struct span event) {
    return e->named == (event.at != NULL) && span_eq(kept_event(e), event);
}

static void keep(struct echo *e, struct span event, struct span data, struct span made) {
    buf_clear(&e->kept);
    buf_add(&e->kept, data);
    buf_add(&e->kept, made);
    buf_add(&e->kept, event);
    e->data_len = data.len;
    e->made_len = made.len;
    e->named = event.at != NULL;
}

void echo_deinit(struct echo *e) {
    buf_deinit(&e->kept);
    buf_deinit(&e->held);
    buf_deinit(&e->latest);
}

void echo_forget(struct echo *e) {
    assert(!e->n);
    e->learned = false;
    e->data_len = 0;
}

void echo_learn(struct echo *e, struct span event, struct span data, struct span made) {
    struct lockstep l = { .e = e, .data = { kept_data(e), data }, .made = { kept_made(e), made } };
    assert(!e->n);
    /* A name with a quote would be taken for a string of what was made. */
    if (event.len + data.len + made.len > ECHO_SIZE_MAX || span_find(event, '"') < event.len ||
        !scan(&e->names, data, &l.in[1])) {
        echo_forget(e);
        return;
    }
    e->learned = e->data_len && same_event(e, event) && scan(&e->names, l.data[0], &l.in[0]) &&
                 compare_data(&l) && compare_made(&l);
    e->in = l.in[1];
    e->made = l.out;
    e->count = l.count;
    keep(e, event, data, made);
}

/* ---- answering ---- */

/* What fills a hole at `at`; a text is never empty. SPAN_NONE: nothing that may. */
static struct span fill(struct span s, size_t at, int kind) {
    if (kind == KIND_NUMBER) {
        size_t n = plain_number(s, at);
        return n ? span_sub(s, at, n) : SPAN_NONE;
    }
    size_t n = body_length(s, at);
    return n == NOWHERE || (kind == KIND_TEXT && !n) ? SPAN_NONE : span_sub(s, at, n);
}

/* Whether an event is as those that were learned from, and what fills its holes. */
static bool match(const struct echo *e, struct span data, struct span *fillings) {
    struct span known = kept_data(e);
    size_t at = 0;
    for (size_t i = 0; i <= e->in.n; i++) {
        struct span same = fixed(known, &e->in, i);
        if (!span_eq(span_sub(data, at, same.len), same))
            return false;
        at += same.len;
        if (i == e->in.n)
            break;
        fillings[i] = fill(data, at, e->in.list[i].kind);
        if (!fillings[i].at)
            return false;
        at += fillings[i].len;
    }
    return at == data.len;
}

static void write_made(struct echo *e, const struct span *fillings, struct buf *out) {
    struct span known = kept_made(e);
    for (size_t i = 0; i <= e->made.n; i++) {
        buf_add(out, fixed(known, &e->made, i));
        if (i == e->made.n)
            break;
        if (e->made.list[i].kind == KIND_COUNTER)
            buf_printf(out, "%llu", (unsigned long long)++e->count);
        else
            buf_add(out, fillings[e->made.list[i].from]);
    }
}

/* The bytes a sound body of a string stands for. */
static size_t unescaped_length(struct span body) {
    size_t n = 0;
    for (size_t len; body.len; body = span_sub(body, len, SIZE_MAX)) {
        bool escape = body.at[0] == '\\';
        len = escape ? escape_length(body, 0) : span_find(body, '\\');
        n += escape ? escaped_bytes(body.at) : len;
    }
    return n;
}

/* Of the texts all is held, of what else fills holes the last, a line each: no string holds the end
 * of one. Returns the bytes of the text. */
static size_t hold(struct echo *e, const struct span *fillings) {
    size_t text = 0;
    buf_clear(&e->latest);
    for (size_t i = 0; i < e->in.n; i++) {
        if (e->in.list[i].kind == KIND_TEXT) {
            buf_add(&e->held, fillings[i]);
            text += unescaped_length(fillings[i]);
            continue;
        }
        buf_add(&e->latest, fillings[i]);
        buf_add_char(&e->latest, '\n');
    }
    e->n++;
    return text;
}

size_t echo_answer(struct echo *e, struct span event, struct span data, struct buf *out) {
    struct span fillings[ECHO_HOLES];
    if (!e->learned || !same_event(e, event) || e->held.len + data.len > ECHO_HELD_MAX ||
        !match(e, data, fillings))
        return 0;
    write_made(e, fillings, out);
    return hold(e, fillings);
}

size_t echo_take(struct echo *e, struct span *event, struct buf *data) {
    struct span known = kept_data(e), latest = buf_span(&e->latest);
    size_t n = e->n;
    for (size_t i = 0; n && i <= e->in.n; i++) {
        buf_add(data, fixed(known, &e->in, i));
        if (i == e->in.n)
            break;
        if (e->in.list[i].kind == KIND_TEXT) {
            buf_add(data, buf_span(&e->held));
            continue;
        }
        size_t line = span_find(latest, '\n');
        buf_add(data, span_sub(latest, 0, line));
        latest = span_sub(latest, line + 1, SIZE_MAX);
    }
    *event = kept_event(e);
    e->n = 0;
    buf_deinit(&e->held);
    buf_clear(&e->latest);
    return n;
}
