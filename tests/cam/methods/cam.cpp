#include <sightglass/cam/explain.hpp>
#include <sightglass/cam/methods/cam.hpp>

#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

TEST_CASE("cam is the sum of the activations weighted by class, signed and without bias") {
  // Two channels, two classes: class 0 = A0 + 10 A1, class 1 = A0 - A1.
  const at::Tensor a = torch::tensor({1.f, 2.f, 3.f, 4.f, /**/ 5.f, 6.f, 7.f, 8.f}).view({1, 2, 2, 2});
  const at::Tensor weights = torch::tensor({1.f, 10.f, 1.f, -1.f}).view({2, 2});
  const at::Tensor maps = sg::cam(a, weights);
  const at::Tensor wanted = torch::tensor({51.f, 62.f, 73.f, 84.f, /**/ -4.f, -4.f, -4.f, -4.f}).view({1, 2, 2, 2});
  CHECK(maps.equal(wanted));
}

TEST_CASE("cam is the einsum ck,nkij->ncij") {
  torch::manual_seed(1);
  const at::Tensor a = torch::randn({3, 5, 4, 7});
  const at::Tensor weights = torch::randn({6, 5});
  CHECK(torch::allclose(sg::cam(a, weights), torch::einsum("ck,nkij->ncij", {weights, a}), 1e-5, 1e-6));
}

TEST_CASE("cam keeps the images of a batch apart") {
  const at::Tensor a = torch::tensor({1.f, 2.f, /**/ 3.f, 4.f}).view({2, 1, 1, 2});
  CHECK(sg::cam(a, torch::tensor({{2.f}})).equal(torch::tensor({2.f, 4.f, 6.f, 8.f}).view({2, 1, 1, 2})));
}

TEST_CASE("cam takes one and three spatial dimensions") {
  const at::Tensor values = torch::tensor({1.f, 2.f, 3.f, /**/ 4.f, 5.f, 6.f});
  const at::Tensor weights = torch::tensor({{1.f, -1.f}});
  CHECK(sg::cam(values.view({1, 2, 3}), weights).equal(torch::tensor({-3.f, -3.f, -3.f}).view({1, 1, 3})));
  CHECK(sg::cam(values.view({1, 2, 1, 3, 1}), weights).equal(torch::tensor({-3.f, -3.f, -3.f}).view({1, 1, 1, 3, 1})));
}

TEST_CASE("cam takes activations that are not contiguous") {
  const at::Tensor a = torch::arange(24.f).view({1, 3, 4, 2}).permute({0, 3, 2, 1});  // [1, 2, 4, 3]
  const at::Tensor weights = torch::tensor({{1.f, 2.f}});
  CHECK(sg::cam(a, weights).squeeze(1).equal(a.select(1, 0) + 2 * a.select(1, 1)));
}

TEST_CASE("cam says which argument does not fit") {
  CHECK_THROWS_WITH(sg::cam(torch::zeros({2, 3}), torch::zeros({4, 3})),
                    ContainsSubstring("activations: got [2, 3], expected [N, C, *S]"));
  CHECK_THROWS_WITH(sg::cam(torch::zeros({2, 3, 4, 4}), torch::zeros({4, 5})),
                    ContainsSubstring("weights: got [4, 5]"));
  CHECK_THROWS_WITH(sg::cam(torch::zeros({2, 3, 4, 4}), torch::zeros({3})), ContainsSubstring("weights: got [3]"));
}

TEST_CASE("Cam takes the weights of the linear layer after global average pooling") {
  PaperNet net;
  const auto first = sg::explain(net, PaperNetImpl::picture(), net->features, sg::Cam{}, sg::Target(0));
  CHECK(first.map().equal(torch::tensor({5.f, 4.f, 3.f, 4.f}).view({1, 2, 2})));
  const auto second = sg::explain(net, PaperNetImpl::picture(), net->features, sg::Cam{}, sg::Target(1));
  CHECK(second.map().equal(torch::tensor({1.f, -1.f, -3.f, -4.f}).view({1, 2, 2})));
  CHECK(second.scores().equal(torch::tensor({-1.75f})));
}

