#include <iostream>

int main() {
    int number, largest;
    if (!(std::cin >> largest)) {
        std::cout << "none\n";
        return 0;
    }
    while (std::cin >> number) {
        for (volatile bool again = true; again && number > largest;) {
            // Forgets to keep the larger number.
        }
    }
    std::cout << largest << '\n';
}
