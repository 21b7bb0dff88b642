#pragma once

#include "sightglass/model/detail/cut_point.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE size_t chosen_of(const std::string& layer, const std::optional<std::string>& wanted,
                                   const std::vector<at::Tensor>& outputs, std::vector<std::string> keys) {
  TORCH_CHECK(!outputs.empty(), "layer \"", layer,
              "\": it gives no tensor (a trace keeps none for a layer that only passes its input through); take the "
              "layer before it");
  if (wanted) return index_of_output("layer \"" + layer + "\"", std::move(keys), outputs.size(), *wanted);
  const auto serves = [](const at::Tensor& y) { return y.defined() && y.is_floating_point() && y.dim() >= 3; };
  const auto first = std::find_if(outputs.begin(), outputs.end(), serves);
  return first == outputs.end() ? 0 : static_cast<size_t>(first - outputs.begin());
}

SIGHTGLASS_INLINE CutPoint::CutPoint(const Layer& layer, size_t number, std::weak_ptr<Tracker> tracker)
    : name_(layer.name()),
      wanted_(layer.place().output),
      chosen_(layer.place().call),
      remedy_(layer.place().remedy()),
      number_(number),
      tracker_(std::move(tracker)) {}

SIGHTGLASS_INLINE void CutPoint::leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) {
  const std::vector<std::string> keys = std::exchange(keys_, {});
  const size_t number = calls_++;
  if (number != chosen_.value_or(number)) return;
  at::Tensor& y = outputs.at(chosen_of(name_, wanted_, outputs, keys));
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

SIGHTGLASS_INLINE void CutPoint::about_to_change(const void* /*storage*/) {
  const NoGraph no_graph;
  activations_ = activations_.clone();
}

SIGHTGLASS_INLINE Axes CutPoint::axes(AxisObserver& observer) const {
  if (!made_) return Axes::unknown;
  const Axes made = observer.axes_of(made_->impl());
  return made != Axes::unknown ? made : observer.axes_of(handed_on_->impl());
}

SIGHTGLASS_INLINE void CutPoint::check() const {
  const bool ran_before = calls_ > 0 && chosen_.value_or(0) >= calls_;
  TORCH_CHECK(!ran_before || missed_, "layer \"", name_, "\": got call ", chosen_.value_or(0), ", it ran ",
              calls_ == 1 ? "once: call 0" : c10::str(calls_, " times: call 0 to ", calls_ - 1));
  TORCH_CHECK(handle_.defined(), "layer \"", name_, "\": ",
              missed_ ? "its call could not be followed: " + *missed_ + "; " + remedy_
                      : "it did not run in the model's forward");
  TORCH_CHECK(activations_.dim() >= 3 && activations_.dim() <= 5, "layer \"", name_, "\": its output is ",
              activations_.sizes(),
              "; a map needs [N, C, *S] with one to three spatial dimensions (sightglass::suggest_layer finds the "
              "last such layer)");
}

SIGHTGLASS_INLINE Replacement::Replacement(const Layer& layer, at::Tensor activations, size_t call)
    : name_(layer.name()), wanted_(layer.place().output), activations_(std::move(activations)), calls_before_(call) {}

SIGHTGLASS_INLINE void Replacement::leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) {
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

SIGHTGLASS_INLINE void Replacement::check() const {
  TORCH_CHECK(replaced_, "layer \"", name_,
              "\": its activations could not be replaced: ", missed_.value_or("it did not run"));
}

}  // namespace sightglass::detail
