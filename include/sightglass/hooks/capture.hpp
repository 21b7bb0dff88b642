#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/hooks/script_layer.hpp"
#include "sightglass/hooks/detail/watch.hpp"
#include "sightglass/trace/gradient.hpp"
#include "sightglass/trace/structure.hpp"

namespace sightglass {

/// How many calls of a layer a `Capture` keeps.
enum class Keep { last, all };
/// Whether what is captured stays part of the autograd graph.
enum class Graph { detached, connected };
/// Where it is kept.
enum class Storage { device, cpu };

/// Options of `Capture`, with chained setters: `CaptureOptions().keep(Keep::all).storage(Storage::cpu)`.
struct CaptureOptions {
  CaptureOptions& keep(Keep value) { return set(keep_, value); }
  CaptureOptions& graph(Graph value) { return set(graph_, value); }
  CaptureOptions& storage(Storage value) { return set(storage_, value); }
  Keep keep() const { return keep_; }
  Graph graph() const { return graph_; }
  Storage storage() const { return storage_; }

 private:
  template <class T>
  CaptureOptions& set(T& field, T value) {
    field = value;
    return *this;
  }
  Keep keep_ = Keep::last;
  Graph graph_ = Graph::detached;
  Storage storage_ = Storage::device;
};

namespace detail {

/// What a `Capture` has seen; kept up to date by the tracker of its thread.
class CaptureStore final : public Subscriber, public Keeper, public std::enable_shared_from_this<CaptureStore> {
 public:
  using Tensors = std::vector<at::Tensor>;
  struct Call {
    Tensors inputs;
    Tensors outputs;
    Tensors gradients;  ///< with respect to the outputs
    std::vector<std::string> keys;
    bool has_graph = false;
  };

  /// `remedy`: what to do where the layer cannot be followed.
  CaptureStore(std::string name, std::string remedy, const CaptureOptions& options, std::weak_ptr<Tracker> tracker)
      : name_(std::move(name)), remedy_(std::move(remedy)), options_(options), tracker_(std::move(tracker)) {}

  at::Tensor enter(size_t index, const at::Tensor& input, Arrival /*arrival*/) override {
    if (entering_.size() <= index) entering_.resize(index + 1);
    entering_[index] = hold(input);
    return input;
  }

  void keys(const std::vector<std::string>& paths) override { keys_ = paths; }

  void leave(const Tensors& inputs, Tensors& outputs) override {
    Call call;
    call.keys = std::exchange(keys_, {});
    entering_.resize(inputs.size());
    call.inputs = std::exchange(entering_, {});
    call.gradients.resize(outputs.size());
    const std::lock_guard<std::mutex> lock(mutex_);
    if (options_.keep() == Keep::last) {
      first_ += calls_.size();
      calls_.clear();
    }
    const size_t number = first_ + calls_.size();
    for (size_t i = 0; i < outputs.size(); ++i) {
      call.outputs.push_back(outputs[i].defined() ? hold(outputs[i]) : at::Tensor());
      if (!outputs[i].defined() || !outputs[i].requires_grad()) continue;
      call.has_graph = true;
      on_output_gradient(outputs[i], [weak = weak_from_this(), number, i](const at::Tensor& gradient) {
        if (const auto alive = weak.lock()) alive->note_gradient(number, i, gradient);
      });
    }
    missed_.clear();
    wondered_.clear();
    calls_.push_back(std::move(call));
  }

  void miss(const std::string& why) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    missed_ = why;
  }

  void wonder(const std::string& why) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (wondered_.empty()) wondered_ = why;
  }

  void about_to_change(const void* storage) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto save = [&](Tensors& tensors) {
      for (at::Tensor& tensor : tensors) {
        if (tensor.defined() && storage_of(tensor) == storage) tensor = tensor.clone();
      }
    };
    save(entering_);
    for (Call& call : calls_) {
      save(call.inputs);
      save(call.outputs);
    }
  }

  /// From now on nobody tells of writes: what others can write is copied.
  void settle() {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto copy = [](Tensors& tensors) {
      for (at::Tensor& tensor : tensors) {
        if (tensor.defined() && tensor.has_storage() && tensor.storage().use_count() > 1) tensor = tensor.clone();
      }
    };
    for (Call& call : calls_) {
      copy(call.inputs);
      copy(call.outputs);
    }
  }

  /// The calls kept so far; throws when there is none, or the latest could not be followed.
  std::vector<Call> calls() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    TORCH_CHECK(missed_.empty(), "capture of layer \"", name_, "\": its latest call could not be followed: ", missed_,
                advice());
    TORCH_CHECK(!calls_.empty() || wondered_.empty(), "capture of layer \"", name_,
                "\": the layer has not run since the capture was made on this thread: ", wondered_);
    TORCH_CHECK(
        !calls_.empty(), "capture of layer \"", name_,
        "\": the layer has not run since the capture was made on this thread, or has run without reading any of its "
        "parameters",
        remedy_.empty() ? "" : " (then " + remedy_ + ")",
        "; a capture made inside a c10::InferenceMode or autocast scope sleeps when the scope ends: make it before");
    return calls_;
  }

 private:
  at::Tensor hold(const at::Tensor& value) {
    at::Tensor held = options_.graph() == Graph::detached ? value.detach() : value;
    if (options_.storage() == Storage::cpu && !held.is_cpu()) return held.to(at::kCPU);
    if (const auto tracker = tracker_.lock()) tracker->keep(held, shared_from_this());
    return held;
  }

  void note_gradient(size_t number, size_t output, const at::Tensor& gradient) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (number < first_ || number - first_ >= calls_.size()) return;
    at::Tensor held = options_.graph() == Graph::detached ? gradient.detach() : gradient;
    if (options_.storage() == Storage::cpu) held = held.to(at::kCPU);
    calls_[number - first_].gradients[output] = std::move(held);
  }

  std::string advice() const { return remedy_.empty() ? "" : "; " + remedy_; }

  std::string name_;
  std::string remedy_;
  CaptureOptions options_;
  std::weak_ptr<Tracker> tracker_;
  mutable std::mutex mutex_;
  Tensors entering_;
  std::vector<std::string> keys_;  ///< of the outputs of the call that ends next
  std::vector<Call> calls_;
  size_t first_ = 0;      ///< number of the first call kept
  std::string missed_;    ///< why the latest call could not be followed
  std::string wondered_;  ///< what else read a parameter of the layer, before its first call
};

}  // namespace detail

