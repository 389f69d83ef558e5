#include <stdio.h>
#include <stdlib.h>

int main(int count, char **words) {
    int size = count > 1 ? atoi(words[1]) : 8;
    int *column = NULL;
    for (int row = 0; row < size; row++) column[row] = row;
    printf("%d\n", column[0]);
    return 0;
}
