#pragma once

#include <torch/nn.h>

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeindex>
#include <typeinfo>
#include <utility>
#include <vector>

#include "sightglass/trace/learning/flatten.hpp"

/// How a module is called whose type is known here, and later only by its dynamic type.
namespace sightglass::detail {

/// Calls `forward` of a module with `input_counts` tensors (most likely first), and flattens what comes.
struct Callable {
  using Function = Tensors (*)(torch::nn::Module&, const Tensors&);

  Callable() = default;
  /// By a function's address, so that all types share one kind of `std::function`; `takes[i]`: i + 1 tensors.
  Callable(std::initializer_list<bool> takes, Function function);
  Callable(std::vector<size_t> counts, std::function<Tensors(torch::nn::Module&, const Tensors&)> function);

  std::vector<size_t> input_counts;
  std::function<Tensors(torch::nn::Module&, const Tensors&)> call;

  explicit operator bool() const { return call != nullptr; }
};

/// The result of calling `forward` with variables of these types (some take `Tensor&`); `void` where it cannot be
/// called so.
template <class Impl, class Arguments, class = void>
struct forward_result {
  using type = void;
};
template <class Impl, class... Arguments>
struct forward_result<Impl, std::tuple<Arguments...>,
                      std::void_t<decltype(std::declval<Impl&>().forward(std::declval<Arguments&>()...))>> {
  using type = std::decay_t<decltype(std::declval<Impl&>().forward(std::declval<Arguments&>()...))>;
};
template <class Impl, class... Arguments>
constexpr bool forward_takes = holds_tensors<typename forward_result<Impl, std::tuple<Arguments...>>::type>();

template <class Impl, class... Arguments>
Tensors call_forward(torch::nn::Module& module, Arguments... arguments) {
  Tensors outputs;
  flatten(dynamic_cast<Impl&>(module).forward(arguments...), outputs);
  return outputs;
}

template <class Impl>
Tensors call_unary(torch::nn::Module& module, const Tensors& x) {
  return call_forward<Impl>(module, x.at(0));
}

/// Recurrent layers take a packed sequence by a method of its own.
template <class Impl, class = void>
struct takes_packed : std::false_type {};
template <class Impl>
struct takes_packed<Impl, std::void_t<decltype(std::declval<Impl&>().forward_with_packed_input(
                              std::declval<const torch::nn::utils::rnn::PackedSequence&>()))>> : std::true_type {};

/// Whether these are the data and the batch sizes of a packed sequence.
bool is_packed(const Tensors& x);

template <class Impl>
Tensors call_packed(torch::nn::Module& module, const Tensors& x) {
  Tensors outputs;
  flatten(dynamic_cast<Impl&>(module).forward_with_packed_input(torch::nn::utils::rnn::PackedSequence(x[0], x[1])),
          outputs);
  return outputs;
}

[[noreturn]] void refuse_count(size_t tensors);

/// What is known of `Impl` at compile time: with which tensors its `forward` can be called. Empty when with none.
template <class Impl>
Callable callable_of() {
  using T = at::Tensor;
  using State = std::tuple<T, T>;  // of an LSTM
  constexpr bool one = forward_takes<Impl, T>;
  constexpr bool two = forward_takes<Impl, T, T>;
  constexpr bool three = forward_takes<Impl, T, T, T>;
  constexpr bool four = forward_takes<Impl, T, T, T, T>;
  constexpr bool with_state = !three && forward_takes<Impl, T, State>;
  constexpr bool packed = takes_packed<Impl>::value;
  if constexpr (!(one || two || packed || three || with_state || four)) return {};
  return {{one, two || packed, three || with_state, four}, +[](torch::nn::Module& module, const Tensors& x) -> Tensors {
            if constexpr (one) {
              if (x.size() == 1) return call_forward<Impl>(module, x[0]);
            }
            if constexpr (packed) {
              if (is_packed(x)) return call_packed<Impl>(module, x);
            }
            if constexpr (two) {
              if (x.size() == 2) return call_forward<Impl>(module, x[0], x[1]);
            }
            if constexpr (three) {
              if (x.size() == 3) return call_forward<Impl>(module, x[0], x[1], x[2]);
            }
            if constexpr (with_state) {
              if (x.size() == 3) return call_forward<Impl>(module, x[0], State(x[1], x[2]));
            }
            if constexpr (four) {
              if (x.size() == 4) return call_forward<Impl>(module, x[0], x[1], x[2], x[3]);
            }
            refuse_count(x.size());
          }};
}

/// Module types by their dynamic type: LibTorch's own, and those that users made known.
class C10_EXPORT KnownTypes {
 public:
  static KnownTypes& global();

  template <class Impl>
  void add() {
    // Sequentials are run child by child: see run_sequential.
    if constexpr (!std::is_same_v<Impl, torch::nn::Module> && !std::is_same_v<Impl, torch::nn::SequentialImpl>) {
      note(typeid(Impl), {callable_of<Impl>(), sizeof(Impl), false});
    }
  }

  /// The same for the type that `module` has, which may be derived from `Impl`: its `forward` is that of `Impl`.
  template <class Impl>
  void add(const Impl& module) {
    add<Impl>();
    if (typeid(module) == typeid(Impl) || contains(module) || typeid(module) == typeid(torch::nn::SequentialImpl))
      return;
    if constexpr (std::is_abstract_v<Impl>) {
      note(typeid(module), {callable_of<Impl>(), 0, false});
    }
  }

  bool contains(const torch::nn::Module& module);

  Callable find(const torch::nn::Module& module);

  /// The bytes of such an object; 0 where that is not known.
  size_t size_of(const torch::nn::Module& module);
  /// Whether it is LibTorch's own layer, all of whose state is tensors.
  bool is_libtorch(const torch::nn::Module& module);

 private:
  struct Known {
    Callable callable;
    size_t size;
    bool is_libtorch;
  };

  KnownTypes();
  static KnownTypes& of_process();
  void note(const std::type_info& type, Known known);
  /// Most take one tensor; this spares every translation unit the search for more.
  template <class... Impl>
  void add_unary();
  template <class... Impl>
  void add_all();
  void add_libtorch();

  std::mutex mutex_;
  std::map<std::type_index, Known> by_type_;
};

/// Flattens what an `AnyModule` returned; types are compared exactly there.
bool flatten_any(torch::nn::AnyValue& value, Tensors& into);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/learning/callable_inl.hpp"
#endif
