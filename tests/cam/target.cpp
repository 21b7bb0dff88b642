#include <sightglass/cam/explain.hpp>
#include <sightglass/cam/methods/cam.hpp>
#include <sightglass/cam/methods/grad_cam.hpp>
#include <sightglass/cam/target.hpp>

#include <c10/core/InferenceMode.h>

#include <cmath>
#include <type_traits>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

namespace {

at::Tensor floats(std::vector<float> values) { return torch::tensor(values); }
at::Tensor longs(std::vector<int64_t> values) { return torch::tensor(values, at::kLong); }

/// Two images, three classes.
at::Tensor scores() { return floats({1, 5, 2, /**/ 7, 0, -3}).view({2, 3}); }

}  // namespace

TEST_CASE("the default target is the prediction of each image") {
  const sg::Target target;
  CHECK(target.scores(scores()).equal(floats({5, 7})));
  CHECK(target.classes(scores()).equal(longs({1, 0})));
}

TEST_CASE("a class index is the target of all images") {
  CHECK(sg::Target(2).scores(scores()).equal(floats({2, -3})));
  CHECK(sg::Target(2).classes(scores()).equal(longs({2, 2})));
  CHECK(sg::Target(size_t{1}).scores(scores()).equal(floats({5, 0})));
  CHECK(sg::Target(int64_t{1}).scores(scores()).equal(floats({5, 0})));
  static_assert(!std::is_constructible_v<sg::Target, bool>, "true is not class 1");
  static_assert(!std::is_constructible_v<sg::Target, double>, "0.5 is not class 0");
}

TEST_CASE("one class an image, as a vector or as a tensor") {
  CHECK(sg::Target(std::vector<int64_t>{0, 2}).scores(scores()).equal(floats({1, -3})));
  CHECK(sg::Target(longs({0, 2})).scores(scores()).equal(floats({1, -3})));
  CHECK(sg::Target(longs({0, 2})).classes(scores()).equal(longs({0, 2})));
  CHECK(sg::Target(longs({0, 2}).to(at::kInt)).classes(scores()).equal(longs({0, 2})));
}

TEST_CASE("a number of classes that does not fit the batch is an error, never cut") {
  const auto said = ContainsSubstring("target: got 3 class indices for a batch of 2");
  CHECK_THROWS_WITH(sg::Target(std::vector<int64_t>{0, 1, 2}).scores(scores()), said);
  CHECK_THROWS_WITH(sg::Target(longs({0, 1, 2})).scores(scores()), said);
  CHECK_THROWS_WITH(sg::Target(std::vector<int64_t>{0}).scores(scores()),
                    ContainsSubstring("target: got 1 class indices for a batch of 2"));
}

TEST_CASE("a class that the model does not have is an error") {
  CHECK_THROWS_WITH(sg::Target(3).scores(scores()),
                    ContainsSubstring("target: got class 3, the model gives 3 classes (0 to 2)"));
  CHECK_THROWS_WITH(sg::Target(-1).scores(scores()), ContainsSubstring("target: got class -1"));
  CHECK_THROWS_WITH(sg::Target(std::vector<int64_t>{0, 3}).scores(scores()), ContainsSubstring("target: got class 3"));
  CHECK_THROWS_WITH(sg::Target(std::vector<int64_t>{-2, 0}).scores(scores()),
                    ContainsSubstring("target: got class -2"));
  CHECK_THROWS_WITH(sg::Target::softmax(3).scores(scores()), ContainsSubstring("target: got class 3"));
  CHECK_THROWS_WITH(sg::Target::difference(3, {0}).scores(scores()), ContainsSubstring("target: got class 3"));
  CHECK_THROWS_WITH(sg::Target::difference(0, {1, 4}).scores(scores()), ContainsSubstring("target: got class 4"));
  CHECK_THROWS_WITH(sg::Target(2).classes(floats({1, 2}).view({1, 2})), ContainsSubstring("target: got class 2"));
}

