#pragma once

#include "sightglass/hooks/detail/watch.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/trace/tracker.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE void check_can_be_watched(const std::vector<Layer>& layers) {
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

SIGHTGLASS_INLINE Watch::Watch(std::shared_ptr<Subscriber> subscriber, const Layer& layer, By by,
                               std::shared_ptr<Tracker> tracker)
    : subscriber_(std::move(subscriber)), tracker_(tracker != nullptr ? std::move(tracker) : Tracker::of_thread()) {
  const Place& place = layer.place();
  check_can_be_watched({layer});
  if (place.owner == nullptr || by == By::marks) {
    tracker_->subscribe(place.key, subscriber_);
  } else {
    tracker_->subscribe(place.owner, place.key, subscriber_);
  }
}

SIGHTGLASS_INLINE Watch& Watch::operator=(Watch&& other) noexcept {
  remove();
  subscriber_ = std::move(other.subscriber_);
  tracker_ = std::move(other.tracker_);
  return *this;
}

SIGHTGLASS_INLINE void Watch::remove() noexcept {
  if (subscriber_ == nullptr) return;
  subscriber_->remove();
  tracker_->note_removal();
  subscriber_.reset();
  tracker_.reset();
}

}  // namespace sightglass::detail
