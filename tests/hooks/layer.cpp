#include "sightglass/hooks/layer.hpp"

#include "sightglass/hooks/capture.hpp"
#include "sightglass/hooks/find_layers.hpp"
#include "support/harness/alone.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/harness/snapshot.hpp"

namespace sg = sightglass;
using support::alone;
using support::identical;
using torch::Tensor;

namespace {

struct Checked {
  std::vector<std::string> names;    ///< layers that were captured and compared
  std::vector<std::string> refused;  ///< layers whose accessor named the remedy instead
};

/// Captures every layer of `net` that can be had by name, runs it three times, and compares each with the layer alone.
template <class Net>
Checked check_each_layer_against_itself(Net net, const Tensor& x) {
  const Tensor plain = net->forward(x);
  std::vector<sg::Layer> layers;
  std::vector<sg::Capture> captures;
  for (sg::Layer& layer : sg::find_layers(net, [](const sg::Layer&) { return true; })) {
    if (!layer.place().problem.empty()) continue;
    captures.emplace_back(layer);
    layers.push_back(std::move(layer));
  }
  Checked checked;
  for (int call = 0; call < 3; ++call) {
    CHECK(identical(net->forward(x), plain));
    checked = {};
    for (size_t i = 0; i < layers.size(); ++i) {
      const std::string& name = layers[i].name();
      INFO(name << " of type " << layers[i].type());
      std::vector<Tensor> inputs, outputs;
      try {
        inputs = captures[i].inputs();
        outputs = captures[i].outputs();
      } catch (const c10::Error& error) {
        CHECK_THAT(error.what(), ContainsSubstring("HookPoint") && ContainsSubstring("could not be followed"));
        checked.refused.push_back(name);
        continue;
      }
      checked.names.push_back(name);
      const auto module = layers[i].module();
      const auto callable = sg::detail::KnownTypes::global().find(*module);
      if (!callable) continue;
      for (Tensor& input : inputs) input = input.clone();
      const std::vector<Tensor> expected = alone([&] { return callable.call(*module, inputs); });
      REQUIRE(expected.size() == outputs.size());
      for (size_t k = 0; k < expected.size(); ++k) CHECK(identical(expected[k], outputs[k]));
    }
  }
  return checked;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

TEST_CASE("private members of hand-written residual blocks are found by name", "[layer]") {
  torch::manual_seed(1);
  nets::ResNet net;
  net->eval();
  sg::hookable<nets::BasicBlockImpl>();
  const auto [names, refused] = check_each_layer_against_itself(net, torch::randn({2, 3, 9, 9}));
  CHECK(refused.empty());
  for (const char* name :
       {"conv1", "layer1", "layer1.0", "layer1.1.bn2", "layer2.0.shortcut", "layer2.0.shortcut.1", "fc"}) {
    INFO(name);
    CHECK(has(names, name));
  }
}

TEST_CASE("blocks given to a Sequential by value need no type", "[layer]") {
  torch::manual_seed(2);
  nets::ResNet net;
  net->eval();
  sg::Capture block(net, "layer1.1");
  sg::Capture inner(net, "layer1.0.conv1");
  const Tensor x = torch::randn({2, 3, 9, 9});
  net->forward(x);
  const auto module = std::dynamic_pointer_cast<nets::BasicBlockImpl>(net->named_modules()["layer1.1"]);
  CHECK(identical(block.output(), alone([&] { return module->forward(block.input()); })));
  const auto conv = std::dynamic_pointer_cast<torch::nn::Conv2dImpl>(net->named_modules()["layer1.0.conv1"]);
  CHECK(identical(inner.output(), alone([&] { return conv->forward(inner.input()); })));
}

TEST_CASE("children of a Sequential have exact places, also those that own or run nothing", "[layer]") {
  torch::manual_seed(3);
  torch::nn::Sequential net = nets::plain_sequential();
  net->eval();
  const Tensor x = torch::randn({2, 3, 12, 12});
  CHECK(check_each_layer_against_itself(net, x).names.size() == 9);

  sg::Capture dropout(net, "3");  // runs nothing in evaluation
  sg::Capture pool(net, "2");
  sg::Capture relu(net, "5");
  net->forward(x);
  const Tensor pooled =
      alone([&] { return torch::max_pool2d(torch::relu(net[0]->as<torch::nn::Conv2d>()->forward(x)), 2); });
  CHECK(identical(pool.output(), pooled));
  CHECK(identical(dropout.output(), pooled));
  CHECK(identical(dropout.input(), pooled));
  CHECK(identical(relu.output(), alone([&] { return torch::relu(net[4]->as<torch::nn::Conv2d>()->forward(pooled)); })));
}

TEST_CASE("an element of a Sequential can be given by its handle", "[layer]") {
  torch::manual_seed(4);
  torch::nn::Sequential net = nets::plain_sequential();
  net->eval();
  sg::Capture conv(net->ptr<torch::nn::Conv2dImpl>(4));
  sg::Capture element(net[0]);
  const Tensor x = torch::randn({1, 3, 12, 12});
  net->forward(x);
  CHECK(conv.output().size(1) == 6);
  CHECK(conv.name() == "torch::nn::Conv2dImpl");
  CHECK(identical(element.output(), alone([&] { return net[0]->as<torch::nn::Conv2d>()->forward(x); })));

  // A block of one's own, once its type is known.
  nets::ResNet res;
  res->eval();
  sg::hookable<nets::BasicBlockImpl>();
  const auto blocks = std::dynamic_pointer_cast<torch::nn::SequentialImpl>(res->named_modules()["layer1"]);
  sg::Capture block((*blocks)[1]);
  sg::Capture by_name(res, "layer1.1");
  res->forward(x);
  CHECK(identical(block.output(), by_name.output()));
}

TEST_CASE("layers of a transformer with chunk, view and permute between them are found by name", "[layer]") {
  torch::manual_seed(5);
  nets::Transformer net;
  const auto [names, refused] = check_each_layer_against_itself(net, torch::randn({2, 5, 6}));
  CHECK(refused.empty());
  for (const char* name : {"embedding", "Layers.0.0.qkv", "Layers.1.0.proj", "Layers.1.1.net", "Layers.1.1.net.1",
                           "Layer Normalization"}) {
    INFO(name);
    CHECK(has(names, name));
  }
}

TEST_CASE("a user's own block is found by its type at the call, or made known once for all", "[layer]") {
  struct PrivateImpl : nets::FeedForwardImpl {
    using nets::FeedForwardImpl::FeedForwardImpl;
  };
  struct NetImpl : torch::nn::Module {
    std::shared_ptr<PrivateImpl> a = std::make_shared<PrivateImpl>(4), b = std::make_shared<PrivateImpl>(4);
    NetImpl() {
      register_module("a", a);
      register_module("b", b);
    }
    Tensor forward(Tensor x) { return b->forward(a->forward(x)); }
  };
  torch::manual_seed(6);
  const auto net = std::make_shared<NetImpl>();
  const Tensor x = torch::randn({2, 4});
  // Unknown: the message names all three remedies.
  const auto unknown = [&] { sg::Capture capture(net, "a"); };
  CHECK_THROWS_WITH(unknown(), ContainsSubstring("handle") && ContainsSubstring("sightglass::layer<") &&
                                   ContainsSubstring("sightglass::hookable<") && ContainsSubstring("\"a\""));
  sg::Capture given(sg::layer<PrivateImpl>(net, "a"));
  net->forward(x);
  CHECK(identical(given.output(), alone([&] { return net->a->forward(x); })));
  CHECK(given.name() == "a");

  sg::hookable<PrivateImpl>();
  sg::Capture known(net, "b");
  net->forward(x);
  CHECK(identical(known.output(), alone([&] { return net->b->forward(given.output()); })));
}

TEST_CASE("a type given by handle is known by name from then on", "[layer]") {
  struct OnceImpl : nets::FeedForwardImpl {
    OnceImpl() : nets::FeedForwardImpl(4) {}
  };
  struct HolderImpl : torch::nn::Module {
    std::shared_ptr<OnceImpl> a = std::make_shared<OnceImpl>();
    HolderImpl() { register_module("a", a); }
    Tensor forward(Tensor x) { return a->forward(x); }
  };
  const auto net = std::make_shared<HolderImpl>();
  { sg::Capture by_handle(net->a); }
  sg::Capture by_name(net, "a");
  const Tensor y = net->forward(torch::randn({2, 4}));
  CHECK(identical(by_name.output(), y));
}

TEST_CASE("a vector of blocks, registered one by one, is found by name", "[layer]") {
  torch::manual_seed(7);
  nets::BottleneckNet net;
  sg::hookable<nets::BottleneckImpl>();
  const auto [names, refused] = check_each_layer_against_itself(net, torch::randn({2, 4, 5, 5}));
  CHECK(refused.empty());
  CHECK(names.size() == 9);
  CHECK(has(names, "bottleneck_2"));
  CHECK(has(names, "bottleneck_2.expand"));
}

TEST_CASE("a Sequential that starts with an identity has exact places", "[layer]") {
  torch::manual_seed(8);
  nets::IdleNet net;
  const auto [names, refused] = check_each_layer_against_itself(net, torch::randn({2, 3, 8, 8}));
  CHECK(refused == std::vector<std::string>{"shortcut", "shortcut.0"});  // run nothing
  CHECK(has(names, "head.0"));
  CHECK(has(names, "head.1"));
  sg::Capture identity(net, "head.0");
  net->forward(torch::randn({2, 3, 8, 8}));
  CHECK(identical(identity.output(), identity.input()));
  CHECK(identity.output().sizes() == torch::IntArrayRef({2, 4, 3, 3}));
}

TEST_CASE(
    "a Sequential of only pooling is found in the block around it; only Identity runs nothing, and the error says so",
    "[layer]") {
  torch::manual_seed(20);
  nets::IdleNet net;
  const Tensor x = torch::randn({2, 3, 8, 8});
  const Tensor pooled = torch::max_pool2d(torch::relu(net->conv->forward(x)) + net->conv->forward(x), 2);
  sg::Capture conv(net, "conv");
  sg::Capture pool(net, "pool");
  sg::Capture inside(net, "pool.0");
  for (int call = 0; call < 3; ++call) {
    net->forward(x);
    CHECK(identical(pool.output(), pooled));
    CHECK(identical(inside.output(), pooled));
    CHECK(conv.output().defined());
  }
  for (const char* name : {"shortcut", "shortcut.0"}) {
    INFO(name);
    const auto refuse = [&] {
      sg::Capture capture(net, name);
      net->forward(x);
      capture.output();
    };
    CHECK_THROWS_WITH(refuse(), ContainsSubstring("sightglass::Hooked") && ContainsSubstring("ightglass::HookPoint") &&
                                    ContainsSubstring(std::string("\"") + name + "\""));
  }
}

TEST_CASE("a U-Net built by recursion is found at every depth", "[layer]") {
  torch::manual_seed(9);
  nets::NestedBlock net(2);
  sg::hookable<nets::NestedBlockImpl>();
  const auto [names, refused] = check_each_layer_against_itself(net, torch::randn({1, 4, 32, 32}));
  CHECK(refused.empty());
  for (const char* name : {"model", "model.2", "model.2.model.2", "model.2.model.2.model.1", "model.3"}) {
    INFO(name);
    CHECK(has(names, name));
  }
}

TEST_CASE("a block with two tensors tells the input from the skip connection", "[layer]") {
  torch::manual_seed(10);
  nets::UNet net;
  net->eval();
  sg::hookable<nets::UpImpl>();
  sg::hookable<nets::DownImpl>();
  const Tensor x = torch::randn({2, 3, 16, 16});
  const auto [names, refused] = check_each_layer_against_itself(net, x);
  CHECK(refused.empty());
  CHECK(has(names, "up1"));
  CHECK(has(names, "down2.net.0"));
  sg::Capture up(net, "up2");
  sg::Capture first(net, "in");
  sg::Capture below(net, "up1");
  net->forward(x);
  REQUIRE(up.inputs().size() == 2);
  CHECK(identical(up.inputs()[0], below.output()));
  CHECK(identical(up.inputs()[1], first.output()));
}

TEST_CASE("stochastic depth is followed whichever way it goes", "[layer]") {
  torch::manual_seed(11);
  nets::DropNet net;
  sg::hookable<nets::DropPathImpl>();
  const Tensor x = torch::randn({2, 3, 6, 6});
  net->eval();
  CHECK(has(check_each_layer_against_itself(net, x).names, "tail.0"));
  sg::Capture noise(net, "tail.0");  // returns its very input
  sg::Capture conv(net, "conv");
  sg::Capture last(net, "tail.1");
  net->forward(x);
  CHECK(identical(noise.output(), noise.input()));
  net->train();
  for (int call = 0; call < 8; ++call) {
    const Tensor y = net->forward(x);
    CHECK(identical(conv.output(), alone([&] { return net->conv->forward(x); })));
    CHECK(identical(last.output(), y));
  }
}

TEST_CASE("a block that returns a tuple of values and indices is captured whole", "[layer]") {
  torch::manual_seed(12);
  nets::Autoencoder net;
  sg::hookable<nets::EncoderImpl>();
  const Tensor x = torch::randn({1, 3, 8, 8});
  sg::Capture encoder(net, "encoder");
  sg::Capture conv(net, "encoder.conv");
  for (int call = 0; call < 3; ++call) {
    net->forward(x);
    const auto [pooled, where] = alone([&] { return net->encoder->forward(x); });
    REQUIRE(encoder.outputs().size() == 2);
    CHECK(identical(encoder.outputs()[0], pooled));
    CHECK(identical(encoder.outputs()[1], where));
    CHECK(identical(conv.output(), alone([&] { return net->encoder->conv->forward(x); })));
  }
}

TEST_CASE("LSTM, GRU and attention are followed by name", "[layer]") {
  torch::manual_seed(13);
  nets::Recurrent net;
  const auto [names, refused] = check_each_layer_against_itself(net, torch::randn({2, 5, 6}));
  CHECK(refused.empty());
  CHECK(has(names, "lstm"));
  CHECK(has(names, "attention"));
}

TEST_CASE("a class derived from Sequential with a forward of its own is followed, and its children", "[layer]") {
  torch::manual_seed(14);
  nets::ResidualNet net;
  sg::hookable<nets::ResidualSequenceImpl>();
  const Tensor x = torch::randn({2, 3, 6, 6});
  const auto [names, refused] = check_each_layer_against_itself(net, x);
  CHECK(refused.empty());
  CHECK(has(names, "residual"));
  sg::Capture relu(net, "residual.1");
  sg::Capture whole(net, "residual");
  net->forward(x);
  const Tensor given = whole.input();
  CHECK(identical(relu.output(),
                  alone([&] { return torch::relu(net->residual[0]->as<torch::nn::Conv2d>()->forward(given)); })));
  CHECK(identical(whole.output(), alone([&] { return net->residual->forward(given); })));
}

TEST_CASE("a layer under two names is one layer", "[layer]") {
  torch::manual_seed(15);
  nets::Shared net;
  const Tensor x = torch::randn({2, 4});
  const Tensor once = net->first->forward(x);
  const Tensor twice = net->first->forward(torch::tanh(once));
  sg::Capture calls(net, "second", sg::CaptureOptions().keep(sg::Keep::all));
  net->forward(x);
  REQUIRE(calls.calls().size() == 2);
  CHECK(identical(calls.calls()[0].outputs[0], once));
  CHECK(identical(calls.calls()[1].outputs[0], twice));
}

TEST_CASE("layers with tied parameters are told apart, or the error names the remedy", "[layer]") {
  torch::manual_seed(16);
  nets::Shared net;
  sg::hookable<nets::TiedImpl>();
  const Tensor x = torch::randn({2, 4});
  const Tensor expected = net->first->forward(torch::tanh(net->first->forward(x)));
  sg::Capture first(net, "first");
  sg::Capture tied(net, "tied");
  for (int call = 0; call < 3; ++call) {
    const Tensor y = net->forward(x);
    const auto is_right_or_refused = [](const sg::Capture& capture, const Tensor& right) {
      try {
        CHECK(identical(capture.output(), right));
      } catch (const c10::Error& error) {
        CHECK_THAT(error.what(), ContainsSubstring("sightglass::Hooked"));
      }
    };
    is_right_or_refused(tied, y);
    is_right_or_refused(first, expected);
  }
}

TEST_CASE("a model on the stack can be hooked by name", "[layer]") {
  torch::manual_seed(17);
  nets::ConvNetImpl net;
  sg::Capture capture(net, "conv1");
  const Tensor x = torch::randn({1, 3, 12, 12});
  net.forward(x);
  CHECK(identical(capture.output(), alone([&] { return net.conv1->forward(x); })));
}

TEST_CASE("a layer knows its name, type and module, and keeps nothing alive", "[layer]") {
  auto net = std::make_shared<nets::ResNetImpl>();
  const sg::Layer conv = sg::layer(net, "layer1.0.conv1");
  const sg::Layer block = sg::layer(net, "layer1.0");
  CHECK(conv.name() == "layer1.0.conv1");
  CHECK(conv.type() == "torch::nn::Conv2dImpl");
  CHECK(block.type() == "nets::BasicBlockImpl");
  CHECK(conv.is_leaf());
  CHECK_FALSE(block.is_leaf());
  CHECK(conv.module() == net->named_modules()["layer1.0.conv1"]);
  const std::weak_ptr<torch::nn::Module> weak = net;
  net.reset();
  CHECK(weak.expired());
  CHECK(conv.module() == nullptr);
}

TEST_CASE("an unknown name lists the nearest ones and the way to all of them", "[layer]") {
  nets::ResNet net;
  CHECK_THROWS_WITH(sg::layer(net, "layer3"), ContainsSubstring("\"layer3\"") &&
                                                  ContainsSubstring("nets::ResNetImpl") &&
                                                  ContainsSubstring("nearest: \"layer1\", \"layer2\"") &&
                                                  ContainsSubstring("sightglass::layers(model, input)"));
  CHECK_THROWS_WITH(sg::layer(net, "layer1.0.conv3"), ContainsSubstring("\"layer1.0.conv1\""));
  CHECK_THROWS_WITH(sg::layer(net, "layer1.7"), ContainsSubstring("\"layer1.0\""));
  CHECK_THROWS_WITH(sg::layer(net, "conv1."), ContainsSubstring("no such submodule"));
}

TEST_CASE("null pointers and empty handles are refused", "[layer]") {
  const std::shared_ptr<nets::ConvNetImpl> none;
  CHECK_THROWS_WITH(sg::layer(none, "conv1"), ContainsSubstring("null"));
  const torch::nn::Linear empty{nullptr};
  CHECK_THROWS_AS(sg::Layer(empty), c10::Error);
}
