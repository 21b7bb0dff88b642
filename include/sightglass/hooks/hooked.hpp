#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstddef>
#include <memory>
#include <ostream>
#include <tuple>
#include <type_traits>
#include <utility>

#include "sightglass/hooks/detail/place.hpp"
#include "sightglass/trace/learning/flatten.hpp"

// LibTorch keeps these to itself, so that no class can be derived from its instance norms without them.
namespace sightglass::detail {
template <class Norm>
void print_norm(std::ostream& stream, int dims, const Norm& norm) {
  stream << std::boolalpha << "torch::nn::InstanceNorm" << dims << "d(" << norm.options.num_features()
         << ", eps=" << norm.options.eps() << ", momentum=" << norm.options.momentum()
         << ", affine=" << norm.options.affine() << ", track_running_stats=" << norm.options.track_running_stats()
         << ")";
}
}  // namespace sightglass::detail
namespace torch::nn {
template <>
inline void InstanceNormImpl<1, InstanceNorm1dImpl>::pretty_print(std::ostream& stream) const {
  sightglass::detail::print_norm(stream, 1, *this);
}
template <>
inline void InstanceNormImpl<2, InstanceNorm2dImpl>::pretty_print(std::ostream& stream) const {
  sightglass::detail::print_norm(stream, 2, *this);
}
template <>
inline void InstanceNormImpl<3, InstanceNorm3dImpl>::pretty_print(std::ostream& stream) const {
  sightglass::detail::print_norm(stream, 3, *this);
}
}  // namespace torch::nn

