#include <sightglass/sightglass.hpp>

#include <iostream>
#include <string>
#include <vector>

#include "support/nets/architectures.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/scripts.hpp"
#include "scratch.hpp"

namespace sg = sightglass;

TEST_CASE("a capture of docs/hooks.md keeps output and gradient") {
  support::ResNet18 net(8, 300);
  const torch::Tensor input = torch::randn({2, 3, 64, 64});

  sg::Capture stored(net, "layer4.1.conv2");
  torch::Tensor scores = net->forward(input);
  scores.select(1, 281).sum().backward();
  stored.output();    // what the layer gave; also .input(), and .outputs() where there are several
  stored.gradient();  // of what was differentiated, with respect to that output

  CHECK(stored.output().sizes() == at::IntArrayRef({2, 64, 2, 2}));
  CHECK(stored.gradient().sizes() == stored.output().sizes());

  sg::Capture every(net->layer1, sg::CaptureOptions().keep(sg::Keep::all).storage(sg::Storage::cpu));

  net->forward(input);
  net->forward(input);
  CHECK(every.calls().size() == 2);
}

TEST_CASE("a forward hook of docs/hooks.md takes the output's place") {
  support::ResNet18 net(8, 300);
  const torch::Tensor input = torch::ones({1, 8, 4, 4});
  net->eval();

  sg::ForwardHook doubled(
      net->layer1, [](const sg::Layer&, const torch::Tensor& /*input*/, const torch::Tensor& output) {
        return output * 2;  // what is returned takes the output's place; a function that returns nothing looks on
      });

  const torch::Tensor hooked = net->layer1->forward(input);
  doubled.remove();
  CHECK(hooked.equal(net->layer1->forward(input) * 2));
}

TEST_CASE("a backward hook of docs/hooks.md is told of gradients") {
  support::ResNet18 net(8, 300);
  const torch::Tensor input = torch::randn({2, 3, 64, 64});
  const docs::Printed printed;

  sg::BackwardHook told(
      net, "layer2", [](const sg::Layer& layer, const torch::Tensor& /*grad_input*/, const torch::Tensor& grad_output) {
        std::cout << layer.name() << ": " << grad_output.norm().item<float>() << '\n';
      });

  net->forward(input).sum().backward();
  CHECK_THAT(printed.text(), ContainsSubstring("layer2: "));
}

TEST_CASE("many layers of docs/hooks.md are captured at once") {
  const docs::Printed printed;
  support::ResNet18 net(8, 300);
  const torch::Tensor input = torch::randn({2, 3, 64, 64});

  sg::Captures convolutions(net, sg::of_type<torch::nn::Conv2dImpl>());  // also sg::leaves(), sg::named("layer*")
  net->forward(input);
  for (const sg::Capture& each : convolutions)
    std::cout << each.name() << ' ' << each.output().std().item<float>() << '\n';

  CHECK(convolutions.size() == 20);
  CHECK(convolutions["conv1"].output().size(1) == 8);
}

TEST_CASE("a TorchScript layer of docs/hooks.md that gives a dictionary is watched") {
  const torch::jit::Module features = scripts::make("Backbone", {{"conv", scripts::conv(3, 4)}},
                                                    "def forward(self, x):\n"
                                                    "  y = self.conv.forward(x)\n"
                                                    "  return {\"out\": y, \"aux\": torch.relu(y)}\n");
  torch::jit::Module script = scripts::make("Net", {{"backbone", features}, {"fc", scripts::linear(4, 5)}},
                                            "def forward(self, x, sizes):\n"
                                            "  y = self.backbone.forward(x)[\"out\"].mean([2, 3]) * sizes\n"
                                            "  return {\"out\": self.fc.forward(y)}\n");
  script.eval();
  const torch::Tensor images = torch::randn({1, 3, 8, 8}), sizes = torch::rand({1, 1}) + 0.5;

  sg::Capture backbone(script, "backbone");
  script.forward({images, sizes});
  backbone.keys();  // "out", "aux"
  backbone.output("out");

  CHECK(backbone.keys() == std::vector<std::string>{"out", "aux"});
  CHECK(backbone.output("aux").equal(backbone.output("out").relu()));
}

namespace {

struct TwiceImpl : torch::nn::Module {
  TwiceImpl() {
    register_module("conv", conv);
    register_module("relu", relu);
    register_module("here", here);
  }
  torch::Tensor forward(torch::Tensor x) {
    x = relu->forward(conv->forward(x));
    x = here->forward(x * 2);
    return torch::relu(x);
  }

  torch::nn::Conv2d conv{torch::nn::Conv2dOptions(3, 4, 3)};
  sg::Hooked<torch::nn::ReLU> relu;  // in place of torch::nn::ReLU: says itself when it runs
  sg::HookPoint here;                // returns its input; a place with a name, where there is no layer
};
TORCH_MODULE(Twice);

}  // namespace

TEST_CASE("the model of docs/hooks.md marks what nothing tells from outside") {
  Twice net;
  const sg::Capture relu(net, "relu"), here(net, "here");
  net->forward(torch::randn({1, 3, 8, 8}));
  CHECK(here.output().equal(relu.output() * 2));
}
