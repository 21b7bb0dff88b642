#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/trace/script/script.hpp"
#include "sightglass/trace/subscriber.hpp"
#include "sightglass/trace/tracker.hpp"

/// The graph of a `torch::nn` model, from one run of it under LibTorch's tracer, with marks as in a TorchScript
/// model's.
namespace sightglass::detail {

struct Traced {
  std::shared_ptr<jit::Graph> graph;
  jit::Module self;  ///< its parameters and buffers; the graph's first input
};

/// Puts the mark of a place into the graph that is being traced.
class TraceMark final : public Subscriber {
 public:
  explicit TraceMark(const void* place) : place_(place) {}

  bool wants_inputs() const override { return false; }
  SIGHTGLASS_INLINE void leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) override;
  void miss(const std::string& /*why*/) override {}

 private:
  const void* place_;
};

/// Writes a run down on a tape, whoever else listens.
class TapeWriter final : public Onlooker {
 public:
  explicit TapeWriter(Tape& tape) : Onlooker(thread_state().listener), tape_(tape) {}
  SIGHTGLASS_INLINE void operation(const OperatorHandle& op, Stack& stack) override;

 private:
  Tape& tape_;
};

/// Traces `forward`, which reads the tensors `state`, on `input`; places are marked by who watches them. Throws where
/// it may have chosen its way by values that it read.
Traced trace(const std::function<at::Tensor(const at::Tensor&)>& forward, const std::vector<at::Tensor>& state,
             const at::Tensor& input);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/script/traced_inl.hpp"
#endif
