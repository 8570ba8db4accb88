#include "admin/exposition.h"

#include <stdio.h>

void exposition_family(struct exposition *x, const char *name, const char *kind, const char *help) {
    const struct span total = SPAN("_total");
    struct span shown = span_of(name);
    x->family = name;
    if (x->open_metrics && span_ends(shown, total))
        shown.len -= total.len;
    buf_printf(x->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", SPAN_ARGS(shown), help, SPAN_ARGS(shown),
               kind);
}

void exposition_label(struct exposition *x, const char *name, struct span value) {
    if (!value.len)
        return;
    buf_printf(&x->labels, "%s%s=\"", x->labels.len ? "," : "", name);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i];
        if (c == '\\' || c == '"')
            buf_add_char(&x->labels, '\\');
        buf_add(&x->labels, c == '\n' ? SPAN("\\n") : span_sub(value, i, 1));
    }
    buf_add_char(&x->labels, '"');
}

/* Up to the value. `more` is a label that only this sample has; NULL: none. */
static void begin_sample(struct exposition *x, const char *suffix, const char *more) {
    const char *comma = x->labels.len && more ? "," : "";
    buf_printf(x->out, "%s%s", x->family, suffix);
    if (x->labels.len || more)
        buf_printf(x->out, "{%.*s%s%s}", SPAN_ARGS(buf_span(&x->labels)), comma, more ? more : "");
    buf_add_char(x->out, ' ');
}

static void end_sample(struct exposition *x) {
    buf_add_char(x->out, '\n');
    buf_clear(&x->labels);
}

void exposition_count(struct exposition *x, uint64_t value) {
    begin_sample(x, "", NULL);
    buf_printf(x->out, "%llu", (unsigned long long)value);
    end_sample(x);
}

void exposition_number(struct exposition *x, double value) {
    begin_sample(x, "", NULL);
    buf_printf(x->out, "%.15g", value);
    end_sample(x);
}

void exposition_nano(struct exposition *x, uint64_t nano) {
    begin_sample(x, "", NULL);
    buf_printf(x->out, "%llu.%09llu", (unsigned long long)(nano / 1000000000),
               (unsigned long long)(nano % 1000000000));
    end_sample(x);
}

/* OpenMetrics wants bounds that look like no integers. */
static void write_bound(char out[48], double bound) {
    char number[32];
    snprintf(number, sizeof number, "%.9g", bound);
    snprintf(out, 48, "le=\"%s%s\"", number, strpbrk(number, ".e") ? "" : ".0");
}

void exposition_histogram(struct exposition *x, const double *bounds, size_t n,
                          const uint64_t *counts, double sum) {
    uint64_t up_to = 0;
    for (size_t i = 0; i <= n; i++) {
        char bound[48] = "le=\"+Inf\"";
        if (i < n)
            write_bound(bound, bounds[i]);
        up_to += counts[i];
        begin_sample(x, "_bucket", bound);
        buf_printf(x->out, "%llu\n", (unsigned long long)up_to);
    }
    begin_sample(x, "_sum", NULL);
    buf_printf(x->out, "%.15g\n", sum);
    begin_sample(x, "_count", NULL);
    buf_printf(x->out, "%llu", (unsigned long long)up_to);
    end_sample(x);
}

void exposition_end(struct exposition *x) {
    if (x->open_metrics)
        buf_add(x->out, SPAN("# EOF\n"));
    buf_deinit(&x->labels);
}

const char *exposition_type(const struct exposition *x) {
    return x->open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                           : "text/plain; version=0.0.4; charset=utf-8";
}

bool exposition_wants_open_metrics(struct span accept) {
    struct span part;
    while (span_split(&accept, ',', &part))
        if (span_eq_nocase(span_trim(span_sub(part, 0, span_find(part, ';'))),
                           SPAN("application/openmetrics-text")))
            return true;
    return false;
}
