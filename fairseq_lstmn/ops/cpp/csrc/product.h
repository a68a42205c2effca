// Products with weights that stand in panels.
//
// A panel is two vectors of columns wide and holds, row by row of the sum, what a tile of the result
// multiplies: each number is loaded once for kTileRows rows, in the order in which it stands.
#pragma once

#include "steps.h"
#include "view.h"

template <typename T>
constexpr int64_t kColumns = 2 * kLanes<T>;

// A matrix (K, N) in a tensor of panels (N / kColumns, K, kColumns), zeros behind its last column.
template <typename T>
struct Panels {
  const T* data = nullptr;
  int64_t K = 0, N = 0;

  Panels(const Tensor& packed, int64_t N) : data(numbers<T>(packed)), K(packed.size(1)), N(N) {
    TORCH_CHECK(packed.size(2) == kColumns<T> && packed.size(0) * kColumns<T> >= N, "not packed");
  }
  Panels(const Maybe& packed, int64_t N) {
    if (packed) *this = Panels(*packed, N);
  }
  explicit operator bool() const { return data; }
  const T* panel(int64_t p) const { return data + p * K * kColumns<T>; }
};

// The panels of a matrix (K, N), which may stand in any order.
template <typename T>
Tensor pack(const Tensor& matrix) {
  const int64_t K = matrix.size(0), N = matrix.size(1);
  const Tensor packed = at::empty({(N + kColumns<T> - 1) / kColumns<T>, K, kColumns<T>},
                                  matrix.options());
  const T* from = matrix.data_ptr<T>();
  const int64_t row = matrix.stride(0), column = matrix.stride(1);
  T* to = packed.data_ptr<T>();
  for (int64_t n0 = 0; n0 < N; n0 += kColumns<T>) {
    const int64_t columns = std::min(kColumns<T>, N - n0);
    for (int64_t k = 0; k < K; ++k, to += kColumns<T>) {
      for (int64_t n = 0; n < columns; ++n) to[n] = from[k * row + (n0 + n) * column];
      std::fill(to + columns, to + kColumns<T>, T(0));
    }
  }
  return packed;
}

// Rows of numbers, each ``row`` behind the one before, ``step`` from one number to the next.
template <typename T>
struct Rows {
  T* data;
  int64_t row, step = 1;
  Rows from(int64_t r, int64_t n = 0) const {
    return {data ? data + r * row + n * step : data, row, step};
  }
};

constexpr int64_t kAhead = 24;

// R rows of c = add + a * panel, ``columns`` of them; ``add`` may be c, or null for zero.
template <typename T, int R>
__attribute__((noinline)) void tile(Rows<const T> a, const T* panel, int64_t panel_step,
                                    int64_t K, Rows<T> c, Rows<const T> add, int64_t columns) {
  Vec<T> sums[R][2];
  T edge[kColumns<T>] = {};
  const bool whole = columns == kColumns<T>;
  for (int r = 0; r < R; ++r) {
    const T* from = add.data + r * add.row;
    if (add.data && !whole) {
      std::memcpy(edge, from, columns * sizeof(T));
      from = edge;
    }
    for (int j = 0; j < 2; ++j) sums[r][j] = add.data ? load(from + j * kLanes<T>) : Vec<T>{};
  }
  for (int64_t k = 0; k < K; ++k) {
    const T* ahead = panel + (k + kAhead) * panel_step;  // beyond a page, where processors stop
    __builtin_prefetch(ahead);
    __builtin_prefetch(ahead + kLanes<T>);
    const Vec<T> left = load(panel + k * panel_step);
    const Vec<T> right = load(panel + k * panel_step + kLanes<T>);
    for (int r = 0; r < R; ++r) {
      const T x = a.data[r * a.row + k * a.step];
      sums[r][0] += x * left;
      sums[r][1] += x * right;
    }
  }
  for (int r = 0; r < R; ++r) {
    T* to = whole ? c.data + r * c.row : edge;
    for (int j = 0; j < 2; ++j) store(to + j * kLanes<T>, sums[r][j]);
    if (!whole) std::memcpy(c.data + r * c.row, edge, columns * sizeof(T));
  }
}

// ``tile`` for any number of rows up to R.
template <typename T, int R = kTileRows, typename... Rest>
void tile_of(int64_t rows, const Rest&... rest) {
  if (rows == R) return tile<T, R>(rest...);
  if constexpr (R > 1) tile_of<T, R - 1>(rows, rest...);
}

// c = add + a * panels for any number of rows; ``add`` may be c, or null for zero.
template <typename T>
void multiply(int64_t rows, Rows<const T> a, const Panels<T>& panels, Rows<T> c,
              Rows<const T> add) {
  for (int64_t n = 0, p = 0; n < panels.N; n += kColumns<T>, ++p)
    for (int64_t m = 0; m < rows; m += kTileRows)
      tile_of<T>(std::min<int64_t>(kTileRows, rows - m), a.from(m), panels.panel(p),
                 kColumns<T>, panels.K, c.from(m, n), add.from(m, n),
                 std::min(kColumns<T>, panels.N - n));
}
