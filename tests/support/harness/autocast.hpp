#pragma once

#include <ATen/autocast_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

namespace support {

/// A scope of LibTorch's autocast (`AutocastCPU`, `AutocastCUDA`), by names that all its versions have.
class Autocast {
 public:
  explicit Autocast(c10::DispatchKey key) : key_(key) { c10::impl::tls_set_dispatch_key_excluded(key_, false); }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;
  ~Autocast() {
    c10::impl::tls_set_dispatch_key_excluded(key_, true);
    at::autocast::clear_cache();
  }

 private:
  c10::DispatchKey key_;
};

}  // namespace support
