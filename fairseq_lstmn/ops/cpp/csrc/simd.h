// Vectors of the target's width, by the compilers' vector extension.
#pragma once

#include <cstdint>
#include <cstring>

#define ALWAYS_INLINE_METHOD inline __attribute__((always_inline))
#define ALWAYS_INLINE static ALWAYS_INLINE_METHOD

#if defined(__AVX__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kTileRows = 10;  // 20 of 32 registers are sums
#elif defined(__AVX__)
constexpr int kVectorBytes = 32, kTileRows = 6;  // 12 of 16
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16, kTileRows = 10;
#else
constexpr int kVectorBytes = 16, kTileRows = 6;
#endif

template <typename T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
};
template <typename T>
using Vec = typename VectorOf<T>::type;
template <typename T>
constexpr int64_t kLanes = kVectorBytes / sizeof(T);

template <typename T>
ALWAYS_INLINE Vec<T> load(const T* from) {
  Vec<T> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <typename T>
ALWAYS_INLINE void store(T* to, Vec<T> v) {
  std::memcpy(to, &v, sizeof v);
}

template <typename T>
ALWAYS_INLINE T sum_of(Vec<T> v) {
  T sum = 0;
  for (int64_t k = 0; k < kLanes<T>; ++k) sum += v[k];
  return sum;
}

// Call f(h) for every h from which a whole vector stands in a row of ``width`` numbers, such that
// all are covered; the last ones may be covered twice. ``width`` is a vector's or more.
template <typename T, typename F>
ALWAYS_INLINE void for_vectors(int64_t width, const F& f) {
  int64_t h = 0;
  for (; h + kLanes<T> <= width; h += kLanes<T>) f(h);
  if (h < width) f(width - kLanes<T>);
}
