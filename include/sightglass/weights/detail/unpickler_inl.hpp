#pragma once

#include "sightglass/weights/detail/unpickler.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE const Pickled& Unpickler::load() {
  stack_.begin();
  for (uint8_t code = cursor_.byte(); code != '.'; code = cursor_.byte())
    TORCH_CHECK(put_value(code) || put_number(code) || put_text(code) || keep(code) || gather(code) || call(code),
                "is damaged or no file of torch.save: unknown pickle operation ", static_cast<int>(code), " at ",
                cursor_.at() - 1);
  return stack_.pop();
}

SIGHTGLASS_INLINE const PickledStorage* Unpickler::storage(const std::string& key) const {
  const auto found = storages_.find(key);
  return found == storages_.end() ? nullptr : found->second;
}

SIGHTGLASS_INLINE bool Unpickler::put_value(uint8_t code) {
  switch (code) {
    case 'N':
      return push(PickledNone());
    case 0x88:
    case 0x89:
      return push(code == 0x88);
    case ')':
    case ']':
      return push(PickledSequence());
    case '}':
      return push(PickledDict());
    default:
      return false;
  }
}

SIGHTGLASS_INLINE bool Unpickler::put_number(uint8_t code) {
  switch (code) {
    case 'K':
      return push(static_cast<int64_t>(cursor_.number(1)));
    case 'M':
      return push(static_cast<int64_t>(cursor_.number(2)));
    case 'J':
      return push(int64_t{static_cast<int32_t>(cursor_.number(4))});
    case 0x8a:
      return push_long(cursor_.number(1));
    case 0x8b:
      return push_long(cursor_.number(4));
    case 'G':
      return push_float();
    default:
      return false;
  }
}

SIGHTGLASS_INLINE bool Unpickler::push_long(uint64_t length) {
  const std::string bytes = cursor_.bytes(length);
  if (bytes.size() > 8) return push(bytes);  // too large to be a size of anything
  uint64_t number = little_endian(bytes.data(), bytes.size());
  const bool negative = !bytes.empty() && (bytes.back() & 0x80) != 0;
  if (negative && bytes.size() < 8) number |= ~uint64_t{0} << (8 * bytes.size());
  return push(static_cast<int64_t>(number));
}

SIGHTGLASS_INLINE bool Unpickler::push_float() {
  const std::string bytes = cursor_.bytes(8);
  const uint64_t bits = little_endian(std::string(bytes.rbegin(), bytes.rend()).data(), 8);
  double number = 0;
  std::memcpy(&number, &bits, sizeof number);
  return push(number);
}

SIGHTGLASS_INLINE bool Unpickler::put_text(uint8_t code) {
  switch (code) {
    case 0x8c:
    case 'U':
    case 'C':
      return push(cursor_.bytes(cursor_.number(1)));
    case 'X':
    case 'T':
    case 'B':
      return push(cursor_.bytes(cursor_.number(4)));
    case 0x8d:
      return push(cursor_.bytes(cursor_.number(8)));
    default:
      return false;
  }
}

SIGHTGLASS_INLINE bool Unpickler::keep(uint8_t code) {
  switch (code) {
    case 0x80:
      TORCH_CHECK(cursor_.byte() <= 4, "has a pickle of protocol 5; save it with torch.save's default protocol");
      return true;
    case 0x95:
      cursor_.bytes(8);
      return true;
    case 'q':
      return stack_.remember(cursor_.number(1)), true;
    case 'r':
      return stack_.remember(cursor_.number(4)), true;
    case 0x94:
      return stack_.remember(), true;
    case 'h':
      return stack_.recall(cursor_.number(1)), true;
    case 'j':
      return stack_.recall(cursor_.number(4)), true;
    case '(':
      return stack_.mark(), true;
    case '0':
      return stack_.pop(), true;
    default:
      return false;
  }
}

SIGHTGLASS_INLINE bool Unpickler::gather(uint8_t code) {
  switch (code) {
    case 't':
      return push_tuple(stack_.pop_marked());
    case 0x85:
    case 0x86:
    case 0x87:
      return push_tuple(stack_.pop_last(code - 0x84u));
    case 'a':
      return append(stack_.pop_last(1));
    case 'e':
      return append(stack_.pop_marked());
    case 's':
      return set_items(stack_.pop_last(2));
    case 'u':
      return set_items(stack_.pop_marked());
    default:
      return false;
  }
}

SIGHTGLASS_INLINE bool Unpickler::push_tuple(const Items& items) {
  return push(PickledSequence{{items.begin(), items.end()}});
}

SIGHTGLASS_INLINE bool Unpickler::append(const Items& items) {
  auto* const list = stack_.top().as<PickledSequence>();
  TORCH_CHECK(list != nullptr || stack_.top().as<PickledObject>() != nullptr, "is damaged: its pickle appends to ",
              stack_.top().describe());
  if (list != nullptr) list->items.insert(list->items.end(), items.begin(), items.end());
  return true;
}

SIGHTGLASS_INLINE bool Unpickler::set_items(const Items& items) {
  auto* const dict = stack_.top().as<PickledDict>();
  TORCH_CHECK(items.size() % 2 == 0 && (dict != nullptr || stack_.top().as<PickledObject>() != nullptr),
              "is damaged: its pickle sets items of ", stack_.top().describe());
  for (size_t i = 0; dict != nullptr && i < items.size(); i += 2) dict->items.emplace_back(items[i], items[i + 1]);
  return true;
}

