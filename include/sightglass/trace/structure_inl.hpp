#pragma once

#include "sightglass/trace/structure.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE c10::impl::GenericDict empty_dict() {
  return c10::impl::GenericDict(c10::StringType::get(), c10::AnyType::get());
}

SIGHTGLASS_INLINE std::string key_text(const c10::IValue& key) {
  return key.isString() ? key.toStringRef() : c10::str(key);
}

SIGHTGLASS_INLINE bool has_undefined(const c10::IValue& value) {
  if (value.isTensor()) return !value.toTensor().defined();
  if (!value.isTuple()) return false;
  const auto& elements = value.toTupleRef().elements();
  return std::any_of(elements.begin(), elements.end(), has_undefined);
}

SIGHTGLASS_INLINE std::vector<std::string> names_in(const c10::IValue& tuple) {
  std::vector<std::string> names;
  if (has_undefined(tuple)) return names;
  const auto type = tuple.toTupleRef().type();
  if (type->schema() == nullptr) return names;
  for (const c10::Argument& element : type->schema()->arguments()) names.push_back(element.name());
  return names;
}

SIGHTGLASS_INLINE std::vector<std::string> paths_in(const c10::IValue& value) {
  std::vector<std::string> paths;
  if (value.isTensor()) return paths;
  for_each_path(value, "", [&](const std::string& path, const at::Tensor&) { paths.push_back(path); });
  return paths;
}

SIGHTGLASS_INLINE std::optional<size_t> index_of_path(const std::vector<std::string>& paths, size_t count,
                                                      const std::string& wanted) {
  for (size_t i = 0; i < paths.size(); ++i) {
    if (paths[i] == wanted) return i;
  }
  const bool number =
      !wanted.empty() && wanted.size() < 9 && wanted.find_first_not_of("0123456789") == std::string::npos;
  const size_t index = number ? std::stoul(wanted) : count;
  return index < count ? std::optional<size_t>(index) : std::nullopt;
}

SIGHTGLASS_INLINE std::string quoted_list(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "\"" : ", \"") + name + "\"";
  return text.empty() ? "none" : text;
}

SIGHTGLASS_INLINE size_t index_of_output(const std::string& whom, std::vector<std::string> paths, size_t count,
                                         const std::string& wanted) {
  const std::optional<size_t> index = index_of_path(paths, count, wanted);
  for (size_t i = paths.size(); !index && i < count; ++i) paths.push_back(std::to_string(i));
  TORCH_CHECK(index.has_value(), whom, ": it has no output \"", wanted, "\"; it gives ", quoted_list(paths));
  return *index;
}

SIGHTGLASS_INLINE at::Tensor pick_tensor(const c10::IValue& value, const std::optional<std::string>& wanted) {
  if (value.isTensor() && (!wanted || wanted == "0")) return value.toTensor();
  std::vector<std::string> paths;
  std::vector<at::Tensor> tensors;
  for_each_path(value, "", [&](const std::string& path, const at::Tensor& tensor) {
    paths.push_back(path);
    tensors.push_back(tensor);
  });
  if (value.isTensor()) paths = {"0"};
  if (!wanted) {
    for (const at::Tensor& tensor : tensors) {
      if (tensor.is_floating_point()) return tensor;
    }
    TORCH_CHECK(false, "model: it gives ", tensors.empty() ? "no tensor" : "no floating-point tensor",
                "; a score to explain must be one");
  }
  const std::optional<size_t> index = index_of_path(paths, paths.size(), *wanted);
  TORCH_CHECK(index.has_value(), "output \"", *wanted, "\": the model gives no such tensor; it gives ",
              quoted_list(paths));
  return tensors[*index];
}

}  // namespace sightglass::detail
