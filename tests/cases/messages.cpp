#include "sightglass/sightglass.hpp"
#include <torch/torch.h>

#include "support/harness/alone.hpp"
#include "support/harness/catch.hpp"
#include "support/harness/warnings.hpp"

namespace sg = sightglass;
using torch::Tensor;
using namespace torch::nn;

namespace {

struct TwiceImpl : Module {
  TwiceImpl() {
    register_module("fc", fc);
    register_module("fc2", fc2);
    register_module("drop", drop);
    register_module("unused", unused);
  }
  Tensor forward(Tensor x) {
    x = drop(fc(x)) + x;
    return drop(fc2(x)) + x;
  }
  Linear fc{4, 4}, fc2{4, 4}, unused{4, 4};
  Dropout drop{0.1};
};
TORCH_MODULE(Twice);

template <int number>
struct BlockImpl : Module {
  BlockImpl() { register_module("fc", fc); }
  Tensor forward(Tensor x) { return torch::relu(fc(x)) * number; }
  Linear fc{3, 3};
};
struct FiveImpl : Module {
  FiveImpl() {
    register_module("a", a);
    register_module("b", b);
    register_module("c", c);
    register_module("d", d);
    register_module("e", e);
  }
  Tensor forward(Tensor x) { return e->forward(d->forward(c->forward(b->forward(a->forward(x))))); }
  std::shared_ptr<BlockImpl<1>> a = std::make_shared<BlockImpl<1>>();
  std::shared_ptr<BlockImpl<2>> b = std::make_shared<BlockImpl<2>>();
  std::shared_ptr<BlockImpl<3>> c = std::make_shared<BlockImpl<3>>();
  std::shared_ptr<BlockImpl<4>> d = std::make_shared<BlockImpl<4>>();
  std::shared_ptr<BlockImpl<5>> e = std::make_shared<BlockImpl<5>>();
};

struct AttentionImpl : Module {  // no parameters, of a type that nobody has told
  Tensor forward(const Tensor& qkv) const {
    TORCH_CHECK(qkv.size(1) % 3 == 0, "not mine");
    ++tried;
    const auto parts = qkv.chunk(3, 1);
    return torch::softmax(parts[0] * parts[1], 1) * parts[2];
  }
  static inline int tried = 0;
};
TORCH_MODULE(Attention);
struct AttendedImpl : Module {
  AttendedImpl() {
    register_module("proj", proj);
    register_module("attention", attention);
    register_module("out", out);
  }
  Tensor forward(Tensor x) {
    x = x * 2;
    return out(attention(proj(x)));
  }
  Conv1d proj{Conv1dOptions(4, 12, 1)}, out{Conv1dOptions(4, 4, 1)};
  Attention attention;
};
TORCH_MODULE(Attended);

/// On the stack, as tutorials write it.
struct StackNet : Module {
  StackNet() {
    register_module("conv", conv);
    register_module("drop", drop);
    register_module("fc", fc);
  }
  Tensor forward(Tensor x) { return fc(drop(torch::relu(conv(x))).mean({2, 3})); }
  Conv2d conv{Conv2dOptions(1, 4, 3)};
  Dropout2d drop;
  Linear fc{4, 2};
};

struct BackboneImpl : Module {
  virtual Tensor forward(Tensor x) = 0;
};
TORCH_MODULE(Backbone);
struct SmallImpl : BackboneImpl {
  SmallImpl() {
    register_module("fc", fc);
    register_module("act", act);
  }
  Tensor forward(Tensor x) override { return act(fc(x)); }
  Linear fc{3, 2};
  Tanh act;
};
struct HeadedImpl : Module {
  HeadedImpl() { register_module("backbone", backbone); }
  Tensor forward(Tensor x) { return backbone->forward(x) * 2; }
  std::shared_ptr<BackboneImpl> backbone = std::make_shared<SmallImpl>();
};

struct PackedImpl : Module {
  PackedImpl() { register_module("lstm", lstm); }
  Tensor forward(Tensor x) {
    const auto packed = utils::rnn::pack_padded_sequence(x, torch::tensor({5, 3}), true);
    last = std::get<0>(lstm->forward_with_packed_input(packed)).data();
    return last;
  }
  LSTM lstm{LSTMOptions(6, 4).batch_first(true)};
  Tensor last;
};

}  // namespace

