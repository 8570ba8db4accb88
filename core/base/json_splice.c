/* The half of json.h that needs no parser: changing a text by places found before. */
#include "base/json.h"

/* A splice on its way: everything before `at` is done. */
struct splice {
    struct span text;
    size_t at;
    struct buf *out;
    size_t start; /* of the new text in `out` */
};

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_space(struct span text, size_t at) {
    while (at < text.len && is_space(text.at[at]))
        at++;
    return at;
}

static void copy_up_to(struct splice *s, size_t end) {
    buf_append(s->out, s->text.at + s->at, end - s->at);
    s->at = end;
}

/* The length of what is written so far without the spaces at its end. */
static size_t written_without_space(const struct splice *s) {
    size_t len = s->out->len;
    while (len > s->start && is_space(s->out->at[len - 1]))
        len--;
    return len;
}

/* A member goes with the comma behind it; the last one with the comma before it, if one was
 * written. */
static void take_out(struct splice *s, const struct json_member *member) {
    copy_up_to(s, member->key_at);
    size_t behind = skip_space(s->text, member->value_end);
    if (s->text.at[behind] == ',') {
        s->at = skip_space(s->text, behind + 1);
        return;
    }
    s->at = member->value_end;
    size_t len = written_without_space(s);
    if (s->out->at[len - 1] == ',')
        s->out->len = len - 1;
}

static void put_in(struct splice *s, const struct json_edit *edit) {
    if (s->out->at[written_without_space(s) - 1] != '{')
        buf_add_char(s->out, ',');
    buf_add_json(s->out, edit->where.name);
    buf_add_char(s->out, ':');
    buf_add(s->out, edit->raw);
}

/* The edit of the first member at or behind `at`, or NULL. */
static const struct json_edit *next_edit(const struct json_edit *edits, size_t n, size_t at) {
    const struct json_edit *next = NULL;
    for (size_t i = 0; i < n; i++)
        if (edits[i].where.found && edits[i].where.key_at >= at &&
            (!next || edits[i].where.key_at < next->where.key_at))
            next = &edits[i];
    return next;
}

/* Where the object's last member ends, or its opening brace: spaces before the closing one are kept
 * behind what is added. */
static size_t members_end(struct span text) {
    size_t end = text.len;
    while (is_space(text.at[end - 1]))
        end--;
    end--; /* the closing brace */
    while (is_space(text.at[end - 1]))
        end--;
    return end;
}

void json_splice(struct span text, const struct json_edit *edits, size_t n, struct buf *out) {
    struct splice s = { text, 0, out, out->len };
    buf_reserve(out, text.len + 64);
    for (const struct json_edit *e; (e = next_edit(edits, n, s.at));) {
        if (!e->raw.at) {
            take_out(&s, &e->where);
        } else {
            copy_up_to(&s, e->where.value_at);
            buf_add(out, e->raw);
            s.at = e->where.value_end;
        }
    }
    copy_up_to(&s, members_end(text));
    for (size_t i = 0; i < n; i++)
        if (!edits[i].where.found && edits[i].raw.at)
            put_in(&s, &edits[i]);
    copy_up_to(&s, text.len);
}
