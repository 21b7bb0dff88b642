#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/moduledict.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/container/sequential.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <typeinfo>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/trace/learning/callable.hpp"
#include "sightglass/trace/runnable.hpp"

/// State of a module that is no tensor: counters, schedules, generators in its members. A trial run changes it like any
/// other run, so that it has to be put back.
///
/// Members that hold numbers are put back byte by byte. Where a member that points somewhere has changed too, a tensor
/// or a container, that cannot be done. What lies behind a pointer is not seen. No other thread may run the module
/// meanwhile.
namespace sightglass::detail {

/// The memory of one object.
struct Extent {
  unsigned char* begin = nullptr;
  size_t size = 0;
};

/// Where a module of an unknown class lies that `std::make_shared` or `new` has made: all of its allocation. Empty
/// where that cannot be told.
Extent allocation_of(const std::shared_ptr<torch::nn::Module>& module);

Extent extent_of(const std::shared_ptr<torch::nn::Module>& module);

/// LibTorch's own layers and containers keep nothing but tensors.
bool keeps_only_tensors(const torch::nn::Module& module);

/// The word that lies at `address`, where there is memory that may be read: the kernel looks, so that nothing crashes.
std::optional<uint64_t> word_at(uint64_t address);

/// Whether the word is the address of memory that is there; `beside` lies where the program's heap does.
bool points_somewhere(uint64_t word, const void* beside);

/// The words of an object.
std::vector<uint64_t> words_of(const Extent& extent);

/// Whether a member of one of the modules is a tensor besides `state`: what points to an object of the class of these.
bool keeps_other_tensors(const std::vector<std::shared_ptr<torch::nn::Module>>& modules,
                         const std::vector<at::Tensor>& state);

/// Notes the numbers in the members of some modules.
class PlainState final : public Preserved {
 public:
  explicit PlainState(const std::vector<std::shared_ptr<torch::nn::Module>>& modules);

  SIGHTGLASS_INLINE bool put_back() override;

 private:
  struct Object {
    Extent extent;
    std::vector<uint64_t> before;
  };

  static bool put_back(const Object& object);

  std::vector<Object> objects_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/learning/plain_state_inl.hpp"
#endif
