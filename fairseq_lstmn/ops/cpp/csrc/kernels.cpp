// What ops/cpp calls: a layer forwards and backwards, in float32 and float64.

#include <ATen/Dispatch.h>
#include <torch/library.h>

#include "layer.h"

namespace kernels {

void forward(const Tensor& query_inputs, const Tensor& gate_inputs, const Tensor& slots,
             const Tensor& keys, const Tensor& queries, const Tensor& attention,
             const Tensor& gates, const Tensor& summaries, const Maybe& source_queries,
             const Maybe& source_attention, const Maybe& source_summaries,
             const Maybe& fusion_gates, const Tensor& summary_query, const Tensor& summary_gates,
             const Tensor& key, const Tensor& score, const Maybe& source_query,
             const Maybe& source_gate, const Maybe& source_score, const Maybe& source_keys,
             const Maybe& source_slots, const Maybe& source_blocked, const Maybe& bias,
             const Maybe& blocked, const Maybe& authors, at::IntArrayRef rows,
             int64_t memory_span) {
  const int64_t B = queries.size(0), T = queries.size(1), N = keys.size(1), H = keys.size(2);
  const Steps steps(rows, B, T);
  AT_DISPATCH_FLOATING_TYPES(keys.scalar_type(), "forward", [&] {
    using Numbers = View<scalar_t>;
    using Packed = Panels<scalar_t>;
    const Forward<scalar_t> layer{
        Numbers(query_inputs), Numbers(gate_inputs), Numbers(slots), Numbers(keys),
        Numbers(queries), Numbers(attention), Numbers(gates), Numbers(summaries),
        Source<scalar_t>(source_keys, source_slots, source_blocked, source_queries,
                         source_attention, source_summaries, fusion_gates, source_score),
        Packed(summary_query, H), Packed(summary_gates, 4 * H), Packed(key, H),
        Packed(source_query, H), Packed(source_gate, fusion_gates ? H : 4 * H),
        Score<scalar_t>(score), View<bool>(blocked), View<int32_t>(authors),
        bias ? numbers<scalar_t>(*bias) : nullptr, N - T, N, H, memory_span, steps};
    for_blocks(B, rows_of_block<scalar_t>(memory_span ? std::min(N, memory_span) : N, H, T),
               [&](int64_t first, int64_t last) { layer.block(first, last); });
  });
}

void backward(const Tensor& slots, const Tensor& keys, const Tensor& queries,
              const Tensor& attention, const Tensor& gates, const Tensor& summaries,
              const Maybe& source_queries, const Maybe& source_attention,
              const Maybe& source_summaries, const Maybe& fusion_gates,
              const Tensor& summary_query, const Tensor& summary_gates, const Tensor& key,
              const Tensor& score, const Maybe& source_query, const Maybe& source_gate,
              const Maybe& source_score, const Maybe& source_keys, const Maybe& source_slots,
              const Maybe& grad_hidden, const Maybe& grad_memory, const Maybe& grad_keys,
              const Maybe& grad_summaries, const Maybe& grad_attention,
              const Maybe& grad_source_summaries, const Maybe& grad_source_attention,
              const Tensor& d_slots, const Tensor& d_keys, const Tensor& d_queries,
              const Tensor& d_score, const Tensor& d_gates, const Maybe& d_source_keys,
              const Maybe& d_source_queries, const Maybe& d_source_score,
              const Maybe& d_source_sums, const Maybe& d_fusion_gates, const Maybe& d_biases,
              at::IntArrayRef rows, int64_t memory_span) {
  const int64_t B = queries.size(0), T = queries.size(1), N = keys.size(1), H = keys.size(2);
  const Steps steps(rows, B, T);
  AT_DISPATCH_FLOATING_TYPES(keys.scalar_type(), "backward", [&] {
    using Numbers = View<scalar_t>;
    using Packed = Panels<scalar_t>;
    const Backward<scalar_t> layer{
        Numbers(slots), Numbers(keys), Numbers(queries), Numbers(attention), Numbers(gates),
        Numbers(summaries),
        Source<scalar_t>(source_keys, source_slots, {}, source_queries, source_attention,
                         source_summaries, fusion_gates, source_score),
        Packed(summary_query, H), Packed(summary_gates, H), Packed(key, H),
        Packed(source_query, H), Packed(source_gate, H), Score<scalar_t>(score),
        Numbers(d_slots), Numbers(d_keys), Numbers(d_queries), Numbers(d_score),
        Numbers(d_gates), Numbers(d_biases),
        SourceGradients<scalar_t>{Numbers(d_source_keys), Numbers(d_source_queries),
                                  Numbers(d_source_score), Numbers(d_source_sums),
                                  Numbers(d_fusion_gates)},
        ResultGradients<scalar_t>{Numbers(grad_hidden), Numbers(grad_memory), Numbers(grad_keys),
                                  Numbers(grad_summaries), Numbers(grad_attention),
                                  Numbers(grad_source_summaries),
                                  Numbers(grad_source_attention)},
        N - T, N, H, memory_span, steps};
    for_blocks(B, rows_of_block<scalar_t>(memory_span ? std::min(N, memory_span) : N, H, T),
               [&](int64_t first, int64_t last) { layer.block(first, last); });
  });
}

Tensor packed(const Tensor& matrix) {
  return AT_DISPATCH_FLOATING_TYPES(matrix.scalar_type(), "pack",
                                    [&] { return pack<scalar_t>(matrix); });
}

// x (M, K) times a packed matrix of ``columns`` columns.
Tensor product(const Tensor& x, const Tensor& packed, int64_t columns) {
  const Tensor y = at::empty({x.size(0), columns}, x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "product", [&] {
    const View<scalar_t> rows(x);
    const Panels<scalar_t> panels(packed, columns);
    for_blocks(x.size(0), 4 * kTileRows, [&](int64_t first, int64_t last) {
      multiply<scalar_t>(last - first, {rows.row(first), rows.outer}, panels,
                         {y.data_ptr<scalar_t>() + first * columns, columns}, {nullptr, 0});
    });
  });
  return y;
}

Tensor tanh(const Tensor& x) {
  const Tensor y = at::empty_like(x);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "tanh", [&] {
    const scalar_t* in = x.data_ptr<scalar_t>();
    scalar_t* out = y.data_ptr<scalar_t>();
    int64_t i = 0;
    for (; i + kLanes<scalar_t> <= x.numel(); i += kLanes<scalar_t>)
      store(out + i, fast_tanh(load(in + i)));
    for (; i < x.numel(); ++i) out[i] = fast_tanh(in[i]);
  });
  return y;
}

}  // namespace kernels

