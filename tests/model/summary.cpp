#include <sightglass/model/summary.hpp>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "support/nets/architectures.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/scripted.hpp"
#include "support/harness/snapshot.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;

namespace {

using Shape = std::vector<int64_t>;

/// What torchvision publishes, and what the layers must add up to.
void check_resnet18(const sg::Summary& found) {
  CHECK(found.parameters == 11'689'512);
  CHECK(found.trainable == 11'689'512);
  CHECK(found.multiply_adds == 1'814'073'344);
  CHECK(found.output_shape == Shape{1, 1000});
  CHECK(found["conv1"].multiply_adds == 112 * 112 * 64 * 3 * 49);
  CHECK(found["conv1"].shape == Shape{1, 64, 112, 112});
  CHECK(found["conv1"].activation_bytes == 4 * 64 * 112 * 112);
  CHECK(found["layer4.1.conv2"].multiply_adds == 7 * 7 * 512 * 512 * 9);
  CHECK(found["layer4.1"].multiply_adds == 2 * 7 * 7 * 512 * 512 * 9);
  CHECK(found["layer4.1"].parameters == 2 * (512 * 512 * 9 + 2 * 512));
  CHECK(found["fc"].parameters == 513'000);
  CHECK(found["fc"].multiply_adds == 512'000);
  CHECK(found["bn1"].multiply_adds == 0);
  const int64_t in_top_layers = found["conv1"].multiply_adds + found["layer1"].multiply_adds +
                                found["layer2"].multiply_adds + found["layer3"].multiply_adds +
                                found["layer4"].multiply_adds + found["fc"].multiply_adds;
  CHECK(in_top_layers == found.multiply_adds);
}

const sg::LayerInfo& of(const sg::Summary& summary, const char* path) { return summary[path]; }

/// Attention written out, as people do: the products of activations belong to no layer's weights.
struct AttentionImpl : torch::nn::Module {
  AttentionImpl()
      : qkv(register_module("qkv", torch::nn::Linear(8, 24))), proj(register_module("proj", torch::nn::Linear(8, 8))) {}
  torch::Tensor forward(const torch::Tensor& x) {
    const auto parts = qkv->forward(x).chunk(3, -1);
    const torch::Tensor map = parts[0].matmul(parts[1].transpose(-2, -1)).softmax(-1);
    return proj->forward(map.matmul(parts[2]));
  }
  torch::nn::Linear qkv, proj;
};
TORCH_MODULE(Attention);

struct TransformerImpl : torch::nn::Module {
  TransformerImpl()
      : attention(register_module("attention", Attention())), head(register_module("head", torch::nn::Linear(8, 2))) {
    eval();
  }
  torch::Tensor forward(const torch::Tensor& x) { return head->forward(attention->forward(x).mean(1)); }
  Attention attention;
  torch::nn::Linear head;
};
TORCH_MODULE(Transformer);

}  // namespace

TEST_CASE("ResNet-18 has its published parameters and multiply-adds, in torch::nn and TorchScript") {
  support::ResNet18 net;
  net->eval();
  const at::Tensor x = torch::zeros({1, 3, 224, 224});
  check_resnet18(sg::summary(net, x));
  check_resnet18(sg::summary(support::scripted(*net), x));
}

TEST_CASE("MobileNetV2 has its published parameters and multiply-adds, in torch::nn and TorchScript") {
  support::MobileNetV2 net;
  net->eval();
  const at::Tensor x = torch::zeros({1, 3, 224, 224});
  for (const sg::Summary& found : {sg::summary(net, x), sg::summary(support::scripted(*net), x)}) {
    CHECK(found.parameters == 3'504'872);
    CHECK(found.multiply_adds == 300'774'272);
    CHECK(of(found, "features").multiply_adds + of(found, "classifier").multiply_adds == found.multiply_adds);
    CHECK(of(found, "classifier.1").multiply_adds == 1'280'000);
  }
}

TEST_CASE("torch::nn and TorchScript agree row by row") {
  support::ResNet18 net(8, 10);
  net->eval();
  const at::Tensor x = torch::zeros({2, 3, 64, 48});
  const sg::Summary one = sg::summary(net, x), two = sg::summary(support::scripted(*net), x);
  REQUIRE(one.layers.size() == two.layers.size());
  for (const sg::LayerInfo& layer : one.layers) {
    INFO(layer.name);
    CHECK(two[layer.name].shape == layer.shape);
    CHECK(two[layer.name].parameters == layer.parameters);
    CHECK(two[layer.name].multiply_adds == layer.multiply_adds);
    CHECK(two[layer.name].activation_bytes == layer.activation_bytes);
    CHECK(two[layer.name].calls == 1);
    CHECK(two[layer.name].is_leaf == layer.is_leaf);
  }
  CHECK(one.activation_bytes == two.activation_bytes);
}

TEST_CASE("the figures of a small net are those on paper") {
  support::PaperNet net;
  net->fc->weight.set_requires_grad(false);
  const sg::Summary found = sg::summary(net, support::PaperNetImpl::picture());
  REQUIRE(found.layers.size() == 4);
  CHECK(found.layers[0].name == "features");
  CHECK(found.layers[0].type == "torch::nn::SequentialImpl");
  CHECK_FALSE(found.layers[0].is_leaf);
  CHECK(found.layers[1].name == "features.0");
  CHECK(found.layers[1].type == "torch::nn::Conv2dImpl");
  CHECK(found["features.0"].parameters == 4);
  CHECK(found["features.0"].multiply_adds == 8);
  CHECK(found["features.0"].activation_bytes == 4 * 8);
  CHECK(found["features.1"].activation_bytes == 0);  // in place
  CHECK(found["fc"].parameters == 4);
  CHECK(found["fc"].trainable == 0);
  CHECK(found["fc"].multiply_adds == 4);
  CHECK(found.parameters == 8);
  CHECK(found.trainable == 4);
  CHECK(found.multiply_adds == 12);
  CHECK(found.activation_bytes == 4 * 8 + 4 * 2);
  CHECK(found.not_counted.empty());
}

TEST_CASE("a run that ignores costs counts none, and notes the same layers") {
  const support::PaperNet net;
  const sg::detail::NotingRun run(net, support::PaperNetImpl::picture(), sg::detail::Costs::ignored);
  CHECK(run.totals().output_shape == sg::summary(net, support::PaperNetImpl::picture()).output_shape);
  CHECK(run.totals().parameters == 0);
  CHECK(run.totals().multiply_adds == 0);
  REQUIRE(run.rows().size() == 4);
  CHECK(run.as_they_ended().size() == 4);
  for (const auto& row : run.rows()) CHECK((row.info.parameters == 0 && row.info.multiply_adds == 0));
}

TEST_CASE("products of activations belong to the block under way, where it is known, and always to the whole") {
  const Transformer net;
  const at::Tensor x = torch::randn({2, 5, 8});
  const sg::Summary unknown = sg::summary(net, x);
  CHECK(unknown["attention"].multiply_adds == 2 * 5 * 8 * 32);
  CHECK(unknown["attention"].shape.empty());
  sg::hookable<AttentionImpl>();
  const sg::Summary found = sg::summary(net, x);
  CHECK(found["attention"].shape == Shape{2, 5, 8});
  CHECK(unknown.multiply_adds == found.multiply_adds);
  const int64_t map = 2 * 5 * 5 * 8;  // queries by keys, and as much for the values
  CHECK(found["attention.qkv"].multiply_adds == 2 * 5 * 8 * 24);
  CHECK(found["attention.proj"].multiply_adds == 2 * 5 * 8 * 8);
  CHECK(found["attention"].multiply_adds == 2 * 5 * 8 * 32 + 2 * map);
  CHECK(found["head"].multiply_adds == 2 * 8 * 2);
  CHECK(found.multiply_adds == 2 * 5 * 8 * 32 + 2 * map + 2 * 8 * 2);
}

TEST_CASE("a layer that runs twice works twice, and its parameters count once") {
  struct NetImpl : torch::nn::Module {
    NetImpl() : fc(register_module("fc", torch::nn::Linear(4, 4))), spare(register_module("spare", fc.ptr())) {
      idle = register_module("idle", torch::nn::Linear(4, 4));
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) { return fc->forward(fc->forward(x).relu()); }
    torch::nn::Linear fc;
    std::shared_ptr<torch::nn::LinearImpl> spare;
    torch::nn::Linear idle{nullptr};
  };
  const sg::Summary found = sg::summary(std::make_shared<NetImpl>(), torch::randn({3, 4}));
  CHECK(found.multiply_adds == 2 * 3 * 16);
  CHECK(found["fc"].multiply_adds == 2 * 3 * 16);
  CHECK(found["fc"].parameters == 20);
  CHECK(found.parameters == 40);
  CHECK(found["idle"].calls == 0);
  CHECK(found["idle"].shape.empty());
  CHECK(found["idle"].parameters == 20);
}

TEST_CASE("work that cannot be counted is named") {
  struct NetImpl : torch::nn::Module {
    NetImpl() : lstm(register_module("lstm", torch::nn::LSTM(4, 5))) { eval(); }
    torch::Tensor forward(const torch::Tensor& x) { return std::get<0>(lstm->forward(x)); }
    torch::nn::LSTM lstm;
  };
  const sg::Summary found = sg::summary(std::make_shared<NetImpl>(), torch::randn({3, 2, 4}));
  CHECK(found.not_counted == std::vector<std::string>{"aten::lstm"});
  CHECK_THAT(found.text(), ContainsSubstring("not counted: aten::lstm"));
}

TEST_CASE("a summary prints as a table with the totals below") {
  support::PaperNet net;
  std::ostringstream printed;
  printed << sg::summary(net, support::PaperNetImpl::picture());
  CHECK(printed.str() ==
        "layer         type        output        parameters  trainable  multiply-adds  activations\n"
        "-----------------------------------------------------------------------------------------\n"
        "features      Sequential  [1, 2, 2, 2]           4          4              8         32 B\n"
        "  features.0  Conv2d      [1, 2, 2, 2]           4          4              8         32 B\n"
        "  features.1  ReLU        [1, 2, 2, 2]           0          0              0          0 B\n"
        "fc            Linear      [1, 2]                 4          4              4          8 B\n"
        "-----------------------------------------------------------------------------------------\n"
        "total                     [1, 2]                 8          8             12         40 B\n"
        "input [1, 1, 2, 2]\n");
}

TEST_CASE("a summary changes nothing of the model, and is refused in training mode") {
  support::ResNet18 net(8, 10);
  net->eval();
  const at::Tensor x = torch::zeros({1, 3, 64, 64});
  const support::Snapshot before(*net);
  static_cast<void>(sg::summary(net, x));
  CHECK(before.difference(support::Snapshot(*net)) == "");
  net->layer1->train();
  CHECK_THROWS_WITH(sg::summary(net, x), ContainsSubstring("training mode"));
}

TEST_CASE("a path that is not in the summary gets the nearest ones") {
  support::PaperNet net;
  const sg::Summary found = sg::summary(net, support::PaperNetImpl::picture());
  CHECK_THROWS_WITH(found["feature"], ContainsSubstring("nearest: \"features\""));
}
