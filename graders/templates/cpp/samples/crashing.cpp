#include <algorithm>
#include <iostream>
#include <iterator>
#include <vector>

int main() {
    std::vector<int> numbers{std::istream_iterator<int>(std::cin), {}};
    std::sort(numbers.rbegin(), numbers.rend());
    std::cout << numbers[0] << '\n';  // there may be none
}
