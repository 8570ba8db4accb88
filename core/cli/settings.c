#include "cli/settings.h"

#include "base/clock.h"
#include "cli/dollars.h"
#include "cli/moment.h"

/* ---- options become fields ---- */

static bool complain(struct errand *e, const struct setting *s, const char *wants) {
    struct buf message = { 0 };
    buf_printf(&message, "--%s wants %s", s->option, wants);
    buf_add_char(&message, '\0');
    cli_complain(e->call->command, message.at);
    buf_deinit(&message);
    return false;
}

/* As JSON takes it: what is too much or too fine, the admin side says. */
static bool is_number(struct span text) {
    double value;
    for (size_t i = 0; i < text.len; i++)
        if (!strchr("0123456789.", text.at[i]))
            return false;
    return text.len && text.at[0] != '.' && text.at[text.len - 1] != '.' &&
           span_double(text, &value);
}

static bool add_moment(struct errand *e, const struct setting *s, struct span text,
                       struct buf *out) {
    char time[25];
    uint64_t us;
    if (!moment_read(text, MOMENT_UNTIL, clock_wall_ms() * 1000, &us))
        return complain(e, s, MOMENT_FORMS);
    clock_rfc3339(us / 1000, time);
    buf_add_json(out, span_of(time));
    return true;
}

/* With a parser of its own: what the errand has read stays valid. */
static bool is_json(struct span text) {
    struct json_parser *parser = json_parser_new();
    struct json_value root;
    bool good = json_parse(parser, text, &root) == JSON_OK;
    json_parser_free(parser);
    return good;
}

static bool add_value(struct errand *e, const struct setting *s, struct span text,
                      struct buf *out) {
    bool yes = span_eq(text, SPAN("yes")), numbers = s->kind == SETTING_NUMBERS;
    switch (s->kind) {
    case SETTING_TEXT:
    case SETTING_LIST:
        buf_add_json(out, text);
        return true;
    case SETTING_MOMENT:
        return add_moment(e, s, text, out);
    case SETTING_FLAG:
        buf_add(out, yes ? SPAN("true") : SPAN("false"));
        return yes || span_eq(text, SPAN("no")) || complain(e, s, "yes or no");
    case SETTING_NUMBER:
    case SETTING_NUMBERS:
        buf_add(out, text);
        return is_number(text) || complain(e, s, numbers ? "numbers" : "a number, or none");
    case SETTING_JSON:
        buf_add(out, text);
        return is_json(text) || complain(e, s, "JSON, or none");
    }
    return false;
}

/* The values of an option that is given again and again. */
static bool add_list(struct errand *e, const struct setting *s, struct buf *out) {
    const char **values = arena_new_array(&e->arena, const char *, e->call->n_given + 1);
    size_t n = cli_option_values(e->call, s->option, values);
    bool good = true;
    buf_add_char(out, '[');
    for (size_t i = 0; good && i < n; i++) {
        if (i)
            buf_add_char(out, ',');
        good = add_value(e, s, span_of(values[i]), out);
    }
    buf_add_char(out, ']');
    return good;
}

static bool add_given(struct errand *e, const struct setting *s, const char *text) {
    bool list = s->kind == SETTING_LIST || s->kind == SETTING_NUMBERS;
    errand_add_json(&e->body, s->field, SPAN(""));
    if (strcmp(text, "none") == 0) {
        buf_add(&e->body, SPAN("null"));
        return true;
    }
    return list ? add_list(e, s, &e->body) : add_value(e, s, span_of(text), &e->body);
}

/* Where the answer has its fields, in the order of the settings. */
static struct json_member *find_fields(struct errand *e, const struct setting *settings) {
    size_t n = 0;
    while (settings[n].option)
        n++;
    struct json_member *fields = arena_new_array(&e->arena, struct json_member, n);
    for (size_t i = 0; i < n; i++)
        fields[i].name = span_of(settings[i].field);
    json_locate(e->parser, NULL, fields, n);
    return fields;
}

bool settings_write(struct errand *e, const struct setting *settings, bool rest) {
    struct json_member *old = rest ? find_fields(e, settings) : NULL;
    bool good = true;
    buf_add_char(&e->body, '{');
    for (size_t i = 0; good && settings[i].option; i++) {
        const char *text = cli_option(e->call, settings[i].option);
        if (text)
            good = add_given(e, &settings[i], text);
        else if (old && old[i].found)
            errand_add_json(&e->body, settings[i].field,
                            span_sub(buf_span(&e->answer), old[i].value_at,
                                     old[i].value_end - old[i].value_at));
    }
    buf_add_char(&e->body, '}');
    return good;
}

