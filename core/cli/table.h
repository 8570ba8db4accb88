/* table.h - rows for people: columns that stand below each other.
 *
 * Owns          the cells until they are printed.
 * Fed by        usage, logs, keys, projects.
 * Feeds         a terminal, or whatever stdout is.
 * Must not know what the cells say: others may have written them, and they come out as one line
 *               that steers no terminal.
 *
 *   static const struct table_column columns[] = { { "MODEL", false }, { "COST", true } };
 *   struct table t;
 *   table_init(&t, columns, 2);
 *   table_cell(&t, "%.*s", SPAN_ARGS(model)); table_cell(&t, "$%d", 5);        row by row
 *   table_write(&t, &out);
 *   table_deinit(&t);
 */
#ifndef PERILUNE_CLI_TABLE_H
#define PERILUNE_CLI_TABLE_H

#include "base/arena.h"
#include "base/buf.h"

enum { TABLE_COLUMNS = 24 }; /* at most */

struct table_column {
    const char *title;
    bool right; /* figures end below each other */
};

struct table {
    const struct table_column *columns;
    size_t n_columns;
    struct buf cells; /* of struct span, row by row */
    struct arena arena;
};

/* `columns` must live as long as the table. */
void table_init(struct table *t, const struct table_column *columns, size_t n);
void table_deinit(struct table *t);

/* The next cell; the row is full after as many as there are columns. */
void table_cell(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A head line and the rows, two spaces between columns. A column in which nothing stands is left
 * out; without any row nothing is written. */
void table_write(const struct table *t, struct buf *out);

/* How many columns of a terminal a text takes: its characters, each for one. */
size_t table_width(struct span text);

#endif
