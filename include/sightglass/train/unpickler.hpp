#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sightglass/train/file_reader.hpp"
#include "sightglass/train/pickled.hpp"

namespace sightglass::detail {

/// Reads pickles as `torch.save` writes them, protocols 2 to 4, without ever running anything: of all that a pickle may
/// call, only OrderedDict, tensors and parameters mean something; other objects are read past.
///
/// Owns what it reads: a file may nest its lists deeply or into themselves, so that no destructor may follow them.
class Unpickler {
 public:
  explicit Unpickler(Cursor& cursor) : cursor_(cursor) {}
  Unpickler(const Unpickler&) = delete;
  Unpickler& operator=(const Unpickler&) = delete;

  /// The next pickle of the file. What it gives lives as long as this object.
  const Pickled& load() {
    stack_.clear();
    marks_.clear();
    memo_.clear();
    for (uint8_t code = cursor_.byte(); code != '.'; code = cursor_.byte())
      TORCH_CHECK(put_value(code) || put_text(code) || keep(code) || gather(code) || call(code),
                  "is damaged or no file of torch.save: unknown pickle operation ", static_cast<int>(code), " at ",
                  cursor_.at() - 1);
    return *pop();
  }

  /// The storage of this key that a pickle mentioned; null for none.
  const PickledStorage* storage(const std::string& key) const {
    const auto found = storages_.find(key);
    return found == storages_.end() ? nullptr : found->second;
  }

 private:
  using Items = std::vector<Pickled*>;
  static constexpr size_t most_values = 4'000'000;
  static constexpr size_t longest_name = 1000;

  // ---- Values
  bool put_value(uint8_t code) {
    switch (code) {
      case 'N':
        return push(PickledNone());
      case 0x88:
      case 0x89:
        return push(code == 0x88);
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
      case ')':
      case ']':
        return push(PickledSequence());
      case '}':
        return push(PickledDict());
      default:
        return false;
    }
  }

