#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/cam/model.hpp"

namespace sightglass {

/// A layer as it ran: its name, type and the shape of its output at its last call.
struct LayerInfo {
  std::string name;
  std::string type;
  std::vector<int64_t> shape;

  /// True where the output is `[N, C, *S]` with at least two places: what a map can be drawn of.
  bool is_spatial() const {
    int64_t places = 1;
    for (size_t d = 2; d < shape.size(); ++d) places *= shape[d];
    return shape.size() >= 3 && shape.size() <= 5 && places > 1;
  }
};

/// The layers of `model` that can be explained, in the order in which they end, from one forward pass.
///
/// `input` `[N, C, *S]`. Layers that do not run, or cannot be watched from outside, are left out.
inline std::vector<LayerInfo> layers(const Model& model, const at::Tensor& input) {
  class Note final : public detail::Subscriber {
   public:
    Note(const Layer& layer, std::vector<LayerInfo>& into) : layer_(layer), into_(into) {}
    bool wants_inputs() const override { return false; }
    void leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) override {
      const auto same = [&](const LayerInfo& info) { return info.name == layer_.name(); };
      into_.erase(std::remove_if(into_.begin(), into_.end(), same), into_.end());
      if (outputs.front().defined()) into_.push_back({layer_.name(), layer_.type(), outputs.front().sizes().vec()});
    }
    void miss(const std::string& /*why*/) override {}

   private:
    Layer layer_;
    std::vector<LayerInfo>& into_;
  };

  std::vector<LayerInfo> found;
  {
    const at::NoGradGuard no_gradients;
    std::vector<detail::Watch> watches;
    for (const Layer& layer : model.find_layers([](const Layer& candidate) { return candidate.place().problem.empty(); })) {
      watches.push_back(model.watch(std::make_shared<Note>(layer, found), layer));
    }
    model.forward(input);
  }
  return found;
}

/// The name of the last layer with a spatial output: the usual place for CAM and Grad-CAM.
///
/// A container is preferred to its last child, since both give the same; throws when there is none.
inline std::string suggest_layer(const Model& model, const at::Tensor& input) {
  const std::vector<LayerInfo> all = layers(model, input);
  const auto last = std::find_if(all.rbegin(), all.rend(), [](const LayerInfo& info) { return info.is_spatial(); });
  TORCH_CHECK(last != all.rend(), "model: none of its layers gives a spatial output [N, C, *S] for an input ", input.sizes());
  return last->name;
}

}  // namespace sightglass
