#pragma once

/// A model bit for bit, to be compared with what it is later.

#include <torch/torch.h>

#include <sstream>
#include <string>
#include <vector>

namespace support {

/// True where two tensors have the same type, shape and bits (or are both undefined).
inline bool identical(const torch::Tensor& a, const torch::Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         torch::equal(torch::nan_to_num(a, 12345.), torch::nan_to_num(b, 12345.));
}

/// The state of the CPU's generator.
inline torch::Tensor random_state() { return at::globalContext().defaultGenerator(at::kCPU).get_state(); }

/// What `torch::save` writes.
inline std::string saved(const torch::nn::Module& module) {
  torch::serialize::OutputArchive archive;
  module.save(archive);
  std::ostringstream stream;
  archive.save_to(stream);
  return stream.str();
}

/// Everything of a model that nobody may change: names, values, addresses, flags, gradients, and the random state.
class Snapshot {
 public:
  explicit Snapshot(const torch::nn::Module& module) : random_(random_state()), bytes_(saved(module)) {
    for (const auto& item : module.named_parameters()) add("parameter " + item.key(), item.value());
    for (const auto& item : module.named_buffers()) add("buffer " + item.key(), item.value());
    for (const auto& item : module.named_modules("", false)) {
      flags_.push_back(item.key() + (item.value()->is_training() ? " trains" : " does not train"));
    }
  }

  /// The first difference from a later snapshot; empty when there is none.
  std::string difference(const Snapshot& later) const {
    if (entries_.size() != later.entries_.size()) return "number of tensors";
    for (size_t i = 0; i < entries_.size(); ++i) {
      const Entry& a = entries_[i];
      const Entry& b = later.entries_[i];
      if (a.name != b.name) return a.name + " became " + b.name;
      if (!identical(a.value, b.value)) return "values of " + a.name;
      if (a.address != b.address) return "the tensor object of " + a.name;
      if (a.needs_gradient != b.needs_gradient) return "requires_grad of " + a.name;
      if (!identical(a.gradient, b.gradient)) return "gradient of " + a.name;
    }
    if (flags_ != later.flags_) return "training flags or names of modules";
    if (!identical(random_, later.random_)) return "random state";
    return bytes_ == later.bytes_ ? "" : "what torch::save writes";
  }

 private:
  struct Entry {
    std::string name;
    torch::Tensor value;
    const void* address;
    bool needs_gradient;
    torch::Tensor gradient;
  };
  void add(const std::string& name, const torch::Tensor& tensor) {
    const torch::Tensor gradient = tensor.grad().defined() ? tensor.grad().detach().clone() : torch::Tensor();
    entries_.push_back({name, tensor.detach().clone(), tensor.unsafeGetTensorImpl(), tensor.requires_grad(), gradient});
  }

  std::vector<Entry> entries_;
  std::vector<std::string> flags_;
  torch::Tensor random_;
  std::string bytes_;
};

}  // namespace support
