#pragma once

#include <torch/nn.h>

#include <functional>
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
inline bool is_packed(const Tensors& x) {
  return x.size() == 2 && x[1].dim() == 1 && x[1].scalar_type() == at::kLong && x[1].is_cpu();
}

template <class Impl>
Tensors call_packed(torch::nn::Module& module, const Tensors& x) {
  Tensors outputs;
  flatten(dynamic_cast<Impl&>(module).forward_with_packed_input(torch::nn::utils::rnn::PackedSequence(x[0], x[1])),
          outputs);
  return outputs;
}

/// What is known of `Impl` at compile time: with which tensors its `forward` can be called. Empty when with none.
template <class Impl>
Callable callable_of() {
  using T = at::Tensor;
  using State = std::tuple<T, T>;  // of an LSTM
  Callable callable;
  constexpr bool one = forward_takes<Impl, T>;
  constexpr bool two = forward_takes<Impl, T, T>;
  constexpr bool three = forward_takes<Impl, T, T, T>;
  constexpr bool four = forward_takes<Impl, T, T, T, T>;
  constexpr bool with_state = !three && forward_takes<Impl, T, State>;
  if (one) callable.input_counts.push_back(1);
  constexpr bool packed = takes_packed<Impl>::value;
  if (two || packed) callable.input_counts.push_back(2);
  if (three || with_state) callable.input_counts.push_back(3);
  if (four) callable.input_counts.push_back(4);
  if (callable.input_counts.empty()) return callable;
  callable.call = [](torch::nn::Module& module, const Tensors& x) -> Tensors {
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
    TORCH_CHECK(false, "forward cannot be called with ", x.size(), " tensors");
  };
  return callable;
}

/// Module types by their dynamic type: LibTorch's own, and those that users made known.
class C10_EXPORT KnownTypes {
 public:
  static KnownTypes& global() {
    static KnownTypes types;
    return types;
  }

  template <class Impl>
  void add() {
    // Sequentials are run child by child: see run_sequential.
    if constexpr (!std::is_same_v<Impl, torch::nn::Module> && !std::is_same_v<Impl, torch::nn::SequentialImpl>) {
      Known known{callable_of<Impl>(), sizeof(Impl), false};
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto [entry, is_new] = by_type_.emplace(std::type_index(typeid(Impl)), std::move(known));
      // It was known by a base only.
      if (!is_new && entry->second.size == 0) entry->second = {callable_of<Impl>(), sizeof(Impl), false};
    }
  }

  /// The same for the type that `module` has, which may be derived from `Impl`: its `forward` is that of `Impl`.
  template <class Impl>
  void add(const Impl& module) {
    add<Impl>();
    if (typeid(module) == typeid(Impl) || contains(module) || typeid(module) == typeid(torch::nn::SequentialImpl))
      return;
    if constexpr (std::is_abstract_v<Impl>) {
      Known known{callable_of<Impl>(), 0, false};
      const std::lock_guard<std::mutex> lock(mutex_);
      by_type_.emplace(std::type_index(typeid(module)), std::move(known));
    }
  }

  bool contains(const torch::nn::Module& module) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return by_type_.count(std::type_index(typeid(module))) != 0;
  }

  Callable find(const torch::nn::Module& module) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = by_type_.find(std::type_index(typeid(module)));
    return found == by_type_.end() ? Callable() : found->second.callable;
  }

  /// The bytes of such an object; 0 where that is not known.
  size_t size_of(const torch::nn::Module& module) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = by_type_.find(std::type_index(typeid(module)));
    return found == by_type_.end() ? 0 : found->second.size;
  }
  /// Whether it is LibTorch's own layer, all of whose state is tensors.
  bool is_libtorch(const torch::nn::Module& module) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = by_type_.find(std::type_index(typeid(module)));
    return found != by_type_.end() && found->second.is_libtorch;
  }

 private:
  struct Known {
    Callable callable;
    size_t size;
    bool is_libtorch;
  };

  KnownTypes() { add_libtorch(); }
  /// Most take one tensor; this spares every translation unit the search for more.
  template <class... Impl>
  void add_unary() {
    const auto unary = [](Tensors (*call)(torch::nn::Module&, const Tensors&)) { return Callable{{1}, call}; };
    (by_type_.emplace(std::type_index(typeid(Impl)), Known{unary(&call_unary<Impl>), sizeof(Impl), true}), ...);
  }
  template <class... Impl>
  void add_all() {
    (by_type_.emplace(std::type_index(typeid(Impl)), Known{callable_of<Impl>(), sizeof(Impl), true}), ...);
  }
  void add_libtorch();

  std::mutex mutex_;
  std::map<std::type_index, Known> by_type_;
};

