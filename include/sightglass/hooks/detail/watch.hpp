#pragma once

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/hooks/layer.hpp"

namespace sightglass::detail {

class Subscriber;
class Tracker;

/// Throws where a layer cannot be watched from outside, with the reasons of all of them and one line that makes all
/// unknown types known.
void check_can_be_watched(const std::vector<Layer>& layers);

/// What every guard holds: one subscriber at one layer, from construction to `remove()`.
class Watch {
 public:
  /// How the layer's calls are told: by the stream of operations, or by marks that a run of our own sets.
  enum class By { operations, marks };

  /// `tracker`: this thread's unless another is given.
  Watch(std::shared_ptr<Subscriber> subscriber, const Layer& layer, By by = By::operations,
        std::shared_ptr<Tracker> tracker = nullptr);
  Watch(Watch&&) noexcept = default;
  Watch& operator=(Watch&& other) noexcept;
  ~Watch() { remove(); }

  void remove() noexcept;

  bool active() const { return subscriber_ != nullptr; }

 private:
  std::shared_ptr<Subscriber> subscriber_;
  std::shared_ptr<Tracker> tracker_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/hooks/detail/watch_inl.hpp"
#endif
