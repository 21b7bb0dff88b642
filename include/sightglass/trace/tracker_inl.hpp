#pragma once

#include "sightglass/trace/tracker.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

/// Inline however the library is built: the shared libraries of a process have one tracker a thread.
inline const std::shared_ptr<Tracker>& Tracker::here() {
  thread_local const std::shared_ptr<Tracker> tracker = std::make_shared<Tracker>();
  return tracker;
}

SIGHTGLASS_INLINE std::shared_ptr<Tracker> Tracker::of_thread() { return here(); }

SIGHTGLASS_INLINE Tracker::Tracker() = default;

SIGHTGLASS_INLINE Tracker::~Tracker() {
  if (thread_state().listener == this) listen(nullptr);
}

SIGHTGLASS_INLINE void Tracker::subscribe(std::shared_ptr<Runnable> owner, const void* place,
                                          std::shared_ptr<Subscriber> subscriber) {
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

SIGHTGLASS_INLINE void Tracker::subscribe(const void* place, std::shared_ptr<Subscriber> subscriber) {
  marked_[place].push_back(std::move(subscriber));
  start();
}

SIGHTGLASS_INLINE void Tracker::note_removal() {
  ++removals_;
  if (std::this_thread::get_id() == thread_ && !handling_ && removals_.exchange(0) > 0) purge();
}

SIGHTGLASS_INLINE bool Tracker::idle() const { return followers_.empty() && marked_.empty(); }

SIGHTGLASS_INLINE void Tracker::keep(const at::Tensor& tensor, const std::shared_ptr<Keeper>& keeper) {
  kept_.erase(std::remove_if(kept_.begin(), kept_.end(), [](const auto& entry) { return entry.second.expired(); }),
              kept_.end());
  if (const void* const storage = storage_of(tensor)) kept_.emplace_back(storage, keeper);
}

SIGHTGLASS_INLINE Tracker::Taping::Taping(std::shared_ptr<Tracker> tracker, Tape* tape)
    : tracker_(std::move(tracker)), before_(std::exchange(tracker_->tape_, tape)) {}

SIGHTGLASS_INLINE void Tracker::operation(const OperatorHandle& op, Stack& stack) {
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

SIGHTGLASS_INLINE void Tracker::mark(const void* place, Side side, std::vector<at::Tensor>& values) {
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

SIGHTGLASS_INLINE void Tracker::keys(const void* place, const std::vector<std::string>& paths) {
  for (const auto& subscriber : subscribers_of(place)) subscriber->keys(paths);
}

SIGHTGLASS_INLINE std::vector<std::shared_ptr<Subscriber>> Tracker::subscribers_of(const void* place) const {
  std::vector<std::shared_ptr<Subscriber>> all;
  if (const auto found = marked_.find(place); found != marked_.end()) all = found->second;
  for (const auto& follower : followers_) {
    if (follower->announces_calls()) follower->add_subscribers_of(place, all);
  }
  return all;
}

SIGHTGLASS_INLINE Tracker::Handling::Handling(bool& flag) : flag_(flag), before_(std::exchange(flag, true)) {}

SIGHTGLASS_INLINE void Tracker::start() {
  if (thread_state().listener == nullptr) {
    if (observer_ == nullptr) observer_ = std::make_unique<BackwardObserver>();
  }
  if (thread_state().listener == nullptr || thread_state().listener == this) listen(this);
}

SIGHTGLASS_INLINE void Tracker::note_readers(Follower& follower) {
  for (const TensorRef& tensor : follower.state()) readers_.emplace_back(tensor.impl(), &follower);
  readers_are_sorted_ = false;
}

SIGHTGLASS_INLINE void Tracker::purge() {
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
    if (thread_state().listener == this) listen(nullptr);
  }
}

SIGHTGLASS_INLINE void Tracker::save_what_is_written(const OperatorHandle& op, const Stack& stack) {
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

SIGHTGLASS_INLINE bool Tracker::may_begin_with(const c10::FunctionSchema* schema) const {
  return std::any_of(followers_.begin(), followers_.end(), [&](const auto& f) { return f->may_begin_with(schema); });
}

SIGHTGLASS_INLINE bool Tracker::wants_history() const {
  return std::any_of(followers_.begin(), followers_.end(), [](const auto& f) { return f->wants_history(); });
}

SIGHTGLASS_INLINE void Tracker::record(const OperatorHandle& op, const Stack& stack) {
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

SIGHTGLASS_INLINE void Tracker::record_results(const OperatorHandle& op, const Stack& stack) {
  Event& event = history_[history_.latest()];
  for (const c10::IValue& value : results(op, stack)) {
    for_each_tensor(value, [&](const at::Tensor& tensor) {
      event.results.emplace_back(tensor);
      if (keep_alive_) event.results.back().keep_alive();
    });
  }
}

SIGHTGLASS_INLINE void Tracker::let_go_of_the_past() {
  size_t recent = 0;
  for (const auto& follower : followers_) recent = std::max(recent, follower->recent());
  if (history_.count() > Limits::history) oldest_kept_ = std::max(oldest_kept_, history_.count() - Limits::history);
  while (oldest_kept_ + recent <= history_.count() && oldest_kept_ < history_.count()) {
    history_[oldest_kept_++].let_go();
  }
}

SIGHTGLASS_INLINE void Tracker::tell_after(const OperatorHandle& op, Stack& stack) {
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

}  // namespace sightglass::detail
