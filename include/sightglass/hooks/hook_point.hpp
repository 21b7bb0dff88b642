#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "sightglass/hooks/detail/place.hpp"

namespace sightglass {

/// A module that returns its input, and where hooks can look: `x = here->forward(x)` anywhere in a model's `forward`.
///
/// Registered as any other submodule, it has a name and no parameters. One thread-local read when nobody watches.
class HookPointImpl : public torch::nn::Module, public detail::Announcing {
 public:
  /// Returns `x`, or what a hook has put in its place.
  at::Tensor forward(at::Tensor x) {
    if (detail::listener() == nullptr) return x;
    std::vector<at::Tensor> values{std::move(x)};
    detail::announce(this, detail::Side::begin, values);
    detail::announce(this, detail::Side::end, values);
    return values.front();
  }
};
TORCH_MODULE(HookPoint);

}  // namespace sightglass
