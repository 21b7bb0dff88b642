#pragma once

#include "sightglass/model/model.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/model/detail/splits.hpp"
#include "sightglass/trace/learning/members.hpp"
#include "sightglass/trace/script/script.hpp"

namespace sightglass {

namespace detail {

SIGHTGLASS_INLINE bool takes_list_of_tensors(const torch::jit::Module& script) {
  const auto forward = script.find_method("forward");
  if (!forward || forward->function().getSchema().arguments().size() < 2) return false;
  const auto list = forward->function().getSchema().arguments()[1].type()->cast<c10::ListType>();
  return list != nullptr && list->getElementType()->kind() == c10::TypeKind::TensorType;
}

}  // namespace detail

SIGHTGLASS_INLINE Model::Model(const torch::jit::Module& script)
    : script_(detail::ScriptModel::of(script)),
      script_module_(std::make_shared<const torch::jit::Module>(script)),
      takes_list_(detail::takes_list_of_tensors(script)) {}

SIGHTGLASS_INLINE Model Model::output(std::string path) const {
  Model copy = *this;
  copy.output_ = std::move(path);
  copy.choose_ = nullptr;
  if (splits_ != nullptr) copy.splits_ = std::make_shared<detail::Splits>();
  return copy;
}

SIGHTGLASS_INLINE Model Model::output(size_t index) const { return output(std::to_string(index)); }

SIGHTGLASS_INLINE Model Model::output(std::function<at::Tensor(const c10::IValue&)> choose) const {
  TORCH_CHECK(choose != nullptr, "choose: got no function");
  Model copy = *this;
  copy.choose_ = std::move(choose);
  return copy;
}

SIGHTGLASS_INLINE Model Model::optimised() const {
  Model copy = *this;
  copy.splits_ = std::make_shared<detail::Splits>();
  return copy;
}

SIGHTGLASS_INLINE Model Model::plain() const {
  Model copy = *this;
  copy.splits_ = nullptr;
  return copy;
}

SIGHTGLASS_INLINE at::Tensor Model::forward(const at::Tensor& input) const {
  return choose_ != nullptr ? choose_(values(input)) : detail::pick_tensor(values(input), output_);
}

SIGHTGLASS_INLINE c10::IValue Model::values(const at::Tensor& input) const {
  if (script_ == nullptr) return forward_(input);
  const detail::AsWritten as_written;
  if (forward_ != nullptr) return forward_(input);
  return script_->forward({takes_list_ ? c10::IValue(c10::List<at::Tensor>(input.unbind())) : c10::IValue(input)});
}

SIGHTGLASS_INLINE Layer Model::layer(const std::string& name) const {
  return script_ != nullptr ? sightglass::layer(*script_module_, name) : sightglass::layer(module_, name);
}

SIGHTGLASS_INLINE Layer Model::layer(const Layer& given) const {
  if (given.place().problem.empty() || module_ == nullptr) return given;
  const auto wanted = given.module();
  for (const auto& item : module_->named_modules("", false)) {
    if (item.value() != wanted) continue;
    detail::Place place = sightglass::layer(module_, item.key()).place();
    place.output = given.place().output;
    place.call = given.place().call;
    return Layer(std::move(place));
  }
  return given;
}

SIGHTGLASS_INLINE Layer Model::layer(const char* name) const { return layer(std::string(name)); }

SIGHTGLASS_INLINE std::vector<Layer> Model::find_layers(const LayerFilter& filter) const {
  return script_ != nullptr ? sightglass::find_layers(*script_module_, filter)
                            : sightglass::find_layers(module_, filter);
}

SIGHTGLASS_INLINE bool Model::is_training() const {
  if (script_ == nullptr) {
    return detail::any_module(*module_, [](const torch::nn::Module& module) { return module.is_training(); });
  }
  for (const torch::jit::Module& module : script_module_->modules()) {  // frozen ones have no such flag
    if (module.hasattr("training") && module.is_training()) return true;
  }
  return false;
}

SIGHTGLASS_INLINE void Model::check_evaluation() const {
  if (script_ != nullptr) {
    const std::string& trains = script_->exported().trains();
    TORCH_CHECK(trains.empty(), "model: it was exported in training mode (its ", trains,
                " is fixed to train), which eval() does not change here; in Python call model.eval() before "
                "torch.jit.trace");
  }
  TORCH_CHECK(!is_training(),
              "model: it is in training mode, or a module in it is, where a forward pass changes batch norm "
              "and drops out; call eval() first");
}

SIGHTGLASS_INLINE void Model::check_differentiable() const {
  if (script_ != nullptr) {
    const std::string& quantised = script_->exported().quantised();
    TORCH_CHECK(quantised.empty(), "model: it is quantised (", quantised,
                "), and operations on quantised numbers have no derivative; export the model before quantisation");
  }
  for (const auto& [name, value] : parameters()) {
    TORCH_CHECK(!value.is_inference(), "model: its parameter \"", name,
                "\" was made inside of c10::InferenceMode, where "
                "autograd cannot use it; load or make the model outside of that scope");
  }
}

SIGHTGLASS_INLINE std::vector<std::pair<std::string, at::Tensor>> Model::parameters() const {
  std::vector<std::pair<std::string, at::Tensor>> all;
  if (script_ != nullptr) {
    for (const auto& item : script_module_->named_parameters()) all.emplace_back(item.name, item.value);
  } else {
    for (const auto& item : module_->named_parameters()) all.emplace_back(item.key(), item.value());
  }
  return all;
}

SIGHTGLASS_INLINE detail::Watch Model::watch(std::shared_ptr<detail::Subscriber> subscriber, const Layer& layer,
                                             std::shared_ptr<detail::Tracker> tracker) const {
  const auto by = runs_marked() ? detail::Watch::By::marks : detail::Watch::By::operations;
  return detail::Watch(std::move(subscriber), layer, by, std::move(tracker));
}

}  // namespace sightglass
