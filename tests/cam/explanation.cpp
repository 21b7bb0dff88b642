#include <sightglass/cam/explain.hpp>
#include <sightglass/cam/explanation.hpp>
#include <sightglass/cam/methods/cam.hpp>
#include <sightglass/cam/methods/grad_cam.hpp>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

namespace {

const float not_a_number = std::numeric_limits<float>::quiet_NaN();
const float infinite = std::numeric_limits<float>::infinity();

/// One map of a model whose input is 2 x 2 times as large.
sg::Explanation explanation(const std::vector<float>& values, int64_t height, int64_t width,
                            at::Tensor gradient_size = {}) {
  const at::Tensor map = torch::tensor(values).view({-1, height, width});
  const int64_t images = map.size(0);
  return {map,
          torch::zeros({images}),
          torch::zeros({images}, at::kLong),
          {2 * height, 2 * width},
          std::move(gradient_size)};
}

/// A convolution at which is cut, then something that makes scores of it.
template <class Tail>
struct CutNet : torch::nn::Module {
  CutNet() : conv(register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 1, 1).bias(false)))) {
    const torch::NoGradGuard no_gradients;
    conv->weight.fill_(1.f);
    eval();
  }
  torch::Tensor forward(const torch::Tensor& x) { return Tail()(conv->forward(x)); }
  torch::nn::Conv2d conv;
};

template <class Tail, class Method = sg::GradCam>
sg::Status status_of(const at::Tensor& input, const Method& method = {}) {
  const auto net = std::make_shared<CutNet<Tail>>();
  return sg::explain(net, input, net->conv, method).status(0);
}

}  // namespace

TEST_CASE("an explanation hands out what it was made of") {
  const at::Tensor map = torch::arange(12.f).view({2, 2, 3});
  const at::Tensor scores = torch::tensor({1.f, 2.f});
  const at::Tensor targets = torch::tensor({5, 7}, at::kLong);
  const sg::Explanation explained(map, scores, targets, {4, 6});
  CHECK(explained.map().equal(map));
  CHECK(explained.map(1).equal(map[1]));
  CHECK(explained.scores().equal(scores));
  CHECK(explained.targets().equal(targets));
}

TEST_CASE("an image that the batch does not have is an error, never another image") {
  const auto explained = explanation({1, 2, 3, 4}, 2, 2);
  CHECK_THROWS_WITH(explained.map(1), ContainsSubstring("image: got 1, the batch has 1"));
  CHECK_THROWS_WITH(explained.map(-1), ContainsSubstring("image: got -1"));
  CHECK_THROWS_WITH(explained.peak(1), ContainsSubstring("image: got 1"));
  CHECK_THROWS_WITH(explained.status(1), ContainsSubstring("image: got 1"));
  const auto with_gradients = explanation({1, 2, 3, 4}, 2, 2, torch::ones({1}));
  CHECK_THROWS_WITH(with_gradients.status(-1), ContainsSubstring("image: got -1"));
}

TEST_CASE("normalised brings each map to 0 and 1 by its own extremes") {
  const auto explained = explanation({-2, 0, 2, 6, /**/ 10, 20, 30, 20}, 2, 2);
  const at::Tensor wanted = torch::tensor({0.f, .25f, .5f, 1.f, /**/ 0.f, .5f, 1.f, .5f}).view({2, 2, 2});
  CHECK(torch::allclose(explained.normalised(), wanted, 0, 1e-7));
  CHECK(explained.map().equal(torch::tensor({-2.f, 0.f, 2.f, 6.f, 10.f, 20.f, 30.f, 20.f}).view({2, 2, 2})));
}

TEST_CASE("normalised makes a constant map 0") {
  CHECK(explanation({3, 3, 3, 3}, 2, 2).normalised().equal(torch::zeros({1, 2, 2})));
  CHECK(explanation({0, 0, 0, 0}, 2, 2).normalised().equal(torch::zeros({1, 2, 2})));
  CHECK(explanation({-1, -1, -1, -1}, 2, 2).normalised().equal(torch::zeros({1, 2, 2})));
}

