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

namespace detail {

/// Notes the shape of each output of its layer.
class ShapeNote final : public Subscriber {
 public:
  ShapeNote(const Layer& layer, std::vector<LayerInfo>& into) : name_(layer.name()), type_(layer.type()), into_(into) {}
  bool wants_inputs() const override { return false; }
  void leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) override {
    const auto same = [&](const LayerInfo& info) { return info.name == name_; };
    into_.erase(std::remove_if(into_.begin(), into_.end(), same), into_.end());
    if (outputs.front().defined()) into_.push_back({name_, type_, outputs.front().sizes().vec()});
  }
  void miss(const std::string& /*why*/) override {}

 private:
  std::string name_;
  std::string type_;
  std::vector<LayerInfo>& into_;
};

struct LayerList {
  std::vector<LayerInfo> layers;
  at::Tensor output;
};

inline LayerList run_and_list(const Model& model, const at::Tensor& input) {
  model.check_evaluation();
  LayerList list;
  const at::NoGradGuard no_gradients;
  std::vector<Watch> watches;
  for (const Layer& layer :
       model.find_layers([](const Layer& candidate) { return candidate.place().problem.empty(); })) {
    watches.push_back(model.watch(std::make_shared<ShapeNote>(layer, list.layers), layer));
  }
  list.output = model.forward(input);
  return list;
}

}  // namespace detail

/// The layers of `model` that can be explained, in the order in which they end, from one forward pass.
///
/// `input` `[N, C, *S]`. Layers that do not run, or cannot be watched from outside, are left out.
inline std::vector<LayerInfo> layers(const Model& model, const at::Tensor& input) {
  return detail::run_and_list(model, input).layers;
}

/// The name of the last layer with a spatial output: the usual place for CAM and Grad-CAM.
///
/// Its output has as many dimensions as the input, and is not yet a map of class scores (as many channels as the model
/// has classes). A container is preferred to its last child, and what is only passed through (dropout) is left out,
/// since both give the same. Throws when there is none.
inline std::string suggest_layer(const Model& model, const at::Tensor& input) {
  const detail::LayerList list = detail::run_and_list(model, input);
  const auto is_candidate = [&](const LayerInfo& info) {
    const bool passes_through =
        info.type.find("Dropout") != std::string::npos || info.type.find("Identity") != std::string::npos;
    const bool class_scores = list.output.dim() == 2 && info.shape.size() > 1 && info.shape[1] == list.output.size(1);
    return info.is_spatial() && static_cast<int64_t>(info.shape.size()) == input.dim() && !passes_through &&
           !class_scores;
  };
  const auto last = std::find_if(list.layers.rbegin(), list.layers.rend(), is_candidate);
  TORCH_CHECK(last != list.layers.rend(), "model: none of its layers gives a spatial output [N, C, *S] for an input ",
              input.sizes());
  return last->name;
}

}  // namespace sightglass