namespace sightglass {

namespace detail {

/// How an argument is held while its tensors are announced and perhaps replaced: a reference that can be written is the
/// caller's own variable; what holds no tensors is passed on as it is.
template <class T>
using Held = std::conditional_t<std::is_lvalue_reference_v<T> &&
                                    (!std::is_const_v<std::remove_reference_t<T>> || !holds_tensors<std::decay_t<T>>()),
                                T, std::decay_t<T>>;

/// Announces the tensors in `value`, and puts in their places what comes back.
template <class Value>
void announce_result(const torch::nn::Module* place, Value& value) {
  Tensors tensors;
  flatten(value, tensors);
  announce(place, Side::end, tensors);
  if constexpr (!std::is_const_v<Value>) refill(value, tensors);
}

/// Runs `forward` between its two marks. One thread-local read when nobody watches.
template <class Result, class... Arguments, class Run>
Result announced(const torch::nn::Module* place, const Run& run, Arguments... arguments) {
  if (listener() == nullptr) return run(std::forward<Arguments>(arguments)...);
  std::tuple<Held<Arguments>...> held(std::forward<Arguments>(arguments)...);
  return std::apply(
      [&](auto&... values) -> Result {
        Tensors given;
        (flatten(values, given), ...);
        Tensors inputs = given;
        announce(place, Side::begin, inputs);
        size_t next = 0;
        const auto replace = [&](auto& value) {
          if constexpr (!std::is_const_v<std::remove_reference_t<decltype(value)>>) next = refill(value, inputs, next);
        };
        (replace(values), ...);
        // A variable of the caller's keeps what it held, unless `forward` has assigned to it.
        const auto give_back = [&](auto& value) {
          if constexpr (!std::is_const_v<std::remove_reference_t<decltype(value)>>) {
            const auto restore = [&](at::Tensor& tensor) {
              for (size_t i = 0; i < inputs.size(); ++i) {
                if (inputs[i].defined() && tensor.is_same(inputs[i])) tensor = given[i];
              }
            };
            visit_tensors(value, restore);
          }
        };
        if constexpr (std::is_void_v<Result>) {
          run(static_cast<Arguments&&>(values)...);
          (give_back(values), ...);
          Tensors none;
          announce(place, Side::end, none);
        } else {
          Result result = run(static_cast<Arguments&&>(values)...);
          (give_back(values), ...);
          announce_result(place, result);
          return static_cast<Result&&>(result);
        }
      },
      held);
}

template <class... T>
struct Types {};

/// The type of `forward` where there is one only.
template <class Method>
struct method_type;
template <class R, class Owner, class... T>
struct method_type<R (Owner::*)(T...)> {
  using type = R(T...);
  using arguments = Types<T...>;
};
template <class R, class Owner, class... T>
struct method_type<R (Owner::*)(T...) const> {
  using type = R(T...) const;
  using arguments = Types<T...>;
};
template <class R, class Owner, class... T>
struct method_type<R (Owner::*)(T...) noexcept> : method_type<R (Owner::*)(T...)> {};
template <class R, class Owner, class... T>
struct method_type<R (Owner::*)(T...) const noexcept> : method_type<R (Owner::*)(T...) const> {};

template <class Impl, class = void>
struct has_one_forward : std::false_type {};
template <class Impl>
struct has_one_forward<Impl, std::void_t<decltype(&Impl::forward)>> : std::true_type {};

template <class Impl, class... T>
using forward_of = decltype(std::declval<Impl&>().forward(std::declval<T>()...));
template <class Impl, class Arguments, class = void>
struct can_forward : std::false_type {};
template <class Impl, class... T>
struct can_forward<Impl, Types<T...>, std::void_t<forward_of<Impl, T...>>> : std::true_type {};

/// The same `forward` as `Impl` has, so that the module can be put into a `Sequential` too.
template <class Impl, class Method>
class HookedForward;
template <class Impl, class Result, class... Arguments>
class HookedForward<Impl, Result(Arguments...)> : public Impl, public Announcing {
 public:
  using Impl::Impl;
  Result forward(Arguments... arguments) {
    const auto run = [this](auto&&... values) -> Result {
      return Impl::forward(std::forward<decltype(values)>(values)...);
    };
    return announced<Result, Arguments...>(this, run, std::forward<Arguments>(arguments)...);
  }
};
template <class Impl, class Result, class... Arguments>
class HookedForward<Impl, Result(Arguments...) const> : public Impl, public Announcing {
 public:
  using Impl::Impl;
  Result forward(Arguments... arguments) const {
    const auto run = [this](auto&&... values) -> Result {
      return Impl::forward(std::forward<decltype(values)>(values)...);
    };
    return announced<Result, Arguments...>(this, run, std::forward<Arguments>(arguments)...);
  }
};

/// Whichever of several `forward`s is called.
template <class Impl>
class HookedForwards : public Impl, public Announcing {
 public:
  using Impl::Impl;
  template <class... Arguments>
  forward_of<Impl, Arguments...> forward(Arguments&&... arguments) {
    using Result = forward_of<Impl, Arguments...>;
    const auto run = [this](auto&&... values) -> Result {
      return Impl::forward(std::forward<decltype(values)>(values)...);
    };
    return announced<Result, Arguments&&...>(this, run, std::forward<Arguments>(arguments)...);
  }
};

template <class Impl, class = void>
struct hooked_forward {
  using type = HookedForwards<Impl>;
  using arguments = Types<>;
};
template <class Impl>
struct hooked_forward<Impl, std::enable_if_t<has_one_forward<Impl>::value>> {
  using method = method_type<decltype(&Impl::forward)>;
  using arguments = typename method::arguments;
  using type = HookedForward<Impl, typename method::type>;
};

/// Adds a `forward` that takes the arguments `Taken` only, where the others have defaults.
template <class Base, class Impl, class Taken, bool callable>
class ShorterForward : public Base {
 public:
  using Base::Base;
};
template <class Base, class Impl, class... Taken>
class ShorterForward<Base, Impl, Types<Taken...>, true> : public Base {
 public:
  using Base::Base;
  using Base::forward;
  forward_of<Impl, Taken...> forward(Taken... arguments) {
    using Result = forward_of<Impl, Taken...>;
    const auto run = [this](auto&&... values) -> Result {
      return Impl::forward(std::forward<decltype(values)>(values)...);
    };
    return announced<Result, Taken...>(this, run, std::forward<Taken>(arguments)...);
  }
};

/// The same for each number of arguments that will do.
template <class Base, class Impl, class Taken, class Left>
class WithDefaults;
template <class Base, class Impl, class... Taken>
class WithDefaults<Base, Impl, Types<Taken...>, Types<>> : public Base {
 public:
  using Base::Base;
};
template <class Base, class Impl, class... Taken, class Next, class... Left>
class WithDefaults<Base, Impl, Types<Taken...>, Types<Next, Left...>>
    : public ShorterForward<WithDefaults<Base, Impl, Types<Taken..., Next>, Types<Left...>>, Impl, Types<Taken...>,
                            can_forward<Impl, Types<Taken...>>::value> {
 public:
  using ShorterForward<WithDefaults<Base, Impl, Types<Taken..., Next>, Types<Left...>>, Impl, Types<Taken...>,
                       can_forward<Impl, Types<Taken...>>::value>::ShorterForward;
};

/// What a `Sequential` sees: one `forward`, of one type, where `Impl` has one.
template <class Impl>
using HookedBase = typename hooked_forward<Impl>::type;

/// What is made: it can be called with fewer arguments too, and with packed sequences where `Impl` can.
template <class Impl>
class HookedImpl : public WithDefaults<HookedBase<Impl>, Impl, Types<>, typename hooked_forward<Impl>::arguments> {
 public:
  using WithDefaults<HookedBase<Impl>, Impl, Types<>, typename hooked_forward<Impl>::arguments>::WithDefaults;

