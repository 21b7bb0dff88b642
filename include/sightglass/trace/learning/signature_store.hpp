#pragma once

#include <mutex>
#include <map>
#include <iterator>
#include <c10/macros/Export.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "sightglass/trace/learning/signature.hpp"
#include "sightglass/trace/owner_store.hpp"

namespace sightglass::detail {

/// Signatures learned in this process, so that the second guard on a layer costs no trial.
class C10_EXPORT SignatureStore {
 public:
  static SignatureStore& global() {
    static SignatureStore store;
    return store;
  }

  std::shared_ptr<const Signature> find(const Runnable& owner) const;
  void put(const Runnable& owner, std::shared_ptr<const Signature> signature);

 private:
  OwnerStore<std::pair<RunnableId, uint64_t>, Signature> signatures_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/learning/signature_store_inl.hpp"
#endif
