#include "sightglass/hooks/script_layer.hpp"

#include "sightglass/hooks/backward_hook.hpp"
#include "sightglass/hooks/capture.hpp"
#include "sightglass/hooks/forward_hook.hpp"
#include "support/harness/alone.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/scripts.hpp"
#include "support/harness/snapshot.hpp"

namespace sg = sightglass;
using support::identical;
using torch::Tensor;

namespace {

/// Names, addresses, values and flags of a TorchScript model, and what it saves.
std::string fingerprint(const torch::jit::Module& module) {
  std::ostringstream out;
  for (const auto& item : module.named_parameters())
    out << item.name << item.value.unsafeGetTensorImpl() << item.value.requires_grad();
  for (const auto& item : module.named_buffers()) out << item.name << item.value.unsafeGetTensorImpl();
  for (const auto& item : module.named_modules()) out << item.name << item.value.is_training();
  module.save(out);
  return out.str();
}

/// What a submodule alone makes of `x`, unwatched.
Tensor alone(const torch::jit::Module& net, const std::vector<std::string>& path, const Tensor& x) {
  return support::alone([&] { return scripts::run(scripts::child(net, path), x); });
}

/// As above, without the addresses: buffers that a scripted batch norm puts anew at every call.
std::vector<Tensor> values(const torch::jit::Module& module) {
  std::vector<Tensor> all;
  for (const Tensor& tensor : module.parameters()) all.push_back(tensor.detach().clone());
  for (const Tensor& tensor : module.buffers()) all.push_back(tensor.detach().clone());
  return all;
}

bool same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), identical);
}

}  // namespace

TEST_CASE("submodules of a scripted model are captured at every call", "[script]") {
  torch::manual_seed(1);
  for (torch::jit::Module net : {scripts::net(), scripts::reloaded(scripts::net())}) {
    const Tensor x = torch::randn({2, 3, 6, 6});
    const Tensor plain = scripts::run(net, x);
    sg::Capture conv(net, "conv1");
    sg::Capture norm(net, "bn1");
    sg::Capture block(net, "blocks.1");
    sg::Capture fc(net, "fc");
    for (int call = 0; call < 4; ++call) {
      const Tensor y = scripts::run(net, x);
      CHECK(identical(y, plain));
      CHECK(identical(conv.input(), x));
      CHECK(identical(conv.output(), alone(net, {"conv1"}, x)));
      CHECK(identical(norm.input(), conv.output()));
      CHECK(identical(norm.output(), alone(net, {"bn1"}, conv.output())));
      CHECK(identical(block.output(), alone(net, {"blocks", "1"}, block.input())));
      CHECK(identical(fc.output(), y));
    }
  }
}

TEST_CASE("parameterless submodules of a scripted model have exact places", "[script]") {
  torch::manual_seed(2);
  torch::jit::Module net = scripts::net();
  const Tensor x = torch::randn({2, 3, 6, 6});
  sg::Capture relu(net, "relu", sg::CaptureOptions().keep(sg::Keep::all));
  sg::Capture pool(net, "pool");
  sg::Capture last(net, "blocks.1");
  for (int call = 0; call < 3; ++call) {
    scripts::run(net, x);
    REQUIRE(relu.calls().size() == 2 * static_cast<size_t>(call + 1));  // it is called twice a pass
    const Tensor first = torch::relu(alone(net, {"bn1"}, alone(net, {"conv1"}, x)));
    const size_t at = 2 * static_cast<size_t>(call);
    CHECK(identical(relu.calls()[at].outputs[0], first));
    CHECK(identical(relu.calls()[at + 1].outputs[0], torch::relu(alone(net, {"blocks", "0"}, first))));
    CHECK(identical(pool.output(), torch::adaptive_avg_pool2d(last.output(), {1, 1})));
  }
}

