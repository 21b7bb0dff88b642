#include <torch/script.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "../../examples/support/methods.hpp"
#include "support/harness/autocast.hpp"
#include "support/harness/catch.hpp"
#include "support/harness/gpu.hpp"
#include "support/nets/scripts.hpp"
#include "support/nets/transformer.hpp"
#include "support/nets/twins.hpp"

namespace sg = sightglass;
using support::evaluated_on_both;
using support::same_on_gpu;
using support::TinyResNet;
using torch::Tensor;

namespace {

Tensor pictures(int64_t count, int64_t size = 96) {
  torch::manual_seed(2);
  return torch::randn({count, 3, size, size}, torch::kDouble);
}

const sg::Target& classes() {
  static const sg::Target target(std::vector<int64_t>{1, 0, 2});
  return target;
}

/// All but LeGrad, which needs attention.
std::vector<support::Method> methods() {
  std::vector<support::Method> all;
  for (const support::Method& method : support::methods()) {
    if (method.name != "legrad") all.push_back(method);
  }
  return all;
}

sg::Explanation by(const support::Method& method, const sg::Model& model, const Tensor& x, const sg::Layer& layer,
                   const sg::Target& target = classes()) {
  return method.explain(sg::Pass(model, x, {layer}), 0, target);
}

}  // namespace

TEST_CASE("every method gives on a GPU what it gives on the CPU") {
  NEEDS_GPU;
  auto nets = evaluated_on_both<TinyResNet>();
  const Tensor x = pictures(3);
  for (const support::Method& method : methods()) {
    INFO(method.name);
    const auto wanted = by(method, nets.cpu, x, nets.cpu->layer4);
    const auto got = by(method, nets.gpu, x.cuda(), nets.gpu->layer4);
    CHECK(wanted.map().abs().max().item<double>() > 0);
    CHECK(same_on_gpu(got.map(), wanted.map()));
    CHECK(same_on_gpu(got.scores(), wanted.scores()));
    CHECK(same_on_gpu(got.normalised(), wanted.normalised()));
    CHECK(same_on_gpu(got.resized(50, 40), wanted.resized(50, 40)));
    CHECK(same_on_gpu(got.targets(), wanted.targets()));
    for (int64_t i = 0; i < 3; ++i) {
      CHECK(got.status(i) == wanted.status(i));
      CHECK(got.peak(i) == wanted.peak(i));
    }
  }
}

TEST_CASE("LeGrad gives on a GPU what it gives on the CPU") {
  NEEDS_GPU;
  auto nets = evaluated_on_both<support::SmallTransformer>();
  torch::manual_seed(2);
  const Tensor x = torch::randn({2, 2, 4, 6}, torch::kDouble);
  const auto wanted = sg::explain(nets.cpu, x, nets.cpu->patch, sg::LeGrad{}, sg::Target(1));
  CHECK(wanted.map().max().item<double>() > 0);
  CHECK(same_on_gpu(sg::explain(nets.gpu, x.cuda(), nets.gpu->patch, sg::LeGrad{}, sg::Target(1)).map(), wanted.map()));
}

TEST_CASE("an image has one map on a GPU, alone and in any slot of a batch, by every method") {
  NEEDS_GPU;
  auto net = evaluated_on_both<TinyResNet>().gpu;
  const Tensor x = pictures(16).cuda();
  for (const support::Method& method : methods()) {
    if (method.name == "rise" || method.name == "occlusion") continue;  // 64,000 runs; nothing of them is a GPU's own
    INFO(method.name);
    const auto map = [&](const Tensor& images) { return by(method, net, images, net->layer4, 1).map(); };
    const auto near = [](const Tensor& a, const Tensor& b) { return torch::allclose(a, b, 1e-6, 1e-9); };
    const Tensor batch = map(x);
    CHECK(near(map(x), batch));
    CHECK(near(map(x.flip({0})).flip({0}), batch));
    for (const int64_t slot : {0, 7, 15}) CHECK(near(map(x.slice(0, slot, slot + 1))[0], batch[slot]));
  }
}

TEST_CASE("smoothing, fusion, factorisation and many layers of one pass give on a GPU what they give on the CPU") {
  NEEDS_GPU;
  auto nets = evaluated_on_both<TinyResNet>();
  const Tensor x = pictures(3);
  const auto all = [&](TinyResNet& net, const Tensor& images) {
    const sg::Pass pass(net, images, {net->layer2, net->layer4}, sg::Tail::again);
    std::vector<Tensor> found{pass.explain(0, sg::Smoothed<sg::GradCam>{}, classes()).map(),
                              pass.explain(1, sg::EigenSmoothed<sg::LayerCam>{}, classes()).map()};
    const std::vector<sg::Explanation> each{pass.explain(0, sg::LayerCam{}, classes()),
                                            pass.explain(1, sg::LayerCam{}, classes())};
    for (const sg::Fusion fusion :
         {sg::Fusion::mean, sg::Fusion::max, sg::Fusion::peaks, sg::Fusion::tanh, sg::Fusion::product}) {
      found.push_back(sg::fuse(each, fusion).map());
    }
    pass.explain(
        1,
        [&](const sg::Cut& cut) {
          const sg::Concepts concepts = sg::factorise(cut.activations(), 3);
          found.push_back(concepts.maps);
          found.push_back(sg::outputs_of_concepts(cut, concepts.vectors));
          return cut.activations().sum(1);
        },
        classes());
    return found;
  };
  const std::vector<Tensor> wanted = all(nets.cpu, x), got = all(nets.gpu, x.cuda());
  REQUIRE(got.size() == wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    INFO(i);
    CHECK(same_on_gpu(got[i], wanted[i], 1e-5));
  }
}

