/* Growing byte strings with checked sizes. */
#include "bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GIVEN_UP 70

void bytes_reserve(struct bytes *bytes, size_t more) {
    size_t wanted;
    if (__builtin_add_overflow(bytes->size, more, &wanted))
        give_up("a byte string without bound");
    if (wanted <= bytes->room)
        return;
    size_t room = bytes->room < 256 ? 256 : bytes->room;
    while (room < wanted)
        if (__builtin_mul_overflow(room, (size_t)2, &room))
            give_up("a byte string without bound");
    char *data = realloc(bytes->data, room);
    if (data == NULL)
        give_up("out of memory");
    bytes->data = data;
    bytes->room = room;
}

void bytes_add(struct bytes *bytes, const void *data, size_t size) {
    if (size == 0)
        return;
    bytes_reserve(bytes, size);
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

void bytes_add_text(struct bytes *bytes, const char *text) { bytes_add(bytes, text, strlen(text)); }

void bytes_format(struct bytes *bytes, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof text)
        give_up("a text that does not fit");
    bytes_add(bytes, text, (size_t)size);
}

void bytes_drop_front(struct bytes *bytes, size_t count) {
    bytes->size -= count;
    if (bytes->size > 0)
        memmove(bytes->data, bytes->data + count, bytes->size);
}

void bytes_free(struct bytes *bytes) {
    free(bytes->data);
    *bytes = (struct bytes){0};
}

void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (memory == NULL)
        give_up("out of memory");
    return memory;
}

void give_up(const char *format, ...) {
    char text[MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    dprintf(STDERR_FILENO, "xq: %s\n", text);
    _exit(GIVEN_UP);
}
