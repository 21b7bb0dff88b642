#pragma once

#include <memory>
#include <utility>

#include "sightglass/hooks/layer.hpp"
#include "sightglass/trace/tracker.hpp"

namespace sightglass::detail {

/// What every guard holds: one subscriber at one layer, from construction to `remove()`.
class Watch {
 public:
  /// How the layer's calls are told: by the stream of operations, or by marks that a run of our own sets.
  enum class By { operations, marks };

  Watch(std::shared_ptr<Subscriber> subscriber, const Layer& layer, By by = By::operations)
      : subscriber_(std::move(subscriber)), tracker_(Tracker::of_thread()) {
    const Place& place = layer.place();
    TORCH_CHECK(place.problem.empty(), "layer \"", place.name, "\" (", place.type,
                ") cannot be watched from outside: ", place.problem);
    if (place.owner == nullptr || by == By::marks) {
      tracker_->subscribe(place.key, subscriber_);
    } else {
      tracker_->subscribe(place.owner, place.key, subscriber_);
    }
  }
  Watch(Watch&&) noexcept = default;
  Watch& operator=(Watch&& other) noexcept {
    remove();
    subscriber_ = std::move(other.subscriber_);
    tracker_ = std::move(other.tracker_);
    return *this;
  }
  ~Watch() { remove(); }

  void remove() noexcept {
    if (subscriber_ == nullptr) return;
    subscriber_->remove();
    tracker_->note_removal();
    subscriber_.reset();
    tracker_.reset();
  }

  bool active() const { return subscriber_ != nullptr; }

 private:
  std::shared_ptr<Subscriber> subscriber_;
  std::shared_ptr<Tracker> tracker_;
};

}  // namespace sightglass::detail
