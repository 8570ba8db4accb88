#include "money/redact.h"

#include <string.h>

enum {
    LOCAL_MAX = 64,   /* bytes of an address before the @ (RFC 5321) */
    DOMAIN_MAX = 253, /* and behind it */
    CARD_MIN = 13,
    CARD_MAX = 19,
    PHONE_MIN = 8,
    PHONE_MAX = 15, /* digits (E.164) */
    GROUPS_MAX = 8, /* of digits in one number */
    GROUP_MAX = 20, /* digits of a group that are looked at: with more it is no number of these */
    KEY_MIN = 16,   /* bytes behind a key's prefix */
    KEY_LOOK = 64,  /* that it is told by */
    BEARER_MIN = 12
};

/* The text, and how far `out` has it, as it was or replaced. */
struct work {
    struct buf *out;
    struct span text;
    size_t done;
};

static char at(const struct work *w, size_t i) {
    return i < w->text.len ? w->text.at[i] : '\0';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_capital(char c) {
    return c >= 'A' && c <= 'Z';
}

static bool is_letter(char c) {
    return is_capital(c) || (c >= 'a' && c <= 'z');
}

static bool is_word(char c) {
    return is_digit(c) || is_letter(c) || c == '_';
}

static bool is_one_of(char c, const char *these) {
    return c && strchr(these, c);
}

/* Bytes of the escape of a JSON string whose backslash is there, \n or \u00e9; 1: it is none. */
static size_t escape_len(const struct work *w, size_t i) {
    return at(w, i) != '\\'                   ? 1
           : at(w, i + 1) == 'u'              ? 6
           : is_one_of(at(w, i + 1), "nrtbf") ? 2
                                              : 1;
}

/* Whether a word may begin there: the letters of an escape are none of it. */
static bool begins(const struct work *w, size_t i) {
    return i == 0 || !is_word(w->text.at[i - 1]) || (i >= 2 && escape_len(w, i - 2) == 2) ||
           (i >= 6 && escape_len(w, i - 6) == 6);
}

/* Puts `mark` in the place of the text from one byte, which is not done yet, to another. */
static void replace(struct work *w, size_t from, size_t until, const char *mark) {
    buf_add(w->out, span_sub(w->text, w->done, from - w->done));
    buf_add(w->out, span_of(mark));
    w->done = until;
}

/* --- addresses -------------------------------------------------------------------------------- */

static bool is_local(char c) {
    return is_word(c) || is_one_of(c, ".%+-");
}

static bool is_domain(char c) {
    return is_letter(c) || is_digit(c) || c == '-' || c == '.';
}

/* Names of domains may be written in any script; and in some scripts no space ends them. */
static bool is_any_domain(char c) {
    return is_domain(c) || (unsigned char)c >= 0x80;
}

/* Where the run of such bytes that begins there ends, or is `max` long. */
static size_t end_of(const struct work *w, size_t from, bool (*fits)(char c), size_t max) {
    size_t end = from;
    while (end - from < max && fits(at(w, end)))
        end++;
    return end;
}

/* Where the domain that begins there ends; `from` itself: it is none. */
static size_t end_of_domain(const struct work *w, size_t from, bool (*fits)(char c)) {
    size_t end = end_of(w, from, fits, DOMAIN_MAX), dot = from;
    while (end > from && is_one_of(w->text.at[end - 1], ".-"))
        end--; /* of the sentence around it */
    for (size_t i = from; i < end; i++)
        if (w->text.at[i] == '.')
            dot = i;
    return dot > from && end - dot > 2 && !is_digit(at(w, dot + 1)) ? end : from;
}

/* An address around the @ at `i`. */
static bool take_email(struct work *w, size_t i) {
    size_t from = i, end = end_of_domain(w, i + 1, is_domain);
    if (end == i + 1)
        end = end_of_domain(w, i + 1, is_any_domain);
    while (from > w->done && i - from < LOCAL_MAX && is_local(w->text.at[from - 1]))
        from--;
    if (from > 0)
        from += escape_len(w, from - 1) - 1;
    if (from >= i || end == i + 1)
        return false;
    replace(w, from, end, "[email]");
    return true;
}

/* --- keys ------------------------------------------------------------------------------------- */

static bool is_key(char c) {
    return is_word(c) || c == '-';
}

static bool is_token(char c) {
    return is_word(c) || is_one_of(c, "-._~+/=");
}

/* What is made by chance has a digit or a capital in it; what people write in small letters, with
 * hyphens, has neither. */
static bool looks_random(struct span s) {
    for (size_t i = 0; i < s.len; i++)
        if (is_digit(s.at[i]) || is_capital(s.at[i]))
            return true;
    return false;
}

static bool take_key(struct work *w, size_t i) {
    static const char *const prefixes[] = { "sk-",  "pl-",   "AKIA",  "AIza",   "gsk_",       "hf_",
                                            "ghp_", "xoxb-", "xoxp-", "glpat-", "github_pat_" };
    for (size_t k = 0; k < sizeof prefixes / sizeof *prefixes; k++) {
        struct span prefix = span_of(prefixes[k]);
        if (!span_eq(span_sub(w->text, i, prefix.len), prefix))
            continue;
        size_t from = i + prefix.len, near = end_of(w, from, is_key, KEY_LOOK);
        if (near - from < KEY_MIN || !looks_random(span_sub(w->text, from, near - from)))
            return false;
        replace(w, i, end_of(w, near, is_key, SIZE_MAX), "[key]");
        return true;
    }
    return false;
}

/* What stands behind the word Bearer. */
static bool take_bearer(struct work *w, size_t i) {
    const struct span word = SPAN("bearer ");
    if (!span_eq_nocase(span_sub(w->text, i, word.len), word))
        return false;
    size_t from = i + word.len, end = end_of(w, from, is_token, SIZE_MAX);
    if (end - from < BEARER_MIN || !looks_random(span_sub(w->text, from, end - from)))
        return false;
    replace(w, from, end, "[key]");
    return true;
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* Digits in groups, and how far they go. */
struct number {
    char digits[GROUPS_MAX * GROUP_MAX];
    size_t n;
    struct group {
        size_t len, from, end; /* of the text */
        char before;           /* what parts it from the group before it */
    } groups[GROUPS_MAX];
    size_t n_groups;
};

/* Where the next group may begin: behind one or two of what people write between them, such as a
 * closed bracket and a space. The first byte of that is `*between`. */
static size_t next_group(const struct work *w, size_t end, char *between) {
    size_t i = end;
    while (i < end + 2 && is_one_of(at(w, i), " -./()"))
        i++;
    *between = at(w, end);
    return is_digit(at(w, i)) ? i : end;
}

/* The groups of digits from there on, as many as one number can have. */
static void read_number(const struct work *w, size_t from, struct number *number) {
    char before = '\0';
    number->n = number->n_groups = 0;
    while (number->n_groups < GROUPS_MAX && is_digit(at(w, from))) {
        size_t end = from;
        while (is_digit(at(w, end)) && end - from < GROUP_MAX)
            number->digits[number->n++] = at(w, end++);
        number->groups[number->n_groups++] = (struct group){ end - from, from, end, before };
        from = next_group(w, end, &before);
        if (from == end)
            break;
    }
}

/* Whether a number may end with that group: nothing that goes on stands behind it. */
static bool ends(const struct work *w, const struct group *g) {
    bool fraction = at(w, g->end) == '.' && is_digit(at(w, g->end + 1));
    return !is_word(at(w, g->end)) && !fraction;
}

static bool luhn(const char *digits, size_t n) {
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned d = (unsigned)(digits[n - 1 - i] - '0') << (i % 2);
        sum += d > 9 ? d - 9 : d;
    }
    return sum % 10 == 0;
}

/* What cards of the networks begin with: 3 to 6, or 22 to 27. Most of what counts or tells a time
 * begins with something else. */
static bool is_network(const char *digits) {
    return (digits[0] >= '3' && digits[0] <= '6') ||
           (digits[0] == '2' && digits[1] >= '2' && digits[1] <= '7');
}

/* How many of the groups are a card; 0: none are. */
static size_t find_card(const struct work *w, const struct number *number) {
    size_t n = 0, found = 0;
    if (!is_network(number->digits))
        return 0;
    for (size_t i = 0; i < number->n_groups; i++) {
        const struct group *g = &number->groups[i];
        bool parted = i == 0 || ((g->before == ' ' || g->before == '-') &&
                                 g->from == number->groups[i - 1].end + 1);
        n += g->len;
        if (!parted || n > CARD_MAX || (g->len < 3 && number->n_groups > 1))
            break;
        if (n >= CARD_MIN && ends(w, g) && luhn(number->digits, n))
            found = i + 1;
    }
    return found;
}

/* Three, three and four digits, behind a 1 or without. */
static size_t find_north_american(const struct number *number) {
    size_t first = number->groups[0].len == 1 && number->digits[0] == '1';
    const struct group *g = &number->groups[first];
    bool fits = number->n_groups >= first + 3 && g[0].len == 3 && g[1].len == 3 && g[2].len == 4;
    return fits ? first + 3 : 0;
}

/* 06 12 34 56 78. */
static bool are_pairs(const struct number *number, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (number->groups[i].len != 2)
            return false;
    return n == 5;
}

/* With a 0 in front, an area code of three digits or more, and a group at least behind it. A point
 * parts fractions, too. */
static size_t find_domestic(const struct work *w, const struct number *number) {
    size_t n = 0, found = 0;
    for (size_t i = 0; i < number->n_groups; i++) {
        n += number->groups[i].len;
        if (number->groups[i].before == '.' || n > 12)
            break;
        if (i > 0 && ends(w, &number->groups[i]) &&
            ((n >= 9 && number->groups[0].len >= 3) || are_pairs(number, i + 1)))
            found = i + 1;
    }
    return number->digits[0] == '0' ? found : 0;
}

/* Behind a +. */
static size_t find_international(const struct work *w, const struct number *number) {
    size_t n = 0, found = 0;
    for (size_t i = 0; i < number->n_groups; i++) {
        n += number->groups[i].len;
        if (n > PHONE_MAX)
            break;
        if (n >= PHONE_MIN && ends(w, &number->groups[i]))
            found = i + 1;
    }
    return found;
}

/* Whether a hyphen ties the first so many groups to something before or behind them: then they are
 * a part of an identifier. */
static bool is_tied(const struct work *w, const struct number *number, size_t n) {
    size_t from = number->groups[0].from, end = number->groups[n - 1].end;
    return (from > 1 && w->text.at[from - 1] == '-' && is_word(w->text.at[from - 2])) ||
           (at(w, end) == '-' && is_word(at(w, end + 1)));
}

/* How many of the groups are a phone number; 0: none are. */
static size_t find_phone(const struct work *w, const struct number *number, bool plus) {
    if (plus)
        return find_international(w, number);
    size_t n = find_north_american(number);
    if (!n || !ends(w, &number->groups[n - 1]))
        n = find_domestic(w, number);
    return n && !is_tied(w, number, n) ? n : 0;
}

/* Whether the digits at `i` are what follows a decimal point. */
static bool is_fraction(const struct work *w, size_t i) {
    return i > 1 && w->text.at[i - 1] == '.' && is_digit(w->text.at[i - 2]);
}

/* Whether there is that character before the number at `i`, so that it belongs to it. */
static bool has_before(const struct work *w, size_t i, char c) {
    return i > w->done && w->text.at[i - 1] == c && begins(w, i - 1);
}

/* A number that begins at the group of digits at `i`. */
static bool take_number(struct work *w, size_t i) {
    struct number number;
    bool plus = has_before(w, i, '+'), bracket = has_before(w, i, '(');
    if (is_fraction(w, i))
        return false;
    read_number(w, i, &number);
    const char *mark = "[card]";
    size_t n = find_card(w, &number);
    if (!n) {
        mark = "[phone]";
        n = find_phone(w, &number, plus);
    }
    if (n)
        replace(w, i - (plus || bracket), number.groups[n - 1].end, mark);
    return n > 0;
}

/* --- all of it -------------------------------------------------------------------------------- */

static bool take_secret_at(struct work *w, size_t i) {
    return is_letter(w->text.at[i]) && begins(w, i) && (take_key(w, i) || take_bearer(w, i));
}

static bool take_any_at(struct work *w, size_t i) {
    char c = w->text.at[i];
    if (c == '@')
        return take_email(w, i);
    return is_digit(c) ? begins(w, i) && take_number(w, i) : take_secret_at(w, i);
}

/* Each place is looked at once; what is looked at without being taken is of bounded length. */
static void take(struct work *w, bool (*take_at)(struct work *w, size_t i)) {
    for (size_t i = 0; i < w->text.len;)
        i = take_at(w, i) ? w->done : i + 1;
}

void redact(struct buf *out, struct span text) {
    struct work w = { .out = out, .text = text };
    take(&w, take_any_at);
    buf_add(out, span_sub(text, w.done, SIZE_MAX));
}

bool redact_keys(struct buf *out, struct span text) {
    struct work w = { .out = out, .text = text };
    take(&w, take_secret_at);
    if (!w.done)
        return false;
    buf_add(out, span_sub(text, w.done, SIZE_MAX));
    return true;
}
