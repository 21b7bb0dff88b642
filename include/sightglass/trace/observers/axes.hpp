#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/trace/history.hpp"
#include "sightglass/trace/interceptor.hpp"
#include "sightglass/trace/tensors.hpp"

/// Which of a tensor's dimensions are channels, told by the operations that make and read it.
namespace sightglass::detail {

/// `channels_first`: `[N, C, *S]`. `channels_last`: `[N, *S, C]`.
enum class Axes { unknown, channels_first, channels_last };

/// While it listens, notes what each operation says of its tensors: convolutions, pooling and batch norm have their
/// channels first, linear layers and layer norm last; permutations change it, and what keeps a shape keeps it.
class AxisObserver final : public Onlooker {
 public:
  AxisObserver() : Onlooker(thread_state().listener) {}

  SIGHTGLASS_INLINE void operation(const OperatorHandle& op, Stack& stack) override;

  /// What is known of `tensor`, which the run made or read, once the run has ended.
  Axes axes_of(const void* tensor);
  /// `*S` of what each convolution gave, in order.
  const std::vector<std::vector<int64_t>>& grids() const { return grids_; }

 private:
  struct Evidence {
    Axes of_input = Axes::unknown;
    Axes of_output = Axes::unknown;
  };
  /// What is known of one tensor tells of the other.
  struct Link {
    const void* from;
    const void* to;
    std::vector<int64_t> order;  ///< of a permutation; else empty
    std::vector<int64_t> from_sizes;
    std::vector<int64_t> to_sizes;
  };

  static const void* key(const at::Tensor& tensor) { return tensor.unsafeGetTensorImpl(); }
  static std::vector<int64_t> sizes(const at::Tensor& tensor);
  static bool starts(const std::string& name, const char* with) { return name.rfind(with, 0) == 0; }
  static bool is_convolution(const std::string& name);

  static Evidence evidence_of(const std::string& name, const std::vector<at::Tensor>& given, const OperatorHandle& op,
                              const Stack& stack);

  /// A mean, or a maximum, over places.
  static Axes of_reduction(int64_t dims, const OperatorHandle& op, const Stack& stack);

  static std::vector<int64_t> order_of(const std::string& name, const OperatorHandle& op, const Stack& stack);

  /// A weak hold, so that a dead tensor's address is not another's.
  void hold(const at::Tensor& tensor);
  void note(const at::Tensor& tensor, Axes axes);

  /// What `axes` of one end of a link are at its other end.
  static Axes behind(Axes axes, const Link& link);
  static Axes before(Axes axes, const Link& link);
  /// Where both shapes have the batch and the channels in the same places.
  static bool keeps(Axes axes, const std::vector<int64_t>& one, const std::vector<int64_t>& other);

  void settle();
  template <class Change>
  void carry(const void* from, const void* to, const Change& change) {
    const auto known = known_.find(from);
    if (known == known_.end() || known_.count(to) != 0) return;
    if (const Axes axes = change(known->second); axes != Axes::unknown) known_.emplace(to, axes);
  }

  std::unordered_map<const void*, Axes> known_;
  std::unordered_map<const void*, TensorRef> held_;
  std::vector<Link> links_;
  std::vector<std::vector<int64_t>> grids_;
  size_t settled_ = 0;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/observers/axes_inl.hpp"
#endif
