// The programs of examples/minimal, run as a reader would; what they print is computed here by LibTorch alone.

#include <opencv2/imgcodecs.hpp>
#include <torch/script.h>
#include <torch/torch.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/data/torch_files.hpp"

using support::Folder;
using torch::Tensor;

namespace {

/// The network of most of the programs, and their input. The same seed gives the same weights.
struct NetImpl : torch::nn::Module {
  torch::nn::Conv2d conv1 = register_module("conv1", torch::nn::Conv2d(3, 8, 3));
  torch::nn::Conv2d conv2 = register_module("conv2", torch::nn::Conv2d(8, 16, 3));
  torch::nn::Linear fc = register_module("fc", torch::nn::Linear(16, 4));
};
TORCH_MODULE(Net);

struct Run {
  Net net = nullptr;
  Tensor input, first, second, scores;  // `first`, `second`: what the convolutions give

  explicit Run(at::IntArrayRef shape = {1, 3, 32, 32}) {
    torch::manual_seed(1);
    net = Net();
    input = torch::rand(shape);
    forward();
  }
  void forward() {
    first = net->conv1(input);
    scores = scores_of(first);
  }
  Tensor scores_of(const Tensor& after_conv1) {
    second = net->conv2(after_conv1.relu());
    return net->fc(second.relu().mean({2, 3}));
  }
  Tensor gradient_of_second() { return torch::autograd::grad({scores[0][2]}, {second})[0]; }
};

/// What a program prints, run in `folder`.
std::string printed(const std::string& program, const Folder& folder) {
  const std::string command = "cd '" + (folder / "") + "' && '" SIGHTGLASS_MINIMAL_DIR "/" + program + "'";
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  for (int letter = std::fgetc(pipe); letter != EOF; letter = std::fgetc(pipe)) text += static_cast<char>(letter);
  INFO(program << " printed: " << text);
  REQUIRE(::pclose(pipe) == 0);
  return text;
}
std::string printed(const std::string& program) { return printed(program, Folder()); }

/// The number that follows `words` in `text`.
double number_after(const std::string& text, const std::string& words) {
  INFO("sought: \"" << words << "\" in: " << text);
  const size_t at = text.find(words);
  REQUIRE(at != std::string::npos);
  return std::strtod(text.c_str() + at + words.size(), nullptr);
}

Approx about(const Tensor& number) { return Approx(number.item<double>()).epsilon(1e-4).margin(1e-7); }

}  // namespace

TEST_CASE("minimal hook: a channel that is switched off changes the score, while the hook lives", "[minimal]") {
  const std::string text = printed("hook");
  Run run;
  CHECK(number_after(text, "score ") == about(run.scores[0][2]));
  CHECK(number_after(text, "afterwards ") == about(run.scores[0][2]));
  Tensor first = run.first.detach().clone();
  first.select(1, 5).zero_();
  const Tensor without = run.scores_of(first)[0][2];
  CHECK(number_after(text, "without channel 5 ") == about(without));
  CHECK_FALSE(without.item<double>() == about(run.scores[0][2]));
}

TEST_CASE("minimal gradient: the capture has the layer's output and the score's gradient", "[minimal]") {
  const std::string text = printed("gradient");
  Run run;
  CHECK_THAT(text, ContainsSubstring("output [1, 16, 28, 28]") && ContainsSubstring("gradient [1, 16, 28, 28]"));
  CHECK(number_after(text, "mean ") == about(run.second.mean()));
  // The mean over 784 places of what is above zero, times the linear layer's weight.
  const Tensor gradient = run.second.gt(0) * run.net->fc->weight[2].view({1, 16, 1, 1}) / 784;
  CHECK(number_after(text, "norm ") == about(gradient.norm()));
}

TEST_CASE("minimal grad_cam: the map is Selvaraju's formula", "[minimal]") {
  const std::string text = printed("grad_cam");
  Run run;
  const Tensor weights = run.gradient_of_second().mean({2, 3}, true);
  const Tensor map = (weights * run.second).sum(1).relu();
  CHECK(number_after(text, "score ") == about(run.scores[0][2]));
  CHECK(number_after(text, "highest ") == about(map.max()));
  const Tensor enlarged = at::upsample_bilinear2d(map.unsqueeze(1), {32, 32}, /*align_corners=*/false);
  const auto peak = enlarged.argmax().item<int64_t>();
  CHECK(number_after(text, "x ") == static_cast<double>(peak % 32));
  CHECK(number_after(text, "y ") == static_cast<double>(peak / 32));
  CHECK_THAT(text, ContainsSubstring("map [28, 28]") && ContainsSubstring(": ok"));
}

