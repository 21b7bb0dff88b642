#include <sightglass/model/torchvision_operators.hpp>

#include <torch/csrc/jit/ir/irparser.h>
#include <torch/csrc/jit/runtime/interpreter.h>
#include <torch/script.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/harness/catch.hpp"

namespace sg = sightglass;

namespace {

/// `[2, 2, 6, 8]`; the second image is twice the first.
torch::Tensor maps() {
  const torch::Tensor y = torch::arange(6, torch::kFloat).view({6, 1}),
                      x = torch::arange(8, torch::kFloat).view({1, 8});
  const torch::Tensor one = torch::stack({y * 7 + x * 3 + (y * x).remainder(5), (y - x).abs()});
  return torch::stack({one, one * 2});
}

torch::Tensor regions() {
  return torch::tensor({{0., 2., 1., 9., 7.}, {1., -1., -0.5, 4., 5.}, {0., 4.2, 3.3, 11.6, 10.9}});
}

void check_values(const torch::Tensor& got, const std::vector<double>& wanted) {
  CHECK(torch::allclose(got.flatten().to(torch::kDouble), torch::tensor(wanted, torch::kDouble), 1e-4, 1e-4));
}

torch::Tensor run(const std::string& ir, const std::vector<torch::Tensor>& inputs) {
  const auto graph = std::make_shared<torch::jit::Graph>();
  torch::jit::parseIR(ir, graph.get());
  torch::jit::Stack stack(inputs.begin(), inputs.end());
  torch::jit::InterpreterState(torch::jit::Code(graph, "run")).run(stack);
  return stack.back().toTensor();
}

}  // namespace

TEST_CASE("regions are cut out as torchvision's own Python form of roi_align does", "[torchvision]") {
  const torch::Tensor weights = torch::arange(3 * 2 * 2 * 3, torch::kFloat).view({3, 2, 2, 3});
  const auto of = [&](int64_t samples, bool aligned) {
    const torch::Tensor input = maps().requires_grad_();
    const torch::Tensor cut = sg::roi_align(input, regions(), 0.5, 2, 3, samples, aligned);
    (cut * weights).sum().backward();
    return std::make_pair(cut.detach(), input.grad());
  };
  const auto [plain, plain_gradient] = of(2, false);
  check_values(plain[0][0], {15.4792, 19.2982, 23.3451, 26.349, 30.1862, 33.1445});
  check_values(plain[1][1], {0.8906, 1.0625, 2.2917, 3.5, 2.125, 1.0781});
  check_values(plain[2][0], {28.8933, 32.1781, 34.5392, 40.7917, 43.875, 47.5729});
  check_values(plain_gradient[1][0][0].slice(0, 0, 4), {8.1562, 9.1875, 4.5938, 0});
  CHECK(plain_gradient.sum().item<double>() == Catch::Approx(630));

  const auto [aligned, aligned_gradient] = of(-1, true);  // as many samples as a bin has pixels
  check_values(aligned[1][1], {0.2812, 0.6406, 1.8854, 2.625, 2.1406, 0.7448});
  check_values(aligned[2][0], {23.9443, 27.5856, 29.6683, 36.5575, 39.9, 42.3667});
  check_values(aligned_gradient[1][0][0].slice(0, 0, 4), {19.1133, 14.1276, 1.0247, 0});
  check_values(of(1, true).first[1][1], {0, 0.5, 2.1667, 2.625, 2.125, 0.6875});
}

TEST_CASE("a region outside of the map, or of no size, gives zeros; what is no region is refused", "[torchvision]") {
  const auto at = [](std::vector<double> region) {
    return sg::roi_align(maps(), torch::tensor(region, torch::kDouble).view({1, 5}), 1, 2, 2, -1, true);
  };
  CHECK(at({0, 20, 20, 30, 30}).abs().max().item<double>() == 0);
  CHECK(at({0, 3, 3, 3, 3}).abs().max().item<double>() == 0);
  CHECK_THROWS_WITH(at({2, 1, 1, 3, 3}), Catch::Matchers::ContainsSubstring("image 2 of 2"));
  CHECK_THROWS_WITH(at({0, 1, 1, 3e30, 3}), Catch::Matchers::ContainsSubstring("on a side of 8 pixels"));
  CHECK_THROWS_WITH(sg::roi_align(maps(), torch::zeros({1, 4}), 1, 2, 2, 1, true),
                    Catch::Matchers::ContainsSubstring("expected [K, 5]"));
  CHECK(sg::roi_align(maps(), torch::zeros({0, 5}), 1, 2, 2, 1, true).sizes() == c10::IntArrayRef({0, 2, 2, 2}));
}

TEST_CASE("of overlapping boxes the one of the highest score stays", "[torchvision]") {
  // 0 and 1 share 81 of 119 (0.681); 2 touches neither; 3 and 0 share 50 of 100, which is not above 0.5.
  const torch::Tensor boxes =
      torch::tensor({{0., 0., 10., 10.}, {1., 1., 11., 11.}, {20., 20., 30., 30.}, {0., 0., 10., 5.}});
  const torch::Tensor scores = torch::tensor({0.5, 0.9, 0.1, 0.7});
  const auto kept = [&](double threshold) {
    const torch::Tensor numbers = sg::nms(boxes, scores, threshold);
    return std::vector<int64_t>(numbers.data_ptr<int64_t>(), numbers.data_ptr<int64_t>() + numbers.numel());
  };
  CHECK(kept(0.5) == std::vector<int64_t>{1, 3, 2});
  CHECK(kept(0.7) == std::vector<int64_t>{1, 3, 0, 2});
  CHECK(sg::nms(torch::zeros({0, 4}), torch::zeros({0}), 0.5).numel() == 0);
  CHECK_THROWS_WITH(sg::nms(boxes, torch::zeros({3}), 0.5),
                    Catch::Matchers::ContainsSubstring("expected one for each"));
}

TEST_CASE("TorchScript that names torchvision's operators runs without torchvision", "[torchvision]") {
  sg::provide_torchvision_operators();
  sg::provide_torchvision_operators();
  const torch::Tensor kept = run(R"(graph(%boxes : Tensor, %scores : Tensor):
  %threshold : float = prim::Constant[value=0.5]()
  %kept : Tensor = torchvision::nms(%boxes, %scores, %threshold)
  return (%kept))",
                                 {torch::tensor({{0., 0., 2., 2.}, {0., 0., 2., 2.}}), torch::tensor({1., 2.})});
  CHECK(kept.item<int64_t>() == 1);
  const torch::Tensor input = maps().requires_grad_();
  const torch::Tensor cut = run(R"(graph(%input : Tensor, %regions : Tensor):
  %scale : float = prim::Constant[value=0.5]()
  %two : int = prim::Constant[value=2]()
  %three : int = prim::Constant[value=3]()
  %aligned : bool = prim::Constant[value=0]()
  %cut : Tensor = torchvision::roi_align(%input, %regions, %scale, %two, %three, %two, %aligned)
  return (%cut))",
                                {input, regions()});
  CHECK(torch::equal(cut, sg::roi_align(input, regions(), 0.5, 2, 3, 2, false)));
  cut.sum().backward();
  CHECK(input.grad().sum().item<double>() > 0);
}