TORCH_LIBRARY_FRAGMENT(fairseq_lstmn, library) {
  library.def(
      "forward(Tensor query_inputs, Tensor gate_inputs, Tensor(a!) slots, Tensor(b!) keys, "
      "Tensor(c!) queries, Tensor(d!) attention, Tensor(e!) gates, Tensor(f!) summaries, "
      "Tensor(g!)? source_queries, Tensor(h!)? source_attention, Tensor(i!)? source_summaries, "
      "Tensor(j!)? fusion_gates, Tensor summary_query, Tensor summary_gates, Tensor key, "
      "Tensor score, Tensor? source_query, Tensor? source_gate, Tensor? source_score, "
      "Tensor? source_keys, Tensor? source_slots, Tensor? source_blocked, Tensor? biases, "
      "Tensor? blocked, Tensor? authors, int[] rows, int memory_span) -> ()");
  library.def(
      "backward(Tensor slots, Tensor keys, Tensor queries, Tensor attention, Tensor gates, "
      "Tensor summaries, Tensor? source_queries, Tensor? source_attention, "
      "Tensor? source_summaries, Tensor? fusion_gates, Tensor summary_query, "
      "Tensor summary_gates, Tensor key, Tensor score, Tensor? source_query, "
      "Tensor? source_gate, Tensor? source_score, Tensor? source_keys, Tensor? source_slots, "
      "Tensor? grad_hidden, Tensor? grad_memory, Tensor? grad_keys, Tensor? grad_summaries, "
      "Tensor? grad_attention, Tensor? grad_source_summaries, Tensor? grad_source_attention, "
      "Tensor(a!) d_slots, Tensor(b!) d_keys, Tensor(c!) d_queries, Tensor(d!) d_score, "
      "Tensor(e!) d_gates, Tensor(f!)? d_source_keys, Tensor(g!)? d_source_queries, "
      "Tensor(h!)? d_source_score, Tensor(i!)? d_source_sums, Tensor(j!)? d_fusion_gates, "
      "Tensor(k!)? d_biases, int[] rows, int memory_span) -> ()");
  library.def("pack(Tensor matrix) -> Tensor");
  library.def("product(Tensor x, Tensor packed, int columns) -> Tensor");
  library.def("tanh(Tensor x) -> Tensor");  // for the test of its error
}

TORCH_LIBRARY_IMPL(fairseq_lstmn, CPU, library) {
  library.impl("forward", &kernels::forward);
  library.impl("backward", &kernels::backward);
  library.impl("pack", &kernels::packed);
  library.impl("product", &kernels::product);
  library.impl("tanh", &kernels::tanh);
}

// No derivatives here: a layer has them (ops/passes/operators.py). Passing through spares a detour.
TORCH_LIBRARY_IMPL(fairseq_lstmn, Autograd, library) {
  for (const char* name : {"forward", "backward", "pack", "product", "tanh"})
    library.impl(name, torch::CppFunction::makeFallthrough());
}
