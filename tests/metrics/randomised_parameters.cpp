#include <sightglass/metrics/randomised_parameters.hpp>

#include <stdexcept>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/harness/snapshot.hpp"

namespace sg = sightglass;

TEST_CASE("parameters are random while the guard lives, and bit for bit the old ones afterwards") {
  support::SmallNet net = support::small_net();
  const support::Snapshot before(*net);
  {
    sg::RandomisedParameters random(net);
    REQUIRE(random.size() == 3);
    CHECK(random.name(0) == "features.0");
    CHECK(random.name(2) == "fc2");
    random.randomise(2, 7);
    CHECK(before.difference(support::Snapshot(*net)) == "values of parameter fc2.weight");
  }
  CHECK(before.difference(support::Snapshot(*net)).empty());
}

TEST_CASE("an exception brings the parameters back as well") {
  support::SmallNet net = support::small_net();
  const support::Snapshot before(*net);
  const auto fail = [&] {
    sg::RandomisedParameters random(net);
    random.randomise(0, 1);
    throw std::runtime_error("stop");
  };
  CHECK_THROWS_WITH(fail(), "stop");
  CHECK(before.difference(support::Snapshot(*net)).empty());
}

TEST_CASE("random values have the mean and the deviation of the parameter, and are new for each seed") {
  torch::nn::Linear net(200, 300);
  {
    const torch::NoGradGuard no_gradients;
    net->weight.normal_(3, 2);
  }
  net->eval();
  const at::Tensor before = net->weight.detach().clone();
  sg::RandomisedParameters random(net);
  random.randomise(0, 1);
  const at::Tensor first = net->weight.detach().clone();
  CHECK(first.mean().item<double>() == Approx(3).margin(.05));
  CHECK(first.std().item<double>() == Approx(2).margin(.05));
  CHECK((first - before).abs().mean().item<double>() > 1);
  random.randomise(0, 1);
  CHECK(net->weight.equal(first));
  random.randomise(0, 2);
  CHECK_FALSE(net->weight.equal(first));
}

TEST_CASE("parameters of one shape get different numbers, in one module and in two") {
  torch::nn::Sequential net(torch::nn::Linear(3, 3), torch::nn::Linear(3, 3));
  net->eval();
  sg::RandomisedParameters random(net);
  const auto standard = [](const at::Tensor& values) { return (values - values.mean()) / values.std(); };
  random.randomise(0, 0);
  random.randomise(1, 0);
  const auto all = net->parameters();
  CHECK((standard(all[0]) - standard(all[2])).abs().max().item<double>() > .1);
  CHECK((standard(all[1]) - standard(all[3])).abs().max().item<double>() > .1);
  CHECK((standard(all[0])[0] - standard(all[1])).abs().max().item<double>() > .1);
}

TEST_CASE("a graph that autograd made before can still be used afterwards") {
  support::SmallNet net = support::small_net();
  const at::Tensor x = support::small_pictures(1);
  net->forward(x).sum().backward();
  const at::Tensor wanted = net->fc1->weight.grad().clone();
  net->zero_grad();
  const at::Tensor sum = net->forward(x).sum();
  {
    sg::RandomisedParameters random(net);
    for (size_t i = 0; i < random.size(); ++i) random.randomise(i, i);
  }
  sum.backward();
  CHECK(net->fc1->weight.grad().equal(wanted));
}

TEST_CASE("parameters of the model itself are a module without a name; a model without any is an error") {
  struct ScaledImpl : torch::nn::Module {
    ScaledImpl() : scale(register_parameter("scale", torch::ones({3}))) {}
    torch::Tensor forward(const torch::Tensor& x) { return x * scale; }
    torch::Tensor scale;
  };
  const sg::RandomisedParameters random(std::make_shared<ScaledImpl>());
  CHECK(random.name(0).empty());
  CHECK_THROWS_WITH(sg::RandomisedParameters(torch::nn::ReLU()), ContainsSubstring("model: it has no parameters"));
}
