#pragma once

#include "sightglass/trace/learning/plain_state.hpp"

#include <malloc.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE Extent allocation_of(const std::shared_ptr<torch::nn::Module>& module) {
#if defined(__GLIBCXX__) && defined(__GLIBC__)
  auto* const begin = static_cast<unsigned char*>(dynamic_cast<void*>(module.get()));
  std::_Sp_counted_base<>* counts = nullptr;
  static_assert(sizeof(module) == 2 * sizeof(void*), "a pointer to the object, and one to the counts");
  // NOLINTNEXTLINE(bugprone-sizeof-expression): the second of two pointers
  std::memcpy(&counts, reinterpret_cast<const unsigned char*>(&module) + sizeof(void*), sizeof(counts));
  if (counts == nullptr) return {};
  const std::string kind = typeid(*counts).name();
  auto* const block = reinterpret_cast<unsigned char*>(counts);
  if (kind.find("_Sp_counted_ptr_inplace") != std::string::npos) {
    const size_t whole = malloc_usable_size(block);
    const auto offset = static_cast<size_t>(begin - block);
    return begin > block && offset < whole ? Extent{begin, whole - offset} : Extent{};
  }
  if (kind.find("_Sp_counted_ptrI") != std::string::npos) return {begin, malloc_usable_size(begin)};
#endif
  static_cast<void>(module);
  return {};
}

SIGHTGLASS_INLINE Extent extent_of(const std::shared_ptr<torch::nn::Module>& module) {
  if (const size_t size = KnownTypes::global().size_of(*module))
    return {static_cast<unsigned char*>(dynamic_cast<void*>(module.get())), size};
  return allocation_of(module);
}

SIGHTGLASS_INLINE bool keeps_only_tensors(const torch::nn::Module& module) {
  return typeid(module) == typeid(torch::nn::SequentialImpl) || typeid(module) == typeid(torch::nn::ModuleListImpl) ||
         typeid(module) == typeid(torch::nn::ModuleDictImpl) || KnownTypes::global().is_libtorch(module);
}

SIGHTGLASS_INLINE std::optional<uint64_t> word_at(uint64_t address) {
  uint64_t word = 0;
  iovec here{&word, sizeof(word)};
  iovec there{reinterpret_cast<void*>(address), sizeof(word)};
  const ssize_t read = process_vm_readv(getpid(), &here, 1, &there, 1, 0);
  return read == static_cast<ssize_t>(sizeof(word)) ? std::optional<uint64_t>(word) : std::nullopt;
}

SIGHTGLASS_INLINE bool points_somewhere(uint64_t word, const void* beside) {
  constexpr uint64_t first_page = 4096;
  constexpr uint64_t end_of_addresses = uint64_t{1} << 47U;
  constexpr uint64_t low = uint64_t{1} << 32U;
  if (word < first_page || word >= end_of_addresses || word % 4 != 0) return false;
  // Where the program and its heap lie high, as they do by default, small words are numbers.
  if (word < low && reinterpret_cast<uint64_t>(beside) >= low) return false;
  return word_at(word).has_value();
}

SIGHTGLASS_INLINE std::vector<uint64_t> words_of(const Extent& extent) {
  std::vector<uint64_t> words(extent.size / sizeof(uint64_t));
  std::memcpy(words.data(), extent.begin, words.size() * sizeof(uint64_t));
  return words;
}

SIGHTGLASS_INLINE bool keeps_other_tensors(const std::vector<std::shared_ptr<torch::nn::Module>>& modules,
                                           const std::vector<at::Tensor>& state) {
  if (state.empty()) return false;
  std::set<uint64_t> own;
  for (const at::Tensor& tensor : state) own.insert(reinterpret_cast<uint64_t>(tensor.unsafeGetTensorImpl()));
  const auto tensor_class = word_at(reinterpret_cast<uint64_t>(state.front().unsafeGetTensorImpl()));
  if (!tensor_class) return false;
  for (const auto& module : modules) {
    if (module == nullptr || keeps_only_tensors(*module)) continue;
    const Extent extent = extent_of(module);
    for (const uint64_t word : words_of(extent)) {
      if (word % sizeof(uint64_t) != 0 || own.count(word) != 0 || !points_somewhere(word, extent.begin)) continue;
      if (word_at(word) == tensor_class) return true;
    }
  }
  return false;
}

SIGHTGLASS_INLINE PlainState::PlainState(const std::vector<std::shared_ptr<torch::nn::Module>>& modules) {
  for (const auto& module : modules) {
    if (module == nullptr || keeps_only_tensors(*module)) continue;
    const Extent extent = extent_of(module);
    if (extent.size >= sizeof(torch::nn::Module)) objects_.push_back({extent, words_of(extent)});
  }
}

SIGHTGLASS_INLINE bool PlainState::put_back() {
  bool all = true;
  for (const Object& object : objects_) all = put_back(object) && all;
  return all;
}

SIGHTGLASS_INLINE bool PlainState::put_back(const Object& object) {
  const std::vector<uint64_t> after = words_of(object.extent);
  bool has_numbers = false;
  bool has_pointers = false;
  for (size_t i = 0; i < after.size(); ++i) {
    if (after[i] == object.before[i]) continue;
    const bool points =
        points_somewhere(after[i], object.extent.begin) || points_somewhere(object.before[i], object.extent.begin);
    (points ? has_pointers : has_numbers) = true;
  }
  if (has_pointers) return !has_numbers;
  if (has_numbers) std::memcpy(object.extent.begin, object.before.data(), after.size() * sizeof(uint64_t));
  return true;
}

}  // namespace sightglass::detail
