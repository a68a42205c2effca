// Rows of tensors, and loops over them.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <optional>

// A tensor of 2 or 3 dimensions, the last one contiguous: rows of numbers.
template <typename T>
struct View {
  T* data;
  int64_t outer, inner;

  explicit View(const at::Tensor& tensor)
      : data(tensor.data_ptr<T>()),
        outer(tensor.stride(0)),
        inner(tensor.dim() > 2 ? tensor.stride(1) : 0) {
    TORCH_CHECK(tensor.size(-1) < 2 || tensor.stride(-1) == 1, "rows are not contiguous");
  }

  T* row(int64_t i, int64_t j = 0) const { return data + i * outer + j * inner; }
};

// The numbers of a vector.
template <typename T>
T* numbers(const at::Tensor& vector) {
  TORCH_CHECK(vector.is_contiguous(), "vector is not contiguous");
  return vector.data_ptr<T>();
}

// Call f(b) for every row b, in torch's threads if ``work`` numbers a row make it worth while.
template <typename F>
void for_rows(int64_t rows, int64_t work, const F& f) {
  constexpr int64_t kWorthAThread = 1 << 15;
  const int64_t grain = std::max<int64_t>(1, kWorthAThread / std::max<int64_t>(1, work));
  at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) f(b);
  });
}
