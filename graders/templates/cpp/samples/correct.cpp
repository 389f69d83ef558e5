#include <algorithm>
#include <iostream>
#include <iterator>
#include <vector>

int main() {
    std::vector<int> numbers{std::istream_iterator<int>(std::cin), {}};
    if (numbers.empty())
        std::cout << "none\n";
    else
        std::cout << *std::max_element(numbers.begin(), numbers.end()) << '\n';
}
