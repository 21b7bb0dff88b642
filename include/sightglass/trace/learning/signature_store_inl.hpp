#pragma once

#include "sightglass/trace/learning/signature_store.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE std::shared_ptr<const Signature> SignatureStore::find(const Runnable& owner) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto entry = entries_.find({owner.id(), owner.mode()});
  const auto lifetime = owner.lifetime();
  const bool same = entry != entries_.end() && !entry->second.lifetime.owner_before(lifetime) &&
                    !lifetime.owner_before(entry->second.lifetime);
  return same ? entry->second.signature : nullptr;
}

SIGHTGLASS_INLINE void SignatureStore::put(const Runnable& owner, std::shared_ptr<const Signature> signature) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    entry = entry->second.lifetime.expired() ? entries_.erase(entry) : std::next(entry);
  }
  const uint64_t mode = signature->mode;
  entries_[{owner.id(), mode}] = {owner.lifetime(), std::move(signature)};
}

}  // namespace sightglass::detail