TEST_CASE("a normalised map never has NaN or infinity, and lies in 0 to 1") {
  const float most = std::numeric_limits<float>::max();
  const float least = std::numeric_limits<float>::denorm_min();
  const std::vector<std::vector<float>> maps{
      {not_a_number, not_a_number, not_a_number, not_a_number},
      {not_a_number, 1, 2, 3},
      {infinite, 1, 2, 3},
      {-infinite, 1, 2, infinite},
      {-most, most, 0, most},
      {0, least, 0, 0},
      {0, 1e-38f, 0, 0},
      {most, most, most, most},
      {most, most, most, 0},
  };
  for (const auto& values : maps) {
    const at::Tensor scaled = explanation(values, 2, 2).normalised();
    INFO("of " << torch::tensor(values) << " comes " << scaled);
    CHECK(scaled.isfinite().all().item<bool>());
    CHECK(scaled.min().item<float>() >= 0.f);
    CHECK(scaled.max().item<float>() <= 1.f);
  }
  // What is finite keeps its order.
  CHECK(explanation({-most, most, 0, most}, 2, 2)
            .normalised()
            .equal(torch::tensor({0.f, 1.f, .5f, 1.f}).view({1, 2, 2})));
}

TEST_CASE("one image's NaN does not touch the others") {
  const at::Tensor scaled = explanation({not_a_number, 1, 2, 3, /**/ 0, 1, 2, 4}, 2, 2).normalised();
  CHECK(scaled[1].equal(torch::tensor({0.f, .25f, .5f, 1.f}).view({2, 2})));
}

TEST_CASE("normalised takes maps of one and three dimensions") {
  const at::Tensor values = torch::tensor({1.f, 3.f, 2.f});
  const at::Tensor wanted = torch::tensor({0.f, 1.f, .5f});
  const at::Tensor none = torch::zeros({1});
  const auto scaled = [&](const at::Tensor& map) {
    return sg::Explanation(map, none, none, map.sizes().slice(1).vec()).normalised();
  };
  CHECK(torch::allclose(scaled(values.view({1, 3})), wanted.view({1, 3}), 0, 1e-6));
  CHECK(torch::allclose(scaled(values.view({1, 3, 1, 1})), wanted.view({1, 3, 1, 1}), 0, 1e-6));
  // Not contiguous, as a method may give it.
  const at::Tensor square = torch::tensor({0.f, 1.f, 2.f, 4.f}).view({1, 2, 2}).transpose(1, 2);
  CHECK(scaled(square).equal(torch::tensor({0.f, .5f, .25f, 1.f}).view({1, 2, 2})));
}

TEST_CASE("resized is torch::nn::functional::interpolate, bilinear, align_corners false") {
  torch::manual_seed(3);
  const at::Tensor map = torch::randn({2, 3, 5});
  const sg::Explanation explained(map, torch::zeros({2}), torch::zeros({2}), {12, 20});
  for (const auto& size : std::vector<std::vector<int64_t>>{{12, 20}, {7, 31}, {3, 5}, {2, 4}, {1, 1}}) {
    namespace F = torch::nn::functional;
    const at::Tensor wanted =
        F::interpolate(map.unsqueeze(1),
                       F::InterpolateFuncOptions().size(size).mode(torch::kBilinear).align_corners(false))
            .squeeze(1);
    CHECK(explained.resized(size[0], size[1]).equal(wanted));
  }
  // By hand: two cells over four pixels lie a quarter, three quarters, ... apart; the borders repeat.
  const sg::Explanation two(torch::tensor({0.f, 1.f}).view({1, 1, 2}), torch::zeros({1}), torch::zeros({1}), {1, 4});
  CHECK(two.resized(1, 4).equal(torch::tensor({0.f, .25f, .75f, 1.f}).view({1, 1, 4})));
}

