#include "admin/asker.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "money/export.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define NANO INT64_C(1000000000)

enum {
    TEXT_MAX = 256,
    ID_MAX = 64,
    METADATA_MAX = 4096,
    LIST_MAX = 64,
    COUNT_MAX = 1000000000,
    USD_MAX = 1000000000,
    MARKUP_MAX = 100 * 1000000,
    BODY_MAX = 1 << 20,
    BODY_DEFAULT = 16384,
    DAYS_MAX = 3650,
    DAYS_DEFAULT = 7,
    FIELDS_MAX = 32
};
#define FREE_MAX INT64_C(1000000000000000)

/* What the fields of limits and caps say, before there are caps. */
struct allowance {
    struct limits_rule limits;
    int64_t nano[PERIOD_KINDS]; /* -1: no such cap */
    int offset_min;
    unsigned char alerts[BUDGET_ALERTS];
};

struct reading {
    struct arena *arena;
    struct asker_wrong *wrong;
    struct span body;
    const struct json_member *member; /* that is being read */
};

/* ---- what is wrong ---- */

static bool wrong(struct asker_wrong *w, struct span param, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool wrong(struct asker_wrong *w, struct span param, const char *format, ...) {
    va_list args;
    va_start(args, format);
    span_copy(param, w->param, sizeof w->param);
    vsnprintf(w->message, sizeof w->message, format, args);
    va_end(args);
    return false;
}

static bool expected(const struct reading *r, const char *what) {
    return wrong(r->wrong, r->member->name, "Expected %s.", what);
}

static bool is_null(const struct reading *r) {
    return json_type(r->member->value) == JSON_NULL;
}

/* The value as it stands in the body. */
static struct span raw(const struct reading *r) {
    return span_sub(r->body, r->member->value_at, r->member->value_end - r->member->value_at);
}

/* ---- texts ---- */

static bool is_plain(struct span text, size_t max) {
    for (size_t i = 0, len; i < text.len; i += len) {
        len = utf8_length(span_sub(text, i, text.len));
        if (!len || (unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7f)
            return false;
    }
    return text.len > 0 && text.len <= max;
}

bool asker_is_id(struct span name) {
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool good = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                    c == '_' || c == '.' || c == '-';
        if (!good)
            return false;
    }
    return name.len > 0 && name.len <= ID_MAX;
}

static bool take_text(struct reading *r, void *at) {
    struct span text = json_text(r->member->value);
    if (!is_null(r) && !is_plain(text, TEXT_MAX))
        return expected(r, "a text of at most 256 bytes without control characters");
    *(struct span *)at = is_null(r) ? SPAN_NONE : arena_copy(r->arena, text);
    return true;
}

/* Null is the project everybody is of. */
static bool take_project(struct reading *r, void *at) {
    struct span text = is_null(r) ? SPAN("default") : json_text(r->member->value);
    if (!asker_is_id(text))
        return expected(r, "the name of a project");
    *(struct span *)at = arena_copy(r->arena, text);
    return true;
}

/* As a pointer and a count lie one behind the other in the structs of account.h. */
struct list {
    const struct span *at;
    size_t n;
};

static bool take_list(struct reading *r, void *at) {
    struct json_value value = r->member->value;
    size_t n = json_count(value);
    struct span *texts = arena_new_array(r->arena, struct span, n + 1);
    if ((!is_null(r) && json_type(value) != JSON_ARRAY) || n > LIST_MAX)
        return expected(r, "a list of at most 64 texts");
    n = 0;
    for (struct json_iter it = json_iter(value); json_next(&it); n++) {
        if (!is_plain(json_text(it.value), TEXT_MAX))
            return expected(r, "a list of texts, each of at most 256 bytes without control "
                               "characters");
        texts[n] = arena_copy(r->arena, json_text(it.value));
    }
    *(struct list *)at = (struct list){ texts, n };
    return true;
}

/* A list that allows nothing would be read as one that forbids nothing. */
static bool take_allowed(struct reading *r, void *at) {
    if (!is_null(r) && json_type(r->member->value) == JSON_ARRAY && !json_count(r->member->value))
        return expected(r, "at least one name, or null to allow all");
    return take_list(r, at);
}

static bool take_metadata(struct reading *r, void *at) {
    if (!is_null(r) && (json_type(r->member->value) != JSON_OBJECT || raw(r).len > METADATA_MAX))
        return expected(r, "an object of at most 4096 bytes");
    *(struct span *)at = is_null(r) ? SPAN_NONE : arena_copy(r->arena, raw(r));
    return true;
}

static const struct {
    const char *name;
    uint32_t bit;
} grants[] = { { "policy", KEYS_GRANT_POLICY },
               { "tier", KEYS_GRANT_TIER },
               { "models", KEYS_GRANT_MODELS } };
enum { GRANTS = sizeof grants / sizeof *grants };

static uint32_t grant_of(struct span name) {
    for (size_t i = 0; i < GRANTS; i++)
        if (span_eq(name, span_of(grants[i].name)))
            return grants[i].bit;
    return 0;
}

static bool take_grants(struct reading *r, void *at) {
    uint32_t bits = 0;
    if (!is_null(r) && json_type(r->member->value) != JSON_ARRAY)
        return expected(r, "a list of \"policy\", \"tier\", \"models\"");
    for (struct json_iter it = json_iter(r->member->value); json_next(&it);) {
        uint32_t bit = grant_of(json_text(it.value));
        if (!bit)
            return expected(r, "a list of \"policy\", \"tier\", \"models\"");
        bits |= bit;
    }
    *(uint32_t *)at = bits;
    return true;
}

static bool take_flag(struct reading *r, void *at) {
    if (!is_null(r) && json_type(r->member->value) != JSON_BOOL)
        return expected(r, "true or false");
    *(bool *)at = json_true(r->member->value);
    return true;
}

static bool take_expires(struct reading *r, void *at) {
    uint64_t ms;
    int64_t *expires_s = at;
    *expires_s = PERIOD_FOR_EVER;
    if (is_null(r))
        return true;
    if (!clock_parse(json_text(r->member->value), &ms))
        return expected(r, "a moment like \"2027-01-01T00:00:00Z\"");
    *expires_s = (int64_t)(ms / 1000);
    return true;
}

/* ---- numbers ---- */

/* value * 10^shift; false where that is no whole number, or more than `max`. */
static bool scale(uint64_t value, int shift, int64_t max, int64_t *units) {
    for (; value && shift < 0; shift++, value /= 10)
        if (value % 10)
            return false;
    for (; value && shift > 0; shift--, value *= 10)
        if (value > (uint64_t)max / 10)
            return false;
    *units = (int64_t)value;
    return value <= (uint64_t)max;
}

/* "e-3" at the end of a number; 0 where there is none. */
static bool read_exponent(struct span text, int *exponent) {
    char digits[5];
    *exponent = 0;
    if (!text.len)
        return true;
    if (text.len > sizeof digits)
        return false;
    span_copy(span_sub(text, 1, text.len), digits, sizeof digits);
    *exponent = atoi(digits);
    return true;
}

bool asker_decimal(struct span text, int places, int64_t max, int64_t *units) {
    uint64_t value = 0;
    int decimals = 0, exponent;
    bool fraction = false;
    size_t i = 0;
    if (!text.len || *text.at < '0' || *text.at > '9')
        return false;
    for (; i < text.len && (text.at[i] | 0x20) != 'e'; i++) {
        if (text.at[i] == '.') {
            fraction = true;
            continue;
        }
        if (text.at[i] < '0' || text.at[i] > '9' || value > UINT64_MAX / 10 - 1)
            return false;
        value = 10 * value + (uint64_t)(text.at[i] - '0');
        decimals += fraction;
    }
    return read_exponent(span_sub(text, i, text.len), &exponent) &&
           scale(value, places + exponent - decimals, max, units);
}

/* A whole number from `least` on; null is `absent`. */
static bool take_whole(struct reading *r, int64_t least, int64_t most, int64_t absent,
                       int64_t *value) {
    char what[96];
    *value = absent;
    if (is_null(r) || (json_type(r->member->value) == JSON_NUMBER &&
                       asker_decimal(raw(r), 0, most, value) && *value >= least))
        return true;
    snprintf(what, sizeof what, "a whole number from %lld to %lld, or null", (long long)least,
             (long long)most);
    return expected(r, what);
}

static bool take_count(struct reading *r, void *at) {
    int64_t count;
    if (!take_whole(r, 1, COUNT_MAX, 0, &count))
        return false;
    *(uint32_t *)at = (uint32_t)count;
    return true;
}

static bool take_free(struct reading *r, void *at) {
    int64_t count;
    if (!take_whole(r, 0, FREE_MAX, 0, &count))
        return false;
    *(uint64_t *)at = (uint64_t)count;
    return true;
}

static bool take_usd(struct reading *r, void *at) {
    int64_t *nano = at;
    *nano = -1;
    return is_null(r) ||
           (json_type(r->member->value) == JSON_NUMBER &&
            asker_decimal(raw(r), 9, USD_MAX * NANO, nano)) ||
           expected(r, "dollars in whole nano-dollars, at most 1000000000, or null");
}

static bool take_markup(struct reading *r, void *at) {
    int64_t ppm = 0;
    if (!is_null(r) &&
        (json_type(r->member->value) != JSON_NUMBER || !asker_decimal(raw(r), 6, MARKUP_MAX, &ppm)))
        return expected(r, "a share from 0 to 100 with at most six places, or null");
    *(uint32_t *)at = (uint32_t)ppm;
    return true;
}

/* ---- limits and caps ---- */

static bool parse_zone(struct span text, int *offset_min) {
    uint64_t hours, minutes;
    *offset_min = 0;
    if (span_eq(text, SPAN("UTC")) || span_eq(text, SPAN("Z")))
        return true;
    if (text.len != 6 || (*text.at != '+' && *text.at != '-') || text.at[3] != ':' ||
        !span_uint(span_sub(text, 1, 2), &hours) || !span_uint(span_sub(text, 4, 2), &minutes) ||
        hours > 23 || minutes > 59)
        return false;
    *offset_min = (*text.at == '-' ? -1 : 1) * (int)(60 * hours + minutes);
    return true;
}

static bool take_zone(struct reading *r, void *at) {
    if (parse_zone(is_null(r) ? SPAN("UTC") : json_text(r->member->value), at))
        return true;
    return expected(r, "\"UTC\" or how far it is ahead of that, like \"+02:00\"");
}

static const unsigned char usual_alerts[BUDGET_ALERTS] = { 80, 100 };

static bool take_alerts(struct reading *r, void *at) {
    const char *const what = "a list of at most 4 shares of a cap in percent, from 1 to 100";
    unsigned char *alerts = at;
    size_t n = 0;
    memcpy(alerts, usual_alerts, BUDGET_ALERTS);
    if (is_null(r))
        return true;
    if (json_type(r->member->value) != JSON_ARRAY || json_count(r->member->value) > BUDGET_ALERTS)
        return expected(r, what);
    memset(alerts, 0, BUDGET_ALERTS);
    for (struct json_iter it = json_iter(r->member->value); json_next(&it); n++) {
        int64_t percent;
        if (!json_int(it.value, &percent) || percent < 1 || percent > 100)
            return expected(r, what);
        alerts[n] = (unsigned char)percent;
    }
    return true;
}

static struct allowance allowance_of(const struct limits_rule *limits,
                                     const struct budget_cap *caps, size_t n) {
    struct allowance a = { *limits, { -1, -1, -1 }, 0, { 0 } };
    memcpy(a.alerts, n ? caps->alerts : usual_alerts, BUDGET_ALERTS);
    for (size_t i = 0; i < n; i++) {
        a.nano[caps[i].period] = caps[i].nano;
        if (caps[i].period != PERIOD_TOTAL)
            a.offset_min = caps[i].offset_min;
    }
    return a;
}

static struct budget_cap *make_caps(const struct allowance *a, enum budget_scope scope,
                                    struct span name, struct arena *arena, size_t *n) {
    struct budget_cap *caps = arena_new_array(arena, struct budget_cap, PERIOD_KINDS);
    *n = 0;
    for (int period = 0; period < PERIOD_KINDS; period++) {
        if (a->nano[period] < 0)
            continue;
        caps[*n] = (struct budget_cap){ .scope = scope,
                                        .name = name,
                                        .period = (enum period_kind)period,
                                        .offset_min = period == PERIOD_TOTAL ? 0 : a->offset_min,
                                        .nano = a->nano[period] };
        memcpy(caps[(*n)++].alerts, a->alerts, BUDGET_ALERTS);
    }
    return caps;
}

/* ---- what is kept of prompts and answers ---- */

static bool take_bodies_member(struct reading *r, const struct json_iter *it,
                               struct bodies_rule *bodies) {
    int64_t n;
    bool is_int = json_int(it->value, &n) && n >= 1;
    if (span_eq(it->key, SPAN("redact")) && json_type(it->value) == JSON_BOOL)
        bodies->redact = json_true(it->value);
    else if (span_eq(it->key, SPAN("max_bytes")) && is_int && n <= BODY_MAX)
        bodies->max_bytes = (uint32_t)n;
    else if (span_eq(it->key, SPAN("retention_days")) && is_int && n <= DAYS_MAX)
        bodies->retention_days = (uint32_t)n;
    else
        return expected(r, "an object of max_bytes (1 to 1048576), retention_days (1 to 3650) and "
                           "redact (true or false), or null");
    return true;
}

static bool take_bodies(struct reading *r, void *at) {
    struct bodies_rule *bodies = at;
    *bodies = (struct bodies_rule){ 0 };
    if (is_null(r))
        return true;
    if (json_type(r->member->value) != JSON_OBJECT)
        return expected(r, "an object or null");
    *bodies = (struct bodies_rule){ BODY_DEFAULT, DAYS_DEFAULT, true };
    for (struct json_iter it = json_iter(r->member->value); json_next(&it);)
        if (!take_bodies_member(r, &it, bodies))
            return false;
    return true;
}

/* ---- fields ---- */

/* Where a field's value goes: into the key or project itself, or into its allowance. */
struct field {
    const char *name;
    bool (*take)(struct reading *r, void *at);
    bool is_allowance;
    size_t offset;
};

#define OF_ALLOWANCE                                                                               \
    { "rpm", take_count, true, offsetof(struct allowance, limits.rpm) },                           \
        { "tpm", take_count, true, offsetof(struct allowance, limits.tpm) },                       \
        { "concurrent", take_count, true, offsetof(struct allowance, limits.concurrent) },         \
        { "daily_usd", take_usd, true, offsetof(struct allowance, nano[PERIOD_DAY]) },             \
        { "monthly_usd", take_usd, true, offsetof(struct allowance, nano[PERIOD_MONTH]) },         \
        { "total_usd", take_usd, true, offsetof(struct allowance, nano[PERIOD_TOTAL]) },           \
        { "zone", take_zone, true, offsetof(struct allowance, offset_min) }, {                     \
        "alerts", take_alerts, true, offsetof(struct allowance, alerts)                            \
    }

static const struct field key_fields[] = {
    { "name", take_text, false, offsetof(struct key, name) },
    { "project", take_project, false, offsetof(struct key, project) },
    { "tier", take_text, false, offsetof(struct key, tier) },
    { "policy", take_text, false, offsetof(struct key, policy) },
    { "tags", take_list, false, offsetof(struct key, tags) },
    { "metadata", take_metadata, false, offsetof(struct key, metadata) },
    { "models", take_allowed, false, offsetof(struct key, models) },
    { "policies", take_allowed, false, offsetof(struct key, policies) },
    { "grants", take_grants, false, offsetof(struct key, grants) },
    { "strict", take_flag, false, offsetof(struct key, strict) },
    { "expires", take_expires, false, offsetof(struct key, expires_s) },
    OF_ALLOWANCE,
};

static const struct field project_fields[] = {
    { "tier", take_text, false, offsetof(struct project, tier) },
    { "policy", take_text, false, offsetof(struct project, policy) },
    { "tags", take_list, false, offsetof(struct project, tags) },
    { "free_requests", take_free, false, offsetof(struct project, free_requests) },
    { "markup", take_markup, false, offsetof(struct project, markup_ppm) },
    { "bodies", take_bodies, false, offsetof(struct project, bodies) },
    OF_ALLOWANCE,
};

_Static_assert(
    offsetof(struct key, n_tags) == offsetof(struct key, tags) + sizeof(void *) &&
        offsetof(struct key, n_models) == offsetof(struct key, models) + sizeof(void *) &&
        offsetof(struct key, n_policies) == offsetof(struct key, policies) + sizeof(void *) &&
        offsetof(struct project, n_tags) == offsetof(struct project, tags) + sizeof(void *),
    "a list is a pointer and its count");

static bool unknown(struct asker_wrong *w, struct span name, const struct field *fields, size_t n) {
    struct buf known = { 0 };
    const char *near = NULL;
    unsigned least = 3;
    for (size_t i = 0; i < n; i++) {
        unsigned distance = span_distance(name, span_of(fields[i].name));
        if (distance < least)
            least = distance, near = fields[i].name;
        buf_printf(&known, "%s%s", i ? ", " : "", fields[i].name);
    }
    if (near)
        wrong(w, name, "There is no field of that name; did you mean \"%s\"?", near);
    else
        wrong(w, name, "There is no field of that name; there are: %.*s.",
              SPAN_ARGS(buf_span(&known)));
    buf_deinit(&known);
    return false;
}

static bool knows_all(struct json_value root, const struct field *fields, size_t n,
                      struct asker_wrong *w) {
    for (struct json_iter it = json_iter(root); json_next(&it);) {
        size_t i = 0;
        while (i < n && !span_eq(it.key, span_of(fields[i].name)))
            i++;
        if (i == n)
            return unknown(w, utf8_cut(it.key, sizeof w->param - 1), fields, n);
    }
    return true;
}

/* Finds the fields in the body. False when it is no object of these. */
static bool locate(struct json_parser *parser, struct span body, const struct field *fields,
                   size_t n, struct json_member *members, struct asker_wrong *w) {
    struct json_value root;
    int error = json_parse(parser, body, &root);
    if (error != JSON_OK || json_type(root) != JSON_OBJECT)
        return wrong(w, SPAN_NONE, "%s",
                     error == JSON_TOO_DEEP ? "The body is nested too deeply."
                     : error != JSON_OK     ? "The body is not JSON in UTF-8."
                                            : "The body is no JSON object.");
    if (!knows_all(root, fields, n, w))
        return false;
    for (size_t i = 0; i < n; i++)
        members[i] = (struct json_member){ .name = span_of(fields[i].name) };
    if (json_locate(parser, NULL, members, n) == JSON_OK)
        return true;
    size_t twice = 0;
    while (twice + 1 < n && !members[twice].repeated)
        twice++;
    return wrong(w, members[twice].name, "It stands there twice.");
}

/* What is said of caps where there is none would be lost. */
static bool fits_caps(const struct field *fields, const struct json_member *members, size_t n,
                      const struct allowance *a, struct asker_wrong *w) {
    bool periodic = a->nano[PERIOD_DAY] >= 0 || a->nano[PERIOD_MONTH] >= 0;
    bool any = periodic || a->nano[PERIOD_TOTAL] >= 0;
    for (size_t i = 0; i < n; i++) {
        if (!members[i].found || json_type(members[i].value) == JSON_NULL)
            continue;
        if (fields[i].take == take_zone && !periodic)
            return wrong(w, members[i].name, "There is no daily or monthly cap it would be of.");
        if (fields[i].take == take_alerts && !any)
            return wrong(w, members[i].name, "There is no cap they would be of.");
    }
    return true;
}

static bool read_fields(struct json_parser *parser, struct span body, struct arena *arena,
                        const struct field *fields, size_t n, void *asker, struct allowance *a,
                        struct asker_wrong *w) {
    struct json_member members[FIELDS_MAX];
    *w = (struct asker_wrong){ 0 };
    struct reading r = { arena, w, body.len ? body : SPAN("{}"), NULL };
    if (!locate(parser, r.body, fields, n, members, w))
        return false;
    for (size_t i = 0; i < n; i++) {
        char *base = fields[i].is_allowance ? (char *)a : asker;
        r.member = &members[i];
        if (members[i].found && !fields[i].take(&r, base + fields[i].offset))
            return false;
    }
    return fits_caps(fields, members, n, a, w);
}

struct key asker_new_key(void) {
    return (struct key){ .project = SPAN("default"), .expires_s = PERIOD_FOR_EVER };
}

bool asker_read_key(struct json_parser *parser, struct span body, struct arena *arena,
                    struct key *key, struct asker_wrong *w) {
    struct allowance a = allowance_of(&key->limits, key->caps, key->n_caps);
    if (!read_fields(parser, body, arena, key_fields, sizeof key_fields / sizeof *key_fields, key,
                     &a, w))
        return false;
    key->limits = a.limits;
    key->caps = make_caps(&a, BUDGET_KEY, key->id, arena, &key->n_caps);
    return true;
}

bool asker_read_project(struct json_parser *parser, struct span body, struct arena *arena,
                        struct project *project, struct asker_wrong *w) {
    struct allowance a = allowance_of(&project->limits, project->caps, project->n_caps);
    if (!read_fields(parser, body, arena, project_fields,
                     sizeof project_fields / sizeof *project_fields, project, &a, w))
        return false;
    project->limits = a.limits;
    project->caps = make_caps(&a, BUDGET_PROJECT, project->name, arena, &project->n_caps);
    return true;
}

/* ---- writing ---- */

static void name_member(struct buf *out, const char *name) {
    char last = out->len ? out->at[out->len - 1] : '{';
    buf_printf(out, "%s\"%s\":", last == '{' ? "" : ",", name);
}

static void write_text(struct buf *out, const char *name, struct span text) {
    name_member(out, name);
    if (text.at)
        buf_add_json(out, text);
    else
        buf_add(out, SPAN("null"));
}

static void write_raw(struct buf *out, const char *name, struct span json) {
    name_member(out, name);
    buf_add(out, json.at ? json : SPAN("null"));
}

static void write_flag(struct buf *out, const char *name, bool value) {
    write_raw(out, name, value ? SPAN("true") : SPAN("false"));
}

/* `none`: the number that stands for nothing. */
static void write_number(struct buf *out, const char *name, int64_t n, int64_t none) {
    name_member(out, name);
    if (n == none)
        buf_add(out, SPAN("null"));
    else
        buf_printf(out, "%lld", (long long)n);
}

static void write_list(struct buf *out, const char *name, const struct span *list, size_t n) {
    name_member(out, name);
    buf_add_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_add_char(out, ',');
        buf_add_json(out, list[i]);
    }
    buf_add_char(out, ']');
}

