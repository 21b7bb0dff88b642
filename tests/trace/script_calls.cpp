#include "sightglass/trace/script/script_calls.hpp"

#include "sightglass/trace/script/script.hpp"

#include <torch/torch.h>

#include "support/harness/catch.hpp"
#include "support/nets/scripts.hpp"

namespace sgd = sightglass::detail;
using torch::Tensor;

namespace {

/// Looks at the call under way whenever an operation runs.
struct Look : sgd::Listener {
  explicit Look(const void* self_in) : self(self_in) {}
  const void* self;
  uint64_t number = 0;
  std::vector<c10::IValue> inputs;
  void operation(const sgd::OperatorHandle& op, sgd::Stack& stack) override {
    if (const sgd::ScriptCall* const call = sgd::ScriptCalls::of_thread()->under_way(self)) {
      number = call->number;
      inputs = call->inputs;
    }
    op.callBoxed(stack);
  }
};

torch::jit::Module sum_of() {
  torch::jit::Module module = scripts::empty("SumOf");
  module.define("def forward(self, xs: List[Tensor], factor: float = 2.0):\n  return (xs[0] + xs[1]) * factor\n");
  return module;
}

}  // namespace

TEST_CASE("a call of the user's own is known with all that it is given, and another one has another number",
          "[script]") {
  torch::jit::Module net = sum_of();
  const sgd::AsWritten as_written;  // no fuser, as while a model is watched
  const auto calls = sgd::ScriptCalls::begin_on_thread();
  CHECK(sgd::ScriptCalls::of_thread() == calls);
  Look look(net._ivalue().get());
  const Tensor a = torch::ones({2}), b = torch::ones({2});
  const c10::List<Tensor> list(std::vector<Tensor>{a, b});
  {
    const sgd::Observed scope(look);
    net.forward({list});
  }
  REQUIRE_FALSE(look.inputs.empty());
  CHECK(look.inputs[0].toListRef()[1].toTensor().is_same(b));
  const uint64_t first = look.number;
  {
    const sgd::Observed scope(look);
    net.forward({list}, {{"factor", 3.0}});
  }
  CHECK(look.number != first);
  REQUIRE(look.inputs.size() == 2);
  CHECK(look.inputs[1].toDouble() == 3.0);
  CHECK(calls->under_way(look.self) == nullptr);
}

TEST_CASE("a call that throws has ended", "[script]") {
  torch::jit::Module net = sum_of();
  const auto calls = sgd::ScriptCalls::begin_on_thread();
  const c10::List<Tensor> list(std::vector<Tensor>{torch::ones({2}), torch::ones({3})});
  CHECK_THROWS(net.forward({list}));
  CHECK(calls->under_way(net._ivalue().get()) == nullptr);
}

TEST_CASE("nothing is told once nobody listens to calls any more", "[script]") {
  CHECK(sgd::ScriptCalls::of_thread() == nullptr);
  { const auto calls = sgd::ScriptCalls::begin_on_thread(); }
  CHECK(sgd::ScriptCalls::of_thread() == nullptr);
}
