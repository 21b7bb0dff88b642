#pragma once

#include <torch/script.h>
#include <torch/torch.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/harness/catch.hpp"

/// Reads the numerical references of ../shared/refs (its README says what they hold).
namespace support {

inline bool file_exists(const std::string& path) { return std::ifstream(path).good(); }

inline c10::IValue load_pickle(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  TORCH_CHECK(stream.good(), "cannot read ", path);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  return torch::pickle_load(bytes);
}

/// A dict that Python wrote.
class Entry {
 public:
  explicit Entry(const c10::IValue& value) : dict_(value.toGenericDict()) {}

  bool has(const std::string& key) const { return dict_.contains(key); }
  c10::IValue at(const std::string& key) const { return dict_.at(key); }
  std::string text(const std::string& key) const { return at(key).toStringRef(); }
  at::Tensor tensor(const std::string& key) const { return at(key).toTensor(); }
  std::vector<Entry> entries(const std::string& key) const {
    std::vector<Entry> all;
    const c10::IValue list = at(key);
    for (const c10::IValue& value : list.toListRef()) all.emplace_back(value);
    return all;
  }

 private:
  c10::Dict<c10::IValue, c10::IValue> dict_;
};

/// One network of ../shared/refs.
class References {
 public:
  explicit References(const std::string& name)
      : base_(shared_dir() + "/refs/" + name), entry_(load_pickle(base_ + "_refs.pt")) {}

  static bool are_there() { return file_exists(shared_dir() + "/refs/tinyresnet_refs.pt"); }

  torch::jit::Module script() const { return torch::jit::load(base_ + ".pt"); }
  std::string script_path() const { return base_ + ".pt"; }
  at::Tensor input() const { return entry_.tensor("input"); }
  at::Tensor logits() const { return entry_.tensor("logits"); }
  at::Tensor top1() const { return entry_.tensor("top1"); }
  /// What is stored once for the network, such as `fullgrad_completeness64`.
  Entry entry(const std::string& key) const { return Entry(entry_.at(key)); }
  /// `layer, targets, activations, gradients`.
  std::vector<Entry> layers() const { return entry_.entries("layers"); }
  /// The cases of one method: `method, peer, layer, targets, map, note`.
  std::vector<Entry> cases(const std::string& method) const {
    std::vector<Entry> all = entry_.entries("cases");
    all.erase(std::remove_if(all.begin(), all.end(), [&](const Entry& e) { return e.text("method") != method; }),
              all.end());
    return all;
  }

  /// Puts the stored weights into a module with the same names; every parameter and buffer must be there.
  void load_into(torch::nn::Module& module) const {
    const Entry stored(load_pickle(base_ + "_state_dict.pt"));
    const torch::NoGradGuard no_gradients;
    for (auto& item : module.named_parameters()) item.value().copy_(stored.tensor(item.key()));
    for (auto& item : module.named_buffers()) item.value().copy_(stored.tensor(item.key()));
  }

 private:
  std::string base_;
  Entry entry_;
};

/// max |a - b| / max |b| for each image, the worst of them; the references' README measures so. An image whose `b` is 0
/// everywhere must have an `a` of 0.
inline double relative_error(const at::Tensor& a, const at::Tensor& b) {
  TORCH_CHECK(a.sizes() == b.sizes(), "sizes differ: ", a.sizes(), " and ", b.sizes());
  const at::Tensor wanted = b.to(at::kDouble).flatten(1);
  const at::Tensor difference = (a.to(at::kDouble).flatten(1) - wanted).abs().amax(1);
  const at::Tensor size = wanted.abs().amax(1);
  TORCH_CHECK(difference.isfinite().all().item<bool>(), "NaN or infinity in one of the maps");
  return at::where(difference == 0, difference, difference / size).max().item<double>();
}

}  // namespace support
