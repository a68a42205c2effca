// Additive attention of one row over slots, forwards and backwards.
//
// n slots, H hidden width, V width of a slot's value (2H or H). ``d_x`` is the gradient of x.
#pragma once

#include <limits>

#include "product.h"
#include "tanh.h"

// Slots that stand one behind the other, their keys and values apart; with ``authors`` (n) each in
// the row of that number.
template <typename T>
struct Slots {
  const T *keys, *values;
  int64_t key_step, value_step, n;
  const int32_t* authors = nullptr;
  int64_t key_row = 0, value_row = 0;  // from a row to the next
  const T* key(int64_t i) const { return keys + i * key_step + row(i) * key_row; }
  const T* value(int64_t i) const { return values + i * value_step + row(i) * value_row; }
  int64_t row(int64_t i) const { return authors ? authors[i] : 0; }
};

// The vector v (H) of a score v . tanh(key + query), and what whole vectors leave of it: its last
// lanes, zero where whole vectors have been. Of fewer than kLanes numbers there is only the plain way.
template <typename T>
struct Score {
  const T* v;
  int64_t H, whole;
  Vec<T> last{}, is_last{};

  explicit Score(const Tensor& score)
      : v(numbers<T>(score)), H(score.size(0)), whole(H / kLanes<T> * kLanes<T>) {
    if (!whole) return;
    for (int64_t k = kLanes<T> - (H - whole); k < kLanes<T>; ++k) {
      last[k] = v[H - kLanes<T> + k];
      is_last[k] = 1;
    }
  }

  // Write v . tanh(key_i + query) of R slots from i on.
  template <int R>
  ALWAYS_INLINE_METHOD void of(const Slots<T>& slots, int64_t i, const T* query, T* scores) const {
    const T* keys[R];
    Vec<T> sums[R]{};
    for (int r = 0; r < R; ++r) keys[r] = slots.key(i + r);
    const auto add = [&](int64_t h, Vec<T> weight) {
      const Vec<T> q = load(query + h);
      for (int r = 0; r < R; ++r) sums[r] += weight * fast_tanh(load(keys[r] + h) + q);
    };
    for (int64_t h = 0; h < whole; h += kLanes<T>) add(h, load(v + h));
    if (whole && whole < H) add(H - kLanes<T>, last);
    for (int r = 0; r < R; ++r) {
      scores[i + r] = sum_of<T>(sums[r]);
      if (!whole)
        for (int64_t h = 0; h < H; ++h) scores[i + r] += v[h] * fast_tanh(keys[r][h] + query[h]);
    }
  }
};

// Softmax in place over the scores above -infinity, which alone become 0.
template <typename T>
void softmax(T* scores, int64_t n) {
  constexpr T kNone = -std::numeric_limits<T>::infinity();
  T most = kNone, sum = 0;
#pragma omp simd reduction(max : most)
  for (int64_t i = 0; i < n; ++i) most = std::max(most, scores[i]);
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    scores[i] = scores[i] == kNone ? T(0) : fast_exp(scores[i] - most);
    sum += scores[i];
  }
  if (sum == 0) return;
  const T share = 1 / sum;
  for (int64_t i = 0; i < n; ++i) scores[i] *= share;
}

// sum = sum_i weights_i value_i, four slots at a time.
template <typename T>
void weighted_sum(const T* weights, const Slots<T>& slots, T* sum, int64_t V) {
  std::fill(sum, sum + V, T(0));
  int64_t i = 0;
  for (; i + 4 <= slots.n; i += 4) {
    const T *a = slots.value(i), *b = slots.value(i + 1), *c = slots.value(i + 2),
            *d = slots.value(i + 3), *w = weights + i;
#pragma omp simd
    for (int64_t h = 0; h < V; ++h) sum[h] += w[0] * a[h] + w[1] * b[h] + w[2] * c[h] + w[3] * d[h];
  }
  for (; i < slots.n; ++i) {
    const T *a = slots.value(i), w = weights[i];
#pragma omp simd
    for (int64_t h = 0; h < V; ++h) sum[h] += w * a[h];
  }
}

// dots_i = value_i . x, four slots at a time.
template <typename T>
void dot_all(const Slots<T>& slots, const T* x, T* dots, int64_t V) {
  int64_t i = 0;
  for (; i + 4 <= slots.n; i += 4) {
    const T *a = slots.value(i), *b = slots.value(i + 1), *c = slots.value(i + 2),
            *d = slots.value(i + 3);
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
  for (; i < slots.n; ++i) {
    const T* a = slots.value(i);
    T s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t h = 0; h < V; ++h) s += a[h] * x[h];
    dots[i] = s;
  }
}