  bool put_text(uint8_t code) {
    switch (code) {
      case 0x8c:  // text and bytes, by the width of their length
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

  bool push_long(uint64_t length) {
    const std::string bytes = cursor_.bytes(length);
    if (bytes.size() > 8) return push(bytes);  // too large to be a size of anything
    uint64_t number = little_endian(bytes.data(), bytes.size());
    const bool negative = !bytes.empty() && (bytes.back() & 0x80) != 0;
    if (negative && bytes.size() < 8) number |= ~uint64_t{0} << (8 * bytes.size());
    return push(static_cast<int64_t>(number));
  }

  bool push_float() {
    const std::string bytes = cursor_.bytes(8);
    const uint64_t bits = little_endian(std::string(bytes.rbegin(), bytes.rend()).data(), 8);
    double number = 0;
    std::memcpy(&number, &bits, sizeof number);
    return push(number);
  }

  // ---- The memo, and marks
  bool keep(uint8_t code) {
    switch (code) {
      case 0x80:
        TORCH_CHECK(cursor_.byte() <= 4, "is a pickle of protocol 5; save it with torch.save's default protocol");
        return true;
      case 0x95:
        cursor_.bytes(8);
        return true;
      case 'q':
        return remember(cursor_.number(1));
      case 'r':
        return remember(cursor_.number(4));
      case 0x94:
        return remember(memo_.size());
      case 'h':
        return recall(cursor_.number(1));
      case 'j':
        return recall(cursor_.number(4));
      case '(':
        marks_.push_back(stack_.size());
        return true;
      case '0':
        pop();
        return true;
      default:
        return false;
    }
  }

  bool remember(uint64_t key) {
    memo_[key] = top();
    return true;
  }
  bool recall(uint64_t key) {
    const auto found = memo_.find(key);
    TORCH_CHECK(found != memo_.end(), "is damaged: its pickle recalls what it never kept");
    stack_.push_back(found->second);
    return true;
  }

  // ---- Containers
  bool gather(uint8_t code) {
    switch (code) {
      case 't':
        return push_tuple(pop_marked());
      case 0x85:
      case 0x86:
      case 0x87:
        return push_tuple(pop_last(code - 0x84u));
      case 'a':
        return append(pop_last(1));
      case 'e':
        return append(pop_marked());
      case 's':
        return set_items(pop_last(2));
      case 'u':
        return set_items(pop_marked());
      default:
        return false;
    }
  }

  bool push_tuple(const Items& items) { return push(PickledSequence{{items.begin(), items.end()}}); }

  bool append(const Items& items) {
    auto* const list = top()->as<PickledSequence>();
    TORCH_CHECK(list != nullptr || top()->as<PickledObject>() != nullptr, "is damaged: its pickle appends to ",
                top()->describe());
    if (list != nullptr) list->items.insert(list->items.end(), items.begin(), items.end());
    return true;
  }

  bool set_items(const Items& items) {
    auto* const dict = top()->as<PickledDict>();
    TORCH_CHECK(items.size() % 2 == 0 && (dict != nullptr || top()->as<PickledObject>() != nullptr),
                "is damaged: its pickle sets items of ", top()->describe());
    for (size_t i = 0; dict != nullptr && i < items.size(); i += 2) dict->items.emplace_back(items[i], items[i + 1]);
    return true;
  }

  // ---- What Python would call
  bool call(uint8_t code) {
    switch (code) {
      case 'c': {
        const std::string module = cursor_.line();
        return push(PickledGlobal{module + "." + cursor_.line()});
      }
      case 0x93: {
        const Items names = pop_last(2);
        const auto *module = names[0]->as<std::string>(), *name = names[1]->as<std::string>();
        TORCH_CHECK(module != nullptr && name != nullptr, "is damaged: a global without a name");
        TORCH_CHECK(module->size() + name->size() <= longest_name, "is damaged: a global with a name without end");
        return push(PickledGlobal{*module + "." + *name});
      }
      case 'Q':
        return push_persistent(*pop());
      case 'R':
      case 0x81: {
        const Items both = pop_last(2);
        return reduce(*both[0], *both[1]);
      }
      case 'b':  // what follows an object's making: OrderedDict's `_metadata`, a module's members
        pop();
        top();
        return true;
      default:
        return false;
    }
  }

  /// `('storage', torch.FloatStorage, key, device, elements)`, with None at its end in files before PyTorch 1.6.
  bool push_persistent(const Pickled& id) {
    const auto* const parts = id.as<PickledSequence>();
    const bool storage = parts != nullptr && parts->items.size() >= 5 && text_of(parts->items[0]) == "storage";
    if (!storage) return push(PickledObject());
    const auto* const type = parts->items[1]->as<PickledGlobal>();
    const auto* const count = parts->items[4]->as<int64_t>();
    TORCH_CHECK(type != nullptr && count != nullptr && *count >= 0 && parts->items[2]->as<std::string>() != nullptr,
                "is damaged: a storage without type, key or size");
    TORCH_CHECK(parts->items.size() == 5 || parts->items[5]->as<PickledNone>() != nullptr,
                "has views of storages, as PyTorch wrote before 0.4; load and save it again in Python");
    TORCH_CHECK(text_of(parts->items[2]).size() <= longest_name, "is damaged: a storage with a key without end");
    push(PickledStorage{dtype_of(type->name), text_of(parts->items[2]), *count});
    storages_.emplace(text_of(parts->items[2]), values_.back().as<PickledStorage>());
    return true;
  }

  static c10::ScalarType dtype_of(const std::string& storage) {
    for (const auto& [name, dtype] : storage_types())
      if (name == storage) return dtype;
    TORCH_CHECK(false, "has a ", storage, ", a type that is not read; convert the tensor in Python first");
  }

  bool reduce(const Pickled& function, const Pickled& arguments) {
    const auto* const called = function.as<PickledGlobal>();
    const auto* const given = arguments.as<PickledSequence>();
    if (called == nullptr || given == nullptr) return push(PickledObject{&function});
    const std::vector<const Pickled*>& list = given->items;
    if (called->name == "collections.OrderedDict") return push(ordered_dict(list));
    if (called->name == "torch._utils._rebuild_tensor_v2") return push(tensor(list));
    if (called->name == "torch._utils._rebuild_parameter" && !list.empty() && list[0]->as<PickledTensor>() != nullptr)
      return push(PickledTensor(*list[0]->as<PickledTensor>()));
    return push(PickledObject{&function});
  }

  /// Python 2 gave the pairs to the constructor.
  PickledDict ordered_dict(const std::vector<const Pickled*>& arguments) {
    PickledDict dict;
    const auto* const pairs = arguments.empty() ? nullptr : arguments[0]->as<PickledSequence>();
    TORCH_CHECK(arguments.empty() || pairs != nullptr, "is damaged: an OrderedDict of something else than pairs");
    if (pairs == nullptr) return dict;
    copied_ += pairs->items.size();
    TORCH_CHECK(copied_ <= most_values, "is damaged: its pickle copies without end");
    for (const Pickled* each : pairs->items) {
      const auto* const pair = each->as<PickledSequence>();
      TORCH_CHECK(pair != nullptr && pair->items.size() == 2,
                  "is damaged: an OrderedDict of something else than pairs");
      dict.items.emplace_back(pair->items[0], pair->items[1]);
    }
    return dict;
  }

  /// `(storage, offset, size, stride, requires_grad, hooks[, metadata])`
  static PickledTensor tensor(const std::vector<const Pickled*>& arguments) {
    TORCH_CHECK(arguments.size() >= 4, "is damaged: a tensor of ", arguments.size(), " arguments");
    const auto* const storage = arguments[0]->as<PickledStorage>();
    const auto* const offset = arguments[1]->as<int64_t>();
    TORCH_CHECK(storage != nullptr && offset != nullptr, "is damaged: a tensor without storage or offset");
    const auto* const metadata = arguments.size() > 6 ? arguments[6]->as<PickledDict>() : nullptr;
    TORCH_CHECK(
        metadata == nullptr || metadata->items.empty(),
        "has a tensor that is a conjugate or negative view; call resolve_conj() and resolve_neg() before saving");
    return {storage, *offset, numbers_of(*arguments[2]), numbers_of(*arguments[3])};
  }

  static std::vector<int64_t> numbers_of(const Pickled& tuple) {
    constexpr size_t most_dimensions = 64;
    const auto* const sequence = tuple.as<PickledSequence>();
    TORCH_CHECK(sequence != nullptr && sequence->items.size() <= most_dimensions,
                "is damaged: a tensor whose shape is ", tuple.describe());
    std::vector<int64_t> numbers;
    for (const Pickled* item : sequence->items) {
      TORCH_CHECK(item->as<int64_t>() != nullptr, "is damaged: a tensor with ", item->describe(), " in its shape");
      numbers.push_back(*item->as<int64_t>());
    }
    return numbers;
  }

  static const std::string& text_of(const Pickled* value) {
    static const std::string none;
    const auto* const text = value->as<std::string>();
    return text == nullptr ? none : *text;
  }

  // ---- The stack
  template <class T>
  bool push(T value) {
    TORCH_CHECK(values_.size() < most_values, "its pickle holds more than ", most_values,
                " values; save the state dict alone");
    values_.push_back(Pickled{std::move(value)});
    stack_.push_back(&values_.back());
    return true;
  }

  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Pickled* top() const {
    TORCH_CHECK(stack_.size() > floor(), "is damaged: its pickle takes what it never gave");
    return stack_.back();
  }
  Pickled* pop() {
    Pickled* const last = top();
    stack_.pop_back();
    return last;
  }
  Items pop_last(size_t count) {
    TORCH_CHECK(stack_.size() >= floor() + count, "is damaged: its pickle takes what it never gave");
    Items items(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }
  Items pop_marked() {
    TORCH_CHECK(!marks_.empty(), "is damaged: its pickle ends what it never began");
    Items items = pop_last(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }

  Cursor& cursor_;
  std::deque<Pickled> values_;
  size_t copied_ = 0;
  Items stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, Pickled*> memo_;
  std::unordered_map<std::string, const PickledStorage*> storages_;
};

}  // namespace sightglass::detail