TEST_CASE("the first and true reason stays, whatever reads the parameters later", "[cases]") {
  torch::manual_seed(1);
  Sequential net(Linear(4, 4), Twice());
  torch::optim::SGD sgd(net->parameters(), torch::optim::SGDOptions(0.1).weight_decay(0.01));
  sg::Capture drop(net, "1.drop");
  sg::Capture unused(net, "1.unused");
  sg::Capture fc(net, "1.fc");
  const auto check = [&] {
    CHECK_THROWS_WITH(drop.output(), ContainsSubstring("occur 2 times"));
    CHECK_THROWS_WITH(unused.output(), ContainsSubstring("has not run"));
    CHECK(fc.output().sizes() == torch::IntArrayRef({2, 4}));
  };
  for (int step = 0; step < 3; ++step) {
    net->zero_grad();
    const Tensor loss = net->forward(torch::randn({2, 4})).sum();
    check();
    loss.backward();
    sgd.step();
    std::vector<Tensor> average;
    for (const Tensor& parameter : net->parameters()) average.push_back(parameter.detach().clone());
    for (int i = 0; i < 20; ++i) average[0] = average[0] * 0.9;
    check();
  }
}

/// A type's name as one writes it.
template <class T>
std::string written() {
  std::string name = c10::demangle(typeid(T).name());
  const std::string anonymous = "(anonymous namespace)::";
  for (size_t at = name.find(anonymous); at != std::string::npos; at = name.find(anonymous))
    name.erase(at, anonymous.size());
  return name;
}

TEST_CASE("one error names all types that it wants, in a line to paste", "[cases]") {
  const auto net = std::make_shared<FiveImpl>();
  const auto every = [](const sg::Layer&) { return true; };
  const auto capture = [&] { sg::Captures all(net, every); };
  CHECK_THROWS_WITH(capture(), ContainsSubstring("sightglass::hookable<" + written<BlockImpl<1>>() + ", " +
                                                 written<BlockImpl<2>>() + ", " + written<BlockImpl<3>>() + ", " +
                                                 written<BlockImpl<4>>() + ", " + written<BlockImpl<5>>() + ">();"));
  // Those that are refused can be left out.
  sg::Captures some(net, every, sg::OnRefusal::leave_out);
  CHECK(some.size() == 5);
  REQUIRE(some.refused().size() == 5);
  CHECK(some.refused()[0].name == "a");
  CHECK_THAT(some.refused()[0].reason, ContainsSubstring("sightglass::hookable<" + written<BlockImpl<1>>() + ">()"));
  some.remove();
  // The remedy works.
  sg::hookable<BlockImpl<1>, BlockImpl<2>, BlockImpl<3>, BlockImpl<4>, BlockImpl<5>>();
  sg::Captures all(net, every, sg::CaptureOptions());
  CHECK(all.size() == 10);
  CHECK(all.refused().empty());
  const Tensor y = net->forward(torch::randn({1, 3}));
  CHECK(torch::equal(all["e"].output(), y));
}

TEST_CASE("a layer of unknown type is said to be that, not to have not run; fitting tensors are tried first",
          "[cases]") {
  torch::manual_seed(2);
  const Tensor x = torch::randn({1, 4, 5});
  Sequential net{Attended()};
  const auto unknown = [&] { sg::Capture capture(net, "0.attention"); };
  CHECK_THROWS_WITH(unknown(), ContainsSubstring("hookable<" + written<AttentionImpl>() + ">()"));
  // A sibling without parameters of its block learns the block; that must not stand in the way afterwards.
  net->forward(x);
  sg::hookable<AttentionImpl>();
  AttentionImpl::tried = 0;
  sg::Capture capture(net, "0.attention");
  sg::Capture out(net, "0.out");
  net->forward(x);
  CHECK(torch::equal(capture.output(), out.input()));
}

TEST_CASE("the model itself has a name", "[cases]") {
  const auto net = std::make_shared<SmallImpl>();
  sg::Capture by_handle(net);
  sg::Capture by_name(net, "");
  CHECK_THAT(by_handle.name(), ContainsSubstring("SmallImpl"));
  CHECK_THAT(by_name.name(), ContainsSubstring("SmallImpl"));
  const Tensor y = net->forward(torch::randn({1, 3}));
  CHECK(torch::equal(by_name.output(), y));
}

