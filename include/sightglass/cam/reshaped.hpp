#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <utility>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/methods/grad_cam.hpp"
#include "sightglass/model/reshape.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass {

namespace detail {

inline Cut reshaped(const Cut& cut, const Reshape& reshape);

/// A cut whose activations are seen in another shape.
class ReshapedSource final : public CutSource {
 public:
  ReshapedSource(Cut inner, Reshape reshape) : inner_(std::move(inner)), reshape_(std::move(reshape)) {}

  at::Tensor gradients() override { return reshape_.to_maps(inner_.gradients()); }
  at::Tensor hessian_times(const at::Tensor& vector) override {
    return reshape_.to_maps(inner_.hessian_times(back(vector, at::zeros_like(inner_.activations()))));
  }
  at::Tensor input() override { return inner_.input(); }
  Target target() override { return inner_.target(); }
  Cut with_target(const Target& target) override { return reshaped(inner_.with_target(target), reshape_); }
  Cut again(const at::Tensor& input, const at::Tensor& images) override {
    return reshaped(inner_.again(input, images), reshape_);
  }
  at::Tensor scores_of(const at::Tensor& input, const at::Tensor& images) override {
    return inner_.scores_of(input, images);
  }
  at::Tensor scores_with(const at::Tensor& activations, const at::Tensor& images) override {
    return inner_.scores_with(back_for(activations, images), images);
  }
  at::Tensor output_with(const at::Tensor& activations, const at::Tensor& images) override {
    return inner_.output_with(back_for(activations, images), images);
  }
  at::Tensor input_gradients(const at::Tensor& input, const at::Tensor& images) override {
    return inner_.input_gradients(input, images);
  }

 private:
  at::Tensor back_for(const at::Tensor& maps, const at::Tensor& images) const {
    const at::Tensor own = inner_.activations();
    return back(maps, own.index_select(0, moved_to(own.device(), images))).contiguous();
  }
  at::Tensor back(const at::Tensor& maps, const at::Tensor& output) const {
    TORCH_CHECK(reshape_.to_output != nullptr,
                "reshape: this method changes activations and runs the model on, which needs Reshape::to_output too");
    return reshape_.to_output(maps, output);
  }

  Cut inner_;
  Reshape reshape_;
};

/// Whatever shape `seen` has been given before, `reshape` starts from the layer's own.
inline Cut reshaped(const Cut& seen, const Reshape& reshape) {
  const Cut cut = seen.as_given();
  return cut.seen_as(reshape.to_maps(cut.activations()).contiguous(), std::make_shared<ReshapedSource>(cut, reshape));
}

}  // namespace detail

/// Any method on the tokens of a transformer, seen as you say: `Reshaped<LayerCam>{{}, Reshape::tokens(14, 14)}`.
/// Needed where a pass cannot tell the layout by itself.
template <class Method = GradCam>
struct Reshaped {
  Method method = {};
  Reshape reshape;
  static constexpr Tail tail = detail::tail_for<Method>;

  at::Tensor operator()(const Cut& cut) const { return method(detail::reshaped(cut, reshape)); }
};

}  // namespace sightglass
