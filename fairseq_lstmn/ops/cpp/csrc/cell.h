// The gates and the state of one step, forwards and backwards: see ops/passes/step_kernels.py.
//
// B batch, H hidden width. Gates stand in torch's order: input, forget, candidate, output.
#pragma once

#include "tanh.h"
#include "view.h"

template <typename T>
void cell_step(const at::Tensor& gates_, const at::Tensor& memory_,
               const std::optional<at::Tensor>& fused_, const at::Tensor& slot_) {
  View<T> gates(gates_), memories(memory_), slots(slot_);
  const int64_t H = memory_.size(1);
  for_rows(memory_.size(0), H, [&](int64_t b) {
    T *write = gates.row(b), *keep = write + H, *candidate = keep + H, *show = candidate + H;
    T *state = slots.row(b), *cell = state + H;
    const T* memory = memories.row(b);
#pragma omp simd
    for (int64_t h = 0; h < H; ++h) {
      write[h] = logistic(write[h]);
      keep[h] = logistic(keep[h]);
      candidate[h] = fast_tanh(candidate[h]);
      show[h] = logistic(show[h]);
      cell[h] = keep[h] * memory[h] + write[h] * candidate[h];  // (8)
    }
    if (fused_) {
      const T* fused = View<T>(*fused_).row(b);
      for (int64_t h = 0; h < H; ++h) cell[h] += fused[h];  // (15)
    }
#pragma omp simd
    for (int64_t h = 0; h < H; ++h) state[h] = show[h] * fast_tanh(cell[h]);  // (9), (16)
  });
}

template <typename T>
void cell_step_backward(const at::Tensor& gates_, const at::Tensor& memory_,
                        const at::Tensor& slot_, const at::Tensor& d_slot_,
                        const at::Tensor& d_gates_) {
  View<T> gates(gates_), memories(memory_), slots(slot_), d_slots(d_slot_), d_all_gates(d_gates_);
  const int64_t H = memory_.size(1);
  for_rows(memory_.size(0), H, [&](int64_t b) {
    const T *write = gates.row(b), *keep = write + H, *candidate = keep + H, *show = candidate + H;
    const T *cell = slots.row(b) + H, *memory = memories.row(b);
    T *d_state = d_slots.row(b), *d_later = d_state + H;
    T *d_write = d_all_gates.row(b), *d_keep = d_write + H, *d_candidate = d_keep + H,
      *d_show = d_candidate + H;
#pragma omp simd
    for (int64_t h = 0; h < H; ++h) {
      const T tanh = fast_tanh(cell[h]);
      const T d = d_later[h] + d_state[h] * show[h] * (T(1) - tanh * tanh);  // (9)
      d_show[h] = d_state[h] * tanh * show[h] * (T(1) - show[h]);
      d_write[h] = d * candidate[h] * write[h] * (T(1) - write[h]);  // (8)
      d_keep[h] = d * memory[h] * keep[h] * (T(1) - keep[h]);
      d_candidate[h] = d * write[h] * (T(1) - candidate[h] * candidate[h]);
      d_state[h] = d;
      d_later[h] = d * keep[h];
    }
  });
}
