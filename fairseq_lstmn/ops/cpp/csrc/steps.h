// Which rows have which steps, and blocks of rows for threads.
#pragma once

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <unistd.h>

#include <algorithm>
#include <cfenv>
#include <vector>

#include "simd.h"

// How many steps each row has, the longest first; ``rows`` counts the rows that have step t, and is
// empty where all rows have all.
struct Steps {
  std::vector<int64_t> of;

  Steps(at::IntArrayRef rows, int64_t batch, int64_t steps) : of(batch, steps) {
    if (rows.empty()) return;
    for (int64_t b = 0; b < batch; ++b)
      of[b] = std::count_if(rows.begin(), rows.end(), [&](int64_t count) { return count > b; });
  }

  // How many rows from ``first`` on, before ``last``, have a step t.
  int64_t active(int64_t first, int64_t last, int64_t t) const {
    while (last > first && of[last - 1] <= t) --last;
    return last - first;
  }
};

// What a core has for itself of cache, in bytes; a common size where nobody can tell.
inline int64_t own_cache() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  static const int64_t size = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (size > 0) return size;
#endif
  return 1 << 20;
}

// How many rows go through all steps together. A step reads the latest ``slots`` of each row's tape
// and all weights: few rows stay in the core's own cache where the weights leave space for them,
// more in the one that cores share, and where both are short it is the weights that come from afar.
template <typename T>
int64_t rows_of_block(int64_t slots, int64_t H, int64_t steps) {
  constexpr int64_t kShared = 6 << 20, kMost = 4 * kTileRows;
  if (steps == 1) return kMost;
  const int64_t row = slots * 3 * H * sizeof(T), weights = 6 * H * H * sizeof(T);
  const int64_t near = (own_cache() * 2 / 3 - weights) / std::max<int64_t>(1, row);
  if (near >= 2) return std::min(near, kMost);
  return std::clamp<int64_t>(kShared / std::max<int64_t>(1, row), 2, kMost);
}

// While it lives this thread takes numbers below the smallest normal one for zero. Of a sharp
// attention most weights are such, and on some processors arithmetic with them takes many times as
// long.
class FlushDenormals {
 public:
  FlushDenormals() {
    std::fegetenv(&before_);
    at::globalContext().setFlushDenormal(true);
  }
  ~FlushDenormals() { std::fesetenv(&before_); }
  FlushDenormals(const FlushDenormals&) = delete;

 private:
  std::fenv_t before_;
};

// Call f(first, last) for blocks of rows, at most so many, in torch's threads if there are several.
template <typename F>
void for_blocks(int64_t rows, int64_t most, const F& f) {
  const int64_t threads = std::max<int64_t>(1, at::get_num_threads());
  const int64_t share = (rows + threads - 1) / threads;
  const int64_t block = std::max<int64_t>(1, std::min(most, share));
  at::parallel_for(0, (rows + block - 1) / block, 1, [&](int64_t begin, int64_t end) {
    const FlushDenormals flush;
    for (int64_t i = begin; i < end; ++i) f(i * block, std::min(rows, (i + 1) * block));
  });
}
