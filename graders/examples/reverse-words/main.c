#include <stdio.h>
#include <string.h>

#include "reverse_words.h"

int main(void) {
    static char line[8192];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        reverse_words(line);
        puts(line);
    }
    return 0;
}
