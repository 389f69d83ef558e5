/* Base64 of RFC 4648 with padding; no other letters, no line breaks. */
#ifndef XQ_BASE64_H
#define XQ_BASE64_H

#include "bytes.h"

void base64_encode(struct bytes *into, const void *data, size_t size);
/* False when the text is not base64; `into` may then have grown. */
bool base64_decode(struct bytes *into, const char *text, size_t size);

#endif
