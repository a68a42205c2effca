// Which rows have which steps, and blocks of rows for threads.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
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

// Call f(first, last) for blocks of rows, in torch's threads if there are several. Larger blocks
// read the weights less often, smaller ones keep their tapes, ``bytes`` a row, in a cache.
template <typename F>
void for_blocks(int64_t rows, int64_t bytes, const F& f) {
  constexpr int64_t kCache = 6 << 20;
  const int64_t threads = std::max<int64_t>(1, at::get_num_threads());
  const int64_t share = (rows + threads - 1) / threads;
  const int64_t fitting = std::clamp<int64_t>(kCache / std::max<int64_t>(1, bytes), 2 * kTileRows,
                                              4 * kTileRows);
  const int64_t block = std::max<int64_t>(1, std::min(fitting, share));
  at::parallel_for(0, (rows + block - 1) / block, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i * block, std::min(rows, (i + 1) * block));
  });
}
