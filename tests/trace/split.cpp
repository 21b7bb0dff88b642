#include <sightglass/hooks/script_layer.hpp>
#include <sightglass/trace/script/split.hpp>

#include <string>

#include "support/harness/catch.hpp"
#include "support/nets/scripts.hpp"

using namespace sightglass::detail;
using torch::Tensor;

namespace {

Split split_at(const torch::jit::Module& module, const std::vector<std::string>& names) {
  std::set<const void*> places;
  for (const std::string& name : names) places.insert(sightglass::layer(module, name).place().key);
  const auto model = ScriptModel::of(module);
  return Split(*model->marked_graph(), model->object(), places, 4);
}

Tensor pictures(int64_t count) {
  torch::manual_seed(1);
  return torch::randn({count, 3, 6, 8});
}

const void* place(const torch::jit::Module& module, const std::string& name) {
  return sightglass::layer(module, name).place().key;
}

/// Calls of operations whose name contains `text`, while `run` runs.
template <class Run>
int calls_of(const std::string& text, Run&& run) {
  static int calls;
  static std::string wanted;
  calls = 0;
  wanted = text;
  const auto handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback([](const at::RecordFunction& call) -> std::unique_ptr<at::ObserverContext> {
        if (std::string(call.name()).find(wanted) != std::string::npos) ++calls;
        return nullptr;
      }));
  run();
  at::removeCallback(handle);
  return calls;
}

}  // namespace

TEST_CASE("batch norms that look at dimensions first are folded, before and behind the cut") {
  torch::manual_seed(0);
  const torch::jit::Module net = scripts::make(
      "Checking",
      {{"conv1", scripts::conv(3, 4)},
       {"bn1", scripts::batch_norm(4)},
       {"relu", scripts::function("ReLU", "torch.relu_(x)")},
       {"conv2", scripts::conv(4, 5)},
       {"bn2", scripts::batch_norm(5)}},
      "def forward(self, x):\n"
      "  return self.bn2.forward(self.conv2.forward(self.relu.forward(self.bn1.forward(self.conv1.forward(x)))))\n");
  const torch::NoGradGuard no_gradients;
  const Split split = split_at(net, {"relu"});
  const Tensor x = pictures(2);
  const Tensor activations = split.prefix(x);
  CHECK(calls_of("batch_norm", [&] { split.prefix(x); }) == 0);
  CHECK(calls_of("batch_norm", [&] { split.tail(activations, x); }) == 0);
  CHECK(calls_of("batch_norm", [&] { scripts::run(net, x); }) > 0);
  CHECK(torch::allclose(split.tail(activations, x), scripts::run(net, x), 1e-4, 1e-5));
}

TEST_CASE("prefix and tail together are the model, for batches of any size") {
  torch::manual_seed(0);
  const torch::jit::Module net = scripts::net();
  const torch::NoGradGuard no_gradients;
  for (const char* const name : {"conv1", "bn1", "blocks.0", "blocks.1", "pool"}) {
    CAPTURE(name);
    const Split split = split_at(net, {name});
    for (const int64_t count : {1, 3}) {
      const Tensor x = pictures(count);
      CHECK(torch::allclose(split.tail(split.prefix(x), x), scripts::run(net, x), 1e-4, 1e-5));
    }
  }
}

TEST_CASE("the prefix gives what the layer gives, the last time it is called") {
  torch::manual_seed(0);
  const torch::jit::Module net = scripts::net();
  const torch::NoGradGuard no_gradients;
  const Tensor x = pictures(2);
  const Tensor first =
      torch::relu(scripts::run(scripts::child(net, {"bn1"}), scripts::run(scripts::child(net, {"conv1"}), x)));
  const Tensor second = torch::relu(scripts::run(scripts::child(net, {"blocks", "0"}), first));
  CHECK(torch::allclose(split_at(net, {"relu"}).prefix(x), second, 1e-4, 1e-5));
}

TEST_CASE("gradients come from the tail as from the model") {
  torch::manual_seed(0);
  const torch::jit::Module net = scripts::net();
  const Tensor x = pictures(2);
  const Split split = split_at(net, {"blocks.0"});
  const Tensor activations = split.prefix(x).detach();
  const Tensor one = activations.clone().requires_grad_();
  const Tensor other = activations.clone().requires_grad_();
  const Tensor got = torch::autograd::grad({split.tail(one, x).select(1, 2).sum()}, {one}).front();
  const Tensor behind = scripts::run(scripts::child(net, {"blocks", "1"}), torch::relu(other));
  const Tensor scores = scripts::run(scripts::child(net, {"fc"}), behind.mean(at::IntArrayRef{2, 3}));
  const Tensor wanted = torch::autograd::grad({scores.select(1, 2).sum()}, {other}).front();
  CHECK(torch::allclose(got, wanted, 1e-4, 1e-6));
}

