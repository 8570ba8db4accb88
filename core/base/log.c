#include "base/log.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096 };

static const char *const level_names[] = { "debug", "info", "warn", "error" };

/* Written once, before threads exist. */
static enum log_level lowest = LOG_INFO;

void log_init(enum log_level level) {
    lowest = level;
}

bool log_level_parse(const char *name, enum log_level *level) {
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static void write_all(const char *bytes, size_t len) {
    while (len) {
        ssize_t n = write(STDERR_FILENO, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nobody is left to be told */
        bytes += n;
        len -= (size_t)n;
    }
}

void log_line(enum log_level level, const char *format, ...) {
    if (level < lowest)
        return;
    int saved = errno;
    char line[LINE_MAX_BYTES], when[25];
    clock_rfc3339(clock_wall_ms(), when);
    size_t head = (size_t)snprintf(line, sizeof line, "%s %-5s ", when, level_names[level]);
    size_t room = sizeof line - head - 1; /* one byte stays for the line's end */
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(line + head, room, format, args);
    va_end(args);
    size_t len = wanted < 0 ? 0 : (size_t)wanted;
    if (len >= room) {
        len = room - 1;
        memcpy(line + head + len - 3, "...", 3);
    }
    utf8_defuse(line + head, len, "");
    line[head + len] = '\n';
    write_all(line, head + len + 1);
    errno = saved;
}
