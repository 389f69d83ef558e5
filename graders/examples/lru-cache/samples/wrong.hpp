#include <list>
#include <string>
#include <unordered_map>
#include <utility>

class LruCache {
  public:
    explicit LruCache(std::size_t capacity) : capacity(capacity) {}

    void put(const std::string &key, int value) {
        if (auto known = places.find(key); known != places.end()) {
            known->second->second = value;
            use(known->second);
            return;
        }
        if (entries.size() == capacity) {
            places.erase(entries.back().first);
            entries.pop_back();
        }
        entries.emplace_front(key, value);
        places[key] = entries.begin();
    }

    const int *get(const std::string &key) {
        auto known = places.find(key);
        if (known == places.end()) return nullptr;
        // Forgets that this is a use.
        return &known->second->second;
    }

  private:
    using Entries = std::list<std::pair<std::string, int>>;

    void use(Entries::iterator entry) { entries.splice(entries.begin(), entries, entry); }

    std::size_t capacity;
    Entries entries;  // the most recently used first
    std::unordered_map<std::string, Entries::iterator> places;
};
