#pragma once

#include <sightglass/model/model.hpp>
#include <torch/script.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "errors.hpp"
#include "npy.hpp"
#include "signature.hpp"

namespace support {

namespace detail {

/// The words of `--input NAME=FILE`.
inline std::pair<std::string, std::string> name_and_file(const std::string& words) {
  const size_t sign = words.find('=');
  if (sign == std::string::npos || sign == 0 || sign + 1 == words.size())
    throw UsageError("--input " + words + ": expected NAME=FILE, the name being that of an argument of the model");
  return {words.substr(0, sign), words.substr(sign + 1)};
}

inline bool is_list_of_tensors(const c10::TypePtr& type) { return is_list_of(type, c10::TypeKind::TensorType); }

/// `batch` as `[rows, ...]`: what is given once goes with every row.
inline torch::Tensor for_rows(const torch::Tensor& given, const torch::Tensor& batch) {
  const auto type = given.is_floating_point() ? batch.scalar_type() : given.scalar_type();
  torch::Tensor typed = given.to(batch.options().dtype(type));
  if (typed.dim() == 0 || typed.size(0) != 1 || batch.size(0) == 1) return typed;
  std::vector<int64_t> shape = typed.sizes().vec();
  shape[0] = batch.size(0);
  return typed.expand(shape);
}

}  // namespace detail

/// What a model's `forward` is given: the picture for its first tensor that the command line does not name, arrays for
/// the others.
class ModelInputs {
 public:
  /// @param given `NAME=FILE` each
  /// @param read of a file, what the model is given
  /// @param picture the input that takes the picture; empty: the first tensor that is not given
  /// Throws `UsageError` for a name that `forward` does not have, and for inputs that are missing; `c10::Error` for an
  /// array that cannot be read, and for a `forward` that takes no tensors.
  ModelInputs(const torch::jit::Module& script, const std::string& path, const std::vector<std::string>& given,
              const std::function<torch::Tensor(const std::string&)>& read = read_npy, const std::string& picture = "")
      : script_(script), arguments_(script.get_method("forward").function().getSchema().arguments()) {
    arguments_.erase(arguments_.begin());  // the module itself
    for (const std::string& words : given) {
      const auto [name, file] = detail::name_and_file(words);
      if (!has(name)) throw UsageError("--input " + name + ": the model has no such input; it takes " + names());
      arrays_[name] = read(file);
      files_[name] = file;
    }
    find_picture(path, picture);
    check_complete(path);
  }

  /// The inputs beside the picture, by their names in `forward`.
  const std::map<std::string, torch::Tensor>& others() const { return arrays_; }
  /// The file of one of them.
  const std::string& file(const std::string& name) const { return files_.at(name); }

  /// The same beside these pictures as a function of another input, in the picture's place.
  ModelInputs looking_at(const std::string& name, const torch::Tensor& pictures) const {
    ModelInputs turned = *this;
    turned.arrays_[arguments_[picture_].name()] = pictures;
    turned.arrays_.erase(name);
    turned.picture_ = place_of(name);
    return turned;
  }

  /// The model as a function of the picture alone.
  sightglass::Model model() const {
    const bool one_tensor = picture_ == 0 && arrays_.empty() && !detail::is_list_of_tensors(arguments_[0].type());
    if (one_tensor) return script_;
    return function();
  }
  /// The same by the user's own way into the model, its `forward`, whatever that takes.
  sightglass::Model function() const {
    return with(
        [copy = *this](const torch::Tensor& batch) { return copy.script_.get_method("forward")(copy.values(batch)); });
  }
  /// The model with a function beside it.
  template <class Forward>
  sightglass::Model with(const Forward& forward) const {
    return {script_, forward};
  }

 private:
  /// The number of arguments where none has this name.
  size_t place_of(const std::string& name) const {
    const auto is_it = [&](const c10::Argument& argument) { return argument.name() == name; };
    return static_cast<size_t>(std::find_if(arguments_.begin(), arguments_.end(), is_it) - arguments_.begin());
  }

  bool has(const std::string& name) const { return place_of(name) < arguments_.size(); }

  std::string names() const {
    std::vector<std::string> all;
    for (const c10::Argument& argument : arguments_) all.push_back(argument.name());
    return all.empty() ? "none" : detail::listed(all);
  }

  void find_picture(const std::string& path, const std::string& name) {
    picture_ = place_of(name);
    if (has(name) && arrays_.count(name) == 0) return;
    for (picture_ = 0; picture_ < arguments_.size(); ++picture_) {
      const c10::Argument& argument = arguments_[picture_];
      const bool serves = detail::is_tensor(argument.type()) || detail::is_list_of_tensors(argument.type());
      if (serves && arrays_.count(argument.name()) == 0) return;
    }
    TORCH_CHECK(!arrays_.empty(), "model \"", path, "\": its forward takes no tensor (", types(),
                "); explain gives it a picture");
    throw UsageError("--input: names all inputs of the model (" + names() + "); leave out that of the picture");
  }

  std::string types() const {
    std::string text;
    for (const c10::Argument& argument : arguments_)
      text += (text.empty() ? "" : ", ") + argument.type()->annotation_str() + " " + argument.name();
    return text.empty() ? "nothing" : text;
  }

  void check_complete(const std::string& path) const {
    std::string missing;
    for (size_t i = 0; i < arguments_.size(); ++i) {
      const c10::Argument& argument = arguments_[i];
      const bool optional = argument.type()->kind() == c10::TypeKind::OptionalType;
      if (i == picture_ || optional || argument.default_value().has_value() || arrays_.count(argument.name()) > 0)
        continue;
      TORCH_CHECK(detail::is_tensor(argument.type()), "model \"", path, "\": its forward takes ",
                  argument.type()->annotation_str(), " for ", argument.name(),
                  ", explain gives it tensors; in Python: a module whose forward sets it");
      missing += " --input " + argument.name() + "=FILE.npy";
    }
    if (missing.empty()) return;
    throw UsageError("model \"" + path + "\": its forward takes " + std::to_string(arguments_.size()) + " inputs (" +
                     names() + "); beside the picture, which is " + arguments_[picture_].name() + ", give" + missing);
  }

  std::vector<c10::IValue> values(const torch::Tensor& batch) const {
    std::vector<c10::IValue> all;
    for (size_t i = 0; i < arguments_.size(); ++i) {
      const auto array = arrays_.find(arguments_[i].name());
      if (i == picture_)
        all.push_back(picture(batch));
      else if (array != arrays_.end())
        all.emplace_back(detail::for_rows(array->second, batch));
      else
        all.push_back(arguments_[i].default_value().value_or(c10::IValue()));
    }
    return all;
  }

  /// Of a list, as detectors take it, each element is a picture without its batch.
  c10::IValue picture(const torch::Tensor& batch) const {
    if (!detail::is_list_of_tensors(arguments_[picture_].type())) return batch;
    TORCH_CHECK(batch.size(0) == 1,
                "the model takes a list of pictures and gives a list of outputs, of which one is "
                "looked at: give pictures one by one, and no method that runs the model on many");
    return c10::List<torch::Tensor>({batch[0]});
  }

  torch::jit::Module script_;
  std::vector<c10::Argument> arguments_;
  std::map<std::string, torch::Tensor> arrays_;
  std::map<std::string, std::string> files_;  // of the arrays that the command line names
  size_t picture_ = 0;
};

}  // namespace support
