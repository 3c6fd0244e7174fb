// Calls that are recorded instead of made, and made again with every launch of their graph.
#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace standin {
using Pointer = unsigned long long;

struct Graph {
  std::vector<std::pair<std::string, std::function<void()>>> nodes;
  // what was allocated in it, with the bytes, and what of it is not freed yet
  std::map<Pointer, size_t> memory, live;
  ~Graph();
};

// What records, or else does what it is told.
struct Stream {
  Graph *recording = nullptr;
};

// Counts a call, and makes it or, while the stream records, keeps it.
void call(void *stream, const char *name, long bytes, std::function<void()> work);
} // namespace standin
