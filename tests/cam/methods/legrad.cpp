#include <sightglass/cam/explain.hpp>
#include <sightglass/cam/methods/legrad.hpp>
#include <sightglass/cam/reshaped.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/data/refs.hpp"
#include "support/harness/snapshot.hpp"
#include "support/nets/transformer.hpp"

namespace sg = sightglass;
using support::SmallBlockImpl;
using support::SmallTransformer;

namespace {

/// Attention of one block by tensor code, its map kept: `[N, T, 8]` tokens.
at::Tensor attend(torch::nn::MultiheadAttention& block, const at::Tensor& t, std::vector<at::Tensor>& maps) {
  const auto weights = block->in_proj_weight.chunk(3), biases = block->in_proj_bias.chunk(3);
  const auto heads = [&](const at::Tensor& given, size_t i) {
    return torch::linear(given, weights[i], biases[i]).unflatten(2, at::IntArrayRef{2, 4}).transpose(1, 2);
  };
  const at::Tensor q = heads(t, 0), k = heads(t * 2, 1), v = heads(t, 2);  // [N, 2, T, 4]
  maps.push_back((q.matmul(k.transpose(2, 3)) / 2).softmax(3));
  const at::Tensor mixed = maps.back().matmul(v).transpose(1, 2).flatten(2);
  return torch::linear(mixed, block->out_proj->weight, block->out_proj->bias);
}

/// LeGrad's formula, patch by patch, in loops; the patches are the last `patches` tokens.
at::Tensor in_loops(const std::vector<at::Tensor>& gradients, int64_t patches) {
  const int64_t images = gradients.front().size(0), heads = gradients.front().size(1),
                tokens = gradients.front().size(2);
  at::Tensor map = torch::zeros({images, patches}, at::kDouble);
  const double count = static_cast<double>(gradients.size()) * static_cast<double>(heads * tokens);
  for (const at::Tensor& gradient : gradients) {
    for (int64_t n = 0; n < images; ++n) {
      for (int64_t s = 0; s < patches; ++s) {
        double sum = 0;
        for (int64_t h = 0; h < heads; ++h) {
          for (int64_t q = 0; q < tokens; ++q) {
            sum += std::max(0., gradient[n][h][q][tokens - patches + s].item<double>());
          }
        }
        map[n][s] += sum / count;
      }
    }
  }
  return map.to(at::kFloat);
}

/// What LeGrad is asked: the model's score for all blocks, or each block's own.
enum class Scores { models, blocks };

/// The gradients at the maps, each by the score that it is asked for; `score` reads tokens.
std::vector<at::Tensor> gradients_of(const std::vector<at::Tensor>& maps, const std::vector<at::Tensor>& tokens,
                                     Scores scores, const std::function<at::Tensor(const at::Tensor&)>& score) {
  std::vector<at::Tensor> gradients;
  for (size_t l = 0; l < maps.size(); ++l) {
    const at::Tensor one = score(scores == Scores::models ? tokens.back() : tokens[l]);
    gradients.push_back(torch::autograd::grad({one}, {maps[l]}, {}, true).front());
  }
  return gradients;
}

at::Tensor small_wanted(SmallTransformer& net, const at::Tensor& x, int64_t index, Scores scores = Scores::models) {
  std::vector<at::Tensor> maps, tokens;
  at::Tensor t = net->tokens(x);
  for (size_t l = 0; l < 3; ++l) {
    t = t + attend(net->blocks->at<SmallBlockImpl>(l).attention, t, maps);
    tokens.push_back(t);
  }
  const auto score = [&](const at::Tensor& given) { return net->head(given).select(1, index).sum(); };
  return in_loops(gradients_of(maps, tokens, scores, score), 6).view({x.size(0), 2, 3});
}

/// The references' vision transformer in tensor code, from its stored parameters.
at::Tensor vit_wanted(const support::References& refs, const torch::jit::Module& script, Scores kind) {
  const auto value = [&](const std::string& name) {
    for (const auto& item : script.named_parameters()) {
      if (item.name == name) return item.value.detach();
    }
    return at::Tensor();
  };
  const auto linear = [&](const at::Tensor& t, const std::string& name) {
    return torch::linear(t, value(name + ".weight"), value(name + ".bias"));
  };
  const auto norm = [&](const at::Tensor& t, const std::string& name) {
    return torch::layer_norm(t, {32}, value(name + ".weight"), value(name + ".bias"));
  };
  std::vector<at::Tensor> maps, tokens;
  at::Tensor t = torch::conv2d(refs.input(), value("patch.weight"), value("patch.bias"), 8);
  t = torch::cat({value("cls").expand({t.size(0), 1, 32}), t.flatten(2).transpose(1, 2)}, 1) + value("pos");
  for (const std::string block : {"blocks.0.", "blocks.1.", "blocks.2."}) {
    const auto parts = linear(norm(t, block + "norm1"), block + "qkv").chunk(3, 2);
    const auto heads = [&](size_t i) { return parts[i].unflatten(2, at::IntArrayRef{4, 8}).transpose(1, 2); };
    maps.push_back((heads(0).matmul(heads(1).transpose(2, 3)) / std::sqrt(8.)).softmax(3).requires_grad_());
    t = t + linear(maps.back().matmul(heads(2)).transpose(1, 2).flatten(2), block + "proj");
    t = t + linear(torch::gelu(linear(norm(t, block + "norm2"), block + "fc1")), block + "fc2");
    tokens.push_back(t);
  }
  const auto read = [&](const at::Tensor& given) { return linear(norm(given, "norm").select(1, 0), "head"); };
  REQUIRE(torch::allclose(read(t), refs.logits(), 1e-3, 1e-3));
  const auto score = [&](const at::Tensor& given) { return read(given).gather(1, refs.top1().unsqueeze(1)).sum(); };
  return in_loops(gradients_of(maps, tokens, kind, score), 96).view({-1, 8, 12});
}

}  // namespace