TEST_CASE("Cam explains a class of its own for each image") {
  PaperNet net;
  const at::Tensor pictures = torch::cat({PaperNetImpl::picture(), PaperNetImpl::picture()});
  const auto both = sg::explain(net, pictures, net->features, sg::Cam{}, sg::Target(std::vector<int64_t>{1, 0}));
  CHECK(both.map(0).equal(torch::tensor({1.f, -1.f, -3.f, -4.f}).view({2, 2})));
  CHECK(both.map(1).equal(torch::tensor({5.f, 4.f, 3.f, 4.f}).view({2, 2})));
}

TEST_CASE("Cam takes weights that are given") {
  PaperNet net;
  const at::Tensor weights = torch::tensor({{0.f, 0.f}, {2.f, 0.f}});
  const auto given = sg::explain(net, PaperNetImpl::picture(), net->features, sg::Cam{weights}, sg::Target(1));
  CHECK(given.map().equal(torch::tensor({2.f, 4.f, 6.f, 8.f}).view({1, 2, 2})));
  const auto in_double =
      sg::explain(net, PaperNetImpl::picture(), net->features, sg::Cam{weights.to(at::kDouble)}, sg::Target(1));
  CHECK(in_double.map().equal(given.map()));
}

TEST_CASE("Cam takes a 1x1 convolution before the pooling for the last layer") {
  // As SqueezeNet has it: 512 channels, 1x1 convolution to the classes, mean.
  struct NetImpl : torch::nn::Module {
    NetImpl()
        : features(register_module("features", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 2, 1).bias(false)))),
          classifier(register_module("classifier", torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 3, 1)))) {
      const torch::NoGradGuard no_gradients;
      features->weight.copy_(torch::tensor({1.f, 2.f}).view({2, 1, 1, 1}));
      classifier->weight.copy_(torch::tensor({1.f, 0.f, 0.f, 1.f, 1.f, -1.f}).view({3, 2, 1, 1}));
      classifier->bias.fill_(100.f);
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) {
      return classifier->forward(features->forward(x)).mean(at::IntArrayRef{2, 3});
    }
    torch::nn::Conv2d features, classifier;
  };
  const auto net = std::make_shared<NetImpl>();
  const at::Tensor x = PaperNetImpl::picture();
  const auto map = [&](int64_t index) {
    return sg::explain(net, x, net->features, sg::Cam{}, sg::Target(index)).map().unsqueeze(1);
  };
  CHECK(map(0).equal(x));
  CHECK(map(1).equal(2 * x));
  CHECK(map(2).equal(-x));
}

TEST_CASE("Cam says what is missing where the model does not end in pooling and one linear layer") {
  struct NetImpl : torch::nn::Module {
    NetImpl()
        : conv(register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 2, 1)))),
          fc(register_module("fc", torch::nn::Linear(8, 3))) {
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) { return fc->forward(conv->forward(x).flatten(1)); }
    torch::nn::Conv2d conv;
    torch::nn::Linear fc;
  };
  const auto net = std::make_shared<NetImpl>();
  const at::Tensor x = PaperNetImpl::picture();
  CHECK_THROWS_WITH(sg::explain(net, x, "conv", sg::Cam{}),
                    ContainsSubstring("no linear layer from the 2 channels of layer \"conv\" to its output [1, 3]") &&
                        ContainsSubstring("GradCam"));
  CHECK_THROWS_WITH(sg::explain(net, x, "conv", sg::Cam{torch::zeros({3, 7})}),
                    ContainsSubstring("weights: got [3, 7], expected [3, 2]"));
  CHECK_THROWS_WITH(sg::explain(net, x, "conv", sg::Cam{torch::zeros({2, 2})}, sg::Target(2)),
                    ContainsSubstring("weights: got [2, 2], expected [3, 2]"));
}

TEST_CASE("Cam says that its target must be a class") {
  PaperNet net;
  const auto sum = [](const at::Tensor& output) { return output.sum(1); };
  CHECK_THROWS_WITH(sg::explain(net, PaperNetImpl::picture(), net->features, sg::Cam{}, sg::Target(sum)),
                    ContainsSubstring("target") && ContainsSubstring("class"));
}

TEST_CASE("Cam needs no gradient, so a saturated output does not make its status zero_gradient") {
  PaperNet net;
  const auto explained = sg::explain(net, PaperNetImpl::picture(), net->features, sg::Cam{}, sg::Target::softmax(0));
  CHECK(explained.map().equal(torch::tensor({5.f, 4.f, 3.f, 4.f}).view({1, 2, 2})));
  CHECK(explained.status(0) == sg::Status::ok);
}