TEST_CASE("class indices of a wrong kind are an error") {
  CHECK_THROWS_WITH(sg::Target(floats({0, 1})),
                    ContainsSubstring("target: class indices must be an int64 tensor [N], got Float [2]"));
  CHECK_THROWS_WITH(sg::Target(longs({0, 1}).view({1, 2})), ContainsSubstring("target") && ContainsSubstring("[1, 2]"));
  CHECK_THROWS_WITH(sg::Target(torch::tensor(1, at::kLong)), ContainsSubstring("target: class indices"));
  CHECK_THROWS_WITH(sg::Target(torch::ones({2}, at::kBool)), ContainsSubstring("target: class indices"));
  CHECK_THROWS_WITH(sg::Target(at::Tensor()), ContainsSubstring("undefined"));
  CHECK_THROWS_WITH(sg::Target(std::vector<int64_t>{}), ContainsSubstring("target: class indices"));
}

TEST_CASE("changing the given indices later does not change the target") {
  const at::Tensor indices = longs({0, 2});
  const sg::Target target(indices);
  indices.fill_(1);
  CHECK(target.classes(scores()).equal(longs({0, 2})));
}

TEST_CASE("one number an image is class 0, and has no probabilities") {
  const at::Tensor numbers = torch::tensor({2.f, -1.f, 0.f});
  CHECK(sg::Target().scores(numbers).equal(numbers));
  CHECK(sg::Target(0).scores(numbers).equal(numbers));
  CHECK(sg::Target().classes(numbers).equal(longs({0, 0, 0})));
  const sg::Target last = sg::Target().of(numbers, longs({2}));
  CHECK(last.scores(torch::tensor({7.f})).equal(torch::tensor({7.f})));
  CHECK_THROWS_WITH(sg::Target(1).scores(numbers), ContainsSubstring("class 1"));
}

TEST_CASE("a class needs an output [N, classes]") {
  const auto said =
      ContainsSubstring("target: a class needs an output [N, classes], got [2, 3, 4, 4]; use Target::segmentation");
  const at::Tensor planes = torch::zeros({2, 3, 4, 4});
  CHECK_THROWS_WITH(sg::Target().scores(planes), said);
  CHECK_THROWS_WITH(sg::Target(0).scores(planes), said);
  CHECK_THROWS_WITH(sg::Target(std::vector<int64_t>{0, 1}).scores(planes), said);
  CHECK_THROWS_WITH(sg::Target::softmax(0).scores(planes), said);
  CHECK_THROWS_WITH(sg::Target::difference(0, {1}).scores(planes), said);
  CHECK_THROWS_WITH(sg::Target::softmax(0).scores(torch::zeros({3})),
                    ContainsSubstring("target: a class needs an output"));
}

TEST_CASE("softmax of a class is its probability") {
  const at::Tensor output = floats({0.f, std::log(3.f)}).view({1, 2});
  CHECK(torch::allclose(sg::Target::softmax(1).scores(output), floats({.75f})));
  CHECK(sg::Target::softmax(1).classes(output).equal(longs({1})));
  // Its derivative by the classes' scores is p (1 - p) and -p q.
  const at::Tensor leaf = output.clone().requires_grad_(true);
  const auto gradient = torch::autograd::grad({sg::Target::softmax(1).scores(leaf)}, {leaf}).front();
  CHECK(torch::allclose(gradient, floats({-.1875f, .1875f}).view({1, 2})));
}

TEST_CASE("the difference of classes: a score less alpha times the mean of others") {
  // Image 0: 5 - (1 + 2) / 2; image 1: 0 - (7 - 3) / 2.
  CHECK(sg::Target::difference(1, {0, 2}).scores(scores()).equal(floats({3.5f, -2.f})));
  CHECK(sg::Target::difference(1, {0, 2}, .5).scores(scores()).equal(floats({4.25f, -1.f})));
  CHECK(sg::Target::difference(0, {1}).scores(scores()).equal(floats({-4.f, 7.f})));
  CHECK(sg::Target::difference(1, {0, 2}).classes(scores()).equal(longs({1, 1})));
  CHECK_THROWS_WITH(sg::Target::difference(1, {}), ContainsSubstring("others: got no classes"));
}

