#include <sightglass/cam/methods/rise.hpp>
#include <sightglass/hooks/hook_point.hpp>

#include <cmath>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

namespace {

/// Gives the input at row 2, column 5.
struct OnePixelImpl : torch::nn::Module {
  OnePixelImpl() : here(register_module("here", sg::HookPoint())) { eval(); }
  torch::Tensor forward(const torch::Tensor& x) { return here->forward(x).select(3, 5).select(2, 2); }
  sg::HookPoint here;
};

}  // namespace

TEST_CASE("RISE with masks that hide nothing is the score everywhere") {
  PaperNet net;
  const auto explained = sg::explain(net, PaperNetImpl::picture(), net->features, sg::Rise{3, 7, 1.0}, sg::Target(0));
  CHECK(support::near(explained.map(), torch::full({1, 2, 2}, 4.f)));
}

TEST_CASE("RISE finds the pixel that the score is made of") {
  // The mean of m_q m_s over p: p where s is far from q, E[m_q^2] / p, which is more, at q.
  const auto net = std::make_shared<OnePixelImpl>();
  const auto explained = sg::explain(net, torch::ones({1, 1, 16, 16}), net->here, sg::Rise{2000, 5});
  CHECK(explained.map().sizes() == at::IntArrayRef({1, 16, 16}));
  const auto [x, y] = explained.peak(0);
  CHECK(std::abs(x - 5) <= 1);
  CHECK(std::abs(y - 2) <= 1);
  CHECK(explained.map(0)[2][5].item<double>() > .6);
  CHECK(explained.map(0)[13][13].item<double>() == Approx(.5).margin(.05));
}

TEST_CASE("RISE's masks are in [0, 1] and show each place with the probability that is given") {
  // With a score of 1 whatever the mask, the map is the mean mask over p.
  const auto net = std::make_shared<OnePixelImpl>();
  const auto one = [](const at::Tensor& output) { return output.sum(1) * 0 + 1; };
  for (const double probability : {.2, .7}) {
    const sg::Rise method{2000, 4, probability};
    const at::Tensor map = sg::explain(net, torch::ones({1, 1, 12, 9}), net->here, method, sg::Target(one)).map();
    CHECK((map - 1).abs().max().item<double>() < .15);
  }
  const auto line = std::make_shared<OnePixelImpl>();
  CHECK_THROWS_WITH(sg::explain(line, torch::ones({1, 1, 12, 9}), line->here, sg::Rise{0}),
                    ContainsSubstring("samples, cells: got 0"));
  CHECK_THROWS_WITH(sg::explain(line, torch::ones({1, 1, 12, 9}), line->here, sg::Rise{1, 0}),
                    ContainsSubstring("cells: got 1 and 0"));
  CHECK_THROWS_WITH(sg::explain(line, torch::ones({1, 1, 12, 9}), line->here, sg::Rise{1, 7, 0.0}),
                    ContainsSubstring("probability: got 0"));
}

TEST_CASE("RISE: a batch is its images, max_batch, progress, seed") {
  support::check_batch_is_its_images(sg::Rise{20});
  support::check_runs(sg::Rise{20});
  support::check_seed(sg::Rise{20});
}

TEST_CASE("RISE keeps to its precision, in inference mode too") { support::check_precision_and_modes(sg::Rise{20}); }