TEST_CASE("a tail that writes in place leaves the activations it is given") {
  torch::manual_seed(0);
  const torch::jit::Module net = scripts::traced_net();  // relu_ behind the stem
  const torch::NoGradGuard no_gradients;
  const Tensor x = pictures(1);
  const Split split = split_at(net, {"stem"});
  const Tensor activations = split.prefix(x);
  const Tensor before = activations.clone();
  CHECK(before.min().item<float>() < 0);
  CHECK(torch::allclose(split.tail(activations, x), scripts::run(net, x), 1e-4, 1e-5));
  CHECK(activations.equal(before));
}

TEST_CASE("of several layers the first is where the model is split, and the others announce themselves in the tail") {
  torch::manual_seed(0);
  const torch::jit::Module net = scripts::net();
  CHECK(split_at(net, {"blocks.1", "conv1", "fc"}).place() == place(net, "conv1"));
}

TEST_CASE("what was frozen is stale once a weight is written, or replaced") {
  torch::manual_seed(0);
  torch::jit::Module net = scripts::net();
  const torch::NoGradGuard no_gradients;
  const Split split = split_at(net, {"blocks.0"});
  CHECK_FALSE(split.stale());
  scripts::child(net, {"fc"}).attr("weight").toTensor().add_(1);
  CHECK(split.stale());
  const Split again = split_at(net, {"blocks.0"});
  CHECK_FALSE(again.stale());
  scripts::child(net, {"conv1"}).setattr("weight", torch::zeros({4, 3, 3, 3}));
  CHECK(again.stale());
  const Split third = split_at(net, {"blocks.0"});
  net.train();
  CHECK(third.stale());
}

TEST_CASE("a model is not split where the tail reads what was made before, or the layer runs in a branch") {
  torch::manual_seed(0);
  const torch::jit::Module traced = scripts::traced_net();
  CHECK_THROWS_WITH(split_at(traced, {"block.conv"}), ContainsSubstring("reads what was made before it"));
  const torch::jit::Module branching = scripts::branching_net();
  CHECK_THROWS_WITH(split_at(branching, {"block.relu"}), ContainsSubstring("inside of a branch or a loop"));
}

TEST_CASE("a model is split to the ground, whether or not it has run before") {
  torch::manual_seed(0);
  const torch::jit::Module inner =
      scripts::make("Inner", {{"conv", scripts::conv(3, 4)}}, "def forward(self, x):\n  return self.conv.forward(x)\n");
  const torch::jit::Module middle =
      scripts::make("Middle", {{"inner", inner}}, "def forward(self, x):\n  return self.inner.forward(x)\n");
  const torch::jit::Module net =
      scripts::make("Deep", {{"first", middle}, {"last", scripts::function("ReLU", "torch.relu(x)")}},
                    "def forward(self, x):\n  return self.last.forward(self.first.forward(x)).mean([2, 3])\n");
  const torch::NoGradGuard no_gradients;
  const Tensor x = pictures(2);
  (void)sightglass::layer(net, "last");
  (void)ScriptModel::of(net)->run({x});  // without optimisation: functions are then kept as they were written
  const Split split = split_at(net, {"last"});
  CHECK(torch::allclose(split.tail(split.prefix(x), x), scripts::run(net, x), 1e-4, 1e-5));
}

TEST_CASE("a model that assigns to an attribute is not split") {
  const torch::jit::Module conv = scripts::conv(3, 4);
  torch::jit::Module net = scripts::empty("Counting");
  net.register_module("conv", conv);
  net.register_attribute("calls", c10::IntType::get(), 0);
  net.define("def forward(self, x):\n  self.calls = self.calls + 1\n  return self.conv.forward(x)\n");
  CHECK_THROWS_WITH(split_at(net, {"conv"}), ContainsSubstring("assigns to an attribute"));
}

TEST_CASE("a tail that reads the input is given it") {
  const torch::jit::Module conv = scripts::conv(3, 4);
  const torch::jit::Module net =
      scripts::make("Reading", {{"conv", conv}},
                    "def forward(self, x):\n  y = self.conv.forward(x)\n  return y.mean([2, 3]) * x.mean([1, 2, 3], "
                    "keepdim=True).flatten(1)\n");
  const torch::NoGradGuard no_gradients;
  const Split split = split_at(net, {"conv"});
  CHECK(split.tail_reads_input());
  const Tensor x = pictures(2);
  CHECK(torch::allclose(split.tail(split.prefix(x), x), scripts::run(net, x), 1e-4, 1e-5));
}

TEST_CASE("a tail makes the input's sizes again, where they were read before the layer") {
  const torch::jit::Module net = scripts::make("Sizes", {{"conv", scripts::conv(3, 4)}},
                                               "def forward(self, x):\n"
                                               "  n = x.size(0) * 2\n"
                                               "  y = self.conv.forward(x)\n"
                                               "  return torch.reshape(y, [n, -1])\n");
  const torch::NoGradGuard no_gradients;
  const Split split = split_at(net, {"conv"});
  CHECK(split.tail_reads_input());
  const Tensor x = pictures(3);
  const Tensor y = split.prefix(x);
  CHECK(split.tail(y, x).equal(y.reshape({6, -1})));
}
