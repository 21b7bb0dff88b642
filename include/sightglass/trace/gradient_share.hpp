#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "sightglass/trace/gradient.hpp"
#include "sightglass/trace/tensors.hpp"

/// The gradients at the two ends of a layer, of which the layer may be any: one that writes its input in place, or
/// returns it as it is.
namespace sightglass::detail {

/// Follows one call of a layer at a time. Its functions are called in the backward pass with the layer's own share of
/// the gradient with respect to its input, and the gradient with respect to its output.
class GradientShare {
 public:
  using Callback = std::function<void(const at::Tensor& grad_input, const at::Tensor& grad_output)>;

  GradientShare() = default;
  GradientShare(const GradientShare&) = delete;
  GradientShare& operator=(const GradientShare&) = delete;
  ~GradientShare() { drop(); }

  /// The layer begins to read `input`, which has a gradient; it goes on with what is returned.
  at::Tensor enter(const at::Tensor& input, const Callback& told);

  /// The layer has ended with `output`, which may be undefined.
  void leave(const at::Tensor& output, const Callback& told);

  /// The call did not come to its end.
  void drop();

 private:
  /// What the functions in the graph share; it holds no tensor of the graph, which would hold itself.
  struct Shared {
    void tell_input(const at::Tensor& gradient, const Callback& told);
    /// Nothing flowed back through the output: others of the layer have been used.
    at::Tensor output_gradient();

    bool has_output = false;
    bool is_written = false;    ///< the input, by the layer
    bool is_passed_on = false;  ///< the output is the input
    ViewPart part;
    std::vector<int64_t> output_sizes;
    at::TensorOptions output_options;
    at::Tensor of_output;
  };

  std::shared_ptr<Shared> shared_;
  at::Tensor input_;
  uint32_t version_ = 0;
  std::vector<Detour> detours_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/gradient_share_inl.hpp"
#endif