SIGHTGLASS_INLINE bool Unpickler::call(uint8_t code) {
  switch (code) {
    case 'c': {
      const std::string module = cursor_.line();
      return push(PickledGlobal{module + "." + cursor_.line()});
    }
    case 0x93:
      return push_global(stack_.pop_last(2));
    case 'Q':
      return push_persistent(stack_.pop());
    case 'R':
    case 0x81:
      return reduce(stack_.pop_last(2));
    case 'b':
      return build(stack_.pop());
    default:
      return false;
  }
}

SIGHTGLASS_INLINE bool Unpickler::push_global(const Items& names) {
  const auto *module = names[0]->as<std::string>(), *name = names[1]->as<std::string>();
  TORCH_CHECK(module != nullptr && name != nullptr && module->size() + name->size() <= longest_name,
              "is damaged: a global without a name, or one without end");
  return push(PickledGlobal{*module + "." + *name});
}

SIGHTGLASS_INLINE bool Unpickler::push_persistent(const Pickled& id) {
  const auto* const parts = id.as<PickledSequence>();
  const std::string* const kind = parts == nullptr || parts->items.size() < 5 ? nullptr : text(parts->items[0]);
  const bool storage_id = kind != nullptr && *kind == "storage";
  if (!storage_id && parts != nullptr && parts->items.size() > 1 && parts->items[1]->as<PickledGlobal>() != nullptr)
    return push(PickledGlobal(*parts->items[1]->as<PickledGlobal>()));  // a class, with its source beside it
  if (!storage_id) return push(PickledObject());
  const auto* const type = parts->items[1]->as<PickledGlobal>();
  const std::string* const key = text(parts->items[2]);
  const auto* const count = parts->items[4]->as<int64_t>();
  TORCH_CHECK(type != nullptr && key != nullptr && key->size() <= longest_name && count != nullptr && *count >= 0,
              "is damaged: a storage without type, key or size");
  TORCH_CHECK(parts->items.size() == 5 || parts->items[5]->as<PickledNone>() != nullptr,
              "has views of storages, as PyTorch wrote before 0.4; load and save it again in Python");
  const Pickled& storage = stack_.push(PickledStorage{dtype_of(type->name), *key, *count, type->name});
  storages_.emplace(*key, storage.as<PickledStorage>());
  return true;
}

SIGHTGLASS_INLINE c10::ScalarType Unpickler::dtype_of(const std::string& storage) {
  for (const auto& [name, dtype] : storage_types())
    if (name == storage) return dtype;
  return c10::ScalarType::Undefined;
}

SIGHTGLASS_INLINE bool Unpickler::build(const Pickled& state) {
  if (auto* const object = stack_.top().as<PickledObject>()) object->state = &state;
  return true;
}

SIGHTGLASS_INLINE bool Unpickler::reduce(const Items& function_and_arguments) {
  const Pickled* const function = function_and_arguments[0];
  const auto* const called = function->as<PickledGlobal>();
  const auto* const given = function_and_arguments[1]->as<PickledSequence>();
  if (called == nullptr || given == nullptr) return push(PickledObject{function});
  const std::vector<const Pickled*>& arguments = given->items;
  if (called->name == "collections.OrderedDict") return push(ordered_dict(arguments));
  if (called->name == "torch._utils._rebuild_tensor_v2") return push(tensor_of(arguments));
  const PickledTensor* const data = arguments.empty() ? nullptr : arguments[0]->as<PickledTensor>();
  const bool parameter =
      called->name == "torch._utils._rebuild_parameter" || called->name == "torch._utils._rebuild_parameter_with_state";
  if (parameter && data != nullptr) return push(PickledTensor(*data));
  if (called->name == "torch._tensor._rebuild_from_type_v2") return push(typed_tensor(function, arguments));
  return push(PickledObject{function});
}

SIGHTGLASS_INLINE Pickled Unpickler::typed_tensor(const Pickled* function,
                                                  const std::vector<const Pickled*>& arguments) {
  const auto name_of = [&](size_t i) {
    const auto* const global = i < arguments.size() ? arguments[i]->as<PickledGlobal>() : nullptr;
    return global == nullptr ? std::string() : global->name;
  };
  const auto* const given = arguments.size() < 3 ? nullptr : arguments[2]->as<PickledSequence>();
  const bool plain = name_of(0) == "torch._utils._rebuild_tensor_v2" && name_of(1) == "torch.Tensor";
  if (given == nullptr || !plain) return Pickled{PickledObject{function}};
  return Pickled{tensor_of(given->items)};
}

SIGHTGLASS_INLINE PickledDict Unpickler::ordered_dict(const std::vector<const Pickled*>& arguments) {
  PickledDict dict;
  if (arguments.empty()) return dict;
  const auto* const pairs = arguments[0]->as<PickledSequence>();
  TORCH_CHECK(pairs != nullptr, "is damaged: an OrderedDict of something else than pairs");
  copied_ += pairs->items.size();
  TORCH_CHECK(copied_ <= PickleStack::most_values, "is damaged: its pickle copies without end");
  for (const Pickled* each : pairs->items) {
    const auto* const pair = each->as<PickledSequence>();
    TORCH_CHECK(pair != nullptr && pair->items.size() == 2, "is damaged: an OrderedDict of something else than pairs");
    dict.items.emplace_back(pair->items[0], pair->items[1]);
  }
  return dict;
}

}  // namespace sightglass::detail