TEST_CASE("layers of a traced model are captured as they are at their end", "[script]") {
  torch::manual_seed(3);
  for (torch::jit::Module net : {scripts::traced_net(), scripts::reloaded(scripts::traced_net())}) {
    const Tensor x = torch::randn({2, 3, 6, 6});
    const Tensor plain = scripts::run(net, x);
    sg::Capture stem(net, "stem");
    sg::Capture block(net, "block");
    sg::Capture conv(net, "block.conv");
    sg::Capture act(net, "block.act");
    for (int call = 0; call < 4; ++call) {
      CHECK(identical(scripts::run(net, x), plain));
      const Tensor first = alone(net, {"stem"}, x);
      CHECK(first.min().item<float>() < 0);
      CHECK(identical(stem.output(), first));  // relu_ came after it
      const Tensor inner = alone(net, {"block", "conv"}, torch::relu(first));
      CHECK(identical(conv.output(), inner));  // add_ came after it
      CHECK(identical(act.output(), torch::relu(inner + torch::relu(first))));
      CHECK(identical(block.output(), act.output()));
      CHECK(identical(block.input(), torch::relu(first)));
    }
  }
}

TEST_CASE("branches and loops of a scripted model are searched, and followed whichever way they go", "[script]") {
  torch::manual_seed(4);
  torch::jit::Module net = scripts::branching_net();
  const auto keep_all = sg::CaptureOptions().keep(sg::Keep::all);
  sg::Capture conv(net, "block.conv", keep_all);
  sg::Capture relu(net, "block.relu", keep_all);
  sg::Capture block(net, "block");
  const Tensor up = torch::rand({1, 3, 4, 4}) + 0.1;
  const auto conv_of = [&](const Tensor& x) { return alone(net, {"block", "conv"}, x); };
  size_t convs = 0;
  size_t relus = 0;
  for (const float sign : {1.f, -1.f, -1.f, 1.f}) {
    const Tensor x = up * sign;
    const Tensor y = scripts::run(net, x);
    CHECK(identical(block.output() * 2, y));
    convs += 3;
    REQUIRE(conv.calls().size() == convs);
    CHECK(identical(conv.calls()[convs - 3].outputs[0], conv_of(x)));
    const Tensor chosen = sign > 0 ? torch::relu(conv_of(x)) : torch::tanh(conv_of(x)) - 1;
    CHECK(identical(conv.calls()[convs - 2].outputs[0], conv_of(chosen)));
    CHECK(identical(conv.calls()[convs - 1].outputs[0], conv_of(conv_of(chosen) + x)));
    if (sign > 0) {
      REQUIRE(relu.calls().size() == ++relus);
      CHECK(identical(relu.calls().back().outputs[0], chosen));
    }
  }
}

TEST_CASE("batches of any size are captured, one after the other", "[script]") {
  torch::manual_seed(5);
  torch::jit::Module net = scripts::net();
  sg::Capture conv(net, "conv1");
  for (const int64_t batch : {3, 1, 5, 2}) {
    const Tensor x = torch::randn({batch, 3, 7, 5});
    scripts::run(net, x);
    CHECK(identical(conv.output(), alone(net, {"conv1"}, x)));
  }
}

TEST_CASE("a scripted model is not changed by being watched in evaluation", "[script]") {
  torch::manual_seed(6);
  torch::jit::Module net = scripts::net();
  const Tensor x = torch::randn({2, 3, 6, 6});
  const std::string before = fingerprint(net);
  const Tensor random = support::random_state();
  {
    sg::Capture conv(net, "conv1");
    sg::Capture norm(net, "bn1");
    for (int call = 0; call < 3; ++call) scripts::run(net, x);
    CHECK(fingerprint(net) == before);
  }
  CHECK(fingerprint(net) == before);
  CHECK(identical(support::random_state(), random));
}

TEST_CASE("a scripted model in training counts its batches once a call, watched or not", "[script]") {
  for (const bool in_place : {true, false}) {
    INFO((in_place ? "in place" : "by a new tensor"));
    torch::manual_seed(7);
    torch::jit::Module plain = scripts::net(in_place);
    torch::jit::Module watched = plain.deepcopy();
    plain.train();
    watched.train();
    sg::Capture norm(watched, "bn1");
    sg::Capture relu(watched, "relu");
    for (int call = 1; call <= 4; ++call) {
      const Tensor x = torch::randn({2, 3, 6, 6});
      CHECK(identical(scripts::run(watched, x), scripts::run(plain, x)));
      CHECK(same(values(watched), values(plain)));
      CHECK(watched.attr("bn1").toModule().attr("num_batches_tracked").toTensor().item<int64_t>() == call);
      CHECK(norm.output().sizes() == torch::IntArrayRef({2, 4, 6, 6}));
    }
  }
}

