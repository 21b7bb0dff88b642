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

  std::shared_ptr<const Signature> find(const Runnable& owner);

  void put(const Runnable& owner, std::shared_ptr<const Signature> signature);

 private:
  struct Entry {
    std::weak_ptr<const void> lifetime;
    std::shared_ptr<const Signature> signature;
  };
  std::mutex mutex_;
  std::map<std::pair<const void*, uint64_t>, Entry> entries_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/learning/signature_store_inl.hpp"
#endif
