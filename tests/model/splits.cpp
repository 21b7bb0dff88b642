#include <sightglass/cam/explain.hpp>
#include <sightglass/cam/methods/ablation_cam.hpp>
#include <sightglass/cam/methods/eigen_cam.hpp>
#include <sightglass/cam/methods/grad_cam.hpp>
#include <sightglass/cam/methods/layer_cam.hpp>
#include <sightglass/cam/methods/score_cam.hpp>
#include <sightglass/model/detail/runner.hpp>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/nets/random_net.hpp"
#include "support/nets/scripts.hpp"
#include "support/nets/small.hpp"
#include "support/harness/snapshot.hpp"
#include "support/harness/warnings.hpp"

namespace sg = sightglass;

namespace {

bool is_split(const sg::Model& model, const sg::Layer& layer, const at::Tensor& x) {
  return sg::detail::Runner(model, {model.layer(layer)}).split_for(x) != nullptr;
}

template <class Method>
void check_equal_maps(const sg::Model& plain, const std::string& layer, const at::Tensor& x, const Method& method) {
  const sg::Model fast = plain.optimised();
  const sg::Explanation wanted = sg::explain(plain, x, layer, method, sg::Target(1));
  for (int call = 0; call < 3; ++call) {
    const sg::Explanation got = sg::explain(fast, x, layer, method, sg::Target(1));
    CHECK(support::near(got.map(), wanted.map()));
    CHECK(support::near(got.scores(), wanted.scores()));
  }
  CHECK(is_split(fast, fast.layer(layer), x));
}

template <class Method>
void check_method(const Method& method) {
  support::SmallNet net = support::small_net();
  check_equal_maps(sg::Model(net), "features", support::small_pictures(2), method);
  torch::manual_seed(0);
  check_equal_maps(sg::Model(scripts::net()), "blocks.0", torch::randn({2, 3, 7, 6}), method);
}

}  // namespace

TEST_CASE("results agree as far as their precision goes") {
  const at::Tensor y = torch::linspace(-1, 1, 100);
  const auto agree = [&](double apart, at::ScalarType type) {
    return sg::detail::equal_but_rounding((y.to(torch::kDouble) * (1 + apart)).to(type), y.to(type));
  };
  CHECK(agree(5e-4, torch::kFloat));
  CHECK_FALSE(agree(2e-3, torch::kFloat));
  CHECK_FALSE(agree(2e-3, torch::kDouble));
  CHECK(agree(5e-3, torch::kHalf));
  CHECK_FALSE(agree(2e-2, torch::kHalf));
  CHECK(agree(2e-2, torch::kBFloat16));
  CHECK_FALSE(agree(1e-1, torch::kBFloat16));
  CHECK_FALSE(sg::detail::equal_but_rounding(y, y.slice(0, 1)));
  CHECK_FALSE(sg::detail::equal_but_rounding(y, y.to(torch::kDouble)));
}

TEST_CASE("an optimised model gives the maps of the plain one, by every kind of method") {
  check_method(sg::GradCam{});
  check_method(sg::LayerCam{});
  check_method(sg::EigenCam{});
  check_method(sg::AblationCam{});
  check_method(sg::ScoreCam{});
}

TEST_CASE("optimised random networks give the maps of plain ones at every layer, or run as they are") {
  int split = 0, all = 0;
  const support::Warnings warnings;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    torch::manual_seed(seed);
    support::RandomNet net(seed, 3 + seed % 9);
    const at::Tensor x = torch::randn({1 + static_cast<int64_t>(seed % 3), 3, 8, 6});
    const sg::Model fast = sg::Model(net).optimised();
    for (const auto& item : net->named_children()) {
      if (item.key() == "fc") continue;
      INFO("seed " << seed << ", layer " << item.key());
      at::Tensor wanted;
      try {
        wanted = sg::explain(net, x, item.key(), sg::GradCam{}, sg::Target(1)).map();
      } catch (const c10::Error&) {
        continue;  // it writes in place what its own gradient needs
      }
      const double largest = std::max(1e-6, wanted.abs().max().item<double>());
      for (int call = 0; call < 2; ++call) {
        const at::Tensor got = sg::explain(fast, x, item.key(), sg::GradCam{}, sg::Target(1)).map();
        CHECK((got - wanted).abs().max().item<double>() < 1e-4 * largest);
      }
      ++all;
      split += is_split(fast, fast.layer(item.key()), x) ? 1 : 0;
    }
  }
  CHECK(all > 60);
  CHECK(split > all / 2);
}

TEST_CASE("several layers of an optimised model are told in one pass") {
  torch::manual_seed(0);
  const auto check = [](const sg::Model& plain, const std::vector<std::string>& names) {
    const sg::Model fast = plain.optimised();
    const at::Tensor x = torch::randn({2, 3, 32, 32});
    std::vector<sg::Layer> layers;
    for (const std::string& name : names) layers.push_back(plain.layer(name));
    const auto wanted = sg::explain(plain, x, layers, sg::GradCam{}, sg::Target(1));
    for (int call = 0; call < 2; ++call) {
      const auto got = sg::explain(fast, x, layers, sg::GradCam{}, sg::Target(1));
      for (size_t i = 0; i < layers.size(); ++i) CHECK(support::near(got[i].map(), wanted[i].map()));
    }
    CHECK(sg::detail::Runner(fast, layers).split_for(x) != nullptr);
  };
  const auto net = std::make_shared<nets::ResNetImpl>();
  net->eval();
  check(sg::Model(net), {"layer2", "layer1"});
  check(sg::Model(scripts::net()), {"blocks.1", "bn1"});
}