TEST_CASE("LeGrad is the rectified gradient at the attention maps, in loops, by LibTorch's own attention") {
  torch::manual_seed(2);
  SmallTransformer net;
  const at::Tensor x = torch::randn({2, 2, 4, 6});
  const support::Snapshot before(*net);
  const at::Tensor map = sg::explain(net, x, net->patch, sg::LeGrad{}, sg::Target(1)).map();
  CHECK(before.difference(support::Snapshot(*net)).empty());
  CHECK(map.max().item<double>() > 0);
  CHECK(torch::allclose(map, small_wanted(net, x, 1), 1e-3, 1e-6));
  CHECK_FALSE(torch::allclose(map, small_wanted(net, x, 0), 1e-3, 1e-6));
  CHECK(sg::detail::thread_state().listener == nullptr);
  // A batch is its images.
  for (int64_t i = 0; i < 2; ++i) {
    const auto one = sg::explain(net, x.slice(0, i, i + 1), net->patch, sg::LeGrad{}, sg::Target(1));
    CHECK(torch::allclose(one.map(0), map[i], 1e-3, 1e-6));
  }
}

TEST_CASE("LeGrad of a vision transformer's file is that of its formula in tensor code") {
  if (!support::References::are_there()) SKIPPED("no references in " + support::shared_dir() + "/refs");
  const support::References refs("tinyvit");
  const torch::jit::Module script = refs.script();
  const sg::Target target(refs.top1());
  const at::Tensor map = sg::explain(script, refs.input(), "patch", sg::LeGrad{}, target).map();
  const double error = support::relative_error(map, vit_wanted(refs, script, Scores::models));
  CHECK(error < 1e-4);
  const sg::Reshaped<sg::LeGrad> tokens{{}, sg::Reshape::tokens(8, 12)};
  CHECK(sg::explain(script, refs.input(), "blocks.1", tokens, target).map().equal(map));

  const sg::LeGrad by_blocks{
      {sg::layer(script, "blocks.0"), sg::layer(script, "blocks.1"), sg::layer(script, "blocks.2")}};
  const at::Tensor papers = sg::explain(script, refs.input(), "patch", by_blocks).map();
  const double papers_error = support::relative_error(papers, vit_wanted(refs, script, Scores::blocks));
  CHECK(papers_error < 1e-4);
  CHECK(support::relative_error(papers, map) > .1);
  std::cout << "measured: LeGrad, tinyvit: worst relative error " << error << ", by blocks " << papers_error
            << std::endl;
}

