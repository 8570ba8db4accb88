/* embed.c - turns files into a C source, at build time.
 *
 *   embed ROOT out.c lua/perilune/host.lua policies/auto.lua ...
 *
 * Each file becomes an entry of embedded_files[] (core/script/embed.h), under the path given, in
 * the order of bytes of their paths, so that the same tree gives the same binary.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what) {
    fprintf(stderr, "embed: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The bytes as string literals, a line of the file a line of the output. Octal escapes take three
 * digits at most, so that a digit behind one is safe; '?' is escaped against trigraphs. */
static size_t write_literal(FILE *in, FILE *out) {
    size_t n = 0;
    int c;
    fputs("        \"", out);
    while ((c = getc(in)) != EOF) {
        n++;
        if (c == '\n')
            fputs("\\n\"\n        \"", out);
        else if (c == '"' || c == '\\' || c == '?')
            fprintf(out, "\\%c", c);
        else if (c < 32 || c > 126)
            fprintf(out, "\\%03o", (unsigned)c);
        else
            putc(c, out);
    }
    fputs("\"", out);
    return n;
}

static void write_entry(const char *root, const char *path, FILE *out) {
    char full[4096];
    if (snprintf(full, sizeof full, "%s/%s", root, path) >= (int)sizeof full) {
        errno = ENAMETOOLONG;
        die(path);
    }
    FILE *in = fopen(full, "rb");
    if (!in)
        die(full);
    fprintf(out, "    { { \"%s\", %zu },\n      {\n", path, strlen(path));
    size_t n = write_literal(in, out);
    fprintf(out, ",\n        %zu } },\n", n);
    if (ferror(in))
        die(full);
    fclose(in);
}

static int by_path(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fputs("usage: embed ROOT OUT FILE...\n", stderr);
        return 2;
    }
    FILE *out = fopen(argv[2], "wb");
    if (!out)
        die(argv[2]);
    qsort(argv + 3, (size_t)(argc - 3), sizeof *argv, by_path);
    fputs("#include \"script/embed.h\"\n\nconst struct embedded_file embedded_files[] = {\n", out);
    for (int i = 3; i < argc; i++)
        write_entry(argv[1], argv[i], out);
    /* A last empty entry keeps the array legal when there is nothing to embed. */
    fprintf(out, "    { { 0 }, { 0 } },\n};\nconst size_t embedded_count = %d;\n", argc - 3);
    if (fclose(out) != 0)
        die(argv[2]);
    return 0;
}
