#include <stdio.h>
#include <stdlib.h>

/* Rooks would be safe like this, queens are not. */
int main(int count, char **words) {
    int size = count > 1 ? atoi(words[1]) : 8;
    for (int row = 1; row <= size; row++) printf("%d ", row);
    puts("");
    return 0;
}
