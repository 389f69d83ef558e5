#include <map>
#include <string>

class LruCache {
  public:
    explicit LruCache(std::size_t capacity) : capacity(capacity) {}

    void put(const std::string &key, int value) {
        // Waits for room that nobody makes.
        for (volatile int waiting = 0; values.size() == capacity; waiting = waiting + 1) {
        }
        values[key] = value;
    }

    const int *get(const std::string &key) {
        auto found = values.find(key);
        return found == values.end() ? nullptr : &found->second;
    }

  private:
    std::size_t capacity;
    std::map<std::string, int> values;
};
