/* Base64, because JSON carries text only. */
#include "base64.h"

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct bytes *into, const void *data, size_t size) {
    const unsigned char *from = data;
    bytes_reserve(into, size / 3 * 4 + 4);
    for (size_t at = 0; at < size; at += 3) {
        size_t left = size - at;
        unsigned group = (unsigned)from[at] << 16 | (left > 1 ? (unsigned)from[at + 1] << 8 : 0) |
                         (left > 2 ? from[at + 2] : 0);
        char *to = into->data + into->size;
        to[0] = ALPHABET[group >> 18];
        to[1] = ALPHABET[group >> 12 & 63];
        to[2] = left > 1 ? ALPHABET[group >> 6 & 63] : '=';
        to[3] = left > 2 ? ALPHABET[group & 63] : '=';
        into->size += 4;
    }
}

static int value_of(char letter) {
    if (letter >= 'A' && letter <= 'Z')
        return letter - 'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9')
        return letter - '0' + 52;
    return letter == '+' ? 62 : letter == '/' ? 63 : -1;
}

bool base64_decode(struct bytes *into, const char *text, size_t size) {
    if (size % 4 != 0)
        return false;
    bytes_reserve(into, size / 4 * 3);
    for (size_t at = 0; at < size; at += 4) {
        bool is_last = at + 4 == size;
        unsigned padding = !is_last ? 0 : text[at + 2] == '=' ? 2 : text[at + 3] == '=' ? 1 : 0;
        unsigned group = 0;
        for (unsigned i = 0; i < 4; i++) {
            bool pads = i >= 4 - padding;
            int value = pads ? 0 : value_of(text[at + i]);
            if (value < 0 || (pads && text[at + i] != '='))
                return false;
            group = group << 6 | (unsigned)value;
        }
        char bytes[3] = {(char)(group >> 16), (char)(group >> 8), (char)group};
        bytes_add(into, bytes, 3 - padding);
    }
    return true;
}
