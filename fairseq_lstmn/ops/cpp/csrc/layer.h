// A layer: blocks of rows, each through all its steps alone.
//
// The equations are those of ops/reference.py; names and shapes those of ops/passes, whose passes in
// Python do the same for all rows together. B batch, T steps, P prefix slots, N = P + T slots,
// S source length, G sentences, H hidden width. ``d_x`` is the gradient of x.
#pragma once

#include "attend.h"
#include "cell.h"

constexpr int64_t kTogether = 16;  // steps whose gradients of earlier slots are summed at once

// Row after row from ``first`` on, what each has at step t.
template <typename T, typename U>
Rows<T> rows_of(const View<U>& view, int64_t first, int64_t t) {
  return {view.row(first, t), view.outer};
}

// c += a * panels
template <typename T>
void add_product(int64_t rows, Rows<const T> a, const Panels<T>& panels, Rows<T> c) {
  multiply<T>(rows, a, panels, c, {c.data, c.row});
}

// A source with what the steps leave behind of reading it. Deep fusion has gates of its own.
template <typename T>
struct Source {
  View<T> keys, slots, queries, attention, summaries, fusion_gates;
  View<bool> blocked;
  std::optional<Score<T>> score;
  int64_t S = 0, V = 0, readers = 1;

  Source(const Maybe& keys_, const Maybe& slots_, const Maybe& blocked_, const Maybe& queries_,
         const Maybe& attention_, const Maybe& summaries_, const Maybe& fusion_gates_,
         const Maybe& score_)
      : keys(keys_), slots(slots_), queries(queries_), attention(attention_),
        summaries(summaries_), fusion_gates(fusion_gates_), blocked(blocked_) {
    if (!keys_) return;
    score.emplace(*score_);
    S = keys_->size(1), V = slots_->size(2);
    readers = queries_->size(0) / std::max<int64_t>(1, keys_->size(0));
  }
  explicit operator bool() const { return bool(score); }
  bool deep() const { return bool(fusion_gates); }
  Slots<T> of_row(int64_t b) const {
    const int64_t g = b / readers;
    return {keys.row(g), slots.row(g), keys.inner, slots.inner, S};
  }
};

template <typename T>
struct Forward {
  View<T> query_inputs, gate_inputs, slots, keys, queries, attention, gates, summaries;
  Source<T> source;
  Panels<T> summary_query, summary_gates, key, source_query, source_gate;  // transposed
  Score<T> score;
  View<bool> blocked;
  View<int32_t> authors;  // (B, N), in which row a row's slots stand; or none, its own
  const T* bias;  // (N), the last one of the nearest slot; or null
  int64_t P, N, H, span;
  const Steps& steps;

  void block(int64_t first, int64_t last) const {
    for (int64_t b = first; b < last; ++b)
      for (int64_t t = steps.of[b]; t < N - P; ++t) zero(b, t);
    next_query(first, last - first, 0);
    for (int64_t t = 0; t < N - P; ++t) {
      const int64_t count = steps.active(first, last, t);
      if (!count) break;
      step(first, count, t);
      if (t + 1 < N - P) next_query(first, steps.active(first, last, t + 1), t + 1);
    }
  }

  // A padded step: nothing of it is used, but backends agree on slots, and weights are numbers.
  void zero(int64_t b, int64_t t) const {
    std::fill_n(slots.row(b, P + t), 2 * H, T(0));
    std::fill_n(keys.row(b, P + t), H, T(0));
    std::fill_n(queries.row(b, t), H, T(0));
    std::fill_n(gates.row(b, t), 4 * H, T(0));
    std::fill_n(summaries.row(b, t + 1), 2 * H, T(0));
    if (attention.inner) std::fill_n(attention.row(b, t), N, T(0));
    if (!source) return;
    std::fill_n(source.summaries.row(b, t + 1), source.V, T(0));
    if (source.attention.inner) std::fill_n(source.attention.row(b, t), source.S, T(0));
  }

