#include <algorithm>
#include <string>
#include <utility>
#include <vector>

class LruCache {
  public:
    explicit LruCache(std::size_t capacity) : capacity(capacity) {}

    void put(const std::string &key, int value) {
        if (auto entry = find(key); entry != entries.end()) entries.erase(entry);
        if (entries.size() == capacity) entries.erase(entries.begin());
        entries.emplace_back(key, value);
    }

    const int *get(const std::string &key) {
        auto entry = find(key);
        if (entry == entries.end()) return nullptr;
        std::rotate(entry, entry + 1, entries.end());
        return &entries.back().second;
    }

  private:
    using Entries = std::vector<std::pair<std::string, int>>;

    Entries::iterator find(const std::string &key) {
        return std::find_if(entries.begin(), entries.end(),
                            [&](const auto &entry) { return entry.first == key; });
    }

    std::size_t capacity;
    Entries entries;  // the most recently used last; every step walks through it
};
