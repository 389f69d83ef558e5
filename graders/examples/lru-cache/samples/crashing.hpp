#include <string>
#include <vector>

class LruCache {
  public:
    explicit LruCache(std::size_t) {}
    void put(const std::string &, int value) { values[0] = value; }
    const int *get(const std::string &) { return &values[0]; }

  private:
    std::vector<int> values;  // never grows
};
