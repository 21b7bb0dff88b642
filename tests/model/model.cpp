#include <sightglass/cam/explain.hpp>
#include <sightglass/model/layers.hpp>
#include <sightglass/cam/methods/cam.hpp>
#include <sightglass/cam/methods/grad_cam.hpp>
#include <sightglass/model/model.hpp>
#include <sightglass/model/summary.hpp>

#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/scripts.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

namespace {

/// Takes a picture and a mask, gives features and scores: a signature of its own.
struct TwoInTwoOutImpl : torch::nn::Module {
  TwoInTwoOutImpl() : body(register_module("body", PaperNet())) { eval(); }
  std::tuple<torch::Tensor, torch::Tensor> forward(const torch::Tensor& x, const torch::Tensor& mask) {
    const torch::Tensor features = body->features->forward(x) * mask;
    return {features, body->fc->forward(features.mean(at::IntArrayRef{2, 3}))};
  }
  PaperNet body;
};

at::Tensor paper_map() { return torch::tensor({1.25f, 1.f, .75f, 1.f}).view({1, 2, 2}); }

}  // namespace

TEST_CASE("a model is a handle, a shared pointer, or a TorchScript module") {
  PaperNet net;
  const at::Tensor x = PaperNetImpl::picture();
  const at::Tensor wanted = net->forward(x);
  CHECK(sg::Model(net).forward(x).equal(wanted));
  CHECK(sg::Model(net.ptr()).forward(x).equal(wanted));
  const torch::jit::Module script = scripts::net();
  const at::Tensor photo = torch::randn({2, 3, 8, 8});
  CHECK(torch::allclose(sg::Model(script).forward(photo), scripts::run(script, photo)));
  CHECK_THROWS_WITH(sg::Model(std::shared_ptr<PaperNetImpl>()), ContainsSubstring("model"));
}

TEST_CASE("a model keeps its network alive") {
  const auto model = [] {
    PaperNet net;
    return sg::Model(net);
  }();
  CHECK(model.forward(PaperNetImpl::picture()).size(1) == 2);
  CHECK(sg::explain(model, PaperNetImpl::picture(), "features", sg::GradCam{}, 0).map().equal(paper_map()));
}

TEST_CASE("a lambda beside the module serves tuple outputs and several inputs") {
  const auto net = std::make_shared<TwoInTwoOutImpl>();
  const at::Tensor x = PaperNetImpl::picture();
  const at::Tensor all = torch::ones({1, 1, 2, 2});
  const sg::Model whole(net, [&](const at::Tensor& input) { return std::get<1>(net->forward(input, all)); });
  CHECK(sg::explain(whole, x, net->body->features, sg::GradCam{}, 0).map().equal(paper_map()));
  CHECK(sg::explain(whole, x, "body.features", sg::GradCam{}, 0).map().equal(paper_map()));
  CHECK(sg::explain(whole, x, "body.features", sg::Cam{}, 0).map().equal(paper_map() * 4));

  // The mask leaves one place: gradients (1, 2) / 4 there, 0 elsewhere, so means (1, 2) / 16.
  const at::Tensor corner = torch::tensor({1.f, 0.f, 0.f, 0.f}).view({1, 1, 2, 2});
  const sg::Model masked(net, [&](const at::Tensor& input) { return std::get<1>(net->forward(input, corner)); });
  CHECK(sg::explain(masked, x, "body.features", sg::GradCam{}, 0).map().equal(paper_map() / 4));

  // The other output is as good a thing to explain: the sum of the features.
  const sg::Model features(net, [&](const at::Tensor& input) { return std::get<0>(net->forward(input, all)); });
  const auto sum = [](const at::Tensor& output) { return output.flatten(1).sum(1); };
  const auto explained = sg::explain(features, x, "body.features", sg::GradCam{}, sg::Target(sum));
  CHECK(explained.scores().equal(torch::tensor({13.f})));
  CHECK(explained.map().equal(torch::tensor({3.f, 3.f, 3.f, 4.f}).view({1, 2, 2})));
}

