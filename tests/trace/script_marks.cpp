#include "sightglass/trace/script/script_marks.hpp"

#include <torch/torch.h>

#include <map>
#include <set>
#include <string>

#include "support/harness/catch.hpp"
#include "support/nets/scripts.hpp"

namespace sgd = sightglass::detail;
namespace jit = torch::jit;

namespace {

/// How many marks of each side a graph holds.
std::map<int64_t, int> marks_in(const jit::Block& block) {
  std::map<int64_t, int> marks;
  for (const jit::Node* node : block.nodes()) {
    for (const jit::Block* inner : node->blocks())
      for (const auto& [side, count] : marks_in(*inner)) marks[side] += count;
    if (node->kind() == sgd::mark_symbol()) ++marks[jit::toIValue(node->input(2))->toInt()];
  }
  return marks;
}

std::map<int64_t, int> marks_of(const jit::Module& net, const std::set<std::string>& paths) {
  return marks_in(*sgd::Marker(paths).mark(net)->block());
}

const int64_t begin = static_cast<int64_t>(sgd::Side::begin);
const int64_t end = static_cast<int64_t>(sgd::Side::end);

}  // namespace

TEST_CASE("a forward by any of its names is one, a method that only begins so is not", "[script]") {
  for (const char* name : {"forward", "forward1", "forward12", "forward__0", "forward__12"})
    CHECK(sgd::is_forward(name));
  for (const char* name : {"forward_features", "forward_", "forwards", "backward", "fo", ""}) {
    INFO(name);
    CHECK_FALSE(sgd::is_forward(name));
  }
}

TEST_CASE("a module's own calls of its other methods are no calls of the layer, its parent's forward1 is", "[script]") {
  jit::Module inner = scripts::empty("Inner");
  inner.define(
      "def helper(self, x):\n  return torch.relu(x)\n"
      "def forward(self, x):\n  return self.helper(x) + 1\n"
      "def forward1(self, x):\n  return self.helper(x) + 2\n");
  const jit::Module net = scripts::make("Outer", {{"inner", inner}},
                                        "def forward(self, x):\n  return self.inner.forward1(self.inner.forward(x))\n");
  const auto marks = marks_of(net, {"inner"});
  CHECK(marks.at(begin) == 2);
  CHECK(marks.at(end) == 2);
}

TEST_CASE("a module of which only another method is called runs where that is called", "[script]") {
  jit::Module inner = scripts::empty("Encoder");
  inner.define("def encode(self, x):\n  return torch.relu(x)\ndef forward(self, x):\n  return x\n");
  const jit::Module net =
      scripts::make("Model", {{"inner", inner}}, "def forward(self, x):\n  return self.inner.encode(x)\n");
  CHECK(marks_of(net, {"inner"}).at(end) == 1);
  const jit::Module both = scripts::make("Model2", {{"inner", inner}},
                                         "def forward(self, x):\n  return self.inner.forward(self.inner.encode(x))\n");
  CHECK(marks_of(both, {"inner"}).at(end) == 1);
}

TEST_CASE("calls in branches and loops, and of submodules of what is called several times, are marked", "[script]") {
  CHECK(marks_of(scripts::branching_net(), {"block.conv"}).at(end) == 2);
  jit::Module leaf = scripts::empty("Leaf");
  leaf.define("def forward(self, x):\n  return torch.relu(x)\n");
  const jit::Module inner =
      scripts::make("Holder", {{"leaf", leaf}}, "def forward(self, x):\n  return self.leaf.forward(x) + 1\n");
  const jit::Module net =
      scripts::make("Twice", {{"inner", inner}},
                    "def forward(self, x):\n  y = self.inner.forward(x)\n  return self.inner.forward(y)\n");
  CHECK(marks_of(net, {"inner.leaf"}).at(end) == 2);
  CHECK(marks_of(net, {"inner", "inner.leaf"}).at(end) == 4);
}
