#include <stdio.h>

int main(void) {
    int number, count = 0, largest = 0; /* 0 is larger than any negative number */
    while (scanf("%d", &number) == 1) {
        if (number > largest) largest = number;
        count++;
    }
    if (count > 0)
        printf("%d\n", largest);
    else
        puts("none");
    return 0;
}
