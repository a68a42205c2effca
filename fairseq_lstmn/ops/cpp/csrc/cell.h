// The gates and the state of one row at one step, forwards and backwards.
//
// H hidden width. Gates stand in torch's order: input, forget, candidate, output. ``d_x`` is the
// gradient of x.
#pragma once

#include "tanh.h"

// Equations (7)-(9): activate ``gates`` (4H) in place, write [h_t; c_t] into ``slot`` (2H).
// ``memory`` (H) is c~_t; ``fusion_gate`` and ``source_memory`` (H), whose product joins c_t, are
// deep fusion's (15), else null.
template <typename T>
void cell(T* gates, const T* memory, const T* fusion_gate, const T* source_memory, T* slot,
          int64_t H) {
  T *input = gates, *forget = input + H, *candidate = forget + H, *output = candidate + H;
  T *hidden = slot, *state = slot + H;
#pragma omp simd
  for (int64_t h = 0; h < H; ++h) {
    input[h] = logistic(input[h]);
    forget[h] = logistic(forget[h]);
    candidate[h] = fast_tanh(candidate[h]);
    output[h] = logistic(output[h]);
    state[h] = forget[h] * memory[h] + input[h] * candidate[h];  // (8)
  }
  if (fusion_gate)
    for (int64_t h = 0; h < H; ++h) state[h] += fusion_gate[h] * source_memory[h];  // (15)
#pragma omp simd
  for (int64_t h = 0; h < H; ++h) hidden[h] = output[h] * fast_tanh(state[h]);  // (9), (16)
}

// Take ``cell`` back: write ``d_gates`` (4H), and [d c_t; d c~_t] over ``d_slot`` (2H), which comes
// as the gradient of [h_t; c_t] from outside the step.
template <typename T>
void cell_backward(const T* gates, const T* memory, const T* slot, T* d_slot, T* d_gates,
                   int64_t H) {
  const T *input = gates, *forget = input + H, *candidate = forget + H, *output = candidate + H;
  const T* state = slot + H;
  T *d_hidden = d_slot, *d_state = d_slot + H;
  T *d_input = d_gates, *d_forget = d_input + H, *d_candidate = d_forget + H,
    *d_output = d_candidate + H;
#pragma omp simd
  for (int64_t h = 0; h < H; ++h) {
    const T tanh = fast_tanh(state[h]);
    const T d = d_state[h] + d_hidden[h] * output[h] * (T(1) - tanh * tanh);  // (9)
    d_output[h] = d_hidden[h] * tanh * output[h] * (T(1) - output[h]);
    d_input[h] = d * candidate[h] * input[h] * (T(1) - input[h]);  // (8)
    d_forget[h] = d * memory[h] * forget[h] * (T(1) - forget[h]);
    d_candidate[h] = d * input[h] * (T(1) - candidate[h] * candidate[h]);
    d_hidden[h] = d;
    d_state[h] = d * forget[h];
  }
}
