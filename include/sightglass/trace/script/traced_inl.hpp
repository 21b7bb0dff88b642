#pragma once

#include "sightglass/trace/script/traced.hpp"

#include <torch/csrc/jit/frontend/tracer.h>
#include <utility>
#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE void TraceMark::leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) {
  if (!jit::tracer::isTracing() || outputs.empty()) return;
  jit::Graph& graph = *jit::tracer::getTracingState()->graph;
  jit::Value* const value = jit::tracer::getValueTrace(outputs.front());
  jit::tracer::setValueTrace(outputs.front(), insert_mark(graph, value, place_, Side::end));
}

SIGHTGLASS_INLINE void TapeWriter::operation(const OperatorHandle& op, Stack& stack) {
  tape_.before(op, stack);
  run(op, stack);
  tape_.after(op, stack);
}

SIGHTGLASS_INLINE Traced trace(const std::function<at::Tensor(const at::Tensor&)>& forward,
                               const std::vector<at::Tensor>& state, const at::Tensor& input) {
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
  return {traced.first->graph, self};
}

}  // namespace sightglass::detail
