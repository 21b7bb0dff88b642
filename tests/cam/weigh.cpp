#include <sightglass/cam/detail/weigh.hpp>

#include <torch/torch.h>

#include "support/harness/catch.hpp"

namespace sg = sightglass;

TEST_CASE("weigh sums channels by weight, for each image") {
  const at::Tensor a = torch::tensor({1.f, 2.f, 3.f, 4.f, /**/ 5.f, 6.f, 7.f, 8.f}).view({2, 2, 2});
  const at::Tensor weights = torch::tensor({{1.f, 10.f}, {-1.f, 0.f}});
  const at::Tensor wanted = torch::tensor({{31.f, 42.f}, {-5.f, -6.f}});
  CHECK(sg::detail::weigh(weights, a).equal(wanted));
  CHECK(sg::detail::weigh(weights, a.view({2, 2, 1, 2, 1})).equal(wanted.view({2, 1, 2, 1})));
  const at::Tensor turned = a.view({2, 2, 1, 2}).transpose(2, 3);  // not contiguous
  CHECK(sg::detail::weigh(weights, turned).equal(wanted.view({2, 2, 1})));
}

TEST_CASE("over_places makes numbers of channels multiply with activations") {
  const at::Tensor a = torch::ones({2, 3, 4, 5});
  const at::Tensor numbers = torch::arange(6.f).view({2, 3});
  const at::Tensor product = sg::detail::over_places(numbers, a) * a;
  CHECK(product.sizes() == a.sizes());
  CHECK(product.select(3, 4).select(2, 3).equal(numbers));
}

TEST_CASE("map_shape leaves out the channels") {
  CHECK(sg::detail::map_shape(torch::zeros({2, 3, 4})) == std::vector<int64_t>{2, 4});
  CHECK(sg::detail::map_shape(torch::zeros({2, 3, 4, 5, 6})) == std::vector<int64_t>{2, 4, 5, 6});
}

TEST_CASE("activations and gradients are checked by name") {
  CHECK_THROWS_WITH(sg::detail::check_activations(torch::zeros({2, 3})),
                    ContainsSubstring("activations: got [2, 3], expected [N, C, *S]"));
  CHECK_THROWS_WITH(sg::detail::check_pair(torch::zeros({2, 3, 4}), torch::zeros({2, 3, 5})),
                    ContainsSubstring("gradients: got [2, 3, 5], expected the activations' [2, 3, 4]"));
}

TEST_CASE("numbers of images are laid over all that is theirs") {
  const at::Tensor each = sg::detail::over_each(torch::tensor({2.f, 3.f}), 3);
  CHECK(each.sizes() == at::IntArrayRef({2, 1, 1}));
  CHECK((each * torch::ones({2, 4, 5}))[1].equal(torch::full({4, 5}, 3.f)));
}