  template <class... More, class I = Impl>
  auto forward_with_packed_input(const torch::nn::utils::rnn::PackedSequence& packed, More&&... more)
      -> decltype(std::declval<I&>().forward_with_packed_input(packed, std::forward<More>(more)...)) {
    using Result = decltype(std::declval<I&>().forward_with_packed_input(packed, std::forward<More>(more)...));
    const auto run = [this](auto&&... values) -> Result {
      return I::forward_with_packed_input(std::forward<decltype(values)>(values)...);
    };
    return announced<Result, const torch::nn::utils::rnn::PackedSequence&, More&&...>(this, run, packed,
                                                                                      std::forward<More>(more)...);
  }
};

}  // namespace detail

/// A drop-in for the type of a member, `sightglass::Hooked<torch::nn::ReLU> relu`, whose calls say themselves when they
/// begin and end. For layers that cannot be found from outside; names, parameters and what `torch::save` writes stay.
///
/// `forward` takes and returns what that of the layer does: references, optionals, structs; default arguments may be
/// left out. One of several overloads is called with arguments of its very types, and such a layer cannot be put into a
/// `Sequential` (nor could it without).
template <class Holder>
class Hooked : public torch::nn::ModuleHolder<detail::HookedBase<typename Holder::ContainedType>> {
  using Impl = detail::HookedImpl<typename Holder::ContainedType>;
  using Base = detail::HookedBase<typename Holder::ContainedType>;

 public:
  template <class Made = Impl, class = std::enable_if_t<std::is_default_constructible_v<Made>>>
  Hooked() : Hooked(std::make_shared<Made>()) {}
  /// An empty holder.
  Hooked(std::nullptr_t /*none*/) : torch::nn::ModuleHolder<Base>(nullptr) {}  // NOLINT(google-explicit-constructor)
  /// Holds a module that is there.
  Hooked(std::shared_ptr<Base> module)  // NOLINT(google-explicit-constructor): as any holder
      : torch::nn::ModuleHolder<Base>(std::move(module)) {}
  /// Made of the arguments that the layer is made of.
  template <class Head, class... Tail,
            class = std::enable_if_t<!(sizeof...(Tail) == 0 &&
                                       (std::is_base_of_v<torch::nn::ModuleHolder<Base>, std::decay_t<Head>> ||
                                        std::is_convertible_v<Head, std::shared_ptr<Base>>))>>
  explicit Hooked(Head&& head, Tail&&... tail)
      : Hooked(std::shared_ptr<Base>(std::make_shared<Impl>(std::forward<Head>(head), std::forward<Tail>(tail)...))) {}

  /// The module, with its own type.
  Impl* operator->() { return static_cast<Impl*>(this->get()); }
  /// The same for a holder that is not changed.
  const Impl* operator->() const { return static_cast<const Impl*>(this->get()); }

  /// Calls `forward`.
  template <class... Arguments>
  auto operator()(Arguments&&... arguments)
      -> decltype(std::declval<Impl&>().forward(std::forward<Arguments>(arguments)...)) {
    return (*this)->forward(std::forward<Arguments>(arguments)...);
  }
};

}  // namespace sightglass
