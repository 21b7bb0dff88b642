#include <sightglass/cam/reshaped.hpp>
#include <sightglass/cam/explain.hpp>
#include <sightglass/model/layers.hpp>
#include <sightglass/model/detail/layout.hpp>
#include <sightglass/cam/methods/ablation_cam.hpp>
#include <sightglass/cam/methods/grad_cam.hpp>
#include <sightglass/hooks/capture.hpp>

#include "support/harness/catch.hpp"
#include "support/nets/scripts.hpp"

namespace sg = sightglass;
namespace sgd = sightglass::detail;
using sgd::Axes;
using torch::Tensor;
using Shape = std::vector<int64_t>;

namespace {

/// A patch embedding, two blocks of attention with norms before, a class token that is read out: a vision transformer.
torch::jit::Module vision_transformer() {
  const auto norm = [] {
    torch::jit::Module module = scripts::empty("LayerNorm");
    module.register_parameter("weight", torch::rand({6}) + 0.5, false);
    module.define("def forward(self, x):\n  return torch.layer_norm(x, [6], self.weight)\n");
    return module;
  };
  const auto block = [&] {
    return scripts::make(
        "Block",
        {{"norm1", norm()}, {"qkv", scripts::linear(6, 18)}, {"norm2", norm()}, {"mlp", scripts::linear(6, 6)}},
        "def forward(self, x):\n"
        "  q, k, v = self.qkv.forward(self.norm1.forward(x)).chunk(3, -1)\n"
        "  x = x + torch.matmul(torch.softmax(torch.matmul(q, k.transpose(1, 2)), -1), v)\n"
        "  return x + torch.relu(self.mlp.forward(self.norm2.forward(x)))\n");
  };
  torch::jit::Module patches = scripts::empty("PatchEmbed");
  patches.register_parameter("weight", torch::randn({6, 3, 4, 4}) * 0.3, false);
  patches.define(
      "def forward(self, x):\n  return torch.conv2d(x, self.weight, None, [4, 4]).flatten(2).transpose(1, 2)\n");
  torch::jit::Module net = scripts::make("ViT",
                                         {{"patches", patches},
                                          {"block1", block()},
                                          {"block2", block()},
                                          {"norm", norm()},
                                          {"head", scripts::linear(6, 5)}},
                                         "def forward(self, x):\n"
                                         "  x = self.patches.forward(x)\n"
                                         "  x = torch.cat([torch.ones_like(x[:, :1]), x], 1)\n"
                                         "  x = self.norm.forward(self.block2.forward(self.block1.forward(x)))\n"
                                         "  return self.head.forward(x[:, 0])\n");
  net.eval();
  return net;
}

}  // namespace

TEST_CASE("tokens lie on the grid of a convolution, after those that are no places", "[layout]") {
  const std::vector<Shape> grids{{56, 56}, {14, 14}};
  CHECK(sgd::grid_of(196, grids, {224, 224}, 8) == std::make_pair(Shape{14, 14}, int64_t{0}));
  CHECK(sgd::grid_of(197, grids, {224, 224}, 8) == std::make_pair(Shape{14, 14}, int64_t{1}));
  CHECK(sgd::grid_of(201, grids, {224, 224}, 8) == std::make_pair(Shape{14, 14}, int64_t{5}));
  CHECK_FALSE(sgd::grid_of(197, grids, {224, 224}, 0).has_value());
  CHECK_FALSE(sgd::grid_of(230, grids, {224, 224}, 8).has_value());
  // Reduced further, without a convolution: 7 x 7 of 224 x 224, 4 x 6 of 128 x 192.
  CHECK(sgd::grid_of(49, grids, {224, 224}, 8) == std::make_pair(Shape{7, 7}, int64_t{0}));
  CHECK(sgd::grid_of(24, {}, {128, 192}, 8) == std::make_pair(Shape{4, 6}, int64_t{0}));
}