TEST_CASE("a segmentation target sums a class's scores over a mask") {
  // One image of two classes, 1 x 3 pixels.
  const at::Tensor output = floats({1, 2, 3, /**/ 10, 20, 30}).view({1, 2, 1, 3});
  const at::Tensor mask = floats({1, 0, 1}).view({1, 3});
  CHECK(sg::Target::segmentation(1, mask).scores(output).equal(floats({40})));
  CHECK(sg::Target::segmentation(0, mask).scores(output).equal(floats({4})));
  CHECK(sg::Target::segmentation(1, mask.to(at::kBool)).scores(output).equal(floats({40})));
  CHECK(sg::Target::segmentation(1, mask * 255).scores(output).equal(floats({40})));
  CHECK(sg::Target::segmentation(1, mask).classes(output).equal(longs({-1})));
}

TEST_CASE("a segmentation target takes one mask for all, or one an image") {
  const at::Tensor output = floats({1, 2, /**/ 3, 4}).view({2, 1, 1, 2});
  CHECK(sg::Target::segmentation(0, floats({1, 0}).view({1, 2})).scores(output).equal(floats({1, 3})));
  CHECK(sg::Target::segmentation(0, floats({1, 0, /**/ 0, 1}).view({2, 1, 2})).scores(output).equal(floats({1, 4})));
}

TEST_CASE("a segmentation target is of volumes and of series too") {
  const at::Tensor volumes = torch::arange(16, torch::kFloat).view({2, 1, 2, 2, 2});
  at::Tensor mask = torch::zeros({2, 2, 2});
  mask[1][0][1] = 1;  // 5 of the first volume, 13 of the second
  CHECK(sg::Target::segmentation(0, mask).scores(volumes).equal(floats({5, 13})));
  const sg::Target each = sg::Target::segmentation(0, at::stack({mask, torch::ones({2, 2, 2})}));
  CHECK(each.scores(volumes).equal(floats({5, 92})));
  const at::Tensor swapped = torch::tensor({1, 0}, torch::kLong);
  CHECK(each.of(volumes, swapped).scores(volumes.index_select(0, swapped)).equal(floats({92, 5})));
  CHECK(sg::Target::segmentation(1, floats({0, 1, 1})).scores(torch::arange(6.f).view({1, 2, 3})).equal(floats({9})));
}

TEST_CASE("a mask that does not fit the output is an error") {
  const at::Tensor output = torch::zeros({2, 3, 4, 5});
  const auto scores_with = [&](const at::Tensor& mask) { return sg::Target::segmentation(0, mask).scores(output); };
  CHECK_THROWS_WITH(scores_with(torch::ones({5, 4})), ContainsSubstring("mask: got [5, 4]"));
  CHECK_THROWS_WITH(scores_with(torch::ones({3, 4, 5})), ContainsSubstring("mask: got [3, 4, 5]"));
  CHECK_THROWS_WITH(scores_with(torch::ones({1, 4, 5})), ContainsSubstring("mask: got [1, 4, 5]"));
  CHECK_THROWS_WITH(scores_with(torch::ones({2, 1, 4, 5})), ContainsSubstring("mask: got [2, 1, 4, 5]"));
  CHECK_THROWS_WITH(scores_with(torch::ones({5})), ContainsSubstring("mask: got [5]"));
  CHECK_THROWS_WITH(scores_with(at::Tensor()), ContainsSubstring("mask"));
  CHECK_THROWS_WITH(sg::Target::segmentation(3, torch::ones({4, 5})).scores(output),
                    ContainsSubstring("target: got class 3"));
  CHECK_THROWS_WITH(sg::Target::segmentation(0, torch::ones({4, 5})).scores(torch::zeros({2, 3})),
                    ContainsSubstring("target: a segmentation target needs an output [N, classes, *S], got [2, 3]"));
}