inline void KnownTypes::add_libtorch() {
  // Spelt out: users have a TransformerImpl of their own.
  namespace nn = torch::nn;
  add_unary<
      nn::LinearImpl, nn::IdentityImpl, nn::FlattenImpl, nn::UnflattenImpl, nn::EmbeddingImpl, nn::Conv1dImpl,
      nn::Conv2dImpl, nn::Conv3dImpl, nn::ConvTranspose1dImpl, nn::ConvTranspose2dImpl, nn::ConvTranspose3dImpl,
      nn::BatchNorm1dImpl, nn::BatchNorm2dImpl, nn::BatchNorm3dImpl, nn::InstanceNorm1dImpl, nn::InstanceNorm2dImpl,
      nn::InstanceNorm3dImpl, nn::LayerNormImpl, nn::GroupNormImpl, nn::LocalResponseNormImpl, nn::CrossMapLRN2dImpl,
      nn::DropoutImpl, nn::Dropout2dImpl, nn::Dropout3dImpl, nn::AlphaDropoutImpl, nn::FeatureAlphaDropoutImpl,
      nn::ELUImpl, nn::SELUImpl, nn::HardshrinkImpl, nn::HardtanhImpl, nn::LeakyReLUImpl, nn::LogSigmoidImpl,
      nn::SoftmaxImpl, nn::SoftminImpl, nn::LogSoftmaxImpl, nn::Softmax2dImpl, nn::PReLUImpl, nn::ReLUImpl,
      nn::ReLU6Impl, nn::RReLUImpl, nn::CELUImpl, nn::GLUImpl, nn::GELUImpl, nn::SiLUImpl, nn::MishImpl,
      nn::SigmoidImpl, nn::SoftplusImpl, nn::SoftshrinkImpl, nn::SoftsignImpl, nn::TanhImpl, nn::TanhshrinkImpl,
      nn::ThresholdImpl, nn::MaxPool1dImpl, nn::MaxPool2dImpl, nn::MaxPool3dImpl, nn::AvgPool1dImpl, nn::AvgPool2dImpl,
      nn::AvgPool3dImpl, nn::AdaptiveMaxPool1dImpl, nn::AdaptiveMaxPool2dImpl, nn::AdaptiveMaxPool3dImpl,
      nn::AdaptiveAvgPool1dImpl, nn::AdaptiveAvgPool2dImpl, nn::AdaptiveAvgPool3dImpl, nn::FractionalMaxPool2dImpl,
      nn::FractionalMaxPool3dImpl, nn::LPPool1dImpl, nn::LPPool2dImpl, nn::ReflectionPad1dImpl, nn::ReflectionPad2dImpl,
      nn::ReplicationPad1dImpl, nn::ReplicationPad2dImpl, nn::ReplicationPad3dImpl, nn::ZeroPad2dImpl,
      nn::ConstantPad1dImpl, nn::ConstantPad2dImpl, nn::ConstantPad3dImpl, nn::UpsampleImpl, nn::PixelShuffleImpl,
      nn::PixelUnshuffleImpl, nn::FoldImpl, nn::UnfoldImpl>();
  add_all<nn::BilinearImpl, nn::EmbeddingBagImpl, nn::MaxUnpool1dImpl, nn::MaxUnpool2dImpl, nn::MaxUnpool3dImpl,
          nn::CosineSimilarityImpl, nn::PairwiseDistanceImpl, nn::RNNImpl, nn::LSTMImpl, nn::GRUImpl, nn::RNNCellImpl,
          nn::LSTMCellImpl, nn::GRUCellImpl, nn::MultiheadAttentionImpl, nn::TransformerEncoderLayerImpl,
          nn::TransformerDecoderLayerImpl, nn::TransformerEncoderImpl, nn::TransformerDecoderImpl,
          nn::TransformerImpl>();
}

/// Flattens what an `AnyModule` returned; types are compared exactly there.
inline bool flatten_any(torch::nn::AnyValue& value, Tensors& into) {
  const auto flatten_if = [&](auto* typed) {
    if (typed != nullptr) flatten(*typed, into);
    return typed != nullptr;
  };
  using T = at::Tensor;
  return flatten_if(value.try_get<T>()) || flatten_if(value.try_get<std::tuple<T, T>>()) ||
         flatten_if(value.try_get<std::tuple<T, T, T>>()) ||
         flatten_if(value.try_get<std::tuple<T, std::tuple<T, T>>>()) ||
         flatten_if(value.try_get<std::tuple<T, T, T, T>>()) || flatten_if(value.try_get<std::pair<T, T>>()) ||
         flatten_if(value.try_get<Tensors>());
}

}  // namespace sightglass::detail
