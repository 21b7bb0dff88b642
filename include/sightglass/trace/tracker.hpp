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

#include "sightglass/trace/elision.hpp"
#include "sightglass/trace/learning/follower.hpp"

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
  static std::shared_ptr<Tracker> of_thread() {
    thread_local std::shared_ptr<Tracker> tracker = std::make_shared<Tracker>();
    return tracker;
  }

  Tracker() = default;
  ~Tracker() override {
    if (state().listener == this) listen(nullptr);
  }

  /// Tells `subscriber` of the calls of `place` inside of `owner`.
  void subscribe(std::shared_ptr<Runnable> owner, const void* place, std::shared_ptr<Subscriber> subscriber) {
    auto found = std::find_if(followers_.begin(), followers_.end(),
                              [&](const auto& follower) { return follower->owner().id() == owner->id(); });
    if (found == followers_.end()) {
      followers_.push_back(std::make_unique<Follower>(std::move(owner)));
      found = followers_.end() - 1;
    } else {
      (*found)->renew_state();
      forget_readers([&](const Follower* follower) { return follower == found->get(); });
    }
    note_readers(**found);
    (*found)->subscribe(place, std::move(subscriber));
    start();
  }

  /// Tells `subscriber` of a place that marks itself.
  void subscribe(const void* place, std::shared_ptr<Subscriber> subscriber) {
    marked_[place].push_back(std::move(subscriber));
    start();
  }

  /// A subscriber was removed: forgets it, now if that can be done on this thread and at this time, else at the next
  /// operation.
  void note_removal() {
    ++removals_;
    if (std::this_thread::get_id() == thread_ && !handling_ && removals_.exchange(0) > 0) purge();
  }
  bool idle() const { return followers_.empty() && marked_.empty(); }

  /// Tells `keeper` before memory that it looks at is written.
  void keep(const at::Tensor& tensor, const std::shared_ptr<Keeper>& keeper) {
    kept_.erase(std::remove_if(kept_.begin(), kept_.end(), [](const auto& entry) { return entry.second.expired(); }),
                kept_.end());
    if (const void* const storage = storage_of(tensor)) kept_.emplace_back(storage, keeper);
  }

  /// Writes operations down on a tape for the length of a scope.
  class Taping {
   public:
    Taping(std::shared_ptr<Tracker> tracker, Tape* tape)
        : tracker_(std::move(tracker)), before_(std::exchange(tracker_->tape_, tape)) {}
    Taping(const Taping&) = delete;
    Taping& operator=(const Taping&) = delete;
    ~Taping() { tracker_->tape_ = before_; }

   private:
    std::shared_ptr<Tracker> tracker_;
    Tape* before_;
  };
  /// The tape that is written on; null when none is.
  Tape* tape() const { return tape_; }

  void operation(const OperatorHandle& op, Stack& stack) override {
    if (in_backward()) return op.callBoxed(stack);
    if (removals_.exchange(0) > 0) purge();
    const Handling handling(handling_);
    record(op, stack);
    try {
      for (size_t i = 0; i < followers_.size(); ++i) {
        Follower* const follower = followers_[i].get();
        const bool reads = std::find(touched_.begin(), touched_.end(), follower) != touched_.end();
        follower->before(op, stack, history_, reads);
      }
      if (!kept_.empty()) save_what_is_written(op, stack);
      if (tape_ != nullptr) tape_->before(op, stack);
      op.callBoxed(stack);
      if (tape_ != nullptr) tape_->after(op, stack);
      if (wants_history()) record_results(op, stack);
      tell_after(op, stack);
    } catch (...) {
      for (const auto& follower : followers_) follower->abort();
      open_.clear();
      throw;
    }
  }

  void mark(const void* place, Side side, std::vector<at::Tensor>& values) override {
    if (in_backward()) return;
    const std::vector<std::shared_ptr<Subscriber>> subscribers = subscribers_of(place);
    if (subscribers.empty()) return;
    const Unwatched off;
    const Handling handling(handling_);
    if (side == Side::begin) {
      for (const auto& subscriber : subscribers) {
        for (size_t i = 0; i < values.size() && !subscriber->removed(); ++i) {
          if (values[i].defined()) values[i] = subscriber->enter(i, values[i], Arrival::in_time);
        }
      }
      open_.emplace_back(place, values);
      return;
    }
    const auto opened =
        std::find_if(open_.rbegin(), open_.rend(), [&](const auto& entry) { return entry.first == place; });
    std::vector<at::Tensor> inputs;
    if (opened != open_.rend()) {
      inputs = std::move(opened->second);
      open_.erase(std::next(opened).base(), open_.end());
    }
    // A leaf has no node of its own at which a gradient could be told.
    for (at::Tensor& value : values) {
      const bool leaf = value.defined() && value.requires_grad() && value.is_leaf();
      if (leaf && at::GradMode::is_enabled()) value = value.view_as(value);
    }
    for (const auto& subscriber : subscribers) {
      if (!subscriber->removed()) subscriber->leave(inputs, values);
    }
  }

  void keys(const void* place, const std::vector<std::string>& paths) override {
    for (const auto& subscriber : subscribers_of(place)) subscriber->keys(paths);
  }

 private:
  /// Who is to be told of a mark: also those who would follow the model's own `forward`, as this is a run of its copy.
  std::vector<std::shared_ptr<Subscriber>> subscribers_of(const void* place) const {
    std::vector<std::shared_ptr<Subscriber>> all;
    if (const auto found = marked_.find(place); found != marked_.end()) all = found->second;
    for (const auto& follower : followers_) {
      if (follower->announces_calls()) follower->add_subscribers_of(place, all);
    }
    return all;
  }

  /// While callbacks run, nobody is erased.
  class Handling {
   public:
    explicit Handling(bool& flag) : flag_(flag), before_(std::exchange(flag, true)) {}
    Handling(const Handling&) = delete;
    Handling& operator=(const Handling&) = delete;
    ~Handling() { flag_ = before_; }

   private:
    bool& flag_;
    bool before_;
  };

  void start() {
    if (state().listener == nullptr) {
      if (observer_ == nullptr) observer_ = std::make_unique<BackwardObserver>();
    }
    if (state().listener == nullptr || state().listener == this) listen(this);
  }

  /// Its parameters, as they are now, tell that the follower's owner runs.
  void note_readers(Follower& follower) {
    for (const TensorRef& tensor : follower.state()) readers_.emplace_back(tensor.impl(), &follower);
    readers_are_sorted_ = false;
  }

  template <class IsIts>
  void forget_readers(const IsIts& is_its) {
    readers_.erase(
        std::remove_if(readers_.begin(), readers_.end(), [&](const Reader& reader) { return is_its(reader.second); }),
        readers_.end());
  }

  void purge() {
    const auto removed = [](const auto& subscriber) { return subscriber->removed(); };
    for (auto entry = marked_.begin(); entry != marked_.end();) {
      auto& list = entry->second;
      list.erase(std::remove_if(list.begin(), list.end(), removed), list.end());
      entry = list.empty() ? marked_.erase(entry) : std::next(entry);
    }
    std::set<const Follower*> unused;
    for (const auto& follower : followers_) {
      if (!follower->purge()) unused.insert(follower.get());
    }
    if (!unused.empty()) {
      const auto is_unused = [&](const Follower* follower) { return unused.count(follower) != 0; };
      forget_readers(is_unused);
      followers_.erase(std::remove_if(followers_.begin(), followers_.end(),
                                      [&](const auto& follower) { return is_unused(follower.get()); }),
                       followers_.end());
    }
    if (followers_.empty() && marked_.empty()) {
      history_.clear();
      oldest_kept_ = 0;
      if (state().listener == this) listen(nullptr);
    }
  }

  void save_what_is_written(const OperatorHandle& op, const Stack& stack) {
    for_each_written(op, stack, [&](const at::Tensor& tensor) {
      const void* const storage = storage_of(tensor);
      const auto endangered = kept_;
      for (const auto& [kept, keeper] : endangered) {
        if (kept != storage) continue;
        if (const auto alive = keeper.lock()) alive->about_to_change(storage);
      }
      kept_.erase(std::remove_if(kept_.begin(), kept_.end(), [&](const auto& entry) { return entry.first == storage; }),
                  kept_.end());
    });
  }

  bool may_begin_with(const c10::FunctionSchema* schema) const {
    return std::any_of(followers_.begin(), followers_.end(), [&](const auto& f) { return f->may_begin_with(schema); });
  }

  bool wants_history() const {
    return std::any_of(followers_.begin(), followers_.end(), [](const auto& f) { return f->wants_history(); });
  }

  /// Writes the operation into the history; notes the followers whose parameters it reads, and does not write.
  void record(const OperatorHandle& op, const Stack& stack) {
    let_go_of_the_past();
    if (!std::exchange(readers_are_sorted_, true)) std::sort(readers_.begin(), readers_.end());
    Event& event = history_.begin(&op.schema());
    const bool wanted = wants_history();
    keep_alive_ = wanted && std::any_of(followers_.begin(), followers_.end(),
                                        [&](const auto& f) { return f->wants_kept(&op.schema()); });
    touched_.clear();
    const auto& declared = op.schema().arguments();
    const auto given = arguments(op, stack);
    for (size_t i = 0; i < given.size(); ++i) {
      for_each_tensor(given[i], [&](const at::Tensor& tensor) {
        for (const auto& follower : followers_) follower->refuse_stray(tensor);
        event.given.push_back(tensor.unsafeGetTensorImpl());
        if (wanted) {
          event.arguments.emplace_back(tensor);
          if (keep_alive_) event.arguments.back().keep_alive();
          if (writes(declared[i]) && may_begin_with(&op.schema())) event.arguments.back().save();
        }
        if (writes(declared[i])) return;
        const Reader first(tensor.unsafeGetTensorImpl(), nullptr);
        for (auto reader = std::lower_bound(readers_.begin(), readers_.end(), first);
             reader != readers_.end() && reader->first == first.first; ++reader) {
          touched_.push_back(reader->second);
        }
      });
    }
  }

  void record_results(const OperatorHandle& op, const Stack& stack) {
    Event& event = history_[history_.latest()];
    for (const c10::IValue& value : results(op, stack)) {
      for_each_tensor(value, [&](const at::Tensor& tensor) {
        event.results.emplace_back(tensor);
        if (keep_alive_) event.results.back().keep_alive();
      });
    }
  }

  /// Tensors of operations that nobody can ask for any more are no longer kept alive.
  void let_go_of_the_past() {
    size_t recent = 0;
    for (const auto& follower : followers_) recent = std::max(recent, follower->recent());
    if (history_.count() > History::capacity)
      oldest_kept_ = std::max(oldest_kept_, history_.count() - History::capacity);
    while (oldest_kept_ + recent <= history_.count() && oldest_kept_ < history_.count()) {
      history_[oldest_kept_++].let_go();
    }
  }

  /// Inner layers are told before those around them, as their calls return first.
  void tell_after(const OperatorHandle& op, Stack& stack) {
    under_way_.clear();
    for (const auto& follower : followers_) {
      if (follower->length() > 0) under_way_.push_back(follower.get());
    }
    if (under_way_.size() > 1) {
      std::stable_sort(under_way_.begin(), under_way_.end(),
                       [](const auto* a, const auto* b) { return a->length() < b->length(); });
    }
    for (Follower* const follower : under_way_) follower->after(op, stack);
  }

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