TEST_CASE("a forward hook on a scripted model replaces the output", "[script]") {
  torch::manual_seed(8);
  torch::jit::Module net = scripts::net();
  const Tensor x = torch::randn({2, 3, 6, 6});
  int calls = 0;
  sg::ForwardHook hook(net, "pool", [&](const sg::Layer& layer, const Tensor&, const Tensor& output) {
    ++calls;
    CHECK(layer.name() == "pool");
    return torch::zeros_like(output);
  });
  const Tensor bias = scripts::child(net, {"fc"}).attr("bias").toTensor();
  for (int call = 1; call <= 3; ++call) {
    CHECK(torch::allclose(scripts::run(net, x), bias.expand({2, 5})));
    CHECK(calls == call);
  }
}

TEST_CASE("gradients at a traced layer's end are exact, whatever is written in place afterwards", "[script]") {
  torch::manual_seed(9);
  torch::jit::Module net = scripts::traced_net();
  const Tensor x = torch::randn({2, 3, 6, 6}).requires_grad_();
  sg::Capture conv(net, "block.conv");
  Tensor hooked;
  sg::BackwardHook hook(net, "block.conv", [&](const sg::Layer&, const Tensor&, const Tensor& grad) { hooked = grad; });
  for (int call = 0; call < 3; ++call) {
    scripts::run(net, x).select(1, 1).sum().backward();
    const Tensor first = torch::relu(alone(net, {"stem"}, x.detach()));
    const Tensor inner = alone(net, {"block", "conv"}, first).detach().requires_grad_();
    const Tensor scores = alone(net, {"fc"}, torch::relu(inner + first.detach()).mean({2, 3}));
    const Tensor expected = torch::autograd::grad({torch::log_softmax(scores, 1).select(1, 1).sum()}, {inner})[0];
    CHECK(torch::allclose(conv.gradient(), expected));
    CHECK(torch::allclose(hooked, expected));
  }
}

TEST_CASE("submodules with several inputs and tuple outputs are captured", "[script]") {
  torch::manual_seed(10);
  torch::jit::Module two = scripts::empty("Two");
  two.register_parameter("weight", torch::randn({4}), false);
  two.define("def forward(self, x, y):\n  return (x * self.weight + y, x - y)\n");
  torch::jit::Module net = scripts::make("TwoNet", {{"fc", scripts::linear(4, 4)}, {"two", two}},
                                         "def forward(self, x):\n"
                                         "  a, b = self.two.forward(self.fc.forward(x), torch.tanh(x))\n"
                                         "  return a * b\n");
  const Tensor x = torch::randn({2, 4});
  sg::Capture capture(net, "two");
  sg::Capture fc(net, "fc");
  for (int call = 0; call < 3; ++call) {
    const Tensor y = scripts::run(net, x);
    REQUIRE(capture.inputs().size() == 2);
    REQUIRE(capture.outputs().size() == 2);
    CHECK(identical(capture.inputs()[0], fc.output()));
    CHECK(identical(capture.inputs()[1], torch::tanh(x)));
    CHECK(identical(capture.outputs()[1], fc.output() - torch::tanh(x)));
    CHECK(identical(capture.outputs()[0] * capture.outputs()[1], y));
  }
}

TEST_CASE("two instances of one TorchScript class are told apart", "[script]") {
  torch::manual_seed(11);
  torch::jit::Module a = scripts::net();
  torch::jit::Module b = a.deepcopy();
  const Tensor x = torch::randn({1, 3, 6, 6});
  sg::Capture of_a(a, "conv1");
  sg::Capture of_b(b, "conv1");
  scripts::run(a, x);
  CHECK(of_a.input().defined());
  CHECK_THROWS_WITH(of_b.output(), ContainsSubstring("has not run"));
  scripts::run(b, x + 1);
  CHECK(identical(of_a.input(), x));
  CHECK(identical(of_b.input(), x + 1));
}