TEST_CASE("resized takes one and three dimensions, and says which size does not fit") {
  const at::Tensor none = torch::zeros({1});
  const sg::Explanation line(torch::tensor({0.f, 1.f}).view({1, 2}), none, none, {4});
  CHECK(line.resized({4}).equal(torch::tensor({0.f, .25f, .75f, 1.f}).view({1, 4})));
  const sg::Explanation volume(torch::tensor({0.f, 1.f}).view({1, 1, 2, 1}), none, none, {1, 4, 1});
  CHECK(volume.resized({1, 4, 1}).equal(torch::tensor({0.f, .25f, .75f, 1.f}).view({1, 1, 4, 1})));
  CHECK_THROWS_WITH(line.resized(4, 4), ContainsSubstring("size: got [4, 4]"));
  CHECK_THROWS_WITH(volume.resized({4}), ContainsSubstring("size: got [4]"));
  CHECK_THROWS_WITH(line.resized({0}), ContainsSubstring("size: got [0]"));
  CHECK_THROWS_WITH(explanation({1, 2, 3, 4}, 2, 2).resized(-1, 5), ContainsSubstring("size: got [-1, 5]"));
}

TEST_CASE("the peak is x then y, in pixels of the model's input or of a given picture") {
  // 2 x 4 cells over an input of 4 x 8 pixels; the greatest is in row 0, column 3: its pixels are x 6 and 7, y 0 and 1.
  const auto explained = explanation({0, 0, 0, 9, /**/ 1, 0, 0, 0}, 2, 4);
  CHECK(explained.peak(0) == std::make_pair<int64_t, int64_t>(7, 0));
  CHECK(explained.peak(0, 20, 400) ==
        std::make_pair<int64_t, int64_t>(350, 0));  // the first of equals: the cell's middle
  // The same as the first greatest pixel of the enlarged map in row-major order.
  torch::manual_seed(5);
  const at::Tensor map = torch::randn({3, 3, 5});
  const sg::Explanation random(map, torch::zeros({3}), torch::zeros({3}), {21, 50});
  for (int64_t i = 0; i < 3; ++i) {
    const auto index = random.resized(21, 50)[i].flatten().argmax().item<int64_t>();
    CHECK(random.peak(i) == std::make_pair(index % 50, index / 50));
  }
}

TEST_CASE("the peak looks past NaN, and needs two dimensions") {
  CHECK(explanation({not_a_number, 0, 0, 0, 0, 0, 0, 0, 5}, 3, 3).peak(0) == std::make_pair<int64_t, int64_t>(5, 5));
  const sg::Explanation line(torch::zeros({1, 3}), torch::zeros({1}), torch::zeros({1}), {3});
  CHECK_THROWS_WITH(line.peak(0), ContainsSubstring("peak") && ContainsSubstring("two spatial dimensions"));
  CHECK_THROWS_WITH(line.peak(0, 4, 4), ContainsSubstring("size: got [4, 4]"));
}

TEST_CASE("the status tells of each image how its map came out") {
  const auto one_each = explanation({0, 1, /**/ 0, -1, /**/ 0, 0, /**/ not_a_number, 1, /**/ 0, 1}, 1, 2,
                                    torch::tensor({1.f, 1.f, 0.f, 1.f, infinite}));
  CHECK(one_each.status(0) == sg::Status::ok);
  CHECK(one_each.status(1) == sg::Status::no_positive_evidence);
  CHECK(one_each.status(2) == sg::Status::zero_gradient);
  CHECK(one_each.status(3) == sg::Status::not_finite);
  CHECK(one_each.status(4) == sg::Status::not_finite);
  // Without gradients (CAM), a map of zeros has no evidence.
  CHECK(explanation({0, 0}, 1, 2).status(0) == sg::Status::no_positive_evidence);
}

