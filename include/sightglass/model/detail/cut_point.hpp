#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/hooks/layer.hpp"
#include "sightglass/trace/elision.hpp"
#include "sightglass/trace/gradient.hpp"
#include "sightglass/trace/observers/axes.hpp"
#include "sightglass/trace/structure.hpp"
#include "sightglass/trace/tracker.hpp"
#include "sightglass/trace/scopes.hpp"

/// What stands at a layer while a model runs: where a graph begins, or where other activations are put in.
namespace sightglass::detail {

/// Which of a layer's outputs is meant: `wanted`, or the first that a map can be made of.
inline size_t chosen_of(const std::string& layer, const std::string& wanted, const std::vector<at::Tensor>& outputs,
                        std::vector<std::string> keys) {
  TORCH_CHECK(!outputs.empty(), "layer \"", layer,
              "\": it gives no tensor (a trace keeps none for a layer that only passes its input through); take the "
              "layer before it");
  if (!wanted.empty()) {
    return index_of_output("layer \"" + layer + "\"", std::move(keys), outputs.size(), wanted);
  }
  const auto serves = [](const at::Tensor& y) { return y.defined() && y.is_floating_point() && y.dim() >= 3; };
  const auto first = std::find_if(outputs.begin(), outputs.end(), serves);
  return first == outputs.end() ? 0 : static_cast<size_t>(first - outputs.begin());
}

/// Stands at a layer during a pass: there the graph begins, and there the activations are kept.
class CutPoint final : public Subscriber, public Keeper, public std::enable_shared_from_this<CutPoint> {
 public:
  /// `number`: which of a pass's cuts it is.
  CutPoint(const Layer& layer, size_t number, std::weak_ptr<Tracker> tracker)
      : name_(layer.name()),
        wanted_(layer.place().output),
        remedy_(layer.place().remedy()),
        number_(number),
        tracker_(std::move(tracker)) {}

  bool wants_inputs() const override { return false; }
  void keys(const std::vector<std::string>& paths) override { keys_ = paths; }

  void leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) override {
    ++calls_;
    at::Tensor& y = outputs.at(chosen_of(name_, wanted_, outputs, std::exchange(keys_, {})));
    const at::Tensor given = y;
    TORCH_CHECK(y.defined() && y.is_floating_point(), "layer \"", name_, "\": its output is ",
                y.defined() ? c10::str("of type ", y.scalar_type()) : std::string("undefined"),
                "; a floating-point one is needed",
                y.defined() && y.is_quantized() ? ", and this model is quantised: export it before quantisation" : "");
    // A view made without gradients may not be written in place once they are on; the same memory under a tensor of its
    // own may.
    if (!y.requires_grad() && y.is_view()) y = y.variable_data();
    make_graph_from_here();
    handle_ = begin_graph(y);
    activations_ = y.detach();
    made_ = TensorRef(given);
    handed_on_ = TensorRef(y);
    if (const auto tracker = tracker_.lock()) {
      tracker->keep(activations_, shared_from_this());
      if (Tape* const tape = tracker->tape()) tape->pass(number_, given, y);
    }
  }

  void miss(const std::string& why) override { missed_ = why; }

  void about_to_change(const void* /*storage*/) override {
    const NoGraph no_graph;
    activations_ = activations_.clone();
  }

  const std::string& name() const { return name_; }
  /// How often the layer ran; the last call is kept.
  size_t calls() const { return calls_; }
  /// What gradients are asked for.
  const at::Tensor& handle() const { return handle_; }
  const at::Tensor& activations() const { return activations_; }
  /// What is known of the layer's output, by whoever made it or read it.
  Axes axes(AxisObserver& observer) const {
    if (!made_) return Axes::unknown;
    const Axes made = observer.axes_of(made_->impl());
    return made != Axes::unknown ? made : observer.axes_of(handed_on_->impl());
  }

  void check() const {
    TORCH_CHECK(handle_.defined(), "layer \"", name_, "\": ",
                missed_.empty() ? std::string("it did not run in the model's forward")
                                : "its call could not be followed: " + missed_ + "; " + remedy_);
    TORCH_CHECK(activations_.dim() >= 3 && activations_.dim() <= 5, "layer \"", name_, "\": its output is ",
                activations_.sizes(),
                "; a map needs [N, C, *S] with one to three spatial dimensions (sightglass::suggest_layer finds the "
                "last such layer)");
  }

 private:
  std::string name_;
  std::string wanted_;
  std::string remedy_;
  std::vector<std::string> keys_;  ///< of the outputs of the call that ends next
  size_t number_;
  size_t calls_ = 0;
  std::weak_ptr<Tracker> tracker_;
  at::Tensor handle_;
  at::Tensor activations_;
  std::optional<TensorRef> made_;
  std::optional<TensorRef> handed_on_;
  std::string missed_;
};

/// Stands at a layer during a pass whose activations there are given, at one of its calls.
class Replacement final : public Subscriber {
 public:
  /// `call`: which call of the layer, from 1.
  Replacement(const Layer& layer, at::Tensor activations, size_t call)
      : name_(layer.name()),
        wanted_(layer.place().output),
        activations_(std::move(activations)),
        calls_before_(call - 1) {}

  bool wants_inputs() const override { return false; }
  void keys(const std::vector<std::string>& paths) override { keys_ = paths; }
  void leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) override {
    const std::vector<std::string> keys = std::exchange(keys_, {});
    if (replaced_ || calls_before_ > 0) {
      calls_before_ -= replaced_ ? 0 : 1;
      return;
    }
    at::Tensor& y = outputs.at(chosen_of(name_, wanted_, outputs, keys));
    TORCH_CHECK(y.sizes() == activations_.sizes(), "activations: got ", activations_.sizes(), ", the layer gives ",
                y.sizes());
    y = activations_;
    replaced_ = true;
  }
  void miss(const std::string& why) override { missed_ = why; }
  void check() const {
    TORCH_CHECK(replaced_, "layer \"", name_, "\": its activations could not be replaced: ",
                missed_.empty() ? std::string("it did not run") : missed_);
  }

 private:
  std::string name_;
  std::string wanted_;
  std::vector<std::string> keys_;
  at::Tensor activations_;
  size_t calls_before_;
  bool replaced_ = false;
  std::string missed_;
};

}  // namespace sightglass::detail
