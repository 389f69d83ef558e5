/* judge N: reads a learner's answer and says in words whether it is right (exit 0) or not (1).
 *
 * The answer is N different columns, one for the queen of each row from the first, or `none`.
 * Nothing of it is trusted: it is what a hostile program printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };

static int refuse(const char *why, long row) {
    if (row > 0)
        printf("%s (row %ld)\n", why, row);
    else
        printf("%s\n", why);
    return 1;
}

static int is_none(void) {
    char word[8] = "";
    int matched = scanf("%7s", word);
    return matched == 1 && strcmp(word, "none") == 0;
}

int main(int count, char **words) {
    long size = count == 2 ? strtol(words[1], NULL, 10) : 0, column[MOST + 1];
    if (size < 1 || size > MOST) return 2;
    if (size == 2 || size == 3) return is_none() ? 0 : refuse("there is no such arrangement", 0);
    for (long row = 1; row <= size; row++) {
        if (scanf("%ld", &column[row]) != 1) return refuse("a column is missing", row);
        if (column[row] < 1 || column[row] > size) return refuse("no such column", row);
        for (long above = 1; above < row; above++) {
            long apart = labs(column[row] - column[above]);
            if (apart == 0 || apart == row - above) return refuse("a queen is attacked", row);
        }
    }
    return 0;
}