TEST_CASE("minimal own_method: methods of one's own get activations and gradients", "[minimal]") {
  const std::string text = printed("own_method");
  Run run;
  const Tensor evidence = (run.gradient_of_second() * run.second).sum({0, 2, 3});  // [C]
  CHECK(number_after(text, "channels: sum ") == about(evidence.clamp_min(0).sum()));
  CHECK(number_after(text, "squares: sum ") == about(run.second.square().sum()));
}

TEST_CASE("minimal statistics: the figures are those of the layer's outputs in each batch", "[minimal]") {
  const std::string text = printed("statistics");
  Run run({8, 3, 32, 32});
  const Tensor classes = torch::randint(4, {8}, torch::kLong);
  torch::optim::SGD optimiser(run.net->parameters(), 0.1);
  for (int batch = 0; batch < 6; ++batch) {
    run.forward();
    const std::string line = "batch " + std::to_string(batch) + ": mean ";
    if (batch % 2 == 1) {
      CHECK_THAT(text, !ContainsSubstring(line));
    } else {
      CHECK(number_after(text, line) == about(run.first.mean()));
      const std::string rest = text.substr(text.find(line));
      CHECK(number_after(rest, "std ") == about(run.first.std()));
      CHECK(number_after(rest, "near zero ") == about(run.first.le(0.05).to(torch::kDouble).mean()));
    }
    optimiser.zero_grad();
    torch::cross_entropy_loss(run.scores, classes).backward();
    optimiser.step();
  }
}

TEST_CASE("minimal summary: parameters and multiply-adds are those counted by hand", "[minimal]") {
  const std::string text = printed("summary");
  // Weights and biases: 8 x 3 x 9 + 8, 16 x 8 x 9 + 16, 4 x 16 + 4.
  CHECK_THAT(text, ContainsSubstring("224") && ContainsSubstring("1,168") && ContainsSubstring("68") &&
                       ContainsSubstring("1,460"));
  // A product for each weight and place: 28 x 28 for the second convolution, 30 x 30 for the first.
  const double first = 30 * 30 * 8 * 27, second = 28 * 28 * 16 * 72;
  CHECK(number_after(text, "multiply-adds of conv2: ") == second);
  CHECK(number_after(text, std::to_string(static_cast<int>(second)) + " of ") == first + second + 64);
}

TEST_CASE("minimal torchscript: a layer of a file is captured by name", "[minimal]") {
  const Folder folder;
  const std::string text = printed("torchscript", folder);
  const Tensor weight = torch::jit::load(folder / "model.pt").attr("conv").toModule().attr("weight").toTensor();
  torch::manual_seed(1);
  CHECK(weight.equal(torch::randn({8, 3, 3, 3})));
  const Tensor output = torch::conv2d(torch::rand({1, 3, 32, 32}), weight);
  CHECK_THAT(text, ContainsSubstring("output [1, 8, 30, 30]"));
  CHECK(number_after(text, "mean ") == about(output.mean()));
  CHECK(number_after(text, "sum ") == about(output.select(1, 2).gt(0).to(torch::kDouble).mean()));
}

TEST_CASE("minimal weights: the report names what did not meet, the rest is the file's", "[minimal]") {
  const Folder folder;
  const std::string text = printed("weights", folder);
  CHECK_THAT(text, ContainsSubstring("not in the file: head.weight\nnot in the file: head.bias\n"));
  CHECK_THAT(text, ContainsSubstring("not in the network: fc.weight\nnot in the network: fc.bias\n"));
  torch::manual_seed(1);
  CHECK(number_after(text, "conv.weight: mean ") == about(torch::nn::Conv2d(3, 8, 3)->weight.mean()));
}

TEST_CASE("minimal picture: the overlay is bright where the picture is red", "[minimal]") {
  const Folder folder;
  CHECK_THAT(printed("picture", folder), ContainsSubstring("red.png"));
  const cv::Mat picture = cv::imread(folder / "red.png");
  REQUIRE(picture.size() == cv::Size(96, 96));
  // Four tenths of the photograph, six of magma's last colour in the disc, and of its first around it.
  const cv::Vec3b inside = picture.at<cv::Vec3b>(40, 60), outside = picture.at<cv::Vec3b>(80, 20);
  const cv::Vec3d bright = 0.4 * cv::Vec3d(40, 40, 220) + 0.6 * cv::Vec3d(191, 253, 252);
  const cv::Vec3d dark = 0.4 * cv::Vec3d(90, 90, 90) + 0.6 * cv::Vec3d(4, 0, 0);
  CHECK(cv::norm(cv::Vec3d(inside), bright, cv::NORM_INF) < 2);
  CHECK(cv::norm(cv::Vec3d(outside), dark, cv::NORM_INF) < 2);
}
