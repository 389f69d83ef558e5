#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static int size, column[64];
static bool taken[64], up[128], down[128];

static bool place(int row) {
    if (row == size) return true;
    for (int at = 0; at < size; at++) {
        if (taken[at] || up[row + at] || down[row - at + size]) continue;
        taken[at] = up[row + at] = down[row - at + size] = true;
        column[row] = at + 1;
        if (place(row + 1)) return true;
        taken[at] = up[row + at] = down[row - at + size] = false;
    }
    return false;
}

int main(int count, char **words) {
    size = count > 1 ? atoi(words[1]) : 8;
    if (!place(0)) {
        puts("none");
        return 0;
    }
    for (int row = 0; row < size; row++) printf("%d ", column[row]);
    puts("");
    return 0;
}
