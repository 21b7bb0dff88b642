#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sightglass/weights/detail/file_reader.hpp"
#include "sightglass/weights/detail/pickle_stack.hpp"
#include "sightglass/weights/detail/pickled.hpp"

namespace sightglass::detail {

/// Reads pickles as `torch.save` writes them, protocols 2 to 4, without ever running anything: of all that a pickle may
/// call, only OrderedDict, tensors and parameters mean something; other objects are read past.
class Unpickler {
 public:
  explicit Unpickler(Cursor& cursor) : cursor_(cursor) {}
  Unpickler(const Unpickler&) = delete;
  Unpickler& operator=(const Unpickler&) = delete;

  /// The next pickle of the file. What it gives lives as long as this object.
  const Pickled& load();

  /// The storage of this key that a pickle mentioned; null for none.
  const PickledStorage* storage(const std::string& key) const;

 private:
  using Items = PickleStack::Items;
  static constexpr size_t longest_name = 1000;

  // ---- Values
  template <class T>
  bool push(T value) {
    stack_.push(std::move(value));
    return true;
  }

  bool put_value(uint8_t code);

  bool put_number(uint8_t code);

  bool push_long(uint64_t length);

  bool push_float();

  /// Text and bytes, by the width of their length.
  bool put_text(uint8_t code);

  // ---- The memo, marks, and what says nothing
  bool keep(uint8_t code);

  // ---- Containers
  bool gather(uint8_t code);

  bool push_tuple(const Items& items);

  bool append(const Items& items);

  bool set_items(const Items& items);

  // ---- What Python would look up or call
  bool call(uint8_t code);

  bool push_global(const Items& names);

  /// `('storage', torch.FloatStorage, key, device, elements)`, with None at its end in files before PyTorch 1.6.
  bool push_persistent(const Pickled& id);

  /// Undefined for a type that is not read: what is not asked for may be of any.
  static c10::ScalarType dtype_of(const std::string& storage);

  /// What follows an object's making: OrderedDict's `_metadata`, which says nothing, a module's members.
  bool build(const Pickled& state);

  bool reduce(const Items& function_and_arguments);

  /// A tensor with members of Python's: `(function, type, its arguments, members)`. Another type may hold anything.
  static Pickled typed_tensor(const Pickled* function, const std::vector<const Pickled*>& arguments);

  /// Python 2 gave the pairs to the constructor.
  PickledDict ordered_dict(const std::vector<const Pickled*>& arguments);

  static const std::string* text(const Pickled* value) { return value->as<std::string>(); }

  Cursor& cursor_;
  PickleStack stack_;
  size_t copied_ = 0;
  std::unordered_map<std::string, const PickledStorage*> storages_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/weights/detail/unpickler_inl.hpp"
#endif
