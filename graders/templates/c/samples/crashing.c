#include <stdio.h>
#include <stdlib.h>

int main(void) {
    int number, *largest = NULL;
    while (scanf("%d", &number) == 1) {
        if (largest == NULL) {
            largest = malloc(sizeof *largest);
            *largest = number;
        }
        if (number > *largest) *largest = number;
    }
    printf("%d\n", *largest); /* nobody looked whether there was a number */
    return 0;
}
