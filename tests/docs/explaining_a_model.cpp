#include <sightglass/opencv.hpp>
#include <sightglass/sightglass.hpp>

#include <string>
#include <vector>

#include "support/nets/architectures.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/scripts.hpp"
#include "scratch.hpp"

namespace sg = sightglass;

TEST_CASE("the pass of docs/explaining-a-model.md gives maps and what goes with them") {
  support::ResNet18 net(8, 300);
  net->eval();
  const torch::Tensor input = torch::randn({1, 3, 64, 64});

  sg::Explanation why = sg::explain(net, input, net->layer4, sg::GradCam{}, 281);

  CHECK(why.targets()[0].item<int64_t>() == 281);

  sg::Pass pass(net, input, {net->layer3, net->layer4});  // one forward pass for any number of methods and targets
  sg::Explanation map = pass.explain(1, sg::GradCam{}, sg::Target::softmax(281));
  map.map();              // [N, h, w], as the method gives it
  map.normalised();       // [N, h, w] in [0, 1], never NaN
  map.resized(480, 640);  // [N, 480, 640], bilinear
  map.peak(0);            // x, y in the input's pixels
  map.status(0);          // ok, no_positive_evidence, zero_gradient or not_finite
  map.scores();           // [N], what was explained

  CHECK(map.map().sizes() == at::IntArrayRef({1, 2, 2}));
  CHECK(map.resized(480, 640).sizes() == at::IntArrayRef({1, 480, 640}));
  CHECK(map.status(0) != sg::Status::not_finite);
  CHECK(map.scores().item<float>() < 1);
}

TEST_CASE("the targets of docs/explaining-a-model.md are numbers of the output") {
  support::ResNet18 net(8, 300);
  net->eval();
  const torch::Tensor input = torch::randn({2, 3, 64, 64});
  const sg::Pass pass(net, input, {net->layer4});

  sg::Target predicted;                                         // the class of the highest score, image by image
  sg::Target cat(281);                                          // a class for all images
  sg::Target each({281, 250});                                  // a class for each
  sg::Target probable = sg::Target::softmax(281);               // its probability
  sg::Target rather = sg::Target::difference(281, {282, 285});  // what tells it from its likes
  sg::Target own([](const torch::Tensor& output) { return output.square().sum(1); });  // any numbers [N]

  const torch::Tensor output = pass.output();
  CHECK(pass.at(0, predicted).scores().equal(output.amax(1)));
  CHECK(pass.at(0, cat).scores().equal(output.select(1, 281)));
  CHECK(pass.at(0, each).scores()[1].equal(output[1][250]));
  CHECK(pass.at(0, probable).scores().allclose(output.softmax(1).select(1, 281)));
  const torch::Tensor others = (output.select(1, 282) + output.select(1, 285)) / 2;
  CHECK(pass.at(0, rather).scores().allclose(output.select(1, 281) - others, 1e-4, 1e-5));
  CHECK(pass.at(0, own).scores().allclose(output.square().sum(1)));
}

namespace {

/// Gives boxes as Ultralytics' exports do: `[N, 4 + 2 classes, 8 * 8 boxes]`, at each place one of 8 pixels.
struct DetectorImpl : torch::nn::Module {
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor seen = torch::relu(backbone(x));
    const torch::Tensor at = torch::arange(8, torch::kFloat) * 8 + 4;
    const torch::Tensor boxes = torch::stack({at.view({1, 8}).expand({8, 8}), at.view({8, 1}).expand({8, 8}),
                                              torch::full({8, 8}, 8.0), torch::full({8, 8}, 8.0)});
    return torch::cat({boxes.expand({x.size(0), 4, 8, 8}), torch::sigmoid(head(seen))}, 1).flatten(2);
  }
  torch::nn::Conv2d backbone =
      register_module("backbone", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 4, 8).stride(8)));
  torch::nn::Conv2d head = register_module("head", torch::nn::Conv2d(4, 2, 1));
};
TORCH_MODULE(Detector);

}  // namespace

