#include "cli/table.h"

#include "base/utf8.h"

#include <assert.h>

void table_init(struct table *t, const struct table_column *columns, size_t n) {
    assert(n && n <= TABLE_COLUMNS);
    *t = (struct table){ .columns = columns, .n_columns = n };
    arena_init(&t->arena, 4096);
}

void table_deinit(struct table *t) {
    buf_deinit(&t->cells);
    arena_deinit(&t->arena);
}

void table_cell(struct table *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct span text = arena_vprintf(&t->arena, format, args);
    va_end(args);
    size_t most = 3 * text.len + 1; /* each byte becomes U+FFFD */
    char *line = arena_alloc(&t->arena, most);
    struct span cell = { line, utf8_line(text, line, most) };
    buf_append(&t->cells, &cell, sizeof cell);
}

size_t table_width(struct span text) {
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.at[i] & 0xC0) != 0x80; /* each character's first byte */
    return width;
}

static size_t count_rows(const struct table *t) {
    return t->cells.len / sizeof(struct span) / t->n_columns;
}

static struct span cell_of(const struct table *t, size_t row, size_t column) {
    return ((const struct span *)(const void *)t->cells.at)[row * t->n_columns + column];
}

/* 0: nothing stands in it. */
static size_t width_of(const struct table *t, size_t column) {
    size_t width = 0;
    for (size_t row = 0; row < count_rows(t); row++) {
        size_t w = table_width(cell_of(t, row, column));
        width = w > width ? w : width;
    }
    size_t title = table_width(span_of(t->columns[column].title));
    return width && title > width ? title : width;
}

static void add_spaces(struct buf *out, size_t n) {
    while (n--)
        buf_add_char(out, ' ');
}

static void add_cell(struct buf *out, struct span text, size_t width, bool right) {
    size_t space = width - table_width(text);
    add_spaces(out, right ? space : 0);
    buf_add(out, text);
    add_spaces(out, right ? 0 : space);
}

/* Line 0 is the head, and row 0 is below it. */
static void add_line(const struct table *t, size_t line, const size_t *widths, struct buf *out) {
    bool first = true;
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct table_column *column = &t->columns[i];
        if (!widths[i])
            continue;
        add_spaces(out, first ? 0 : 2);
        add_cell(out, line == 0 ? span_of(column->title) : cell_of(t, line - 1, i), widths[i],
                 column->right);
        first = false;
    }
    while (out->len && out->at[out->len - 1] == ' ')
        out->len--;
    buf_add_char(out, '\n');
}

void table_write(const struct table *t, struct buf *out) {
    size_t rows = count_rows(t), widths[TABLE_COLUMNS];
    for (size_t i = 0; i < t->n_columns; i++)
        widths[i] = width_of(t, i);
    for (size_t line = 0; line <= rows && rows; line++)
        add_line(t, line, widths, out);
}