TEST_CASE("a box target is the score of a class at one box") {
  // Two images, two boxes, three classes.
  const at::Tensor output = torch::arange(12.f).view({2, 2, 3});
  CHECK(sg::Target::box(1, 2).scores(output).equal(floats({5, 11})));
  CHECK(sg::Target::box(0, 0).scores(output).equal(floats({0, 6})));
  CHECK(sg::Target::box(1, 2).classes(output).equal(longs({-1, -1})));
  CHECK_THROWS_WITH(sg::Target::box(2, 0).scores(output),
                    ContainsSubstring("box_index: got 2, the model gives 2 boxes"));
  CHECK_THROWS_WITH(sg::Target::box(-1, 0).scores(output), ContainsSubstring("box_index: got -1"));
  CHECK_THROWS_WITH(sg::Target::box(0, 3).scores(output), ContainsSubstring("target: got class 3"));
  CHECK_THROWS_WITH(sg::Target::box(0, 0).scores(scores()),
                    ContainsSubstring("target: a box target needs an output [N, boxes, classes], got [2, 3]"));
}

TEST_CASE("any function from the output to one number an image is a target") {
  const sg::Target target = [](const at::Tensor& output) { return output.square().sum(1); };
  CHECK(target.scores(scores()).equal(floats({30, 58})));
  CHECK(target.classes(scores()).equal(longs({-1, -1})));
  CHECK_FALSE(target.has_class());
  CHECK(sg::Target(1).has_class());
}

TEST_CASE("a function that does not give one number an image is an error") {
  const auto scores_by = [](const sg::Target& target) { return target.scores(scores()); };
  const auto said = ContainsSubstring("must give one number an image, [2]");
  CHECK_THROWS_WITH(scores_by([](const at::Tensor& output) { return output; }),
                    said && ContainsSubstring("got [2, 3]"));
  CHECK_THROWS_WITH(scores_by([](const at::Tensor& output) { return output.sum(); }),
                    said && ContainsSubstring("got []"));
  CHECK_THROWS_WITH(scores_by([](const at::Tensor& output) { return output.sum(0); }),
                    said && ContainsSubstring("got [3]"));
  CHECK_THROWS_WITH(scores_by([](const at::Tensor& /*output*/) { return at::Tensor(); }),
                    said && ContainsSubstring("got nothing"));
}

TEST_CASE("what a target function throws reaches the caller of explain") {
  PaperNet net;
  const auto failing = [](const at::Tensor& /*output*/) -> at::Tensor { throw std::runtime_error("from the target"); };
  CHECK_THROWS_WITH(sg::explain(net, PaperNetImpl::picture(), net->features, sg::GradCam{}, sg::Target(failing)),
                    ContainsSubstring("from the target"));
  // And leaves the model usable.
  CHECK(net->forward(PaperNetImpl::picture()).equal(floats({4, -1.75f}).view({1, 2})));
}

TEST_CASE("copies of a target are the same target") {
  const sg::Target target(1);
  const sg::Target copy = target;
  CHECK(copy.id() == target.id());
  CHECK(sg::Target(1).id() != target.id());
}

TEST_CASE("targets reach the maps: scores, classes and gradients of each kind") {
  PaperNet net;  // scores 4 and -1.75; with weights w the gradient is w / 4 and Grad-CAM is relu(w . A) / 4
  const at::Tensor x = PaperNetImpl::picture();
  const auto explained = [&](const sg::Target& target) {
    return sg::explain(net, x, net->features, sg::GradCam{}, target);
  };
  const auto quarter_of = [](std::vector<float> cam) { return torch::tensor(cam).relu().view({1, 2, 2}) / 4; };

  CHECK(explained({}).targets().equal(longs({0})));
  CHECK(explained({}).scores().equal(floats({4})));
  CHECK(explained(0).map().equal(quarter_of({5, 4, 3, 4})));
  CHECK(explained(std::vector<int64_t>{1}).map().equal(quarter_of({1, -1, -3, -4})));

  // Class 0 against class 1: weights (1, 2) - (-1, 1) = (2, 1), so 2 A0 + A1 = (4 5; 6 8).
  const auto against = explained(sg::Target::difference(0, {1}));
  CHECK(against.scores().equal(floats({5.75f})));
  CHECK(against.map().equal(quarter_of({4, 5, 6, 8})));

  // Softmax: the gradient is p (1 - p) times that of the difference.
  const double p = 1 / (1 + std::exp(-5.75));
  const auto probability = explained(sg::Target::softmax(0));
  CHECK(torch::allclose(probability.scores(), torch::tensor({static_cast<float>(p)})));
  CHECK(torch::allclose(probability.map(), against.map() * (p * (1 - p)), 1e-3, 0));

  // The sum of both: weights (0, 3), so 3 A1.
  const auto sum = explained([](const at::Tensor& output) { return output.sum(1); });
  CHECK(sum.scores().equal(floats({2.25f})));
  CHECK(sum.targets().equal(longs({-1})));
  CHECK(sum.map().equal(quarter_of({6, 3, 0, 0})));
}

