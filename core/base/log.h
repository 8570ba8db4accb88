/* log.h - lines for the operator.
 *
 * Owns          the process's log level and where lines go (standard error).
 * Fed by        the place that understands an event; a message is logged once.
 * Feeds         a terminal or a collector; one write(2) a line, so that threads do not mix.
 * Must not know requests; callers pass the id. No secret and no body text is ever passed in.
 *
 *   log_info("policy %.*s loaded in %u ms", SPAN_ARGS(name), ms);
 */
#ifndef PERILUNE_BASE_LOG_H
#define PERILUNE_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Called once at start, before threads exist. Lines below `level` are dropped. */
void log_init(enum log_level level);

/* False when the name is none of debug, info, warn, error. */
bool log_level_parse(const char *name, enum log_level *level);

/* One line; control characters in the text become '?', so that a hostile value can not forge a
 * line. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

#endif