TEST_CASE("a layout is told by the axes, or by the one dimension that fits a grid", "[layout]") {
  const std::vector<Shape> grids{{4, 6}};
  const Shape input{1, 3, 16, 24};
  CHECK(sgd::layout_of({1, 8, 4, 6}, Axes::unknown, input, grids).shape == Shape{1, 8, 4, 6});
  CHECK_FALSE(sgd::layout_of({1, 8, 4, 6}, Axes::channels_first, input, grids).reshape.has_value());
  CHECK(sgd::layout_of({1, 4, 6, 8}, Axes::channels_last, input, grids).shape == Shape{1, 8, 4, 6});
  CHECK(sgd::layout_of({1, 25, 8}, Axes::unknown, input, grids).shape == Shape{1, 8, 4, 6});
  CHECK(sgd::layout_of({1, 8, 24}, Axes::unknown, input, grids).shape == Shape{1, 8, 4, 6});
  CHECK_THAT(sgd::layout_of({1, 24, 24}, Axes::unknown, input, grids).problem.value(),
             ContainsSubstring("Reshape::tokens"));
  CHECK_THAT(sgd::layout_of({1, 50, 8}, Axes::channels_last, input, grids).problem.value(),
             ContainsSubstring("[1, 50, 8]"));
  // A series has one spatial dimension itself.
  CHECK(sgd::layout_of({1, 8, 24}, Axes::unknown, {1, 3, 24}, {}).shape == Shape{1, 8, 24});
  CHECK(sgd::layout_of({1, 24, 8}, Axes::channels_last, {1, 3, 24}, {}).shape == Shape{1, 8, 24});
}

TEST_CASE("a vision transformer is explained at the last norm that its class token still reads", "[layout]") {
  torch::manual_seed(3);
  torch::jit::Module net = vision_transformer();
  const Tensor x = torch::randn({2, 3, 16, 24}).requires_grad_();
  CHECK(sg::suggest_layer(net, x) == "block2.norm1");
  CHECK(sg::suggest(net, x).reason == "the last norm that the score depends on");
  const sg::Explanation map = sg::explain(net, x, "block2.norm1", sg::GradCam{}, 2);

  // By hand: class token first, then 4 x 6 patches row by row.
  sg::Capture capture(net, "block2.norm1");
  net.forward({x}).toTensor().select(1, 2).sum().backward();
  const auto see = [](const Tensor& tokens) { return tokens.slice(1, 1).transpose(1, 2).reshape({2, 6, 4, 6}); };
  const Tensor weights = see(capture.gradient()).mean({2, 3}, true);
  const Tensor wanted = (weights * see(capture.output())).sum(1).relu();
  CHECK(map.map().allclose(wanted, 1e-4, 1e-6));

  const sg::Reshaped<sg::GradCam> told{{}, sg::Reshape::tokens(4, 6)};
  CHECK(sg::explain(net, x, "block2.norm1", told, 2).map().allclose(map.map()));
  // Methods that run the rest of the model again put the tokens back as they were.
  const sg::Reshaped<sg::AblationCam> ablated{{}, sg::Reshape::tokens(4, 6)};
  CHECK(sg::explain(net, x, "block2.norm1", sg::AblationCam{}, 2)
            .map()
            .allclose(sg::explain(net, x, "block2.norm1", ablated, 2).map(), 1e-4, 1e-6));
}

TEST_CASE("a layer whose places cannot be told is refused, unless its layout is said", "[layout]") {
  torch::jit::Module net = scripts::empty("Odd");
  torch::jit::Module cut = scripts::empty("CutTokens");
  cut.define("def forward(self, x):\n  return x[:, :11]\n");
  net = scripts::make("OddNet", {{"conv", scripts::conv(3, 4)}, {"cut", cut}},
                      "def forward(self, x):\n"
                      "  y = self.cut.forward(self.conv.forward(x).flatten(2).transpose(1, 2))\n"
                      "  return y.mean(1)\n");
  net.eval();
  const Tensor x = torch::randn({1, 3, 6, 5});
  CHECK_THROWS_WITH(sg::explain(net, x, "cut", sg::GradCam{}, 1),
                    ContainsSubstring("Reshape::tokens(height, width, skip)"));
  const sg::Reshaped<sg::GradCam> told{{}, sg::Reshape::tokens(2, 5, 1)};
  CHECK(sg::explain(net, x, "cut", told, 1).map().sizes() == at::IntArrayRef({1, 2, 5}));
}
