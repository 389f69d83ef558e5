#include <string.h>

#include "reverse_words.h"

static void reverse(char *first, char *last) {
    while (first < last) {
        char kept = *first;
        *first++ = *last;
        *last-- = kept;
    }
}

void reverse_words(char *line) {
    char *end = line + strlen(line);
    if (end == line) return;
    reverse(line, end - 1);
    for (char *word = line; word < end;) {
        while (*word == ' ') word++;
        char *after = word;
        while (*after != '\0' && *after != ' ') after++;
        if (after > word) reverse(word, after - 1);
        word = after;
    }
}
