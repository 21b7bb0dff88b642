#pragma once

#include "sightglass/hooks/detail/capture_store.hpp"

#include <utility>

#include "sightglass/inline.hpp"
#include "sightglass/trace/gradient.hpp"
#include "sightglass/trace/structure.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE CaptureStore::CaptureStore(std::string name, std::string remedy, const CaptureOptions& options,
                                             std::weak_ptr<Tracker> tracker)
    : name_(std::move(name)), remedy_(std::move(remedy)), options_(options), tracker_(std::move(tracker)) {}

SIGHTGLASS_INLINE at::Tensor CaptureStore::enter(size_t index, const at::Tensor& input, Arrival /*arrival*/) {
  if (entering_.size() <= index) entering_.resize(index + 1);
  entering_[index] = hold(input);
  return input;
}

SIGHTGLASS_INLINE void CaptureStore::leave(const Tensors& inputs, Tensors& outputs) {
  StoredCall call;
  call.keys = std::exchange(keys_, {});
  entering_.resize(inputs.size());
  call.inputs = std::exchange(entering_, {});
  call.gradients.resize(outputs.size());
  const std::lock_guard<std::mutex> lock(mutex_);
  if (options_.keep() == Keep::last) {
    first_ += calls_.size();
    calls_.clear();
  }
  const size_t number = first_ + calls_.size();
  for (size_t i = 0; i < outputs.size(); ++i) {
    call.outputs.push_back(outputs[i].defined() ? hold(outputs[i]) : at::Tensor());
    if (!outputs[i].defined() || !outputs[i].requires_grad()) continue;
    call.has_graph = true;
    on_output_gradient(outputs[i], [weak = weak_from_this(), number, i](const at::Tensor& gradient) {
      if (const auto alive = weak.lock()) alive->note_gradient(number, i, gradient);
    });
  }
  missed_.reset();
  read_elsewhere_.reset();
  calls_.push_back(std::move(call));
}

SIGHTGLASS_INLINE void CaptureStore::miss(const std::string& why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  missed_ = why;
}

SIGHTGLASS_INLINE void CaptureStore::read_elsewhere(const std::string& why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!read_elsewhere_) read_elsewhere_ = why;
}

SIGHTGLASS_INLINE void CaptureStore::about_to_change(const void* storage) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto save = [&](Tensors& tensors) {
    for (at::Tensor& tensor : tensors) {
      if (tensor.defined() && storage_of(tensor) == storage) tensor = tensor.clone();
    }
  };
  save(entering_);
  for (StoredCall& call : calls_) {
    save(call.inputs);
    save(call.outputs);
  }
}

SIGHTGLASS_INLINE void CaptureStore::settle() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto copy = [](Tensors& tensors) {
    for (at::Tensor& tensor : tensors) {
      if (tensor.defined() && tensor.has_storage() && tensor.storage().use_count() > 1) tensor = tensor.clone();
    }
  };
  for (StoredCall& call : calls_) {
    copy(call.inputs);
    copy(call.outputs);
  }
}

SIGHTGLASS_INLINE std::vector<CaptureStore::StoredCall> CaptureStore::calls() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  TORCH_CHECK(!missed_, "capture of layer \"", name_, "\": its latest call could not be followed: ", *missed_,
              advice());
  TORCH_CHECK(!calls_.empty() || !read_elsewhere_, "capture of layer \"", name_,
              "\": the layer has not run since the capture was made on this thread: ", *read_elsewhere_);
  TORCH_CHECK(
      !calls_.empty(), "capture of layer \"", name_,
      "\": the layer has not run since the capture was made on this thread, or has run without reading any of its "
      "parameters",
      remedy_.empty() ? "" : " (then " + remedy_ + ")",
      "; a capture made inside a c10::InferenceMode or autocast scope ends with that scope: make it before");
  return calls_;
}

SIGHTGLASS_INLINE at::Tensor CaptureStore::first(const Tensors& tensors, const char* what) const {
  TORCH_CHECK(!tensors.empty(), "capture of layer \"", name_, "\": it has no ", what, " that is a tensor");
  TORCH_CHECK(tensors.front().defined(), "capture of layer \"", name_, "\": its ", what,
              " could not be had: it was gone, or written in place, before the layer could be recognised");
  return tensors.front();
}

SIGHTGLASS_INLINE size_t CaptureStore::index_of(const StoredCall& call, const std::string& key) const {
  return index_of_output("capture of layer \"" + name_ + "\"", call.keys, call.outputs.size(), key);
}

SIGHTGLASS_INLINE at::Tensor CaptureStore::gradient_of(const StoredCall& call, size_t output) const {
  TORCH_CHECK(call.has_graph, "capture of layer \"", name_,
              "\": its output has no gradient; run the model with gradients on (no NoGradGuard) and an input or "
              "parameters that require them");
  TORCH_CHECK(call.gradients.at(output).defined(), "capture of layer \"", name_,
              "\": no backward pass has reached it yet");
  return call.gradients[output];
}

SIGHTGLASS_INLINE at::Tensor CaptureStore::hold(const at::Tensor& value) {
  at::Tensor held = options_.graph() == Graph::detached ? value.detach() : value;
  if (options_.storage() == Storage::cpu && !held.is_cpu()) return held.to(at::kCPU);
  if (const auto tracker = tracker_.lock()) tracker->keep(held, shared_from_this());
  return held;
}

SIGHTGLASS_INLINE void CaptureStore::note_gradient(size_t number, size_t output, const at::Tensor& gradient) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (number < first_ || number - first_ >= calls_.size()) return;
  at::Tensor held = options_.graph() == Graph::detached ? gradient.detach() : gradient;
  if (options_.storage() == Storage::cpu) held = held.to(at::kCPU);
  calls_[number - first_].gradients[output] = std::move(held);
}

}  // namespace sightglass::detail
