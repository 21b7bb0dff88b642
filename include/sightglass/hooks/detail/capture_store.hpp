#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sightglass/hooks/capture.hpp"
#include "sightglass/inline.hpp"
#include "sightglass/trace/subscriber.hpp"
#include "sightglass/trace/tracker.hpp"

namespace sightglass::detail {

/// What a `Capture` has seen; kept up to date by the tracker of its thread.
class CaptureStore final : public Subscriber, public Keeper, public std::enable_shared_from_this<CaptureStore> {
 public:
  using Tensors = std::vector<at::Tensor>;
  struct StoredCall : Capture::Call {
    bool has_graph = false;
  };

  /// `remedy`: what to do where the layer cannot be followed.
  CaptureStore(std::string name, std::string remedy, const CaptureOptions& options, std::weak_ptr<Tracker> tracker);

  SIGHTGLASS_INLINE at::Tensor enter(size_t index, const at::Tensor& input, Arrival /*arrival*/) override;

  void keys(const std::vector<std::string>& paths) override { keys_ = paths; }

  SIGHTGLASS_INLINE void leave(const Tensors& inputs, Tensors& outputs) override;

  SIGHTGLASS_INLINE void miss(const std::string& why) override;

  SIGHTGLASS_INLINE void read_elsewhere(const std::string& why) override;

  SIGHTGLASS_INLINE void about_to_change(const void* storage) override;

  /// From now on nobody tells of writes: what others can write is copied.
  void settle();

  /// The calls kept so far; throws when there is none, or the latest could not be followed.
  std::vector<StoredCall> calls() const;
  StoredCall last() const { return calls().back(); }

  /// The first of `tensors`, which are the last call's `what`.
  at::Tensor first(const Tensors& tensors, const char* what) const;
  /// The number of the output that `key` names.
  size_t index_of(const StoredCall& call, const std::string& key) const;
  at::Tensor gradient_of(const StoredCall& call, size_t output) const;

  const std::string& name() const { return name_; }

 private:
  at::Tensor hold(const at::Tensor& value);

  void note_gradient(size_t number, size_t output, const at::Tensor& gradient);

  std::string advice() const { return remedy_.empty() ? "" : "; " + remedy_; }

  std::string name_;
  std::string remedy_;
  CaptureOptions options_;
  std::weak_ptr<Tracker> tracker_;
  mutable std::mutex mutex_;
  Tensors entering_;
  std::vector<std::string> keys_;  ///< of the outputs of the call that ends next
  std::vector<StoredCall> calls_;
  size_t first_ = 0;                           ///< number of the first call kept
  std::optional<std::string> missed_;          ///< why the latest call could not be followed
  std::optional<std::string> read_elsewhere_;  ///< what else read a parameter of the layer, before its first call
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/hooks/detail/capture_store_inl.hpp"
#endif
