#pragma once

#include <c10/macros/Export.h>

#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "sightglass/trace/learning/signature.hpp"

namespace sightglass::detail {

/// Signatures learned in this process, so that the second guard on a layer pays nothing.
class C10_EXPORT SignatureStore {
 public:
  static SignatureStore& global() {
    static SignatureStore store;
    return store;
  }

  std::shared_ptr<const Signature> find(const Runnable& owner) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto entry = entries_.find({owner.id(), owner.mode()});
    const auto lifetime = owner.lifetime();
    const bool same = entry != entries_.end() && !entry->second.lifetime.owner_before(lifetime) &&
                      !lifetime.owner_before(entry->second.lifetime);
    return same ? entry->second.signature : nullptr;
  }

  void put(const Runnable& owner, std::shared_ptr<const Signature> signature) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (auto entry = entries_.begin(); entry != entries_.end();) {
      entry = entry->second.lifetime.expired() ? entries_.erase(entry) : std::next(entry);
    }
    const uint64_t mode = signature->mode;
    entries_[{owner.id(), mode}] = {owner.lifetime(), std::move(signature)};
  }

 private:
  struct Entry {
    std::weak_ptr<const void> lifetime;
    std::shared_ptr<const Signature> signature;
  };
  std::mutex mutex_;
  std::map<std::pair<const void*, uint64_t>, Entry> entries_;
};

}  // namespace sightglass::detail
