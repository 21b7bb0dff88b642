#include <sightglass/sightglass.hpp>

#include <vector>

#include "support/harness/catch.hpp"
#include "support/harness/gpu.hpp"
#include "support/nets/nets.hpp"
#include "support/harness/quiet.hpp"
#include "support/nets/twins.hpp"

namespace sg = sightglass;
using support::same_on_gpu;
using support::TinyResNet;
using torch::Tensor;
using Options = sg::ActivationStatsOptions;

namespace {

Options everything() { return Options().also(sg::Also::histograms).also(sg::Also::gradients).also(sg::Also::updates); }

/// Four steps of training; `watch` gets the optimiser's step to make.
template <class Net, class Watch>
void train(Net& net, const Watch& watch) {
  torch::optim::SGD optimiser(net->parameters(), 0.05);
  torch::manual_seed(3);
  const Tensor weight = net->parameters().front();
  for (int i = 0; i < 4; ++i) {
    const Tensor x = torch::randn({4, 3, 16, 16}, torch::kDouble).to(weight.options());
    watch([&] {
      optimiser.zero_grad();
      torch::cross_entropy_loss(net->forward(x), torch::tensor({0, 1, 2, 3}).to(weight.device())).backward();
      optimiser.step();
    });
  }
}

template <class Net>
void train(sg::ActivationStats& stats, Net& net) {
  const auto fit = stats.fit();
  train(net, [&](const auto& step) {
    const auto batch = fit.batch();
    step();
  });
}

}  // namespace

TEST_CASE("statistics of a training on a GPU are those of the same training on the CPU") {
  NEEDS_GPU;
  auto nets = support::on_both<TinyResNet>();
  sg::ActivationStats cpu(nets.cpu, everything()), gpu(nets.gpu, everything());
  train(cpu, nets.cpu);
  train(gpu, nets.gpu);
  REQUIRE(gpu.names() == cpu.names());
  REQUIRE(gpu.steps() == 4);
  const auto near = [](const Tensor& a, const Tensor& b) { return torch::allclose(a, b, 1e-4, 1e-6, true); };
  for (size_t i = 0; i < cpu.size(); ++i) {
    INFO(cpu.names()[i]);
    const sg::LayerStats got = gpu.layer(i), wanted = cpu.layer(i);
    CHECK(near(got.mean(), wanted.mean()));
    CHECK(near(got.std(), wanted.std()));
    CHECK(near(got.near_zero(), wanted.near_zero()));
    CHECK(near(got.dead_channels(), wanted.dead_channels()));
    CHECK(near(got.histograms(), wanted.histograms()));
    CHECK(near(got.gradient_mean(), wanted.gradient_mean()));
    CHECK(near(got.gradient_std(), wanted.gradient_std()));
    CHECK(near(got.gradient_norm(), wanted.gradient_norm()));
    CHECK(near(got.gradient_zeros(), wanted.gradient_zeros()));
    CHECK(near(got.update_ratio(), wanted.update_ratio()));
  }
}

TEST_CASE("training watched on a GPU gives the weights of training without, dropout's random numbers too") {
  NEEDS_GPU;
  at::globalContext().setDeterministicCuDNN(true);
  const auto weights = [](bool watched) {
    torch::manual_seed(1);
    nets::ResNet net;
    net->to(torch::kCUDA);
    if (watched) {
      sg::ActivationStats stats(net, everything());
      train(stats, net);
      CHECK(stats.steps() == 4);
    } else {
      train(net, [](const auto& step) { step(); });
    }
    return torch::cat({torch::nn::utils::parameters_to_vector(net->parameters()).detach(),
                       torch::rand({1}, torch::device(torch::kCUDA))});
  };
  const Tensor plain = weights(false);
  CHECK(weights(false).equal(plain));
  CHECK(weights(true).equal(plain));
  CHECK(support::quiet());
  at::globalContext().setDeterministicCuDNN(false);
}

TEST_CASE("guards on a GPU's layers see outputs, inputs and gradients there, or on the CPU on request") {
  NEEDS_GPU;
  auto nets = support::evaluated_on_both<TinyResNet>();
  torch::manual_seed(3);
  const Tensor x = torch::randn({2, 3, 32, 32}, torch::kDouble);
  struct Seen {
    Tensor output, input, gradient, by_hook, grad_output;
  };
  const auto see = [](TinyResNet& net, const Tensor& images, const sg::CaptureOptions& options) {
    Seen seen;
    const sg::Capture capture(net->layer2, options);
    const sg::ForwardHook forward(
        net->layer3, [&](const sg::Layer&, const Tensor&, const Tensor& output) { seen.by_hook = output; });
    const sg::BackwardHook backward(
        net->layer3, [&](const sg::Layer&, const Tensor&, const Tensor& gradient) { seen.grad_output = gradient; });
    net->forward(images).select(1, 1).sum().backward();
    seen.output = capture.output();
    seen.input = capture.input();
    seen.gradient = capture.gradient();
    return seen;
  };
  const Seen wanted = see(nets.cpu, x, {});
  const Seen got = see(nets.gpu, x.cuda(), {});
  CHECK(same_on_gpu(got.output, wanted.output));
  CHECK(same_on_gpu(got.input, wanted.input));
  CHECK(same_on_gpu(got.gradient, wanted.gradient));
  CHECK(same_on_gpu(got.by_hook, wanted.by_hook));
  CHECK(same_on_gpu(got.grad_output, wanted.grad_output));
  const Seen moved = see(nets.gpu, x.cuda(), sg::CaptureOptions().storage(sg::Storage::cpu));
  CHECK(moved.output.is_cpu());
  CHECK(moved.gradient.is_cpu());
  CHECK(torch::allclose(moved.output, wanted.output));
  CHECK(torch::allclose(moved.gradient, wanted.gradient));
}
