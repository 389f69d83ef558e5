/* Growing byte strings, and the two ways of giving up. */
#ifndef XQ_BYTES_H
#define XQ_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

struct bytes {
    char *data;
    size_t size;
    size_t room;
};

/* Text for people, cut to fit. */
#define MESSAGE_BYTES 512

void bytes_reserve(struct bytes *bytes, size_t more);
void bytes_add(struct bytes *bytes, const void *data, size_t size);
void bytes_add_text(struct bytes *bytes, const char *text);
void bytes_format(struct bytes *bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void bytes_drop_front(struct bytes *bytes, size_t count);
void bytes_free(struct bytes *bytes);

/* Memory that is there: a supervisor without memory can only end, and the host then says that
 * the platform failed. */
void *allocate(size_t count, size_t size);

/* The supervisor itself cannot go on: a sentence on stderr and exit code 70. */
noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