  // The queries of step t follow the summaries of the step before.
  void next_query(int64_t first, int64_t rows, int64_t t) const {
    multiply<T>(rows, rows_of<const T>(summaries, first, t), summary_query,
                rows_of<T>(queries, first, t), rows_of<const T>(query_inputs, first, t));
  }

  void step(int64_t first, int64_t rows, int64_t t) const {
    const int64_t slot = P + t, from = span ? std::max<int64_t>(0, slot - span) : 0;
    for (int64_t b = first; b < first + rows; ++b) {
      T* weights = attention.row(b, t);
      std::fill_n(weights, from, T(0));
      std::fill_n(weights + slot, N - slot, T(0));
      attend<T>(seen(b, from, slot), queries.row(b, t), score, bias ? bias + N - (slot - from) : nullptr,
                blocked ? blocked.row(b) + from : nullptr, weights + from,
                summaries.row(b, t + 1), 2 * H);  // (4)-(6)
    }
    multiply<T>(rows, rows_of<const T>(summaries, first, t + 1), summary_gates,
                rows_of<T>(gates, first, t), rows_of<const T>(gate_inputs, first, t));  // (7)
    if (source) attend_to_source(first, rows, t);
    for (int64_t b = first; b < first + rows; ++b)
      cell<T>(gates.row(b, t), summaries.row(b, t + 1) + H, source.fusion_gates.row(b, t),
              source.deep() ? source.summaries.row(b, t + 1) + H : nullptr, slots.row(b, slot),
              H);  // (8)-(9), (15)-(16)
    multiply<T>(rows, rows_of<const T>(slots, first, slot), key, rows_of<T>(keys, first, slot),
                {nullptr, 0});
  }

  Slots<T> seen(int64_t b, int64_t from, int64_t to) const {
    if (!authors)
      return {keys.row(b, from), slots.row(b, from), keys.inner, slots.inner, to - from};
    return {keys.row(0, from), slots.row(0, from), keys.inner, slots.inner, to - from,
            authors.row(b) + from, keys.outer, slots.outer};
  }

  void attend_to_source(int64_t first, int64_t rows, int64_t t) const {
    const Rows<T> query = rows_of<T>(source.queries, first, t);
    if (source_query)
      add_product(rows, source.deep() ? rows_of<const T>(source.summaries, first, t)
                                      : rows_of<const T>(summaries, first, t + 1),
                  source_query, query);
    for (int64_t b = first; b < first + rows; ++b)
      attend<T>(source.of_row(b), source.queries.row(b, t), *source.score, nullptr,
                source.blocked.row(b), source.attention.row(b, t), source.summaries.row(b, t + 1),
                source.V);  // (12)-(13)
    add_product(rows, rows_of<const T>(source.summaries, first, t + 1), source_gate,
                rows_of<T>(source.deep() ? source.fusion_gates : gates, first, t));
    if (!source.deep()) return;
    for (int64_t b = first; b < first + rows; ++b) {
      T* r = source.fusion_gates.row(b, t);
#pragma omp simd
      for (int64_t h = 0; h < H; ++h) r[h] = logistic(r[h]);  // (14)
    }
  }
};

// The gradients of a layer's results, any of which may be none.
template <typename T>
struct ResultGradients {
  View<T> hidden, memory, keys, summaries, attention, source_summaries, source_attention;
};

// Gradients of what stands in a ``Source``.
template <typename T>
struct SourceGradients {
  View<T> keys, queries, score, sums, fusion_gates;
};

template <typename T>
struct Backward {
  View<T> slots, keys, queries, attention, gates, summaries;
  Source<T> source;
  Panels<T> summary_query, summary_gates, key, source_query, source_gate;  // as they stand
  Score<T> score;
  View<T> d_slots, d_keys, d_queries, d_score, d_gates;
  View<T> d_bias;  // (B, N), or none
  SourceGradients<T> d_source;
  ResultGradients<T> grad;
  int64_t P, N, H, span;
  const Steps& steps;

