// Rows of tensors.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <optional>

using at::Tensor;
using Maybe = std::optional<Tensor>;

// A tensor of 2 or 3 dimensions, the last one contiguous, as rows of numbers; or none, whose rows
// are null.
template <typename T>
struct View {
  T* data = nullptr;
  int64_t outer = 0, inner = 0;

  explicit View(const Tensor& tensor)
      : data(tensor.data_ptr<T>()),
        outer(tensor.stride(0)),
        inner(tensor.dim() > 2 ? tensor.stride(1) : 0) {
    TORCH_CHECK(tensor.size(-1) < 2 || tensor.stride(-1) == 1, "rows are not contiguous");
  }
  explicit View(const Maybe& tensor) {
    if (tensor) *this = View(*tensor);
  }

  explicit operator bool() const { return data; }
  T* row(int64_t i, int64_t j = 0) const { return data ? data + i * outer + j * inner : nullptr; }
};

// The numbers of a vector.
template <typename T>
T* numbers(const Tensor& vector) {
  TORCH_CHECK(vector.is_contiguous(), "vector is not contiguous");
  return vector.data_ptr<T>();
}
