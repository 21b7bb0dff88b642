#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <utility>

namespace sightglass {

/// The four calls of a training loop as scopes: `const auto fit = callback.fit();` around the loop, `const auto batch =
/// fit.batch();` around each batch, from before the forward pass until after the optimiser's step.
///
/// A scope that an exception leaves drops what it has not finished. What ending a batch throws (a full disk) reaches
/// the loop.
template <class Callback>
class [[nodiscard]] FitScope {
 public:
  /// One batch, from its construction to the end of its scope.
  class [[nodiscard]] Batch {
   public:
    /// Begins the batch.
    explicit Batch(Callback& callback) : callback_(callback) { callback_.before_batch(); }
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;
    ~Batch() noexcept(false) {
      std::uncaught_exceptions() > before_ ? callback_.drop_batch() : callback_.after_batch();
    }

   private:
    Callback& callback_;
    int before_ = std::uncaught_exceptions();
  };

  /// Begins the training, or goes on with it.
  explicit FitScope(Callback& callback) : callback_(callback) { callback_.before_fit(); }
  /// The same at batch `first_batch`.
  FitScope(Callback& callback, int64_t first_batch) : callback_(callback) { callback_.before_fit(first_batch); }
  FitScope(const FitScope&) = delete;
  FitScope& operator=(const FitScope&) = delete;
  ~FitScope() { callback_.after_fit(); }

  /// The next batch.
  Batch batch() const { return Batch(callback_); }

 private:
  Callback& callback_;
};

namespace detail {

/// Counts the batches in training mode, and holds guards while one is recorded: every `every`th, the first among them.
/// In between there are none.
class RecordedBatches {
 public:
  /// `is_training` is asked at each batch's beginning; `watch` makes the guards of a recorded one.
  RecordedBatches(int64_t every, std::function<bool()> is_training, std::function<std::shared_ptr<void>()> watch);

  /// Returns whether this batch is recorded.
  bool begin();
  /// Returns whether it was.
  bool end();
  /// The batch is given up: takes the guards away and does not count it.
  bool drop();

  bool recording() const { return guards_ != nullptr; }
  /// The number of the present batch, or of the next.
  int64_t number() const { return next_; }
  void start_at(int64_t batch);

 private:
  int64_t every_;
  std::function<bool()> is_training_;
  std::function<std::shared_ptr<void>()> watch_;
  std::shared_ptr<void> guards_;
  bool counted_ = false;
  int64_t next_ = 0;
};

}  // namespace detail
}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/train/recorded_batches_inl.hpp"
#endif