TEST_CASE("LeGrad by blocks scores what each block gives, as the paper does, and changes nothing") {
  torch::manual_seed(2);
  SmallTransformer net;
  const at::Tensor x = torch::randn({2, 2, 4, 6});
  const support::Snapshot before(*net);
  const sg::LeGrad by_blocks{{net->blocks[0], net->blocks[1], net->blocks[2]}};
  const at::Tensor map = sg::explain(net, x, net->patch, by_blocks, sg::Target(1)).map();
  CHECK(before.difference(support::Snapshot(*net)).empty());
  CHECK(torch::allclose(map, small_wanted(net, x, 1, Scores::blocks), 1e-3, 1e-6));
  CHECK_FALSE(torch::allclose(map, small_wanted(net, x, 1), 1e-3, 1e-6));
  CHECK(sg::detail::thread_state().listener == nullptr);
  {
    const c10::InferenceMode inference;
    CHECK(torch::allclose(sg::explain(net, x, net->patch, by_blocks, sg::Target(1)).map(), map));
  }
}

TEST_CASE("the blocks of a transformer are found, and nothing that is none is taken for them") {
  const auto names = [](const std::vector<sg::Layer>& layers) {
    std::vector<std::string> all;
    for (const sg::Layer& layer : layers) all.push_back(layer.name());
    return all;
  };
  const std::vector<std::string> three{"blocks.0", "blocks.1", "blocks.2"};
  torch::manual_seed(2);
  SmallTransformer net;
  const at::Tensor x = torch::randn({2, 2, 4, 6});
  const support::Snapshot before(*net);
  CHECK(names(sg::attention_blocks(net, x)) == three);
  CHECK(before.difference(support::Snapshot(*net)).empty());
  CHECK(sg::detail::thread_state().listener == nullptr);
  torch::nn::Sequential plain(torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 3, 1)), torch::nn::Flatten());
  plain->eval();
  CHECK(sg::attention_blocks(plain, x).empty());
  if (!support::References::are_there()) return;
  const support::References refs("tinyvit");
  CHECK(names(sg::attention_blocks(refs.script(), refs.input())) == three);
}

TEST_CASE("attention in windows that are folded into the batch is not taken for that of the patches") {
  // Four windows of 2 x 2 patches, as many tokens in each as the layer has places.
  struct WindowsImpl : torch::nn::Module {
    WindowsImpl()
        : conv(register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 4, 2).stride(2)))),
          down(register_module("down", torch::nn::Conv2d(torch::nn::Conv2dOptions(4, 4, 2).stride(2)))) {
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) {
      const torch::Tensor patches = conv->forward(x);  // [N, 4, 4, 4]
      torch::Tensor windows = patches.unflatten(2, at::IntArrayRef{2, 2}).unflatten(4, at::IntArrayRef{2, 2});
      windows = windows.permute({0, 2, 4, 3, 5, 1}).reshape({-1, 1, 4, 4});  // [4 N, heads, tokens, channels]
      const torch::Tensor seen = windows.matmul(windows.transpose(2, 3)).softmax(3).matmul(windows);
      return down->forward(patches).mean({2, 3}) + seen.reshape({x.size(0), -1, 4}).mean(1);
    }
    torch::nn::Conv2d conv, down;
  };
  torch::manual_seed(3);
  const auto net = std::make_shared<WindowsImpl>();
  const at::Tensor x = torch::randn({2, 2, 8, 8});
  CHECK_THROWS_WITH(sg::explain(net, x, net->down, sg::LeGrad{}),
                    ContainsSubstring("no attention map over the 4 patches"));
}

TEST_CASE("LeGrad says what it needs") {
  torch::manual_seed(2);
  const at::Tensor x = torch::randn({1, 2, 4, 6});
  struct ConvolutionsImpl : torch::nn::Module {
    ConvolutionsImpl() : conv(register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 3, 2)))) { eval(); }
    torch::Tensor forward(const torch::Tensor& input) { return conv->forward(input).flatten(2).sum(2); }
    torch::nn::Conv2d conv;
  };
  const auto plain = std::make_shared<ConvolutionsImpl>();
  CHECK_THROWS_WITH(sg::explain(plain, x, plain->conv, sg::LeGrad{}),
                    ContainsSubstring("no attention map over the 15 patches"));
  struct TokensImpl : torch::nn::Module {
    TokensImpl() : fc(register_module("fc", torch::nn::Linear(8, 3))) { eval(); }
    torch::Tensor forward(const torch::Tensor& input) { return fc->forward(input).sum(1); }
    torch::nn::Linear fc;
  };
  const auto tokens = std::make_shared<TokensImpl>();
  CHECK_THROWS_WITH(sg::explain(tokens, torch::randn({1, 7, 8}), tokens->fc, sg::LeGrad{}),
                    ContainsSubstring("Reshaped<LeGrad>"));
}
