#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "sightglass/cam/model.hpp"
#include "sightglass/cam/target.hpp"
#include "sightglass/trace/axes.hpp"
#include "sightglass/trace/gradient.hpp"
#include "sightglass/trace/structure.hpp"

namespace sightglass {

class Cut;

/// Whether what lies behind a layer will be run again, with other activations.
enum class Tail { once, again };

namespace detail {

template <class Method, class = void>
constexpr Tail tail_for = Tail::once;
/// A method says so by `static constexpr Tail tail = Tail::again`.
template <class Method>
constexpr Tail tail_for<Method, std::void_t<decltype(Method::tail)>> = Method::tail;

/// What a cut asks of the pass that it was made by.
class CutSource {
 public:
  CutSource() = default;
  CutSource(const CutSource&) = delete;
  CutSource& operator=(const CutSource&) = delete;
  virtual ~CutSource() = default;
  virtual at::Tensor gradients() = 0;
  virtual at::Tensor hessian_times(const at::Tensor& vector) = 0;
  virtual at::Tensor input() = 0;
  virtual Target target() = 0;
  virtual Cut with_target(const Target& target) = 0;
  virtual Cut again(const at::Tensor& input, const at::Tensor& images) = 0;
  virtual at::Tensor scores_of(const at::Tensor& input, const at::Tensor& images) = 0;
  virtual at::Tensor scores_with(const at::Tensor& activations, const at::Tensor& images) = 0;
  virtual at::Tensor output_with(const at::Tensor& activations, const at::Tensor& images) = 0;
  virtual at::Tensor input_gradients(const at::Tensor& input, const at::Tensor& images) = 0;
};

}  // namespace detail

/// What a method is given: a layer's activations and what goes with them, for one target; and the means to run the
/// model again on what a method changes.
///
/// Tensors are in float32 for half and bfloat16 models, in float64 for float64, on the activations' device.
class Cut {
 public:
  /// `[N, C, *S]`, S one to three spatial dimensions: the layer's output as it left the layer; channels last and tokens
  /// are seen as maps. Throws where it cannot be told how.
  at::Tensor activations() const {
    TORCH_CHECK(problem_.empty(), "layer \"", layer_name_, "\": ", problem_);
    return activations_;
  }
  /// The cut with the layer's output in its own shape.
  Cut as_given() const {
    Cut given = given_ == nullptr ? *this : *given_;
    given.problem_.clear();
    return given;
  }
  /// `[N, C, *S]`: gradients of the target's score with respect to the activations; one backward pass for all layers.
  at::Tensor gradients() const {
    if (!gradients_->defined()) *gradients_ = source_->gradients();
    return *gradients_;
  }
  /// `[N, C, *S]`: the Hessian of the score with respect to the activations, times `vector` `[N, C, *S]`; 0 where the
  /// score is linear in them. A backward pass through the backward pass.
  at::Tensor hessian_times(const at::Tensor& vector) const { return source_->hessian_times(vector); }
  /// `[N]`: the target's score.
  at::Tensor scores() const { return scores_; }
  /// `[N]` int64: the target's class; -1 where it is no class.
  at::Tensor classes() const { return classes_; }
  /// True where the target is a class; known without looking at the device's numbers.
  bool has_class() const { return has_class_; }
  /// The model's output.
  at::Tensor output() const { return output_; }
  /// `[N, ...]`: what the model was given.
  at::Tensor input() const { return source_->input(); }
  Target target() const { return source_->target(); }

  /// The cut of the same pass for another target.
  Cut with_target(const Target& target) const { return source_->with_target(target); }
  /// The cut at the same layer of a pass on another input, `[M, ...]`, for the target of these images: row j was made
  /// from image `images[j]` (`[M]` int64).
  Cut again(const at::Tensor& input, const at::Tensor& images) const { return source_->again(input, images); }
  /// `[M]`: the target's scores for another input, without gradients.
  at::Tensor scores_of(const at::Tensor& input, const at::Tensor& images) const {
    return source_->scores_of(input, images);
  }
  /// `[M]`: the target's scores when the layer gives `activations` `[M, C, *S]` instead, without gradients.
  at::Tensor scores_with(const at::Tensor& activations, const at::Tensor& images) const {
    return source_->scores_with(activations, images);
  }
  /// `[M, ...]`: the model's output for the same.
  at::Tensor output_with(const at::Tensor& activations, const at::Tensor& images) const {
    return source_->output_with(activations, images);
  }
  /// `[M, ...]`: gradients of the target's scores with respect to another input.
  at::Tensor input_gradients(const at::Tensor& input, const at::Tensor& images) const {
    return source_->input_gradients(input, images);
  }

  /// The same cut with other activations, told by another source; for wrappers of methods.
  Cut seen_as(at::Tensor activations, std::shared_ptr<detail::CutSource> source) const {
    Cut other = *this;
    other.activations_ = std::move(activations);
    other.source_ = std::move(source);
    other.gradients_ = std::make_shared<at::Tensor>();
    other.given_ = std::make_shared<const Cut>(as_given());
    return other;
  }

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
  std::string problem_;               // why the layout cannot be told
  std::shared_ptr<const Cut> given_;  // where this one is seen in another shape
  std::shared_ptr<at::Tensor> gradients_ = std::make_shared<at::Tensor>();
  std::shared_ptr<detail::CutSource> source_;
  std::shared_ptr<const void> owner_;  // keeps the pass, where nobody else does
};

namespace detail {

/// The dtype in which maps are computed.
inline at::ScalarType map_dtype(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

/// Which of a layer's outputs is meant: `wanted`, or the first that a map can be made of.
inline size_t chosen_of(const std::string& layer, const std::string& wanted, const std::vector<at::Tensor>& outputs,
                        std::vector<std::string> keys) {
  TORCH_CHECK(!outputs.empty(), "layer \"", layer,
              "\": it gives no tensor (a trace keeps none for a layer that only passes its input through); take the "
              "layer before it");
  if (!wanted.empty()) {
    for (size_t i = keys.size(); i < outputs.size(); ++i) keys.push_back(std::to_string(i));
    const std::optional<size_t> index = index_of_path(keys, wanted);
    TORCH_CHECK(index.has_value(), "layer \"", layer, "\": it has no output \"", wanted, "\"; it gives ",
                quoted_list(keys));
    return *index;
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
    at::GradMode::set_enabled(true);
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
    const at::NoGradGuard no_gradients;
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

/// The output of a whole run of the model in which `layer` gives a copy of `activations` at its call number `call`.
inline at::Tensor forward_with(const Model& model, const at::Tensor& input, const Layer& layer,
                               const at::Tensor& activations, size_t call = 1) {
  const auto replacement = std::make_shared<Replacement>(layer, activations.clone(), call);
  const Watch watch = model.watch(replacement, layer);
  at::Tensor output = model.forward(input);
  replacement->check();
  return output;
}

}  // namespace detail

}  // namespace sightglass
