#pragma once

#include "sightglass/weights/detail/state_writer.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE StatePickle::StatePickle() {
  text_ = "\x80\x02";
  global("collections", "OrderedDict");
  text_ += ")R(";
}

SIGHTGLASS_INLINE void StatePickle::add(const std::string& name, const at::Tensor& tensor, const std::string& key) {
  string(name);
  global("torch._utils", "_rebuild_tensor_v2");
  text_ += "((";
  string("storage");
  global("torch", storage_class(name, tensor.scalar_type()));
  string(key);
  string("cpu");
  number(tensor.numel());
  text_ += "tQ";
  number(0);
  tuple(tensor.sizes());
  tuple(tensor.strides());
  text_ += '\x89';
  global("collections", "OrderedDict");
  text_ += ")RtR";
}

SIGHTGLASS_INLINE std::string StatePickle::storage_class(const std::string& name, c10::ScalarType dtype) {
  for (const auto& [known, type] : storage_types())
    if (type == dtype) return known.substr(known.find('.') + 1);
  TORCH_CHECK(false, "\"", name, "\" is of type ", dtype, ", which is not written");
}

SIGHTGLASS_INLINE void StatePickle::bytes(int64_t value, size_t count) {
  for (size_t i = 0; i < count; ++i) text_ += static_cast<char>(static_cast<uint64_t>(value) >> (8 * i) & 0xFF);
}

SIGHTGLASS_INLINE void StatePickle::number(int64_t value) {
  text_ += "\x8a\x08";
  bytes(value, 8);
}

SIGHTGLASS_INLINE void StatePickle::string(const std::string& value) {
  text_ += 'X';
  bytes(static_cast<int64_t>(value.size()), 4);
  text_ += value;
}

SIGHTGLASS_INLINE void StatePickle::tuple(at::IntArrayRef numbers) {
  text_ += '(';
  for (const int64_t each : numbers) number(each);
  text_ += 't';
}

SIGHTGLASS_INLINE void write_state(const torch::OrderedDict<std::string, at::Tensor>& state,
                                   const std::function<size_t(const void*, size_t)>& write) {
  caffe2::serialize::PyTorchStreamWriter archive(write);
  StatePickle pickle;
  std::vector<at::Tensor> tensors;
  for (const auto& item : state) {
    TORCH_CHECK(item.value().defined(), "\"", item.key(), "\" is an undefined tensor");
    tensors.push_back(item.value().detach().to(at::kCPU).contiguous());
    pickle.add(item.key(), tensors.back(), std::to_string(tensors.size() - 1));
  }
  const std::string text = pickle.finished(), order = "little";
  archive.writeRecord("data.pkl", text.data(), text.size());
  archive.writeRecord("byteorder", order.data(), order.size());
  for (size_t i = 0; i < tensors.size(); ++i)
    archive.writeRecord("data/" + std::to_string(i), tensors[i].data_ptr(), tensors[i].nbytes());
  archive.writeEndOfFile();
}

SIGHTGLASS_INLINE void write_state_file(const torch::OrderedDict<std::string, at::Tensor>& state,
                                        const std::string& path) {
  const std::string beside = path + "." + std::to_string(::getpid()) + ".part";
  std::error_code failed;
  try {
    std::ofstream stream(beside, std::ios::binary);
    TORCH_CHECK(stream.good(), "cannot be written; expected a folder that exists and may be written to");
    const std::function<size_t(const void*, size_t)> write = [&](const void* bytes, size_t count) {
      stream.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(count));
      return stream.good() ? count : size_t{0};
    };
    write_state(state, write);
    stream.close();
    TORCH_CHECK(stream.good(), "cannot be written to its end");
    std::filesystem::rename(beside, path, failed);
    TORCH_CHECK(!failed, "cannot take its name: ", failed.message());
  } catch (...) {
    std::filesystem::remove(beside, failed);
    throw;
  }
}

}  // namespace sightglass::detail
