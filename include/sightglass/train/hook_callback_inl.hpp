#pragma once

#include "sightglass/train/hook_callback.hpp"

#include "sightglass/inline.hpp"

namespace sightglass {

SIGHTGLASS_INLINE HookCallbackOptions& HookCallbackOptions::layers(WatchedLayers value) {
  return layers_ = std::move(value), *this;
}

SIGHTGLASS_INLINE void HookCallback::before_fit(int64_t first_batch) {
  remove();
  batches_.start_at(first_batch);
}

SIGHTGLASS_INLINE void HookCallback::after_fit() {
  batches_.drop();
  if (options_.at_end() == AtEnd::keep) kept_ = watch();
}

SIGHTGLASS_INLINE HookCallback::HookCallback(const std::shared_ptr<torch::nn::Module>& root, Function function,
                                             const HookCallbackOptions& options, int)
    : options_(options),
      function_(std::move(function)),
      layers_(options.layers().of(root)),
      batches_(
          options.every(), [root] { return root->is_training(); }, [this] { return watch(); }) {}

SIGHTGLASS_INLINE std::shared_ptr<void> HookCallback::watch() {
  return options_.direction() == Direction::forward ? std::shared_ptr<void>(forward_hooks())
                                                    : std::shared_ptr<void>(backward_hooks());
}

SIGHTGLASS_INLINE std::shared_ptr<std::vector<ForwardHook>> HookCallback::forward_hooks() {
  auto hooks = std::make_shared<std::vector<ForwardHook>>();
  using Tensors = std::vector<at::Tensor>;
  for (size_t i = 0; i < layers_.size(); ++i) {
    hooks->emplace_back(layers_[i],
                        [this, i](const Layer&, const Tensors& in, const Tensors& out) { tell(i, in, out); });
  }
  return hooks;
}

SIGHTGLASS_INLINE std::shared_ptr<std::vector<BackwardHook>> HookCallback::backward_hooks() {
  auto hooks = std::make_shared<std::vector<BackwardHook>>();
  for (size_t i = 0; i < layers_.size(); ++i) {
    hooks->emplace_back(layers_[i], [this, i](const Layer&, const at::Tensor& in, const at::Tensor& out) {
      const detail::Unwatched unwatched;
      tell(i, {in}, {out});
    });
  }
  return hooks;
}

SIGHTGLASS_INLINE void HookCallback::tell(size_t index, std::vector<at::Tensor> inputs,
                                          std::vector<at::Tensor> outputs) {
  for (auto* const tensors : {&inputs, &outputs}) {
    for (at::Tensor& tensor : *tensors) {
      if (!tensor.defined()) continue;
      if (options_.graph() == Graph::detached) tensor = tensor.detach();
      if (options_.storage() == Storage::cpu) tensor = tensor.to(at::kCPU);
    }
  }
  function_({layers_[index], index, batches_.number(), std::move(inputs), std::move(outputs)});
}

}  // namespace sightglass
