#include <string.h>

#include "reverse_words.h"

/* Hands the line back as it came. */
void reverse_words(char *line) {
    size_t length = strlen(line);
    if (length == 0) return;
}
