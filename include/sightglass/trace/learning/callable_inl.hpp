#pragma once

#include "sightglass/trace/learning/callable.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE Callable::Callable(std::initializer_list<bool> takes, Function function) : call(function) {
  size_t count = 0;
  for (const bool taken : takes) {
    ++count;
    if (taken) input_counts.push_back(count);
  }
}

SIGHTGLASS_INLINE Callable::Callable(std::vector<size_t> counts,
                                     std::function<Tensors(torch::nn::Module&, const Tensors&)> function)
    : input_counts(std::move(counts)), call(std::move(function)) {}

SIGHTGLASS_INLINE bool is_packed(const Tensors& x) {
  return x.size() == 2 && x[1].dim() == 1 && x[1].scalar_type() == at::kLong && x[1].is_cpu();
}

SIGHTGLASS_INLINE bool KnownTypes::contains(const torch::nn::Module& module) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return by_type_.count(std::type_index(typeid(module))) != 0;
}

SIGHTGLASS_INLINE Callable KnownTypes::find(const torch::nn::Module& module) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_type_.find(std::type_index(typeid(module)));
  return found == by_type_.end() ? Callable() : found->second.callable;
}

SIGHTGLASS_INLINE size_t KnownTypes::size_of(const torch::nn::Module& module) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_type_.find(std::type_index(typeid(module)));
  return found == by_type_.end() ? 0 : found->second.size;
}

SIGHTGLASS_INLINE bool KnownTypes::is_libtorch(const torch::nn::Module& module) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_type_.find(std::type_index(typeid(module)));
  return found != by_type_.end() && found->second.is_libtorch;
}

SIGHTGLASS_INLINE void refuse_count(size_t tensors) {
  TORCH_CHECK(false, "forward cannot be called with ", tensors, " tensors");
}

/// Inline however the library is built: the shared libraries of a process know the same types.
inline KnownTypes& KnownTypes::of_process() {
  static KnownTypes types;
  return types;
}

SIGHTGLASS_INLINE KnownTypes& KnownTypes::global() { return of_process(); }

SIGHTGLASS_INLINE KnownTypes::KnownTypes() { add_libtorch(); }

SIGHTGLASS_INLINE void KnownTypes::note(const std::type_info& type, Known known) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto [entry, is_new] = by_type_.try_emplace(std::type_index(type), known);
  // It was known by a base only.
  if (!is_new && entry->second.size == 0 && known.size != 0) entry->second = std::move(known);
}

template <class... Impl>
void KnownTypes::add_unary() {
  (note(typeid(Impl), {{{true}, &call_unary<Impl>}, sizeof(Impl), true}), ...);
}

template <class... Impl>
void KnownTypes::add_all() {
  (note(typeid(Impl), {callable_of<Impl>(), sizeof(Impl), true}), ...);
}

SIGHTGLASS_INLINE void KnownTypes::add_libtorch() {
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

SIGHTGLASS_INLINE bool flatten_any(torch::nn::AnyValue& value, Tensors& into) {
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
