#include "reverse_words.h"

void reverse_words(char *line) {
    char *copy = 0;
    while ((*copy++ = *line++) != '\0') {
    }
}