TEST_CASE("a lambda may turn a segmentation into scores") {
  PaperNet net;
  const sg::Model pooled(net, [&](const at::Tensor& input) {
    return net->features->forward(input).amax(at::IntArrayRef{2, 3});
  });
  const auto explained = sg::explain(pooled, PaperNetImpl::picture(), net->features, sg::GradCam{}, 0);
  CHECK(explained.scores().equal(torch::tensor({4.f})));
  // The gradient is 1 at the greatest place of channel 0: its mean 1/4.
  CHECK(explained.map().equal(torch::tensor({.25f, .5f, .75f, 1.f}).view({1, 2, 2})));
}

TEST_CASE("of several outputs the first floating-point one is looked at, or the one that is named") {
  const torch::jit::Module two = scripts::make("TwoOutputs", {{"conv", scripts::conv(3, 4)}},
                                               "def forward(self, x):\n"
                                               "  x = self.conv.forward(x)\n"
                                               "  return torch.argmax(x, 1), torch.mean(x, [2, 3]), x\n");
  const at::Tensor x = torch::randn({2, 3, 4, 4});
  const sg::Model model(two);
  const at::Tensor conv = scripts::run(scripts::child(two, {"conv"}), x);
  CHECK(model.forward(x).allclose(conv.mean({2, 3})));
  CHECK(model.output(2).forward(x).allclose(conv));
  CHECK(model.output("0").forward(x).equal(conv.argmax(1)));
  CHECK_THROWS_WITH(model.output(3).forward(x), ContainsSubstring("output \"3\"") && ContainsSubstring("\"0\", \"1\""));
  // Grad-CAM of the mean of a channel at that channel's convolution is the channel itself, over its places.
  const sg::Explanation map = sg::explain(two, x, "conv", sg::GradCam{}, 1);
  CHECK(map.map().allclose(conv.select(1, 1).relu() / 16, 1e-5, 1e-6));
}

TEST_CASE("a TorchScript model of a list of pictures gets the rows, and a function chooses its output") {
  torch::jit::Module detector("__torch__.ListDetector");
  detector.define(R"(
def forward(self, images: List[Tensor]):
    found = [{"scores": image.mean([1, 2]), "boxes": image} for image in images]
    return images[0], found
)");
  const torch::Tensor input = torch::randn({2, 3, 4, 5});
  const sg::Model model = sg::Model(detector).output([](const c10::IValue& values) {
    std::vector<torch::Tensor> scores;
    for (const c10::IValue& found : values.toTupleRef().elements()[1].toListRef())
      scores.push_back(found.toGenericDict().at("scores").toTensor());
    return torch::stack(scores);
  });
  CHECK(torch::allclose(model.forward(input), input.mean({2, 3})));
  CHECK(torch::allclose(model.optimised().forward(input), input.mean({2, 3})));
  CHECK(torch::equal(model.output("0").forward(input), input[0]));
  CHECK_THROWS_WITH(model.output(std::function<at::Tensor(const c10::IValue&)>()),
                    ContainsSubstring("got no function"));
}

TEST_CASE("a model on the stack, as tutorials write it, is explained, listed and summed up") {
  struct OnTheStack : torch::nn::Module {
    OnTheStack()
        : conv(register_module("conv", torch::nn::Conv2d(1, 4, 3))),
          fc(register_module("fc", torch::nn::Linear(4, 2))) {}
    torch::Tensor forward(torch::Tensor x) { return fc(torch::relu(conv(x)).mean({2, 3})); }
    torch::nn::Conv2d conv;
    torch::nn::Linear fc;
  };
  OnTheStack net;
  net.eval();
  const at::Tensor x = torch::rand({1, 1, 8, 8});
  CHECK(sg::suggest_layer(net, x) == "conv");
  CHECK(sg::summary(net, x)["conv"].shape == std::vector<int64_t>{1, 4, 6, 6});
  const at::Tensor y = net.conv(x);
  const at::Tensor weights = (net.fc->weight[1].view({1, 4, 1, 1}) * y.gt(0)).mean({2, 3}, true) / 36;
  CHECK(sg::explain(net, x, "conv", sg::GradCam{}, 1).map().allclose((weights * y).sum(1).relu(), 1e-4, 1e-7));
}

