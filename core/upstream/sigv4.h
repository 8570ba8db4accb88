/* sigv4.h - signatures for Amazon's services (AWS Signature Version 4).
 *
 * Owns          nothing; what it makes lies in the arena given.
 * Fed by        route/attempt, with a request as it will be sent.
 * Feeds         it, with the header lines that sign it.
 * Must not know networks, clocks, providers.
 *
 *   n = sigv4_sign(&message, &arena, lines);      then they go up with the other headers
 *
 * libcurl 7.88 signs as well, but encodes the path once where every service but S3 wants it twice:
 * model ids hold colons. Source: "Create a signed AWS API request", AWS Identity and Access
 * Management user guide.
 */
#ifndef PERILUNE_UPSTREAM_SIGV4_H
#define PERILUNE_UPSTREAM_SIGV4_H

#include "base/arena.h"

struct sigv4_message {
    struct span method; /* "POST" */
    struct span url;    /* whole, as it is sent: encoded once, without a query */
    struct span body;
    struct span credentials; /* "ACCESS_KEY_ID:SECRET" or "ACCESS_KEY_ID:SECRET:SESSION_TOKEN" */
    struct span region;      /* "us-east-1" */
    struct span service;     /* "bedrock" */
    uint64_t now_s;          /* Unix time; Amazon refuses what is more than five minutes off */
};

enum { SIGV4_LINES = 3 };

/* Writes "name: value" lines to `lines`, which has room for SIGV4_LINES; returns how many, or 0 when
 * the credentials or the URL are not of their form. */
size_t sigv4_sign(const struct sigv4_message *m, struct arena *arena, struct span *lines);

#endif