TEST_CASE("the detections of docs/explaining-a-model.md are explained at their own places") {
  Detector detector;
  detector->eval();
  for (const torch::Tensor& parameter : detector->parameters()) parameter.detach().zero_();
  detector->backbone->weight.detach()[1].fill_(1);          // how bright a place is: 192 where it is white
  detector->head->weight.detach()[1][1].fill_(12.0 / 192);  // class 1
  detector->head->bias.detach().fill_(-10);
  torch::Tensor input = torch::zeros({1, 3, 64, 64});
  input.slice(2, 16, 24).slice(3, 40, 48).fill_(1);
  const docs::Printed printed;

  sg::Pass found(detector, input, {sg::layer(detector, "backbone")});
  for (const sg::Detection& one : sg::detections(found.output(), sg::BoxLayout::class_columns)) {
    sg::Explanation why = found.explain(0, sg::LayerCam{}, one.target);
    std::cout << one.label << ' ' << one.score << ": " << why.peak(0).first << ' ' << why.peak(0).second << '\n';
  }

  CHECK(printed.text() == "1 0.880797: 43 19\n");
}

TEST_CASE("the layers of docs/explaining-a-model.md are listed, suggested and summed up") {
  support::ResNet18 net(8, 300);
  net->eval();
  const torch::Tensor input = torch::randn({1, 3, 64, 64});
  const docs::Printed printed;

  for (const sg::LayerInfo& layer : sg::layers(net, input)) std::cout << layer.name << ' ' << layer.shape << '\n';
  sg::Suggestion suggested = sg::suggest(net, input);  // .layer, .reason, .warning where it says little
  std::cout << sg::summary(net, input);                // shapes, parameters, multiply-adds, memory

  CHECK(suggested.layer == "layer4");
  CHECK_THAT(printed.text(), ContainsSubstring("layer4.1.conv2 1 64 2 2\n"));
}

TEST_CASE("a TorchScript file of docs/explaining-a-model.md with several inputs and outputs is explained") {
  const torch::jit::Module features = scripts::make("Backbone", {{"conv", scripts::conv(3, 4)}},
                                                    "def forward(self, x):\n"
                                                    "  return self.conv.forward(x)\n");
  torch::jit::Module script = scripts::make("Net", {{"backbone", features}, {"fc", scripts::linear(4, 5)}},
                                            "def forward(self, x, sizes):\n"
                                            "  y = self.backbone.forward(x).mean([2, 3]) * sizes\n"
                                            "  return {\"out\": self.fc.forward(y)}\n");
  script.eval();
  const torch::Tensor input = torch::randn({1, 3, 8, 8}), sizes = torch::rand({1, 1}) + 0.5;

  sg::Model both(script, [&](const torch::Tensor& x) { return script.forward({x, sizes}); });
  sg::Explanation second = sg::explain(both.output("out"), input, "backbone", sg::GradCam{}, 3);

  sg::Capture backbone(script, "backbone");
  script.forward({input, sizes});
  const torch::Tensor weights = script.attr("fc").toModule().attr("weight").toTensor()[3] * sizes.item<float>() / 64;
  const torch::Tensor wanted = (weights.view({1, 4, 1, 1}) * backbone.output()).sum(1).relu();
  CHECK(second.map().allclose(wanted, 1e-4, 1e-6));
}

TEST_CASE("the optimised model of docs/explaining-a-model.md gives the same maps") {
  support::ResNet18 net(8, 300);
  net->eval();
  const torch::Tensor input = torch::randn({1, 3, 64, 64});

  sg::Model model = sg::Model(net).optimised();
  sg::Explanation first = sg::explain(model, input, "layer4", sg::GradCam{}, 281);
  sg::Explanation later = sg::explain(model, input, "layer4", sg::GradCam{}, 281);  // costs less than a prediction

  CHECK(later.map().allclose(first.map(), 1e-3, 1e-5));
}

TEST_CASE("maps of docs/explaining-a-model.md are fused and drawn") {
  const docs::ScratchFolder scratch("explaining");
  support::ResNet18 net(8, 300);
  net->eval();
  const torch::Tensor input = torch::randn({1, 3, 64, 64});
  const cv::Mat photo(120, 160, CV_8UC3, cv::Scalar(30, 120, 210));

  std::vector<sg::Explanation> maps = sg::explain(net, input, {net->layer3, net->layer4}, sg::LayerCam{}, 281);
  cv::Mat fused = sg::overlay(photo, sg::fuse(maps, sg::Fusion::mean).map(0));
  cv::Mat deep = sg::overlay(photo, maps[1].map(0), sg::OverlayOptions().alpha(0.5).colour_map(sg::ColourMap::viridis));
  cv::imwrite("maps.png", sg::grid({{photo, "photograph"}, {fused, "layer3 and layer4"}, {deep, "layer4"}}));

  CHECK(sg::read_image("maps.png").cols > 2 * photo.cols);
}