TEST_CASE("targets of every kind give on a GPU what they give on the CPU") {
  NEEDS_GPU;
  auto nets = evaluated_on_both<TinyResNet>();
  const Tensor x = pictures(3);
  const std::vector<sg::Target> targets{
      {},
      2,
      classes(),
      sg::Target(torch::tensor({1, 0, 2}).cuda()),
      sg::Target::softmax(1),
      sg::Target::difference(1, {2, 3}),
      sg::Target([](const Tensor& y) { return y.square().sum(1); }),
  };
  for (size_t i = 0; i < targets.size(); ++i) {
    INFO(i);
    const auto wanted = sg::explain(nets.cpu, x, "layer4", sg::GradCam{}, targets[i]);
    const auto got = sg::explain(nets.gpu, x.cuda(), "layer4", sg::GradCam{}, targets[i]);
    CHECK(same_on_gpu(got.map(), wanted.map()));
    CHECK(same_on_gpu(got.scores(), wanted.scores()));
  }
}

TEST_CASE("optimised models and TorchScript files give on a GPU the maps of the plain model on the CPU") {
  NEEDS_GPU;
  auto nets = evaluated_on_both<TinyResNet>();
  const Tensor x = pictures(3);
  torch::manual_seed(3);
  const torch::jit::Module script = scripts::net();
  torch::jit::Module on_gpu = scripts::reloaded(script);
  on_gpu.to(torch::kCUDA);
  const Tensor small = pictures(3, 16).to(torch::kFloat);
  const sg::Model net = sg::Model(nets.gpu).optimised(), file = sg::Model(on_gpu).optimised();
  const auto error = [](const Tensor& map, const Tensor& wanted) {
    CHECK(map.is_cuda());
    return (map.cpu() - wanted).norm().item<double>() / wanted.norm().item<double>();
  };
  for (const support::Method& method : methods()) {
    if (method.name == "rise") continue;
    INFO(method.name);
    const Tensor wanted = by(method, nets.cpu, x, nets.cpu->layer4).map();
    const Tensor of_file = by(method, script, small, sg::layer(script, "blocks.1")).map();
    CHECK(error(by(method, on_gpu, small.cuda(), sg::layer(on_gpu, "blocks.1")).map(), of_file) < 1e-2);
    for (int turn = 0; turn < 3; ++turn) {
      CHECK(error(by(method, net, x.cuda(), nets.gpu->layer4).map(), wanted) < 1e-4);
      CHECK(error(by(method, file, small.cuda(), file.layer("blocks.1")).map(), of_file) < 1e-2);  // TF32
    }
  }
}

TEST_CASE("models of 16 bits, and autocast, give float32 maps on a GPU") {
  NEEDS_GPU;
  auto net = evaluated_on_both<TinyResNet>().gpu;
  net->to(torch::kFloat);
  const Tensor x = pictures(2).to(torch::kFloat).cuda();
  const Tensor wanted = sg::explain(net, x, "layer3", sg::GradCam{}, 1).map();
  const auto error = [&](const Tensor& map) {
    CHECK(map.scalar_type() == torch::kFloat);
    return ((map - wanted).norm() / wanted.norm()).item<double>();
  };
  {
    const support::Autocast autocast(c10::DispatchKey::AutocastCUDA);
    const double of_autocast = error(sg::explain(net, x, "layer3", sg::GradCam{}, 1).map());
    CHECK(of_autocast > 0);
    CHECK(of_autocast < .05);
  }
  for (const auto type : {torch::kHalf, torch::kBFloat16}) {
    net->to(type);
    CHECK(error(sg::explain(net, x.to(type), "layer3", sg::GradCam{}, 1).map()) < .2);
    net->to(torch::kFloat);
  }
}

TEST_CASE("methods that run the model once do not wait for the GPU") {
  NEEDS_GPU;
  auto net = evaluated_on_both<TinyResNet>().gpu;
  const Tensor x = pictures(3).cuda();
  const Tensor large = torch::randn({8192, 8192}, torch::dtype(torch::kFloat).device(torch::kCUDA));
  using clock = std::chrono::steady_clock;
  const auto seconds = [](clock::time_point from) {
    return std::chrono::duration<double>(clock::now() - from).count();
  };
  for (const support::Method& method : methods()) {
    static const std::vector<std::string> once{"cam",        "grad-cam",      "hires-cam", "grad-cam-element-wise",
                                               "grad-cam++", "xgrad-cam",     "layer-cam", "shapley-cam",
                                               "eigen-cam",  "eigengrad-cam", "finer-cam", "fem",
                                               "random-cam"};
    if (std::find(once.begin(), once.end(), method.name) == once.end()) continue;
    INFO(method.name);
    by(method, net, x, net->layer4);
    torch::cuda::synchronize();
    const auto begun = clock::now();
    Tensor product = large;
    for (int i = 0; i < 20; ++i) product = large.mm(product).div_(100);  // half a second's work for the GPU
    const auto explained = by(method, net, x, net->layer4);
    const double until_explained = seconds(begun);
    torch::cuda::synchronize();
    const double until_done = seconds(begun);
    INFO(until_explained << " of " << until_done << " s");
    CHECK(until_explained < until_done / 2);
  }
}
