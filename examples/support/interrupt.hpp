#pragma once

#include <csignal>

namespace support {

/// While it lives, Ctrl-C (or SIGTERM) only asks the program to end; a second time it ends it at once.
class Interrupt {
 public:
  Interrupt() {
    asked_ = 0;
    listen(SIGINT, before_[0]);
    listen(SIGTERM, before_[1]);
  }
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  ~Interrupt() {
    ::sigaction(SIGINT, &before_[0], nullptr);
    ::sigaction(SIGTERM, &before_[1], nullptr);
  }

  static bool asked() { return asked_ != 0; }

 private:
  /// A signal that is ignored, as in the background, stays so.
  static void listen(int signal, struct sigaction& before) {
    ::sigaction(signal, nullptr, &before);
    if (before.sa_handler == SIG_IGN) return;
    struct sigaction noting = {};
    noting.sa_handler = [](int) { asked_ = 1; };
    noting.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
    ::sigaction(signal, &noting, nullptr);
  }

  inline static volatile std::sig_atomic_t asked_ = 0;
  struct sigaction before_[2];
};

}  // namespace support
