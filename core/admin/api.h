/* api.h - the admin side's calls: which there are, and how one is answered.
 *
 * Owns          the table of routes; each call from its whole message until it is answered, also
 *               when its client has left meanwhile.
 * Fed by        admin, with messages of its listener.
 * Feeds         the handler of one route; conn, with what it answers.
 * Must not know what a handler does.
 *
 *   static void serve(struct api_call *call) {
 *       if (api_fields(call, fields, n))        // else it has been answered
 *           api_reply(call, 200, SPAN("{}"));   // at once or later, on this thread; once
 *   }
 *
 * A handler may block this thread, which also builds, for as long as a reload does; what takes
 * longer waits in the loop and replies when it is done.
 */
#ifndef PERILUNE_ADMIN_API_H
#define PERILUNE_ADMIN_API_H

#include "base/json.h"
#include "net/conn.h"

enum { API_BODY_MAX = 4 << 20, API_PARTS = 4 };

/* Who may call. There are two tokens; without one of them one is nobody. A viewer sees everything
 * but what people wrote and were answered, and changes nothing. */
enum api_role { API_ANYONE, API_VIEWER, API_ADMIN };

enum api_code {
    API_INVALID_REQUEST,
    API_INVALID_TOKEN,
    API_PERMISSION_DENIED, /* of a viewer */
    API_NOT_FOUND,
    API_METHOD_NOT_ALLOWED,
    API_CONFLICT,
    API_MANAGED_BY_FILE, /* what a person's file says is changed in that file */
    API_REQUEST_TOO_LARGE,
    API_INVALID_CONFIGURATION, /* of the files as they are */
    API_INVALID_POLICY,        /* of the policy that was given; findings say why */
    API_SPECS_FAILED,
    API_REPLAY_FAILED,
    API_TIMEOUT,
    API_INTERNAL,
    API_NOT_AVAILABLE, /* this installation can not do it */
    API_OVERLOADED,
    API_CODES
};

struct admin;

struct api_call {
    struct admin *admin;
    struct arena *arena; /* the call's own memory */
    struct span method, path, query, body;
    struct span parts[API_PARTS]; /* what the {names} of the route's pattern stand for, decoded */
    enum api_role role;           /* of who calls */
    /* kept by api */
    struct conn *conn; /* NULL: the client left */
    struct http_message *message;
    struct api_call *next, **at;
};

struct api_route {
    const char *method;
    const char *pattern; /* "/api/policies/{name}"; {name...} at the end takes slashes, too */
    enum api_role role;  /* the least that is needed */
    void (*handler)(struct api_call *call);
    const char *query; /* the parameters it takes, a space between; NULL: none */
};

extern const struct api_route api_routes[];
extern const size_t api_n_routes;

/* Whether a message's body is to be read: not that of one who may do nothing. False when it has been
 * answered. */
bool api_welcomes(struct admin *a, struct conn *c, const struct http_message *m);

/* Takes a message of the listener over and has it answered. */
void api_serve(struct admin *a, struct conn *c, struct http_message *m);

/* The answer to a message that could not be read. */
void api_refuse(struct conn *c, int status, const char *why);

/* Gives up what is not answered yet, when the loop has ended. */
void api_close(struct admin *a);

/* ---- answering: each of these ends the call, which must not be touched any more ---- */

void api_reply(struct api_call *call, int status, struct span json);

/* 200, with what is no JSON object: "text/csv". */
void api_reply_as(struct api_call *call, const char *type, struct span body);

/* 200, and the connection is the caller's from now on, with `events`: it has been started. NULL when
 * there is nobody to write to. */
struct conn *api_stream(struct api_call *call, const char *type, const struct conn_user *events,
                        void *user);

/* {"error":{"code","message","param"}}; `param` may be NULL. */
void api_fail(struct api_call *call, enum api_code code, const char *param, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with more members behind the error: `"findings":[...]`. */
void api_fail_with(struct api_call *call, enum api_code code, const char *message,
                   struct span members);

const char *api_code_name(enum api_code code);

/* ---- reading ---- */

/* One member that a body may have. The value of what is absent, or null, is left as it was. */
struct api_field {
    const char *name;
    enum json_type type;
    bool needed;
    void *value; /* JSON_STRING: struct span, in the call's memory; JSON_BOOL: bool; JSON_NUMBER:
                  * double; JSON_OBJECT: struct json_value, until the call is left */
};

/* Reads the body, a JSON object with these members and no others (nothing at all stands for {}).
 * False when it has been answered: what is wrong is named, with the nearest name there is. */
bool api_fields(struct api_call *call, const struct api_field *fields, size_t n);

/* The same of an object within it; `under` is its name. */
bool api_fields_of(struct api_call *call, struct json_value object, const char *under,
                   const struct api_field *fields, size_t n);

/* A parameter of the query, decoded; SPAN_NONE when it is not there. One that the route does not
 * name has been refused before. */
struct span api_query(struct api_call *call, const char *name);

/* ---- the handlers, by file ---- */

/* api_status.c */
void api_health(struct api_call *call);
void api_openapi(struct api_call *call);
void api_status(struct api_call *call);
void api_reload(struct api_call *call);

/* api_metrics.c */
void api_metrics(struct api_call *call);

/* tail.c */
void api_tail(struct api_call *call);

/* api_policies.c */
void api_policies_list(struct api_call *call);
void api_policies_get(struct api_call *call);
void api_policies_check(struct api_call *call);
void api_policies_versions(struct api_call *call);
void api_policies_version(struct api_call *call);
void api_policies_delete(struct api_call *call);

/* put.c */
void api_policies_put(struct api_call *call);
void api_policies_rollback(struct api_call *call);

/* api_routes.c */
void api_routes_list(struct api_call *call);
void api_routes_put(struct api_call *call);
void api_routes_delete(struct api_call *call);

/* api_keys.c */
void api_keys_list(struct api_call *call);
void api_keys_get(struct api_call *call);
void api_keys_make(struct api_call *call);
void api_keys_change(struct api_call *call);
void api_keys_revoke(struct api_call *call);
void api_keys_rotate(struct api_call *call);

/* api_projects.c */
void api_projects_list(struct api_call *call);
void api_projects_get(struct api_call *call);
void api_projects_put(struct api_call *call);

/* api_caps.c */
void api_caps(struct api_call *call);

/* api_requests.c */
void api_requests_list(struct api_call *call);
void api_requests_get(struct api_call *call);

/* api_usage.c */
void api_usage(struct api_call *call);
void api_statement(struct api_call *call);

/* api_explain.c */
void api_explain(struct api_call *call);
void api_explain_recorded(struct api_call *call);

#endif
