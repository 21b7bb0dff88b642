#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace support {

/// Threads that do one numbered thing after the other. What comes of each, or is thrown by it, is in its future.
template <class Result>
class Workers {
 public:
  using Work = std::function<Result(size_t number)>;

  /// A thread for each of `works`, which is called there alone.
  explicit Workers(std::vector<Work> works) {
    for (Work& work : works) threads_.emplace_back([this, work = std::move(work)] { serve(work); });
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  /// What nobody has begun is left undone.
  ~Workers() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      tasks_.clear();
      closed_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  std::future<Result> ask(size_t number) {
    Task task{number, {}};
    std::future<Result> result = task.result.get_future();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
    return result;
  }

 private:
  struct Task {
    size_t number;
    std::promise<Result> result;
  };

  void serve(const Work& work) {
    while (std::optional<Task> task = next()) {
      try {
        task->result.set_value(work(task->number));
      } catch (...) {
        task->result.set_exception(std::current_exception());
      }
    }
  }

  /// Nothing when there will be no more.
  std::optional<Task> next() {
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [this] { return closed_ || !tasks_.empty(); });
    if (tasks_.empty()) return std::nullopt;
    std::optional<Task> task = std::move(tasks_.front());
    tasks_.pop_front();
    return task;
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  bool closed_ = false;
  std::vector<std::thread> threads_;  // last: they use all the others
};

/// Has `numbers` done by the workers, and gives what comes of each to `take`, on this thread and in their order. A few
/// are done ahead, so that memory stays flat. No more is begun once `stops()` is true; what is under way is taken
/// still. What a work threw is thrown here.
template <class Result, class Take, class Stops>
void in_order(Workers<Result>& workers, const std::vector<size_t>& numbers, size_t ahead, const Take& take,
              const Stops& stops) {
  std::deque<std::pair<size_t, std::future<Result>>> asked;
  size_t next = 0;
  while (true) {
    while (next < numbers.size() && asked.size() < ahead && !stops()) {
      asked.emplace_back(numbers[next], workers.ask(numbers[next]));
      ++next;
    }
    if (asked.empty()) return;
    auto [number, result] = std::move(asked.front());
    asked.pop_front();
    take(number, result.get());
  }
}

}  // namespace support
