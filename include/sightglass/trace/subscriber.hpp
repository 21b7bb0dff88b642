#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

/// Who is told when a place in a model begins and ends.
namespace sightglass::detail {

/// Whether an input is known before the place has read it.
enum class Arrival { in_time, late };

/// Who is told of the calls of one place. Removed by the flag, from any thread; the tracker forgets it afterwards.
class Subscriber {
 public:
  Subscriber() = default;
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;
  virtual ~Subscriber() = default;

  /// An input is known. `in_time`: it is about to be read for the first time, and the place goes on with what is
  /// returned.
  virtual at::Tensor enter(size_t /*index*/, const at::Tensor& input, Arrival /*arrival*/) { return input; }
  /// Told before `leave` where the place gives no single tensor: the path of each output, such as `boxes.0`.
  virtual void keys(const std::vector<std::string>& /*paths*/) {}
  /// The place has ended. An input that could not be kept is undefined; outputs may be replaced, and are none where it
  /// gives no tensor.
  virtual void leave(const std::vector<at::Tensor>& inputs, std::vector<at::Tensor>& outputs) = 0;
  /// A call began but could not be followed.
  virtual void miss(const std::string& why) = 0;
  /// A parameter was read, by a call of another kind or by somebody else.
  virtual void read_elsewhere(const std::string& /*why*/) {}
  /// False saves keeping the inputs until the place ends.
  virtual bool wants_inputs() const { return true; }

  void remove() { removed_ = true; }
  bool removed() const { return removed_; }

 private:
  std::atomic<bool> removed_{false};
};

}  // namespace sightglass::detail
