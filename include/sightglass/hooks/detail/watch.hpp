#pragma once

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/hooks/layer.hpp"
#include "sightglass/trace/tracker.hpp"

namespace sightglass::detail {

/// Throws where a layer cannot be watched from outside, with the reasons of all of them and one line that makes all
/// unknown types known.
inline void check_can_be_watched(const std::vector<Layer>& layers) {
  std::vector<std::string> reasons;
  std::vector<std::string> types;
  for (const Layer& layer : layers) {
    const Place& place = layer.place();
    if (place.problem.empty()) continue;
    reasons.push_back("layer \"" + place.name + "\" (" + place.type +
                      ") cannot be watched from outside: " + place.problem);
    const bool known = std::find(types.begin(), types.end(), place.unknown_type) != types.end();
    if (!place.unknown_type.empty() && !known) types.push_back(place.unknown_type);
  }
  if (reasons.empty()) return;
  std::string message = c10::Join("\n", reasons);
  if (reasons.size() > 1 && !types.empty())
    message += "\nthis makes all of these types known: sightglass::hookable<" + c10::Join(", ", types) + ">();";
  TORCH_CHECK(false, message);
}

/// What every guard holds: one subscriber at one layer, from construction to `remove()`.
class Watch {
 public:
  /// How the layer's calls are told: by the stream of operations, or by marks that a run of our own sets.
  enum class By { operations, marks };

  Watch(std::shared_ptr<Subscriber> subscriber, const Layer& layer, By by = By::operations,
        std::shared_ptr<Tracker> tracker = Tracker::of_thread())
      : subscriber_(std::move(subscriber)), tracker_(std::move(tracker)) {
    const Place& place = layer.place();
    check_can_be_watched({layer});
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