/* Of models and policies no list is everything. */
static void write_allowed(struct buf *out, const char *name, const struct span *list, size_t n) {
    if (n)
        write_list(out, name, list, n);
    else
        write_raw(out, name, SPAN_NONE);
}

static void write_moment(struct buf *out, const char *name, int64_t s) {
    char text[25];
    bool known = s > 0 && s < PERIOD_FOR_EVER;
    if (known)
        clock_rfc3339((uint64_t)(s < INT64_MAX / 1000 ? s : INT64_MAX / 1000) * 1000, text);
    write_text(out, name, known ? span_of(text) : SPAN_NONE);
}

static void write_usd(struct buf *out, const char *name, int64_t nano) {
    if (nano < 0) {
        write_raw(out, name, SPAN_NONE);
        return;
    }
    name_member(out, name);
    export_usd(out, nano);
}

/* "spent_usd":1.500000000,"spent_nano":1500000000 */
static void write_money(struct buf *out, const char *name, int64_t nano) {
    char full[32];
    snprintf(full, sizeof full, "%s_usd", name);
    write_usd(out, full, nano);
    snprintf(full, sizeof full, "%s_nano", name);
    write_number(out, full, nano, -1);
}

/* "+02:00", "UTC". */
static void zone_text(int offset_min, char out[8]) {
    unsigned minutes = (unsigned)abs(offset_min);
    if (offset_min)
        snprintf(out, 8, "%c%02u:%02u", offset_min < 0 ? '-' : '+', minutes / 60 % 24,
                 minutes % 60);
    else
        snprintf(out, 8, "UTC");
}

