// The README's code. cmake/check_readme.cmake fails when a line of the README's C++ is not in this file.
#include <filesystem>
#include <iostream>

#include <sightglass/sightglass.hpp>
#include <sightglass/opencv.hpp>
namespace sg = sightglass;

#include "support/architectures.hpp"
#include "support/catch.hpp"
#include "support/scripts.hpp"

using support::ResNet18;

namespace {

/// A folder of its own, in which the README's file names are free.
class ScratchFolder {
 public:
  ScratchFolder() : before_(std::filesystem::current_path()) {
    const auto folder = std::filesystem::temp_directory_path() / "sightglass_readme";
    std::filesystem::create_directories(folder);
    std::filesystem::current_path(folder);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() { std::filesystem::current_path(before_); }

 private:
  std::filesystem::path before_;
};

}  // namespace

TEST_CASE("the README's first program explains a photograph") {
  const ScratchFolder scratch;
  cv::imwrite("cat_dog.jpg", cv::Mat(120, 160, CV_8UC3, cv::Scalar(30, 120, 210)));
  // clang-format off
ResNet18 net;                                   // any torch::nn model; or torch::jit::load("model.pt")
net->eval();
cv::Mat photo = sg::read_image("cat_dog.jpg");
torch::Tensor input = sg::to_tensor(photo, sg::imagenet(224));

sg::Capture stored(net->layer4);                // while it lives, it keeps what layer4 gives
torch::Tensor scores = net->forward(input);
stored.output();                                // [1, 512, 7, 7]

sg::Explanation cat = sg::explain(net, input, net->layer4, sg::GradCam{}, sg::Target(281));
cv::imwrite("cat.png", sg::overlay(photo, cat.map(0)));
  // clang-format on
  CHECK(stored.output().sizes() == at::IntArrayRef({1, 512, 7, 7}));
  CHECK(sg::read_image("cat.png").size() == photo.size());
  CHECK(cat.scores().item<float>() == Approx(scores[0][281].item<float>()).epsilon(1e-4));
}

TEST_CASE("the README's hooks work as it says") {
  ResNet18 net(8, 300);
  const torch::Tensor input = torch::randn({2, 3, 64, 64});
  const torch::Tensor plain = net->layer1->forward(torch::ones({1, 8, 4, 4}));
  // clang-format off
sg::Capture stored(net, "layer4.1.conv2");                 // by name: .output() .input() .gradient() .calls()
sg::ForwardHook doubled(net->layer1, [](const sg::Layer&, const torch::Tensor& /*input*/, const torch::Tensor& output) {
  return output * 2;                                       // what is returned takes the output's place
});
sg::BackwardHook told(net, "layer2", [](const sg::Layer& layer, const torch::Tensor& /*grad_input*/, const torch::Tensor& grad_output) {
  std::cout << layer.name() << ": " << grad_output.norm().item<float>() << '\n';
});
sg::Captures convolutions(net, sg::of_type<torch::nn::Conv2dImpl>());   // many at once; also sg::leaves(), sg::named("layer*")
  // clang-format on
  net->forward(input).sum().backward();
  CHECK(stored.gradient().sizes() == stored.output().sizes());
  CHECK(convolutions.size() == 20);
  CHECK(convolutions["conv1"].output().size(1) == 8);
  net->eval();
  const torch::Tensor before = net->layer1->forward(torch::ones({1, 8, 4, 4}));
  doubled.remove();
  CHECK(before.equal(net->layer1->forward(torch::ones({1, 8, 4, 4})) * 2));
  CHECK(plain.defined());
}

TEST_CASE("the README's statistics are recorded while a network trains") {
  const ScratchFolder scratch;
  std::filesystem::remove("run.jsonl");
  ResNet18 net(8, 300);
  torch::optim::SGD optimiser(net->parameters(), 1e-3);
  const std::vector<std::pair<torch::Tensor, torch::Tensor>> batches(
      21, {torch::randn({2, 3, 32, 32}), torch::tensor({0, 1})});
  // clang-format off
sg::ActivationStats stats(net, sg::ActivationStatsOptions()
                                   .every(20)                       // records batches 0, 20, 40, ...
                                   .also(sg::Also::gradients)       // also histograms, updates (of weights)
                                   .json_lines("run.jsonl"));       // written as it goes; a run that ends is resumed
{
  const auto fit = stats.fit();
  for (const auto& [images, labels] : batches) {
    const auto batch = fit.batch();                                 // until the end of the loop's body
    optimiser.zero_grad();
    torch::cross_entropy_loss(net->forward(images), labels).backward();
    optimiser.step();
  }
}
stats.layer("layer1.0.conv1").near_zero();                          // [steps]; also mean, std, gradient_norm, ...
for (const sg::Finding& finding : sg::diagnose(stats)) std::cout << finding.text << '\n';   // dead layers, explosions, ...
  // clang-format on
  CHECK(stats.batches().equal(torch::tensor({0, 20})));
  CHECK(sg::read_stats("run.jsonl").layer("fc").mean().equal(stats.layer("fc").mean()));
}

TEST_CASE("the README's pass gives maps and what goes with them") {
  ResNet18 net(8, 300);
  net->eval();
  const torch::Tensor input = torch::randn({1, 3, 64, 64});
  // clang-format off
sg::Pass pass(net, input, {net->layer3, net->layer4});     // one forward pass for any number of methods and targets
sg::Explanation map = pass.explain(1, sg::GradCam{}, sg::Target::softmax(281));
map.map();                   // [N, h, w], as the method gives it
map.normalised();            // [N, h, w] in [0, 1], never NaN
map.resized(480, 640);       // bilinear
map.peak(0);                 // x, y in the input's pixels
map.status(0);               // ok, no_positive_evidence, zero_gradient or not_finite
  // clang-format on
  CHECK(map.map().sizes() == at::IntArrayRef({1, 2, 2}));
  CHECK(map.resized(480, 640).sizes() == at::IntArrayRef({1, 480, 640}));
  CHECK(map.status(0) != sg::Status::not_finite);
}

TEST_CASE("the README's weights come from Python and go back") {
  const ScratchFolder scratch;
  ResNet18 net(8, 300);
  sg::save_state_dict(net, "resnet18.pth");
  // clang-format off
sg::load_state_dict(net, "resnet18.pth");                  // what torch.save(model.state_dict(), "resnet18.pth") wrote
sg::LoadReport report = sg::load_state_dict(net, "resnet18.pth", sg::LoadOptions().strictness(sg::Strictness::lenient));
sg::StateDict tensors = sg::read_state_dict("resnet18.pth");   // names and tensors
sg::save_state_dict(net, "mine.pt");                       // Python: model.load_state_dict(torch.load("mine.pt"))
  // clang-format on
  CHECK(report.missing.empty());
  CHECK(tensors.size() == 122);
  CHECK(std::filesystem::exists("mine.pt"));
}

TEST_CASE("the README's TorchScript file with several inputs and outputs is watched and explained") {
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
  const torch::Tensor& input = images;
  // clang-format off
sg::Capture backbone(script, "backbone");
script.forward({images, sizes});
backbone.keys();                                           // "out", "aux"
backbone.output("out");
  // clang-format on
  CHECK(backbone.keys() == std::vector<std::string>{"out", "aux"});
  CHECK(backbone.output("aux").equal(backbone.output("out").relu()));
  // clang-format off
sg::Model both(script, [&](const torch::Tensor& x) { return script.forward({x, sizes}); });
sg::Explanation second = sg::explain(both.output("out"), input, "backbone", sg::GradCam{}, 3);
  // clang-format on
  const torch::Tensor weights = script.attr("fc").toModule().attr("weight").toTensor()[3] * sizes.item<float>() / 64;
  const torch::Tensor wanted = (weights.view({1, 4, 1, 1}) * backbone.output("out")).sum(1).relu();
  CHECK(second.map().allclose(wanted, 1e-4, 1e-6));
}
