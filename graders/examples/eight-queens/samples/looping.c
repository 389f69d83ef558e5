#include <stdio.h>
#include <stdlib.h>

/* Tries every arrangement there is: fine for 8 queens, endless for 20. */
static int size, column[64];

static int is_safe(void) {
    for (int row = 0; row < size; row++) {
        for (int above = 0; above < row; above++) {
            int apart = abs(column[row] - column[above]);
            if (apart == 0 || apart == row - above) return 0;
        }
    }
    return 1;
}

static int try_from(int row) {
    if (row == size) return is_safe();
    for (column[row] = 1; column[row] <= size; column[row]++) {
        if (try_from(row + 1)) return 1;
    }
    return 0;
}

int main(int count, char **words) {
    size = count > 1 ? atoi(words[1]) : 8;
    if (!try_from(0)) {
        puts("none");
        return 0;
    }
    for (int row = 0; row < size; row++) printf("%d ", column[row]);
    puts("");
    return 0;
}
