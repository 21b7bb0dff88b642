#include "explain/segment.hpp"

#include "support/harness/catch.hpp"

using namespace support;

namespace {

/// `[1, 3, 2, 3]`: the prediction is {{0, 0, 0}, {2, 2, 1}}.
torch::Tensor three_classes() {
  const torch::Tensor predicted = torch::tensor({{0, 0, 0}, {2, 2, 1}}, torch::kLong);
  return torch::one_hot(predicted, 3).permute({2, 0, 1}).unsqueeze(0).to(torch::kFloat) * 5 + 1;
}

}  // namespace

TEST_CASE("a segmenter's output has the dimensions of its input", "[segment]") {
  CHECK(is_segmentation(torch::zeros({2, 5, 8, 8}), torch::zeros({2, 3, 16, 16})));
  CHECK(is_segmentation(torch::zeros({1, 5, 4, 4, 4}), torch::zeros({1, 1, 8, 8, 8})));
  CHECK_FALSE(is_segmentation(torch::zeros({2, 5}), torch::zeros({2, 3, 16, 16})));
  CHECK_FALSE(is_segmentation(torch::zeros({1, 3, 8, 8, 85}), torch::zeros({1, 3, 16, 16})));
  CHECK_FALSE(is_segmentation(torch::zeros({1, 100, 4}), torch::zeros({1, 3, 50})));  // boxes
}

TEST_CASE("the class of most pixels is explained, the background only where there is nothing else", "[segment]") {
  const Segmentation seen(three_classes(), ModelEnd::unknown);
  CHECK(seen.largest() == 2);
  CHECK(seen.pixels(0) == 3);
  CHECK(seen.pixels(2) == 2);
  CHECK(seen.pixels() == 6);
  CHECK(Segmentation(torch::tensor({1.f, 0.f}).view({1, 2, 1, 1}).expand({1, 2, 3, 3}), ModelEnd::unknown).largest() ==
        0);
  CHECK(seen.overview(Labels({"none", "cat", "dog"})) ==
        "   50.0 %  3 pixels of none (0)\n   33.3 %  2 pixels of dog (2)\n   16.7 %  1 pixels of cat (1)");
}

TEST_CASE("a class's question is its score within its region", "[segment]") {
  const Question question = Segmentation(three_classes(), ModelEnd::unknown).question(2);
  CHECK(question.index == 2);
  CHECK(at::equal(question.mask, torch::tensor({{0, 0, 0}, {1, 1, 0}}).to(torch::kBool)));
  CHECK(question.target.scores(three_classes()).item<double>() == Approx(12));  // two places of score 6
  const torch::Tensor volume = three_classes().unsqueeze(2);                    // [1, 3, 1, 2, 3]
  CHECK(Segmentation(volume, ModelEnd::unknown).question(2).target.scores(volume).item<double>() == Approx(12));

  torch::Tensor no_cat = three_classes();
  no_cat.select(1, 1).fill_(-1);
  CHECK_THROWS_WITH(Segmentation(no_cat, ModelEnd::unknown).question(1),
                    ContainsSubstring("target 1: no place is predicted to be of this class; most are of class"));
}

TEST_CASE("of one class, the end of the model tells where it is seen", "[segment]") {
  const torch::Tensor one = torch::tensor({-1.f, 0.2f, 0.4f, 0.9f}).view({1, 1, 2, 2});
  CHECK(Segmentation(one, ModelEnd::linear).pixels(0) == 3);
  CHECK(Segmentation(one, ModelEnd::sigmoid).pixels(0) == 1);
  CHECK(Segmentation(one, ModelEnd::unknown).pixels(0) == 3);           // logits: one is below 0
  CHECK(Segmentation(one.clamp(0), ModelEnd::unknown).pixels(0) == 1);  // probabilities
}

TEST_CASE("a letterbox's bars are no part of a region", "[segment]") {
  Preparation wanted(8);
  wanted.fit = Fit::letterbox;
  Input input{"a.png", torch::zeros({1, 3, 8, 8}), {}, {placement_of({80, 40}, wanted)}};
  const torch::Tensor output = torch::ones({1, 1, 4, 4});
  const torch::Tensor shown = shown_in(input, output);
  CHECK(at::equal(shown, torch::tensor({0, 1, 1, 0}).view({4, 1}).expand({4, 4}).to(torch::kBool)));
  const Segmentation seen(output, ModelEnd::linear, shown);
  CHECK(seen.pixels(0) == 8);
  CHECK(seen.pixels() == 8);
  CHECK_FALSE(shown_in({"a.npy", {}, {}, {}}, output).defined());
}