// Equations (4)-(6), (12)-(13): write the ``weights`` (n), and the ``sums`` (V) of the values.
// ``bias`` (n), added to the scores, and ``blocked`` (n), slots that get no weight, may be null.
template <typename T>
void attend(const Slots<T>& slots, const T* query, const Score<T>& score, const T* bias,
            const bool* blocked, T* weights, T* sums, int64_t V) {
  int64_t i = 0;
  for (; i + 4 <= slots.n; i += 4) score.template of<4>(slots, i, query, weights);
  for (; i < slots.n; ++i) score.template of<1>(slots, i, query, weights);
  if (bias)
    for (i = 0; i < slots.n; ++i) weights[i] += bias[i];
  if (blocked)
    for (i = 0; i < slots.n; ++i)
      if (blocked[i]) weights[i] = -std::numeric_limits<T>::infinity();
  softmax(weights, slots.n);
  weighted_sum(weights, slots, sums, V);
}

// What ``attend`` passes back through the tanh; those of query and keys lack the factor v.
template <typename T>
struct ScoreGradients {
  const T* d_scores;  // (n), the others are added to
  T *v, *query;       // (H)
  T* keys;            // (n, H), ``step`` from one to the next
  int64_t step;
};

// The gradients of R slots from i on, at a vector of numbers from h on, times ``mask``.
template <typename T, int R>
ALWAYS_INLINE void tanh_backward(const Slots<T>& slots, int64_t i, const T* query,
                                 const ScoreGradients<T>& d, int64_t h, Vec<T> mask) {
  const Vec<T> q = load(query + h);
  Vec<T> to_query = load(d.query + h), to_v = load(d.v + h);
  for (int r = 0; r < R; ++r) {
    T* d_key = d.keys + (i + r) * d.step + h;
    const Vec<T> tanh = fast_tanh(load(slots.key(i + r) + h) + q);
    const Vec<T> d_score = d.d_scores[i + r] * mask;
    const Vec<T> d_tanh = d_score * tanh, slope = d_score - d_tanh * tanh;
    store(d_key, load(d_key) + slope);
    to_query += slope;
    to_v += d_tanh;
  }
  store(d.query + h, to_query);
  store(d.v + h, to_v);
}

template <typename T, int R>
ALWAYS_INLINE void tanh_backward(const Slots<T>& slots, int64_t i, const T* query,
                                 const Score<T>& score, const ScoreGradients<T>& d) {
  const Vec<T> all = Vec<T>{} + T(1);
  for (int64_t h = 0; h < score.whole; h += kLanes<T>)
    tanh_backward<T, R>(slots, i, query, d, h, all);
  if (score.whole == score.H) return;
  if (score.whole)
    return tanh_backward<T, R>(slots, i, query, d, score.H - kLanes<T>, score.is_last);
  for (int64_t r = i; r < i + R; ++r)
    for (int64_t h = 0; h < score.H; ++h) {
      const T tanh = fast_tanh(slots.key(r)[h] + query[h]), d_score = d.d_scores[r];
      const T slope = d_score * (T(1) - tanh * tanh);
      d.v[h] += d_score * tanh;
      d.query[h] += slope;
      d.keys[r * d.step + h] += slope;
    }
}

// Take ``attend`` back: write d_scores (n) and d_query (H), add to d_v (H) and, without the factor
// v, to d_keys (n, H), ``d_step`` from one to the next. ``d_weights`` (n) may be null.
template <typename T>
void attend_backward(const Slots<T>& slots, const T* query, const Score<T>& score,
                     const T* weights, const T* d_sums, const T* d_weights, T* d_scores, T* d_v,
                     T* d_query, T* d_keys, int64_t d_step, int64_t V) {
  dot_all(slots, d_sums, d_scores, V);
  T mean = 0;
  for (int64_t i = 0; i < slots.n; ++i) {
    if (d_weights) d_scores[i] += d_weights[i];
    mean += weights[i] * d_scores[i];
  }
  for (int64_t i = 0; i < slots.n; ++i) d_scores[i] = weights[i] * (d_scores[i] - mean);
  std::fill(d_query, d_query + score.H, T(0));
  const ScoreGradients<T> d{d_scores, d_v, d_query, d_keys, d_step};
  int64_t i = 0;
  for (; i + 4 <= slots.n; i += 4) tanh_backward<T, 4>(slots, i, query, score, d);
  for (; i < slots.n; ++i) tanh_backward<T, 1>(slots, i, query, score, d);
  for (int64_t h = 0; h < score.H; ++h) d_query[h] *= score.v[h];
}