TEST_CASE("each status has its word") {
  CHECK(sg::to_string(sg::Status::ok) == std::string("ok"));
  CHECK(sg::to_string(sg::Status::no_positive_evidence) == std::string("no_positive_evidence"));
  CHECK(sg::to_string(sg::Status::zero_gradient) == std::string("zero_gradient"));
  CHECK(sg::to_string(sg::Status::not_finite) == std::string("not_finite"));
}

TEST_CASE("status ok: a map with something above 0") {
  struct Mean {
    at::Tensor operator()(const at::Tensor& a) const { return a.mean(at::IntArrayRef{2, 3}); }
  };
  CHECK(status_of<Mean>(support::plane({1, 2, 3, 4}, 2, 2)) == sg::Status::ok);
}

TEST_CASE("status no_positive_evidence: the score rises where the activations fall") {
  PaperNet net;
  const auto explained = sg::explain(net, PaperNetImpl::picture(), net->features[0], sg::GradCam{}, sg::Target(1));
  CHECK(explained.status(0) == sg::Status::no_positive_evidence);
  CHECK(explained.normalised().equal(torch::zeros({1, 2, 2})));
}

TEST_CASE("status zero_gradient: a rectifier that is closed everywhere") {
  struct Closed {
    at::Tensor operator()(const at::Tensor& a) const { return (a - 100).relu().mean(at::IntArrayRef{2, 3}); }
  };
  CHECK(status_of<Closed>(support::plane({1, 2, 3, 4}, 2, 2)) == sg::Status::zero_gradient);
}

TEST_CASE("status zero_gradient: a softmax that is saturated") {
  struct Saturated {
    at::Tensor operator()(const at::Tensor& a) const {
      const at::Tensor score = a.sum(at::IntArrayRef{2, 3}) * 1000;
      return torch::softmax(torch::cat({score, -score}, 1), 1);
    }
  };
  CHECK(status_of<Saturated>(support::plane({1, 2, 3, 4}, 2, 2)) == sg::Status::zero_gradient);
}

TEST_CASE("status not_finite: NaN in the input, a root of 0, an overflow") {
  struct Mean {
    at::Tensor operator()(const at::Tensor& a) const { return a.mean(at::IntArrayRef{2, 3}); }
  };
  struct Root {
    at::Tensor operator()(const at::Tensor& a) const { return a.sqrt().mean(at::IntArrayRef{2, 3}); }
  };
  struct Overflow {
    at::Tensor operator()(const at::Tensor& a) const { return a.exp().sum(at::IntArrayRef{2, 3}); }
  };
  CHECK(status_of<Mean>(support::plane({1, not_a_number, 3, 4}, 2, 2)) == sg::Status::not_finite);
  CHECK(status_of<Root>(support::plane({0, 2, 3, 4}, 2, 2)) == sg::Status::not_finite);  // gradient infinite at 0
  CHECK(status_of<Overflow>(support::plane({200, 2, 3, 4}, 2, 2)) == sg::Status::not_finite);
  CHECK(status_of<Mean>(support::plane({1, infinite, 3, 4}, 2, 2)) == sg::Status::not_finite);
}

TEST_CASE("the statuses of a batch are those of its images") {
  struct Rectified {
    at::Tensor operator()(const at::Tensor& a) const { return a.relu().mean(at::IntArrayRef{2, 3}); }
  };
  const auto net = std::make_shared<CutNet<Rectified>>();
  const at::Tensor input = torch::cat(
      {support::plane({1, 2}, 1, 2), support::plane({-1, -2}, 1, 2), support::plane({not_a_number, 1}, 1, 2)});
  const auto explained = sg::explain(net, input, net->conv, sg::GradCam{});
  CHECK(explained.status(0) == sg::Status::ok);
  CHECK(explained.status(1) == sg::Status::zero_gradient);
  CHECK(explained.status(2) == sg::Status::not_finite);
}
