#pragma once

#include "sightglass/hooks/capture.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/hooks/detail/capture_store.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

SIGHTGLASS_INLINE Capture::Capture(const Layer& layer, const CaptureOptions& options)
    : store_(std::make_shared<detail::CaptureStore>(layer.name(), layer.place().remedy(), options,
                                                    detail::Tracker::of_thread())),
      watch_(store_, layer) {}

SIGHTGLASS_INLINE const std::string& Capture::name() const { return store_->name(); }

SIGHTGLASS_INLINE at::Tensor Capture::output() const { return store_->first(store_->last().outputs, "output"); }

SIGHTGLASS_INLINE at::Tensor Capture::output(size_t index) const { return output(std::to_string(index)); }

SIGHTGLASS_INLINE at::Tensor Capture::output(const std::string& key) const {
  const auto call = store_->last();
  return call.outputs.at(store_->index_of(call, key));
}

SIGHTGLASS_INLINE std::vector<std::string> Capture::keys() const { return store_->last().keys; }

SIGHTGLASS_INLINE std::vector<at::Tensor> Capture::outputs() const { return store_->last().outputs; }

SIGHTGLASS_INLINE at::Tensor Capture::input() const { return store_->first(store_->last().inputs, "input"); }

SIGHTGLASS_INLINE std::vector<at::Tensor> Capture::inputs() const { return store_->last().inputs; }

SIGHTGLASS_INLINE at::Tensor Capture::gradient() const { return store_->gradient_of(store_->last(), 0); }

SIGHTGLASS_INLINE at::Tensor Capture::gradient(size_t index) const { return gradient(std::to_string(index)); }

SIGHTGLASS_INLINE at::Tensor Capture::gradient(const std::string& key) const {
  const auto call = store_->last();
  return store_->gradient_of(call, store_->index_of(call, key));
}

SIGHTGLASS_INLINE std::vector<Capture::Call> Capture::calls() const {
  std::vector<Call> all;
  for (detail::CaptureStore::StoredCall& call : store_->calls()) all.push_back(std::move(call));
  return all;
}

SIGHTGLASS_INLINE void Capture::remove() {
  if (watch_.active()) {
    const detail::Unwatched unseen;
    store_->settle();
  }
  watch_.remove();
}

}  // namespace sightglass
