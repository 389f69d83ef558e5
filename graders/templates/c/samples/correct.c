#include <stdio.h>

int main(void) {
    int number, largest;
    if (scanf("%d", &largest) != 1) {
        puts("none");
        return 0;
    }
    while (scanf("%d", &number) == 1) {
        if (number > largest) largest = number;
    }
    printf("%d\n", largest);
    return 0;
}
