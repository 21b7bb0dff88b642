#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/hooks/layer.hpp"
#include "sightglass/trace/elision.hpp"
#include "sightglass/trace/gradient.hpp"
#include "sightglass/trace/observers/axes.hpp"
#include "sightglass/trace/structure.hpp"
#include "sightglass/trace/tracker.hpp"
#include "sightglass/trace/scopes.hpp"

/// What stands at a layer while a model runs: where a graph begins, or where other activations are put in.
namespace sightglass::detail {

/// Which of a layer's outputs is meant: `wanted`, or the first that a map can be made of.
size_t chosen_of(const std::string& layer, const std::optional<std::string>& wanted,
                 const std::vector<at::Tensor>& outputs, std::vector<std::string> keys);

/// Stands at a layer during a pass: there the graph begins, and there the activations are kept.
class CutPoint final : public Subscriber, public Keeper, public std::enable_shared_from_this<CutPoint> {
 public:
  /// `number`: which of a pass's cuts it is.
  CutPoint(const Layer& layer, size_t number, std::weak_ptr<Tracker> tracker);

  bool wants_inputs() const override { return false; }
  void keys(const std::vector<std::string>& paths) override { keys_ = paths; }

  SIGHTGLASS_INLINE void leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) override;

  void miss(const std::string& why) override { missed_ = why; }

  SIGHTGLASS_INLINE void about_to_change(const void* /*storage*/) override;

  const std::string& name() const { return name_; }
  /// How often the layer ran.
  size_t calls() const { return calls_; }
  /// Which of its calls is kept, from 0: the one that was chosen, or the last.
  size_t call() const { return chosen_.value_or(calls_ - 1); }
  /// What gradients are asked for.
  const at::Tensor& handle() const { return handle_; }
  const at::Tensor& activations() const { return activations_; }
  /// What is known of the layer's output, by whoever made it or read it.
  Axes axes(AxisObserver& observer) const;

  void check() const;

 private:
  std::string name_;
  std::optional<std::string> wanted_;
  std::optional<size_t> chosen_;  ///< the call
  std::string remedy_;
  std::vector<std::string> keys_;  ///< of the outputs of the call that ends next
  size_t number_;
  size_t calls_ = 0;
  std::weak_ptr<Tracker> tracker_;
  at::Tensor handle_;
  at::Tensor activations_;
  std::optional<TensorRef> made_;
  std::optional<TensorRef> handed_on_;
  std::optional<std::string> missed_;  ///< why a call could not be followed
};

/// Stands at a layer during a pass whose activations there are given, at one of its calls.
class Replacement final : public Subscriber {
 public:
  /// `call`: which call of the layer, from 0.
  Replacement(const Layer& layer, at::Tensor activations, size_t call);

  bool wants_inputs() const override { return false; }
  void keys(const std::vector<std::string>& paths) override { keys_ = paths; }
  SIGHTGLASS_INLINE void leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) override;
  void miss(const std::string& why) override { missed_ = why; }
  void check() const;

 private:
  std::string name_;
  std::optional<std::string> wanted_;
  std::vector<std::string> keys_;
  at::Tensor activations_;
  size_t calls_before_;  ///< until its own
  bool replaced_ = false;
  std::optional<std::string> missed_;  ///< why a call could not be followed
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/model/detail/cut_point_inl.hpp"
#endif