  int64_t seen_from(int64_t slot) const { return span ? std::max<int64_t>(0, slot - span) : 0; }

  void block(int64_t first, int64_t last) const {
    std::vector<T> d_scores(std::max(N, source.S));
    for (int64_t b = first; b < last; ++b) start(b);
    int64_t summed = N - P;  // d_slots has what these and later steps pass to earlier slots
    for (int64_t t = N - P - 1; t >= 0; --t) {
      const int64_t count = steps.active(first, last, t);
      const int64_t next = t + 1 < N - P ? steps.active(first, last, t + 1) : 0;
      if (!count) continue;
      if (summed - (t + 1) >= kTogether) {
        for (int64_t b = first; b < first + next; ++b)
          sum_attention(b, t + 1, summed, seen_from(P + t + 1), P + t + 1);
        summed = t + 1;
      }
      step(first, count, next, t, summed, d_scores.data());
    }
    for (int64_t b = first; b < last; ++b) sum_attention(b, 0, summed, 0, P);
  }

  // Before the last step of a row: zeros, and in d_slots the gradients of results.
  void start(int64_t b) const {
    for (int64_t slot = 0; slot < N; ++slot) {
      set(grad.hidden.row(b, slot), d_slots.row(b, slot));
      set(grad.memory.row(b, slot), d_slots.row(b, slot) + H);
      std::fill_n(d_keys.row(b, slot), H, T(0));
    }
    std::fill_n(d_score.row(b), H, T(0));
    if (d_bias) std::fill_n(d_bias.row(b), N, T(0));
    for (int64_t t = steps.of[b]; t < N - P; ++t) {
      std::fill_n(d_queries.row(b, t), H, T(0));
      std::fill_n(d_gates.row(b, t), 4 * H, T(0));
      if (source) std::fill_n(d_source.queries.row(b, t), H, T(0));
      if (source) std::fill_n(d_source.sums.row(b, t), source.V, T(0));
      if (source.deep()) std::fill_n(d_source.fusion_gates.row(b, t), H, T(0));
    }
    if (!source) return;
    std::fill_n(d_source.score.row(b), H, T(0));
    for (int64_t i = 0; i < source.S; ++i) std::fill_n(d_source.keys.row(b, i), H, T(0));
  }

  void set(const T* from, T* to) const {
    if (from)
      std::copy_n(from, H, to);
    else
      std::fill_n(to, H, T(0));
  }

  // Add to d_slots what the sums of the steps from ``begin`` to ``end`` pass to slots i0 to i1.
  void sum_attention(int64_t b, int64_t begin, int64_t end, int64_t i0, int64_t i1) const {
    const int64_t K = std::min(end, steps.of[b]) - begin, V = 2 * H;
    if (K <= 0) return;
    T edge[kTogether * kColumns<T>];
    for (int64_t n = 0; n < V; n += kColumns<T>) {
      const int64_t columns = std::min(kColumns<T>, V - n);
      const T* panel = d_slots.row(b, P + begin) + n;
      int64_t panel_step = d_slots.inner;
      if (columns < kColumns<T>) {
        std::fill(edge, edge + K * kColumns<T>, T(0));
        for (int64_t k = 0; k < K; ++k)
          std::memcpy(edge + k * kColumns<T>, panel + k * panel_step, columns * sizeof(T));
        panel = edge, panel_step = kColumns<T>;
      }
      for (int64_t i = i0; i < i1; i += kTileRows) {
        T* to = d_slots.row(b, i) + n;
        tile_of<T>(std::min<int64_t>(kTileRows, i1 - i),
                   Rows<const T>{attention.row(b, begin) + i, 1, attention.inner}, panel,
                   panel_step, K, Rows<T>{to, d_slots.inner}, Rows<const T>{to, d_slots.inner},
                   columns);
      }
    }
  }

