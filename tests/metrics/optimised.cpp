#include <sightglass/cam/methods/grad_cam.hpp>
#include <sightglass/metrics/adcc.hpp>
#include <sightglass/metrics/cascading_randomisation.hpp>
#include <sightglass/metrics/drop_increase.hpp>
#include <sightglass/metrics/insertion_deletion.hpp>
#include <sightglass/metrics/road.hpp>

#include <memory>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/scripts.hpp"
#include "support/nets/small.hpp"
#include "support/harness/warnings.hpp"

namespace sg = sightglass;

// Metrics of a model that is optimised: the same figures, and hardly ever by its own forward.

namespace {

/// Counts how often its own `forward` runs.
struct CountingImpl : support::SmallNetImpl {
  torch::Tensor forward(const torch::Tensor& x) {
    ++runs;
    return support::SmallNetImpl::forward(x);
  }
  int runs = 0;
};

using Figures = std::vector<at::Tensor>;

/// `figures` by `net` as it is and optimised, twice. The first time at most `first` runs, for each size of a batch one
/// to compare with and one to trace; then none.
template <class Metric>
void check(const Metric& figures, int first) {
  const support::Warnings warnings;
  torch::manual_seed(3);
  const auto net = std::make_shared<CountingImpl>();
  const at::Tensor x = support::small_pictures(2);
  const sg::Explanation explanation = sg::explain(net, x, net->features, sg::GradCam{}, sg::Target(1));
  const sg::Model plain(net), fast = plain.optimised();
  net->runs = 0;
  const Figures wanted = figures(plain, x, explanation);
  CHECK(net->runs > 0);
  for (int call = 0; call < 3; ++call) {
    net->runs = 0;
    const Figures got = figures(fast, x, explanation);
    REQUIRE(got.size() == wanted.size());
    for (size_t i = 0; i < got.size(); ++i) CHECK(support::near(got[i], wanted[i]));
    CHECK(net->runs == (call == 0 ? first : 0));
  }
  CHECK(warnings.text().empty());

  const torch::jit::Module script = scripts::net();
  const at::Tensor pictures = torch::randn({2, 3, 7, 6});
  const sg::Explanation of_script = sg::explain(script, pictures, "blocks.0", sg::GradCam{}, sg::Target(1));
  const Figures wanted_of_script = figures(script, pictures, of_script);
  const sg::Model fast_script = sg::Model(script).optimised();
  for (int call = 0; call < 2; ++call) {
    const Figures got = figures(fast_script, pictures, of_script);
    for (size_t i = 0; i < got.size(); ++i) CHECK(support::near(got[i], wanted_of_script[i]));
  }
  CHECK(sg::detail::Runner(fast_script).split_for(pictures) != nullptr);
}

}  // namespace

TEST_CASE("drop and increase of an optimised model are those of the plain one") {
  check(
      [](const sg::Model& model, const at::Tensor& x, const sg::Explanation& explanation) -> Figures {
        const auto found = sg::drop_increase(model, x, explanation, sg::Target(1));
        return {found.drop, found.increase, found.reference_drop, found.reference_increase};
      },
      2);
}

TEST_CASE("insertion and deletion of an optimised model are those of the plain one") {
  check(
      [](const sg::Model& model, const at::Tensor& x, const sg::Explanation& explanation) -> Figures {
        const auto found = sg::insertion_deletion(model, x, explanation, sg::Target(1));
        return {found.insertion, found.deletion, found.reference_insertion, found.reference_deletion};
      },
      4);  // the batch, and the 29 variants of an image
}

TEST_CASE("ROAD of an optimised model is that of the plain one") {
  check(
      [](const sg::Model& model, const at::Tensor& x, const sg::Explanation& explanation) -> Figures {
        const auto found = sg::road(model, x, explanation, sg::Target(1));
        return {found.most_relevant_first, found.least_relevant_first, found.reference};
      },
      4);
}

TEST_CASE("ADCC and cascading randomisation of an optimised model are those of the plain one") {
  torch::manual_seed(3);
  const auto net = std::make_shared<CountingImpl>();
  const at::Tensor x = support::small_pictures(2);
  const sg::Model plain(net), fast = plain.optimised();
  const sg::Adcc wanted = sg::adcc(plain, x, net->features, sg::GradCam{});
  const auto random = sg::cascading_randomisation(plain, x, net->features, sg::GradCam{});
  for (int call = 0; call < 2; ++call) {
    net->runs = 0;
    const sg::Adcc got = sg::adcc(fast, x, net->features, sg::GradCam{});
    CHECK(net->runs == (call == 0 ? 2 : 0));
    CHECK(support::near(got.own.adcc(), wanted.own.adcc()));
    CHECK(support::near(got.reference.adcc(), wanted.reference.adcc()));
  }
  for (int call = 0; call < 2; ++call) {
    net->runs = 0;
    const auto got = sg::cascading_randomisation(fast, x, net->features, sg::GradCam{});
    CHECK(net->runs == 3);  // the original by the form made above; one for each module, as its weights are then
    CHECK(torch::allclose(got.rank_correlation, random.rank_correlation, 1e-3, 1e-3));
  }
}
