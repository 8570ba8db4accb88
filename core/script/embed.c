#include "script/embed.h"

static int compare(struct span a, struct span b) {
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

const struct embedded_file *embedded_find(struct span path) {
    size_t low = 0, high = embedded_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(path, embedded_files[middle].path);
        if (order == 0)
            return &embedded_files[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