  // Take step t back, when all later ones have been; ``next`` rows have a step t + 1.
  void step(int64_t first, int64_t rows, int64_t next, int64_t t, int64_t summed,
            T* d_scores) const {
    const int64_t slot = P + t, from = seen_from(slot);
    for (int64_t b = first; b < first + rows; ++b) {
      sum_attention(b, t + 1, summed, slot, slot + 1);
      T* d_key = d_keys.row(b, slot);
      for (int64_t h = 0; h < H; ++h) d_key[h] *= score.v[h];
      add(grad.keys.row(b, slot), d_key);
    }
    const Rows<T> d_slot = rows_of<T>(d_slots, first, slot);
    add_product(rows, rows_of<const T>(d_keys, first, slot), key, d_slot);
    for (int64_t b = first; b < first + rows; ++b)
      cell_backward<T>(gates.row(b, t), summaries.row(b, t + 1) + H, slots.row(b, slot),
                       d_slots.row(b, slot), d_gates.row(b, t), H);
    if (source) attend_to_source_backward(first, rows, next, t, d_scores);
    // d c_t is done with, and gives place to d h~_t
    multiply<T>(rows, rows_of<const T>(d_gates, first, t), summary_gates, d_slot, {nullptr, 0});
    if (source && !source.deep() && source_query)
      add_product(rows, rows_of<const T>(d_source.queries, first, t), source_query, d_slot);
    if (next)
      add_product(next, rows_of<const T>(d_queries, first, t + 1), summary_query, d_slot);
    for (int64_t b = first; b < first + rows; ++b) {
      T* d_sums = d_slots.row(b, slot);
      add(grad.summaries.row(b, t), d_sums);
      attend_backward<T>(
          {keys.row(b, from), slots.row(b, from), keys.inner, slots.inner, slot - from},
          queries.row(b, t), score, attention.row(b, t) + from, d_sums,
          grad.attention ? grad.attention.row(b, t) + from : nullptr, d_scores, d_score.row(b),
          d_queries.row(b, t), d_keys.row(b, from), d_keys.inner, 2 * H);
      if (!d_bias) continue;
      T* to = d_bias.row(b) + N - (slot - from);
      for (int64_t i = 0; i < slot - from; ++i) to[i] += d_scores[i];
    }
  }

  void add(const T* from, T* to) const {
    if (from)
      for (int64_t h = 0; h < H; ++h) to[h] += from[h];
  }

  void attend_to_source_backward(int64_t first, int64_t rows, int64_t next, int64_t t,
                                 T* d_scores) const {
    if (source.deep())
      for (int64_t b = first; b < first + rows; ++b) {
        const T *r = source.fusion_gates.row(b, t), *memory = source.summaries.row(b, t + 1) + H;
        const T* d_cell = d_slots.row(b, P + t);
        T *d_gate = d_source.fusion_gates.row(b, t), *d_memory = d_source.sums.row(b, t) + H;
        for (int64_t h = 0; h < H; ++h) {
          d_gate[h] = d_cell[h] * memory[h] * r[h] * (T(1) - r[h]);  // (14)
          d_memory[h] = d_cell[h] * r[h];                            // (15)
        }
      }
    const Rows<T> d_context = rows_of<T>(d_source.sums, first, t);
    multiply<T>(rows, rows_of<const T>(source.deep() ? d_source.fusion_gates : d_gates, first, t),
                source_gate, d_context, {nullptr, 0});
    if (source.deep() && next)
      add_product(next, rows_of<const T>(d_source.queries, first, t + 1), source_query, d_context);
    for (int64_t b = first; b < first + rows; ++b) {
      add(grad.source_summaries.row(b, t), d_source.sums.row(b, t));
      attend_backward<T>(source.of_row(b), source.queries.row(b, t), *source.score,
                         source.attention.row(b, t), d_source.sums.row(b, t),
                         grad.source_attention.row(b, t), d_scores, d_source.score.row(b),
                         d_source.queries.row(b, t), d_source.keys.row(b), d_source.keys.inner,
                         source.V);
    }
  }
};