static void write_alerts(struct buf *out, const unsigned char alerts[BUDGET_ALERTS]) {
    name_member(out, "alerts");
    buf_add_char(out, '[');
    for (int i = 0; i < BUDGET_ALERTS && alerts[i]; i++)
        buf_printf(out, "%s%u", i ? "," : "", alerts[i]);
    buf_add_char(out, ']');
}

static void write_allowance(struct buf *out, const struct limits_rule *limits,
                            const struct budget_cap *caps, size_t n) {
    struct allowance a = allowance_of(limits, caps, n);
    char zone[8];
    write_number(out, "rpm", a.limits.rpm, 0);
    write_number(out, "tpm", a.limits.tpm, 0);
    write_number(out, "concurrent", a.limits.concurrent, 0);
    write_usd(out, "daily_usd", a.nano[PERIOD_DAY]);
    write_usd(out, "monthly_usd", a.nano[PERIOD_MONTH]);
    write_usd(out, "total_usd", a.nano[PERIOD_TOTAL]);
    zone_text(a.offset_min, zone);
    write_text(out, "zone",
               a.nano[PERIOD_DAY] < 0 && a.nano[PERIOD_MONTH] < 0 ? SPAN_NONE : span_of(zone));
    if (n)
        write_alerts(out, a.alerts);
    else
        write_raw(out, "alerts", SPAN_NONE);
}

