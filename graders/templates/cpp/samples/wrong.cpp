#include <iostream>

int main() {
    int number, count = 0, largest = 0;  // 0 is larger than any negative number
    while (std::cin >> number) {
        if (number > largest) largest = number;
        count++;
    }
    if (count > 0)
        std::cout << largest << '\n';
    else
        std::cout << "none\n";
}
