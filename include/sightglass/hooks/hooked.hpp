#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "sightglass/hooks/place.hpp"

namespace sightglass {

namespace detail {

/// Runs `forward` between its two marks. One thread-local read when nobody watches.
template <class Result, class Run, class... Arguments>
Result announced(const torch::nn::Module* place, Run&& run, Arguments&&... arguments) {
  if (state().listener == nullptr) return run(std::forward<Arguments>(arguments)...);
  const auto announce_all = [&](Side side, auto&... values) {
    std::vector<at::Tensor> tensors;
    (flatten(values, tensors), ...);
    announce(place, side, tensors);
    return tensors;
  };
  const auto put_back = [](auto& value, const std::vector<at::Tensor>& tensors) {
    using Value = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<Value, at::Tensor> && !std::is_const_v<std::remove_reference_t<decltype(value)>>) {
      if (!tensors.empty()) value = tensors.front();
    }
  };
  std::tuple<std::decay_t<Arguments>...> own(std::forward<Arguments>(arguments)...);
  return std::apply(
      [&](auto&... values) {
        const std::vector<at::Tensor> inputs = announce_all(Side::begin, values...);
        if constexpr (sizeof...(values) > 0) put_back(std::get<0>(own), inputs);
        Result result = run(std::move(values)...);
        put_back(result, announce_all(Side::end, result));
        return result;
      },
      own);
}

template <class Impl, class Forward>
class HookedForward;

/// The same `forward` as `Impl` has, so that the module can be put into a `Sequential` too.
template <class Impl, class Owner, class Result, class... Arguments>
class HookedForward<Impl, Result (Owner::*)(Arguments...)> : public Impl, public Announcing {
 public:
  using Impl::Impl;
  Result forward(Arguments... arguments) {
    const auto run = [this](auto&&... values) -> Result {
      return Impl::forward(std::forward<decltype(values)>(values)...);
    };
    return announced<std::decay_t<Result>>(this, run, std::forward<Arguments>(arguments)...);
  }
};

template <class Impl>
class HookedImpl : public HookedForward<Impl, decltype(&Impl::forward)> {
 public:
  using HookedForward<Impl, decltype(&Impl::forward)>::HookedForward;
};

}  // namespace detail

/// A drop-in for the type of a member, `sightglass::Hooked<torch::nn::ReLU> relu`, whose calls say themselves when they
/// begin and end. For layers that cannot be found from outside; names, parameters and what `torch::save` writes stay.
///
/// `forward` takes all its arguments; default ones must be given.
template <class Holder>
class Hooked : public torch::nn::ModuleHolder<detail::HookedImpl<typename Holder::ContainedType>> {
 public:
  using torch::nn::ModuleHolder<detail::HookedImpl<typename Holder::ContainedType>>::ModuleHolder;
};

}  // namespace sightglass
