#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/trace/elision.hpp"
#include "sightglass/trace/learning/follower.hpp"
#include "sightglass/trace/limits.hpp"

/// All that is watched on one thread: it listens while there is somebody to tell.
namespace sightglass::detail {

/// Someone who looks at a tensor that the model may write in place later.
class Keeper {
 public:
  Keeper() = default;
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;
  virtual ~Keeper() = default;
  /// The memory is about to be written: copy what is needed of it.
  virtual void about_to_change(const void* storage) = 0;
};

class C10_EXPORT Tracker final : public Listener {
 public:
  /// This thread's. Guards share it, since they may outlive the thread.
  static std::shared_ptr<Tracker> of_thread();

  Tracker();
  SIGHTGLASS_INLINE ~Tracker() override;

  /// Tells `subscriber` of the calls of `place` inside of `owner`.
  void subscribe(std::shared_ptr<Runnable> owner, const void* place, std::shared_ptr<Subscriber> subscriber);

  /// Tells `subscriber` of a place that marks itself.
  void subscribe(const void* place, std::shared_ptr<Subscriber> subscriber);

  /// A subscriber was removed: forgets it, now if that can be done on this thread and at this time, else at the next
  /// operation.
  void note_removal();
  bool idle() const;

  /// Tells `keeper` before memory that it looks at is written.
  void keep(const at::Tensor& tensor, const std::shared_ptr<Keeper>& keeper);

  /// Writes operations down on a tape for the length of a scope.
  class Taping {
   public:
    Taping(std::shared_ptr<Tracker> tracker, Tape* tape);
    Taping(const Taping&) = delete;
    Taping& operator=(const Taping&) = delete;
    ~Taping() { tracker_->tape_ = before_; }

   private:
    std::shared_ptr<Tracker> tracker_;
    Tape* before_;
  };
  /// The tape that is written on; null when none is.
  Tape* tape() const { return tape_; }

  SIGHTGLASS_INLINE void operation(const OperatorHandle& op, Stack& stack) override;

  SIGHTGLASS_INLINE void mark(const void* place, Side side, std::vector<at::Tensor>& values) override;

  SIGHTGLASS_INLINE void keys(const void* place, const std::vector<std::string>& paths) override;

 private:
  static const std::shared_ptr<Tracker>& here();

  /// Who is to be told of a mark: also those who would follow the model's own `forward`, as this is a run of its copy.
  std::vector<std::shared_ptr<Subscriber>> subscribers_of(const void* place) const;

  /// While callbacks run, nobody is erased.
  class Handling {
   public:
    explicit Handling(bool& flag);
    Handling(const Handling&) = delete;
    Handling& operator=(const Handling&) = delete;
    ~Handling() { flag_ = before_; }

   private:
    bool& flag_;
    bool before_;
  };

  void start();

  /// Its parameters, as they are now, tell that the follower's owner runs.
  void note_readers(Follower& follower);

  template <class IsIts>
  void forget_readers(const IsIts& is_its) {
    readers_.erase(
        std::remove_if(readers_.begin(), readers_.end(), [&](const Reader& reader) { return is_its(reader.second); }),
        readers_.end());
  }

  void purge();

  void save_what_is_written(const OperatorHandle& op, const Stack& stack);

  bool may_begin_with(const c10::FunctionSchema* schema) const;

  bool wants_history() const;

  /// Writes the operation into the history; notes the followers whose parameters it reads, and does not write.
  void record(const OperatorHandle& op, const Stack& stack);

  void record_results(const OperatorHandle& op, const Stack& stack);

  /// Tensors of operations that nobody can ask for any more are no longer kept alive.
  void let_go_of_the_past();

  /// Inner layers are told before those around them, as their calls return first.
  void tell_after(const OperatorHandle& op, Stack& stack);

  std::thread::id thread_ = std::this_thread::get_id();
  std::unique_ptr<BackwardObserver> observer_;
  std::atomic<int> removals_{0};
  bool handling_ = false;
  Tape* tape_ = nullptr;
  History history_;
  uint64_t oldest_kept_ = 0;  // the first event whose tensors may be kept alive
  bool keep_alive_ = false;   // the present operation's tensors are
  std::vector<std::unique_ptr<Follower>> followers_;
  std::vector<Follower*> touched_;
  std::vector<Follower*> under_way_;
  using Reader = std::pair<const void*, Follower*>;
  std::vector<Reader> readers_;  // a parameter's address and whose it is, sorted when operations are told
  bool readers_are_sorted_ = true;
  std::unordered_map<const void*, std::vector<std::shared_ptr<Subscriber>>> marked_;
  std::vector<std::pair<const void*, std::vector<at::Tensor>>> open_;  // marked places that have begun
  std::vector<std::pair<const void*, std::weak_ptr<Keeper>>> kept_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/tracker_inl.hpp"
#endif
