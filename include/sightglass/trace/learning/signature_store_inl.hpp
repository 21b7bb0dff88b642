#pragma once

#include "sightglass/trace/learning/signature_store.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE std::shared_ptr<const Signature> SignatureStore::find(const Runnable& owner) const {
  return signatures_.find({owner.id(), owner.mode()}, owner.lifetime());
}

SIGHTGLASS_INLINE void SignatureStore::put(const Runnable& owner, std::shared_ptr<const Signature> signature) {
  const uint64_t mode = signature->mode;
  signatures_.put({owner.id(), mode}, owner.lifetime(), std::move(signature));
}

}  // namespace sightglass::detail