static void write_grants(struct buf *out, uint32_t bits) {
    struct span names[GRANTS];
    size_t n = 0;
    for (size_t i = 0; i < GRANTS; i++)
        if (bits & grants[i].bit)
            names[n++] = span_of(grants[i].name);
    write_list(out, "grants", names, n);
}

/* What a person chose as a secret may be hardly longer than what is shown of it. */
static void write_last(struct buf *out, const struct key *key, const struct keys_secret *secret) {
    bool shown = key->source == KEYS_STORED && secret->last[0];
    write_text(out, "last", shown ? span_of(secret->last) : SPAN_NONE);
}

void asker_write_key(const struct key *key, struct buf *out) {
    write_text(out, "id", key->id);
    write_text(out, "name", key->name);
    write_text(out, "project", key->project);
    write_text(out, "tier", key->tier);
    write_text(out, "policy", key->policy);
    write_list(out, "tags", key->tags, key->n_tags);
    write_raw(out, "metadata", key->metadata);
    write_allowed(out, "models", key->models, key->n_models);
    write_allowed(out, "policies", key->policies, key->n_policies);
    write_grants(out, key->grants);
    write_flag(out, "strict", key->strict);
    write_moment(out, "expires", key->expires_s);
    write_allowance(out, &key->limits, key->caps, key->n_caps);
    write_last(out, key, &key->secret);
    name_member(out, "previous");
    if (key->previous.last[0]) {
        buf_add_char(out, '{');
        write_last(out, key, &key->previous);
        write_moment(out, "until", key->previous.until_s);
        buf_add_char(out, '}');
    } else {
        buf_add(out, SPAN("null"));
    }
    write_moment(out, "created", key->created_s);
    write_flag(out, "revoked", key->revoked);
    write_flag(out, "managed_by_file", key->source == KEYS_MANAGED);
}

