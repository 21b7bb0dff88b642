#pragma once

#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

/// What a pickle holds, as far as state dicts need it.
namespace sightglass::detail {

struct Pickled;

struct PickledNone {};
/// A list or a tuple.
struct PickledSequence {
  std::vector<const Pickled*> items;
};
/// A dict or an OrderedDict, in its order.
struct PickledDict {
  std::vector<std::pair<const Pickled*, const Pickled*>> items;
};
/// A class or function of Python, by name; nothing of it is ever run.
struct PickledGlobal {
  std::string name;
};
/// An object of some Python class.
struct PickledObject {
  const Pickled* of = nullptr;
  const Pickled* state = nullptr;  // its members, for messages
};
/// A tensor's memory, by the key under which the file has it.
struct PickledStorage {
  c10::ScalarType dtype = c10::ScalarType::Undefined;  // where that type is not read here
  std::string key;
  int64_t count = 0;      // elements
  std::string type = {};  // torch.FloatStorage
};
struct PickledTensor {
  const PickledStorage* storage = nullptr;
  int64_t offset = 0;  // elements
  std::vector<int64_t> sizes, strides;
};

struct Pickled {
  std::variant<PickledNone, bool, int64_t, double, std::string, PickledSequence, PickledDict, PickledGlobal,
               PickledObject, PickledStorage, PickledTensor>
      value;

  template <class T>
  const T* as() const {
    return std::get_if<T>(&value);
  }
  template <class T>
  T* as() {
    return std::get_if<T>(&value);
  }

  /// For messages: what a Python user would call it.
  std::string describe() const;
};

/// How Python's classes of storages name the types.
const std::vector<std::pair<std::string, c10::ScalarType>>& storage_types();

/// A shape or strides.
std::vector<int64_t> integers_of(const Pickled& tuple);

/// A tensor from what its making is called with: `(storage, offset, size, stride, requires_grad, hooks[, metadata])`
PickledTensor tensor_of(const std::vector<const Pickled*>& arguments);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/weights/detail/pickled_inl.hpp"
#endif