/// Stores what goes into and comes out of a layer, and the gradient of its output: the chapter's `Hook` and `HookBwd`.
///
/// Values are those at the layer's end, also when an operation writes the same memory later; nothing is copied before
/// such a write. Accessors throw `c10::Error` before the layer has run. Move-only; belongs to the thread that made it;
/// ends with its scope or `remove()`, after which the values can still be read.
class [[nodiscard]] Capture {
 public:
  explicit Capture(const Layer& layer, const CaptureOptions& options = {})
      : store_(std::make_shared<detail::CaptureStore>(layer.name(), layer.place().remedy(), options,
                                                      detail::Tracker::of_thread())),
        watch_(store_, layer),
        name_(layer.name()) {}

  /// The layer called `name` in `model`.
  template <class Model>
  Capture(const Model& model, const std::string& name, const CaptureOptions& options = {})
      : Capture(sightglass::layer(model, name), options) {}

  const std::string& name() const { return name_; }

  /// The layer's (first) output at its last call.
  at::Tensor output() const { return first(store_->calls().back().outputs, "output"); }
  /// The output number `index`, lists, tuples and dictionaries flattened in order.
  at::Tensor output(size_t index) const { return output(std::to_string(index)); }
  /// The output called `key` in the dictionary that the layer gives; `boxes.0` inside of nested ones.
  at::Tensor output(const std::string& key) const {
    const auto call = store_->calls().back();
    return call.outputs.at(index_of(call, key));
  }
  /// The keys of the outputs of the last call, in order; empty for a layer that gives one tensor.
  std::vector<std::string> keys() const { return store_->calls().back().keys; }
  /// All outputs of the last call, lists, tuples and dictionaries flattened; undefined where an output could not be
  /// had.
  std::vector<at::Tensor> outputs() const { return store_->calls().back().outputs; }
  /// The layer's (first) input at its last call, as it was given.
  at::Tensor input() const { return first(store_->calls().back().inputs, "input"); }
  std::vector<at::Tensor> inputs() const { return store_->calls().back().inputs; }
  /// The gradient with respect to the (first) output, in the last backward pass that reached it.
  at::Tensor gradient() const { return gradient_of(store_->calls().back(), 0); }
  /// The same for the output number `index`, or called `key`.
  at::Tensor gradient(size_t index) const { return gradient(std::to_string(index)); }
  at::Tensor gradient(const std::string& key) const {
    const auto call = store_->calls().back();
    return gradient_of(call, index_of(call, key));
  }

  /// What one call of the layer left.
  struct Call {
    std::vector<at::Tensor> inputs;
    std::vector<at::Tensor> outputs;
    std::vector<at::Tensor> gradients;
    std::vector<std::string> keys;  ///< of the outputs; empty for one tensor
  };
  /// The calls kept, oldest first: one, or all with `Keep::all`.
  std::vector<Call> calls() const {
    std::vector<Call> all;
    for (auto& call : store_->calls()) all.push_back({call.inputs, call.outputs, call.gradients, call.keys});
    return all;
  }

  /// Ends the capture; what was captured stays. May be called again.
  void remove() {
    if (watch_.active()) {
      const detail::Unwatched unseen;
      store_->settle();
    }
    watch_.remove();
  }

 private:
  at::Tensor first(const std::vector<at::Tensor>& tensors, const char* what) const {
    TORCH_CHECK(!tensors.empty(), "capture of layer \"", name_, "\": it has no ", what, " that is a tensor");
    TORCH_CHECK(tensors.front().defined(), "capture of layer \"", name_, "\": its ", what,
                " could not be had: it was gone, or written in place, before the layer could be recognised");
    return tensors.front();
  }

  size_t index_of(const detail::CaptureStore::Call& call, const std::string& key) const {
    return detail::index_of_output("capture of layer \"" + name_ + "\"", call.keys, call.outputs.size(), key);
  }

  at::Tensor gradient_of(const detail::CaptureStore::Call& call, size_t output) const {
    TORCH_CHECK(call.has_graph, "capture of layer \"", name_,
                "\": its output has no gradient; run the model with gradients on (no NoGradGuard) and an input or "
                "parameters that require them");
    TORCH_CHECK(call.gradients.at(output).defined(), "capture of layer \"", name_,
                "\": no backward pass has reached it yet");
    return call.gradients[output];
  }

  std::shared_ptr<detail::CaptureStore> store_;
  detail::Watch watch_;
  std::string name_;
};

}  // namespace sightglass
