// Additive attention over slots at one step, forwards and backwards: see ops/passes/step_kernels.py.
//
// B batch, T steps, G sentences (each read by B / G successive rows), n slots, H hidden width, V
// width of a slot (2H or H). Each slot is passed over once; nothing of size n H is made.
#pragma once

#include <limits>

#include "tanh.h"
#include "view.h"

// sum_h v_h tanh(key_h + query_h)
template <typename T>
T score_of(const T* key, const T* query, const T* v, int64_t H) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t h = 0; h < H; ++h) sum += v[h] * fast_tanh(key[h] + query[h]);
  return sum;
}

// Softmax in place over the scores above -infinity, which alone become 0.
template <typename T>
void softmax(T* scores, int64_t n) {
  constexpr T kNone = -std::numeric_limits<T>::infinity();
  T most = kNone, sum = 0;
  for (int64_t i = 0; i < n; ++i) most = std::max(most, scores[i]);
  for (int64_t i = 0; i < n; ++i) {
    scores[i] = scores[i] == kNone ? T(0) : std::exp(scores[i] - most);
    sum += scores[i];
  }
  if (sum == 0) return;
  for (int64_t i = 0; i < n; ++i) scores[i] /= sum;
}

// sum = sum_i weights_i slot_i, four slots at a time.
template <typename T>
void weighted_sum(const T* weights, const T* slots, int64_t stride, int64_t n, T* sum, int64_t V) {
  std::fill(sum, sum + V, T(0));
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const T *a = slots + i * stride, *b = a + stride, *c = b + stride, *d = c + stride;
    const T *w = weights + i;
#pragma omp simd
    for (int64_t h = 0; h < V; ++h)
      sum[h] += w[0] * a[h] + w[1] * b[h] + w[2] * c[h] + w[3] * d[h];
  }
  for (; i < n; ++i) {
    const T *a = slots + i * stride, w = weights[i];
#pragma omp simd
    for (int64_t h = 0; h < V; ++h) sum[h] += w * a[h];
  }
}

// dots_i = slot_i . x, four slots at a time.
template <typename T>
void dot_all(const T* slots, int64_t stride, int64_t n, const T* x, T* dots, int64_t V) {
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const T *a = slots + i * stride, *b = a + stride, *c = b + stride, *d = c + stride;
    T s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
    for (int64_t h = 0; h < V; ++h) {
      s0 += a[h] * x[h];
      s1 += b[h] * x[h];
      s2 += c[h] * x[h];
      s3 += d[h] * x[h];
    }
    dots[i] = s0, dots[i + 1] = s1, dots[i + 2] = s2, dots[i + 3] = s3;
  }
  for (; i < n; ++i) {
    const T* a = slots + i * stride;
    T s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t h = 0; h < V; ++h) s += a[h] * x[h];
    dots[i] = s;
  }
}

// What tanh(key + query) passes back from d_score, without the factor v.
template <typename T>
void take_back(const T* key, const T* query, T d_score, T* d_v, T* d_query, T* d_key, int64_t H) {
#pragma omp simd
  for (int64_t h = 0; h < H; ++h) {
    const T tanh = fast_tanh(key[h] + query[h]);
    const T slope = d_score * (T(1) - tanh * tanh);
    d_v[h] += d_score * tanh;
    d_query[h] += slope;
    d_key[h] += slope;
  }
}

// The slots first .. last - 1 read with ``queries`` (B, H): weights into ``attention`` (B, n'),
// whose columns are these slots, sums into ``sums`` (B, V).
template <typename T>
void read_step(const at::Tensor& keys_, const at::Tensor& slots_, const at::Tensor& queries_,
               const at::Tensor& v_, const std::optional<at::Tensor>& bias_,
               const std::optional<at::Tensor>& blocked_, const at::Tensor& attention_,
               const at::Tensor& sums_, int64_t first, int64_t last) {
  View<T> keys(keys_), slots(slots_), queries(queries_), attention(attention_), sums(sums_);
  const int64_t n = last - first, H = keys_.size(2), V = slots_.size(2), B = queries_.size(0);
  const int64_t readers = B / std::max<int64_t>(1, keys_.size(0));
  const T* v = numbers<T>(v_);
  const T* bias = bias_ ? numbers<T>(*bias_) + bias_->size(0) - n : nullptr;
  for_rows(B, n * H, [&](int64_t b) {
    const int64_t g = b / readers;
    const bool* blocked = blocked_ ? View<bool>(*blocked_).row(b) + first : nullptr;
    T* weights = attention.row(b) + first;
    for (int64_t i = 0; i < n; ++i)
      weights[i] = blocked && blocked[i]
                       ? -std::numeric_limits<T>::infinity()
                       : score_of(keys.row(g, first + i), queries.row(b), v, H) +
                             (bias ? bias[i] : T(0));
    softmax(weights, n);
    weighted_sum(weights, slots.row(g, first), slots.inner, n, sums.row(b), V);
  });
}

// Take read_step back, one row a sentence: ``d_scores`` (B, n') and ``d_queries`` (B, H) are
// written, ``d_v`` (B, H) and ``d_keys`` (B, n, H) added to; the latter lack the factor v.
template <typename T>
void read_step_backward(const at::Tensor& keys_, const at::Tensor& slots_,
                        const at::Tensor& queries_, const at::Tensor& v_,
                        const at::Tensor& attention_, const at::Tensor& d_sums_,
                        const std::optional<at::Tensor>& d_attention_,
                        const at::Tensor& d_scores_, const at::Tensor& d_v_,
                        const at::Tensor& d_queries_, const at::Tensor& d_keys_, int64_t first) {
  View<T> keys(keys_), slots(slots_), queries(queries_), attention(attention_), d_sums(d_sums_);
  View<T> d_scores(d_scores_), d_vs(d_v_), d_queries(d_queries_), d_keys(d_keys_);
  const int64_t n = d_scores_.size(1), H = keys_.size(2), V = slots_.size(2);
  const T* v = numbers<T>(v_);
  for_rows(keys_.size(0), n * H, [&](int64_t b) {
    const T* weights = attention.row(b) + first;
    const T* given = d_attention_ ? View<T>(*d_attention_).row(b) + first : nullptr;
    T *d_score = d_scores.row(b), *d_query = d_queries.row(b);
    dot_all(slots.row(b, first), slots.inner, n, d_sums.row(b), d_score, V);
    T mean = 0;
    for (int64_t i = 0; i < n; ++i) {
      if (given) d_score[i] += given[i];
      mean += weights[i] * d_score[i];
    }
    std::fill(d_query, d_query + H, T(0));
    for (int64_t i = 0; i < n; ++i) {
      d_score[i] = weights[i] * (d_score[i] - mean);
      if (weights[i] != 0)
        take_back(keys.row(b, first + i), queries.row(b), d_score[i], d_vs.row(b), d_query,
                  d_keys.row(b, first + i), H);
    }
    for (int64_t h = 0; h < H; ++h) d_query[h] *= v[h];
  });
}
