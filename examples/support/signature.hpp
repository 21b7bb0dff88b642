#pragma once

#include <c10/util/Exception.h>
#include <c10/util/StringUtil.h>
#include <torch/script.h>

#include <functional>
#include <string>
#include <vector>

namespace support {

/// Whether a TorchScript model is what a program serves that takes one picture and one tensor of scores. `explain` and
/// the library serve more, so that each message says how.
namespace detail {

inline bool is_tensor(const c10::TypePtr& type) {
  if (type->kind() == c10::TypeKind::OptionalType)
    return is_tensor(type->expectRef<c10::OptionalType>().getElementType());
  return type->kind() == c10::TypeKind::TensorType || type->kind() == c10::TypeKind::AnyType;
}

/// Whether it is a list whose elements are of this kind.
inline bool is_list_of(const c10::TypePtr& type, c10::TypeKind kind) {
  const auto list = type->cast<c10::ListType>();
  return list != nullptr && list->getElementType()->kind() == kind;
}

inline std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

inline void check_takes_one(const c10::FunctionSchema& schema) {
  std::vector<std::string> wanted;
  for (size_t i = 1; i < schema.arguments().size(); ++i)
    if (!schema.arguments()[i].default_value().has_value()) wanted.push_back(schema.arguments()[i].name());
  TORCH_CHECK(wanted.size() < 2, "its forward takes ", wanted.size(), " inputs (", listed(wanted),
              "), this program gives it one picture, explain the others by --input; in C++: sightglass::Model(script, "
              "[&](const torch::Tensor& picture) { "
              "return script.forward({picture, ...}).toTensor(); })");
  TORCH_CHECK(schema.arguments().size() > 1, "its forward takes no input; expected a picture");
  const c10::Argument& first = schema.arguments()[1];
  TORCH_CHECK(is_tensor(first.type()), "its forward takes ", first.type()->annotation_str(), " for ", first.name(),
              ", this program gives it one tensor [N, C, H, W], explain a list too; in C++: sightglass::Model(script, "
              "[&](const torch::Tensor& "
              "picture) { return script.forward({...}).toTensor(); })");
}

/// Several outputs, a list or a dictionary.
inline void check_gives_one(const c10::FunctionSchema& schema) {
  if (schema.returns().size() != 1) return;
  const c10::TypePtr& type = schema.returns()[0].type();
  size_t tensors = 0;
  if (const auto tuple = type->cast<c10::TupleType>())
    for (const c10::TypePtr& element : tuple->elements()) tensors += element->kind() == c10::TypeKind::TensorType;
  const bool gathered = type->kind() == c10::TypeKind::ListType || type->kind() == c10::TypeKind::DictType;
  const bool by_key = type->kind() == c10::TypeKind::DictType;
  TORCH_CHECK(
      tensors < 2 && !gathered, "its forward gives ", type->annotation_str(),
      ", this program takes one tensor [N, classes], explain that of --output; export it with that output alone "
      "(in Python, a module whose forward returns model(x)[",
      by_key ? "\"out\"" : "0", "]), or in C++: sightglass::Model(script).output(", by_key ? "\"out\"" : "0", ")");
}

inline bool holds_floats(const torch::Tensor& tensor) { return tensor.defined() && tensor.is_floating_point(); }

}  // namespace detail

/// The type of a model's weights: that of its first parameter, or, where it is frozen, of the first constant of its
/// graph; float32 without any.
inline c10::ScalarType type_of(const torch::jit::Module& model) {
  for (const torch::Tensor& parameter : model.parameters())
    if (detail::holds_floats(parameter)) return parameter.scalar_type();
  for (const torch::jit::Node* node : model.get_method("forward").graph()->nodes()) {
    if (node->kind() != torch::jit::prim::Constant) continue;
    const auto value = torch::jit::toIValue(node->output());
    if (value && value->isTensor() && detail::holds_floats(value->toTensor())) return value->toTensor().scalar_type();
  }
  return torch::kFloat;
}

/// Of a model that failed: why, where the text is torchvision's own.
inline std::string about_export(const std::string& reason) {
  return reason.find("Couldn't load custom C++ ops") == std::string::npos
             ? reason
             : "the file was exported where torchvision's compiled operators did not load, and says so instead of "
               "running them; export it where torchvision fits its torch";
}

/// For a model that failed: where its convolutions have not as many dimensions as the input, what to give; else
/// nothing.
inline std::string about_dimensions(const torch::jit::Module& model, const torch::Tensor& input) {
  int64_t other = 0;
  for (const torch::Tensor& parameter : model.parameters()) {
    if (parameter.dim() == input.dim()) return "";
    if (parameter.dim() >= 3 && parameter.dim() <= 5 && other == 0) other = parameter.dim();
  }
  if (other == 0) return "";
  const std::string places = other == 3 ? "L]" : other == 4 ? "H, W]" : "D, H, W]";
  return c10::str("; its convolutions are ", other - 2, "-D, the input is ", input.sizes(),
                  "; give a .npy array [N, C, ", places);
}

namespace detail {

/// Runs a check of the schema of `forward`; what it throws names the file.
inline void check_schema(const torch::jit::Module& model, const std::string& path,
                         const std::function<void(const c10::FunctionSchema&)>& check) {
  std::string reason;
  try {
    return check(model.get_method("forward").function().getSchema());
  } catch (const c10::Error& error) {
    reason = error.what_without_backtrace();
  }
  C10_THROW_ERROR(Error, c10::str("model \"", path, "\": ", reason));
}

}  // namespace detail

/// Throws `c10::Error` for a model that takes several inputs, or a list or dictionary.
inline void check_inputs(const torch::jit::Module& model, const std::string& path) {
  detail::check_schema(model, path, detail::check_takes_one);
}
/// The same, and for one that gives several outputs, or a list or dictionary.
inline void check_signature(const torch::jit::Module& model, const std::string& path) {
  check_inputs(model, path);
  detail::check_schema(model, path, detail::check_gives_one);
}

}  // namespace support