TEST_CASE("layers of a model on the stack are found as with a shared pointer", "[cases]") {
  StackNet net;
  net.eval();
  const Tensor x = torch::rand({1, 1, 8, 8});
  sg::Capture conv(net, "conv");
  sg::Capture drop(net, "drop");
  sg::Capture whole(net, "");
  int calls = 0;
  sg::ForwardHook hook(net, "drop", [&](const sg::Layer&, const Tensor&, const Tensor&) { ++calls; });
  for (int call = 1; call <= 2; ++call) {
    const Tensor y = net.forward(x);
    CHECK(torch::equal(conv.output(), support::alone([&] { return net.conv->forward(x); })));
    CHECK(torch::equal(drop.output(), torch::relu(conv.output())));
    CHECK(torch::equal(whole.output(), y));
    CHECK(calls == call);
  }
}

TEST_CASE("guards outlive a model on the stack", "[cases]") {
  auto net = std::make_unique<StackNet>();
  net->eval();
  sg::Capture drop(*net, "drop");
  sg::Capture conv(*net, "conv");
  const Tensor x = torch::rand({1, 1, 8, 8});
  net->forward(x);
  net.reset();
  StackNet other;  // perhaps at the same address
  other.eval();
  other.forward(x);
  CHECK(drop.output().sizes() == torch::IntArrayRef({1, 4, 6, 6}));
}

TEST_CASE("handles of an abstract base are layers and models", "[cases]") {
  torch::manual_seed(3);
  const Tensor x = torch::randn({1, 3});
  const std::shared_ptr<BackboneImpl> model = std::make_shared<SmallImpl>();
  sg::Capture act(model, "act");
  sg::Capture whole(model);
  const Tensor y = model->forward(x);
  CHECK(torch::equal(act.output(), y));
  CHECK(torch::equal(whole.output(), y));
  const Backbone holder(model);
  sg::Capture held(holder);
  const Tensor again = model->forward(x);
  CHECK(torch::equal(held.output(), again));
  const auto headed = std::make_shared<HeadedImpl>();
  sg::Capture inside(headed, "backbone.act");
  sg::Capture backbone(headed->backbone);
  const Tensor doubled = headed->forward(x);
  CHECK(torch::equal(inside.output() * 2, doubled));
  CHECK(torch::equal(backbone.output(), inside.output()));
}

TEST_CASE("an LSTM that is given packed sequences is captured", "[cases]") {
  torch::manual_seed(4);
  PackedImpl net;
  sg::Capture capture(net.lstm);
  for (int call = 0; call < 2; ++call) {
    const Tensor y = net.forward(torch::randn({2, 5, 6}));
    CHECK(y.sizes() == torch::IntArrayRef({8, 4}));
    CHECK(torch::equal(capture.output(), y));
  }
}

TEST_CASE("norms without values are captured", "[cases]") {
  const Tensor x = torch::randn({2, 3, 4, 4});
  const auto check = [&](const char* what, const auto& layer) {
    INFO(what);
    Sequential net(Conv2d(Conv2dOptions(3, 4, 3).padding(1)), layer, ReLU());
    sg::Capture norm(net, "1");
    const Tensor y = net->forward(x);
    CHECK(torch::equal(torch::relu(norm.output()), y));
  };
  check("InstanceNorm2d", InstanceNorm2d(4));
  check("InstanceNorm2d, affine", InstanceNorm2d(InstanceNorm2dOptions(4).affine(true)));
  check("BatchNorm2d", BatchNorm2d(BatchNorm2dOptions(4).affine(false).track_running_stats(false)));
  check("LayerNorm", LayerNorm(LayerNormOptions({4}).elementwise_affine(false)));
  check("GroupNorm", GroupNorm(GroupNormOptions(2, 4).affine(false)));
  check("Hooked<InstanceNorm2d>", sg::Hooked<InstanceNorm2d>(4));
}

TEST_CASE("a capture ends while something else reads the layer's parameters", "[cases]") {
  // What is copied at the end was taken for an operation, which asked for the lock that was held.
  for (int between = 0; between < 20; ++between) {
    Sequential net{Linear(3, 3)};
    sg::Capture capture(net, "0");
    const Tensor y = net->forward(torch::randn({1, 3}));
    Tensor average = net->parameters()[0].detach().clone();
    for (int i = 0; i < between; ++i) average = average * 0.9;
    capture.remove();
    CHECK(torch::equal(capture.output(), y));
  }
}
