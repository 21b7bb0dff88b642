#pragma once

#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace sightglass::detail {

/// Values found once in this process, each kept while its owner lives: another object at the owner's address is not
/// given them. Threads may share it.
template <class Key, class Value>
class OwnerStore {
 public:
  std::shared_ptr<const Value> find(const Key& key, const std::weak_ptr<const void>& owner) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto entry = entries_.find(key);
    const bool same =
        entry != entries_.end() && !entry->second.owner.owner_before(owner) && !owner.owner_before(entry->second.owner);
    return same ? entry->second.value : nullptr;
  }

  void put(Key key, std::weak_ptr<const void> owner, std::shared_ptr<const Value> value) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (auto entry = entries_.begin(); entry != entries_.end();) {
      entry = entry->second.owner.expired() ? entries_.erase(entry) : std::next(entry);
    }
    entries_[std::move(key)] = {std::move(owner), std::move(value)};
  }

 private:
  struct Entry {
    std::weak_ptr<const void> owner;
    std::shared_ptr<const Value> value;
  };
  mutable std::mutex mutex_;
  std::map<Key, Entry> entries_;
};

}  // namespace sightglass::detail
