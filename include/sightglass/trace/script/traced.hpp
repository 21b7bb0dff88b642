#pragma once

#include <torch/csrc/jit/frontend/tracer.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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
  void leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) override {
    if (!jit::tracer::isTracing() || outputs.empty()) return;
    jit::Graph& graph = *jit::tracer::getTracingState()->graph;
    jit::Value* const value = jit::tracer::getValueTrace(outputs.front());
    jit::tracer::setValueTrace(outputs.front(), insert_mark(graph, value, place_, Side::end));
  }
  void miss(const std::string& /*why*/) override {}

 private:
  const void* place_;
};

/// Writes a run down on a tape, whoever else listens.
class TapeWriter final : public Onlooker {
 public:
  explicit TapeWriter(Tape& tape) : Onlooker(state().listener), tape_(tape) {}
  void operation(const OperatorHandle& op, Stack& stack) override {
    tape_.before(op, stack);
    run(op, stack);
    tape_.after(op, stack);
  }

 private:
  Tape& tape_;
};

/// Traces `forward`, which reads the tensors `state`, on `input`; places are marked by who watches them. Throws where
/// it may have chosen its way by values that it read.
inline Traced trace(const std::function<at::Tensor(const at::Tensor&)>& forward, const std::vector<at::Tensor>& state,
                    const at::Tensor& input) {
  jit::Module self("__torch__.sightglass.Traced");
  for (size_t i = 0; i < state.size(); ++i) {
    self.register_parameter("p" + std::to_string(i), state[i], /*is_buffer=*/true);
  }
  std::unique_ptr<Tape> tape;
  const auto run = [&](Stack stack) {
    const at::Tensor given = stack.front().toTensor();
    tape = std::make_unique<Tape>(given, 1);
    TapeWriter writer(*tape);
    const Observed listening(writer);
    return Stack{forward(given)};
  };
  const auto no_name = [](const at::Tensor&) { return std::string(); };
  auto traced = jit::tracer::trace({input}, run, no_name, /*strict=*/true, /*force_outplace=*/false, &self);
  const c10::FunctionSchema* const reader = tape->reader_of_values();
  TORCH_CHECK(reader == nullptr, "its forward reads values (", reader->name(),
              "), by which it may take another way for another input");
  return {traced.first->graph, std::move(self)};
}

}  // namespace sightglass::detail
