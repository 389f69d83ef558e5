#include <iostream>
#include <string>

#include "lru_cache.hpp"

// LruCache(capacity); void put(const std::string &key, int value);
// const int *get(const std::string &key), nullptr when the key is not there.

static int busy() {
    LruCache cache(10'000);
    int hits = 0;
    for (int round = 0; round < 10; round++) {
        for (int key = 0; key < 10'000; key++) {
            std::string name = std::to_string(key);
            const int *found = cache.get(name);
            if (found == nullptr)
                cache.put(name, key);
            else if (*found == key)
                hits++;
        }
    }
    std::cout << hits << " hits\n";
    return 0;
}

static int follow_commands() {
    std::string command, key;
    int capacity = 0, value = 0;
    std::cin >> command >> capacity;
    LruCache cache(capacity);
    while (std::cin >> command >> key) {
        if (command == "put" && std::cin >> value) {
            cache.put(key, value);
        } else if (const int *found = cache.get(key)) {
            std::cout << *found << '\n';
        } else {
            std::cout << "-\n";
        }
    }
    return 0;
}

int main(int argc, char **) { return argc > 1 ? busy() : follow_commands(); }