TEST_CASE("a torch::nn model that gives several tensors needs no function beside it") {
  struct PairImpl : torch::nn::Module {
    PairImpl() : conv(register_module("conv", torch::nn::Conv2d(3, 4, 1))) { eval(); }
    std::tuple<torch::Tensor, std::vector<torch::Tensor>> forward(const torch::Tensor& x) {
      const torch::Tensor y = conv(x);
      return {y.argmax(1), {y.mean({2, 3}), y.amax({2, 3})}};
    }
    torch::nn::Conv2d conv;
  };
  const auto net = std::make_shared<PairImpl>();
  const at::Tensor x = torch::randn({1, 3, 4, 4});
  const at::Tensor y = net->conv(x);
  CHECK(sg::Model(net).forward(x).allclose(y.mean({2, 3})));
  CHECK(sg::Model(net).output("1.1").forward(x).allclose(y.amax({2, 3})));
  CHECK(sg::explain(sg::Model(net).output(1), x, net->conv, sg::GradCam{}, 2)
            .map()
            .allclose(y.select(1, 2).relu() / 16, 1e-5, 1e-6));
}

TEST_CASE("layers of a model are found by name, and an unknown name lists the nearest") {
  PaperNet net;
  const sg::Model model(net);
  CHECK(model.layer("features.0").name() == "features.0");
  CHECK_THROWS_WITH(model.layer("feature"),
                    ContainsSubstring("layer \"feature\": no such submodule") && ContainsSubstring("\"features\""));
  const sg::Model script(scripts::net());
  CHECK(script.layer("blocks.1").name() == "blocks.1");
  CHECK_THROWS_WITH(script.layer("block.1"),
                    ContainsSubstring("layer \"block.1\": no such submodule") && ContainsSubstring("\"blocks.1\""));
}

TEST_CASE("a model lists its parameters in the order of registration") {
  PaperNet net;
  std::vector<std::string> names;
  for (const auto& [name, value] : sg::Model(net).parameters()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"features.0.weight", "features.0.bias", "fc.weight"});
  names.clear();
  for (const auto& [name, value] : sg::Model(scripts::net()).parameters()) names.push_back(name);
  CHECK(names.front() == "conv1.weight");
  CHECK(names.back() == "fc.bias");
}

TEST_CASE("a model in training mode is refused") {
  PaperNet net;
  net->train();
  CHECK(sg::Model(net).is_training());
  CHECK_THROWS_WITH(sg::explain(net, PaperNetImpl::picture(), "features", sg::GradCam{}),
                    ContainsSubstring("model: it is in training mode, or a module in it is"));
  CHECK(net->is_training());
  torch::jit::Module script = scripts::net();
  script.train();
  CHECK(sg::Model(script).is_training());
  CHECK_THROWS_WITH(sg::explain(script, torch::randn({1, 3, 8, 8}), "conv1", sg::GradCam{}),
                    ContainsSubstring("model: it is in training mode"));
}

TEST_CASE("a model of which one layer is in training mode is refused, since that layer would change") {
  struct NetImpl : torch::nn::Module {
    NetImpl()
        : conv(register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 2, 1)))),
          bn(register_module("bn", torch::nn::BatchNorm2d(2))) {
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) { return bn->forward(conv->forward(x)).mean(at::IntArrayRef{2, 3}); }
    torch::nn::Conv2d conv;
    torch::nn::BatchNorm2d bn;
  };
  const auto net = std::make_shared<NetImpl>();
  net->bn->train();
  const at::Tensor before = net->bn->running_mean.clone();
  CHECK_THROWS_WITH(sg::explain(net, PaperNetImpl::picture(), "conv", sg::GradCam{}),
                    ContainsSubstring("model") && ContainsSubstring("training mode"));
  CHECK(net->bn->running_mean.equal(before));

  torch::jit::Module script = scripts::net();
  scripts::child(script, {"bn1"}).train();
  CHECK_THROWS_WITH(sg::explain(script, torch::randn({1, 3, 8, 8}), "conv1", sg::GradCam{}),
                    ContainsSubstring("model") && ContainsSubstring("training mode"));
}
