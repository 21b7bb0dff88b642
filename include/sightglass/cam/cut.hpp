#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/cam/model.hpp"
#include "sightglass/trace/gradient.hpp"

namespace sightglass {

/// What a method is given: a layer's activations and what goes with them, for one target.
///
/// Tensors are in float32 for half and bfloat16 models, in float64 for float64, on the activations' device.
class Cut {
 public:
  /// `[N, C, *S]`, S one to three spatial dimensions: the layer's output as it left the layer.
  at::Tensor activations() const { return activations_; }
  /// `[N, C, *S]`: gradients of the target's score with respect to the activations; one backward pass for all layers.
  at::Tensor gradients() const {
    if (!gradients_->defined()) *gradients_ = compute_gradients_();
    return *gradients_;
  }
  /// `[N]`: the target's score.
  at::Tensor scores() const { return scores_; }
  /// `[N]` int64: the target's class; -1 where it is no class.
  at::Tensor classes() const { return classes_; }
  /// True where the target is a class; known without looking at the device's numbers.
  bool has_class() const { return has_class_; }
  /// The model's output.
  at::Tensor output() const { return output_; }
  const Model& model() const { return *model_; }
  const std::string& layer_name() const { return layer_name_; }
  /// True once a method has asked for gradients.
  bool used_gradients() const { return gradients_->defined(); }

 private:
  friend class Pass;
  at::Tensor activations_;
  at::Tensor scores_;
  at::Tensor classes_;
  bool has_class_ = false;
  at::Tensor output_;
  const Model* model_ = nullptr;
  std::string layer_name_;
  std::shared_ptr<at::Tensor> gradients_ = std::make_shared<at::Tensor>();
  std::function<at::Tensor()> compute_gradients_;
};

namespace detail {

/// The dtype in which maps are computed.
inline at::ScalarType map_dtype(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

/// Stands at a layer during a pass: there the graph begins, and there the activations are kept.
class CutPoint final : public Subscriber, public Keeper, public std::enable_shared_from_this<CutPoint> {
 public:
  CutPoint(std::string name, std::weak_ptr<Tracker> tracker) : name_(std::move(name)), tracker_(std::move(tracker)) {}

  bool wants_inputs() const override { return false; }

  void leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) override {
    at::Tensor& y = outputs.front();
    TORCH_CHECK(y.defined() && y.is_floating_point(), "layer \"", name_, "\": its output is ",
                y.defined() ? c10::str("of type ", y.scalar_type()) : std::string("undefined"),
                "; a floating-point one is needed");
    // A view made without gradients may not be written in place once they are on; the same memory under a tensor of its
    // own may.
    if (!y.requires_grad() && y.is_view()) y = y.variable_data();
    at::GradMode::set_enabled(true);
    handle_ = begin_graph(y);
    activations_ = y.detach();
    if (const auto tracker = tracker_.lock()) tracker->keep(activations_, shared_from_this());
  }

  void miss(const std::string& why) override { missed_ = why; }

  void about_to_change(const void* /*storage*/) override {
    const at::NoGradGuard no_gradients;
    activations_ = activations_.clone();
  }

  const std::string& name() const { return name_; }
  /// What gradients are asked for.
  const at::Tensor& handle() const { return handle_; }
  const at::Tensor& activations() const { return activations_; }

  void check() const {
    TORCH_CHECK(handle_.defined(), "layer \"", name_, "\": ",
                missed_.empty()
                    ? std::string("it did not run in the model's forward")
                    : "its call could not be followed: " + missed_ +
                          "; make the member a sightglass::Hooked<...> or put a sightglass::HookPoint beside it");
    TORCH_CHECK(activations_.dim() >= 3 && activations_.dim() <= 5, "layer \"", name_, "\": its output is ",
                activations_.sizes(),
                "; a map needs [N, C, *S] with one to three spatial dimensions (sightglass::suggest_layer finds the "
                "last such layer)");
  }

 private:
  std::string name_;
  std::weak_ptr<Tracker> tracker_;
  at::Tensor handle_;
  at::Tensor activations_;
  std::string missed_;
};

}  // namespace detail

}  // namespace sightglass
