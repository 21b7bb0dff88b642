#include <sightglass/cam/explain.hpp>
#include <sightglass/metrics/insertion_deletion.hpp>

#include <vector>

#include "support/harness/catch.hpp"
#include "support/data/maps.hpp"

namespace sg = sightglass;
using support::maps_of;
using support::SumOfPixelsImpl;

TEST_CASE("areas under the score while pixels come and go, by hand") {
  const auto net = std::make_shared<SumOfPixelsImpl>(1);
  const at::Tensor x = torch::tensor({4.f, 3.f, 2.f, 1.f}).view({1, 1, 2, 2});
  sg::InsertionDeletionOptions options;
  options.steps = 4;
  // In the order of the pixels: 0 4 7 9 10 come in, area (0/2 + 4 + 7 + 9 + 10/2) / 4; 10 6 3 1 0 are left.
  const auto best = sg::insertion_deletion(net, x, maps_of(x.squeeze(1)), sg::Target(0), options);
  CHECK(best.insertion.item<float>() == Approx(25.0 / 4));
  CHECK(best.deletion.item<float>() == Approx(15.0 / 4));
  // The other way round: 0 1 3 6 10 come in.
  const auto worst = sg::insertion_deletion(net, x, maps_of(-x.squeeze(1)), sg::Target(0), options);
  CHECK(worst.insertion.item<float>() == Approx(15.0 / 4));
  CHECK(worst.deletion.item<float>() == Approx(25.0 / 4));
}

TEST_CASE("the reference takes pixels in random order, and lies between the best and the worst") {
  const auto net = std::make_shared<SumOfPixelsImpl>(1);
  torch::manual_seed(1);
  const at::Tensor x = torch::rand({2, 1, 6, 6});
  const auto found = sg::insertion_deletion(net, x, maps_of(x.squeeze(1)), sg::Target(0));
  CHECK(found.insertion.gt(found.reference_insertion).all().item<bool>());
  CHECK(found.deletion.lt(found.reference_deletion).all().item<bool>());
}

TEST_CASE("a batch gives what its images give alone, whatever the size of a run") {
  const auto net = std::make_shared<SumOfPixelsImpl>(1);
  torch::manual_seed(2);
  const at::Tensor x = torch::rand({3, 1, 5, 4});
  const at::Tensor maps = torch::rand({3, 5, 4});
  sg::InsertionDeletionOptions options;
  options.runs.max_batch = 3;
  const auto together = sg::insertion_deletion(net, x, maps_of(maps), sg::Target(0), options);
  for (int64_t i = 0; i < 3; ++i) {
    const auto alone =
        sg::insertion_deletion(net, x.slice(0, i, i + 1), maps_of(maps.slice(0, i, i + 1)), sg::Target(0));
    CHECK(torch::allclose(alone.insertion, together.insertion.slice(0, i, i + 1)));
    CHECK(torch::allclose(alone.reference_deletion, together.reference_deletion.slice(0, i, i + 1)));
  }
}

TEST_CASE("progress is told to the end, and may stop the runs") {
  const auto net = std::make_shared<SumOfPixelsImpl>(1);
  const at::Tensor x = torch::rand({2, 1, 4, 4});
  sg::InsertionDeletionOptions options;
  int64_t last = 0, whole = -1;
  options.runs.progress = [&](int64_t done, int64_t all) {
    last = done;
    whole = all;
    return true;
  };
  sg::insertion_deletion(net, x, maps_of(x.squeeze(1)), sg::Target(0), options);
  CHECK(last == whole);
  options.runs.progress = [](int64_t, int64_t) { return false; };
  CHECK_THROWS_AS(sg::insertion_deletion(net, x, maps_of(x.squeeze(1)), sg::Target(0), options), sg::Cancelled);
}

TEST_CASE("wrong steps and another batch are errors") {
  const auto net = std::make_shared<SumOfPixelsImpl>(1);
  const at::Tensor x = torch::rand({2, 1, 4, 4});
  sg::InsertionDeletionOptions options;
  options.steps = 0;
  CHECK_THROWS_WITH(sg::insertion_deletion(net, x, maps_of(x.squeeze(1)), sg::Target(0), options),
                    ContainsSubstring("steps: got 0"));
  CHECK_THROWS_WITH(sg::insertion_deletion(net, x, maps_of(torch::rand({1, 4, 4}))),
                    ContainsSubstring("explanation: got one of 1 images"));
}

TEST_CASE("a reference that is left out is not run, and the rest is the same") {
  const auto net = std::make_shared<SumOfPixelsImpl>(1);
  const at::Tensor x = torch::rand({2, 1, 4, 4});
  sg::InsertionDeletionOptions options;
  const auto both = sg::insertion_deletion(net, x, maps_of(x.squeeze(1)), sg::Target(0), options);
  int64_t whole = 0;
  options.runs.progress = [&](int64_t, int64_t all) {
    whole = all;
    return true;
  };
  options.reference = sg::Reference::left_out;
  const auto found = sg::insertion_deletion(net, x, maps_of(x.squeeze(1)), sg::Target(0), options);
  CHECK(whole == 2 * 2 * 29);
  CHECK(found.insertion.equal(both.insertion));
  CHECK(found.deletion.equal(both.deletion));
  CHECK_FALSE(found.reference_insertion.defined());
}