/* ---- fields become text ---- */

static int64_t number(struct json_value object, const char *name) {
    int64_t n = 0;
    json_int(json_get(object, name), &n);
    return n;
}

/* "$1.20 of $5 a month until 2026-12-01T00:00:00.000Z". */
static void add_cap(struct errand *e, struct json_value cap, bool resets, struct buf *out) {
    char spent[DOLLARS_SIZE], most[DOLLARS_SIZE];
    struct span period = errand_member(e, cap, "period");
    struct span until = errand_member(e, cap, "resets");
    buf_printf(out, "%s of %s ", dollars_brief(number(cap, "spent_nano"), spent),
               dollars_brief(number(cap, "cap_nano"), most));
    if (span_eq(period, SPAN("total")))
        buf_add(out, SPAN("in all"));
    else
        buf_printf(out, "a %.*s", SPAN_ARGS(period));
    if (resets && until.at)
        buf_printf(out, ", until %.*s", SPAN_ARGS(until));
}

struct span settings_caps(struct errand *e, struct json_value caps) {
    struct buf text = { 0 };
    for (struct json_iter it = json_iter(caps); json_next(&it);) {
        buf_add(&text, text.len ? SPAN(", ") : SPAN(""));
        add_cap(e, it.value, false, &text);
    }
    struct span copy = arena_copy(&e->arena, buf_span(&text));
    buf_deinit(&text);
    return copy;
}

struct span settings_limits(struct errand *e, struct json_value object) {
    static const struct {
        const char *field, *words;
    } limits[] = { { "rpm", "rpm" }, { "tpm", "tpm" }, { "concurrent", "at once" } };
    struct buf text = { 0 };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (number(object, limits[i].field))
            buf_printf(&text, "%s%lld %s", text.len ? ", " : "",
                       (long long)number(object, limits[i].field), limits[i].words);
    struct span copy = arena_copy(&e->arena, buf_span(&text));
    buf_deinit(&text);
    return copy;
}

/* A text without its quotes, a list without its brackets, all else as it is in JSON. */
static void add_json(struct errand *e, struct json_value value, struct span raw, struct buf *out) {
    if (json_type(value) == JSON_STRING)
        buf_add(out, errand_line(e, json_text(value)));
    else if (json_type(value) == JSON_ARRAY) {
        for (struct json_iter it = json_iter(value); json_next(&it);) {
            bool text = json_type(it.value) == JSON_STRING;
            buf_add(out, out->len ? SPAN(", ") : SPAN(""));
            if (text)
                buf_add(out, errand_line(e, json_text(it.value)));
            else
                buf_printf(out, "%g", json_number(it.value, 0));
        }
    } else
        buf_add(out, errand_line(e, raw));
}

static bool says_nothing(struct json_value value) {
    enum json_type type = json_type(value);
    return type == JSON_NULL || (type == JSON_BOOL && !json_true(value)) ||
           (type == JSON_ARRAY && !json_count(value));
}

/* Of a cap there is a line of its own; of money, dollars are shown. */
static bool is_said_again(struct span name) {
    return span_eq(name, SPAN("caps")) || span_ends(name, SPAN("_nano"));
}

void settings_show(struct errand *e) {
    for (struct json_iter it = json_iter(e->root); json_next(&it);) {
        struct json_member member = { .name = arena_copy(&e->arena, it.key) };
        struct buf text = { 0 };
        if (says_nothing(it.value) || is_said_again(it.key) ||
            json_locate(e->parser, NULL, &member, 1) != JSON_OK)
            continue;
        add_json(
            e, it.value,
            span_sub(buf_span(&e->answer), member.value_at, member.value_end - member.value_at),
            &text);
        printf("%-16.*s %.*s\n", SPAN_ARGS(errand_line(e, member.name)),
               SPAN_ARGS(buf_span(&text)));
        buf_deinit(&text);
    }
    for (struct json_iter it = json_iter(json_get(e->root, "caps")); json_next(&it);) {
        struct buf text = { 0 };
        add_cap(e, it.value, true, &text);
        printf("%-16s %.*s\n", "spent", SPAN_ARGS(buf_span(&text)));
        buf_deinit(&text);
    }
}
