#include "sightglass/trace/script/script_export.hpp"

#include <torch/torch.h>

#include <string>

#include "support/harness/catch.hpp"
#include "support/nets/scripts.hpp"

namespace sgd = sightglass::detail;

namespace {

std::string trains(const std::string& body) {
  torch::jit::Module inner = scripts::empty("Body");
  inner.define("def forward(self, x):\n  return " + body + "\n");
  const torch::jit::Module net =
      scripts::make("Net", {{"inner", inner}}, "def forward(self, x):\n  return self.inner.forward(x)\n");
  return sgd::ExportReader(net).trains();
}

}  // namespace

TEST_CASE("what a trace has fixed to training is found, wherever it is called", "[script]") {
  CHECK(trains("torch.dropout(x, 0.5, True)") == "aten::dropout");
  CHECK(trains("torch.feature_dropout(x, 0.1, True)") == "aten::feature_dropout");
  CHECK(trains("torch.batch_norm(x, None, None, x, x, True, 0.1, 0.00001, True)") == "aten::batch_norm");
}

TEST_CASE("what evaluation does as well is nothing of training", "[script]") {
  CHECK(trains("torch.dropout(x, 0.5, False)").empty());
  CHECK(trains("torch.dropout(x, 0.0, True)").empty());
  CHECK(trains("torch.batch_norm(x, None, None, x, x, False, 0.1, 0.00001, True)").empty());
  // Without running statistics there is only the batch to take them of.
  CHECK(trains("torch.batch_norm(x, None, None, None, None, True, 0.1, 0.00001, True)").empty());
  CHECK(trains("torch.instance_norm(x, None, None, None, None, True, 0.1, 0.00001, True)").empty());
  CHECK(sgd::ExportReader(scripts::net()).trains().empty());
  CHECK(sgd::ExportReader(scripts::net()).quantised().empty());
}
