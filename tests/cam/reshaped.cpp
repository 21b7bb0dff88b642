#include <sightglass/cam/explain.hpp>
#include <sightglass/cam/methods/ablation_cam.hpp>
#include <sightglass/cam/methods/shapley_cam.hpp>
#include <sightglass/cam/reshaped.hpp>

#include "support/harness/catch.hpp"

namespace sg = sightglass;

namespace {

/// 2 x 3 tokens of 4 channels behind a class token, mixed by a linear layer; the score is read off the class token.
struct TokensImpl : torch::nn::Module {
  TokensImpl() {
    register_module("embed", embed);
    register_module("head", head);
    eval();
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor tokens = embed->forward(x);
    return head->forward((tokens * tokens.mean(1, true)).sum(1));
  }
  torch::nn::Linear embed{5, 4};
  torch::nn::Linear head{4, 3};
};

}  // namespace

TEST_CASE("methods that run the model again work on tokens") {
  torch::manual_seed(5);
  const auto net = std::make_shared<TokensImpl>();
  const at::Tensor x = torch::randn({2, 7, 5});
  const sg::Reshape grid = sg::Reshape::tokens(2, 3);
  const sg::Reshaped<sg::AblationCam> ablation{sg::AblationCam(), grid};
  const at::Tensor map = sg::explain(net, x, net->embed, ablation, sg::Target(1)).map();
  const torch::NoGradGuard no_gradients;
  const at::Tensor tokens = net->embed->forward(x);
  const auto score = [&](const at::Tensor& changed) {
    return net->head->forward((changed * changed.mean(1, true)).sum(1)).select(1, 1);
  };
  const at::Tensor y = score(tokens);
  at::Tensor wanted = torch::zeros({2, 2, 3});
  for (int64_t k = 0; k < 4; ++k) {
    at::Tensor changed = tokens.clone();
    changed.slice(1, 1).select(2, k).zero_();  // the class token keeps its channel
    const at::Tensor weight = (y - score(changed)) / y;
    wanted += weight.view({2, 1, 1}) * tokens.slice(1, 1).select(2, k).view({2, 2, 3});
  }
  CHECK(torch::allclose(map, wanted.relu(), 1e-4, 1e-5));
}

TEST_CASE("a reshape without a way back serves the other methods, and says what is missing") {
  const auto net = std::make_shared<TokensImpl>();
  const at::Tensor x = torch::randn({1, 7, 5});
  const sg::Reshape one_way{sg::Reshape::tokens(2, 3).to_maps};
  CHECK(sg::explain(net, x, net->embed, sg::Reshaped<>{{}, one_way}).map().sizes() == at::IntArrayRef({1, 2, 3}));
  const sg::Reshaped<sg::AblationCam> ablation{sg::AblationCam(), one_way};
  CHECK_THROWS_WITH(sg::explain(net, x, net->embed, ablation), ContainsSubstring("Reshape::to_output"));
}
