// What ops/cpp calls: the steps of the recurrence in float32 and float64.

#include <ATen/Dispatch.h>
#include <torch/library.h>

#include "cell.h"
#include "read.h"

namespace kernels {

using at::Tensor;
using Maybe = std::optional<Tensor>;

void read(const Tensor& keys, const Tensor& slots, const Tensor& queries, const Tensor& v,
          const Maybe& bias, const Maybe& blocked, const Tensor& attention, const Tensor& sums,
          int64_t first, int64_t last) {
  AT_DISPATCH_FLOATING_TYPES(keys.scalar_type(), "read", [&] {
    read_step<scalar_t>(keys, slots, queries, v, bias, blocked, attention, sums, first, last);
  });
}

Tensor read_backward(const Tensor& keys, const Tensor& slots, const Tensor& queries,
                     const Tensor& v, const Tensor& attention, const Tensor& d_sums,
                     const Maybe& d_attention, const Tensor& d_v, const Tensor& d_queries,
                     const Tensor& d_keys, int64_t first, int64_t last) {
  const Tensor d_scores = at::empty({keys.size(0), last - first}, keys.options());
  AT_DISPATCH_FLOATING_TYPES(keys.scalar_type(), "read_backward", [&] {
    read_step_backward<scalar_t>(keys, slots, queries, v, attention, d_sums, d_attention, d_scores,
                                 d_v, d_queries, d_keys, first);
  });
  return d_scores;
}

void cell(const Tensor& gates, const Tensor& memory, const Maybe& fused, const Tensor& slot) {
  AT_DISPATCH_FLOATING_TYPES(gates.scalar_type(), "cell",
                             [&] { cell_step<scalar_t>(gates, memory, fused, slot); });
}

void cell_backward(const Tensor& gates, const Tensor& memory, const Tensor& slot,
                   const Tensor& d_slot, const Tensor& d_gates) {
  AT_DISPATCH_FLOATING_TYPES(gates.scalar_type(), "cell_backward", [&] {
    cell_step_backward<scalar_t>(gates, memory, slot, d_slot, d_gates);
  });
}

Tensor tanh(const Tensor& x) {
  const Tensor y = at::empty_like(x);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "tanh", [&] {
    const scalar_t* in = x.data_ptr<scalar_t>();
    scalar_t* out = y.data_ptr<scalar_t>();
    for (int64_t i = 0; i < x.numel(); ++i) out[i] = fast_tanh(in[i]);
  });
  return y;
}

// What the kernels return, in shape only.
namespace shapes {

void read(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Maybe&, const Maybe&,
          const Tensor&, const Tensor&, int64_t, int64_t) {}

Tensor read_backward(const Tensor& keys, const Tensor&, const Tensor&, const Tensor&,
                     const Tensor&, const Tensor&, const Maybe&, const Tensor&, const Tensor&,
                     const Tensor&, int64_t first, int64_t last) {
  return at::empty({keys.size(0), last - first}, keys.options());
}

void cell(const Tensor&, const Tensor&, const Maybe&, const Tensor&) {}

void cell_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&) {}

Tensor tanh(const Tensor& x) { return at::empty_like(x); }

}  // namespace shapes

}  // namespace kernels

TORCH_LIBRARY_FRAGMENT(fairseq_lstmn, library) {
  library.def(
      "read(Tensor keys, Tensor slots, Tensor queries, Tensor score, Tensor? bias, "
      "Tensor? blocked, Tensor(a!) attention, Tensor(b!) sums, int first, int last) -> ()");
  library.def(
      "read_backward(Tensor keys, Tensor slots, Tensor queries, Tensor score, Tensor attention, "
      "Tensor d_sums, Tensor? d_attention, Tensor(a!) d_score, Tensor(b!) d_queries, "
      "Tensor(c!) d_keys, int first, int last) -> Tensor");
  library.def("cell(Tensor(a!) gates, Tensor memory, Tensor? fused, Tensor(b!) slot) -> ()");
  library.def(
      "cell_backward(Tensor gates, Tensor memory, Tensor slot, Tensor(a!) d_slot, "
      "Tensor(b!) d_gates) -> ()");
  library.def("tanh(Tensor x) -> Tensor");  // for the test of its error
}

TORCH_LIBRARY_IMPL(fairseq_lstmn, CPU, library) {
  library.impl("read", &kernels::read);
  library.impl("read_backward", &kernels::read_backward);
  library.impl("cell", &kernels::cell);
  library.impl("cell_backward", &kernels::cell_backward);
  library.impl("tanh", &kernels::tanh);
}

TORCH_LIBRARY_IMPL(fairseq_lstmn, Meta, library) {
  library.impl("read", &kernels::shapes::read);
  library.impl("read_backward", &kernels::shapes::read_backward);
  library.impl("cell", &kernels::shapes::cell);
  library.impl("cell_backward", &kernels::shapes::cell_backward);
  library.impl("tanh", &kernels::shapes::tanh);
}

// No derivatives here: a whole layer has them (ops/passes/operators.py). Passing through spares a detour.
TORCH_LIBRARY_IMPL(fairseq_lstmn, Autograd, library) {
  for (const char* name : {"read", "read_backward", "cell", "cell_backward", "tanh"})
    library.impl(name, torch::CppFunction::makeFallthrough());
}
