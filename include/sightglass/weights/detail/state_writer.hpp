#pragma once

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/ordered_dict.h>

#include <cstdint>
#include <functional>
#include <string>
#include <system_error>
#include <vector>

#include "sightglass/weights/detail/pickled.hpp"

namespace sightglass::detail {

/// Writes a pickle of protocol 2: an OrderedDict of names and tensors, as Python's `torch.save` does.
class StatePickle {
 public:
  StatePickle();

  /// A contiguous tensor whose memory has the key `key`.
  void add(const std::string& name, const at::Tensor& tensor, const std::string& key);

  std::string finished() const { return text_ + "u."; }

 private:
  static std::string storage_class(const std::string& name, c10::ScalarType dtype);

  void bytes(int64_t value, size_t count);
  void number(int64_t value);
  void string(const std::string& value);
  void tuple(at::IntArrayRef numbers);
  void global(const std::string& module, const std::string& name) { text_ += "c" + module + "\n" + name + "\n"; }

  std::string text_;
};

/// The whole file through `write`.
void write_state(const torch::OrderedDict<std::string, at::Tensor>& state,
                 const std::function<size_t(const void*, size_t)>& write);

/// Makes the file whole or not at all: it is written beside its place and then takes its name.
void write_state_file(const torch::OrderedDict<std::string, at::Tensor>& state, const std::string& path);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/weights/detail/state_writer_inl.hpp"
#endif
