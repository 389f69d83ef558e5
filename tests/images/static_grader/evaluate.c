/* What learners' answers are given to: adds up the numbers of sum.txt. */
#include <stdio.h>

int main(void) {
    FILE *file = fopen("sum.txt", "r");
    long sum = 0, number;
    if (file == NULL) return 1;
    while (fscanf(file, "%ld", &number) == 1) {
        sum += number;
        if (fgetc(file) != '+') break;
    }
    printf("%ld\n", sum);
    return 0;
}
