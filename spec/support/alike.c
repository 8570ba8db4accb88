#include "support/alike.h"

#include "net/sse.h"

struct writing {
    struct json_parser *parser;
    struct buf *out;
};

static void write_value(struct json_value v, struct buf *out) {
    int64_t whole;
    switch (json_type(v)) {
    case JSON_STRING:
        buf_add_json(out, json_text(v));
        break;
    case JSON_NUMBER:
        if (json_int(v, &whole))
            buf_printf(out, "%lld", (long long)whole);
        else
            buf_printf(out, "%.17g", json_number(v, 0));
        break;
    case JSON_BOOL:
        buf_add(out, json_true(v) ? SPAN("true") : SPAN("false"));
        break;
    case JSON_OBJECT:
    case JSON_ARRAY:
        buf_add_char(out, json_type(v) == JSON_OBJECT ? '{' : '[');
        for (struct json_iter it = json_iter(v); json_next(&it);) {
            if (it.key.at)
                buf_add_json(out, it.key);
            buf_add_char(out, ':');
            write_value(it.value, out);
            buf_add_char(out, ',');
        }
        buf_add_char(out, json_type(v) == JSON_OBJECT ? '}' : ']');
        break;
    default:
        buf_add(out, SPAN("null"));
    }
}

static bool write_event(void *owner, const struct sse_event *event) {
    struct writing *w = owner;
    struct json_value root;
    buf_add(w->out, event->name);
    buf_add_char(w->out, ' ');
    if (json_parse(w->parser, event->data, &root) == JSON_OK)
        write_value(root, w->out);
    else
        buf_add(w->out, event->data);
    buf_add_char(w->out, '\n');
    return true;
}

void alike_events(struct json_parser *parser, struct span events, struct buf *out) {
    struct writing w = { parser, out };
    struct sse sse;
    sse_init(&sse, SIZE_MAX);
    sse_feed(&sse, events.at, events.len, write_event, &w);
    sse_end(&sse, write_event, &w);
    sse_deinit(&sse);
}
