#include <sightglass/cam/detections.hpp>

#include <array>
#include <cmath>
#include <vector>

#include "support/harness/catch.hpp"

namespace sg = sightglass;
using Catch::Approx;
using Catch::Matchers::ContainsSubstring;

namespace {

/// Boxes 0 and 1 share 81 of 119, box 2 is apart, box 3 lies on box 0 and is of the other class; 4 is below 0.25.
torch::Tensor corners() {
  return torch::tensor(
      {{0., 0., 10., 10.}, {1., 1., 11., 11.}, {20., 20., 30., 40.}, {0., 0., 10., 10.}, {5., 5., 6., 6.}});
}
torch::Tensor classes() { return torch::tensor({{0.6, 0.1}, {0.9, 0.1}, {0.2, 0.3}, {0.1, 0.8}, {0.2, 0.1}}); }

torch::Tensor centred(const torch::Tensor& boxes) {
  const torch::Tensor low = boxes.slice(1, 0, 2), high = boxes.slice(1, 2, 4);
  return torch::cat({(low + high) / 2, high - low}, 1);
}

struct Found {
  std::vector<int64_t> labels;
  std::vector<double> scores;
};
Found listed(const std::vector<sg::Detection>& all) {
  Found found;
  for (const sg::Detection& one : all) {
    found.labels.push_back(one.label);
    found.scores.push_back(std::round(one.score * 1000) / 1000);
  }
  return found;
}

}  // namespace

TEST_CASE("boxes of one class suppress each other, highest score first", "[detections]") {
  const torch::Tensor table = torch::cat({centred(corners()), classes()}, 1).t().unsqueeze(0);  // [1, 6, 5]
  const auto all = sg::detections(table, sg::BoxLayout::class_columns, 0, sg::DetectionOptions().overlap(0.5));
  CHECK(listed(all).labels == std::vector<int64_t>{0, 1, 1});
  CHECK(listed(all).scores == std::vector<double>{0.9, 0.8, 0.3});
  CHECK(all[2].box == std::array<double, 4>{20, 20, 30, 40});
  CHECK(listed(sg::detections(table, sg::BoxLayout::class_columns)).scores == std::vector<double>{0.9, 0.8, 0.6, 0.3});
  CHECK(sg::detections(table, sg::BoxLayout::class_columns, 0, sg::DetectionOptions().most(1)).size() == 1);
  CHECK(sg::detections(table, sg::BoxLayout::class_columns, 0, sg::DetectionOptions().score(0.95)).empty());
}

TEST_CASE("each layout is read as it is laid out", "[detections]") {
  const torch::Tensor objectness = torch::tensor({1., 0.5, 0.5, 1., 1.}).unsqueeze(1);
  const torch::Tensor five = torch::cat({centred(corners()), objectness, classes()}, 1).unsqueeze(0);
  const auto v5 = sg::detections(five, sg::BoxLayout::with_objectness, 0, sg::DetectionOptions().overlap(0.5));
  CHECK(listed(v5).scores == std::vector<double>{0.8, 0.6});  // 0.9 * 0.5 goes, as 0.6 covers it
  const torch::Tensor kept =
      torch::cat({corners(), torch::tensor({{0.9, 3.}, {0.2, 1.}, {0.5, 7.}, {0.9, 2.}, {0., 0.}})}, 1);
  const auto end = sg::detections(kept.unsqueeze(0), sg::BoxLayout::suppressed);
  CHECK(listed(end).labels == std::vector<int64_t>{3, 2, 7});
  const auto own = sg::detections(corners().unsqueeze(0), torch::tensor({{4, 5, 6, 7, 8}}),
                                  torch::tensor({{0.9, 0.1, 0.3, 0.8, 0.2}}));
  CHECK(listed(own).labels == std::vector<int64_t>{4, 7, 6});
  const torch::Tensor with_masks =
      torch::cat({centred(corners()), classes(), torch::ones({5, 32})}, 1).t().unsqueeze(0);
  CHECK(listed(sg::detections(with_masks, sg::BoxLayout::class_columns, 0, sg::DetectionOptions().mask_columns(32)))
            .labels == std::vector<int64_t>{0, 1, 0, 1});
}

TEST_CASE("a detection's target is its score before the sigmoid", "[detections]") {
  const torch::Tensor logits = torch::tensor({{{3., -9., 0.5}, {-2., 14., 2.}}}).requires_grad_();  // classes x boxes
  const torch::Tensor boxes = torch::ones({1, 4, 3}) * torch::tensor({10., 100., 1000.});
  const auto output = [&] { return torch::cat({boxes, torch::sigmoid(logits)}, 1); };
  const auto all = sg::detections(output(), sg::BoxLayout::class_columns);
  REQUIRE(listed(all).labels == std::vector<int64_t>{1, 0, 1});
  const torch::Tensor score = all[0].target.scores(output());
  CHECK(score.item<double>() == Approx(14).epsilon(0.01));  // a sigmoid's gradient there is 8e-7
  const torch::Tensor gradient = torch::autograd::grad({score.sum()}, {logits})[0];
  CHECK(gradient[0][1][1].item<double>() == Approx(1).epsilon(0.05));
  CHECK(gradient.abs().sum().item<double>() == Approx(1).epsilon(0.05));
  CHECK(all[1].target.scores(output()).item<double>() == Approx(3).epsilon(1e-4));
}

TEST_CASE("an output of another shape is refused with the shape that was expected", "[detections]") {
  CHECK_THROWS_WITH(sg::detections(torch::zeros({1, 4, 9}), sg::BoxLayout::class_columns),
                    ContainsSubstring("[N, 4 + classes, boxes]"));
  CHECK_THROWS_WITH(sg::detections(torch::zeros({1, 9, 7}), sg::BoxLayout::suppressed),
                    ContainsSubstring("[N, boxes, 6]"));
  CHECK_THROWS_WITH(sg::detections(torch::zeros({9, 7}), sg::BoxLayout::with_objectness),
                    ContainsSubstring("got [9, 7]"));
  CHECK_THROWS_WITH(sg::detections(torch::zeros({1, 9, 7}), sg::BoxLayout::with_objectness, 1),
                    ContainsSubstring("the batch has 1"));
  CHECK_THROWS_WITH(sg::DetectionOptions().score(25), ContainsSubstring("expected 0 to 1"));
  CHECK(sg::detections(torch::zeros({1, 5, 0}), sg::BoxLayout::class_columns).empty());
}
