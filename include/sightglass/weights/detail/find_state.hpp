#pragma once

#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "sightglass/weights/detail/pickled.hpp"

/// Where in what a file holds the state dict is.
namespace sightglass::detail {

const Pickled* find_item(const PickledDict& dict, const std::string& name);

/// Keys under which checkpoints have their state dicts: PyTorch's tutorials, Lightning, timm, torchvision, MMEngine,
/// DeepSpeed, BasicSR; the second half is averages of weights.
bool is_usual_key(const std::string& key);

bool ends_with(const std::string& text, const std::string& end);

/// What a module of Python adds to its state dict by `get_extra_state`; of any type.
bool is_extra_state(const std::string& name);

bool has_tensors(const PickledDict& dict);

/// Keys as they are shown in messages: the first few.
std::string shown_keys(const std::vector<std::string>& keys);
std::string shown_keys(const PickledDict& dict);

/// The state dicts in a checkpoint, each with the keys that lead to it, joined by dots. A dict under several keys is
/// one, and a dict that holds itself ends.
class StateCandidates {
 public:
  using Found = std::pair<std::string, const PickledDict*>;

  explicit StateCandidates(const PickledDict& top);

  /// Under usual keys.
  const std::vector<Found>& usual() const { return usual_; }
  /// Under other keys.
  const std::vector<Found>& others() const { return others_; }

  static std::string shown(const std::vector<Found>& found);

 private:
  void look_in(const PickledDict& dict, const std::string& before, int depth);

  std::unordered_set<const PickledDict*> seen_;
  std::vector<Found> usual_, others_;
};

/// What a key leads to; where no such key is, its dots may part several. Null for nothing.
const Pickled* find_path(const PickledDict& dict, const std::string& key);

/// Whether a whole module was saved: an object with submodules among its members.
bool is_module(const Pickled& value);

/// Throws where a whole module was saved; `code` is how Python finds it in what `torch.load` gives.
void check_no_module(const Pickled& value, std::string_view code);

const PickledDict& dict_of(const Pickled& value, std::string_view where, std::string_view code);

/// The state dict in `dict`: the one under a usual key, or else the dict itself.
const PickledDict& choose_state(const PickledDict& dict);

/// The dict of tensors in what a file holds.
/// @param key leads to it; empty: it is looked for.
const PickledDict& find_state(const Pickled& top, const std::string& key);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/weights/detail/find_state_inl.hpp"
#endif
