#include <sightglass/cam/explain.hpp>
#include <sightglass/cam/methods/grad_cam.hpp>
#include <sightglass/hooks/capture.hpp>
#include <sightglass/model/detail/runner.hpp>

#include <memory>
#include <utility>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/harness/quiet.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"
#include "support/harness/warnings.hpp"

namespace sg = sightglass;
using sg::detail::Runner;

// Elided tails are compared with full ones in tests/trace/elision.cpp, optimised runs with plain ones in splits.cpp.

namespace {

at::Tensor rows(std::vector<int64_t> numbers) { return torch::tensor(numbers, torch::kLong); }

/// Reads a value of what it is given, and goes its way by it.
struct ChoosingImpl : torch::nn::Module {
  ChoosingImpl() {
    register_module("fc", fc);
    eval();
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor y = fc->forward(x.flatten(1));
    return y.mean().item<float>() > 0 ? y * 2 : y.tanh();
  }
  torch::nn::Linear fc{4, 3};
};

/// Its layer's output is made of values that were read, so that nothing can be left out before it.
struct ReadingImpl : torch::nn::Module {
  ReadingImpl() {
    register_module("conv", conv);
    eval();
  }
  torch::Tensor forward(const torch::Tensor& x) {
    return conv->forward(x * x.max().item<float>()).mean(at::IntArrayRef{2, 3});
  }
  torch::nn::Conv2d conv{torch::nn::Conv2dOptions(1, 2, 1)};
};

}  // namespace

TEST_CASE("a tail that cannot be elided is run in full") {
  const auto net = std::make_shared<ReadingImpl>();
  Runner runner(net, {sg::Layer(net->conv)}, support::PaperNetImpl::picture(), sg::Tail::again);
  CHECK_FALSE(runner.elided(0));
  const torch::NoGradGuard no_gradients;
  CHECK(runner.tail(0, torch::full({3, 2, 2, 2}, 5.f), rows({0, 0, 0})).equal(torch::full({3, 2}, 5.f)));
}

TEST_CASE("a tail is elided, whether it was announced or not") {
  support::PaperNet net;
  for (const sg::Tail tail : {sg::Tail::once, sg::Tail::again}) {
    Runner runner(net, {sg::Layer(net->features)}, support::PaperNetImpl::picture(), tail);
    const torch::NoGradGuard no_gradients;
    CHECK(runner.tail(0, torch::ones({3, 2, 2, 2}), rows({0, 0, 0})).select(1, 0).equal(torch::full({3}, 3.f)));
    CHECK(runner.elided(0));
  }
  CHECK(support::quiet());
}

TEST_CASE("a whole model runs optimised from the second run of a size on, to the same output") {
  support::SmallNet net = support::small_net();
  const Runner plain(net), fast(sg::Model(net).optimised());
  const torch::NoGradGuard no_gradients;
  for (const int64_t batch : {2, 3}) {
    const at::Tensor x = support::small_pictures(batch);
    CHECK(fast.split_for(x) == nullptr);
    for (int call = 0; call < 2; ++call) {
      CHECK(support::near(fast.forward(x), net->forward(x)));
      CHECK(fast.split_for(x) != nullptr);
      CHECK(plain.forward(x).equal(net->forward(x)));
    }
    CHECK(fast.split_for(x)->place() == nullptr);
    CHECK(plain.split_for(x) == nullptr);
  }
}

TEST_CASE("a whole optimised model notices weights that were written since") {
  support::SmallNet net = support::small_net();
  const Runner fast(sg::Model(net).optimised());
  const torch::NoGradGuard no_gradients;
  const at::Tensor x = support::small_pictures(2);
  const at::Tensor before = fast.forward(x);
  CHECK(support::near(fast.forward(x), before));
  net->fc2->bias.add_(1);
  CHECK(support::near(fast.forward(x), before + 1));
  CHECK(support::near(fast.forward(x), before + 1));
}

TEST_CASE("a whole model that chooses by values runs as it is, and says so once") {
  const auto net = std::make_shared<ChoosingImpl>();
  const Runner fast(sg::Model(net).optimised());
  const torch::NoGradGuard no_gradients;
  const support::Warnings warnings;
  for (const double sign : {1., -1., 1.}) {
    const at::Tensor x = torch::full({1, 1, 2, 2}, sign);
    CHECK(fast.forward(x).equal(net->forward(x)));
  }
  CHECK_THAT(warnings.text(), ContainsSubstring("not optimised as a whole") && ContainsSubstring("reads values"));
  CHECK(warnings.text().find("not optimised") == warnings.text().rfind("not optimised"));
}

TEST_CASE("hooks hear runs of the whole model as it is, and neither tails nor an optimised model") {
  support::PaperNet net;
  const at::Tensor x = support::PaperNetImpl::picture();
  sg::Capture heard(net->fc, sg::CaptureOptions().keep(sg::Keep::all));
  size_t before = 0;
  const auto calls = [&] {
    const size_t now = heard.calls().size();
    return now - std::exchange(before, now);
  };
  {
    const sg::Pass pass(net, x, {sg::Layer(net->features)}, sg::Tail::again);
    CHECK(calls() == 1);
    const sg::Cut cut = pass.at(0, sg::Target(0));
    (void)cut.scores_of(x, rows({0}));
    CHECK(calls() == 1);
    (void)cut.again(x, rows({0})).gradients();
    CHECK(calls() == 1);
    (void)cut.input_gradients(x, rows({0}));
    CHECK(calls() == 1);
    (void)cut.scores_with(torch::ones({2, 2, 2, 2}), rows({0, 0}));
    CHECK(pass.elided(0));
    CHECK(calls() == 0);
    (void)sg::detail::forward_with(net, x, net->features, torch::ones({1, 2, 2, 2}));  // a tail in full
    CHECK(calls() == 0);
  }
  const sg::Model fast = sg::Model(net).optimised();
  (void)sg::explain(fast, x, net->features, sg::GradCam{});
  CHECK(calls() == 1);  // as it is, for the first time; the run that is traced is ours
  (void)sg::explain(fast, x, net->features, sg::GradCam{});
  CHECK(calls() == 0);
  const Runner whole(fast);
  (void)whole.forward(x);
  CHECK(calls() == 1);
  (void)whole.forward(x);
  CHECK(calls() == 0);
}