TEST_CASE("the graph optimiser is back when the last guard of a scripted model is gone", "[script]") {
  const auto optimises = [] { return torch::jit::getGraphExecutorOptimize(); };
  torch::jit::Module net = scripts::net();
  REQUIRE(optimises());
  {
    sg::Capture capture(net, "conv1");
    sg::Capture other(net, "fc");
    CHECK_FALSE(optimises());
    scripts::run(net, torch::randn({1, 3, 6, 6}));
  }
  CHECK(optimises());
  CHECK(sg::detail::thread_state().listener == nullptr);
}

TEST_CASE("a guard outlives its scripted model", "[script]") {
  torch::manual_seed(12);
  auto net = std::make_unique<torch::jit::Module>(scripts::net());
  sg::Capture capture(*net, "conv1");
  const Tensor x = torch::randn({1, 3, 6, 6});
  scripts::run(*net, x);
  const Tensor expected = alone(*net, {"conv1"}, x);
  const c10::weak_intrusive_ptr<c10::ivalue::Object> weak(net->_ivalue());
  net.reset();
  CHECK(weak.expired());
  CHECK(identical(capture.output(), expected));
}

TEST_CASE("a scripted model that throws midway is fine at its next call", "[script]") {
  torch::manual_seed(13);
  torch::jit::Module net = scripts::net();
  sg::Capture conv(net, "conv1");
  sg::Capture fc(net, "fc");
  const Tensor x = torch::randn({2, 3, 6, 6});
  scripts::run(net, x);
  CHECK_THROWS(scripts::run(net, torch::randn({2, 7, 6, 6})));
  for (int call = 0; call < 3; ++call) {
    const Tensor y = scripts::run(net, x);
    CHECK(identical(fc.output(), y));
    CHECK(identical(conv.input(), x));
  }
}

TEST_CASE("a path in a scripted model is a layer with a name, a type and no nn module", "[script]") {
  const torch::jit::Module net = scripts::net();
  const sg::Layer conv = sg::layer(net, "blocks.0");
  CHECK(conv.name() == "blocks.0");
  CHECK(conv.type() == "Conv2d");
  CHECK(conv.module() == nullptr);
  CHECK(conv.is_leaf());
  CHECK_FALSE(sg::layer(net, "blocks").is_leaf());
}

TEST_CASE("an unknown path lists the nearest ones", "[script]") {
  const torch::jit::Module net = scripts::net();
  CHECK_THROWS_WITH(sg::layer(net, "conv2"), ContainsSubstring("\"conv2\"") &&
                                                 ContainsSubstring("nearest: \"conv1\"") &&
                                                 ContainsSubstring("sightglass::layers(model, input)"));
  CHECK_THROWS_WITH(sg::layer(net, ""), ContainsSubstring("no such submodule"));
}

TEST_CASE("a frozen model has no submodules, and the message says so", "[script]") {
  torch::jit::Module net = scripts::net();
  net.eval();
  const torch::jit::Module frozen = torch::jit::freeze(net);
  CHECK_THROWS_WITH(sg::layer(frozen, "conv1"), ContainsSubstring("\"conv1\"") && ContainsSubstring("no submodules") &&
                                                    ContainsSubstring("before freezing"));
}

TEST_CASE("a parameter that the forward converts to the type that it has hinders no hook", "[script]") {
  const std::string once = "self.act.forward(x) * self.scale.to(x.dtype)";
  for (const std::string& body : {once, once + " * self.scale.to(x.dtype)"}) {
    torch::jit::Module act("Act"), net("Net");
    for (torch::jit::Module* module : {&act, &net}) module->register_attribute("training", c10::BoolType::get(), false);
    act.define("def forward(self, x):\n  return x.relu()\n");
    net.register_module("act", act);
    net.register_parameter("scale", torch::full({3}, 2.0f), false);
    net.define("def forward(self, x):\n  return " + body + "\n");
    const Tensor x = torch::randn({2, 3});
    const sg::Capture capture(sg::layer(net, "act"));
    CHECK(net.forward({x}).toTensor().equal((body == once ? 2 : 4) * x.relu()));
    CHECK(capture.output().equal(x.relu()));
  }
}
