#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/methods/grad_cam.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass {

/// How the output of a transformer's layer is seen as activations `[N, C, *S]`, and back.
struct Reshape {
  /// From the layer's output to `[N, C, *S]`; works for gradients too.
  std::function<at::Tensor(const at::Tensor& output)> to_maps;
  /// Back: what `to_maps` leaves out (class tokens) is taken from `output`. Methods that run the rest of the model
  /// again need it, the others do not.
  std::function<at::Tensor(const at::Tensor& maps, const at::Tensor& output)> to_output = {};

  /// Tokens `[N, skip + height * width, C]`, row by row after `skip` class and register tokens (ViT: 1, with a
  /// distillation token 2).
  static Reshape tokens(int64_t height, int64_t width, int64_t skip = 1) { return tokens({height, width}, skip); }
  /// The same for a grid of one to three dimensions.
  static Reshape tokens(const std::vector<int64_t>& grid, int64_t skip) {
    const int64_t places = places_of(grid);
    TORCH_CHECK(skip >= 0, "skip: got ", skip);
    return {[=](const at::Tensor& output) {
              TORCH_CHECK(output.dim() == 3 && output.size(1) == skip + places, "tokens: got ", output.sizes(),
                          ", expected [N, ", skip, " + ", places, ", C]");
              return output.slice(1, skip).transpose(1, 2).unflatten(2, grid);
            },
            [=](const at::Tensor& maps, const at::Tensor& output) {
              return at::cat({output.slice(1, 0, skip), maps.flatten(2).transpose(1, 2)}, 1);
            }};
  }

  /// Places in a row, `[N, C, height * width]`.
  static Reshape flat(const std::vector<int64_t>& grid) {
    const int64_t places = places_of(grid);
    return {[=](const at::Tensor& output) {
              TORCH_CHECK(output.dim() == 3 && output.size(2) == places, "flat: got ", output.sizes(),
                          ", expected [N, C, ", places, "]");
              return output.unflatten(2, grid);
            },
            [](const at::Tensor& maps, const at::Tensor& /*output*/) { return maps.flatten(2); }};
  }

  /// `[N, *S, C]`, as Swin transformers have it.
  static Reshape channels_last() {
    return {[](const at::Tensor& output) { return output.movedim(-1, 1); },
            [](const at::Tensor& maps, const at::Tensor& /*output*/) { return maps.movedim(1, -1); }};
  }

 private:
  static int64_t places_of(const std::vector<int64_t>& grid) {
    int64_t places = 1;
    for (const int64_t length : grid) {
      TORCH_CHECK(length > 0, "grid: got ", at::IntArrayRef(grid), "; expected lengths above 0");
      places *= length;
    }
    return places;
  }
};

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
