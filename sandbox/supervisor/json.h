/* A strict JSON reader (RFC 8259) for frames, and the little writing they need.
 *
 * Values become a flat array of nodes over the unchanged text: no recursion, no copying, every
 * size bounded. What an object or array holds follows it; `next` is the node after all of that.
 */
#ifndef XQ_JSON_H
#define XQ_JSON_H

#include "bytes.h"

#define JSON_MAX_DEPTH 64
#define JSON_MAX_NODES 262144u
#define JSON_MAX_BYTES (64u * 1024 * 1024)

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json_node {
    uint32_t start; /* in the text; of a string, after its quote */
    uint32_t size;
    uint32_t next;
    uint32_t count; /* elements of an array, members of an object */
    uint8_t kind;
    bool escaped;
};

struct json {
    const char *text; /* not ours; a zero byte must follow it */
    struct json_node *nodes;
    uint32_t count;
    uint32_t room;
};

/* NULL, or what is wrong with the text. Free in both cases. */
const char *json_parse(struct json *json, const char *text, size_t size);
void json_free(struct json *json);

/* The value of a member, 0 (the root, which is nobody's member) when there is none. */
uint32_t json_member(const struct json *json, uint32_t object, const char *name);
bool json_is_kind(const struct json *json, uint32_t node, enum json_kind kind);
bool json_string_is(const struct json *json, uint32_t node, const char *text);
/* Whether a name occurs twice, which readers understand differently. Quadratic: bound the count. */
bool json_has_twins(const struct json *json, uint32_t object);

/* The string's characters as UTF-8 and a zero byte that does not count. False when it holds half
 * of a surrogate pair, which has no UTF-8; such a half becomes U+FFFD. */
bool json_decode(const struct json *json, uint32_t node, struct bytes *into);
double json_number(const struct json *json, uint32_t node);

/* Any bytes as a JSON string with quotes; what is not UTF-8 becomes U+FFFD. */
void json_add_string(struct bytes *into, const char *text, size_t size);

/* Length of the UTF-8 sequence at `text`, 0 when it is none (or is longer than `left`). */
size_t utf8_length(const unsigned char *text, size_t left);

#endif
