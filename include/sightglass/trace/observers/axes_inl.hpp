#pragma once

#include "sightglass/trace/observers/axes.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE void AxisObserver::operation(const OperatorHandle& op, Stack& stack) {
  const std::vector<at::Tensor> given = flat_tensors(arguments(op, stack));
  const std::string& name = op.schema().name();
  const Evidence evidence = evidence_of(name, given, op, stack);
  const std::vector<int64_t> order = order_of(name, op, stack);
  for (const at::Tensor& tensor : given) hold(tensor);
  run(op, stack);
  const std::vector<at::Tensor> made = flat_tensors(results(op, stack));
  if (made.empty() || given.empty()) return;
  if (is_convolution(name) && made[0].dim() >= 3) grids_.push_back(made[0].sizes().slice(2).vec());
  hold(made[0]);
  note(given[0], evidence.of_input);
  note(made[0], evidence.of_output);
  if (evidence.of_output != Axes::unknown || name == "aten::matmul" || name == "aten::bmm") return;
  for (const at::Tensor& tensor : given) {
    if (tensor.dim() >= 3 && made[0].dim() >= 3)
      links_.push_back({key(tensor), key(made[0]), order, sizes(tensor), sizes(made[0])});
  }
}

SIGHTGLASS_INLINE Axes AxisObserver::axes_of(const void* tensor) {
  settle();
  const auto found = known_.find(tensor);
  return found == known_.end() ? Axes::unknown : found->second;
}

SIGHTGLASS_INLINE std::vector<int64_t> AxisObserver::sizes(const at::Tensor& tensor) { return tensor.sizes().vec(); }

SIGHTGLASS_INLINE bool AxisObserver::is_convolution(const std::string& name) {
  return starts(name, "aten::conv") || starts(name, "aten::_conv") || starts(name, "quantized::conv");
}

SIGHTGLASS_INLINE AxisObserver::Evidence AxisObserver::evidence_of(const std::string& name,
                                                                   const std::vector<at::Tensor>& given,
                                                                   const OperatorHandle& op, const Stack& stack) {
  if (given.empty() || given[0].dim() < 3) return {};
  constexpr std::array<const char*, 9> first{"aten::conv",      "aten::_conv",      "aten::batch_norm",
                                             "aten::max_pool",  "aten::avg_pool",   "aten::adaptive_",
                                             "aten::upsample_", "aten::group_norm", "aten::instance_norm"};
  if (std::any_of(first.begin(), first.end(), [&](const char* each) { return starts(name, each); }))
    return {Axes::channels_first, Axes::channels_first};
  const bool product = name == "aten::matmul" && given.size() == 2 && given[1].dim() == 2;
  if (name == "aten::linear" || product) return {Axes::channels_last, Axes::channels_last};
  if (name == "aten::layer_norm") {
    const c10::IValue* const shape = argument_called("normalized_shape", op, stack);
    if (shape != nullptr && shape->isIntList() && shape->toIntVector().size() == 1)
      return {Axes::channels_last, Axes::channels_last};
  }
  return {of_reduction(given[0].dim(), op, stack), Axes::unknown};
}

SIGHTGLASS_INLINE Axes AxisObserver::of_reduction(int64_t dims, const OperatorHandle& op, const Stack& stack) {
  const std::string& name = op.schema().name();
  const c10::IValue* const over = argument_called("dim", op, stack);
  if ((name != "aten::mean" && name != "aten::amax") || over == nullptr || !over->isIntList()) return Axes::unknown;
  std::vector<int64_t> reduced = over->toIntVector();
  for (int64_t& d : reduced) d = d < 0 ? d + dims : d;
  if (static_cast<int64_t>(reduced.size()) != dims - 2) return Axes::unknown;
  const bool has_one = std::find(reduced.begin(), reduced.end(), 1) != reduced.end();
  const bool has_last = std::find(reduced.begin(), reduced.end(), dims - 1) != reduced.end();
  return has_one == has_last ? Axes::unknown : has_last ? Axes::channels_first : Axes::channels_last;
}

SIGHTGLASS_INLINE std::vector<int64_t> AxisObserver::order_of(const std::string& name, const OperatorHandle& op,
                                                              const Stack& stack) {
  const auto given = arguments(op, stack);
  if (given.empty() || !given[0].isTensor() || !given[0].toTensor().defined()) return {};
  const int64_t dims = given[0].toTensor().dim();
  const auto wrapped = [dims](int64_t d) { return d < 0 ? d + dims : d; };
  std::vector<int64_t> order;
  if (name == "aten::permute" && given[1].isIntList()) {
    for (const int64_t d : given[1].toIntVector()) order.push_back(wrapped(d));
  } else if (name == "aten::transpose" && given.size() == 3 && given[1].isInt()) {
    for (int64_t d = 0; d < dims; ++d) order.push_back(d);
    std::swap(order[static_cast<size_t>(wrapped(given[1].toInt()))],
              order[static_cast<size_t>(wrapped(given[2].toInt()))]);
  }
  return order;
}

SIGHTGLASS_INLINE void AxisObserver::hold(const at::Tensor& tensor) { held_.emplace(key(tensor), TensorRef(tensor)); }

SIGHTGLASS_INLINE void AxisObserver::note(const at::Tensor& tensor, Axes axes) {
  if (axes != Axes::unknown && tensor.dim() >= 3) known_.emplace(key(tensor), axes);
}

SIGHTGLASS_INLINE Axes AxisObserver::behind(Axes axes, const Link& link) {
  if (axes == Axes::unknown) return axes;
  if (!link.order.empty()) {
    const int64_t channels = axes == Axes::channels_first ? 1 : static_cast<int64_t>(link.order.size()) - 1;
    if (link.order[0] != 0) return Axes::unknown;
    if (link.order[1] == channels) return Axes::channels_first;
    return link.order.back() == channels ? Axes::channels_last : Axes::unknown;
  }
  return keeps(axes, link.from_sizes, link.to_sizes) ? axes : Axes::unknown;
}

SIGHTGLASS_INLINE Axes AxisObserver::before(Axes axes, const Link& link) {
  if (link.order.empty()) return keeps(axes, link.to_sizes, link.from_sizes) ? axes : Axes::unknown;
  for (const Axes guess : {Axes::channels_first, Axes::channels_last}) {
    if (axes != Axes::unknown && behind(guess, link) == axes) return guess;
  }
  return Axes::unknown;
}

SIGHTGLASS_INLINE bool AxisObserver::keeps(Axes axes, const std::vector<int64_t>& one,
                                           const std::vector<int64_t>& other) {
  if (one[0] != other[0]) return false;
  if (axes == Axes::channels_first) return one[1] == other[1];
  return axes == Axes::channels_last && one.back() == other.back();
}

SIGHTGLASS_INLINE void AxisObserver::settle() {
  if (settled_ == links_.size()) return;
  settled_ = links_.size();
  for (int round = 0; round < 2; ++round) {
    for (const Link& link : links_) carry(link.from, link.to, [&](Axes axes) { return behind(axes, link); });
    for (auto link = links_.rbegin(); link != links_.rend(); ++link)
      carry(link->to, link->from, [&](Axes axes) { return before(axes, *link); });
  }
}

}  // namespace sightglass::detail
