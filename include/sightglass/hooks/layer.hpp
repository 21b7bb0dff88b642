#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <algorithm>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "sightglass/hooks/detail/module_like.hpp"
#include "sightglass/hooks/detail/place.hpp"

namespace sightglass {

/// A place in a model: what hooks, captures and `explain` are given.
///
/// From a handle (`net->layer4`), from an element of a `Sequential` (`net->layer4[1]`, a block of your own by name), or
/// by `layer(model, "name")`. Holds nothing of the model alive.
class Layer {
 public:
  /// A `torch::nn` handle, whose type says how the layer is called.
  template <class Impl>
  Layer(const torch::nn::ModuleHolder<Impl>& handle)  // NOLINT(google-explicit-constructor): a handle is a layer
      : Layer(handle.ptr()) {}

  /// The same for the shared pointer that a handle holds.
  template <class Impl, class = std::enable_if_t<std::is_base_of_v<torch::nn::Module, Impl>>>
  Layer(const std::shared_ptr<Impl>& module)  // NOLINT(google-explicit-constructor)
      : Layer(detail::made_known(module)) {}
  /// The same where only the base is known.
  Layer(const std::shared_ptr<torch::nn::Module>& module);  // NOLINT(google-explicit-constructor)

  /// For the mechanism below.
  explicit Layer(detail::Place place);

  /// The path in the model, such as `layer4.1.conv2`; the type's name where it was given by handle.
  const std::string& name() const;
  /// The class of the module, such as `torch::nn::Conv2dImpl`.
  const std::string& type() const;
  /// The module; null when it is gone, or belongs to a TorchScript model.
  std::shared_ptr<torch::nn::Module> module() const;

  /// True where the layer has no submodules.
  bool is_leaf() const;

  /// The same layer, of which `key` is looked at among the dictionary, list or tuple that it gives: `out`, `1`,
  /// `boxes.0`. For maps; hooks and captures see all outputs.
  Layer output(const std::string& key) const;
  /// The same by number, in the order in which outputs come.
  Layer output(size_t index) const;

  /// The same layer, of which call number `index` in a forward pass is looked at, from 0, where it runs several times:
  /// a shared encoder on either picture, a ReLU used twice. For maps, which else are of the last call; hooks and
  /// captures see all calls.
  Layer call(size_t index) const;

  /// Where the layer is in the stream of operations; for the mechanism below.
  const detail::Place& place() const { return *place_; }

 private:
  std::shared_ptr<const detail::Place> place_;
};

/// Makes the types of a user's own blocks known, so that blocks of these types are found by name (`layer(net,
/// "blocks.0.attn")`): `hookable<AttentionImpl, FeedForwardImpl>()`.
///
/// Not needed for LibTorch's own layers, children of a `Sequential`, or types given by handle before.
template <class... Impl>
void hookable() {
  static_assert(sizeof...(Impl) > 0, "hookable<BlockImpl, ...>(): name the types");
  (detail::KnownTypes::global().add<Impl>(), ...);
}

/// The layer called `name` in a `torch::nn` model: a handle, a shared pointer, or the module itself.
///
/// Throws `c10::Error` for an unknown name, with the nearest ones.
Layer layer(const std::shared_ptr<torch::nn::Module>& model, const std::string& name);
/// The same for whatever a model is given as.
template <class Model, class = std::enable_if_t<detail::is_module_like<Model>>>
Layer layer(const Model& model, const std::string& name) {
  return layer(detail::root_of(model), name);
}

/// The same for a block whose type is a user's own: `layer<AttentionImpl>(net, "blocks.0.attn")`.
template <class Impl, class Model, class = std::enable_if_t<detail::is_module_like<Model>>>
Layer layer(const Model& model, const std::string& name) {
  hookable<Impl>();
  return layer(model, name);
}

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/hooks/layer_inl.hpp"
#endif