TEST_CASE("weights that were written or loaded since are noticed") {
  support::SmallNet net = support::small_net();
  const sg::Model fast = sg::Model(net).optimised();
  const at::Tensor x = support::small_pictures(1);
  const auto map = [&](const sg::Model& model) {
    return sg::explain(model, x, net->features, sg::GradCam{}, sg::Target(1)).map();
  };
  const at::Tensor before = map(fast);
  CHECK(map(fast).equal(map(fast)));
  {
    const torch::NoGradGuard no_gradients;
    net->parameters().front().mul_(-1);
  }
  CHECK_FALSE(support::near(map(fast), before));
  CHECK(support::near(map(fast), map(sg::Model(net))));
  net->to(at::kDouble);
  CHECK(sg::explain(fast, x.to(at::kDouble), net->features, sg::GradCam{}, sg::Target(1)).map().scalar_type() ==
        at::kDouble);
}

TEST_CASE("a model that chooses by values runs as it is, and says so once") {
  struct ChoosingImpl : torch::nn::Module {
    ChoosingImpl() {
      register_module("conv", conv);
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) {
      const torch::Tensor y = conv->forward(x);
      return (y.mean().item<float>() > 0 ? y * 2 : y.tanh()).mean(at::IntArrayRef{2, 3});
    }
    torch::nn::Conv2d conv{torch::nn::Conv2dOptions(3, 4, 3)};
  };
  const auto net = std::make_shared<ChoosingImpl>();
  const sg::Model fast = sg::Model(net).optimised();
  const support::Warnings warnings;
  for (int call = 0; call < 2; ++call) {
    const at::Tensor x = torch::randn({1, 3, 8, 8});
    CHECK(support::near(sg::explain(fast, x, net->conv, sg::GradCam{}, sg::Target(1)).map(),
                        sg::explain(net, x, net->conv, sg::GradCam{}, sg::Target(1)).map()));
  }
  CHECK_THAT(warnings.text(), ContainsSubstring("reads values"));
  CHECK(warnings.text().find("not optimised") == warnings.text().rfind("not optimised"));
}

TEST_CASE("optimising changes nothing of the model, and a model in training is refused as ever") {
  support::SmallNet net = support::small_net();
  const at::Tensor x = support::small_pictures(1);
  const support::Snapshot before(*net);
  const sg::Model fast = sg::Model(net).optimised();
  for (int call = 0; call < 2; ++call) (void)sg::explain(fast, x, net->features, sg::GradCam{}, sg::Target(1));
  CHECK(before.difference(support::Snapshot(*net)) == "");
  net->train();
  CHECK_THROWS_WITH(sg::explain(fast, x, net->features, sg::GradCam{}), ContainsSubstring("training mode"));

  torch::jit::Module script = scripts::net();
  const sg::Model fast_script = sg::Model(script).optimised();
  const at::Tensor pictures = torch::randn({1, 3, 7, 6});
  for (int call = 0; call < 2; ++call) (void)sg::explain(fast_script, pictures, "blocks.0", sg::GradCam{});
  script.train();
  CHECK_THROWS_WITH(sg::explain(fast_script, pictures, "blocks.0", sg::GradCam{}), ContainsSubstring("training mode"));
}

TEST_CASE("a split that gives something else than the plain run is not kept") {
  torch::manual_seed(0);
  const torch::jit::Module net = scripts::net();
  const sg::Model model(net);
  const at::Tensor x = torch::randn({1, 3, 7, 6});
  const auto script = sg::detail::ScriptModel::of(net);
  const auto make = [&] {
    return std::make_shared<const sg::detail::Split>(*script->marked_graph(), script->object(), std::set<const void*>{},
                                                     4);
  };
  for (const bool same : {true, false}) {
    sg::detail::Splits splits;
    const auto key = sg::detail::Splits::key({}, x, sg::detail::SplitFor::any_size);
    CHECK(splits.misses(key));
    const support::Warnings warnings;
    splits.learn(key, make, [&](const sg::detail::Split& split) {
      CHECK(support::near(split.whole(x), model.forward(x)));
      return same;
    });
    CHECK((splits.find(key) != nullptr) == same);
    CHECK_FALSE(splits.misses(key));
    CHECK((warnings.text().find("others than those of a plain run") == std::string::npos) == same);
  }
}

TEST_CASE("the splits used least recently are let go of") {
  support::SmallNet net = support::small_net();
  const sg::Model fast = sg::Model(net).optimised();
  const sg::detail::Runner runner(fast, {fast.layer(net->features)});
  for (int64_t batch = 1; batch <= 9; ++batch) {
    (void)sg::explain(fast, support::small_pictures(batch), net->features, sg::GradCam{}, sg::Target(1));
    CHECK(runner.split_for(support::small_pictures(1)) != nullptr);  // used, each time
  }
  CHECK(runner.split_for(support::small_pictures(2)) == nullptr);
  CHECK(runner.split_for(support::small_pictures(9)) != nullptr);
}