TEST_CASE("a segmentation network is explained within a mask") {
  // The class's plane is 2 A, so the gradient at A is 2 within the mask: of 4 places one, mean .5; relu(.5 A).
  struct NetImpl : torch::nn::Module {
    NetImpl()
        : features(register_module("features", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 1, 1).bias(false)))),
          head(register_module("head", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 2, 1).bias(false)))) {
      const torch::NoGradGuard no_gradients;
      features->weight.fill_(1.f);
      head->weight.copy_(floats({2, -1}).view({2, 1, 1, 1}));
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) { return head->forward(features->forward(x)); }
    torch::nn::Conv2d features, head;
  };
  const auto net = std::make_shared<NetImpl>();
  const at::Tensor mask = floats({0, 0, 1, 0}).view({2, 2});
  const auto explained =
      sg::explain(net, PaperNetImpl::picture(), net->features, sg::GradCam{}, sg::Target::segmentation(0, mask));
  CHECK(explained.scores().equal(floats({6})));
  CHECK(explained.map().equal(floats({.5f, 1.f, 1.5f, 2.f}).view({1, 2, 2})));
}

TEST_CASE("targets that do not fit the model are errors of explain") {
  PaperNet net;
  const auto explained = [&](const sg::Target& target) {
    return sg::explain(net, PaperNetImpl::picture(), net->features, sg::GradCam{}, target);
  };
  CHECK_THROWS_WITH(explained(2), ContainsSubstring("target: got class 2, the model gives 2 classes (0 to 1)"));
  CHECK_THROWS_WITH(explained(std::vector<int64_t>{0, 0}),
                    ContainsSubstring("target: got 2 class indices for a batch of 1"));
  CHECK_THROWS_WITH(explained(sg::Target::box(0, 0)), ContainsSubstring("target: a box target"));
  CHECK_THROWS_WITH(explained([](const at::Tensor& output) { return output.detach().sum(1); }),
                    ContainsSubstring("target: its score has no gradient") && ContainsSubstring("detach()"));
  CHECK_THROWS_WITH(explained([](const at::Tensor& output) { return output.argmax(1); }),
                    ContainsSubstring("target: its score has no gradient"));
}

TEST_CASE("classes made in inference mode can still be explained by gradients") {
  PaperNet net;
  const c10::InferenceMode inference;
  const at::Tensor x = PaperNetImpl::picture();
  const sg::Target target(std::vector<int64_t>{1});
  CHECK(sg::explain(net, x, net->features, sg::GradCam{}, target).map().sizes() == at::IntArrayRef({1, 2, 2}));
}

TEST_CASE("differences of classes may be each image's own") {
  const at::Tensor output = floats({1, 2, 3, /**/ 40, 50, 60}).view({2, 3});
  const at::Tensor others = longs({0, 1, /**/ 1, 2}).view({2, 2});
  const sg::Target target = sg::Target::difference(longs({2, 0}), others, 2.0);
  CHECK(target.scores(output).equal(floats({3 - 2 * 1.5f, 40 - 2 * 55.f})));
  const at::Tensor rows = longs({1, 1, 0});
  CHECK(target.of(output, rows).scores(output.index_select(0, rows)).equal(floats({-70, -70, 0})));
  CHECK_THROWS_WITH(sg::Target::difference(longs({2}), others), ContainsSubstring("own, others: got [1] and [2, 2]"));
}