static void write_bodies(struct buf *out, const struct bodies_rule *bodies) {
    if (!bodies->max_bytes) {
        write_raw(out, "bodies", SPAN_NONE);
        return;
    }
    name_member(out, "bodies");
    buf_add_char(out, '{');
    write_number(out, "max_bytes", bodies->max_bytes, 0);
    write_number(out, "retention_days", bodies->retention_days, 0);
    write_flag(out, "redact", bodies->redact);
    buf_add_char(out, '}');
}

void asker_write_project(const struct project *project, struct buf *out) {
    write_text(out, "name", project->name);
    write_text(out, "tier", project->tier);
    write_text(out, "policy", project->policy);
    write_list(out, "tags", project->tags, project->n_tags);
    write_number(out, "free_requests", (int64_t)project->free_requests, -1);
    name_member(out, "markup");
    buf_printf(out, "%u.%06u", project->markup_ppm / 1000000, project->markup_ppm % 1000000);
    write_bodies(out, &project->bodies);
    write_allowance(out, &project->limits, project->caps, project->n_caps);
    write_flag(out, "managed_by_file", project->source == KEYS_MANAGED);
}

static void write_cap(const struct budget_cap *cap, const struct budget_figure *figure,
                      struct buf *out) {
    char zone[8];
    buf_add_char(out, '{');
    write_text(out, "scope", span_of(budget_scope_name(cap->scope)));
    write_text(out, "name", cap->name);
    write_text(out, "period", span_of(period_name(cap->period)));
    zone_text(cap->offset_min, zone);
    write_text(out, "zone", cap->period == PERIOD_TOTAL ? SPAN_NONE : span_of(zone));
    write_money(out, "cap", cap->nano);
    write_money(out, "spent", figure->spent);
    write_money(out, "held", figure->held);
    write_money(out, "left", figure->left > 0 ? figure->left : 0);
    write_moment(out, "resets", figure->resets_s);
    write_alerts(out, cap->alerts);
    buf_add_char(out, '}');
}

void asker_write_caps(struct budget *budget, const struct budget_cap *caps, size_t n, int64_t now_s,
                      struct buf *out) {
    for (size_t i = 0; i < n; i++) {
        if (caps[i].scope == BUDGET_REQUEST)
            continue;
        struct budget_figure figure = budget_figure(budget, &caps[i], now_s);
        if (out->len && out->at[out->len - 1] != '[')
            buf_add_char(out, ',');
        write_cap(&caps[i], &figure, out);
    }
}
