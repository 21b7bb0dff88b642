#include "sightglass/train/detail/moments.hpp"

#include "support/harness/catch.hpp"

using sightglass::detail::Counted;
using sightglass::detail::statistics;
using torch::Tensor;

namespace {

void check_near(const Tensor& got, const Tensor& expected) {
  INFO("got " << got << "\nexpected " << expected);
  CHECK(torch::allclose(got, expected.to(torch::kFloat), 1e-5, 1e-6));
}

/// By the definitions, in double precision.
void check_statistics(const Tensor& values, int64_t channel_dim) {
  const Tensor wide = values.to(torch::kDouble);
  const Tensor got = statistics(values, channel_dim, Counted::at_most, 0.05F);
  const double n = static_cast<double>(values.numel());
  const Tensor near = values.le(0.05F).to(torch::kDouble);
  check_near(got[0], wide.sum() / n);
  check_near(got[1], ((wide - wide.mean()).square().sum() / (n - 1)).sqrt());
  check_near(got[2], wide.square().sum().sqrt());
  check_near(got[3], near.mean());
  const Tensor counts = values.dim() < 2 ? near.sum().view({1}) : near.transpose(0, channel_dim).flatten(1).sum(1);
  check_near(got.slice(0, 4), counts);
}

}  // namespace

TEST_CASE("statistics of four values are those by hand", "[moments]") {
  const Tensor got = statistics(torch::tensor({{-1.F, 0.05F}, {1.F, 3.F}}), 1, Counted::at_most, 0.05F);
  CHECK(got[0].item<float>() == Approx(0.7625));
  CHECK(got[1].item<float>() == Approx(1.70067).epsilon(1e-4));
  CHECK(got[2].item<float>() == Approx(3.3170).epsilon(1e-4));
  CHECK(got[3].item<float>() == 0.5F);
  CHECK(got[4].item<float>() == 1);
  CHECK(got[5].item<float>() == 1);
  const Tensor zeros = statistics(torch::tensor({0.F, -1.F, 0.F, 2.F}), 0, Counted::equal, 0);
  CHECK(zeros[3].item<float>() == 0.5F);
}

TEST_CASE("statistics agree with the definitions for all shapes and layouts", "[moments]") {
  torch::manual_seed(1);
  check_statistics(torch::randn({3, 5, 7, 9}), 1);
  check_statistics(torch::randn({2, 4, 70, 61}) * 3 + 1, 1);
  check_statistics(torch::randn({6, 50}), 1);
  check_statistics(torch::randn({2, 3, 40}), 2);
  check_statistics(torch::randn({2, 3, 5000}), 2);
  check_statistics(torch::randn({1000}), 0);
  check_statistics(torch::randn({3, 5, 7, 9}).transpose(0, 1), 1);
  check_statistics(torch::randn({3, 5, 7, 9}).to(torch::MemoryFormat::ChannelsLast), 1);
}

TEST_CASE("a small deviation around a large mean is not lost", "[moments]") {
  torch::manual_seed(2);
  const Tensor values = torch::randn({2, 3, 50, 50}) * 0.01 + 1000;
  const Tensor got = statistics(values, 1, Counted::at_most, 0.05F);
  CHECK(got[1].item<float>() == Approx(values.to(torch::kDouble).std().item<double>()).epsilon(1e-3));
}

TEST_CASE("the result does not depend on the number of threads but in its last digits", "[moments]") {
  const Tensor values = torch::randn({8, 16, 40, 40});
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const Tensor one = statistics(values, 1, Counted::at_most, 0.05F);
  at::set_num_threads(4);
  const Tensor four = statistics(values, 1, Counted::at_most, 0.05F);
  at::set_num_threads(before);
  check_near(four, one);
}

TEST_CASE("one value has no deviation, what is not finite shows, nothing is no error", "[moments]") {
  CHECK(std::isnan(statistics(torch::ones({1, 1}), 1, Counted::at_most, 0)[1].item<float>()));
  const Tensor broken = torch::tensor({1.F, std::nanf(""), 2.F});
  CHECK(std::isnan(statistics(broken, 0, Counted::at_most, 0.05F)[0].item<float>()));
  CHECK(std::isnan(statistics(torch::empty({0, 3}), 1, Counted::at_most, 0)[0].item<float>()));
}
